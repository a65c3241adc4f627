//! The table of internal snapshots.

use super::super::bytes::{Bytes, Integers as _, Stop};
use super::super::report::Report;
use super::super::{Code, limits};
use super::header::{Header, SNAPSHOT_TABLE, Table};
use super::{Region, bounded, placed};

const ENTRY: usize = 40;
/// `QCOW_MAX_SNAPSHOT_EXTRA_DATA`.
const EXTRA: usize = 1024;

/// How much of the image to read for the table; nothing if there is none, or if it was found too large.
pub(super) fn length(header: &Header) -> usize {
    let count = header.snapshots.count;
    if count > limits::SNAPSHOTS { 0 } else { count as usize * limits::SNAPSHOT }
}

pub(super) fn read(
    bytes: &mut impl Bytes,
    header: &Header,
    report: &mut Report<'_>,
    regions: &mut Vec<Region>,
) -> Result<(), Stop> {
    let Table { start, count } = header.snapshots;
    let most = length(header);
    let table = bytes.at(start, most)?;
    let mut at: usize = 0;
    let mut l2_tables = header.l2_tables(header.l1);
    for _ in 0..count {
        at = at.next_multiple_of(8);
        let field = start.saturating_add(at as u64);
        let rest = table.get(at..).unwrap_or_default();
        let (l1, extra) = (Table { start: rest.be64(0), count: rest.be32(8) }, rest.be32(36) as usize);
        let length = ENTRY + extra.min(EXTRA) + usize::from(rest.be16(12)) + usize::from(rest.be16(14));
        if rest.len() < length {
            // Whether the bytes end because the image does, or because no more were asked for.
            let (code, message) = if table.len() < most {
                (Code::Truncated, "it ends within its snapshot table".to_owned())
            } else {
                (Code::TableTooLarge, format!("its snapshots have more than {} bytes each", limits::SNAPSHOT))
            };
            report.find(code, if at == 0 { SNAPSHOT_TABLE } else { field }, message);
            return Ok(());
        }
        if extra > EXTRA {
            report.find(Code::Malformed, field + 36, format!("a snapshot has {extra} bytes of extra data"));
            return Ok(());
        }
        let size = u64::from(l1.count) * 8;
        if l1.count > 0 && bounded("L1 table of a snapshot", size, limits::TABLE, field + 8, report) {
            placed("L1 table of a snapshot", l1.start, header.cluster_size, field, report);
            regions.push(Region { what: "L1 table of a snapshot", start: l1.start, length: size, field });
            let before = l2_tables;
            l2_tables += header.l2_tables(l1);
            if before <= limits::L2_TABLES {
                bounded("room for L2 tables of snapshots", l2_tables, limits::L2_TABLES, field + 8, report);
            }
        }
        // What a conversion of the snapshot would write.
        let disk = rest.be64(48);
        if extra >= 16 && disk > report.policy().max_virtual_size {
            let message = format!("the virtual size of a snapshot is {disk} bytes");
            report.find(Code::VirtualSizeTooLarge, field + 48, message);
        }
        at += length;
    }
    Ok(())
}
