//! qcow, version 1. Source: what `qcow_open` of qemu refuses.

use super::bytes::{Bytes, Integers as _, Stop};
use super::report::Report;
use super::{Code, ImageEncryption, Name, limits};

const HEADER: usize = 48;
const BACKING_FILE: u64 = 8;
const BACKING_FILE_SIZE: u64 = 16;
const SIZE: u64 = 24;
const CLUSTER_BITS: u64 = 32;
const L2_BITS: u64 = 33;
const CRYPT_METHOD: u64 = 36;
const L1_TABLE: u64 = 40;

pub(super) fn parse(bytes: &mut impl Bytes, report: &mut Report<'_>) -> Result<(), Stop> {
    let Some(header) = bytes.array::<HEADER>(0)? else {
        report.find(Code::Truncated, 0, "it ends within its header");
        return Err(Stop::Broken);
    };
    report.facts.version = Some(header.be32(4));
    let (backing, length) = (header.be64(8), header.be32(16));
    if backing != 0 && length != 0 {
        let message = format!("it has a backing file, whose name of {length} bytes stands at {backing}");
        report.find(Code::BackingFile, BACKING_FILE, message);
    }
    match header.be32(36) {
        0 => {}
        1 => report.facts.encryption = Some(ImageEncryption::Aes),
        other => report.find(Code::Unsupported, CRYPT_METHOD, format!("{other} is no encryption that qemu knows")),
    }
    let [cluster_bits, l2_bits] = header.take(32);
    let size = header.be64(24);
    if size <= 1 {
        report.find(Code::Malformed, SIZE, "its virtual size is less than two bytes");
    }
    report.size(size & !511, SIZE);
    if !(9..=16).contains(&cluster_bits) || !(6..=13).contains(&l2_bits) {
        let (field, what) =
            if (9..=16).contains(&cluster_bits) { (L2_BITS, "L2 table") } else { (CLUSTER_BITS, "cluster") };
        report.find(Code::Malformed, field, format!("the size of its {what}s is not between 512 bytes and 64 KiB"));
        return Err(Stop::Broken);
    }
    report.facts.cluster_size = Some(1 << cluster_bits);
    let entries = size.div_ceil(1 << (cluster_bits + l2_bits));
    report.facts.table_entries = Some(entries);
    let table = entries.saturating_mul(8);
    report.table("L1 table", table, SIZE);
    if backing != 0 && length as usize > limits::NAME {
        report.find(Code::Malformed, BACKING_FILE_SIZE, format!("the name of its backing file is {length} bytes long"));
    } else if backing != 0 && length != 0 {
        let name = Name::terminated(bytes.at(backing, length as usize)?);
        report.facts.backing_file = (!name.as_bytes().is_empty()).then_some(name);
    }
    let end = bytes.size()?;
    report.inside("L1 table", (header.be64(40), table), end, L1_TABLE);
    Ok(())
}
