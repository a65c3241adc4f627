//! LUKS, version 1 whole and version 2 by name. Source: the on-disk format's specification, and what
//! `qcrypto_block_luks_check_header` and `qcrypto_block_luks_parse_header` of qemu refuse.

use super::bytes::{Bytes, Integers as _, Stop};
use super::report::Report;
use super::{Code, ImageEncryption, Name, limits, nested};

pub(super) const MAGIC: &[u8] = b"LUKS\xba\xbe";
const SECTOR: u64 = 512;
const HEADER: usize = 592;
/// The first sector that is not the header's.
const AFTER_HEADER: u64 = 8;
const PAYLOAD_OFFSET: usize = 104;
const KEY_BYTES: usize = 108;
const MASTER_ITERATIONS: usize = 164;
const SLOTS: usize = 208;
const SLOT: usize = 48;
const ENABLED: u32 = 0x00ac_71f3;
const DISABLED: u32 = 0x0000_dead;
const STRIPES: u32 = 4000;

/// Cipher, and the lengths of its keys in bytes; XTS takes two keys.
const CIPHERS: &[(&[u8], &[u32])] = &[
    (b"aes", &[16, 24, 32]),
    (b"cast5", &[16]),
    (b"serpent", &[16, 24, 32]),
    (b"twofish", &[16, 24, 32]),
    (b"sm4", &[16]),
];
const MODES: &[&[u8]] = &[b"ecb", b"cbc", b"xts", b"ctr"];
const GENERATORS: &[&[u8]] = &[b"plain", b"plain64", b"essiv"];
const HASHES: &[&[u8]] = &[b"md5", b"sha1", b"sha224", b"sha256", b"sha384", b"sha512", b"ripemd160", b"sm3"];

/// A LUKS volume.
pub(super) fn parse(bytes: &mut impl Bytes, report: &mut Report<'_>) -> Result<(), Stop> {
    report.facts.version = bytes.array(6)?.map(u16::from_be_bytes).map(u32::from);
    if report.facts.version == Some(2) {
        report.facts.encryption = Some(ImageEncryption::Luks2);
        report.find(Code::Unsupported, 6, "version 2 of LUKS is not one that qemu can open");
        return Ok(());
    }
    let payload = header(bytes, 0, report)?;
    nested::look(bytes, payload, PAYLOAD_OFFSET as u64, report)?;
    let end = bytes.sectors_end()?;
    match end.checked_sub(payload) {
        Some(size) => report.size(size, PAYLOAD_OFFSET as u64),
        None => report.inside("header with its keys", (0, payload), end, PAYLOAD_OFFSET as u64),
    }
    Ok(())
}

/// The header of version 1 that stands at `start`, in a volume or within qcow2. Returns where the payload starts,
/// from there.
pub(super) fn header(bytes: &mut impl Bytes, start: u64, report: &mut Report<'_>) -> Result<u64, Stop> {
    report.facts.encryption = Some(ImageEncryption::Luks { cipher: None });
    let header = bytes.at(start, HEADER)?.to_vec();
    if header.len() < HEADER {
        report.find(Code::Truncated, start, "it ends within its LUKS header");
        return Err(Stop::Broken);
    }
    if !header.starts_with(MAGIC) || header.be16(6) != 1 {
        let code = if header.starts_with(MAGIC) { Code::Unsupported } else { Code::Malformed };
        report.find(code, start, "its LUKS header is not one of version 1");
        return Err(Stop::Broken);
    }
    cipher(&header, start, report);
    Ok(keys(&header, start, report))
}

/// A text of 32 bytes that a NUL ends.
fn text(header: &[u8], at: usize) -> Option<&[u8]> {
    let field = header.get(at..at + 32)?;
    field.split(|byte| *byte == 0).next().filter(|text| text.len() < field.len())
}

