#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::descriptor::LONGEST;
use crate::inspect::testing::{facts, image, patched, refused};
use crate::inspect::{Code, ImageFormat};

const DESCRIPTOR: &[u8] = b"# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\n\
    createType=\"monolithicSparse\"\nRW 2048 SPARSE \"x.vmdk\"\n";

fn header(gd: u64) -> Vec<u8> {
    let parts: [(usize, &[u8]); 10] = [
        (0, b"KDMV"),
        (4, &[1]),
        (8, &[3]),
        (13, &[8]),
        (20, &[128]),
        (28, &[1]),
        (36, &[20]),
        (45, &[2]),
        (48, &[21]),
        (56, &gd.to_le_bytes()),
    ];
    patched(&image(512, &parts), &[(64, &[24])])
}

/// 1 MiB: header, descriptor, two grain directories.
fn usual() -> Vec<u8> {
    image(24 * 512, &[(0, &header(22)), (512, DESCRIPTOR)])
}

/// The same as a stream: its header does not know where the directory is, its footer does.
fn stream(of_footer: &[(usize, &[u8])]) -> Vec<u8> {
    let compressed: (usize, &[u8]) = (77, &[1]);
    let mut end = image(3 * 512, &[(12, &[3]), (512, &patched(&header(22), &[compressed]))]);
    end = patched(&end, of_footer);
    let start = patched(&usual(), &[(0, &patched(&header(u64::MAX), &[compressed]))]);
    [start, end].concat()
}

#[test]
fn the_usual_ones_are_accepted() {
    for (image, kind) in [(usual(), "monolithicSparse"), (stream(&[]), "streamOptimized")] {
        let found = facts(&image);
        assert_eq!((found.format(), found.virtual_size()), (ImageFormat::Vmdk, Some(1 << 20)));
        assert_eq!(found.facts().subformat.as_deref(), Some(kind));
        assert_eq!(found.facts().cluster_size, Some(64 << 10));
        assert_eq!(refused(&image), []);
    }
}

#[test]
fn what_qemu_refuses_is_refused() {
    let cases: [(usize, &[u8], Code, u64); 10] = [
        (4, &[4], Code::Unsupported, 4),
        (17, &[1], Code::TableTooLarge, 12),
        (19, &[0xff], Code::Malformed, 12),
        (20, &[0], Code::Malformed, 20),
        (22, &[0x40], Code::Malformed, 20),
        (45, &[3], Code::Malformed, 44),
        (45, &[0], Code::Malformed, 44),
        (48, &[24], Code::Truncated, 48),
        (56, &[24], Code::Truncated, 56),
        (64, &[25], Code::Truncated, 64),
    ];
    for (at, bytes, code, offset) in cases {
        let found = refused(&patched(&usual(), &[(at, bytes)]));
        assert!(found.contains(&(code, offset)), "{at}: {found:?}");
    }
    let end = stream(&[]).len() as u64 - 1536;
    for (at, byte) in [(8, 1), (12, 2), (512, 0), (1024, 1), (1032, 1), (1036, 1)] {
        assert_eq!(refused(&stream(&[(at, &[byte])])), [(Code::Malformed, 56)], "{at}");
    }
    assert_eq!(refused(&stream(&[(516, &[4])])), [(Code::Unsupported, end + 516)]);
    for at in [14, 20, 45] {
        assert_eq!(refused(&stream(&[(512 + at, &[1])])), [(Code::Malformed, end + 524)], "{at}");
    }
    // Grains are unpacked whole; one that is not compressed can be as large as a gibibyte.
    let (grain, sectors): ((usize, &[u8]), _) = ((20, &[1, 0, 1]), (65_537_u64 * 2).to_le_bytes());
    let large = patched(&usual(), &[grain, (12, &sectors)]);
    assert_eq!(refused(&large), []);
    assert_eq!(refused(&patched(&large, &[(77, &[1])])), [(Code::TableTooLarge, 20)]);
}

/// An image with this descriptor, and what it is refused for.
fn described(text: &str) -> Vec<Code> {
    let image = image(24 * 512, &[(0, &header(22)), (512, text.as_bytes())]);
    refused(&image).into_iter().map(|(code, _)| code).collect()
}

