//! How large an image would be.

use serde::{Deserialize, Serialize};

use crate::error::{Error, from_json};

/// How large the file of a new image would be, as `qemu-img measure --output=json` prints it (QAPI
/// `BlockMeasureInfo`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Measurement {
    /// What the image takes with the data that it would hold now, in bytes. Without the bitmaps.
    pub required: u64,

    /// What it takes once every cluster is written, in bytes. Without the bitmaps.
    pub fully_allocated: u64,

    /// What its bitmaps take on top of that, in bytes, if they are copied (`convert --bitmaps`). Absent if
    /// source or target cannot hold bitmaps, and if a size was measured and not an image. Since qemu 5.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bitmaps: Option<u64>,
}

impl Measurement {
    /// Reads the output of `qemu-img measure --output=json`.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of reading JSON.
    pub fn from_json(json: &[u8]) -> Result<Self, Error> {
        from_json(json)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_exact() {
        let json = br#"{"required":9007199254740993,"fully-allocated":18446744073709551615,"bitmaps":0,"new":[]}"#;
        let measured = Measurement::from_json(json).unwrap();
        assert_eq!(measured.required, (1 << 53) + 1);
        assert_eq!(measured.fully_allocated, u64::MAX);
        assert_eq!(measured.bitmaps, Some(0));
    }

    #[test]
    fn half_an_answer_is_none() {
        for end in 1..br#"{"required":1,"fully-allocated":2}"#.len() {
            let cut = Measurement::from_json(&br#"{"required":1,"fully-allocated":2}"#[..end]);
            assert!(matches!(cut, Err(Error::Incomplete { .. })), "{end}: {cut:?}");
        }
        assert!(matches!(Measurement::from_json(br#"{"required":1}"#), Err(Error::Unexpected { .. })));
        assert!(matches!(Measurement::from_json(b"[1,2]"), Err(Error::Unexpected { .. })));
        assert!(matches!(Measurement::from_json(b"required size: 1\n"), Err(Error::Malformed { .. })));
    }
}
