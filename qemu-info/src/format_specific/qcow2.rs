//! What only qcow2 has.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::LuksInfo;
use crate::open_enum::open_enum;

/// What only a qcow2 image has (QAPI `ImageInfoSpecificQCow2`, since qemu 1.7).
///
/// An image of version 2 (compat `0.10`) has only [`compat`](Self::compat),
/// [`compression_type`](Self::compression_type), [`refcount_bits`](Self::refcount_bits) and, if it is
/// encrypted, [`encrypt`](Self::encrypt).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Qcow2Info {
    /// The version of the format: `0.10` (version 2) or `1.1` (version 3).
    pub compat: String,

    /// The width of a reference count, in bits: a power of two up to 64. Since qemu 2.3.
    pub refcount_bits: u64,

    /// How compressed clusters are compressed. Since qemu 5.1.
    pub compression_type: CompressionType,

    /// The name of the external data file as the image holds it. Absent if there is none. Since qemu
    /// 4.0.
    ///
    /// Whoever made the image chose it: it can name any file. May be lossy: see
    /// [`name_is_lossy`](crate::name_is_lossy).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_file: Option<String>,

    /// Whether the external data file can be read as a raw image. Absent if there is no such file. Since
    /// qemu 4.0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_file_raw: Option<bool>,

    /// Whether clusters have subclusters. Absent for version 2. Since qemu 5.2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extended_l2: Option<bool>,

    /// Whether updates of reference counts are put off. Absent for version 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lazy_refcounts: Option<bool>,

    /// Whether the image is marked as corrupt. Absent for version 2, which has no such mark. Since qemu
    /// 2.2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corrupt: Option<bool>,

    /// The persistent dirty bitmaps. Absent if there are none. Since qemu 4.0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bitmaps: Option<Vec<Qcow2Bitmap>>,

    /// How the data is encrypted. Absent if it is not. Since qemu 2.10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encrypt: Option<Qcow2Encryption>,
}

/// A persistent dirty bitmap (QAPI `Qcow2BitmapInfo`, since qemu 4.0).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Qcow2Bitmap {
    /// The name. May be lossy: see [`name_is_lossy`](crate::name_is_lossy).
    pub name: String,

    /// How many bytes of the disk one bit stands for.
    pub granularity: u32,

    /// The flags. Empty for a bitmap that is neither in use nor enabled.
    pub flags: Vec<BitmapFlag>,
}

impl Qcow2Bitmap {
    /// Whether it records writes ([`BitmapFlag::Auto`]).
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.flags.contains(&BitmapFlag::Auto)
    }

    /// Whether its content cannot be trusted ([`BitmapFlag::InUse`]): all that can be done with it is to remove it.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        self.flags.contains(&BitmapFlag::InUse)
    }
}

open_enum! {
    /// A flag of a persistent dirty bitmap (QAPI `Qcow2BitmapInfoFlags`, since qemu 4.0).
    BitmapFlag {
        /// the bitmap was not saved properly, or is in use now: its content cannot be trusted.
        InUse = "in-use",
        /// the bitmap is enabled: it records writes.
        Auto = "auto",
    }
}

open_enum! {
    /// How a qcow2 image compresses clusters (QAPI `Qcow2CompressionType`, since qemu 5.1).
    CompressionType {
        /// zlib's deflate.
        Zlib = "zlib",
        /// Zstandard.
        Zstd = "zstd",
    }
}

/// How the data of a qcow2 image is encrypted (QAPI `ImageInfoSpecificQCow2Encryption`, since qemu 2.10).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "format", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Qcow2Encryption {
    /// The old AES-CBC, which is not secure.
    Aes,

    /// LUKS.
    Luks(LuksInfo),

    /// A format that this crate does not know: all fields as they came, `format` among them.
    #[serde(untagged)]
    Other(Map<String, Value>),
}

// Not derived, so that malformed LUKS fields are an error and not an unknown format.
impl<'de> Deserialize<'de> for Qcow2Encryption {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fields = Map::deserialize(deserializer)?;
        match fields.get("format").and_then(Value::as_str) {
            Some("aes") => Ok(Self::Aes),
            Some("luks") => serde_json::from_value(Value::Object(fields)).map(Self::Luks).map_err(D::Error::custom),
            Some(_) => Ok(Self::Other(fields)),
            None => Err(D::Error::missing_field("format")),
        }
    }
}
