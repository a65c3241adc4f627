//! Image formats, and what a new image of each is like.

mod luks;
mod qcow2;
mod raw;

use std::fmt;
use std::str::FromStr;

pub use luks::LuksImage;
pub use qcow2::{Compat, CompressionType, Qcow2};
pub use raw::{Raw, RawPreallocation};

use crate::secret::SecretId;
use crate::{ByteSize, Error, Secret};

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

/// How much of a new image is allocated before any data is written (qemu's `preallocation` option).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Preallocation {
    /// `off`: nothing. qemu's default.
    Off,
    /// `metadata`: the format's own tables.
    Metadata,
    /// `falloc`: all space, reserved with fallocate(2).
    Falloc,
    /// `full`: all space, by writing zeros.
    Full,
}

impl Preallocation {
    /// The name on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Metadata => "metadata",
            Self::Falloc => "falloc",
            Self::Full => "full",
        }
    }
}

/// An image to be made: its format and that format's create options.
///
/// Encryption belongs to the format's own options, so that an encrypted raw image cannot be written down:
/// what is meant by it is a [`LuksImage`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum NewImage {
    /// A raw image.
    Raw(Raw),
    /// A qcow2 image, encrypted or not.
    Qcow2(Qcow2),
    /// A LUKS volume.
    Luks(LuksImage),
}

impl From<Raw> for NewImage {
    fn from(image: Raw) -> Self {
        Self::Raw(image)
    }
}

impl From<Qcow2> for NewImage {
    fn from(image: Qcow2) -> Self {
        Self::Qcow2(image)
    }
}

impl From<LuksImage> for NewImage {
    fn from(image: LuksImage) -> Self {
        Self::Luks(image)
    }
}

/// What a command needs to know of a new image's options.
pub(crate) struct CreateOptions {
    /// `key=value` pairs, one `-o` each.
    pub(crate) pairs: Vec<(String, String)>,
    /// The key, under the id that `pairs` refer to.
    pub(crate) secret: Option<(SecretId, Secret)>,
    pub(crate) preallocation: Option<Preallocation>,
    pub(crate) extended_l2: bool,
}

impl NewImage {
    /// The format.
    #[must_use]
    pub const fn format(&self) -> Format {
        match self {
            Self::Raw(_) => Format::Raw,
            Self::Qcow2(_) => Format::Qcow2,
            Self::Luks(_) => Format::Luks,
        }
    }

    pub(crate) fn options(&self) -> Result<CreateOptions, Error> {
        match self {
            Self::Raw(image) => Ok(image.options()),
            Self::Qcow2(image) => image.options(),
            Self::Luks(image) => image.options(),
        }
    }

    pub(crate) fn check_size(&self, size: ByteSize) -> Result<(), Error> {
        // What qemu's block layer can address: i64::MAX rounded down to its largest request alignment.
        const BLOCK_LAYER_MAX: ByteSize = ByteSize::bytes(0x7fff_ffff_c000_0000);
        if let Self::Qcow2(image) = self {
            image.check_size(size)?;
        }
        if size > BLOCK_LAYER_MAX {
            return Err(Error::SizeTooLarge { size, max: BLOCK_LAYER_MAX });
        }
        Ok(())
    }
}
