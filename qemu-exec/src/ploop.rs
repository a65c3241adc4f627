//! Virtuozzo's ploop images, which are directories.

use std::path::{Path, PathBuf};

/// The image of a ploop directory: a directory that holds `DiskDescriptor.xml` stands for its `root.hds`.
/// `None` for everything else.
#[must_use]
pub fn ploop_image(path: &Path) -> Option<PathBuf> {
    path.join("DiskDescriptor.xml").is_file().then(|| path.join("root.hds"))
}
