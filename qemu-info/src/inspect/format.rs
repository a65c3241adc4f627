//! The formats that inspection tells apart.

use std::fmt;
use std::str::FromStr;

/// What an image is, by its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ImageFormat {
    /// Bytes in which no other format was recognised.
    Raw,
    /// A disk with a DOS partition table (MBR). A raw image to qemu.
    Mbr,
    /// A disk with a GUID partition table. A raw image to qemu.
    Gpt,
    /// An optical disc: ISO 9660, UDF or both. A raw image to qemu.
    Iso,
    /// qcow2, version 2 or 3.
    Qcow2,
    /// The first version of qcow.
    Qcow,
    /// LUKS version 1.
    Luks,
    /// LUKS version 2, which qemu cannot open.
    Luks2,
    /// VMware's format: a sparse file, a stream-optimised one, or a text that names others.
    Vmdk,
    /// VirtualBox's format.
    Vdi,
    /// Hyper-V's second format.
    Vhdx,
    /// Hyper-V's first format (VHD): dynamic, differencing or fixed.
    Vpc,
    /// qemu's enhanced disk format.
    Qed,
    /// Parallels' format.
    Parallels,
    /// Bochs' growing image.
    Bochs,
    /// A compressed loop device.
    Cloop,
    /// Apple's disk image.
    Dmg,
}

impl ImageFormat {
    /// Every format.
    pub const ALL: [Self; 17] = [
        Self::Raw,
        Self::Mbr,
        Self::Gpt,
        Self::Iso,
        Self::Qcow2,
        Self::Qcow,
        Self::Luks,
        Self::Luks2,
        Self::Vmdk,
        Self::Vdi,
        Self::Vhdx,
        Self::Vpc,
        Self::Qed,
        Self::Parallels,
        Self::Bochs,
        Self::Cloop,
        Self::Dmg,
    ];

    /// Its name: qemu's where qemu has a driver for it, else `mbr`, `gpt`, `iso`, `luks2`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Mbr => "mbr",
            Self::Gpt => "gpt",
            Self::Iso => "iso",
            Self::Qcow2 => "qcow2",
            Self::Qcow => "qcow",
            Self::Luks => "luks",
            Self::Luks2 => "luks2",
            Self::Vmdk => "vmdk",
            Self::Vdi => "vdi",
            Self::Vhdx => "vhdx",
            Self::Vpc => "vpc",
            Self::Qed => "qed",
            Self::Parallels => "parallels",
            Self::Bochs => "bochs",
            Self::Cloop => "cloop",
            Self::Dmg => "dmg",
        }
    }

    /// The name of qemu's driver for it (`-f`), or `None` if qemu cannot open it.
    #[must_use]
    pub const fn driver(self) -> Option<&'static str> {
        match self {
            Self::Raw | Self::Mbr | Self::Gpt | Self::Iso => Some("raw"),
            Self::Luks2 => None,
            other => Some(other.as_str()),
        }
    }

    /// Whether an image that is said to be of format `self` may be found to be of format `found`: the same one, or
    /// a disk with a partition table that is said to be raw. An optical disc is not what is meant by raw.
    #[must_use]
    pub fn admits(self, found: Self) -> bool {
        self == found || (self == Self::Raw && matches!(found, Self::Mbr | Self::Gpt))
    }
}

impl fmt::Display for ImageFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl serde::Serialize for ImageFormat {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A name that is none of [`ImageFormat`]'s.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a format that inspection knows")]
pub struct UnknownFormat(String);

/// Reads a name; other names are `vhd` for `vpc`, `udf` for `iso`, `qcow1` for `qcow`, `luks1` for `luks` and `ploop` for
/// `parallels`.
impl FromStr for ImageFormat {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "vhd" => Ok(Self::Vpc),
            "udf" => Ok(Self::Iso),
            "qcow1" => Ok(Self::Qcow),
            "luks1" => Ok(Self::Luks),
            "ploop" => Ok(Self::Parallels),
            _ => Self::ALL.into_iter().find(|format| format.as_str() == name).ok_or_else(|| UnknownFormat(name.into())),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::ImageFormat;

    #[test]
    fn every_name_is_read_and_written() {
        for format in ImageFormat::ALL {
            assert!(!format.as_str().is_empty());
            assert_eq!(format.to_string().parse(), Ok(format));
        }
        for (other, name) in
            [("vhd", "vpc"), ("udf", "iso"), ("qcow1", "qcow"), ("luks1", "luks"), ("ploop", "parallels")]
        {
            assert_eq!(other.parse::<ImageFormat>().map(ImageFormat::as_str), Ok(name));
        }
        assert_eq!(
            "qcow3".parse::<ImageFormat>().unwrap_err().to_string(),
            "`qcow3` is not a format that inspection knows"
        );
    }
}
