//! Apple's disk image (UDIF). Source: what `dmg_open` of qemu refuses.
//!
//! Its list of chunks is not looked at: what qemu allocates for it is bounded by the list's own size.

use super::bytes::{Bytes, Integers as _, Stop};
use super::report::Report;
use super::{Code, limits};

const MAGIC: &[u8] = b"koly";
/// The trailer is so large, and need not end at a sector.
const TRAILER: u64 = 512;
/// The largest property list that qemu reads.
const PROPERTIES: u64 = 16 << 20;

/// Where the trailer starts, sought where qemu seeks it. `end` is the file's size in whole sectors.
pub(super) fn find(bytes: &mut impl Bytes, end: u64) -> Result<Option<u64>, Stop> {
    if end < TRAILER {
        return Ok(None);
    }
    let start = end.saturating_sub(511 + 512);
    let last = bytes.at(start, 515)?;
    Ok(last.windows(4).zip(start..).find(|(window, _)| *window == MAGIC).map(|(_, at)| at))
}

pub(super) fn parse(bytes: &mut impl Bytes, at: u64, report: &mut Report<'_>) -> Result<(), Stop> {
    let trailer = bytes.at(at, TRAILER as usize)?.to_vec();
    report.facts.version = Some(trailer.be32(4));
    let sectors = trailer.be64(0x1ec);
    let Some(size) = limits::in_sectors(sectors) else {
        return Err(report.broken(Code::Malformed, at + 0x1ec, format!("its virtual size is {sectors} sectors")));
    };
    report.size(size, at + 0x1ec);
    if trailer.be64(0x18) > at {
        report.find(Code::Malformed, at + 0x18, "its data lies behind its trailer");
    }
    let (resources, properties) = ((trailer.be64(0x28), trailer.be64(0x30)), (trailer.be64(0xd8), trailer.be64(0xe0)));
    for (what, (start, length), field) in [("resource fork", resources, 0x28), ("property list", properties, 0xd8)] {
        if start >= at || length > at - start {
            report.find(
                Code::Malformed,
                at + field,
                format!("its {what} of {length} bytes at {start} lies behind its trailer"),
            );
        }
    }
    match (resources.1, properties.1) {
        (0, 0) => report.find(Code::Malformed, at + 0xe0, "it has neither a resource fork nor a property list"),
        (0, list) if list > PROPERTIES => {
            report.find(
                Code::TableTooLarge,
                at + 0xe0,
                format!("its property list is {list} bytes, more than {PROPERTIES}"),
            );
        }
        (0, _) => {}
        (fork, _) => report.table("resource fork", fork, at + 0x30),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::inspect::testing::{facts, image, patched, refused};
    use crate::inspect::{Code, ImageFormat};

    /// 64 KiB, with a property list in front of the trailer.
    fn usual() -> Vec<u8> {
        image(1024, &[(512, b"koly"), (512 + 0xde, &[1]), (512 + 0xe6, &[1]), (512 + 0x1f3, &[128])])
    }

    #[test]
    fn the_usual_one_is_accepted_wherever_its_trailer_ends() {
        for before in [0, 1, 511] {
            let image = [vec![0; before], usual()].concat();
            let found = facts(&image);
            assert_eq!((found.format(), found.virtual_size()), (ImageFormat::Dmg, Some(64 << 10)), "{before}");
            assert_eq!(refused(&image), [], "{before}");
        }
    }

    #[test]
    fn what_qemu_refuses_is_refused() {
        let cases: [(usize, &[u8], Code, u64); 7] = [
            (0x18, &[1], Code::Malformed, 0x18),
            (0x28, &[1], Code::Malformed, 0x28),
            (0x36, &[3], Code::Malformed, 0x28),
            (0xd8, &[1], Code::Malformed, 0xd8),
            (0xe6, &[3], Code::Malformed, 0xd8),
            (0xe6, &[0], Code::Malformed, 0xe0),
            (0x1ec, &[1], Code::Malformed, 0x1ec),
        ];
        for (at, bytes, code, offset) in cases {
            let found = refused(&patched(&usual(), &[(512 + at, bytes)]));
            assert_eq!(found.first(), Some(&(code, 512 + offset)), "{at:#x}: {bytes:?}");
        }
    }
}
