//! What a block driver can do in one request.

use serde::{Deserialize, Serialize};

/// The limits of a block node, from `qemu-img info --limits` (QAPI `BlockLimitsInfo`, since qemu 10.2).
///
/// An absent field means that the driver sets no limit or has no preference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct BlockLimits {
    /// Alignment that offset and length of a request need, in bytes.
    pub request_alignment: u32,

    /// The longest discard, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_discard: Option<u64>,

    /// The best alignment of a discard, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discard_alignment: Option<u32>,

    /// The longest request to write zeroes, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_write_zeroes: Option<u64>,

    /// The best alignment of a request to write zeroes, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write_zeroes_alignment: Option<u32>,

    /// The best length of a read or write, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opt_transfer: Option<u32>,

    /// The longest read or write, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_transfer: Option<u32>,

    /// The longest read or write that the hardware takes as it is, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_hw_transfer: Option<u32>,

    /// The most scatter/gather elements in one request.
    pub max_iov: u64,

    /// The most scatter/gather elements that the hardware takes in one request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_hw_iov: Option<u64>,

    /// Alignment that a buffer in memory needs, in bytes.
    pub min_mem_alignment: u64,

    /// The best alignment of a buffer in memory, in bytes.
    pub opt_mem_alignment: u64,
}
