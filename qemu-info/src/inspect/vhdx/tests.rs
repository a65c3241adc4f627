#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::io::Cursor;

use super::checksum;
use crate::inspect::testing::{facts, image, patched, refused};
use crate::inspect::{Code, ImageFormat, Inspector, Policy, inspect};

const TABLE: usize = 2 << 20;
const METADATA: usize = 3 << 20;
const ITEMS: usize = METADATA + (64 << 10);
const REGIONS: usize = 192 << 10;

/// A part with a checksum in it.
fn sealed(size: usize, usual: &[(usize, &[u8])], parts: &[(usize, &[u8])]) -> Vec<u8> {
    let part = patched(&image(size, usual), parts);
    let sum = checksum(&part).to_le_bytes();
    patched(&part, &[(4, &sum)])
}

fn header(sequence: u8, parts: &[(usize, &[u8])]) -> Vec<u8> {
    let usual: [(usize, &[u8]); 5] = [(0, b"head"), (8, &[sequence]), (66, &[1]), (70, &[0x10]), (74, &[0x10])];
    sealed(4096, &usual, parts)
}

fn guid(name: u128) -> [u8; 16] {
    super::regions::format_guid(name.to_be_bytes())
}

fn regions(parts: &[(usize, &[u8])]) -> Vec<u8> {
    let (table, metadata) =
        (guid(0x2dc2_7766_f623_4200_9d64_115e_9bfd_4a08), guid(0x8b7c_a206_4790_4b9a_b8fe_575f_050f_886e));
    let usual: [(usize, &[u8]); 8] = [
        (0, b"regi"),
        (8, &[2]),
        (16, &table),
        (34, &[0x20]),
        (42, &[0x10, 0, 1]),
        (48, &metadata),
        (66, &[0x30]),
        (74, &[0x10, 0, 1]),
    ];
    sealed(64 << 10, &usual, parts)
}

/// 4 MiB in blocks of 1 MiB.
fn with(second: &[u8], regions: &[u8], parts: &[(usize, &[u8])]) -> Vec<u8> {
    let mut whole =
        image(4 << 20, &[(0, b"vhdxfile"), (64 << 10, &header(1, &[])), (128 << 10, second), (REGIONS, regions)]);
    whole = patched(&whole, &[(METADATA, b"metadata"), (METADATA + 10, &[5])]);
    for (index, (name, at)) in super::metadata::ITEMS.into_iter().zip([0_u8, 8, 16, 32, 36]).enumerate() {
        let entry = METADATA + 32 + index * 32;
        whole = patched(&whole, &[(entry, &guid(name)), (entry + 16, &[at, 0, 1]), (entry + 24, &[4])]);
    }
    whole = patched(&whole, &[(ITEMS + 2, &[0x10]), (ITEMS + 10, &[0x40]), (ITEMS + 33, &[2]), (ITEMS + 37, &[2])]);
    patched(&whole, parts)
}

fn usual(parts: &[(usize, &[u8])]) -> Vec<u8> {
    with(&header(2, &[]), &regions(&[]), parts)
}

#[test]
fn the_usual_one_is_accepted() {
    let found = facts(&usual(&[]));
    assert_eq!((found.format(), found.virtual_size()), (ImageFormat::Vhdx, Some(4 << 20)));
    assert_eq!(found.facts().subformat.as_deref(), Some("dynamic"));
    assert_eq!((found.facts().cluster_size, found.facts().table_entries), (Some(1 << 20), Some(4)));
    assert_eq!(refused(&usual(&[])), []);
    let fixed = usual(&[(ITEMS + 4, &[1])]);
    assert_eq!(facts(&fixed).facts().subformat.as_deref(), Some("fixed"));
    assert_eq!(refused(&fixed), []);
}

#[test]
fn the_newer_valid_header_is_in_force() {
    let dirty: [(usize, &[u8]); 1] = [(48, &[1])];
    for (sequence, open) in [(0, false), (2, true)] {
        let image = with(&header(sequence, &dirty), &regions(&[]), &[]);
        assert_eq!(facts(&image).facts().dirty, open, "{sequence}");
    }
    assert_eq!(refused(&with(&header(2, &dirty), &regions(&[]), &[])), [(Code::Unsupported, (128 << 10) + 48)]);
    assert_eq!(refused(&with(&header(1, &[]), &regions(&[]), &[])), [], "twins");
    assert_eq!(refused(&with(&header(1, &dirty), &regions(&[]), &[])), [(Code::Malformed, (64 << 10) + 8)]);
    assert_eq!(refused(&with(&[0; 4096], &regions(&[]), &[])), []);
    assert_eq!(refused(&with(&[0; 4096], &regions(&[]), &[(64 << 10, b"H")])), [(Code::Malformed, 64 << 10)]);
    for (at, byte, code, offset) in
        [(64, 1, Code::Unsupported, 64), (72, 1, Code::Malformed, 68), (68, 1, Code::Malformed, 68)]
    {
        let found = refused(&with(&header(2, &[(at, &[byte])]), &regions(&[]), &[]));
        assert_eq!(found, [(code, (128 << 10) + offset)], "{at}");
    }
}

