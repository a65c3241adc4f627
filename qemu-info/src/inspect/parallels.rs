//! Parallels' format, also that of ploop. Source: `docs/interop/parallels.txt` of qemu, and what `parallels_open`
//! refuses.

use super::bytes::{Bytes, Integers as _, Stop};
use super::report::Report;
use super::{Code, limits};

const MAGIC: &[u8] = b"WithoutFreeSpace";
const EXTENDED_MAGIC: &[u8] = b"WithouFreSpacExt";

/// What stands in a field when the image is open for writing.
const IN_USE: u32 = 0x746f_6e59;
/// The cluster size in sectors above which qemu refuses.
const CLUSTER: u32 = i32::MAX as u32 / 513;

pub(super) fn matches(first: &[u8]) -> bool {
    first.starts_with(MAGIC) || first.starts_with(EXTENDED_MAGIC)
}

pub(super) fn parse(bytes: &mut impl Bytes, report: &mut Report<'_>) -> Result<(), Stop> {
    let header = bytes.at(0, 64)?.to_vec();
    let version = header.le32(16);
    report.facts.version = Some(version);
    if version != 2 {
        let message = format!("version {version} of Parallels is not one that qemu can open");
        return Err(report.broken(Code::Unsupported, 16, message));
    }
    report.facts.dirty = header.le32(44) == IN_USE;
    let cluster = header.le32(28);
    if cluster == 0 || cluster > CLUSTER {
        return Err(report.broken(Code::Malformed, 28, format!("its cluster size is {cluster} sectors")));
    }
    let cluster = u64::from(cluster);
    report.facts.cluster_size = Some(cluster * limits::SECTOR);
    // The first version has but 32 bits for the size, and counts in sectors where the other counts in clusters.
    let (sectors, unit) =
        if header.starts_with(MAGIC) { (header.le32(36).into(), 1) } else { (header.le64(36), cluster) };
    let Some(size) = limits::in_sectors(sectors) else {
        return Err(report.broken(Code::Malformed, 36, format!("its virtual size is {sectors} sectors")));
    };
    report.size(size, 36);
    let entries = u64::from(header.le32(32));
    report.facts.table_entries = Some(entries);
    report.table("block allocation table", entries * 4, 32);
    if entries * cluster < sectors {
        report.find(
            Code::Malformed,
            32,
            format!("its block allocation table of {entries} entries is too small for {size} bytes"),
        );
    }
    let table = (64, entries * 4);
    let mut last = None;
    bytes.scan(table, |at, entry| {
        let start = u64::from(u32::from_le_bytes(entry)) * unit;
        if start != 0 {
            last = last.max(Some((start.saturating_mul(limits::SECTOR), at)));
        }
        true
    })?;
    if header.le64(56) != 0 {
        extension(bytes, report, &header)?;
    }
    let (size, end) = (bytes.size()?, bytes.sectors_end()?);
    report.inside("block allocation table", table, end, 32);
    // What is missing of it qemu reads as zeros. Its check does not notice up to 7.2, and aborts in 10.0.
    if let Some((start, field)) = last {
        report.inside("last cluster", (start, cluster * limits::SECTOR), size, field);
    }
    Ok(())
}

const EXTENSION: u64 = 0xab23_4cef_23dc_ea87;
const BITMAP: u64 = 0x2038_5fae_252c_b34a;

