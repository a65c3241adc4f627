//! Images that end too early: after every byte of their headers, and here and there behind them.

use qemu_info::inspect::{ImageFormat, Policy};
use tests::hostile::plain;

use crate::oracle::Judge;

/// Where every image is cut that is at least so long: after each byte of what comes first, then around sectors.
fn lengths(size: usize) -> impl Iterator<Item = usize> {
    let around = |at: usize| [at.saturating_sub(1), at, at + 1];
    let step = (size / 100).next_multiple_of(512);
    let last = (1..=4).map(move |sectors| size.saturating_sub(512 * sectors));
    (0..1200).chain((1200..size).step_by(step).chain(last).flat_map(around)).filter(move |length| *length < size)
}

#[test]
fn what_is_accepted_qemu_img_sees_alike() {
    let mut judge = Judge::new(23);
    for (name, format, image) in plain::all() {
        let raw = ImageFormat::Raw.admits(format) || format == ImageFormat::Iso;
        let policy = if raw { Policy::untrusted() } else { Policy::untrusted().claimed(format) };
        let (accepted, refused) = (judge.accepted, judge.refused);
        for length in lengths(image.bytes.len()) {
            let short = image.clone().cut(length);
            judge.accepts(|| format!("the first {length} bytes of {name}"), &short, &policy);
        }
        // What is raw stays so, and what has a header is nothing without it.
        assert_eq!(judge.refused == refused, raw, "{name}");
        assert!(raw || judge.refused - refused > 30, "{name}");
        assert!(judge.accepted > accepted, "{name}");
    }
    judge.close();
}
