//! Images that a command reads or writes.

mod node;
mod object;
mod source;

use std::ffi::OsString;
use std::path::PathBuf;

pub use object::Object;
pub use source::{Source, SourceForm};

pub(crate) use node::Spelled;
pub(crate) use object::{Kind, references};

use crate::{Error, Format, Location, NewImage, rules};

/// The image that a convert writes.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Target(pub(crate) TargetKind);

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TargetKind {
    New { location: Location, image: NewImage },
    Existing(Source),
}

impl Target {
    /// A new image. A file that has this name is overwritten.
    pub fn new(location: impl Into<Location>, image: impl Into<NewImage>) -> Self {
        Self(TargetKind::New { location: location.into(), image: image.into() })
    }

    /// An image or device that exists, is large enough, and keeps its format and key (`-n`).
    #[doc(alias = "-n")]
    pub const fn existing(image: Source) -> Self {
        Self(TargetKind::Existing(image))
    }

    /// The same target at another place.
    pub fn at(self, location: impl Into<Location>) -> Self {
        Self(match self.0 {
            TargetKind::New { image, .. } => TargetKind::New { location: location.into(), image },
            TargetKind::Existing(image) => TargetKind::Existing(image.at(location)),
        })
    }

    /// What is made; `None` of an image that exists.
    #[must_use]
    pub const fn new_image(&self) -> Option<&NewImage> {
        match &self.0 {
            TargetKind::New { image, .. } => Some(image),
            TargetKind::Existing(_) => None,
        }
    }

    /// The image as it can be read when it is there, with its key.
    ///
    /// # Errors
    /// What keeps a new one from being made: see [`Error`].
    pub fn as_source(&self) -> Result<Source, Error> {
        match &self.0 {
            TargetKind::New { location, image } => image.as_source(location.clone()),
            TargetKind::Existing(image) => Ok(image.clone()),
        }
    }

    /// Where it is.
    #[must_use]
    pub const fn location(&self) -> &Location {
        match &self.0 {
            TargetKind::New { location, .. } => location,
            TargetKind::Existing(image) => image.location(),
        }
    }

    /// Its format; `None` of an existing one that is probed, which is refused.
    pub(crate) const fn format(&self) -> Option<Format> {
        match &self.0 {
            TargetKind::New { image, .. } => Some(image.format()),
            TargetKind::Existing(image) => image.format(),
        }
    }

    /// Whether writing it would overwrite what is read of the source.
    pub(crate) fn check_is_not(&self, source: &Source) -> Result<(), Error> {
        let bottom = match &self.0 {
            TargetKind::New { .. } => None,
            TargetKind::Existing(image) => image.places().into_iter().next(),
        };
        rules::check_not_written(source, bottom.iter().chain([self.location()]))
    }
}

/// The plain name of a place that can only be given so.
pub(crate) fn plain_name(location: &Location) -> Result<OsString, Error> {
    location.plain_name()?.ok_or_else(|| Error::LocationNeedsNode { name: location.display_name() })
}

/// A backing file: a place and the format of the image there, which is never probed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Backing {
    location: Location,
    format: Option<Format>,
}

impl Backing {
    /// The image at `location`. A relative path is relative to the directory of the image that it backs.
    pub fn new(location: impl Into<Location>, format: Format) -> Self {
        Self { location: location.into(), format: Some(format) }
    }

    /// The image at `location`, whose format **qemu-img guesses from its content**, whoever wrote that: see
    /// [`Source::probing`]. Only qemu before 6.1 takes it.
    pub fn probing(location: impl Into<Location>) -> Self {
        Self { location: location.into(), format: None }
    }

    pub(crate) const fn maybe_probing(location: Location, format: Option<Format>) -> Self {
        Self { location, format }
    }

    /// Where it is.
    #[must_use]
    pub const fn location(&self) -> &Location {
        &self.location
    }

    /// Its format; `None` if it is probed.
    #[must_use]
    pub const fn format(&self) -> Option<Format> {
        self.format
    }

    pub(crate) fn name(&self) -> Result<OsString, Error> {
        // The field of the qcow2 header holds 1023 bytes.
        const MAX: usize = 1023;
        let name = plain_name(&self.location)?;
        let length = name.as_encoded_bytes().len();
        if length > MAX {
            return Err(Error::BackingNameTooLong { path: PathBuf::from(name), length });
        }
        Ok(name)
    }
}
