//! Which parts of an image hold data.

mod extents;
mod runs;

pub use extents::{MAX_ENTRY, MapExtents};
pub use runs::{ExtentsExt, Runs};

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::Error;

/// One part of an image, as `qemu-img map --output=json` prints it (QAPI `MapEntry`).
///
/// The parts follow each other without gaps. An empty image, and a map from behind the end, is one part of length
/// 0 with neither [`data`](Self::data) nor [`zero`](Self::zero).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct MapExtent {
    /// Where it begins for the guest, in bytes.
    pub start: u64,

    /// How long it is, in bytes.
    pub length: u64,

    /// In which image of the chain it was found: 0 is the top one.
    pub depth: u64,

    /// Whether an image of the chain has it; if not, another backing file below could still change what is read.
    /// Absent before qemu 6.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub present: Option<bool>,

    /// Whether it reads as zeros.
    pub zero: bool,

    /// Whether it is allocated as data. It can read as [`zero`](Self::zero) all the same.
    pub data: bool,

    /// Whether it is compressed. Absent before qemu 8.2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compressed: Option<bool>,

    /// Where it stands in the file of the image, in bytes. Absent if it cannot be read there as it is:
    /// unallocated, compressed, encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
}

impl MapExtent {
    /// Reads the whole output of `qemu-img map --output=json`.
    ///
    /// 1 Mi extents take 48 MiB or more: [`MapExtents`] reads them one by one.
    ///
    /// # Errors
    ///
    /// Those of [`MapExtents`].
    pub fn all_from_json(json: &[u8]) -> Result<Vec<Self>, Error> {
        MapExtents::new(json).collect()
    }

    /// The bytes that the guest sees there. Numbers that no image can have end at 2⁶⁴ - 1.
    #[must_use]
    pub const fn range(&self) -> Range<u64> {
        self.start..self.start.saturating_add(self.length)
    }
}
