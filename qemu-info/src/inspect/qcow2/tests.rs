#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::super::Code::{self, *};
use super::super::builder::{CLUSTER, Image};
use super::super::{ImageEncryption, Policy, Verdict};

const LUKS: u32 = 0x0537_be77;
const BITMAPS: u32 = 0x2385_2875;
const DATA_FILE: u32 = 0x4441_5441;
const BACKING_FORMAT: u32 = 0xe279_2aca;

fn image() -> Image {
    Image::qcow2()
}

/// The extension for so many bitmaps, whose directory is in the fifth cluster.
fn directory(count: u32, size: u64) -> Vec<u8> {
    [&u64::from(count).rotate_left(32).to_be_bytes()[..], &size.to_be_bytes(), &(4 * CLUSTER).to_be_bytes()].concat()
}

/// An image with one bitmap, `b`, with a bit for each 64 KiB. Its directory is in the fifth cluster, its table in the
/// sixth.
fn with_bitmap() -> Image {
    entry(image().be64(88, 1).extension(BITMAPS, &directory(1, 32)), 4 * CLUSTER as usize)
}

fn entry(image: Image, at: usize) -> Image {
    image.be64(at, 5 * CLUSTER).be32(at + 8, 1).put(at + 16, &[1, 16, 0, 1]).put(at + 24, b"b")
}

/// An image with subclusters, and clusters of so many bits.
fn subclusters(cluster_bits: u32) -> Image {
    let cluster = 1 << cluster_bits;
    let image = image().be64(72, 1 << 4).be32(20, cluster_bits).be64(40, 3 * cluster).be64(48, cluster);
    let mut image = image;
    image.bytes.resize(8 << cluster_bits, 0);
    image
}

/// An image with one snapshot: its table is in the fifth cluster, its L1 table in the sixth.
fn with_snapshot() -> Image {
    let at = 4 * CLUSTER as usize;
    let entry = image().be64(at, 5 * CLUSTER).be32(at + 8, 1).be16(at + 12, 1).be16(at + 14, 4).be32(at + 36, 16);
    entry.be64(at + 48, 1 << 20).put(at + 56, b"1name").be32(60, 1).be64(64, 4 * CLUSTER)
}

/// An image that is encrypted with LUKS; its LUKS header is behind everything else.
fn with_luks() -> Image {
    let mut image =
        image().be32(32, 2).extension(LUKS, &[(8 * CLUSTER).to_be_bytes(), (4040_u64 * 512).to_be_bytes()].concat());
    image.bytes.extend(Image::luks().bytes);
    image
}

#[test]
fn what_qemu_img_writes_is_accepted() {
    let version_2 = image().put(72, &[0; 40]).be32(4, 2);
    let images = [
        image(),
        version_2,
        image().be32(100, 104),
        // What stands behind a header of that length is an extension, not its type of compression.
        image().be32(100, 104).be32(104, BACKING_FORMAT).be32(108, 3).put(112, b"raw"),
        // Without an offset, there is no name.
        image().be32(16, 3),
        subclusters(14),
        image().be32(36, 0).be64(24, 0).be64(40, 0),
        image().be64(72, 1),
        image().be64(72, 8).put(104, &[1]),
        image().be64(80, 1),
        image().be32(96, 0),
        image().be32(96, 6),
        image().be32(32, 1),
        image().extension(0x1234_5678, b"unknown").extension(BACKING_FORMAT, b"raw"),
        with_bitmap(),
        with_bitmap().be64(88, 0),
        with_snapshot(),
        with_luks(),
    ];
    for (index, image) in images.iter().enumerate() {
        assert_eq!(image.refused_for(), [], "{index}");
    }
}

