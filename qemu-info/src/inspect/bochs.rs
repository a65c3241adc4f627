//! Bochs' growing image. Source: what `bochs_open` of qemu refuses.

use super::bytes::{Bytes, Integers as _, Stop};
use super::report::Report;
use super::{Code, limits};

/// qemu's bound, which is what the largest image that Bochs makes needs.
const CATALOG: u64 = 0x10_0000;

/// The texts that stand in its first fields, each with its NUL.
pub(super) fn matches(first: &[u8]) -> bool {
    [(0, &b"Bochs Virtual HD Image\0"[..]), (32, b"Redolog\0"), (48, b"Growing\0")]
        .into_iter()
        .all(|(offset, text)| first.get(offset..).is_some_and(|field| field.starts_with(text)))
}

pub(super) fn parse(bytes: &mut impl Bytes, report: &mut Report<'_>) -> Result<(), Stop> {
    let header = bytes.at(0, 512)?.to_vec();
    let version = header.le32(64);
    report.facts.version = Some(version >> 16);
    let size_at = match version {
        0x0001_0000 => 84,
        0x0002_0000 => 88,
        _ => {
            let message = format!("version {version:#x} of Bochs is not one that qemu can open");
            return Err(report.broken(Code::Unsupported, 64, message));
        }
    };
    let size = header.le64(size_at);
    if size > limits::OFFSET {
        return Err(report.broken(Code::Malformed, size_at as u64, format!("its virtual size is {size} bytes")));
    }
    let size = size - size % limits::SECTOR;
    report.size(size, size_at as u64);

    let extent = u64::from(header.le32(80));
    if !extent.is_power_of_two() || !(512..=0x80_0000).contains(&extent) {
        return Err(report.broken(Code::Malformed, 80, format!("its extent size is {extent} bytes")));
    }
    let entries = u64::from(header.le32(72));
    report.facts.table_entries = Some(entries);
    if entries > CATALOG {
        report.find(Code::TableTooLarge, 72, format!("its catalog has {entries} entries, more than {CATALOG}"));
    }
    if entries < size.div_ceil(extent) {
        report.find(Code::Malformed, 72, format!("its catalog of {entries} entries is too small for {size} bytes"));
    }
    let end = bytes.sectors_end()?;
    report.inside("catalog", (header.le32(68).into(), entries * 4), end, 68);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::inspect::testing::{facts, image, patched, refused};
    use crate::inspect::{Code, ImageFormat};

    /// 1 MiB in extents of 64 KiB.
    fn usual() -> Vec<u8> {
        let parts: [(usize, &[u8]); 8] = [
            (0, b"Bochs Virtual HD Image"),
            (32, b"Redolog"),
            (48, b"Growing"),
            (66, &[2]),
            (69, &[2]),
            (72, &[16]),
            (82, &[1]),
            (90, &[0x10]),
        ];
        image(1024, &parts)
    }

    #[test]
    fn the_usual_ones_are_accepted() {
        let first_version = patched(&usual(), &[(66, &[1]), (86, &[0x10, 0, 0, 0, 0])]);
        for image in [usual(), first_version] {
            let found = facts(&image);
            assert_eq!((found.format(), found.virtual_size()), (ImageFormat::Bochs, Some(1 << 20)));
            assert_eq!(refused(&image), []);
        }
    }

    #[test]
    fn what_qemu_refuses_is_refused() {
        let cases: [(usize, &[u8], Code, u64); 7] = [
            (66, &[3], Code::Unsupported, 64),
            (95, &[0x80], Code::Malformed, 88),
            (81, &[1], Code::Malformed, 80),
            (82, &[0], Code::Malformed, 80),
            (72, &[15], Code::Malformed, 72),
            (74, &[0x11], Code::TableTooLarge, 72),
            (69, &[4], Code::Truncated, 68),
        ];
        for (at, bytes, code, offset) in cases {
            let found = refused(&patched(&usual(), &[(at, bytes)]));
            assert_eq!(found.first(), Some(&(code, offset)), "{at}: {bytes:?}");
        }
    }
}
