//! A target for each format: its magic stands where it belongs, whatever the input has there, so that its parser is
//! what sees the rest.

use qemu_info::inspect::{Code, Facts, ImageFormat, Inspection, Policy, Verdict, inspect};

use crate::bounds::in_time;
use crate::image::Image;

const CLOOP: &[u8] = b"#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0 && mount -r -t iso9660 /dev/cloop $1\n";
const CRC: [u32; 256] = {
    let (mut table, mut byte) = ([0; 256], 0);
    while byte < 256 {
        let (mut crc, mut bit) = (byte as u32, 0);
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

pub(crate) fn qcow2(input: &[u8]) {
    let mut image = Image::new(input);
    image.put(0, b"QFI\xfb");
    // Version 1 is qcow.
    if image.bytes(4) == 1_u32.to_be_bytes() {
        image.put(4, &3_u32.to_be_bytes());
    }
    holds(&image, &[ImageFormat::Qcow2]);
}

pub(crate) fn qcow(input: &[u8]) {
    with(input, &[(0, b"QFI\xfb\0\0\0\x01")], &[ImageFormat::Qcow]);
}

pub(crate) fn luks(input: &[u8]) {
    with(input, &[(0, b"LUKS\xba\xbe\0")], &[ImageFormat::Luks, ImageFormat::Luks2]);
}

pub(crate) fn vmdk(input: &[u8]) {
    let mut image = Image::new(input);
    let magics: [&[u8]; 3] = [b"KDMV", b"COWD", &0xcafe_babe_u64.to_le_bytes()];
    let first: [u8; 8] = image.bytes(0);
    // A descriptor starts with a comment.
    if first[0] != b'#' && !magics.iter().any(|magic| first.starts_with(magic)) {
        image.put(0, b"KDMV");
    }
    if first[0] == b'#' {
        image.put(0, b"# Disk DescriptorFile");
    }
    holds(&image, &[ImageFormat::Vmdk]);
}

pub(crate) fn vdi(input: &[u8]) {
    with(input, &[(0x40, &0xbeda_107f_u32.to_le_bytes())], &[ImageFormat::Vdi]);
}

pub(crate) fn vhdx(input: &[u8]) {
    let mut image = Image::new(input);
    image.put(0, b"vhdxfile");
    for (at, magic, length) in
        [(64 << 10, b"head", 4 << 10), (128 << 10, b"head", 4 << 10), (192 << 10, b"regi", 64 << 10)]
    {
        image.put(at, magic);
        // A checksum that the input leaves out is filled in.
        if image.bytes(at + 4) == [0; 4] {
            let mut part = vec![0; length];
            image.copy(at, &mut part);
            let crc = !part.iter().fold(!0, |crc: u32, byte| CRC[(crc as u8 ^ byte) as usize] ^ (crc >> 8));
            image.put(at + 4, &crc.to_le_bytes());
        }
    }
    holds(&image, &[ImageFormat::Vhdx]);
}

pub(crate) fn vpc(input: &[u8]) {
    let mut image = Image::new(input);
    // The footer stands at the start or, of a fixed image, at the end only.
    let at = if image.bytes(60) == 2_u32.to_be_bytes() { image.size().max(1024) - 512 } else { 0 };
    if at > 0 {
        let footer: [u8; 512] = image.bytes(0);
        image.put(at, &footer);
        image.put(0, &[0; 8]);
    }
    image.put(at, b"conectix");
    if image.bytes(at + 64) == [0; 4] {
        let sum = image.bytes::<512>(at).iter().map(|byte| u32::from(*byte)).sum::<u32>();
        image.put(at + 64, &(!sum).to_be_bytes());
    }
    holds(&image, &[ImageFormat::Vpc]);
}

pub(crate) fn qed(input: &[u8]) {
    with(input, &[(0, b"QED\0")], &[ImageFormat::Qed]);
}

pub(crate) fn parallels(input: &[u8]) {
    let mut image = Image::new(input);
    if image.bytes(0) != *b"WithouFreSpacExt" {
        image.put(0, b"WithoutFreeSpace");
    }
    holds(&image, &[ImageFormat::Parallels]);
}

pub(crate) fn bochs(input: &[u8]) {
    let texts: [(u64, &[u8]); 3] = [(0, b"Bochs Virtual HD Image\0"), (32, b"Redolog\0"), (48, b"Growing\0")];
    with(input, &texts, &[ImageFormat::Bochs]);
}

pub(crate) fn cloop(input: &[u8]) {
    with(input, &[(0, CLOOP)], &[ImageFormat::Cloop]);
}

pub(crate) fn dmg(input: &[u8]) {
    let mut image = Image::new(input);
    let at = image.size().max(512) - 512;
    image.put(at, b"koly");
    // All of the trailer is there.
    image.put(at + 512, &[]);
    holds(&image, &[ImageFormat::Dmg]);
}

pub(crate) fn disc(input: &[u8]) {
    let mut image = Image::new(input);
    let at = (32 << 10) + 1;
    if ![*b"NSR02", *b"NSR03"].contains(&image.bytes(at)) {
        image.put(at, b"CD001");
    }
    holds(&image, &[ImageFormat::Iso]);
}

pub(crate) fn partitions(input: &[u8]) {
    let mut image = Image::new(input);
    image.put(510, &[0x55, 0xaa]);
    holds(&image, &[]);
}

fn with(input: &[u8], magics: &[(u64, &[u8])], formats: &[ImageFormat]) {
    let mut image = Image::new(input);
    magics.iter().for_each(|(at, magic)| image.put(*at, magic));
    holds(&image, formats);
}

/// What holds for any image; it is valid as one of these formats, if there are any.
fn holds(image: &Image, formats: &[ImageFormat]) {
    let look = |policy: &Policy| in_time(|| inspect(image.clone(), policy)).expect("nothing here cannot be read");
    let found = look(&Policy::untrusted());
    assert!(formats.is_empty() || formats.iter().any(|format| found.formats().contains(format)), "{found:?}");
    assert_eq!(found.format(), found.formats().first().copied().unwrap_or(ImageFormat::Raw));
    sound(&found);

    // The policy decides what is held against an image, not what it is.
    let own = look(&Policy::facts_only());
    assert_eq!((own.findings(), own.verdict()), (&[][..], Verdict::Accept));
    assert_eq!(said(&own), said(&found));
    for code in found.findings().iter().map(|finding| finding.code) {
        let rest: Vec<_> = found.findings().iter().filter(|finding| finding.code != code).collect();
        assert_eq!(look(&Policy::untrusted().grant(code)).findings().iter().collect::<Vec<_>>(), rest);
    }
    let other = ImageFormat::ALL.into_iter().find(|other| !other.admits(found.format())).expect("a format");
    let claimed = look(&Policy::untrusted().claimed(other));
    assert!(claimed.findings().iter().any(|finding| finding.code == Code::FormatMismatch));
}

fn said(found: &Inspection) -> (&[ImageFormat], Option<u64>, &Facts) {
    (found.formats(), found.virtual_size(), found.facts())
}

/// What holds for any inspection for which nothing is granted.
pub(crate) fn sound(found: &Inspection) {
    assert_eq!(found.verdict() == Verdict::Accept, found.findings().is_empty());
    for finding in found.findings() {
        let text = finding.to_string();
        assert!(!text.chars().any(char::is_control), "{text:?} is not safe to print");
    }
    if found.verdict() == Verdict::Accept {
        assert!(found.formats().len() <= 1, "{found:?}");
        let size = found.virtual_size().expect("an image that is accepted has a size");
        assert!(size <= 16 << 40 && size.is_multiple_of(512), "{size}");
        assert_eq!((&found.facts().backing_file, &found.facts().data_file), (&None, &None));
    }
    let json = serde_json::to_string(found).expect("JSON");
    serde_json::from_str::<serde_json::Value>(&json).expect("JSON");
}
