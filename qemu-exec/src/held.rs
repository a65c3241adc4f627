//! An existing image that is written to, held open to be told whether that is on disk.

use std::os::fd::OwnedFd;

use qemu_cmd::Location;
use rustix::fs::{Mode, OFlags, fsync, open};
use rustix::io::{Errno, retry_on_intr};

use crate::{Error, ErrorKind};

/// An image, opened before anything is written to it: of what it could not write later, the kernel tells whoever had it
/// open then.
#[derive(Debug)]
pub(crate) struct Held {
    image: OwnedFd,
    location: Location,
}

impl Held {
    /// `None` if it is no file, or may not be opened from here.
    pub(crate) fn open(location: &Location) -> Option<Self> {
        let Location::File(path) = location else { return None };
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let image = retry_on_intr(|| open(path, flags, Mode::empty())).ok()?;
        Some(Self { image, location: location.clone() })
    }

    /// Fails if what was written is not on disk. qemu-img exits with 0 also when its last flush, as it closes an image,
    /// has failed: after `rebase`, `amend`, `resize` and `dd` in every version, after `convert` before 11.
    pub(crate) fn flush(&self) -> Result<(), Error> {
        let Err(errno) = retry_on_intr(|| fsync(&self.image)) else { return Ok(()) };
        let kind = match errno {
            // There are files that have nothing to flush.
            Errno::INVAL | Errno::ROFS => return Ok(()),
            Errno::IO => ErrorKind::InputOutput,
            Errno::NOSPC | Errno::DQUOT => ErrorKind::NoSpace,
            _ => ErrorKind::NotPublished,
        };
        let message = format!("`{}` is written, but not on disk", self.location);
        let error = Error::new(kind).message(message).because(std::io::Error::from(errno));
        Err(match self.location.path() {
            Some(path) => error.path(path),
            None => error,
        })
    }
}
