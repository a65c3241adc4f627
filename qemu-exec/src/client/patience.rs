//! Waiting for images that others use.

use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::QemuImg;
use crate::{Error, ErrorKind};

/// The pauses between two attempts: from the first one on, twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

impl<E> QemuImg<E> {
    /// Tries again, up to this long, what finds an image [`Locked`](ErrorKind::Locked), such as that of a machine which is
    /// just shutting down. Default: not at all. `check` and `compare` are tried once.
    pub const fn wait_for_locks(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Does it, again and again while an image is locked and there is time.
    pub(super) fn patiently<T>(&self, mut act: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
        let started = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            let left = self.patience.saturating_sub(started.elapsed());
            match act() {
                Err(error) if error.kind() == ErrorKind::Locked && !left.is_zero() => self.rest(pause.min(left)),
                result => return result,
            }
            pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
        }
    }

    /// Sleeps, but for a cancellation: then the next attempt ends at once, as every command does.
    fn rest(&self, pause: Duration) {
        let Some(token) = &self.cancel else { return std::thread::sleep(pause) };
        let end = token.read_end();
        let timeout = Timespec::try_from(pause).unwrap_or_default();
        // A signal may cut it short, which makes one attempt come sooner.
        let _ = poll(&mut [PollFd::new(&end, PollFlags::IN)], Some(&timeout));
    }
}
