//! What holds for any bytes, however they come.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::builder::{CLUSTER, Image};
use super::{Code, Inspection, Inspector, Policy, Verdict, limits};

fn streamed(bytes: &[u8], pieces: &[usize]) -> Inspection {
    let mut inspector = Inspector::new(Policy::untrusted());
    let mut rest = bytes;
    for piece in pieces.iter().cycle() {
        let (first, others) = rest.split_at((*piece).clamp(1, rest.len().max(1)).min(rest.len()));
        inspector.push(first);
        rest = others;
        if rest.is_empty() {
            break;
        }
    }
    inspector.finish()
}

/// Images whose first cluster, where the fields are, was written to at random.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let images = vec![
        Image::qcow2(),
        Image::qcow2().backing_file(b"/etc/shadow"),
        Image::qcow2().be32(60, 2).be64(64, 4 * CLUSTER),
        Image::qcow2().be64(88, 1).extension(
            0x2385_2875,
            &[[0, 0, 0, 1, 0, 0, 0, 0], 64_u64.to_be_bytes(), (4 * CLUSTER).to_be_bytes()].concat(),
        ),
        Image::qcow2()
            .be32(32, 2)
            .extension(0x0537_be77, &[(4 * CLUSTER).to_be_bytes(), (2_u64 << 20).to_be_bytes()].concat())
            .put(4 * CLUSTER as usize, &Image::luks().bytes[..592]),
        Image::qcow(),
        Image::luks().cut(2 << 10),
    ];
    let values = prop_oneof![
        any::<u64>(),
        0..16_u64,
        (0..9_u64).prop_map(|cluster| cluster * CLUSTER),
        (0..64_u32).prop_map(|bit| 1 << bit),
        Just(u64::MAX),
    ];
    let edits = vec((prop_oneof![0..160_usize, 0..4000_usize, Just(4 * CLUSTER as usize)], values, 1..9_usize), 0..5);
    (select(images), edits, prop_oneof![Just(usize::MAX), 0..40_000_usize]).prop_map(|(image, edits, length)| {
        let mut bytes = image.bytes;
        for (at, value, width) in edits {
            if let Some(field) = bytes.get_mut(at..at + width) {
                field.copy_from_slice(&value.to_be_bytes()[8 - width..]);
            }
        }
        bytes.truncate(length);
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// All of these images are smaller than what a stream keeps, so nothing passes by unseen.
    #[test]
    fn a_stream_is_seen_as_the_file_is(bytes in mutated(), pieces in vec(1..5000_usize, 1..9)) {
        let file = Image { bytes: bytes.clone(), extensions: 0 }.inspected(&Policy::untrusted());
        prop_assert_eq!(&streamed(&bytes, &pieces), &file);
    }

    #[test]
    fn a_refusal_is_never_taken_back(bytes in mutated(), piece in 1..600_usize) {
        let mut inspector = Inspector::new(Policy::untrusted());
        let verdicts: Vec<_> = bytes.chunks(piece).map(|piece| inspector.push(piece)).collect();
        let so_far = inspector.so_far();
        let inspection = inspector.finish();
        prop_assert!(verdicts.is_sorted());
        prop_assert!(inspection.findings().starts_with(so_far.findings()));
        if verdicts.last() == Some(&Some(Verdict::Refuse)) {
            prop_assert_eq!(inspection.verdict(), Verdict::Refuse);
        }
        // The same code decides whether there is a finding and whether it is granted.
        prop_assert_eq!(inspection.verdict() == Verdict::Refuse, !inspection.findings().is_empty());
        let granted = Image { bytes, extensions: 0 }.inspected(&Policy::facts_only());
        prop_assert_eq!(granted.findings(), &[]);
    }
}

/// An image whose tables lie beyond what is kept of a stream anyway, in the order in which `places` has them.
fn far(snapshot: u64, bitmap: u64) -> Image {
    let far = limits::HEAD as u64;
    let mut image = Image::qcow2();
    image.bytes.resize(limits::HEAD + 32 * CLUSTER as usize, 0);
    let (snapshot, bitmap) = (far + snapshot * CLUSTER, far + bitmap * CLUSTER);
    let (s, b) = (snapshot as usize, bitmap as usize);
    let directory = [[0, 0, 0, 1, 0, 0, 0, 0], 32_u64.to_be_bytes(), bitmap.to_be_bytes()].concat();
    let image = image.be32(60, 1).be64(64, snapshot).be16(s + 14, 4).put(s + 40, b"name");
    let image = image.be64(88, 1).extension(0x2385_2875, &directory).be64(b, 4 * CLUSTER).be32(b + 8, 1);
    image.put(b + 16, &[1, 16, 0, 1]).put(b + 24, b"b")
}

#[test]
fn tables_may_come_in_any_order() {
    for image in [far(1, 5), far(5, 1), far(1, 2).be16(limits::HEAD + CLUSTER as usize + 14, 5000)] {
        let file = image.inspected(&Policy::untrusted());
        for pieces in [&[1 << 20][..], &[usize::MAX], &[4093, 1, 70_001]] {
            assert_eq!(streamed(&image.bytes, pieces), file);
        }
    }
    assert_eq!(far(5, 1).refused_for(), []);
}

#[test]
fn what_passed_by_is_not_guessed() {
    // The L2 table is behind the first cluster, which must be ciphertext.
    let cluster = limits::HEAD as u64 + CLUSTER;
    let l2 = cluster + CLUSTER;
    let mut image = Image::qcow2().be32(32, 1).be64(3 * CLUSTER as usize, l2);
    image.bytes.resize(limits::HEAD + 8 * CLUSTER as usize, 0);
    let image = image.be64(l2 as usize, cluster);
    assert_eq!(image.refused_for(), []);
    for piece in [1000, 1 << 20, usize::MAX] {
        let codes: Vec<_> = streamed(&image.bytes, &[piece]).findings().iter().map(|finding| finding.code).collect();
        assert_eq!(codes, [Code::Unreadable], "{piece}");
    }
    // It is among the last bytes, but the verdict is out by then.
    let mut inspector = Inspector::new(Policy::untrusted());
    let image = image.cut(l2 as usize + 8);
    assert_eq!(inspector.push(&image.bytes), Some(Verdict::Refuse));
    assert_eq!(inspector.finish().verdict(), Verdict::Refuse);
}

#[test]
fn the_verdict_comes_as_soon_as_it_is_certain() {
    let verdict_after = |image: &Image| {
        let mut inspector = Inspector::new(Policy::untrusted());
        1 + image.bytes.iter().position(|byte| inspector.push(&[*byte]) == Some(Verdict::Refuse)).unwrap()
    };
    let backing = Image::qcow2().backing_file(b"/etc/shadow");
    // As soon as it is known what it is.
    assert_eq!(verdict_after(&backing), 1024);
    let nested = Image::luks().put(4040 * 512, b"QFI\xfb");
    let mut nested_and_more = nested;
    nested_and_more.bytes.resize(3 << 20, 0);
    assert_eq!(verdict_after(&nested_and_more), 4040 * 512 + 1024);
}

#[test]
fn memory_is_bounded_whatever_comes() {
    let mut inspector = Inspector::new(Policy::untrusted());
    let image = far(5, 1).be16(limits::HEAD + 5 * CLUSTER as usize + 14, 4);
    inspector.push(&image.bytes);
    let zeros = vec![0; 1 << 20];
    for _ in 0..64 {
        inspector.push(&zeros);
    }
    let kept = inspector.kept();
    assert!((limits::HEAD..limits::HEAD + limits::READ + 3 * limits::TAIL).contains(&kept), "{kept}");
    assert_eq!(inspector.finish().verdict(), Verdict::Accept);
}
