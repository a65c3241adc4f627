//! An image and what it is based on.

use std::{iter, slice, vec};

use serde::{Deserialize, Serialize, Serializer};

use crate::ImageInfo;
use crate::error::{Error, from_json};

/// An image and its backing files, as `qemu-img info --output=json --backing-chain` prints them: an
/// array, the image itself first. There is always at least that one.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<ImageInfo>")]
pub struct BackingChain {
    top: ImageInfo,
    backing: Vec<ImageInfo>,
}

/// A backing chain was to be made of no image at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a backing chain has at least one image")]
pub struct EmptyChain;

impl BackingChain {
    /// Reads the output of `qemu-img info --output=json --backing-chain`.
    ///
    /// # Errors
    ///
    /// Any [`Error`]; [`Error::Unexpected`] for an empty array, and for a single object, which is what
    /// `info` prints without `--backing-chain`. An object is not taken for a chain of one: it says
    /// nothing about what is below the image, so the chain would claim an end that nobody has seen.
    pub fn from_json(json: &[u8]) -> Result<Self, Error> {
        from_json(json)
    }

    /// The image that was asked about.
    #[must_use]
    pub fn top(&self) -> &ImageInfo {
        &self.top
    }

    /// All images, the top one first, each followed by its backing file.
    pub fn layers(&self) -> impl DoubleEndedIterator<Item = &ImageInfo> + Clone {
        self.into_iter()
    }

    /// The number of images: 1 if the top one has no backing file.
    #[must_use]
    pub fn depth(&self) -> usize {
        // No overflow: memory does not hold that many.
        self.backing.len() + 1
    }
}

impl TryFrom<Vec<ImageInfo>> for BackingChain {
    type Error = EmptyChain;

    fn try_from(layers: Vec<ImageInfo>) -> Result<Self, EmptyChain> {
        let mut layers = layers.into_iter();
        let top = layers.next().ok_or(EmptyChain)?;
        Ok(Self { top, backing: layers.collect() })
    }
}

impl Serialize for BackingChain {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self)
    }
}

impl IntoIterator for BackingChain {
    type Item = ImageInfo;
    type IntoIter = iter::Chain<iter::Once<ImageInfo>, vec::IntoIter<ImageInfo>>;

    fn into_iter(self) -> Self::IntoIter {
        iter::once(self.top).chain(self.backing)
    }
}

impl<'a> IntoIterator for &'a BackingChain {
    type Item = &'a ImageInfo;
    type IntoIter = iter::Chain<iter::Once<&'a ImageInfo>, slice::Iter<'a, ImageInfo>>;

    fn into_iter(self) -> Self::IntoIter {
        iter::once(&self.top).chain(&self.backing)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    const TOP: &str = r#"{"filename":"top.qcow2","format":"qcow2","virtual-size":1,"backing-filename":"base.raw"}"#;
    const BASE: &str = r#"{"filename":"base.raw","format":"raw","virtual-size":2}"#;

    fn chain(layers: &[&str]) -> Result<BackingChain, Error> {
        BackingChain::from_json(format!("[{}]", layers.join(",")).as_bytes())
    }

    #[test]
    fn a_chain_of_one() {
        let chain = chain(&[BASE]).unwrap();
        assert_eq!(chain.depth(), 1);
        assert_eq!(chain.top().filename, "base.raw");
        assert_eq!(chain.layers().count(), 1);
    }

    #[test]
    fn a_chain_of_two() {
        let chain = chain(&[TOP, BASE]).unwrap();
        assert_eq!(chain.depth(), 2);
        assert_eq!(chain.top().filename, "top.qcow2");
        assert_eq!(chain.layers().next_back().unwrap().filename, "base.raw");
        let sizes: Vec<u64> = chain.into_iter().map(|layer| layer.virtual_size).collect();
        assert_eq!(sizes, [1, 2]);
    }

    #[test]
    fn one_object_is_not_a_chain() {
        assert!(matches!(BackingChain::from_json(TOP.as_bytes()), Err(Error::Unexpected { .. })));
    }

    #[test]
    fn an_empty_array_is_not_a_chain() {
        let Err(Error::Unexpected { source }) = chain(&[]) else { panic!("an empty chain") };
        assert!(source.to_string().contains("at least one image"), "{source}");
    }

    #[test]
    fn an_unfinished_array_is_incomplete() {
        let whole = format!("[{TOP},{BASE}]");
        for end in 1..whole.len() {
            let cut = BackingChain::from_json(&whole.as_bytes()[..end]);
            assert!(matches!(cut, Err(Error::Incomplete { .. })), "{end}: {cut:?}");
        }
    }
}
