//! Images from strangers, made field by field: no qemu-img is needed for them, and no blob is kept.
//!
//! [`plain`] has an image of every format that is as it should be; the others start from those.

pub mod bombs;
pub mod image;
pub mod plain;
pub mod polyglots;
pub mod tricks;

use std::path::{Path, PathBuf};

use qemu_info::inspect::{Code, ImageFormat, Policy};

use image::Image;

/// An image that must be refused, and why.
#[derive(Clone, Debug)]
pub struct Hostile {
    /// What it is called, also as a file: some of them name themselves or each other.
    pub name: String,
    /// What it is.
    pub image: Image,
    /// As what its owner passes it off, if that is what makes it hostile.
    pub claimed: Option<ImageFormat>,
    /// What it is found to be.
    pub format: ImageFormat,
    /// What it must be refused for, and where the field stands that says so. There may be more.
    pub refused: (Code, u64),
}

impl Hostile {
    fn new(name: impl Into<String>, format: ImageFormat, image: Image, refused: (Code, u64)) -> Self {
        Self { name: name.into(), image, claimed: None, format, refused }
    }

    fn claimed(self, format: ImageFormat) -> Self {
        Self { claimed: Some(format), ..self }
    }

    /// The policy for strangers, with the claim.
    pub fn policy(&self) -> Policy {
        self.claimed.map_or_else(Policy::untrusted, |format| Policy::untrusted().claimed(format))
    }

    /// Writes it into the directory, under its name.
    pub fn write(&self, directory: &Path) -> PathBuf {
        let path = directory.join(&self.name);
        self.image.write(&path);
        path
    }
}

/// Every one of them. They reach for what is in `host`, which [`tricks::bait`] lays out.
#[must_use]
pub fn all(host: &Path) -> Vec<Hostile> {
    let mut all = tricks::all(host);
    all.extend(bombs::all());
    all.extend(polyglots::all());
    all.extend(polyglots::contradictions());
    all
}
