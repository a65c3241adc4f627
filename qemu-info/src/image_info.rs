//! One image, as `qemu-img info` prints it.

use serde::{Deserialize, Serialize};

use crate::error::{Error, from_json};
use crate::{
    BackingNameError, BlockLimits, FormatSpecific, Qcow2Bitmap, Snapshot, name_is_lossy, resolve_backing_name,
};

/// One image, as `qemu-img info --output=json` prints it (QAPI `BlockGraphInfo`; `ImageInfo` before
/// qemu 8.0).
///
/// Names may be lossy: see [`name_is_lossy`](crate::name_is_lossy).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct ImageInfo {
    /// The name of the image. A plain file name where one is enough to open the image again, otherwise
    /// `json:{…}` or a name made up by a driver such as `nbd+unix:///…`.
    pub filename: String,

    /// The block driver on top: mostly the image format (`qcow2`, `raw`), but it can be a protocol or
    /// a filter (`file`, `host_device`, `throttle`).
    pub format: String,

    /// The size that a guest sees, in bytes. The size of a raw file is rounded up to 512.
    pub virtual_size: u64,

    /// The space that is allocated on the host, in bytes. Absent if the driver cannot tell (nbd); 0 for
    /// a block device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actual_size: Option<u64>,

    /// The cluster size, in bytes. Absent if the format has no clusters (raw, luks, flat vmdk, …).
    ///
    /// Signed because qemu prints it so: the cluster size of a crafted vpc image can be printed as a
    /// negative number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_size: Option<i64>,

    /// Whether the image is encrypted. Absent if it is not. [`encryption`](Self::encryption) says how.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encrypted: Option<bool>,

    /// Whether the image is compressed as a whole. Absent if the driver does not say; the compressed
    /// clusters of a qcow2 image do not show here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compressed: Option<bool>,

    /// Whether the image was not closed cleanly. Absent if the driver cannot tell (nbd, null-co).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dirty_flag: Option<bool>,

    /// The name of the backing file as the image holds it. Absent if there is none.
    ///
    /// Whoever made the image chose it: it can name any file or network address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backing_filename: Option<String>,

    /// The name of the backing file, resolved against the folder of the image. Absent if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full_backing_filename: Option<String>,

    /// The format of the backing file as the image holds it. Absent if there is no backing file, and
    /// if the image does not say, in which case qemu guesses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backing_filename_format: Option<String>,

    /// The internal snapshots. Absent if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshots: Option<Vec<Snapshot>>,

    /// What the driver can do in one request. Absent without `--limits`. Since qemu 10.2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<BlockLimits>,

    /// What only this format has. Absent for a format that has nothing more to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format_specific: Option<FormatSpecific>,

    /// The nodes this one reads from, without the backing file and the qcow2 data file. Since qemu 8.0,
    /// absent before; empty for a node that reads from nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub children: Option<Vec<Child>>,
}

/// A node that another node reads from (QAPI `BlockChildInfo`, since qemu 8.0).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Child {
    /// What the node is to its parent: `file`, `header` (of detached LUKS), `extents.0` (of vmdk), …
    pub name: String,

    /// The node.
    pub info: ImageInfo,
}

impl ImageInfo {
    /// Reads the output of `qemu-img info --output=json`.
    ///
    /// # Errors
    ///
    /// Any [`Error`]; [`Error::Unexpected`] for the output of `info --backing-chain`, which
    /// [`BackingChain::from_json`](crate::BackingChain::from_json) reads.
    pub fn from_json(json: &[u8]) -> Result<Self, Error> {
        from_json(json)
    }

    /// The persistent dirty bitmaps; none for every format but qcow2. The list of what `qemu-img bitmap`
    /// changes, which has no listing of its own.
    #[must_use]
    pub fn bitmaps(&self) -> &[Qcow2Bitmap] {
        match &self.format_specific {
            Some(FormatSpecific::Qcow2(qcow2)) => qcow2.bitmaps.as_deref().unwrap_or_default(),
            _ => &[],
        }
    }

    /// The name under which qemu opens the backing file: [`full_backing_filename`](Self::full_backing_filename),
    /// or else what [`resolve_backing_name`] makes of the name in the image. `None` without a backing file.
    ///
    /// # Errors
    ///
    /// If the name is relative, and to what cannot be said; or if it is [lossy](name_is_lossy) and so leads nowhere.
    pub fn resolved_backing_name(&self) -> Result<Option<String>, BackingNameError> {
        let name = match (&self.full_backing_filename, &self.backing_filename) {
            (Some(full), _) => Some(full.clone()),
            (None, Some(name)) => resolve_backing_name(&self.filename, name)?,
            (None, None) => None,
        };
        match name {
            Some(name) if name_is_lossy(&name) => Err(BackingNameError::Lossy { name }),
            name => Ok(name),
        }
    }
}

#[cfg(test)]
mod tests;
