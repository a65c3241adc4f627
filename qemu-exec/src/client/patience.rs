//! Waiting for images that others use.

use std::future::Future;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;

use super::QemuImg;
use super::flow::{Flow, Runs};
use crate::waiting::Waiting as _;
use crate::{Error, ErrorKind};

/// The pauses between two attempts: from the first one on, twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

impl<E> QemuImg<E> {
    /// Tries again, up to this long, what finds an image [`Locked`](ErrorKind::Locked), such as that of a machine which is
    /// just shutting down. Default: not at all. `check` and `compare` are tried once.
    pub const fn wait_for_locks(mut self, patience: Duration) -> Self {
        self.settings.patience = patience;
        self
    }
}

impl<R: Runs> Flow<'_, R> {
    /// Does it, again and again while an image is locked and there is time.
    pub(super) async fn patiently<T, F>(&self, mut act: impl FnMut() -> F + Send) -> Result<T, Error>
    where
        T: Send,
        F: Future<Output = Result<T, Error>> + Send,
    {
        let started = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            let left = self.client.patience.saturating_sub(started.elapsed());
            match act().await {
                Err(error) if error.kind() == ErrorKind::Locked && !left.is_zero() => {
                    self.step_aside();
                    self.rest(pause.min(left)).await;
                }
                result => return result,
            }
            pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
        }
    }

    /// Does nothing for a while, but for a cancellation: then the next attempt ends at once, as every command does.
    async fn rest(&self, pause: Duration) {
        let cancel = self.client.cancel.as_ref().map(|token| (token.read_end(), PollFlags::IN));
        // A signal may cut it short, which makes one attempt come sooner.
        let _ = self.runs.waiting().ready([cancel], Instant::now().checked_add(pause)).await;
    }
}
