//! A file that is not finished: `.NAME.partial`, and the lock that says whether somebody is at it.
//!
//! The lock is flock(2)'s, held by whoever called: qemu-img's own locks are of another kind, and the two do not meet.
//! It goes with the process that holds it, however that ends, so what is left behind can be told from what is being
//! written. Over NFS and SMB the two kinds are one, so there the file itself is the lock, as it is where there are none.
//!
//! A server or a file system in user space may have a call interrupted by a signal of the caller, so each is made again.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use rustix::fs::{
    AtFlags, FileType, FlockOperation, Mode, OFlags, RenameFlags, Stat, Timespec, Timestamps, UTIME_OMIT,
};
use rustix::io::{Errno, Result, retry_on_intr};

const SUFFIX: &[u8] = b".partial";

/// When a file was modified that nobody has written to: never.
const UNTOUCHED: Timestamps = Timestamps {
    last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
    last_modification: Timespec { tv_sec: 0, tv_nsec: 0 },
};

/// The name that a file has until it is finished. One that would be too long is cut, with a digest to tell it from
/// others.
pub(crate) fn partial_name(name: &OsStr) -> OsString {
    const NAME_MAX: usize = 255;
    let name = name.as_bytes();
    let mut partial = vec![b'.'];
    if name.len() + 1 + SUFFIX.len() <= NAME_MAX {
        partial.extend_from_slice(name);
    } else {
        // FNV-1a: who chooses names such that two meet gets an error for the second one, and no more.
        let fold = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        let digest = format!(".{:016x}", name.iter().fold(0xcbf2_9ce4_8422_2325, fold));
        partial.extend_from_slice(name.get(..NAME_MAX - 1 - SUFFIX.len() - digest.len()).unwrap_or(name));
        partial.extend_from_slice(digest.as_bytes());
    }
    partial.extend_from_slice(SUFFIX);
    OsString::from_vec(partial)
}

/// Whether this is such a name.
pub(crate) fn is_partial_name(name: &OsStr) -> bool {
    let name = name.as_bytes();
    name.starts_with(b".") && name.ends_with(SUFFIX) && name.len() > 1 + SUFFIX.len()
}

pub(crate) fn open_directory(path: &std::path::Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    retry_on_intr(|| rustix::fs::open(path, flags, Mode::empty()))
}

/// An unfinished file that is ours. It is removed when this is dropped, unless it was published.
#[derive(Debug)]
pub(crate) struct Partial {
    directory: OwnedFd,
    name: OsString,
    file: OwnedFd,
}

