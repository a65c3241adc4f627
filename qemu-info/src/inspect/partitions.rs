//! Partition tables. Source: the UEFI specification, chapter 5.

use super::bytes::{Bytes, Integers as _, Stop};

/// What a boot sector of a file system says of itself, and where. Its code can look like a partition table.
const FILE_SYSTEMS: [(usize, &[u8]); 6] =
    [(3, b"NTFS    "), (3, b"EXFAT   "), (54, b"FAT12   "), (54, b"FAT16   "), (54, b"FAT     "), (82, b"FAT32   ")];

/// Whether there is a GUID partition table, on a disk with sectors of 512 or of 4096 bytes.
pub(super) fn has_gpt(bytes: &mut impl Bytes) -> Result<bool, Stop> {
    for sector in [512, 4096] {
        let header = bytes.at(sector, 92)?;
        if header.starts_with(b"EFI PART") && header.le64(24) == 1 && (92..=4096).contains(&header.le32(12)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether the first sector holds a DOS partition table, with at least one partition.
pub(super) fn has_mbr(first: &[u8]) -> bool {
    let Some((sector, _)) = first.split_at_checked(512) else { return false };
    let (entries, signature) = sector.split_at(510);
    let entries = entries.get(446..).unwrap_or_default().as_chunks::<16>().0;
    signature == [0x55, 0xaa]
        && !FILE_SYSTEMS.iter().any(|(at, name)| sector.get(*at..).is_some_and(|rest| rest.starts_with(name)))
        && entries.iter().all(plausible)
        && entries.iter().any(used)
}

fn used(entry: &[u8; 16]) -> bool {
    entry.take::<1>(4) != [0]
}

/// An entry that is not used has no sectors; one that is used has some, behind the table. The first byte says
/// whether it can be booted.
fn plausible(entry: &[u8; 16]) -> bool {
    let (start, sectors) = (entry.le32(8), entry.le32(12));
    matches!(entry.take(0), [0 | 0x80]) && if used(entry) { start > 0 && sectors > 0 } else { sectors == 0 }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::has_mbr;

    fn table(entry: [u8; 16]) -> Vec<u8> {
        let mut sector = vec![0; 512];
        sector[446..462].copy_from_slice(&entry);
        sector[510..].copy_from_slice(&[0x55, 0xaa]);
        sector
    }

    const LINUX: [u8; 16] = [0x80, 0, 0, 0, 0x83, 0, 0, 0, 0, 8, 0, 0, 0, 0, 1, 0];

    #[test]
    fn a_table_is_one_only_if_every_entry_can_be() {
        assert!(has_mbr(&table(LINUX)));
        assert!(!has_mbr(&table([0; 16])), "no partition");
        for (at, byte) in [(0, 1), (4, 0)] {
            let mut entry = LINUX;
            entry[at] = byte;
            assert!(!has_mbr(&table(entry)), "{at}");
        }
        let mut from_zero = LINUX;
        from_zero[9] = 0;
        assert!(!has_mbr(&table(from_zero)));
        let mut empty = LINUX;
        empty[14] = 0;
        assert!(!has_mbr(&table(empty)));
    }

    #[test]
    fn nothing_else_is_a_table() {
        let mut unsigned = table(LINUX);
        unsigned[511] = 0;
        assert!(!has_mbr(&unsigned));
        assert!(!has_mbr(&table(LINUX)[..511]));
        let mut fat = table(LINUX);
        fat[82..90].copy_from_slice(b"FAT32   ");
        assert!(!has_mbr(&fat));
    }
}
