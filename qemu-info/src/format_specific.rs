//! What only one image format has.

mod luks;
mod qcow2;
mod rbd;
mod vmdk;

pub use luks::{CipherAlg, CipherMode, HashAlg, IvgenAlg, LuksInfo, LuksSlot};
pub use qcow2::{BitmapFlag, CompressionType, Qcow2Bitmap, Qcow2Encryption, Qcow2Info};
pub use rbd::{RbdEncryptionFormat, RbdInfo};
pub use vmdk::{VmdkExtent, VmdkInfo};

use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// What only one image format or protocol has (QAPI `ImageInfoSpecific`, since qemu 1.7).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", content = "data", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FormatSpecific {
    /// `qcow2`, since qemu 1.7.
    Qcow2(Box<Qcow2Info>),

    /// `vmdk`, since qemu 1.7.
    Vmdk(VmdkInfo),

    /// `luks`, since qemu 2.7.
    Luks(Box<LuksInfo>),

    /// `rbd`, since qemu 6.1.
    Rbd(RbdInfo),

    /// `file`, since qemu 8.0.
    File(FileInfo),

    /// A type that this crate does not know, as it came.
    #[serde(untagged)]
    Other(OtherFormat),
}

/// What a file on the host has (QAPI `ImageInfoSpecificFile`, since qemu 8.0).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct FileInfo {
    /// The extent size hint of the file, in bytes. Absent if there is none, and on everything but XFS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extent_size_hint: Option<u64>,
}

/// Format-specific data of a type that this crate does not know, as it came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct OtherFormat {
    /// The type, which is a name of qemu's `ImageInfoSpecificKind`.
    #[serde(rename = "type")]
    pub kind: String,

    /// The data; null if there was none.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub data: Value,
}

// Not derived: a derived untagged variant would also take a known type whose data is malformed, and
// what it says about a qcow2 image would silently be lost on the caller.
impl<'de> Deserialize<'de> for FormatSpecific {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let other = OtherFormat::deserialize(deserializer)?;
        match other.kind.as_str() {
            "qcow2" => typed(other).map(Self::Qcow2),
            "vmdk" => typed(other).map(Self::Vmdk),
            "luks" => typed(other).map(Self::Luks),
            "rbd" => typed(other).map(Self::Rbd),
            "file" => typed(other).map(Self::File),
            _ => Ok(Self::Other(other)),
        }
    }
}

fn typed<T: DeserializeOwned, E: Error>(other: OtherFormat) -> Result<T, E> {
    let OtherFormat { kind, data } = other;
    serde_json::from_value(data).map_err(|error| E::custom(format_args!("format-specific data of `{kind}`: {error}")))
}

#[cfg(test)]
mod tests;
