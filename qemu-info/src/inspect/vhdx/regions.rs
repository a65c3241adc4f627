//! What parts the file has.

use super::{Bytes, Code, Part, Report, Stop, checked, limits, overlaps};
use crate::inspect::bytes::Integers as _;

const AT: u64 = 192 << 10;
const TABLE: usize = 64 << 10;
const ENTRIES: u32 = 2047;
/// The region is known to be there; whoever does not know it must not open the image.
const REQUIRED: u32 = 1;

const BLOCK_ALLOCATION: [u8; 16] = 0x2dc2_7766_f623_4200_9d64_115e_9bfd_4a08_u128.to_be_bytes();
const METADATA: [u8; 16] = 0x8b7c_a206_4790_4b9a_b8fe_575f_050f_886e_u128.to_be_bytes();

pub(super) struct Regions {
    /// The block allocation table.
    pub(super) table: Part,
    /// Where its length stands.
    pub(super) table_at: u64,
    pub(super) metadata: Part,
    /// Where no block may lie.
    pub(super) taken: Vec<Part>,
}

pub(super) fn read(bytes: &mut impl Bytes, report: &mut Report<'_>, log: Part) -> Result<Regions, Stop> {
    let header = bytes.at(AT, TABLE)?;
    if !header.starts_with(b"regi") || !checked(header) {
        return Err(report.broken(Code::Malformed, AT, "its region table is not valid"));
    }
    let count = header.le32(8);
    if count > ENTRIES {
        return Err(report.broken(Code::Malformed, AT + 8, format!("its region table has {count} entries")));
    }
    if count > limits::REGIONS {
        let message = format!("it has {count} regions, more than {}", limits::REGIONS);
        return Err(report.broken(Code::TableTooLarge, AT + 8, message));
    }
    let mut taken = vec![log];
    let (mut table, mut metadata) = (None, None);
    for index in 0..count as usize {
        let at = 16 + index * 32;
        let offset = AT + at as u64;
        let region = (header.le64(at + 16), u64::from(header.le32(at + 24)));
        if region.0.checked_add(region.1).is_none_or(|end| end > limits::OFFSET)
            || taken.iter().any(|part| overlaps(*part, region))
        {
            return Err(report.broken(Code::Malformed, offset + 16, "a region lies where something else is"));
        }
        taken.push(region);
        let known = match format_guid(header.take(at)) {
            BLOCK_ALLOCATION => &mut table,
            METADATA => &mut metadata,
            _ if header.le32(at + 28) & REQUIRED != 0 => {
                return Err(report.broken(
                    Code::UnknownFeatures,
                    offset,
                    "it has an unknown region that must be known",
                ));
            }
            _ => continue,
        };
        if known.replace((region, offset + 24)).is_some() {
            return Err(report.broken(Code::Malformed, offset, "it has a region twice"));
        }
    }
    match (table, metadata) {
        (Some((table, table_at)), Some((metadata, _))) => Ok(Regions { table, table_at, metadata, taken }),
        _ => Err(report.broken(Code::Malformed, AT, "it has no block allocation table, or no metadata")),
    }
}

/// The bytes of a GUID in the order in which it is written.
pub(super) fn format_guid(bytes: [u8; 16]) -> [u8; 16] {
    let [a, b, c, d, e, f, g, h, rest @ ..] = bytes;
    let [i, j, k, l, m, n, o, p] = rest;
    [d, c, b, a, f, e, h, g, i, j, k, l, m, n, o, p]
}
