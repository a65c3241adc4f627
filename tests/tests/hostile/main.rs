//! Images from strangers who mean harm, against inspection and against the real qemu-img.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod oracle;
mod refusals;
