//! How large an image's tables may be, and how much of it is read.

/// The virtual size that an untrusted image may have: what one file on ext4 can hold.
pub(super) const VIRTUAL_SIZE: u64 = 16 << 40;

/// The largest table that is loaded whole when an image is opened. qemu's own bound for qcow2's L1 table
/// (`QCOW_MAX_L1_SIZE`); for VDI, VPC and qcow it has higher ones or none, and uses over a gibibyte.
pub(super) const TABLE: u64 = 32 << 20;

/// qcow2 snapshots: `info` prints about 250 bytes for each, and qemu allows 65,536.
pub(super) const SNAPSHOTS: u32 = 1024;

/// qcow2 bitmaps: qemu allows 65,535, and needs over 22 s of CPU to open an image with as many.
pub(super) const BITMAPS: u32 = 1024;

/// The longest name of a backing or data file (`QCOW2_MAX_BACKING_FILE`, and qemu's `PATH_MAX` for the others).
pub(super) const NAME: usize = 1023;

/// A stream's first bytes, which are kept so that a parser may go back to them.
pub(super) const HEAD: usize = 1 << 20;

/// A stream's last bytes, which are kept for footers.
pub(super) const TAIL: usize = 4096;

/// How much is read of one image beyond its head.
pub(super) const READ: usize = 4 << 20;

/// How many parts of a stream beyond its head are read.
pub(super) const PARTS: usize = 64;

/// The most that is asked for at once.
pub(super) const PIECE: usize = 1 << 20;

/// qcow2 header extensions that are looked at: qemu writes at most six.
pub(super) const HEADER_EXTENSIONS: usize = 64;