#[test]
fn facts_are_what_the_header_says() {
    let rich = with_snapshot()
        .be64(72, 0x8000_0000_0000_0007)
        .be64(80, 1)
        .backing_file(b"json:{\"a\":\xff}\n\0b")
        .extension(BACKING_FORMAT, b"qcow2")
        .extension(DATA_FILE, b"/dev/sda");
    let inspection = rich.inspected(&Policy::untrusted());
    let codes: Vec<_> = inspection.findings().iter().map(|finding| finding.code).collect();
    assert_eq!(codes, [BackingFile, UnknownFeatures, Corrupt, DataFile]);
    let facts = inspection.facts();
    assert_eq!((inspection.virtual_size(), facts.cluster_size), (Some(1 << 20), Some(CLUSTER)));
    assert_eq!(
        (facts.version, facts.snapshots, facts.bitmaps, facts.table_entries),
        (Some(3), Some(1), Some(0), Some(1))
    );
    assert_eq!((facts.dirty, facts.corrupt), (true, true));
    let features = facts.features.unwrap();
    assert_eq!((features.incompatible, features.compatible), (0x8000_0000_0000_0007, 1));
    assert_eq!(features.unknown_incompatible, 1 << 63);
    let name = facts.backing_file.as_ref().unwrap();
    assert_eq!(name.as_bytes(), b"json:{\"a\":\xff}\n");
    assert_eq!(name.to_string(), "json:{\"a\":\\xff}\\n");
    assert_eq!(facts.backing_format.as_ref().unwrap().as_bytes(), b"qcow2");
    assert_eq!(facts.data_file.as_ref().unwrap().as_bytes(), b"/dev/sda");
    assert_eq!(facts.header_extensions, [BACKING_FORMAT, DATA_FILE]);
    // The second version has an extension where the third has its feature bits.
    let old = image().put(72, &[0; 40]).put(72, &[0x80]).be32(4, 2).inspected(&Policy::untrusted());
    assert_eq!((old.facts().version, old.facts().features.is_none()), (Some(2), true));

    let plain = image().be32(16, 3).inspected(&Policy::facts_only());
    assert_eq!((plain.facts().dirty, plain.facts().corrupt), (false, false));
    assert_eq!(plain.facts().backing_file, None);

    let unnamed = image().be64(72, 4).inspected(&Policy::facts_only());
    assert_eq!(unnamed.verdict(), Verdict::Accept);
    assert_eq!(unnamed.facts().data_file.as_ref().unwrap().as_bytes(), b"");
    assert_eq!(with_bitmap().inspected(&Policy::untrusted()).facts().bitmaps, Some(1));
    assert_eq!(with_bitmap().be64(88, 0).inspected(&Policy::untrusted()).facts().bitmaps, Some(0));
    let encryption = with_luks().inspected(&Policy::untrusted()).facts().encryption.clone();
    let cipher = Some(["aes", "xts-plain64", "sha256"].map(str::to_owned));
    assert_eq!(encryption, Some(ImageEncryption::Luks { cipher }));
}

