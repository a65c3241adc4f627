//! What a caller who was killed has left behind.

use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::Dir;

use crate::partial::{Leftover, Partial, is_partial_name, open_directory, unlink_if_there};

/// Removes from a directory, but not from those in it, the unfinished images (`.NAME.partial`) that nobody is writing any
/// more, and returns their paths. A dry run returns the same and removes nothing.
///
/// What is being written is locked, and stays. So does everything over NFS and SMB, and where a file system has no locks:
/// there it cannot be known.
///
/// # Errors
/// The directory cannot be read, or a file in it cannot be opened or removed; those before it are gone.
pub fn remove_leftovers(directory: &Path, dry_run: bool) -> io::Result<Vec<PathBuf>> {
    let opened = open_directory(directory)?;
    let mut found = Vec::new();
    for entry in Dir::read_from(&opened)? {
        let name = std::ffi::OsString::from_vec(entry?.file_name().to_bytes().to_vec());
        if !is_partial_name(&name) {
            continue;
        }
        let file = match Partial::left_behind(&opened, &name) {
            Ok(Leftover::Ours(file)) => file,
            // A directory or a link that is called so is nothing of ours.
            Ok(_) | Err(rustix::io::Errno::EXIST | rustix::io::Errno::LOOP) => continue,
            Err(error) => return Err(error.into()),
        };
        if !dry_run {
            unlink_if_there(&opened, &name, &file)?;
        }
        found.push(directory.join(name));
    }
    found.sort();
    Ok(found)
}
