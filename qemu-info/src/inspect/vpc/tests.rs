#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::inspect::testing::{facts, image, patched, refused};
use crate::inspect::{Code, ImageFormat};

/// A footer with a geometry of 4 cylinders, 4 heads and 17 sectors, and a size of 1 MiB.
fn footer(parts: &[(usize, &[u8])]) -> Vec<u8> {
    let usual: [(usize, &[u8]); 6] =
        [(0, b"conectix"), (13, &[1]), (22, &[2]), (28, b"vpc "), (53, &[0x10]), (57, &[4, 4, 17])];
    let mut footer = patched(&image(512, &usual), parts);
    footer[64..68].fill(0);
    let sum: u32 = footer.iter().map(|byte| u32::from(*byte)).sum();
    footer[64..68].copy_from_slice(&(!sum).to_be_bytes());
    footer
}

/// One block of 2 MiB, not allocated: footer, header at 512, table at 1536, footer.
fn dynamic(of_footer: &[(usize, &[u8])], others: &[(usize, &[u8])]) -> Vec<u8> {
    let footer = footer(&[&[(63, &[3][..])], of_footer].concat());
    let usual: [(usize, &[u8]); 7] = [
        (0, &footer),
        (512, b"cxsparse"),
        (512 + 22, &[6]),
        (512 + 31, &[1]),
        (512 + 33, &[0x20]),
        (1536, &[0xff; 4]),
        (2048, &footer),
    ];
    patched(&image(2560, &usual), others)
}

#[test]
fn a_dynamic_one_is_accepted() {
    let found = facts(&dynamic(&[], &[]));
    assert_eq!((found.format(), found.formats()), (ImageFormat::Vpc, &[ImageFormat::Vpc][..]));
    assert_eq!(found.virtual_size(), Some(4 * 4 * 17 * 512));
    assert_eq!(found.facts().cluster_size, Some(2 << 20));
    assert_eq!(found.facts().subformat.as_deref(), Some("dynamic"));
    assert_eq!(refused(&dynamic(&[], &[])), []);
}

#[test]
fn a_fixed_one_may_lack_its_last_byte_and_hold_partitions() {
    let disk = image(1 << 20, &[(450, &[0x83, 0, 0, 0, 1, 0, 0, 0, 1]), (510, &[0x55, 0xaa])]);
    let whole = [disk, footer(&[(63, &[2])])].concat();
    for image in [&whole[..], &whole[..whole.len() - 1]] {
        let found = facts(image);
        assert_eq!((found.formats(), found.virtual_size()), (&[ImageFormat::Vpc][..], Some(4 * 4 * 17 * 512)));
        assert_eq!(refused(image), []);
    }
    let qcow2 = patched(&whole, &[(0, b"QFI\xfb\0\0\0\x09")]);
    assert_eq!(facts(&qcow2).format(), ImageFormat::Qcow2);
    assert!(refused(&qcow2).contains(&(Code::SeveralFormats, 0)));
    let short = [vec![0; 512], footer(&[(63, &[2])])].concat();
    assert_eq!(refused(&short), [(Code::Truncated, 512 + 48)]);
    let typeless = [vec![0; 1 << 20], footer(&[(63, &[3])])].concat();
    assert_eq!(refused(&typeless), [(Code::Malformed, (1 << 20) + 60)]);
}

#[test]
fn the_size_is_what_its_writer_means() {
    for (writer, exact) in [(b"vpc ", false), (b"qemu", false), (b"vbox", true), (b"win ", true), (b"wa\0\0", true)] {
        let size = if exact { 1 << 20 } else { 4 * 4 * 17 * 512 };
        assert_eq!(facts(&dynamic(&[(28, writer)], &[])).virtual_size(), Some(size), "{writer:?}");
    }
    let largest = dynamic(&[(56, &[0xff, 0xff, 16, 255])], &[]);
    assert_eq!(facts(&largest).virtual_size(), Some(1 << 20));
}

#[test]
fn both_footers_say_the_same() {
    let differs = |at: usize| refused(&patched(&dynamic(&[], &[]), &[(2048 + at, &[0x99])]));
    for (at, field) in [(20, 16), (28, 28), (50, 48), (57, 48), (63, 48)] {
        assert_eq!(differs(at), [(Code::Malformed, 2048 + field)], "{at}");
    }
    // When it was written, and its checksum.
    for at in [24, 64] {
        assert_eq!(differs(at), [], "{at}");
    }
    assert_eq!(refused(&dynamic(&[], &[])[..2048]), [], "as one that was not closed");
}

#[test]
fn a_child_is_refused_with_its_parents_name() {
    let child = dynamic(&[(63, &[4])], &[(512 + 65, b"a\0.\0v")]);
    assert_eq!(refused(&child), [(Code::BackingFile, 512 + 64)]);
    assert_eq!(facts(&child).facts().backing_file.as_ref().unwrap().as_bytes(), b"a.v");
}

#[test]
fn what_qemu_refuses_is_refused() {
    let of_footer: [(usize, &[u8], Code, u64); 3] =
        [(63, &[2], Code::Malformed, 60), (22, &[3], Code::Malformed, 16), (57, &[200], Code::Malformed, 512 + 28)];
    for (at, bytes, code, offset) in of_footer {
        assert_eq!(refused(&dynamic(&[(at, bytes)], &[])).first(), Some(&(code, offset)), "{at}");
    }
    let others: [(usize, &[u8], Code, u64); 8] = [
        (8, &[1], Code::Malformed, 64),
        (512, b"x", Code::Malformed, 16),
        (512 + 33, &[0x30], Code::Malformed, 512 + 32),
        (512 + 33, &[0], Code::Malformed, 512 + 32),
        (512 + 28, &[1], Code::Malformed, 512 + 28),
        (512 + 22, &[16], Code::Truncated, 512 + 16),
        (1536, &[0, 0, 0, 5], Code::Truncated, 1536),
        (1536, &[0, 0, 0, 0], Code::Truncated, 1536),
    ];
    for (at, bytes, code, offset) in others {
        assert_eq!(refused(&dynamic(&[], &[(at, bytes)])).first(), Some(&(code, offset)), "{at}");
    }
    // To qemu the rest of the last sector is zeros, and so are the entries there: blocks behind the file's end.
    let cut = &dynamic(&[], &[])[..1538];
    assert_eq!(refused(cut), [(Code::Truncated, 512 + 16)]);
    let too_large = dynamic(&[(28, b"win "), (48, &[1])], &[]);
    assert_eq!(refused(&too_large), [(Code::Unsupported, 48)]);
    // What a 4 KiB file needs to make qemu use over a gibibyte.
    let bomb = dynamic(&[], &[(512 + 28, &[1, 0, 0, 0]), (512 + 32, &[0, 0, 2, 0])]);
    assert!(refused(&bomb).contains(&(Code::TableTooLarge, 512 + 28)));
}
