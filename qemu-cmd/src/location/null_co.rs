//! Disks that forget.

use std::ffi::OsString;

use super::Driver;
use super::builder::{self, Builder, parts};
use crate::{ByteSize, Error, KeyVal};

/// A disk that forgets what is written, for measuring and for cutting off what an image would otherwise open.
///
/// As a name it is `null-co://`, which has no options; as a node it has the keys `driver`, `size`, `read-zeroes`.
///
/// Refused are a size that is no multiple of 512 bytes, which qemu rounds up without a word, and one of more than
/// 9223372035781033984 bytes. Source: QAPI type `BlockdevOptionsNull`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[must_use]
pub struct NullCo {
    size: Option<ByteSize>,
    read_zeroes: Option<bool>,
}

impl NullCo {
    /// A disk of 1 GiB with undefined content.
    pub const fn new() -> Self {
        Self { size: None, read_zeroes: None }
    }

    parts! {
        /// The size. Default: 1 GiB.
        copy size: ByteSize;
        /// Whether it reads as zeros. Default: no, **what is read is whatever the memory held**.
        #[doc(alias = "read-zeroes")]
        copy read_zeroes: bool;
    }
}

impl Driver for NullCo {
    fn node(&self) -> Result<KeyVal, Error> {
        // The largest disk of the block layer.
        const MAX: u64 = 0x7fff_ffff_c000_0000;
        let node = Builder::new("null-co");
        if let Some(size) = self.size.filter(|size| size.as_u64() > MAX) {
            return Err(node.refusal("size", size, "a disk has at most 9223372035781033984 bytes"));
        }
        Ok(node.sectors("size", self.size)?.switch("read-zeroes", self.read_zeroes).done())
    }

    fn plain_name(&self) -> Result<Option<OsString>, Error> {
        self.node()?;
        Ok((*self == Self::new()).then(|| "null-co://".into()))
    }

    fn read(node: &KeyVal) -> Option<Self> {
        Some(Self { size: builder::bytes(node, "size"), read_zeroes: builder::switch(node, "read-zeroes") })
    }
}
