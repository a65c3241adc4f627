//! Several fields changed at once, in an image of any format that may also be cut or longer.
//!
//! A stream is seen as the file is, and what is accepted as qemu-img sees it.

use std::cell::Cell;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::TestRunner;
use qemu_info::inspect::{ImageFormat, Policy, Verdict};
use tests::hostile::image::Image;
use tests::hostile::plain;
use tests::property::tries;
use tests::{long, scratch};

use crate::oracle::{can_open, differences, info};
use crate::{in_pieces, inspected};

/// What fields are likely to hold, and what they should not.
fn values() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(0),
        Just(u64::MAX),
        0..16_u64,
        (0..9_u64).prop_map(|sector| sector * 512),
        (0..9_u64).prop_map(|cluster| cluster * 4096),
        (0..64_u32).prop_map(|bit| 1 << bit),
        any::<u64>(),
    ]
}

/// One field: in or behind which of the parts that are not all zeros, how wide, and whether its least byte comes first.
type Edit = (Index, usize, u64, usize, bool);

fn edited(image: &Image, edits: &[Edit]) -> Image {
    let parts: Vec<usize> = (0..image.bytes.len().saturating_sub(32)).step_by(16).collect();
    let parts: Vec<usize> =
        parts.into_iter().filter(|at| image.bytes[*at..at + 16].iter().any(|byte| *byte != 0)).collect();
    edits.iter().fold(image.clone(), |image, (part, within, value, width, little)| {
        let at = part.get(&parts) + within;
        match little {
            true => image.put(at, &value.to_le_bytes()[..*width]),
            false => image.put(at, &value.to_be_bytes()[8 - width..]),
        }
    })
}

/// With checksums that are right, or nothing but checksums would be tested, and of a writer on whose meaning every
/// version of qemu agrees.
fn sealed(name: &str, image: Image) -> Image {
    match name {
        "vhdx" => plain::vhdx_sealed(image),
        "vpc-dynamic" => image.put(28, b"win ").sum(0, 512, 64).sum(512, 1024, 36),
        "vpc-fixed" => image.put((64 << 10) + 28, b"win ").sum(64 << 10, 512, 64),
        _ => image,
    }
}

fn mutated() -> impl Strategy<Value = (&'static str, Image)> {
    let edit = (any::<Index>(), 0..16_usize, values(), select(vec![1, 2, 4, 8]), any::<bool>());
    let length = prop_oneof![4 => Just(None), 1 => any::<Index>().prop_map(|cut| Some(Ok(cut))), 1 => (0..1024_usize).prop_map(|more| Some(Err(more)))];
    (select(plain::all()), vec(edit, 1..4), length).prop_map(|((name, _, image), edits, length)| {
        let image = sealed(name, edited(&image, &edits));
        let image = match length {
            None => image,
            Some(Ok(cut)) => {
                let length = cut.index(image.bytes.len());
                image.cut(length)
            }
            Some(Err(more)) => {
                let end = image.bytes.len();
                image.put(end, &vec![0; more])
            }
        };
        (name, image)
    })
}

proptest! {
    #![proptest_config(tries(if long() { 100_000 } else { 1000 }))]

    #[test]
    fn a_stream_is_seen_as_the_file_is((name, image) in mutated(), piece in 1..70_000_usize) {
        let file = inspected(&image, &Policy::untrusted());
        // Small pieces of a large image would only take long.
        let piece = piece.max(image.bytes.len() / 1000);
        prop_assert_eq!(in_pieces(&image, &Policy::untrusted(), piece), file, "{} in pieces of {}", name, piece);
    }
}

#[test]
fn what_is_accepted_qemu_img_sees_alike() {
    let (cases, asked) = (if long() { 20_000 } else { 200 }, Cell::new(0));
    let result = TestRunner::new(tries(cases)).run(&mutated(), |(name, image)| {
        let found = inspected(&image, &Policy::untrusted());
        if found.verdict() == Verdict::Accept && can_open(found.format()) {
            asked.set(asked.get() + 1);
            let directory = scratch();
            let path = directory.path().join("image");
            image.write(&path);
            match info(&path, found.format()) {
                Ok(info) => prop_assert_eq!(differences(&found, &info), [""; 0], "{}", name),
                // Its list of chunks is not looked at, and may be no list.
                Err(why) => {
                    let may_fail = found.format() == ImageFormat::Dmg && why.ends_with("Invalid argument");
                    prop_assert!(may_fail, "{name}: {why}");
                }
            }
        }
        Ok(())
    });
    result.unwrap_or_else(|failure| panic!("{failure}"));
    assert!(asked.get() > cases / 20, "qemu-img was asked {} times", asked.get());
}