/// The cluster that holds what was added to the format: dirty bitmaps, so far. Its checksum is not looked at.
fn extension(bytes: &mut impl Bytes, report: &mut Report<'_>, header: &[u8]) -> Result<(), Stop> {
    let cluster = u64::from(header.le32(28)) * limits::SECTOR;
    report.table("format extension", cluster, 28);
    let Some(start) = limits::in_sectors(header.le64(56)) else {
        return Err(report.broken(Code::Malformed, 56, "its format extension starts behind every file's end"));
    };
    let length = usize::try_from(cluster).unwrap_or(usize::MAX).min(limits::SCAN_PIECE);
    let extension = bytes.at(start, length)?.to_vec();
    if extension.le64(0) != EXTENSION {
        return Err(report.broken(Code::Malformed, start, "its format extension does not start as one"));
    }
    let (mut at, mut bitmaps) = (24, 0);
    loop {
        let feature = extension.get(at..).unwrap_or_default();
        let offset = start + at as u64;
        if feature.len() < 24 {
            return Err(report.broken(Code::Malformed, offset, "its format extension does not end"));
        }
        match feature.le64(0) {
            0 => break,
            BITMAP if feature.le64(8) == 0 => {
                let granularity = u64::from(feature.le32(48));
                if !granularity.is_power_of_two() || granularity > u64::from(u32::MAX) / limits::SECTOR {
                    return Err(report.broken(
                        Code::Malformed,
                        offset,
                        format!("a bitmap's granularity is {granularity}"),
                    ));
                }
                report.table("dirty bitmap", feature.le64(24) / granularity / 8, offset);
                bitmaps += 1;
            }
            other => {
                let message = format!("its format extension has the unknown feature {other:#x}");
                return Err(report.broken(Code::UnknownFeatures, offset, message));
            }
        }
        at += 24 + (feature.le32(16) as usize).next_multiple_of(8);
    }
    report.facts.bitmaps = Some(bitmaps);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{BITMAP, EXTENDED_MAGIC, EXTENSION, MAGIC};
    use crate::inspect::testing::{facts, image, patched, refused};
    use crate::inspect::{Code, ImageFormat};

    /// 64 KiB in clusters of 4 KiB.
    fn usual() -> Vec<u8> {
        image(8192, &[(0, EXTENDED_MAGIC), (16, &[2]), (28, &[8]), (32, &[16]), (36, &[128])])
    }

    #[test]
    fn the_usual_one_is_accepted() {
        let found = facts(&usual());
        assert_eq!((found.format(), found.virtual_size()), (ImageFormat::Parallels, Some(64 << 10)));
        assert_eq!((found.facts().cluster_size, found.facts().table_entries), (Some(4096), Some(16)));
        assert_eq!(refused(&usual()), []);
        assert_eq!(refused(&patched(&usual(), &[(64, &[1])])), []);
        // The first version has but 32 bits for the size.
        let old = patched(&usual(), &[(0, MAGIC), (40, &[1]), (64, &[8])]);
        assert_eq!(facts(&old).virtual_size(), Some(64 << 10));
        assert_eq!(refused(&old), []);
        let open = patched(&usual(), &[(44, &super::IN_USE.to_le_bytes())]);
        assert!(facts(&open).facts().dirty);
    }

    #[test]
    fn what_qemu_refuses_is_refused() {
        let cases: [(usize, &[u8], Code, u64); 8] = [
            (16, &[3], Code::Unsupported, 16),
            (32, &[15], Code::Malformed, 32),
            (28, &[0], Code::Malformed, 28),
            (31, &[0x40], Code::Malformed, 28),
            (43, &[0x40], Code::Malformed, 36),
            (34, &[0x81], Code::TableTooLarge, 32),
            (33, &[16], Code::Truncated, 32),
            (64, &[2], Code::Truncated, 64),
        ];
        for (at, bytes, code, offset) in cases {
            let found = refused(&patched(&usual(), &[(at, bytes)]));
            assert_eq!(found.first(), Some(&(code, offset)), "{at}: {bytes:?}");
        }
    }

    #[test]
    fn a_field_that_is_cut_off_goes_on_with_zeros_as_for_qemu() {
        let mut cut = patched(&usual(), &[(39, &[1])]);
        cut.truncate(43);
        assert_eq!(facts(&cut).virtual_size(), Some((1 << 24 | 128) * 512));
        assert!(refused(&cut).contains(&(Code::Malformed, 32)));
    }

    #[test]
    fn its_extension_is_read() {
        let (magic, bitmap) = (EXTENSION.to_le_bytes(), BITMAP.to_le_bytes());
        let parts: [(usize, &[u8]); 6] =
            [(56, &[8]), (4096, &magic), (4120, &bitmap), (4136, &[32]), (4144, &[128]), (4168, &[128])];
        let extended = patched(&usual(), &parts);
        assert_eq!(refused(&extended), []);
        assert_eq!(facts(&extended).facts().bitmaps, Some(1));
        let cases: [(usize, &[u8], Code, u64); 6] = [
            (62, &[0x80], Code::Malformed, 56),
            (4096, &[0], Code::Malformed, 4096),
            (4120, &[1], Code::UnknownFeatures, 4120),
            (4136, &[0xff; 4], Code::Malformed, 4096 + 24 + 24 + (1 << 32)),
            (4168, &[0], Code::Malformed, 4120),
            (4149, &[0xff], Code::TableTooLarge, 4120),
        ];
        for (at, bytes, code, offset) in cases {
            let found = refused(&patched(&extended, &[(at, bytes)]));
            assert_eq!(found.first(), Some(&(code, offset)), "{at}: {bytes:?}");
        }
    }
}
