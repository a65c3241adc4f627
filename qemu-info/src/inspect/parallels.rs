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
    report.facts.cluster_size = Some(u64::from(cluster) * limits::SECTOR);

    let sectors = if header.starts_with(MAGIC) { header.le32(36).into() } else { header.le64(36) };
    let Some(size) = limits::in_sectors(sectors) else {
        return Err(report.broken(Code::Malformed, 36, format!("its virtual size is {sectors} sectors")));
    };
    report.size(size, 36);
    let entries = u64::from(header.le32(32));
    report.facts.table_entries = Some(entries);
    report.table("block allocation table", entries * 4, 32);
    if header.le64(56) != 0 {
        extension(bytes, report, &header)?;
    }
    let end = bytes.sectors_end()?;
    report.inside("block allocation table", (64, entries * 4), end, 32);
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
