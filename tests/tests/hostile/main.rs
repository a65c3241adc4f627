//! Images from strangers who mean harm, against inspection and against the real qemu-img.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod corruptions;
mod limits;
mod oracle;
mod real;
mod refusals;
mod truncations;

use std::io::Cursor;

use qemu_info::inspect::{Inspection, Inspector, Policy, inspect, inspect_file};
use tests::hostile::image::Image;

/// Inspects an image as a file.
fn inspected(image: &Image, policy: &Policy) -> Inspection {
    if image.size > image.bytes.len() as u64 {
        let file = tempfile::tempfile().unwrap();
        image.write_to(&file);
        return inspect_file(&file, policy).unwrap();
    }
    inspect(Cursor::new(&image.bytes), policy).unwrap()
}

/// Inspects an image as streams in pieces of several sizes, unless it has a hole. All must say what the file did.
fn streamed(image: &Image, policy: &Policy, whole: &Inspection) {
    let sizes = [image.bytes.len() / 100 + 13, 64 << 10, usize::MAX];
    for size in sizes.into_iter().filter(|_| image.size == image.bytes.len() as u64) {
        let mut inspector = Inspector::new(policy.clone());
        for piece in image.bytes.chunks(size) {
            inspector.push(piece);
        }
        assert_eq!(inspector.finish(), *whole, "in pieces of {size}");
    }
}

/// Whether to try everything, rather than a part that is done in a minute.
fn long() -> bool {
    std::env::var_os("QEMU_TESTS_LONG").is_some()
}
