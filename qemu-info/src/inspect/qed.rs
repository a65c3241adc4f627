//! qemu's enhanced disk format. Source: `docs/interop/qed_spec.rst` of qemu, and what `bdrv_qed_do_open` refuses.

use super::bytes::{Bytes, Integers as _, Stop};
use super::report::Report;
use super::{Code, Features, Name, limits};

pub(super) const MAGIC: &[u8] = b"QED\0";

const BACKING_FILE: u64 = 1 << 0;
const NEED_CHECK: u64 = 1 << 1;
const BACKING_RAW: u64 = 1 << 2;
const KNOWN: u64 = BACKING_FILE | NEED_CHECK | BACKING_RAW;

pub(super) fn parse(bytes: &mut impl Bytes, report: &mut Report<'_>) -> Result<(), Stop> {
    let header = bytes.at(0, 64)?.to_vec();
    let features = header.le64(16);
    report.facts.features = Some(Features {
        incompatible: features,
        compatible: header.le64(24),
        autoclear: header.le64(32),
        unknown_incompatible: features & !KNOWN,
    });
    if features & !KNOWN != 0 {
        let message = format!("it has the unknown incompatible features {:#x}", features & !KNOWN);
        return Err(report.broken(Code::UnknownFeatures, 16, message));
    }
    report.facts.dirty = features & NEED_CHECK != 0;

    let cluster = header.le32(4);
    if !cluster.is_power_of_two() || !(4096..=64 << 20).contains(&cluster) {
        return Err(report.broken(Code::Malformed, 4, format!("its cluster size is {cluster}")));
    }
    report.facts.cluster_size = Some(cluster.into());
    // The specification allows 1 as well, but qemu then refuses every offset of a table.
    let clusters = header.le32(8);
    if !matches!(clusters, 2 | 4 | 8 | 16) {
        return Err(report.broken(Code::Malformed, 8, format!("its table size is {clusters} clusters")));
    }
    if features & BACKING_FILE != 0 {
        backing_file(bytes, report, &header)?;
    }

    let cluster = u64::from(cluster);
    let table = cluster * u64::from(clusters);
    let entries = table / 8;
    report.facts.table_entries = Some(entries);
    report.table("L1 table", table, 8);
    let size = header.le64(48);
    // qemu counts in 64 bits, and sees nothing but zeros of more.
    let most = entries.wrapping_mul(entries).wrapping_mul(cluster);
    if !size.is_multiple_of(512) || size > most.min(limits::OFFSET) {
        return Err(report.broken(Code::Malformed, 48, format!("its virtual size is {size} bytes")));
    }
    report.size(size, 48);

    let l1 = header.le64(40);
    if !l1.is_multiple_of(cluster) || l1 < u64::from(header.le32(12)) * cluster {
        report.find(Code::Malformed, 40, format!("its L1 table at {l1} does not start at a cluster behind the header"));
    }
    // What does not fill a cluster at the end does not count.
    let end = bytes.sectors_end()?;
    report.inside("L1 table", (l1, table), end - end % cluster, 40);
    Ok(())
}

fn backing_file(bytes: &mut impl Bytes, report: &mut Report<'_>, header: &[u8]) -> Result<(), Stop> {
    let (offset, length) = (header.le32(56), header.le32(60));
    let room = u64::from(header.le32(12)) * u64::from(header.le32(4));
    let fits = u64::from(offset) + u64::from(length) <= room;
    let Some(length) = usize::try_from(length).ok().filter(|length| fits && *length <= limits::NAME) else {
        return Err(report.broken(Code::Malformed, 60, format!("its backing file's name is {length} bytes long")));
    };
    let name = Name::terminated(bytes.at(offset.into(), length)?);
    report.find(Code::BackingFile, 56, format!("it names the backing file `{name}`"));
    report.facts.backing_file = (!name.as_bytes().is_empty()).then_some(name);
    if header.le64(16) & BACKING_RAW != 0 {
        report.facts.backing_format = Some(Name::new(b"raw"));
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::inspect::testing::{facts, image, patched, refused};
    use crate::inspect::{Code, ImageFormat};

    /// 1 MiB, with clusters of 4 KiB.
    fn usual() -> Vec<u8> {
        let words = [&b"QED\0"[..], &[0, 0x10], &[2], &[1]];
        let image = image(3 * 4096, &[(40, &[0, 0x10]), (48, &[0, 0, 0x10])]);
        words.iter().zip((0..).step_by(4)).fold(image, |image, (word, at)| patched(&image, &[(at, *word)]))
    }

    #[test]
    fn the_usual_one_is_accepted() {
        let found = facts(&usual());
        assert_eq!((found.format(), found.virtual_size()), (ImageFormat::Qed, Some(1 << 20)));
        assert_eq!((found.facts().cluster_size, found.facts().table_entries), (Some(4096), Some(1024)));
        assert_eq!(refused(&usual()), []);
        let open = patched(&usual(), &[(16, &[2])]);
        assert!(facts(&open).facts().dirty);
        assert_eq!(refused(&open), [], "qemu opens it, and checks it first if it may write");
    }

    #[test]
    fn a_backing_file_is_named() {
        let child = patched(&usual(), &[(16, &[5]), (56, &[64]), (60, &[8]), (64, b"/a\nb\0cd")]);
        assert_eq!(refused(&child), [(Code::BackingFile, 56)]);
        let found = facts(&child);
        assert_eq!(found.facts().backing_file.as_ref().unwrap().as_bytes(), b"/a\nb");
        assert_eq!(found.facts().backing_format.as_ref().unwrap().as_bytes(), b"raw");
        let long = patched(&child, &[(60, &[0, 4])]);
        assert_eq!(refused(&long), [(Code::Malformed, 60)]);
    }

    #[test]
    fn what_qemu_refuses_is_refused() {
        let cases: [(usize, &[u8], Code, u64); 9] = [
            (4, &[1], Code::Malformed, 4),
            (4, &[0, 8], Code::Malformed, 4),
            (8, &[1], Code::Malformed, 8),
            (8, &[32], Code::Malformed, 8),
            (16, &[8], Code::UnknownFeatures, 16),
            (41, &[0], Code::Malformed, 40),
            (41, &[0x20], Code::Truncated, 40),
            (48, &[1], Code::Malformed, 48),
            (54, &[1], Code::Malformed, 48),
        ];
        for (at, bytes, code, offset) in cases {
            let found = refused(&patched(&usual(), &[(at, bytes)]));
            assert_eq!(found.first(), Some(&(code, offset)), "{at}: {bytes:?}");
        }
        // 2^22 entries of 2^22 clusters of 2^21 bytes.
        let larger_than_any_size = patched(&usual(), &[(4, &[0, 0, 0x20]), (8, &[16])]);
        assert!(refused(&larger_than_any_size).contains(&(Code::Malformed, 48)));
    }
}
