//! Whether a destination can be written past the page cache.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;

use qemu_cmd::{CacheMode, Location};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};

/// The cache mode to write `target` with: `none` where O_DIRECT works, otherwise `writeback`.
///
/// Both are durable when qemu-img exits, unlike its default `unsafe`; `none` also keeps the data out of the
/// page cache. What is reached by a protocol, and what the caller may not write itself (as under sudo), is
/// written with `writeback`.
///
/// # Errors
/// As [`direct_io_works`], but for a lack of permission.
pub fn safe_cache_mode(target: &Location) -> io::Result<CacheMode> {
    let Some(path) = target.path() else { return Ok(CacheMode::Writeback) };
    match direct_io_works(path) {
        Ok(true) => Ok(CacheMode::None),
        Ok(false) => Ok(CacheMode::Writeback),
        Err(error) if matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem) => {
            Ok(CacheMode::Writeback)
        }
        Err(error) => Err(error),
    }
}

/// Whether O_DIRECT works for `path`: a block device, a directory, or a file that need not exist yet, for
/// which its directory is asked by writing a block to a file that is gone at once.
///
/// # Errors
/// Whatever keeps that file from being written, except that O_DIRECT is not supported or the directory does
/// not exist, which is a `false`.
pub fn direct_io_works(path: &Path) -> io::Result<bool> {
    let probed = match fs::metadata(path) {
        Ok(meta) if meta.file_type().is_block_device() => {
            // Reading is enough to know, and does not wake up whoever watches the device for changes.
            rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECT | OFlags::CLOEXEC, Mode::empty()).map(drop)
        }
        Ok(meta) if meta.is_dir() => probe_directory(path),
        // The file may be a link to another file system.
        Ok(_) => probe_directory(fs::canonicalize(path)?.parent().unwrap_or(Path::new("/"))),
        Err(_) => match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => probe_directory(parent),
            _ => probe_directory(Path::new(".")),
        },
    };
    match probed {
        Ok(()) => Ok(true),
        Err(Errno::INVAL | Errno::NOENT | Errno::NOTDIR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn probe_directory(directory: &Path) -> rustix::io::Result<()> {
    #[repr(align(4096))]
    struct Block([u8; 4096]);

    // A server may let a signal of the caller interrupt it.
    retry_on_intr(|| {
        let file = temporary_file(directory)?;
        rustix::io::write(&file, &Block([0; 4096]).0).map(drop)
    })
}

/// A file for O_DIRECT that has no name, or has none any more.
fn temporary_file(directory: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::DIRECT | OFlags::CLOEXEC;
    let mode = Mode::RUSR | Mode::WUSR;
    match rustix::fs::open(directory, flags | OFlags::TMPFILE, mode) {
        // The file system has no files without a name: NFS, for one.
        Err(Errno::OPNOTSUPP | Errno::ISDIR) => {}
        result => return result,
    }
    let mut random = [0; 8];
    rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())?;
    let path = directory.join(format!(".direct-io-{:016x}", u64::from_ne_bytes(random)));
    let file = rustix::fs::openat(CWD, &path, flags | OFlags::CREATE | OFlags::EXCL, mode);
    // With EINVAL the file may have been made all the same.
    let _ = fs::remove_file(&path);
    file
}