#[test]
fn each_field_of_the_header_is_checked() {
    let cases: &[(Image, &[(Code, u64)])] = &[
        (image().be32(4, 0), &[(Unsupported, 4)]),
        (image().be32(4, 4), &[(Unsupported, 4)]),
        (image().cut(103), &[(Truncated, 0)]),
        (image().be32(4, 2).cut(71), &[(Truncated, 0)]),
        (image().be32(20, 8), &[(Malformed, 20)]),
        (image().be32(20, 22), &[(Malformed, 20)]),
        (image().backing_file(b"a"), &[(BackingFile, 8)]),
        (image().backing_file(b"a").be64(8, CLUSTER + 1), &[(BackingFile, 8), (Malformed, 8)]),
        (image().backing_file(b"a").be32(16, 1024), &[(BackingFile, 8), (Malformed, 16)]),
        (
            image().backing_file(b"a").be64(8, CLUSTER - 8).be32(16, 8).cut(CLUSTER as usize - 1),
            &[(BackingFile, 8), (Truncated, 8)],
        ),
        (image().backing_file(b"a").be64(8, CLUSTER - 1).be32(16, 2), &[(BackingFile, 8), (Malformed, 16)]),
        (
            image().be64(24, 17 << 40).be32(36, 17 << 19),
            &[(VirtualSizeTooLarge, 24), (TableTooLarge, 36), (Truncated, 40)],
        ),
        (image().be64(24, (2 << 20) + 1), &[(Malformed, 36)]),
        (image().be32(32, 3), &[(Unsupported, 32)]),
        (image().be32(36, (4 << 20) + 1), &[(TableTooLarge, 36), (Truncated, 40)]),
        (image().be64(40, 3 * CLUSTER + 512), &[(Malformed, 40)]),
        (image().be64(40, 0), &[(Malformed, 40)]),
        (image().be64(40, 8 * CLUSTER), &[(Truncated, 40)]),
        (image().be64(40, !(CLUSTER - 1)), &[(Malformed, 40), (Truncated, 40)]),
        (image().be64(48, CLUSTER + 8), &[(Malformed, 48)]),
        (image().be64(48, 8 * CLUSTER), &[(Truncated, 48)]),
        (image().be32(56, 0), &[(Malformed, 56)]),
        (image().be32(56, 2049), &[(TableTooLarge, 56), (Truncated, 48)]),
        (image().be32(60, 1025).be64(64, 4 * CLUSTER), &[(TableTooLarge, 60)]),
        (image().be64(64, 1), &[(Malformed, 64)]),
        (image().be64(64, 1 << 63), &[(Malformed, 64)]),
        (image().be64(72, 1 << 5), &[(UnknownFeatures, 72)]),
        (image().be64(72, 1 << 1), &[(Corrupt, 72)]),
        (image().be64(72, 1 << 2), &[(DataFile, 72)]),
        (image().be64(72, 1 << 3), &[(Malformed, 104)]),
        (image().put(104, &[1]), &[(Malformed, 104)]),
        (image().put(104, &[2]), &[(Unsupported, 104)]),
        (image().be64(72, 1 << 4), &[(Malformed, 72)]),
        (subclusters(13), &[(Malformed, 72)]),
        (image().be64(88, 1 << 1), &[(Malformed, 88)]),
        (image().be32(96, 7), &[(Malformed, 96)]),
        (image().be32(100, 103), &[(Malformed, 100)]),
        (image().be32(100, CLUSTER as u32 + 1), &[(Malformed, 100)]),
    ];
    for (index, (image, expected)) in cases.iter().enumerate() {
        assert_eq!(image.refused_for(), *expected, "{index}");
    }
}

#[test]
fn each_header_extension_is_checked() {
    let many = (0..=64).fold(image(), |image, _| image.extension(1, b""));
    let luks = |data: &[u8]| image().be32(32, 2).extension(LUKS, data);
    let bitmaps = |data: &[u8]| image().be64(88, 1).extension(BITMAPS, data);
    let one = directory(1, 32);
    let cases: &[(Image, &[(Code, u64)])] = &[
        (image().be32(112, 1).be32(116, CLUSTER as u32), &[(Malformed, 112)]),
        (image().extension(1, b"").cut(116), &[(Truncated, 112)]),
        (many, &[(TableTooLarge, 112 + 64 * 8)]),
        (image().extension(BACKING_FORMAT, b"a").extension(BACKING_FORMAT, b"b"), &[(Malformed, 128)]),
        (image().extension(BACKING_FORMAT, &[b'a'; 16]), &[(Malformed, 112)]),
        (image().extension(DATA_FILE, b"/etc/passwd"), &[(DataFile, 112)]),
        (image().be32(32, 2), &[(Malformed, 32)]),
        (image().extension(LUKS, &[0; 16]), &[(Malformed, 112)]),
        (luks(&[0; 15]), &[(Malformed, 112)]),
        (luks(&[0; 16]), &[(Malformed, 120), (Malformed, 0)]),
        (with_luks().be64(128, 512), &[(Malformed, 128)]),
        (with_luks().put(8 * CLUSTER as usize + 7, &[2]), &[(Unsupported, 8 * CLUSTER)]),
        (with_luks().cut(8 * CLUSTER as usize + 591), &[(Truncated, 8 * CLUSTER)]),
        (bitmaps(&one[..23]), &[(Malformed, 112)]),
        (bitmaps(&directory(0, 32)), &[(Malformed, 120), (Malformed, 4 * CLUSTER)]),
        (bitmaps(&directory(1, 0)), &[(Malformed, 120), (Malformed, 136)]),
        (bitmaps(&directory(1025, 32)), &[(TableTooLarge, 120)]),
        (bitmaps(&directory(1, (1 << 20) + 1)), &[(TableTooLarge, 128)]),
        (with_bitmap().be32(124, 1), &[(Malformed, 124)]),
        (with_bitmap().be64(136, 4 * CLUSTER + 8), &[(Malformed, 136), (Malformed, 4 * CLUSTER + 8)]),
        (with_bitmap().cut(4 * CLUSTER as usize + 31), &[(Truncated, 136)]),
    ];
    for (index, (image, expected)) in cases.iter().enumerate() {
        assert_eq!(image.refused_for(), *expected, "{index}");
    }
}

