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
    if backing != 0 {
        report.inside("backing file's name", (backing, length.into()), end, BACKING_FILE);
    }
    report.inside("L1 table", (header.be64(40), table), end, L1_TABLE);
    Ok(())
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
        let image = image().be32(36, 1).be64(24, (1 << 30) - 1).be64(8, 2048).be32(16, 3).put(2048, b"a\0b");
        let inspection = image.inspected(&Policy::untrusted().grant(BackingFile));
        assert_eq!((inspection.format(), inspection.findings().len()), (ImageFormat::Qcow, 0));
        assert_eq!(inspection.virtual_size(), Some((1 << 30) - 512));
        let facts = inspection.facts();
        assert_eq!((facts.version, facts.cluster_size, facts.table_entries), (Some(1), Some(4096), Some(512)));
        assert_eq!(facts.encryption, Some(ImageEncryption::Aes));
        assert_eq!(facts.backing_file.as_ref().unwrap().as_bytes(), b"a");
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
        ];
        for (index, (image, expected)) in cases.iter().enumerate() {
            assert_eq!(image.refused_for(), *expected, "{index}");
        }
    }
}
