use super::options::{options, words};
use super::{CreateOptions, Preallocation};
use crate::{ByteSize, Error};

words! {
    /// How much of a new raw image is allocated before any data is written: there is no metadata to allocate.
    RawPreallocation {
        /// nothing. qemu's default.
        Off = "off",
        /// all space, reserved with fallocate(2).
        Falloc = "falloc",
        /// all space, by writing zeros.
        Full = "full",
    }
}

impl From<RawPreallocation> for Preallocation {
    fn from(raw: RawPreallocation) -> Self {
        match raw {
            RawPreallocation::Off => Self::Off,
            RawPreallocation::Falloc => Self::Falloc,
            RawPreallocation::Full => Self::Full,
        }
    }
}

options! {
    /// A new raw image, which has no encryption (see [`LuksImage`](crate::LuksImage)), compression or backing
    /// file.
    Raw {
        /// How much to allocate in advance. Default: `off`.
        preallocation: RawPreallocation = "preallocation",
        /// Whether copy-on-write is switched off for the file, on btrfs. Default: no.
        nocow: bool = "nocow",
        /// By how much the file system extends the file, on XFS and the like; 0 leaves it to the file system.
        /// Default: 1 MiB.
        extent_size_hint: ByteSize = "extent_size_hint",
    }
}

impl Raw {
    pub(super) fn options(&self) -> Result<CreateOptions, Error> {
        Ok(CreateOptions {
            preallocation: self.preallocation.map(Preallocation::from),
            ..CreateOptions::of(self.pairs()?)
        })
    }
}
