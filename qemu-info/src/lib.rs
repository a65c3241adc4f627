//! Typed structs for what `qemu-img` prints, and [inspection](inspect) of images without it.
//!
//! | command | type |
//! |---|---|
//! | `qemu-img info --output=json` | [`ImageInfo`] |
//! | `qemu-img info --output=json --backing-chain` | [`BackingChain`] |
//! | `qemu-img check --output=json` | [`Check`] |
//! | `qemu-img map --output=json` | [`MapExtents`], [`MapExtent`] |
//! | `qemu-img measure --output=json` | [`Measurement`] |
//! | `qemu-img compare` | [`Comparison`] |
//! | `qemu-img snapshot -l` | [`ImageInfo::snapshots`], or of the text [`SnapshotRow`] |
//! | what `qemu-img bitmap` changes | [`ImageInfo::bitmaps`] |
//!
//! The types follow qemu's own schema (QAPI), and each item names the QAPI type that it stands for.
//! Output of qemu-img 5.2 and later can be read. Later versions may add to it: unknown fields are
//! ignored, unknown names and unknown kinds of format-specific data are kept as they came. What qemu
//! left out is `None`, so a value that is serialized again has exactly the fields that were read.
//!
//! This crate reads bytes and nothing else: it starts no process and opens no file. What it reads is
//! partly written by whoever made the image, and it is read as such: malformed input is an [`Error`],
//! never a panic, and JSON nested more than 128 levels deep is refused. Limit the size of the output
//! where it is captured.
//!
//! ```
//! use qemu_info::{Encryption, FormatSpecific, ImageInfo};
//!
//! let json = br#"{
//!     "virtual-size": 4194304,
//!     "filename": "disk.qcow2",
//!     "cluster-size": 65536,
//!     "format": "qcow2",
//!     "actual-size": 200704,
//!     "format-specific": {
//!         "type": "qcow2",
//!         "data": {
//!             "compat": "1.1",
//!             "compression-type": "zlib",
//!             "lazy-refcounts": false,
//!             "refcount-bits": 16,
//!             "corrupt": false,
//!             "extended-l2": false
//!         }
//!     },
//!     "dirty-flag": false
//! }"#;
//!
//! let info = ImageInfo::from_json(json)?;
//! assert_eq!(info.format, "qcow2");
//! assert_eq!(info.virtual_size, 4 << 20);
//! assert_eq!(info.backing_filename, None);
//! assert_eq!(info.encryption(), Encryption::None);
//! if let Some(FormatSpecific::Qcow2(qcow2)) = &info.format_specific {
//!     assert_eq!(qcow2.corrupt, Some(false));
//! }
//! # Ok::<(), qemu_info::Error>(())
//! ```

#![forbid(unsafe_code)]

mod backing_name;
mod block_limits;
mod chain;
mod check;
mod compare;
mod encryption;
mod error;
mod format_specific;
mod image_info;
pub mod inspect;
mod lossy;
mod map;
mod measure;
mod open_enum;
mod snapshot;
mod snapshot_list;

pub use backing_name::{BackingNameError, NoFolder, resolve_backing_name};
pub use block_limits::BlockLimits;
pub use chain::{BackingChain, ChainError, MAX_CHAIN_DEPTH};
pub use check::{Check, CheckReport, CheckVerdict};
pub use compare::{Comparison, Difference};
pub use encryption::Encryption;
pub use error::Error;
pub use format_specific::{
    BitmapFlag, CipherAlg, CipherMode, CompressionType, FileInfo, FormatSpecific, HashAlg, IvgenAlg, LuksInfo,
    LuksSlot, OtherFormat, Qcow2Bitmap, Qcow2Encryption, Qcow2Info, RbdEncryptionFormat, RbdInfo, VmdkExtent, VmdkInfo,
};
pub use image_info::{Child, ImageInfo};
pub use lossy::name_is_lossy;
pub use map::{ExtentsExt, MAX_ENTRY, MapExtent, MapExtents, Runs};
pub use measure::Measurement;
pub use snapshot::Snapshot;
pub use snapshot_list::{SnapshotRow, parse_snapshot_list};
