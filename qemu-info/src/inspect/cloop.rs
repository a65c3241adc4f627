//! A compressed loop device. Source: what `cloop_open` of qemu refuses.

use super::bytes::{Bytes, Integers as _, Stop};
use super::report::Report;
use super::{Code, limits};

pub(super) const MAGIC: &[u8] =
    b"#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0 && mount -r -t iso9660 /dev/cloop $1\n";

/// The largest block that qemu reads; a compressed one may be twice as large.
const BLOCK: u64 = 64 << 20;
const OFFSETS_AT: u64 = 136;

pub(super) fn parse(bytes: &mut impl Bytes, report: &mut Report<'_>) -> Result<(), Stop> {
    let header = bytes.at(0, 136)?.to_vec();
    let (block, blocks) = (u64::from(header.be32(128)), u64::from(header.be32(132)));
    if block == 0 || !block.is_multiple_of(limits::SECTOR) || block > BLOCK {
        return Err(report.broken(Code::Malformed, 128, format!("its block size is {block} bytes")));
    }
    report.facts.table_entries = Some(blocks);
    let sectors = block / limits::SECTOR * blocks;
    if u32::try_from(sectors).is_err() {
        let message = format!("it has {sectors} sectors, which qemu counts in 32 bits");
        return Err(report.broken(Code::Unsupported, 132, message));
    }
    report.size(sectors * limits::SECTOR, 132);
    let table = (blocks + 1) * 8;
    report.table("table of offsets", table, 132);

    let (mut last, mut wrong) = (None, None);
    bytes.scan((OFFSETS_AT, table), |at, entry| {
        let offset = u64::from_be_bytes(entry);
        let length = last.map_or(Some(0), |last| offset.checked_sub(last));
        if length.is_none_or(|length| length > 2 * BLOCK) {
            wrong = Some(at);
        }
        last = Some(offset);
        wrong.is_none()
    })?;
    if let Some(at) = wrong {
        return Err(report.broken(Code::Malformed, at, "it has a block of a length that cannot be"));
    }
    let size = bytes.size()?;
    report.inside("table of offsets", (OFFSETS_AT, table), size, 132);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::MAGIC;
    use crate::inspect::testing::{facts, image, patched, refused};
    use crate::inspect::{Code, ImageFormat};

    /// Two blocks of 64 KiB.
    fn usual() -> Vec<u8> {
        image(512, &[(0, MAGIC), (129, &[1]), (135, &[2]), (143, &[160]), (151, &[200]), (159, &[240])])
    }

    #[test]
    fn the_usual_one_is_accepted() {
        let found = facts(&usual());
        assert_eq!((found.format(), found.virtual_size()), (ImageFormat::Cloop, Some(128 << 10)));
        assert_eq!(refused(&usual()), []);
    }

    #[test]
    fn what_qemu_refuses_is_refused() {
        let cases: [(usize, &[u8], Code, u64); 7] = [
            (129, &[0], Code::Malformed, 128),
            (131, &[1], Code::Malformed, 128),
            (128, &[0x80], Code::Malformed, 128),
            (132, &[0x10], Code::Unsupported, 132),
            (151, &[100], Code::Malformed, 144),
            (148, &[0x20], Code::Malformed, 144),
            (134, &[1], Code::Malformed, 160),
        ];
        for (at, bytes, code, offset) in cases {
            let found = refused(&patched(&usual(), &[(at, bytes)]));
            assert_eq!(found.first(), Some(&(code, offset)), "{at}: {bytes:?}");
        }
        // With blocks of a sector, so that qemu can count them, and its table would take 512 MiB.
        let bomb = patched(&usual(), &[(128, &[0, 0, 2, 0, 4, 0, 0, 0])]);
        assert!(refused(&bomb).contains(&(Code::TableTooLarge, 132)));
    }
}
