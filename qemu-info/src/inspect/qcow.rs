//! qcow, version 1. Source: what `qcow_open` of qemu refuses.

use super::bytes::{Bytes, Integers as _, Stop};
use super::report::Report;
use super::{Code, ImageEncryption, Name, limits, nested};

const HEADER: usize = 48;
const BACKING_FILE: u64 = 8;
const BACKING_FILE_SIZE: u64 = 16;
const SIZE: u64 = 24;
const CLUSTER_BITS: u64 = 32;
const L2_BITS: u64 = 33;
const CRYPT_METHOD: u64 = 36;
const L1_TABLE: u64 = 40;

/// In an entry of an L2 table. Of a compressed cluster nothing is read that is missing: it does not unpack without it.
const COMPRESSED: u64 = 1 << 63;

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
    let l1 = (header.be64(40), table);
    bytes.keep_scan(l1);
    if backing != 0 && length as usize > limits::NAME {
        report.find(Code::Malformed, BACKING_FILE_SIZE, format!("the name of its backing file is {length} bytes long"));
    } else if backing != 0 && length != 0 {
        let name = Name::terminated(bytes.at(backing, length as usize)?);
        report.facts.backing_file = (!name.as_bytes().is_empty()).then_some(name);
    }
    if header.be32(36) == 1 && entries > 0 {
        first_cluster(bytes, l1.0, report)?;
    }
    let last = last_parts(bytes, l1, 8 << l2_bits, 1 << cluster_bits)?;
    let end = bytes.size()?;
    if backing != 0 {
        report.inside("backing file's name", (backing, length.into()), end, BACKING_FILE);
    }
    report.inside("L1 table", l1, end, L1_TABLE);
    for (what, part, field) in last {
        report.inside(what, part, end, field);
    }
    Ok(())
}

fn first_cluster(bytes: &mut impl Bytes, l1: u64, report: &mut Report<'_>) -> Result<(), Stop> {
    let mut entry = |start: u64| bytes.array::<8>(start).map(|entry| entry.map_or(0, u64::from_be_bytes));
    let l2 = entry(l1)?;
    let cluster = if l2 == 0 { 0 } else { entry(l2)? };
    if cluster != 0 && cluster & COMPRESSED == 0 {
        nested::look(bytes, cluster, l2, report)?;
    }
    Ok(())
}

/// A part of the image, and where it is said that it is one.
type Part = (&'static str, (u64, u64), u64);

/// The last L2 table and the last cluster in it: an image grows at its end. `table` and `cluster` are their lengths.
///
/// qemu has no check for qcow, and what is missing of an image it reads as zeros.
fn last_parts(bytes: &mut impl Bytes, l1: (u64, u64), table: u64, cluster: u64) -> Result<Vec<Part>, Stop> {
    let Some((start, field)) = last_entry(bytes, l1)? else { return Ok(Vec::new()) };
    let mut parts = vec![("last L2 table", (start, table), field)];
    if let Some((at, field)) = last_entry(bytes, (start, table))? {
        parts.push(("last cluster", (at, cluster), field));
    }
    Ok(parts)
}

/// The entry of a table that leads farthest into the file: to where, and where it stands.
fn last_entry(bytes: &mut impl Bytes, table: (u64, u64)) -> Result<Option<(u64, u64)>, Stop> {
    let mut last = None;
    bytes.scan(table, |at, entry| {
        let start = u64::from_be_bytes(entry);
        if start != 0 && start & COMPRESSED == 0 {
            last = last.max(Some((start, at)));
        }
        true
    })?;
    Ok(last)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::Code::{self, *};
    use super::super::builder::Image;
    use super::super::{ImageEncryption, ImageFormat, Policy};

    fn image() -> Image {
        Image::qcow()
    }

    #[test]
    fn facts_are_what_the_header_says() {
        let mut image = image().be32(36, 1).be64(24, (1 << 30) - 1).be64(8, 48 + 4096).be32(16, 3);
        image.bytes.extend(b"a\0b");
        let inspection = image.inspected(&Policy::untrusted().grant(BackingFile));
        assert_eq!((inspection.format(), inspection.findings().len()), (ImageFormat::Qcow, 0));
        assert_eq!(inspection.virtual_size(), Some((1 << 30) - 512));
        let facts = inspection.facts();
        assert_eq!((facts.version, facts.cluster_size, facts.table_entries), (Some(1), Some(4096), Some(512)));
        assert_eq!(facts.encryption, Some(ImageEncryption::Aes));
        assert_eq!(facts.backing_file.as_ref().unwrap().as_bytes(), b"a");
    }

    /// With an L2 table in the third cluster, and the cluster behind it.
    fn allocated() -> Image {
        let mut image = image().be64(48 + 16, 2 * 4096);
        image.bytes.resize(4 * 4096, 0);
        image.be64(2 * 4096 + 8, 3 * 4096)
    }

    #[test]
    fn what_should_be_ciphertext_and_is_not_is_found() {
        let first = allocated().be64(48, 2 * 4096).be64(2 * 4096, 3 * 4096).put(3 * 4096, b"QFI\xfb");
        assert_eq!(first.refused_for(), []);
        assert_eq!(first.clone().be32(36, 1).refused_for(), [(NestedFormat, 2 * 4096)]);
        for (at, none) in [(48, 0), (2 * 4096, 0), (2 * 4096, (1 << 63) + 3 * 4096)] {
            assert_eq!(first.clone().be32(36, 1).be64(at, none).refused_for(), [], "{at}");
        }
    }

    #[test]
    fn each_field_is_checked() {
        let cases: &[(Image, &[(Code, u64)])] = &[
            (image(), &[]),
            (image().be32(16, u32::MAX), &[]),
            (image().cut(47), &[(Truncated, 0)]),
            (image().cut(48 + 4095), &[(Truncated, 40)]),
            (image().be64(8, 2048).be32(16, 3), &[(BackingFile, 8)]),
            (image().be64(8, u64::MAX), &[(Truncated, 8)]),
            (image().be64(8, 2048).be32(16, 1024), &[(BackingFile, 8), (Malformed, 16)]),
            (image().be64(24, 1), &[(Malformed, 24)]),
            (image().be64(24, u64::MAX), &[(VirtualSizeTooLarge, 24), (TableTooLarge, 24), (Truncated, 40)]),
            (image().be64(24, 16 << 40), &[(TableTooLarge, 24), (Truncated, 40)]),
            (image().put(32, &[8]), &[(Malformed, 32)]),
            (image().put(32, &[17]), &[(Malformed, 32)]),
            (image().put(33, &[5]), &[(Malformed, 33)]),
            (image().put(33, &[14]), &[(Malformed, 33)]),
            (image().be32(36, 2), &[(Unsupported, 36)]),
            (image().be64(40, u64::MAX), &[(Truncated, 40)]),
            (allocated(), &[]),
            (allocated().cut(4 * 4096 - 1), &[(Truncated, 2 * 4096 + 8)]),
            (allocated().cut(3 * 4096 - 1), &[(Truncated, 48 + 16), (Truncated, 2 * 4096 + 8)]),
            // It starts before the end, and is compressed: qemu-img notices what is missing.
            (allocated().be64(2 * 4096 + 8, (1 << 63) + 3 * 4096).cut(4 * 4096 - 1), &[]),
        ];
        for (index, (image, expected)) in cases.iter().enumerate() {
            assert_eq!(image.refused_for(), *expected, "{index}");
        }
    }
}
