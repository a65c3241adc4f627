//! What only vmdk has.

use serde::{Deserialize, Serialize};

/// What only a vmdk image has (QAPI `ImageInfoSpecificVmdk`, since qemu 1.7).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct VmdkInfo {
    /// The create type of the image: `monolithicSparse`, `streamOptimized`, …
    pub create_type: String,

    /// The content identifier, which changes when the image is first written to.
    pub cid: u32,

    /// The content identifier that the backing file had; 4294967295 if there is no backing file.
    pub parent_cid: u32,

    /// The extents that make up the image.
    pub extents: Vec<VmdkExtent>,
}

/// An extent of a vmdk image (QAPI `VmdkExtentInfo`; `ImageInfo` before qemu 8.0).
///
/// The sizes are signed because qemu prints them so: they come from the image unchecked, and the size of
/// an extent of a crafted image can be printed as a negative number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct VmdkExtent {
    /// The name of the file that holds the extent. May be lossy: see
    /// [`name_is_lossy`](crate::name_is_lossy).
    ///
    /// The image names it, so it can be any file.
    pub filename: String,

    /// The type of the extent: `FLAT`, `SPARSE`, … Empty if the extent is inside the image itself.
    pub format: String,

    /// The size of the extent, in bytes.
    pub virtual_size: i64,

    /// The cluster size, in bytes. Absent for a flat extent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_size: Option<i64>,

    /// Whether the extent is compressed. Absent if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compressed: Option<bool>,
}
