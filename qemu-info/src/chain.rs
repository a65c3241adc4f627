//! An image and what it is based on.

use std::collections::HashSet;
use std::{iter, slice, vec};

use serde::{Deserialize, Serialize, Serializer};

use crate::error::{Error, any_from_json};
use crate::{ImageInfo, name_is_lossy};

/// The most images that a [`BackingChain`] can have.
///
/// qemu has no limit of its own, but needs memory, open files and time for each image: nobody works with such a
/// chain. libvirt refuses more than 200, too.
pub const MAX_CHAIN_DEPTH: usize = 200;

/// An image and its backing files, as `qemu-img info --output=json --backing-chain` prints them: an
/// array, the image itself first. There is always at least that one; no name occurs twice, but for
/// [lossy](name_is_lossy) ones, and there are at most [`MAX_CHAIN_DEPTH`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<ImageInfo>")]
pub struct BackingChain {
    top: ImageInfo,
    backing: Vec<ImageInfo>,
}

/// Why images are not a [`BackingChain`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChainError {
    /// There is no image at all.
    #[error("a backing chain has at least one image")]
    Empty,

    /// There are more than [`MAX_CHAIN_DEPTH`] images.
    #[error("a backing chain of {depth} images is deeper than {MAX_CHAIN_DEPTH}")]
    TooDeep {
        /// How many there are.
        depth: usize,
    },

    /// An image is its own backing file, directly or through others. Names are compared as they are: nothing is
    /// looked up on the host.
    #[error("the backing chain comes back to `{filename}`")]
    Cycle {
        /// The name of the image.
        filename: String,
    },
}

impl BackingChain {
    /// Reads the output of `qemu-img info --output=json --backing-chain`.
    ///
    /// # Errors
    ///
    /// [`Error::Chain`] for a cycle, for too many images and for none; any [`Error`] of reading JSON, of them
    /// [`Error::Unexpected`] for a single object, which is what `info` prints without `--backing-chain`. An object is
    /// not taken for a chain of one: it says nothing about what is below the image, so the chain would claim an end that
    /// nobody has seen.
    pub fn from_json(json: &[u8]) -> Result<Self, Error> {
        let layers: Vec<ImageInfo> = any_from_json(json)?;
        Self::try_from(layers).map_err(|source| Error::Chain { source })
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

    /// The block driver of each image, the top one first.
    pub fn formats(&self) -> impl DoubleEndedIterator<Item = &str> + Clone {
        self.layers().map(|layer| layer.format.as_str())
    }

    /// The number of images: 1 if the top one has no backing file.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.backing.len() + 1
    }
}

impl TryFrom<Vec<ImageInfo>> for BackingChain {
    type Error = ChainError;

    fn try_from(layers: Vec<ImageInfo>) -> Result<Self, ChainError> {
        if layers.len() > MAX_CHAIN_DEPTH {
            return Err(ChainError::TooDeep { depth: layers.len() });
        }
        let mut seen = HashSet::new();
        // Two names that are printed alike because bytes were lost need not be one.
        let mut exact = layers.iter().map(|layer| &layer.filename).filter(|name| !name_is_lossy(name));
        if let Some(again) = exact.find(|name| !seen.insert(*name)) {
            return Err(ChainError::Cycle { filename: again.clone() });
        }
        let mut layers = layers.into_iter();
        let top = layers.next().ok_or(ChainError::Empty)?;
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
    use crate::BackingNameError;

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
        assert!(matches!(chain(&[]), Err(Error::Chain { source: ChainError::Empty })));
        let Err(error) = serde_json::from_str::<BackingChain>("[]") else { panic!("an empty chain") };
        assert!(error.to_string().contains("at least one image"), "{error}");
    }

    #[test]
    fn a_cycle_is_not_a_chain() {
        let Err(Error::Chain { source }) = chain(&[BASE, TOP, BASE]) else { panic!("a cycle") };
        assert_eq!(source, ChainError::Cycle { filename: "base.raw".into() });
        // Printed alike, and not one file for that.
        let lossy = [TOP, BASE].map(|layer| layer.replace("base.raw", "b\u{fffd}").replace("top.qcow2", "b\u{fffd}"));
        assert_eq!(chain(&[&lossy[0], &lossy[1]]).unwrap().depth(), 2);
    }

    #[test]
    fn an_absurd_depth_is_refused() {
        let layers: Vec<_> = (0..=MAX_CHAIN_DEPTH).map(|i| BASE.replace("base", &i.to_string())).collect();
        let layers: Vec<&str> = layers.iter().map(String::as_str).collect();
        assert_eq!(chain(&layers[1..]).unwrap().depth(), MAX_CHAIN_DEPTH);
        let Err(Error::Chain { source }) = chain(&layers) else { panic!("{MAX_CHAIN_DEPTH} + 1") };
        assert_eq!(source, ChainError::TooDeep { depth: MAX_CHAIN_DEPTH + 1 });
    }

    #[test]
    fn where_the_backing_file_is() {
        let chain = chain(&[TOP, BASE]).unwrap();
        assert_eq!(chain.formats().collect::<Vec<_>>(), ["qcow2", "raw"]);
        let mut top = chain.top().clone();
        assert_eq!(top.resolved_backing_name().unwrap().as_deref(), Some("base.raw"));
        top.filename = "/vm/top.qcow2".into();
        assert_eq!(top.resolved_backing_name().unwrap().as_deref(), Some("/vm/base.raw"));
        top.full_backing_filename = Some("/elsewhere/base.raw".into());
        assert_eq!(top.resolved_backing_name().unwrap().as_deref(), Some("/elsewhere/base.raw"));
        assert_eq!(chain.layers().next_back().unwrap().resolved_backing_name().unwrap(), None);
        top.full_backing_filename = None;
        top.filename = "json:{}".into();
        assert!(matches!(top.resolved_backing_name(), Err(BackingNameError::NoFolder(_))));
        for (overlay, name) in [("/vm/top", "b\u{fffd}se"), ("/v\u{fffd}m/top", "base")] {
            (top.filename, top.backing_filename) = (overlay.into(), Some(name.into()));
            assert!(matches!(top.resolved_backing_name(), Err(BackingNameError::Lossy { .. })), "{overlay} {name}");
        }
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