fn cipher(header: &[u8], start: u64, report: &mut Report<'_>) {
    let mut texts: [&[u8]; 3] = [b""; 3];
    for (at, slot) in [8, 40, 72].into_iter().zip(&mut texts) {
        match text(header, at) {
            Some(text) => *slot = text,
            None => return report.find(Code::Malformed, start + at as u64, "a name in its LUKS header has no end"),
        }
    }
    let [name, mode, hash] = texts;
    let names = texts.map(|text| Name::new(text).to_string());
    let mut parts = mode.splitn(2, |byte| *byte == b'-');
    let (mode, rest) = (parts.next().unwrap_or_default(), parts.next());
    let mut parts = rest.unwrap_or_default().splitn(2, |byte| *byte == b':');
    let (generator, generator_hash) = (parts.next().unwrap_or_default(), parts.next());
    let keys = if mode == b"xts" { 2 } else { 1 };
    let length = header.be32(KEY_BYTES);
    let fits = |(cipher, lengths): &(&[u8], &[u32])| {
        *cipher == name && length.is_multiple_of(keys) && lengths.contains(&(length / keys))
    };
    let message = |what: &str| format!("its LUKS {what} is not one that qemu knows: `{}`", names.join(" "));
    if !CIPHERS.iter().any(fits) {
        report.find(Code::Unsupported, start + 8, message(&format!("cipher with keys of {length} bytes")));
    }
    let known = match generator_hash {
        Some(hash) => HASHES.contains(&hash),
        None => generator != b"essiv",
    };
    if !MODES.contains(&mode) || !GENERATORS.contains(&generator) || !known {
        report.find(Code::Unsupported, start + 40, message("cipher mode"));
    }
    if !HASHES.contains(&hash) {
        report.find(Code::Unsupported, start + 72, message("hash"));
    }
    report.facts.encryption = Some(ImageEncryption::Luks { cipher: Some(names) });
}

