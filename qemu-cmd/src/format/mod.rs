//! Image formats, and what a new image of each is like.

mod luks;
pub(crate) mod options;
mod others;
mod qcow2;
mod raw;

use std::fmt;
use std::str::FromStr;

pub use luks::LuksImage;
pub use others::{Parallels, Qcow, Qed, Vdi, VhdSubformat, Vhdx, Vmdk, VmdkAdapter, VmdkSubformat, Vpc};
pub use qcow2::{Compat, CompressionType, Qcow2};
pub use raw::{Raw, RawPreallocation};

use crate::secret::SecretId;
use crate::{ByteSize, Error, Key, KeyVal, Location, Source};

macro_rules! formats {
    ($($(#[$meta:meta])* $variant:ident = $text:literal,)+) => {
        /// A disk image format, under the name that qemu-img's `-f` and `-O` take.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Format { $($(#[$meta])* $variant,)+ }

        impl Format {
            /// Every format.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name on the command line.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }
    };
}

formats! {
    /// The bytes of the disk and nothing else.
    Raw = "raw",
    /// QEMU copy on write, version 2 and 3.
    Qcow2 = "qcow2",
    /// A LUKS volume: what OpenStack calls encrypted raw.
    Luks = "luks",
    /// VMware's VMDK.
    Vmdk = "vmdk",
    /// VirtualBox's VDI.
    Vdi = "vdi",
    /// Hyper-V's VHDX.
    Vhdx = "vhdx",
    /// Virtual PC's and Azure's VHD.
    Vpc = "vpc",
    /// QEMU enhanced disk.
    Qed = "qed",
    /// QEMU copy on write, version 1.
    Qcow = "qcow",
    /// Parallels and Virtuozzo.
    Parallels = "parallels",
    /// Bochs (reading only).
    Bochs = "bochs",
    /// Compressed loop device (reading only).
    Cloop = "cloop",
    /// Apple's disk image (reading only).
    Dmg = "dmg",
}

impl Format {
    /// The option that carries the key of an encrypted image, if the format has encryption.
    pub(crate) const fn key_option(self) -> Option<&'static str> {
        match self {
            Self::Luks => Some("key-secret"),
            Self::Qcow2 | Self::Qcow => Some("encrypt.key-secret"),
            _ => None,
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let known = Self::ALL.iter().copied().find(|format| format.as_str() == name);
        known.ok_or_else(|| Error::UnknownFormat { name: name.to_owned() })
    }
}

options::words! {
    /// How much of a new image is allocated before any data is written (qemu's `preallocation` option).
    Preallocation {
        /// nothing. qemu's default.
        Off = "off",
        /// the format's own tables.
        Metadata = "metadata",
        /// all space, reserved with fallocate(2).
        Falloc = "falloc",
        /// all space, by writing zeros.
        Full = "full",
    }
}

/// An image to be made: its format and that format's create options.
///
/// Encryption belongs to the format's own options, so that an encrypted raw image cannot be written down:
/// what is meant by it is a [`LuksImage`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum NewImage {
    /// A raw image.
    Raw(Raw),
    /// A qcow2 image, encrypted or not.
    Qcow2(Qcow2),
    /// A LUKS volume.
    Luks(LuksImage),
    /// A VMDK image.
    Vmdk(Vmdk),
    /// A VDI image.
    Vdi(Vdi),
    /// A VHD image.
    Vpc(Vpc),
    /// A VHDX image.
    Vhdx(Vhdx),
    /// A QED image.
    Qed(Qed),
    /// A Parallels image.
    Parallels(Parallels),
    /// A qcow image of version 1.
    Qcow(Qcow),
}

macro_rules! new_image_from {
    ($($variant:ident($type:ty)),+) => {
        $(impl From<$type> for NewImage {
            fn from(image: $type) -> Self {
                Self::$variant(image)
            }
        })+
    };
}

new_image_from!(
    Raw(Raw),
    Qcow2(Qcow2),
    Luks(LuksImage),
    Vmdk(Vmdk),
    Vdi(Vdi),
    Vpc(Vpc),
    Vhdx(Vhdx),
    Qed(Qed),
    Parallels(Parallels),
    Qcow(Qcow)
);

/// What a command needs to know of a new image's options.
#[derive(Default)]
pub(crate) struct CreateOptions {
    /// One `-o` each.
    pub(crate) pairs: KeyVal,
    /// The key, under the id that `pairs` refer to.
    pub(crate) key: Option<(SecretId, Key)>,
    pub(crate) preallocation: Option<Preallocation>,
    pub(crate) extended_l2: bool,
    pub(crate) data_file: bool,
    pub(crate) data_file_raw: bool,
    pub(crate) stream_optimized: bool,
}

impl CreateOptions {
    fn of(pairs: KeyVal) -> Self {
        Self { pairs, ..Self::default() }
    }
}

impl NewImage {
    /// The format.
    #[must_use]
    pub const fn format(&self) -> Format {
        match self {
            Self::Raw(_) => Format::Raw,
            Self::Qcow2(_) => Format::Qcow2,
            Self::Luks(_) => Format::Luks,
            Self::Vmdk(_) => Format::Vmdk,
            Self::Vdi(_) => Format::Vdi,
            Self::Vpc(_) => Format::Vpc,
            Self::Vhdx(_) => Format::Vhdx,
            Self::Qed(_) => Format::Qed,
            Self::Parallels(_) => Format::Parallels,
            Self::Qcow(_) => Format::Qcow,
        }
    }

    /// Whether the image is one file that does not hold its own name, so that it can be renamed: not a VMDK, whose
    /// descriptor names its files, nor a qcow2 with a data file.
    #[must_use]
    pub fn can_be_renamed(&self) -> bool {
        match self {
            Self::Vmdk(_) => false,
            Self::Qcow2(image) => !image.has_data_file(),
            _ => true,
        }
    }

    /// Whether it is encrypted.
    #[must_use]
    pub const fn is_encrypted(&self) -> bool {
        match self {
            Self::Luks(_) => true,
            Self::Qcow2(image) => image.is_encrypted(),
            _ => false,
        }
    }

    /// The image as it can be read when it was made at `location`, with its key.
    ///
    /// # Errors
    /// What keeps it from being made: see [`Error`].
    pub fn as_source(&self, location: impl Into<Location>) -> Result<Source, Error> {
        let source = Source::new(location, self.format());
        Ok(match self.options()?.key {
            Some((_, key)) => source.key(key),
            None => source,
        })
    }

    pub(crate) fn options(&self) -> Result<CreateOptions, Error> {
        match self {
            Self::Raw(image) => image.options(),
            Self::Qcow2(image) => image.options(),
            Self::Luks(image) => image.options(),
            Self::Vmdk(image) => image.options(),
            Self::Vdi(image) => image.options(),
            Self::Vpc(image) => image.options(),
            Self::Vhdx(image) => image.options(),
            Self::Qed(image) => image.options(),
            Self::Parallels(image) => image.options(),
            Self::Qcow(image) => image.options(),
        }
    }

    pub(crate) fn check_size(&self, size: ByteSize) -> Result<(), Error> {
        // What qemu's block layer can address: i64::MAX rounded down to its largest request alignment.
        const BLOCK_LAYER_MAX: ByteSize = ByteSize::bytes(0x7fff_ffff_c000_0000);
        if size > BLOCK_LAYER_MAX {
            return Err(Error::SizeTooLarge { size, max: BLOCK_LAYER_MAX });
        }
        match self {
            Self::Qcow2(image) => image.check_size(size),
            Self::Vpc(image) => image.check_size(size),
            Self::Qcow(image) => image.check_size(size),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::{Luks, Secret};

    fn luks() -> Luks {
        Luks::new(Secret::new("a").unwrap())
    }

    #[test]
    fn an_image_that_holds_a_name_cannot_be_renamed() {
        let renamed = |image: NewImage| image.can_be_renamed();
        assert!(renamed(Raw::new().into()) && renamed(Qcow2::new().into()));
        assert!(!renamed(Vmdk::new().into()));
        assert!(!renamed(Qcow2::new().data_file("data").into()));
    }

    #[test]
    fn what_is_encrypted_says_so() {
        let encrypted = |image: NewImage| image.is_encrypted();
        assert!(encrypted(LuksImage::new(luks()).into()) && encrypted(Qcow2::new().encryption(luks()).into()));
        assert!(!encrypted(Qcow2::new().into()) && !encrypted(Raw::new().into()));
    }

    #[test]
    fn sizes_that_qemu_img_refuses_or_rounds_are_refused() {
        let most = 0x7fff_ffff_c000_0000;
        let fine = |image: NewImage, size| image.check_size(ByteSize::bytes(size)).is_ok();
        assert!(fine(Raw::new().into(), most) && !fine(Raw::new().into(), most + 1));
        assert!(fine(Raw::new().into(), 1));
        assert!(fine(Qcow2::new().into(), 512) && !fine(Qcow2::new().into(), 513));
        assert!(fine(Vpc::new().force_size(true).into(), 512) && !fine(Vpc::new().force_size(true).into(), 513));
        assert!(fine(Qcow::new().into(), 512) && !fine(Qcow::new().into(), 0));
        // What is advised is a size that can be.
        let refusal = NewImage::from(Qcow2::new()).check_size(ByteSize::bytes(u64::MAX)).unwrap_err();
        assert!(matches!(refusal, Error::SizeTooLarge { .. }), "{refusal}");
    }
}
