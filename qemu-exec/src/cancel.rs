//! Stopping a command from elsewhere.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Instant;

use rustix::event::PollFlags;
use rustix::pipe::{PipeFlags, pipe_with};

use crate::waiting::poll_until;

/// Stops the commands that it was given to, from any thread, and for good.
///
/// Clones are the same token. A signal handler can write a byte to [`write_end`](Self::write_end) instead of
/// calling [`cancel`](Self::cancel).
#[derive(Clone, Debug)]
pub struct CancelToken(Arc<Ends>);

#[derive(Debug)]
struct Ends {
    read: OwnedFd,
    write: OwnedFd,
}

impl CancelToken {
    /// A token that has not been used.
    ///
    /// # Errors
    /// No pipe could be made, for want of descriptors.
    pub fn new() -> io::Result<Self> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        Ok(Self(Arc::new(Ends { read, write })))
    }

    /// Stops the commands that have this token, now and later.
    pub fn cancel(&self) {
        // The one way this fails is a full pipe, which is a cancelled token already.
        let _ = rustix::io::write(&self.0.write, b"x");
    }

    /// The descriptor to which any byte means [`cancel`](Self::cancel).
    #[must_use]
    pub fn write_end(&self) -> BorrowedFd<'_> {
        self.0.write.as_fd()
    }

    pub(crate) fn is_cancelled(&self) -> io::Result<bool> {
        let watched = [Some((self.read_end(), PollFlags::IN))];
        poll_until(&watched, Some(Instant::now())).map(|[cancelled]| cancelled)
    }

    /// Readable once the token is cancelled: the byte is never taken out.
    pub(crate) fn read_end(&self) -> BorrowedFd<'_> {
        self.0.read.as_fd()
    }
}