#[test]
fn each_bitmap_is_checked() {
    let at = 4 * CLUSTER as usize;
    let two = with_bitmap().be32(120, 2).be64(128, 64);
    let large = |granularity: u8, flags: u32| {
        let image = with_bitmap().be64(24, 1 << 40).be32(36, 1 << 19).put(at + 17, &[granularity]).be32(at + 12, flags);
        image.refused_for().into_iter().filter(|(_, offset)| *offset != 40).collect::<Vec<_>>()
    };
    // In use, it may be of another size than the disk, and still takes up memory for the whole of it.
    assert_eq!(large(16, 0), [(Malformed, 4 * CLUSTER)]);
    assert_eq!(large(16, 1), []);
    assert_eq!(large(9, 1), [(TableTooLarge, 136)]);
    let bad = [
        with_bitmap().put(at + 20, &[1]),
        with_bitmap().put(at + 16, &[2]),
        with_bitmap().put(at + 15, &[4]),
        with_bitmap().put(at + 17, &[8]),
        with_bitmap().put(at + 17, &[32]),
        with_bitmap().be16(at + 18, 1024),
        with_bitmap().be32(at + 8, 0),
        with_bitmap().be32(at + 8, 2),
        with_bitmap().be32(at + 8, u32::MAX),
        // In use: its size need not fit the disk, and is still bounded.
        with_bitmap().be32(at + 8, 0).put(at + 15, &[1]),
        with_bitmap().be32(at + 8, (128 << 10) + 1).put(at + 15, &[1]),
    ];
    for (index, image) in bad.iter().enumerate() {
        assert_eq!(image.refused_for(), [(Malformed, 4 * CLUSTER)], "{index}");
    }
    assert_eq!(with_bitmap().be64(at, 5 * CLUSTER + 1).refused_for(), [(Malformed, 4 * CLUSTER)]);
    assert_eq!(with_bitmap().be64(at, 8 * CLUSTER).refused_for(), [(Truncated, 4 * CLUSTER)]);
    assert_eq!(with_bitmap().be32(120, 2).refused_for(), [(Malformed, 136)]);
    assert_eq!(entry(two.clone(), at + 32).refused_for(), [(Malformed, 4 * CLUSTER + 32)]);
    assert_eq!(entry(two, at + 32).put(at + 56, b"c").refused_for(), []);
    let many = image().be64(88, 1).extension(BITMAPS, &directory(500, 500 * 32));
    let many = (0..500).fold(many, |image, index| entry(image, at + index * 32));
    assert_eq!(many.refused_for().len(), 64, "all have the same name");
}

