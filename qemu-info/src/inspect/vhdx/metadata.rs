//! What the disk is like.

use super::regions::format_guid;
use super::{Bytes, Code, Part, Report, Stop, limits};
use crate::inspect::bytes::Integers as _;

/// What stands in front of the entries of the table.
const HEADER: usize = 32;
const ENTRY: usize = 32;
/// The room for the table.
const TABLE: usize = 64 << 10;
const ENTRIES: u16 = 2047;
const REQUIRED: u32 = 4;

/// The items, in the order of [`ITEMS`].
const PARAMETERS: usize = 0;
const SIZE: usize = 1;
const SECTOR: usize = 3;
const PARENT: usize = 5;

/// File parameters, virtual disk size, page 83 data, logical and physical sector size, parent locator.
pub(super) const ITEMS: [u128; 6] = [
    0xcaa1_6737_fa36_4d43_b3b6_33f0_aa44_e76b,
    0x2fa5_4224_cd1b_4876_b211_5dbe_d83b_f4b8,
    0xbeca_12ab_b2e6_4523_93ef_c309_e000_c746,
    0x8141_bf1d_a96f_4709_ba47_f233_a8fa_ab5f,
    0xcda3_48c7_445d_4471_9cc9_e988_5251_c556,
    0xa8d3_5f2d_b30b_454d_abf7_d3d8_4834_ab0c,
];

pub(super) struct Metadata {
    pub(super) size: u64,
    pub(super) block: u64,
}

pub(super) fn read(bytes: &mut impl Bytes, report: &mut Report<'_>, region: Part) -> Result<Metadata, Stop> {
    let items = items(bytes, report, region.0)?;
    // They are read in qemu's order, and may pass by in any.
    for at in [PARAMETERS, SIZE, SECTOR].into_iter().filter_map(|index| items.get(index).copied().flatten()) {
        bytes.keep(at, 8);
    }
    let mut item = |index: usize| -> Result<(u64, [u8; 8]), Stop> {
        let at = items.get(index).copied().flatten().unwrap_or_default();
        // What lies behind the end of the file reads as zero, as it does for qemu.
        Ok((at, bytes.at(at, 8)?.take(0)))
    };
    let (parameters_at, parameters) = item(PARAMETERS)?;
    let block = u64::from(parameters.le32(0));
    let flags = parameters.le32(4);
    report.facts.subformat = Some(
        if flags & 2 != 0 {
            "differencing"
        } else if flags & 1 != 0 {
            "fixed"
        } else {
            "dynamic"
        }
        .into(),
    );
    if flags & 2 != 0 {
        return Err(report.broken(Code::Unsupported, parameters_at + 4, "it has a parent: qemu opens no child images"));
    }
    if !block.is_power_of_two() || !(1 << 20..=256 << 20).contains(&block) {
        return Err(report.broken(Code::Malformed, parameters_at, format!("its block size is {block} bytes")));
    }
    report.facts.cluster_size = Some(block);
    let (sector_at, sector) = item(SECTOR)?;
    let sector = u64::from(sector.le32(0));
    if sector != limits::SECTOR {
        let code = if sector == 4096 { Code::Unsupported } else { Code::Malformed };
        return Err(report.broken(code, sector_at, format!("its sector size is {sector} bytes, not 512")));
    }
    let (size_at, size) = item(SIZE)?;
    let size = size.le64(0);
    if size == 0 || size > limits::OFFSET || !size.is_multiple_of(sector) {
        return Err(report.broken(Code::Malformed, size_at, format!("its virtual size is {size} bytes")));
    }
    report.size(size, size_at);
    Ok(Metadata { size, block })
}

/// Where each known item is.
fn items(bytes: &mut impl Bytes, report: &mut Report<'_>, start: u64) -> Result<[Option<u64>; 6], Stop> {
    bytes.keep(start, TABLE);
    let header = bytes.at(start, HEADER)?;
    let count = header.le16(10);
    if !header.starts_with(b"metadata") || count > ENTRIES {
        return Err(report.broken(Code::Malformed, start, "its metadata table is not valid"));
    }
    // Mostly five of 2,047, whose room alone takes as long to read as everything else.
    let table = bytes.at(start, HEADER + usize::from(count) * ENTRY)?;
    let mut items = [None; 6];
    for index in 0..usize::from(count) {
        let at = HEADER + index * ENTRY;
        let offset = start + at as u64;
        let id = u128::from_be_bytes(format_guid(table.take(at)));
        match ITEMS.iter().zip(&mut items).find(|(known, _)| **known == id) {
            Some((_, Some(_))) => return Err(report.broken(Code::Malformed, offset, "it has a metadata item twice")),
            Some((_, item)) => *item = Some(start + u64::from(table.le32(at + 16))),
            None if table.le32(at + 24) & REQUIRED != 0 => {
                return Err(report.broken(
                    Code::UnknownFeatures,
                    offset,
                    "it has an unknown metadata item that must be known",
                ));
            }
            None => {}
        }
    }
    if items.last().is_some_and(Option::is_some) {
        let message = "it has a parent locator: qemu opens no child images";
        return Err(report.broken(Code::Unsupported, start, message));
    }
    match items.get(..PARENT) {
        Some(required) if required.iter().all(Option::is_some) => Ok(items),
        _ => Err(report.broken(Code::Malformed, start, "it lacks a metadata item")),
    }
}
