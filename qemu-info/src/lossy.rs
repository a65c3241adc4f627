//! Printed names that are not the name.

/// Whether a name printed by `qemu-img` may differ from the real one, and so must not be used as a path.
///
/// File names, snapshot names and the names inside an image are bytes. JSON has no room for bytes that
/// are not UTF-8, so `qemu-img` prints U+FFFD in their place. Opening such a name opens another file,
/// or none. A name that really contains U+FFFD cannot be told apart and counts as lossy.
///
/// This concerns [`filename`](crate::ImageInfo::filename),
/// [`backing_filename`](crate::ImageInfo::backing_filename),
/// [`full_backing_filename`](crate::ImageInfo::full_backing_filename),
/// [`data_file`](crate::Qcow2Info::data_file) and the names of snapshots, bitmaps and extents.
///
/// ```
/// assert!(qemu_info::name_is_lossy("caf\u{fffd}.qcow2"));
/// assert!(!qemu_info::name_is_lossy("café.qcow2"));
/// ```
#[must_use]
pub fn name_is_lossy(name: &str) -> bool {
    name.contains(char::REPLACEMENT_CHARACTER)
}