#[test]
fn what_an_embedded_descriptor_names_is_refused() {
    let ids = "CID=0\nparentCID=ffffffff\n";
    let accepted = ["", "createType=\"streamOptimized\"\n", "RDONLY 1 SPARSE \"call-me-stream.vmdk\"\n", "RW 1 ZERO\n"];
    for text in accepted {
        assert_eq!(described(&format!("{ids}{text}")), [], "{text}");
    }
    for (text, code) in [
        ("createType=\"monolithicFlat\"\n", Code::UnusualVmdk),
        ("RW 1 SPARSE \"/etc/shadow\"\n", Code::ExternalExtent),
        ("RW 1 FLAT \"x.vmdk\" 0\n", Code::ExternalExtent),
        ("RW 1 SPARSE \"a\"\nRW 1 SPARSE \"b\"\n", Code::ExternalExtent),
        ("parentFileNameHint=\"/etc/shadow\"\n", Code::BackingFile),
        ("parentFileNameHint\0\"/etc/shadow\"", Code::BackingFile),
        ("parentFileNameHint=\"/etc/shadow", Code::Malformed),
    ] {
        assert_eq!(described(&format!("{ids}{text}")), [code], "{text}");
    }
    assert_eq!(described("CID=0\nparentCID=12345678\n"), [Code::BackingFile]);
    assert_eq!(described("CID=0\n"), [Code::Malformed]);
    assert_eq!(described(""), [Code::Malformed]);
}

#[test]
fn a_second_descriptor_elsewhere_counts_too() {
    let flat = b"CID=0\nparentCID=ffffffff\nRW 1 FLAT \"/etc/shadow\" 0\n";
    let image = [patched(&usual(), &[(28, &[24]), (36, &[1])]), image(512, &[(0, flat)])].concat();
    assert_eq!(refused(&image), [(Code::ExternalExtent, 24 * 512 + 25)]);
}

#[test]
fn a_descriptor_is_read_as_far_as_its_header_says() {
    let comment = [b"#".repeat(20 * 512), b"\nparentFileNameHint=\"/etc/shadow\"\n".to_vec()].concat();
    let sparse = patched(&usual(), &[(36, &[22]), (48, &[23]), (56, &[23]), (512 + DESCRIPTOR.len(), b"#")]);
    let hidden = patched(&sparse, &[(512 + DESCRIPTOR.len(), &comment[..])]);
    let at = 512 + DESCRIPTOR.len() + 20 * 512 + 1;
    assert_eq!(refused(&hidden), [(Code::BackingFile, at as u64)]);
}

#[test]
fn texts_are_refused_with_what_they_name() {
    let flat = "# Disk DescriptorFile\nversion=1\nCID=0\nparentCID=ffffffff\ncreateType=\"monolithicFlat\"\n\
        RW 2048 FLAT \"/etc/shadow\" 0\n";
    assert_eq!(refused(flat.as_bytes()), [(Code::UnusualVmdk, 57), (Code::ExternalExtent, 85)]);
    let found = facts(flat.as_bytes());
    assert_eq!((found.format(), found.virtual_size()), (ImageFormat::Vmdk, Some(1 << 20)));
    assert_eq!(found.facts().extents[0].file.as_ref().unwrap().as_bytes(), b"/etc/shadow");
    // A header without a capacity leaves everything to such a text.
    let hidden = patched(&usual(), &[(13, &[0]), (512, flat.as_bytes())]);
    let codes = [(Code::ExternalExtent, 12), (Code::UnusualVmdk, 512 + 57), (Code::ExternalExtent, 512 + 85)];
    assert_eq!(refused(&hidden), codes);
    // A name fills no log.
    let found = facts(flat.replace("/etc/shadow", &"\u{80}".repeat(30_000)).as_bytes());
    assert_eq!(found.facts().extents[0].file.as_ref().unwrap().as_bytes().len(), 4096);
    // What is behind the part that is looked at is not taken for absent.
    let long = format!("# Disk DescriptorFile\n{}{flat}", "#\n".repeat(LONGEST / 2));
    assert!(refused(long.as_bytes()).contains(&(Code::TableTooLarge, 0)));
}

#[test]
fn extents_of_esx_are_not_images() {
    for magic in [&b"COWD"[..], &[0xbe, 0xba, 0xfe, 0xca, 0, 0, 0, 0]] {
        let image = image(4096, &[(0, magic)]);
        assert_eq!(facts(&image).format(), ImageFormat::Vmdk);
        assert_eq!(refused(&image), [(Code::UnusualVmdk, 0)]);
    }
}
