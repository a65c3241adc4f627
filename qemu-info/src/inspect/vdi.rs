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
const BLOCKS: u64 = i32::MAX as u64 / 4;

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
    let end = bytes.sectors_end()?;
    report.inside("block map", map, end, 0x154);
    Ok(())
}
