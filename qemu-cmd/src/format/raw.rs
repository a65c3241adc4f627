use super::{CreateOptions, Preallocation};

/// A new raw image, which has no encryption (see [`LuksImage`](crate::LuksImage)), compression or backing file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Raw {
    preallocation: Option<RawPreallocation>,
}

/// How much of a new raw image is allocated before any data is written: there is no metadata to allocate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RawPreallocation {
    /// `off`: nothing. qemu's default.
    Off,
    /// `falloc`: all space, reserved with fallocate(2).
    Falloc,
    /// `full`: all space, by writing zeros.
    Full,
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

impl Raw {
    /// A raw image with no options given.
    pub const fn new() -> Self {
        Self { preallocation: None }
    }

    /// How much to allocate in advance. Default: `off`.
    pub const fn preallocation(mut self, preallocation: RawPreallocation) -> Self {
        self.preallocation = Some(preallocation);
        self
    }

    pub(super) fn options(&self) -> CreateOptions {
        let preallocation = self.preallocation.map(Preallocation::from);
        let pairs = preallocation.iter().map(|mode| ("preallocation".to_owned(), mode.as_str().to_owned())).collect();
        CreateOptions { pairs, secret: None, preallocation, extended_l2: false }
    }
}