/// Checks the slots of keys, and returns where the payload starts.
fn keys(header: &[u8], start: u64, report: &mut Report<'_>) -> u64 {
    let payload = u64::from(header.be32(PAYLOAD_OFFSET));
    if payload < AFTER_HEADER {
        report.find(Code::Malformed, start + PAYLOAD_OFFSET as u64, "its LUKS payload lies in the header");
    }
    let material = (u64::from(header.be32(KEY_BYTES)) * u64::from(STRIPES)).div_ceil(SECTOR);
    // Keys stand where the header could end too.
    let material = material.next_multiple_of(AFTER_HEADER);
    let mut iterations = u64::from(header.be32(MASTER_ITERATIONS));
    if iterations == 0 {
        report.find(Code::Malformed, start + MASTER_ITERATIONS as u64, "its LUKS master key has no iterations");
    }
    let mut used: Vec<u64> = Vec::new();
    for at in (SLOTS..HEADER).step_by(SLOT) {
        let offset = start + at as u64;
        let (active, count) = (header.be32(at), header.be32(at + 4));
        let (key, stripes) = (u64::from(header.be32(at + 40)), header.be32(at + 44));
        let wrong = if !matches!(active, ENABLED | DISABLED) {
            "is neither on nor off"
        } else if active == ENABLED && count == 0 {
            "has no iterations"
        } else if stripes != STRIPES {
            "has another number of stripes than 4000"
        } else if key < AFTER_HEADER || key + material > payload {
            "is not between header and payload"
        } else if used.iter().any(|other| key < other + material && *other < key + material) {
            "overlaps another one"
        } else {
            ""
        };
        if !wrong.is_empty() {
            report.find(Code::Malformed, offset, format!("a slot for a key in its LUKS header {wrong}"));
        }
        used.push(key);
        iterations += if active == ENABLED { u64::from(count) } else { 0 };
    }
    if iterations > limits::KEY_ITERATIONS {
        let message = format!("to find its LUKS key takes up to {iterations} rounds of a hash");
        report.find(Code::CostlyKey, start + MASTER_ITERATIONS as u64, message);
    }
    payload * SECTOR
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::super::Code::{self, *};
    use super::super::builder::Image;
    use super::super::{ImageEncryption, ImageFormat, Policy};

    fn image() -> Image {
        Image::luks()
    }

    #[test]
    fn the_payload_is_the_disk() {
        let inspection = image().inspected(&Policy::untrusted());
        assert_eq!((inspection.format(), inspection.virtual_size()), (ImageFormat::Luks, Some(512)));
        assert_eq!((inspection.facts().version, inspection.facts().cluster_size), (Some(1), None));
        // As qemu does.
        let mut odd = image();
        odd.bytes.push(0);
        assert_eq!(odd.inspected(&Policy::untrusted()).virtual_size(), Some(1024));
        assert_eq!(odd.cut(4040 * 512).inspected(&Policy::untrusted()).virtual_size(), Some(0));
    }

    #[test]
    fn what_qemu_knows_is_accepted() {
        for (cipher, mode, hash, length) in [
            ("aes", "cbc-essiv:sha256", "sha1", 32),
            ("serpent", "ecb-plain", "ripemd160", 16),
            ("twofish", "xts-plain64", "sha512", 48),
            ("cast5", "cbc-plain64", "md5", 16),
        ] {
            let image = with(cipher, mode, hash, length);
            assert_eq!(image.refused_for(), [], "{cipher} {mode} {hash}");
            let cipher = Some([cipher, mode, hash].map(str::to_owned));
            let facts = image.inspected(&Policy::untrusted()).facts().clone();
            assert_eq!(facts.encryption, Some(ImageEncryption::Luks { cipher }));
        }
    }

    fn with(cipher: &str, mode: &str, hash: &str, length: u32) -> Image {
        let image = image().put(8, &[0; 96]).put(8, cipher.as_bytes()).put(40, mode.as_bytes());
        image.put(72, hash.as_bytes()).be32(108, length)
    }

    #[test]
    fn each_field_is_checked() {
        let slot = 208 + 48;
        let cases: &[(Image, &[(Code, u64)])] = &[
            (image().cut(591), &[(Truncated, 0)]),
            (image().cut(4039 * 512), &[(Truncated, 104)]),
            (image().put(7, &[3]), &[(Unsupported, 0)]),
            (image().put(8, &[b'a'; 32]), &[(Malformed, 8)]),
            (image().put(8, b"rot"), &[(Unsupported, 8)]),
            (image().be32(108, 17), &[(Unsupported, 8)]),
            (image().put(40, b"xts+plain64"), &[(Unsupported, 8), (Unsupported, 40)]),
            (image().put(40, b"xts-essiv\0\0"), &[(Unsupported, 40)]),
            (image().put(40, b"xts-essiv:x"), &[(Unsupported, 40)]),
            (image().put(40, b"xyz-plain64"), &[(Unsupported, 8), (Unsupported, 40)]),
            (image().put(72, b"sha257"), &[(Unsupported, 72)]),
            (image().be32(164, 0), &[(Malformed, 164)]),
            (image().be32(164, u32::MAX), &[(CostlyKey, 164)]),
            (image().be32(212, 300_000_000), &[(CostlyKey, 164)]),
            (image().be32(slot, 1), &[(Malformed, slot as u64)]),
            (image().be32(slot, 0x00ac_71f3), &[(Malformed, slot as u64)]),
            (image().be32(slot + 44, 4001), &[(Malformed, slot as u64)]),
            (image().be32(slot + 40, 7), &[(Malformed, slot as u64)]),
            (image().be32(slot + 40, 4000), &[(Malformed, slot as u64), (Malformed, 544)]),
            (image().be32(slot + 40, 511), &[(Malformed, slot as u64)]),
            (image().put(4040 * 512, b"QFI\xfb"), &[(NestedFormat, 104)]),
            (image().put(4040 * 512 + 64, b"\x7f\x10\xda\xbe"), &[(NestedFormat, 104)]),
        ];
        for (index, (image, expected)) in cases.iter().enumerate() {
            assert_eq!(image.refused_for(), *expected, "{index}");
        }
        let mut overlapping = image().be32(104, 7).refused_for();
        assert_eq!(overlapping.remove(0), (Malformed, 104));
        assert_eq!(overlapping.len(), 8);
    }

    #[test]
    fn version_2_is_told_apart() {
        let inspection = image().put(7, &[2]).inspected(&Policy::untrusted());
        assert_eq!(inspection.format(), ImageFormat::Luks2);
        assert_eq!(inspection.facts().encryption, Some(ImageEncryption::Luks2));
        assert_eq!(inspection.findings()[0].code, Unsupported);
    }
}
