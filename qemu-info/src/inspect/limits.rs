//! How large an image's tables may be, and how much of it is read.

/// The virtual size that an untrusted image may have: what one file on ext4 can hold.
pub(super) const VIRTUAL_SIZE: u64 = 16 << 40;

/// The largest table that is loaded whole when an image is opened. qemu's own bound for qcow2's L1 table
/// (`QCOW_MAX_L1_SIZE`); for VDI, VPC and qcow it has higher ones or none, and uses over a gibibyte.
pub(super) const TABLE: u64 = 32 << 20;

/// qcow2's L2 tables, of the image and its snapshots, if each entry of each L1 table has one of its own. `check` goes
/// through a table as often as it is named, and takes a minute for so many. A disk of 16 TiB has two gibibytes of
/// them, with clusters of 64 KiB.
pub(super) const L2_TABLES: u64 = 64 << 30;

/// qcow2's refcount table (qemu's `QCOW_MAX_REFTABLE_SIZE`).
pub(super) const REFCOUNT_TABLE: u64 = 8 << 20;

/// qcow2 snapshots: `info` prints about 250 bytes for each, and qemu allows 65,536.
pub(super) const SNAPSHOTS: u32 = 1024;

/// The snapshot table, for each snapshot on average (as in qemu's `QCOW_MAX_SNAPSHOTS_SIZE`).
pub(super) const SNAPSHOT: usize = 1024;

/// The directory of qcow2's bitmaps: this many entries with the longest name (`BME_MAX_NAME_SIZE`) fit.
pub(super) const BITMAP_DIRECTORY: u64 = PIECE as u64;

/// What qcow2's bitmaps may take up in memory: they are loaded when an image is opened, even by `info`, and qemu
/// allows 512 MiB for each. Four of a 16 TiB disk, at the default granularity.
pub(super) const BITMAP_MEMORY: u64 = 128 << 20;

/// qcow2 bitmaps: qemu allows 65,535, and needs over 22 s of CPU to open an image with as many.
pub(super) const BITMAPS: u32 = 1024;

/// The longest name of a backing or data file (`QCOW2_MAX_BACKING_FILE`, and qemu's `PATH_MAX` for the others).
pub(super) const NAME: usize = 1023;

/// `PATH_MAX`, which no name reaches that qemu takes from an image.
pub(super) const PATH: usize = 4096;

/// What deriving the keys of all of a LUKS header's slots may take, in rounds of its hash: a minute or two. A
/// passphrase that is to be tried for five seconds gets ten million.
pub(super) const KEY_ITERATIONS: u64 = 200_000_000;

/// A stream's first bytes, which are kept so that a parser may go back to them: enough for a qcow2 image's LUKS
/// header, which takes two mebibytes, and for the tables behind it.
pub(super) const HEAD: usize = 4 << 20;

/// A stream's last bytes, which are kept for footers.
pub(super) const TAIL: usize = 4096;

/// How much is kept of a stream beyond its head.
pub(super) const READ: usize = 4 << 20;

/// How many parts of a stream beyond its head are kept.
pub(super) const PARTS: usize = 64;

/// The least that one read of a file is taken to cost.
pub(super) const LEAST: usize = 4096;

/// The most that is asked for at once.
pub(super) const PIECE: usize = 1 << 20;

/// qcow2 header extensions that are looked at: qemu writes at most six.
pub(super) const HEADER_EXTENSIONS: usize = 64;

/// What is held against one image, as one format: a directory of bitmaps has room for 87,000 findings.
pub(super) const FINDINGS: usize = 64;

/// VHDX regions: the specification knows two. No block may lie in any, so each is held against every block, which
/// for qemu's 2,047 takes seconds.
pub(super) const REGIONS: u32 = 64;

/// What offsets and sizes in qemu must be below: they are signed.
pub(super) const OFFSET: u64 = i64::MAX as u64 - SECTOR;

/// The unit in which most formats count.
pub(super) const SECTOR: u64 = 512;

/// So many sectors in bytes, if that is a size for qemu.
pub(super) fn in_sectors(sectors: u64) -> Option<u64> {
    sectors.checked_mul(SECTOR).filter(|bytes| *bytes <= OFFSET)
}

/// How much of a table is looked at entry by entry; qemu refuses some for a single entry.
pub(super) const SCAN: u64 = 1 << 20;

/// … in pieces of this size, a multiple of every entry's.
pub(super) const SCAN_PIECE: usize = 256 << 10;