#[test]
fn regions_are_checked() {
    let at = REGIONS as u64;
    let cases: [(usize, &[u8], Code, u64); 8] = [
        (8, &[1], Code::Malformed, at),
        (8, &[65], Code::TableTooLarge, at + 8),
        (9, &[8], Code::Malformed, at + 8),
        (16, &[0], Code::UnknownFeatures, at + 16),
        (34, &[0x10], Code::Malformed, at + 32),
        (66, &[0x28], Code::Malformed, at + 64),
        (39, &[0xff], Code::Malformed, at + 32),
        (42, &[0, 0], Code::Malformed, at + 40),
    ];
    for (field, bytes, code, offset) in cases {
        let found = refused(&with(&header(2, &[]), &regions(&[(field, bytes)]), &[]));
        assert_eq!(found, [(code, offset)], "{field}");
    }
    assert_eq!(refused(&usual(&[(REGIONS + 5, &[0])])), [(Code::Malformed, at)], "checksum");
    let far = refused(&with(&header(2, &[]), &regions(&[(35, &[1])]), &[]));
    assert_eq!(far, [(Code::Truncated, at + 40)]);
    let bomb = refused(&with(&header(2, &[]), &regions(&[(34, &[0x40]), (43, &[0x10])]), &[]));
    assert_eq!(bomb, [(Code::TableTooLarge, at + 40), (Code::Truncated, at + 40)]);
}

#[test]
fn metadata_is_checked() {
    let (table, items) = (METADATA as u64, ITEMS as u64);
    let cases: [(usize, &[u8], Code, u64); 12] = [
        (METADATA, b"M", Code::Malformed, table),
        (METADATA + 10, &[4], Code::Malformed, table),
        (METADATA + 11, &[8], Code::Malformed, table),
        (METADATA + 32, &[0], Code::UnknownFeatures, table + 32),
        (METADATA + 64, &guid(super::metadata::ITEMS[0]), Code::Malformed, table + 64),
        (METADATA + 64, &guid(super::metadata::ITEMS[5]), Code::Unsupported, table),
        (ITEMS + 4, &[2], Code::Unsupported, items + 4),
        (ITEMS + 2, &[0x30], Code::Malformed, items),
        (ITEMS + 10, &[0], Code::Malformed, items + 8),
        (ITEMS + 15, &[0x80], Code::Malformed, items + 8),
        (ITEMS + 33, &[16], Code::Unsupported, items + 32),
        (ITEMS + 33, &[4], Code::Malformed, items + 32),
    ];
    for (at, bytes, code, offset) in cases {
        assert_eq!(refused(&usual(&[(at, bytes)])), [(code, offset)], "{at:#x}");
    }
}

/// With a log of several mebibytes, nothing is in the part of a stream that is kept anyway.
#[test]
fn a_stream_with_a_long_log_is_seen_whole() {
    let near = with(&header(2, &[]), &regions(&[(34, &[0x50]), (66, &[0x60])]), &[]);
    let image = [&near[..2 << 20], &[0; 3 << 20], &near[2 << 20..]].concat();
    assert_eq!(refused(&image), []);
    for size in [1 << 16, usize::MAX] {
        let mut inspector = Inspector::new(Policy::untrusted());
        for piece in image.chunks(size) {
            assert_eq!(inspector.push(piece), None);
        }
        assert_eq!((inspector.finish().findings(), facts(&image).virtual_size()), (&[][..], Some(4 << 20)));
    }
}

#[test]
fn blocks_must_lie_in_the_file_and_nowhere_else() {
    let present = |mib: u8| usual(&[(TABLE, &[6, 0, mib << 4])]);
    assert_eq!(refused(&present(2)), [(Code::Malformed, TABLE as u64)]);
    assert_eq!(refused(&present(4)), [(Code::Truncated, TABLE as u64)]);
    let whole = [present(4), vec![0; 1 << 20]].concat();
    assert_eq!(refused(&whole), []);
    assert_eq!(refused(&whole[..whole.len() - 1]), [(Code::Truncated, TABLE as u64)]);
}

#[test]
fn in_a_stream_the_table_may_come_before_what_says_how_much_of_it_counts() {
    // Behind what is kept of a stream anyway: the table at 5 MiB, the metadata at 6, the first block at 7.
    let parts = usual(&[]);
    let far = with(&header(2, &[]), &regions(&[(34, &[0x50]), (66, &[0x60])]), &[]);
    let mut far = image(8 << 20, &[(0, &far), (6 << 20, &parts[METADATA..])]);
    for (entry, codes) in [(0x70_0006, &[][..]), (0x60_0006, &[Code::Malformed]), (0x80_0006, &[Code::Truncated])] {
        far = patched(&far, &[(5 << 20, &u32::to_le_bytes(entry))]);
        let file = inspect(Cursor::new(&far), &Policy::untrusted()).unwrap();
        assert_eq!(file.findings().iter().map(|finding| finding.code).collect::<Vec<_>>(), codes);
        for piece in [1000, 1 << 20, far.len()] {
            let mut inspector = Inspector::new(Policy::untrusted());
            far.chunks(piece).for_each(|piece| _ = inspector.push(piece));
            assert_eq!(inspector.finish(), file, "{piece}");
        }
    }
}
