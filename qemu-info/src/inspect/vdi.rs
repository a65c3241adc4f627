//! VirtualBox's format. Source: what `vdi_open` of qemu refuses.

use super::bytes::{Bytes, Integers as _, Stop};
use super::report::Report;
use super::{Code, limits};

/// Where the signature stands: behind a text that may say anything.
pub(super) const SIGNATURE_AT: usize = 0x40;
pub(super) const SIGNATURE: &[u8] = &0xbeda_107f_u32.to_le_bytes();

/// The only block size that qemu reads.
const BLOCK: u64 = 1 << 20;
/// qemu's `VDI_BLOCKS_IN_IMAGE_MAX`.
const BLOCKS: u64 = (i32::MAX as u64 + 1 - limits::SECTOR) / 4;

pub(super) fn parse(bytes: &mut impl Bytes, report: &mut Report<'_>) -> Result<(), Stop> {
    let header = bytes.at(0, 512)?.to_vec();
    let version = header.le32(0x44);
    report.facts.version = Some(version >> 16);
    if version != 0x0001_0001 {
        let message = format!("version {}.{} of VDI is not one that qemu can open", version >> 16, version & 0xffff);
        return Err(report.broken(Code::Unsupported, 0x44, message));
    }
    let kind = match header.le32(0x4c) {
        1 => "dynamic",
        2 => "fixed",
        4 => "differencing",
        other => {
            report.find(Code::Unsupported, 0x4c, format!("type {other} of VDI is neither dynamic nor fixed"));
            "unknown"
        }
    };
    report.facts.subformat = Some(kind.into());
    for (name, offset) in [("link", 0x1a8), ("parent", 0x1b8)] {
        if header.take::<16>(offset) != [0; 16] {
            report.find(Code::Unsupported, offset as u64, format!("it has a {name} UUID: qemu opens no child images"));
        }
    }
    for (name, offset) in [("block map", 0x154), ("data", 0x158)] {
        if !header.le32(offset).is_multiple_of(512) {
            report.find(Code::Unsupported, offset as u64, format!("its {name} does not start at a sector"));
        }
    }
    let sector = header.le32(0x168);
    if sector != 512 {
        report.find(Code::Unsupported, 0x168, format!("its sector size is {sector}, not 512"));
    }
    let block = u64::from(header.le32(0x178));
    if block != BLOCK {
        return Err(report.broken(Code::Unsupported, 0x178, format!("its block size is {block}, not {BLOCK}")));
    }
    report.facts.cluster_size = Some(block);

    let (size, blocks) = (header.le64(0x170), u64::from(header.le32(0x180)));
    report.facts.table_entries = Some(blocks);
    if blocks > BLOCKS {
        report.find(Code::Unsupported, 0x180, format!("it has {blocks} blocks, and qemu reads at most {BLOCKS}"));
    }
    if size > blocks * BLOCK {
        let message = format!("its {size} bytes do not fit into its {blocks} blocks");
        return Err(report.broken(Code::Malformed, 0x170, message));
    }
    // VBoxManage makes images of odd sizes; qemu rounds them up.
    report.size(size.next_multiple_of(512), 0x170);
    report.table("block map", blocks * 4, 0x180);
    let map = (u64::from(header.le32(0x154)), (blocks * 4).next_multiple_of(limits::SECTOR));
    let (file, end) = (bytes.size()?, bytes.sectors_end()?);
    report.inside("block map", map, end, 0x154);
    // What is missing of the allocated blocks qemu reads as zeros, and its check does not notice.
    let allocated = u64::from(header.le32(0x184)) * BLOCK;
    if allocated > 0 {
        report.inside("data", (header.le32(0x158).into(), allocated), file, 0x184);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::inspect::testing::{facts, image, patched, refused};
    use crate::inspect::{Code, ImageFormat};

    /// 3 MiB less a byte, none of it allocated.
    fn usual() -> Vec<u8> {
        let size = (3_u64 << 20) - 1;
        image(
            1024,
            &[
                (0x40, super::SIGNATURE),
                (0x44, &[1, 0, 1, 0]),
                (0x4c, &[1]),
                (0x154, &[0, 2]),
                (0x158, &[0, 4]),
                (0x168, &[0, 2]),
                (0x170, &size.to_le_bytes()),
                (0x178, &[0, 0, 0x10]),
                (0x180, &[3]),
            ],
        )
    }

    #[test]
    fn the_usual_one_is_accepted() {
        let found = facts(&usual());
        assert_eq!(found.format(), ImageFormat::Vdi);
        assert_eq!(found.virtual_size(), Some(3 << 20), "rounded up");
        assert_eq!(found.facts().subformat.as_deref(), Some("dynamic"));
        assert_eq!(found.facts().table_entries, Some(3));
        assert_eq!(refused(&usual()), []);
    }

    #[test]
    fn what_qemu_refuses_is_refused() {
        let cases: [(usize, &[u8], Code, u64); 13] = [
            (0x44, &[0], Code::Unsupported, 0x44),
            (0x4c, &[3], Code::Unsupported, 0x4c),
            (0x154, &[1], Code::Unsupported, 0x154),
            (0x158, &[1], Code::Unsupported, 0x158),
            (0x168, &[0, 0x10], Code::Unsupported, 0x168),
            (0x178, &[0, 0, 0x20], Code::Unsupported, 0x178),
            (0x180, &[2], Code::Malformed, 0x170),
            (0x182, &[0, 0x20], Code::Unsupported, 0x180),
            (0x170, &[0xff; 8], Code::Malformed, 0x170),
            (0x1a8, &[1], Code::Unsupported, 0x1a8),
            (0x1b8, &[1], Code::Unsupported, 0x1b8),
            (0x155, &[4], Code::Truncated, 0x154),
            (0x184, &[1], Code::Truncated, 0x184),
        ];
        for (at, bytes, code, offset) in cases {
            let found = refused(&patched(&usual(), &[(at, bytes)]));
            assert_eq!(found.first(), Some(&(code, offset)), "{at:#x}");
        }
    }

    #[test]
    fn a_map_that_would_take_much_memory_is_refused() {
        let bomb = patched(&usual(), &[(0x180, &[1, 0, 0x80, 0])]);
        assert_eq!(refused(&bomb), [(Code::TableTooLarge, 0x180), (Code::Truncated, 0x154)]);
        let largest = patched(&bomb, &[(0x180, &[0x80, 0xff, 0xff, 0x1f])]);
        assert_eq!(refused(&largest), refused(&bomb));
        let larger = patched(&bomb, &[(0x180, &[0x81, 0xff, 0xff, 0x1f])]);
        assert_eq!(refused(&larger).first(), Some(&(Code::Unsupported, 0x180)));
    }
}
