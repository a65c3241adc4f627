//! What inspection learns about an image.

use serde::Serialize;

use super::limits;

/// What an image's bytes say about it. What its format does not have, or what was not reached, is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Facts {
    /// The version of its format: 2 or 3 for qcow2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// Its kind within the format: VMDK's create type; `fixed`, `dynamic` or `differencing` of VPC, VHDX and VDI;
    /// `iso9660`, `udf` or `iso9660+udf`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subformat: Option<String>,
    /// The unit of allocation in bytes, as `qemu-img info` says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_size: Option<u64>,
    /// How it is encrypted, if it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encryption: Option<ImageEncryption>,
    /// The backing file that it names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backing_file: Option<Name>,
    /// The format that it gives for its backing file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backing_format: Option<Name>,
    /// The file that its data lies in. Empty if it has such a file and does not name it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_file: Option<Name>,
    /// The extents that a VMDK descriptor lists.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extents: Vec<Extent>,
    /// How many internal snapshots it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshots: Option<u32>,
    /// How many persistent bitmaps it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bitmaps: Option<u32>,
    /// How many entries its first table has: qcow2's L1, the BAT of VDI, VPC, VHDX and Parallels, the grain
    /// directory of VMDK.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table_entries: Option<u64>,
    /// It was not closed, or its reference counts are not up to date.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dirty: bool,
    /// It is marked as corrupt.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub corrupt: bool,
    /// The types of its header extensions, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub header_extensions: Vec<u32>,
    /// Its feature bits, if its format has them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub features: Option<Features>,
}

/// The feature bits of qcow2 version 3 and of QED.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Features {
    /// Whoever does not know one of these must not open the image.
    pub incompatible: u64,
    /// These can be ignored.
    pub compatible: u64,
    /// Whoever writes and does not know one of these clears it.
    pub autoclear: u64,
    /// The incompatible bits that no version of qemu up to 11.1 knows.
    pub unknown_incompatible: u64,
}

/// How an image is encrypted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "format")]
#[non_exhaustive]
pub enum ImageEncryption {
    /// The cipher of qcow and early qcow2, which does not notice a wrong key.
    Aes,
    /// LUKS version 1.
    Luks {
        /// Cipher, mode and hash as the header names them, such as `aes`, `xts-plain64`, `sha256`; absent if the
        /// header was not reached.
        #[serde(skip_serializing_if = "Option::is_none")]
        cipher: Option<[String; 3]>,
    },
    /// LUKS version 2.
    Luks2,
}

/// One extent of a VMDK descriptor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Extent {
    /// `RW`, `RDONLY` or `NOACCESS`.
    pub access: String,
    /// Its size in bytes.
    pub size: u64,
    /// `FLAT`, `SPARSE`, `ZERO`, `VMFS`, `VMFSSPARSE`, `SESPARSE`, …; escaped as a [`Name`] is, if it is none of them.
    pub kind: String,
    /// The file that it lies in, if it names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<Name>,
}

/// A name as it stands in an image: any bytes, chosen by whoever made it; the first 4096 of them, since qemu opens
/// nothing with a longer one.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Name(Vec<u8>);

impl Name {
    pub(super) fn new(bytes: &[u8]) -> Self {
        Self(bytes.get(..limits::PATH).unwrap_or(bytes).to_vec())
    }

    /// Up to the first NUL, as qemu takes it.
    pub(super) fn terminated(bytes: &[u8]) -> Self {
        Self::new(bytes.split(|byte| *byte == 0).next().unwrap_or_default())
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// With control characters and what is not UTF-8 escaped: safe to print.
impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for character in chunk.valid().chars() {
                if character.is_control() {
                    write!(f, "{}", character.escape_default())?;
                } else {
                    write!(f, "{character}")?;
                }
            }
            write!(f, "{}", chunk.invalid().escape_ascii())?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

impl Serialize for Name {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
