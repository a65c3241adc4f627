//! Images from strangers who mean harm, against inspection and against the real qemu-img.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod corruptions;
mod limits;
mod mutations;
mod oracle;
mod real;
mod refusals;
mod truncations;

use std::io::Cursor;

use limits::in_time;
use qemu_info::inspect::{Inspection, Inspector, Policy, inspect, inspect_file};
use tests::hostile::image::Image;

/// Inspects an image as a file, in the time that it may take.
fn inspected(image: &Image, policy: &Policy) -> Inspection {
    if image.size > image.bytes.len() as u64 {
        let file = tempfile::tempfile().unwrap();
        image.write_to(&file);
        return in_time(|| inspect_file(&file, policy)).unwrap();
    }
    in_time(|| inspect(Cursor::new(&image.bytes), policy)).unwrap()
}

/// Inspects an image as streams in pieces of several sizes, unless it has a hole. All must say what the file did.
fn streamed(image: &Image, policy: &Policy, whole: &Inspection) {
    let sizes = [image.bytes.len() / 100 + 13, 64 << 10, usize::MAX];
    for size in sizes.into_iter().filter(|_| image.size == image.bytes.len() as u64) {
        assert_eq!(in_pieces(image, policy, size), *whole, "in pieces of {size}");
    }
}

/// Inspects an image as a stream, in the time that it may take.
fn in_pieces(image: &Image, policy: &Policy, size: usize) -> Inspection {
    in_time(|| {
        let mut inspector = Inspector::new(policy.clone());
        image.bytes.chunks(size).for_each(|piece| {
            inspector.push(piece);
        });
        inspector.finish()
    })
}
