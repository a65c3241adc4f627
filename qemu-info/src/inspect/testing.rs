//! What the parsers' tests share.

use std::io::Cursor;

use super::{Code, Inspection, Policy, inspect};

/// An image of zeros, and what stands where in it.
pub(super) fn image(size: usize, parts: &[(usize, &[u8])]) -> Vec<u8> {
    patched(&vec![0; size], parts)
}

/// The image with some bytes changed.
pub(super) fn patched(image: &[u8], parts: &[(usize, &[u8])]) -> Vec<u8> {
    let mut image = image.to_vec();
    for (at, bytes) in parts {
        image[*at..at + bytes.len()].copy_from_slice(bytes);
    }
    image
}

/// What is known of an image, whatever is wrong with it.
pub(super) fn facts(image: &[u8]) -> Inspection {
    inspect(Cursor::new(image), &Policy::facts_only()).unwrap()
}

/// What an untrusted image is refused for, and where that stands.
pub(super) fn refused(image: &[u8]) -> Vec<(Code, u64)> {
    let inspection = inspect(Cursor::new(image), &Policy::untrusted()).unwrap();
    inspection.findings().iter().map(|finding| (finding.code, finding.offset)).collect()
}