#[test]
fn each_snapshot_is_checked() {
    let at = 4 * CLUSTER;
    let index = at as usize;
    let cases: &[(Image, &[(Code, u64)])] = &[
        (with_snapshot().cut(index + 60), &[(Truncated, 64)]),
        (with_snapshot().be32(60, 2).cut(index + 70), &[(Truncated, at + 64), (Truncated, at)]),
        (with_snapshot().be32(index + 36, 1025), &[(TableTooLarge, 64)]),
        (with_snapshot().be32(60, 2).be32(index + 36, 1025), &[(Malformed, at + 36)]),
        (with_snapshot().be16(index + 14, 65535), &[(TableTooLarge, 64)]),
        (with_snapshot().be64(index + 48, 17 << 40), &[(VirtualSizeTooLarge, at + 48)]),
        (with_snapshot().be32(index + 8, 5 << 20), &[(TableTooLarge, at + 8)]),
        (with_snapshot().be64(index, 5 * CLUSTER + 8), &[(Malformed, at)]),
        (with_snapshot().be64(index, 9 * CLUSTER), &[(Truncated, at)]),
        (with_snapshot().be64(64, !(CLUSTER - 1)), &[(Malformed, 64), (Truncated, 64)]),
    ];
    for (index, (image, expected)) in cases.iter().enumerate() {
        assert_eq!(image.refused_for(), *expected, "{index}");
    }
}

/// With clusters of 2 MiB, so that few entries name tables that take long to go through.
#[test]
fn what_a_check_goes_through_is_bounded() {
    let large = |l1: u32, of_snapshot: u32| {
        let at = 4 << 21;
        let image = with_snapshot().be32(20, 21).be32(36, l1).be64(40, 3 << 21).be64(48, 1 << 21).be64(64, at as u64);
        let mut image = image;
        let snapshot = image.bytes[4 * CLUSTER as usize..][..61].to_vec();
        image.bytes.resize(8 << 21, 0);
        image.put(at, &snapshot).be64(at, 5 << 21).be32(at + 8, of_snapshot).refused_for()
    };
    assert_eq!(large(32 << 10, 0), []);
    assert_eq!(large(24 << 10, 8 << 10), []);
    assert_eq!(large((32 << 10) + 1, 0), [(TableTooLarge, 36)]);
    assert_eq!(large(24 << 10, (8 << 10) + 1), [(TableTooLarge, (4 << 21) + 8)]);
}

#[test]
fn a_first_cluster_that_is_not_ciphertext_is_found() {
    let l1 = 3 * CLUSTER as usize;
    let l2 = 4 * CLUSTER as usize;
    let nested = |image: Image, entry: u64| {
        image.be64(l1, (1 << 63) + 4 * CLUSTER).be64(l2, entry).put(5 * CLUSTER as usize, b"QFI\xfb\0\0\0\x03")
    };
    let data = (1 << 63) + 5 * CLUSTER;
    assert_eq!(nested(image(), data).refused_for(), []);
    for encrypted in [image().be32(32, 1), with_luks()] {
        assert_eq!(nested(encrypted.clone(), data).refused_for(), [(NestedFormat, 4 * CLUSTER)]);
        for none in [0, (1 << 62) + 5 * CLUSTER, data + 1, (1 << 63) + 6 * CLUSTER, 99 * CLUSTER] {
            assert_eq!(nested(encrypted.clone(), none).refused_for(), [], "{none:#x}");
        }
        // The clusters are another file's, so what this one has there says nothing.
        let outside = nested(encrypted.clone(), data).be64(72, 1 << 2);
        assert_eq!(outside.refused_for(), [(DataFile, 72)]);
        let empty = nested(encrypted, data).be64(24, 0).be32(36, 0);
        assert_eq!(empty.refused_for(), []);
    }
    // With subclusters, the lowest bit of an entry says nothing.
    let cluster = 1 << 14;
    let large = subclusters(14).be32(32, 1).be64(3 * cluster, 4 * cluster as u64);
    let large = large.be64(4 * cluster, 5 * cluster as u64 + 1).put(5 * cluster, b"QFI\xfb");
    assert_eq!(large.refused_for(), [(NestedFormat, 4 * cluster as u64)]);
}
