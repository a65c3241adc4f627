//! The feature bits, and the fields that go with them.

use super::super::bytes::Integers as _;
use super::super::report::Report;
use super::super::{Code, Features};
use super::header::{CRYPT_METHOD, Header};

const DIRTY: u64 = 1 << 0;
const CORRUPT: u64 = 1 << 1;
pub(super) const DATA_FILE: u64 = 1 << 2;
const COMPRESSION: u64 = 1 << 3;
pub(super) const EXTENDED_L2: u64 = 1 << 4;
const KNOWN: u64 = DIRTY | CORRUPT | DATA_FILE | COMPRESSION | EXTENDED_L2;

/// Autoclear: the bitmaps are up to date.
pub(super) const BITMAPS: u64 = 1 << 0;
/// Autoclear: the data file can be read as a raw image.
const RAW_DATA_FILE: u64 = 1 << 1;

const INCOMPATIBLE: u64 = 72;
const AUTOCLEAR: u64 = 88;
const COMPRESSION_TYPE: u64 = 104;

pub(super) fn check(header: &Header, fixed: &[u8], report: &mut Report<'_>) {
    if header.crypt_method > 2 {
        let message = format!("{} is no encryption that qemu knows", header.crypt_method);
        report.find(Code::Unsupported, CRYPT_METHOD, message);
    }
    if header.version < 3 {
        return;
    }
    let Header { incompatible, autoclear, .. } = *header;
    let unknown_incompatible = incompatible & !KNOWN;
    report.facts.dirty = incompatible & DIRTY != 0;
    report.facts.corrupt = incompatible & CORRUPT != 0;
    report.facts.features =
        Some(Features { incompatible, compatible: fixed.be64(80), autoclear, unknown_incompatible });
    if unknown_incompatible != 0 {
        let message = format!("it has features that no qemu up to 11.1 knows: bits {unknown_incompatible:#x}");
        report.find(Code::UnknownFeatures, INCOMPATIBLE, message);
    }
    if report.facts.corrupt {
        report.find(Code::Corrupt, INCOMPATIBLE, "it is marked as corrupt");
    }
    if incompatible & DATA_FILE != 0 {
        report.find(Code::DataFile, INCOMPATIBLE, "its data lies in another file");
    } else if autoclear & RAW_DATA_FILE != 0 {
        report.find(Code::Malformed, AUTOCLEAR, "it says that its data file is raw, and that it has none");
    }
    if incompatible & EXTENDED_L2 != 0 && header.cluster_size < 16 << 10 {
        let message = format!("its clusters of {} bytes are too small for subclusters", header.cluster_size);
        report.find(Code::Malformed, INCOMPATIBLE, message);
    }
    compression(header, fixed, report);
}

fn compression(header: &Header, fixed: &[u8], report: &mut Report<'_>) {
    let kind = match fixed.get(104) {
        Some(kind) if header.length > COMPRESSION_TYPE => *kind,
        _ => 0,
    };
    if kind > 1 {
        report.find(Code::Unsupported, COMPRESSION_TYPE, format!("{kind} is no compression that qemu knows"));
    } else if (kind != 0) != (header.incompatible & COMPRESSION != 0) {
        let message = "its compression type and the feature bit for it contradict each other";
        report.find(Code::Malformed, COMPRESSION_TYPE, message);
    }
}