impl Partial {
    /// Makes the file, in the place of one that was left behind; `None` if somebody else is writing it.
    ///
    /// What was left behind is unlinked, not truncated: a process that outlived its parent may still write to it.
    pub(crate) fn create(directory: OwnedFd, name: OsString, mode: Mode) -> Result<Option<Self>> {
        /// How often another may come in between.
        const ATTEMPTS: usize = 16;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        for _ in 0..ATTEMPTS {
            match retry_on_intr(|| rustix::fs::openat(&directory, &name, flags, mode)) {
                Ok(file) => {
                    let locked = lock(&file).inspect_err(|_| {
                        let _ = unlink_if_there(&directory, &name, &file);
                    })?;
                    // To whoever sees it before it is locked it is a leftover.
                    if locked != Lock::Taken && is_at(&file, &directory, &name) {
                        // Where that cannot be set, it cannot be seen either that nobody wrote.
                        let _ = rustix::fs::futimens(&file, &UNTOUCHED);
                        return Ok(Some(Self { directory, name, file }));
                    }
                }
                Err(Errno::EXIST) => match Self::left_behind(&directory, &name)? {
                    Leftover::Gone => {}
                    Leftover::InUse => return Ok(None),
                    Leftover::Ours(file) => unlink_if_there(&directory, &name, &file)?,
                },
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Takes the lock of a file that was left behind.
    pub(crate) fn left_behind(directory: &OwnedFd, name: &OsStr) -> Result<Leftover> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match retry_on_intr(|| rustix::fs::openat(directory, name, flags, Mode::empty())) {
            Err(Errno::NOENT) => return Ok(Leftover::Gone),
            file => file?,
        };
        if FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) != FileType::RegularFile {
            return Err(Errno::EXIST);
        }
        match lock(&file)? {
            Lock::Ours if is_at(&file, directory, name) => Ok(Leftover::Ours(file)),
            Lock::Ours => Ok(Leftover::Gone),
            Lock::Taken | Lock::Impossible => Ok(Leftover::InUse),
        }
    }

    /// Whether the name still means our file: a qemu-img that fails to make an image removes it.
    pub(crate) fn is_there(&self) -> bool {
        is_at(&self.file, &self.directory, &self.name)
    }

    /// Whether nobody has written to it, nor cut it to the length that it has.
    pub(crate) fn is_untouched(&self) -> Result<bool> {
        let stat = rustix::fs::fstat(&self.file)?;
        Ok(stat.st_size == 0 && stat.st_mtime == UNTOUCHED.last_modification.tv_sec)
    }

    pub(crate) fn file(&self) -> &OwnedFd {
        &self.file
    }

    /// Gives the file its name, after its content is on disk and before that name is.
    pub(crate) fn publish(&self, name: &OsStr, replace: bool) -> Result<()> {
        retry_on_intr(|| rustix::fs::fsync(&self.file))?;
        let (from, to) = (&self.directory, &self.directory);
        if replace {
            rustix::fs::renameat(from, &self.name, to, name)?;
        } else {
            match rustix::fs::renameat_with(from, &self.name, to, name, RenameFlags::NOREPLACE) {
                // The file system cannot; a second name is not given either where there is one.
                Err(Errno::INVAL | Errno::NOSYS) => {
                    rustix::fs::linkat(from, &self.name, to, name, AtFlags::empty())?;
                    rustix::fs::unlinkat(from, &self.name, AtFlags::empty())?;
                }
                result => result?,
            }
        }
        match retry_on_intr(|| rustix::fs::fsync(&self.directory)) {
            // There are file systems that have nothing to do for a directory.
            Err(Errno::INVAL) => Ok(()),
            result => result,
        }
    }

    pub(crate) fn stat_of(&self, name: &OsStr) -> Result<Stat> {
        rustix::fs::statat(&self.directory, name, AtFlags::SYMLINK_NOFOLLOW)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // Nobody can be told, and the next who writes this image takes it over.
        let _ = unlink_if_there(&self.directory, &self.name, &self.file);
        // What was made in its place, and is nobody's, goes with it.
        if let Ok(Leftover::Ours(other)) = Self::left_behind(&self.directory, &self.name) {
            let _ = unlink_if_there(&self.directory, &self.name, &other);
        }
    }
}

/// What there was under the name of an unfinished file.
pub(crate) enum Leftover {
    /// Nothing any more.
    Gone,
    /// What somebody is writing, or may be.
    InUse,
    /// What nobody is writing, now locked by us.
    Ours(OwnedFd),
}

/// Removes a file whose lock we hold.
pub(crate) fn unlink_if_there(directory: &OwnedFd, name: &OsStr, file: &OwnedFd) -> Result<()> {
    if !is_at(file, directory, name) {
        return Ok(());
    }
    match rustix::fs::unlinkat(directory, name, AtFlags::empty()) {
        Err(Errno::NOENT) => Ok(()),
        result => result,
    }
}

fn is_at(file: &OwnedFd, directory: &OwnedFd, name: &OsStr) -> bool {
    let here = rustix::fs::fstat(file);
    let there = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW);
    matches!((here, there), (Ok(a), Ok(b)) if (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino))
}

#[derive(PartialEq)]
enum Lock {
    Ours,
    Taken,
    /// A lock of ours would keep qemu-img out, or there are none.
    Impossible,
}

fn lock(file: impl AsFd) -> Result<Lock> {
    // NFS, SMB, CIFS and SMB 2, by the magic numbers of statfs(2).
    const ONE_KIND_OF_LOCK: [u32; 4] = [0x6969, 0x517b, 0xff53_4d42, 0xfe53_4d42];
    if ONE_KIND_OF_LOCK.contains(&(rustix::fs::fstatfs(&file)?.f_type as u32)) {
        return Ok(Lock::Impossible);
    }
    match retry_on_intr(|| rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)) {
        Ok(()) => Ok(Lock::Ours),
        Err(Errno::WOULDBLOCK) => Ok(Lock::Taken),
        // Lustre that is mounted without them, and file systems in user space.
        Err(Errno::NOSYS | Errno::OPNOTSUPP) => Ok(Lock::Impossible),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_a_partial_one_that_fits() {
        assert_eq!(partial_name("disk".as_ref()), ".disk.partial");
        for length in [245, 246, 247, 255] {
            let [a, b] = ["a", "b"].map(|end| partial_name(OsStr::new(&format!("{}{end}", "x".repeat(length - 1)))));
            assert!(a.len() <= 255 && a != b && is_partial_name(&a), "{a:?} {b:?}");
        }
        assert_eq!(partial_name(OsStr::from_bytes(b"\xff\n")), OsStr::from_bytes(b".\xff\n.partial"));
    }

    #[test]
    fn other_names_are_not_ours() {
        for name in ["disk.partial", ".partial", ".disk", ".disk.partial.gz"] {
            assert!(!is_partial_name(name.as_ref()), "{name}");
        }
        assert!(is_partial_name(".disk.partial".as_ref()));
    }
}
