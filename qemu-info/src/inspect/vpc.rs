//! Hyper-V's first format (VHD). Source: what `vpc_open` of qemu refuses, and how it finds the virtual size.

use std::ops::Range;

use super::bytes::{Bytes, Integers as _, Stop};
use super::report::Report;
use super::{Code, Name, limits};

pub(super) const MAGIC: &[u8] = b"conectix";
/// The footer is one sector, and stands at the end; dynamic images have a copy at the start.
pub(super) const FOOTER: u64 = 512;

/// The largest geometry: 65,535 cylinders, 16 heads, 255 sectors a track. It says nothing about the size.
const LARGEST_GEOMETRY: u64 = 65_535 * 16 * 255;
/// 2,040 GiB.
const SECTORS: u64 = 0xff00_0000;
/// Whose size is what the geometry says: Virtual PC, and qemu without `force_size`. Up to 7.2, qemu took the geometry
/// of everyone whom it did not know for it, Azure and VirtualBox among them.
const ROUNDED: [&[u8]; 2] = [b"vpc ", b"qemu"];

/// An image with a footer at its start.
pub(super) fn parse(bytes: &mut impl Bytes, report: &mut Report<'_>) -> Result<(), Stop> {
    let footer = bytes.at(0, FOOTER as usize)?.to_vec();
    let size = footer_says(&footer, 0, report)?;
    // To qemu it is dynamic whatever its type is.
    let (kind, differs) = match footer.be32(60) {
        3 => ("dynamic", false),
        4 => ("differencing", true),
        other => {
            return Err(report.broken(Code::Malformed, 60, format!("it starts with a footer, but is of type {other}")));
        }
    };
    report.facts.subformat = Some(kind.into());

    let at = footer.be64(16);
    let header = bytes.at(at, 1024)?.to_vec();
    if !header.starts_with(b"cxsparse") {
        return Err(report.broken(Code::Malformed, 16, format!("there is no dynamic disk header at {at}")));
    }
    if differs {
        parent(report, &header, at);
    }
    let block = header.be32(32);
    if !block.is_power_of_two() || block < 512 {
        return Err(report.broken(Code::Malformed, at + 32, format!("its block size is {block} bytes")));
    }
    let block = u64::from(block);
    report.facts.cluster_size = Some(block);
    let entries = u64::from(header.be32(28));
    report.facts.table_entries = Some(entries);
    if entries > SECTORS * limits::SECTOR / block || entries * block < size {
        let message = format!("its block allocation table has {entries} entries, for {size} bytes");
        return Err(report.broken(Code::Malformed, at + 28, message));
    }
    report.table("block allocation table", entries * 4, at + 28);

    // qemu refuses an image that ends before the last block. Of a sector that is cut off, it reads the rest as zeros.
    let table = (header.be64(16), entries * 4);
    let bitmap = (block / (8 * limits::SECTOR)).next_multiple_of(limits::SECTOR);
    let mut last = None;
    bytes.scan(table, |at, entry| {
        let sector = u32::from_be_bytes(entry);
        if sector != u32::MAX {
            last = last.max(Some((u64::from(sector) * limits::SECTOR, at)));
        }
        true
    })?;
    let size = bytes.size()?;
    report.inside("block allocation table", table, size, at + 16);
    if let Some((start, field)) = last {
        report.inside("last block", (start, bitmap + block), size, field);
    }
    Ok(())
}

/// Which bytes of a footer say what the disk is: where the header is, who wrote it, size, geometry and type.
const DECISIVE: [Range<usize>; 3] = [16..24, 28..32, 48..64];

/// The footer at the end of an image that starts with one: who reads that one must see the same disk.
pub(super) fn check_copy(bytes: &mut impl Bytes, at: u64, report: &mut Report<'_>) -> Result<(), Stop> {
    let first = bytes.at(0, FOOTER as usize)?.to_vec();
    let last = bytes.at(at, FOOTER as usize)?;
    let other = DECISIVE.into_iter().find(|part| first.get(part.clone()) != last.get(part.clone()));
    if let Some(part) = other {
        report.find(
            Code::Malformed,
            at + part.start as u64,
            "the footer at its end says something else than the one at its start",
        );
    }
    Ok(())
}

/// An image with its footer at the end only: the disk, and nothing else before it.
pub(super) fn parse_fixed(bytes: &mut impl Bytes, at: u64, report: &mut Report<'_>) -> Result<(), Stop> {
    let footer = bytes.at(at, FOOTER as usize)?.to_vec();
    let kind = footer.be32(60);
    if kind != 2 {
        let message = format!("it has a footer of type {kind}, which is not that of a fixed image, at its end only");
        return Err(report.broken(Code::Malformed, at + 60, message));
    }
    report.facts.subformat = Some("fixed".into());
    let size = footer_says(&footer, at, report)?;
    report.inside("disk", (0, size), at, at + 48);
    Ok(())
}

/// What every footer says. Returns the virtual size.
fn footer_says(footer: &[u8], at: u64, report: &mut Report<'_>) -> Result<u64, Stop> {
    let sum = |sum: u32, byte: &u8| sum.wrapping_add(u32::from(*byte));
    let all = footer.iter().fold(0, sum);
    let checksum = !all.wrapping_sub(footer.take::<4>(64).iter().fold(0, sum));
    if checksum != footer.be32(64) {
        return Err(report.broken(Code::Malformed, at + 64, "its footer's checksum is wrong"));
    }
    report.facts.version = Some(footer.be32(12) >> 16);
    let [heads, track] = footer.take(58);
    let geometry = u64::from(footer.be16(56)) * u64::from(heads) * u64::from(track);
    let exact = geometry == LARGEST_GEOMETRY || !ROUNDED.contains(&&footer.take::<4>(28)[..]);
    let (sectors, field) = if exact { (footer.be64(48) / limits::SECTOR, 48) } else { (geometry, 56) };
    if sectors > SECTORS {
        return Err(report.broken(
            Code::Unsupported,
            at + field,
            format!("it has {sectors} sectors, more than {SECTORS}"),
        ));
    }
    report.size(sectors * limits::SECTOR, at + field);
    Ok(sectors * limits::SECTOR)
}

fn parent(report: &mut Report<'_>, header: &[u8], at: u64) {
    let name = header.get(64..576).unwrap_or_default().as_chunks().0.iter().map(|unit| u16::from_be_bytes(*unit));
    let name: String =
        char::decode_utf16(name.take_while(|unit| *unit != 0)).map(|c| c.unwrap_or('\u{fffd}')).collect();
    let name = Name::new(name.as_bytes());
    report.find(Code::BackingFile, at + 64, format!("it is the child of `{name}`"));
    report.facts.backing_file = Some(name);
}

#[cfg(test)]
mod tests;
