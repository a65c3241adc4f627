//! Places over other places: a part of one, and one with its speed limited.

use super::builder::{self, Builder, parts};
use super::{Driver, Location};
use crate::{ByteSize, Error, KeyVal};

/// A part of another place, such as a partition: qemu's `raw` driver with an offset.
///
/// It has no plain name. The node has the keys `driver` (which is `raw`), `offset`, `size`, and those of the place
/// below after `file.`.
///
/// Refused are a size that is no multiple of 512 bytes, and numbers beyond 63 bits. qemu-img refuses a window that does
/// not lie in the place below. Source: QAPI type `BlockdevOptionsRaw`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct Window {
    over: Box<Location>,
    offset: ByteSize,
    size: Option<ByteSize>,
}

impl Window {
    /// What follows `offset` in `over`, to its end.
    pub fn new(over: impl Into<Location>, offset: ByteSize) -> Self {
        Self { over: Box::new(over.into()), offset, size: None }
    }

    parts! {
        /// How much of it; a multiple of 512 bytes. Default: all that follows.
        copy size: ByteSize;
    }

    /// The place below.
    #[must_use]
    pub const fn over(&self) -> &Location {
        &self.over
    }
}

impl Driver for Window {
    fn node(&self) -> Result<KeyVal, Error> {
        let node = Builder::new("raw").size("offset", Some(self.offset))?.sectors("size", self.size)?;
        if self.offset.as_u64().checked_add(self.size.unwrap_or_default().as_u64()).is_none_or(|end| end >> 63 > 0) {
            return Err(node.refusal("size", self.size.unwrap_or_default(), "the window ends beyond 63 bits"));
        }
        Ok(node.child("file", &self.over)?.done())
    }

    fn read(node: &KeyVal) -> Option<Self> {
        Some(Self {
            over: Box::new(builder::child(node, "file")?),
            offset: builder::bytes(node, "offset")?,
            size: builder::bytes(node, "size"),
        })
    }
}

/// Another place, with its speed limited by a `throttle-group` object.
///
/// It has no plain name. The node has the keys `driver`, `throttle-group`, and those of the place below after `file.`.
///
/// Refused is what cannot be the id of an object. Source: QAPI type `BlockdevOptionsThrottle`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct Throttle {
    over: Box<Location>,
    throttle_group: String,
}

impl Throttle {
    /// `over`, limited by the `throttle-group` object of this id.
    #[doc(alias = "throttle-group")]
    pub fn new(over: impl Into<Location>, throttle_group: impl Into<String>) -> Self {
        Self { over: Box::new(over.into()), throttle_group: throttle_group.into() }
    }

    /// The place below.
    #[must_use]
    pub const fn over(&self) -> &Location {
        &self.over
    }
}

impl Driver for Throttle {
    fn node(&self) -> Result<KeyVal, Error> {
        let node = Builder::new("throttle").object("throttle-group", Some(&self.throttle_group))?;
        Ok(node.child("file", &self.over)?.done())
    }

    fn read(node: &KeyVal) -> Option<Self> {
        let over = Box::new(builder::child(node, "file")?);
        Some(Self { over, throttle_group: builder::value(node, "throttle-group")? })
    }
}
