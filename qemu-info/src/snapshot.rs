//! Internal snapshots.

use serde::{Deserialize, Serialize};

/// One internal snapshot of an image (QAPI `SnapshotInfo`).
///
/// The numbers are signed because qemu prints them so: they come from the image unchecked, and
/// `qemu-img info` prints a field above 2⁶³ of a crafted image as a negative number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Snapshot {
    /// The identifier, unique in the image. Mostly a decimal number, but any string is possible.
    pub id: String,

    /// The name the user gave, not necessarily unique. May be lossy: see
    /// [`name_is_lossy`](crate::name_is_lossy).
    pub name: String,

    /// Size of the saved state of the virtual machine, in bytes. 0 if only the disk was saved.
    pub vm_state_size: i64,

    /// When the snapshot was made: seconds since the Unix epoch, UTC.
    pub date_sec: i64,

    /// When the snapshot was made: nanoseconds on top of [`date_sec`](Self::date_sec).
    pub date_nsec: i64,

    /// How long the virtual machine had been running: whole seconds.
    pub vm_clock_sec: i64,

    /// How long the virtual machine had been running: nanoseconds on top of
    /// [`vm_clock_sec`](Self::vm_clock_sec).
    pub vm_clock_nsec: i64,

    /// How many instructions the virtual machine had executed, for record and replay. Absent if the
    /// image does not hold the number; 0 for an ordinary snapshot. Since qemu 5.2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icount: Option<i64>,
}
