//! Hyper-V's second format. Source: MS-VHDX, and what `vhdx_open` of qemu refuses.

mod metadata;
mod regions;

use super::bytes::{Bytes, Integers as _, Stop};
use super::checksum::crc32c;
use super::report::Report;
use super::{Code, limits};

pub(super) const MAGIC: &[u8] = b"vhdxfile";

const HEADERS: [u64; 2] = [64 << 10, 128 << 10];
/// A header is checked as if it were as large.
const HEADER: usize = 4 << 10;
/// Everything in the file is placed in units of this.
const MIB: u64 = 1 << 20;

/// A part of the file: where it starts, how long it is.
type Part = (u64, u64);

pub(super) fn parse(bytes: &mut impl Bytes, report: &mut Report<'_>) -> Result<(), Stop> {
    let log = header(bytes, report)?;
    let regions = regions::read(bytes, report, log)?;
    // How much of the table is of interest the metadata says, and a stream passes by once.
    bytes.keep_scan(regions.table);
    let metadata = metadata::read(bytes, report, regions.metadata)?;
    table(bytes, report, &regions, &metadata)
}

/// Finds the header that is in force. Returns where the log is.
fn header(bytes: &mut impl Bytes, report: &mut Report<'_>) -> Result<Part, Stop> {
    let mut valid = Vec::with_capacity(2);
    for at in HEADERS {
        let header = bytes.at(at, HEADER)?.to_vec();
        if header.starts_with(b"head") && checked(&header) && header.le16(66) == 1 {
            valid.push((header.le64(8), at, header));
        }
    }
    // Of two, the newer one; if they are equally new, both must be the same, as Disk2vhd writes them.
    let twins =
        matches!(&valid[..], [(one, _, first), (two, _, second)] if one == two && first.get(..80) != second.get(..80));
    let Some((_, at, header)) = valid.into_iter().reduce(|one, two| if two.0 > one.0 { two } else { one }) else {
        return Err(report.broken(Code::Malformed, 64 << 10, "neither of its headers is valid"));
    };
    if twins {
        return Err(report.broken(Code::Malformed, at + 8, "its headers are equally new and not the same"));
    }
    report.facts.version = Some(header.le16(66).into());
    let log = (header.le64(72), u64::from(header.le32(68)));
    if header.le16(64) != 0 {
        return Err(report.broken(Code::Unsupported, at + 64, "its log is of a version that qemu cannot read"));
    }
    if log.0 < MIB || !log.0.is_multiple_of(MIB) || !log.1.is_multiple_of(MIB) {
        return Err(report.broken(
            Code::Malformed,
            at + 68,
            format!("its log of {} bytes at {} is misplaced", log.1, log.0),
        ));
    }
    report.facts.dirty = header.take::<16>(48) != [0; 16] && log.1 > 0;
    if report.facts.dirty {
        report.find(Code::Unsupported, at + 48, "it was not closed: its log must be replayed before it can be read");
    }
    Ok(log)
}

/// The block allocation table. qemu refuses an image with a block that is not inside the file, or inside something
/// else.
fn table(
    bytes: &mut impl Bytes,
    report: &mut Report<'_>,
    regions: &regions::Regions,
    metadata: &metadata::Metadata,
) -> Result<(), Stop> {
    let (size, block) = (metadata.size, metadata.block);
    let blocks = size.div_ceil(block);
    let chunk = (limits::SECTOR << 23) / block;
    let entries = blocks + blocks.saturating_sub(1) / chunk;
    report.facts.table_entries = Some(entries);
    if entries > regions.table.1 / 8 {
        let message = format!("its block allocation table of {} bytes is too small for {size} bytes", regions.table.1);
        return Err(report.broken(Code::Malformed, regions.table_at, message));
    }
    report.table("block allocation table", regions.table.1, regions.table_at);

    let (mut last, mut overlap, mut index) = ((0, regions.table.0), None, 0);
    bytes.scan((regions.table.0, entries * 8), |at, entry| {
        let (entry, payload) = (u64::from_le_bytes(entry), index % (chunk + 1) != chunk);
        index += 1;
        if payload && entry & 7 == 6 {
            let start = entry & !(MIB - 1);
            last = last.max((start, at));
            if regions.taken.iter().any(|part| overlaps(*part, (start, block))) {
                overlap = Some(at);
            }
        }
        overlap.is_none()
    })?;
    if let Some(at) = overlap {
        return Err(report.broken(Code::Malformed, at, "a block lies where something else is"));
    }
    // Of a last sector that is cut off, qemu reads the rest as zeros.
    let end = bytes.size()?;
    report.inside("block allocation table", regions.table, end, regions.table_at);
    if last.0 > 0 {
        report.inside("last block", (last.0, block), end, last.1);
    }
    Ok(())
}

fn overlaps((start, length): Part, (other, other_length): Part) -> bool {
    start < other.saturating_add(other_length) && other < start.saturating_add(length)
}

/// Whether the checksum is right.
fn checked(part: &[u8]) -> bool {
    checksum(part) == part.le32(4)
}

/// The checksum of a part, in which it stands at 4 and counts as zero.
fn checksum(part: &[u8]) -> u32 {
    let last = part.chunks(64).rposition(|chunk| chunk.iter().fold(0, |all, byte| all | byte) != 0);
    let length = last.map_or(0, |last| (last + 1) * 64);
    let (written, zeros) = part.split_at_checked(length).unwrap_or((part, &[]));
    let bytes = written.iter().enumerate().map(|(index, byte)| if matches!(index, 4..8) { 0 } else { *byte });
    crc32c(bytes, u32::try_from(zeros.len()).unwrap_or_default())
}

#[cfg(test)]
mod tests;
