//! Waiting, in one of two ways: the thread stands still, or does something else meanwhile.
//!
//! What is decided while a command runs is the same for both. It is written once, as `async` functions over [`Waiting`]:
//! the futures of [`Blocking`] are ready at once, so that [`now`] gets the result of such a function without a runtime.

use std::future::Future;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

use crate::child::Child;
use crate::start::Prepared;
use crate::{CancelToken, Error};

/// A descriptor, and what is awaited of it; or none, which is never ready.
pub(crate) type Watched<'a> = Option<(BorrowedFd<'a>, PollFlags)>;

/// How this crate waits.
pub(crate) trait Waiting: Copy + Send + Sync {
    /// Waits until one of these is ready or the time has come, and says which are. Now and then it says "none" before.
    fn ready<const N: usize>(
        self,
        watched: [Watched<'_>; N],
        until: Option<Instant>,
    ) -> impl Future<Output = io::Result<[bool; N]>> + Send;

    /// Starts a child.
    fn start(self, prepared: Prepared) -> impl Future<Output = Result<Child, Error>> + Send;

    /// The result of the future, or `None` if the token is cancelled before.
    ///
    /// # Errors
    /// There are no descriptors left to wait with.
    fn unless_cancelled<F: Future<Output: Send> + Send>(
        self,
        future: F,
        token: Option<&CancelToken>,
    ) -> impl Future<Output = io::Result<Option<F::Output>>> + Send;

    /// Does what may have to wait for a disk or a server.
    ///
    /// # Errors
    /// There is nobody left to do it.
    fn blocking<T: Send + 'static>(
        self,
        act: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = Result<T, Error>> + Send;

    /// Drops what may take a second or two to go: the last descriptor of a file without a name, a control group whose
    /// processes are dying.
    fn leave<T: Send + 'static>(self, thing: T);
}

/// The thread stands still.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Blocking;

impl Waiting for Blocking {
    async fn ready<const N: usize>(self, watched: [Watched<'_>; N], until: Option<Instant>) -> io::Result<[bool; N]> {
        poll_until(&watched, until)
    }

    async fn start(self, prepared: Prepared) -> Result<Child, Error> {
        prepared.start()
    }

    async fn unless_cancelled<F: Future<Output: Send> + Send>(
        self,
        future: F,
        token: Option<&CancelToken>,
    ) -> io::Result<Option<F::Output>> {
        let mut future = pin!(future);
        if let Poll::Ready(result) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return Ok(Some(result));
        }
        let bell = Arc::new(Bell(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?));
        let waker = Waker::from(Arc::clone(&bell));
        loop {
            if let Poll::Ready(result) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return Ok(Some(result));
            }
            let cancel = token.map(|token| (token.read_end(), PollFlags::IN));
            let [rung, cancelled] = poll_until(&[Some((bell.0.as_fd(), PollFlags::IN)), cancel], None)?;
            if cancelled {
                return Ok(None);
            }
            if rung {
                rustix::io::read(&bell.0, &mut [0; 8])?;
            }
        }
    }

    async fn blocking<T: Send + 'static>(self, act: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
        Ok(act())
    }

    fn leave<T: Send + 'static>(self, thing: T) {
        drop(thing);
    }
}

/// Wakes a thread that polls the descriptor.
struct Bell(OwnedFd);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        // The one way this fails is that it was rung very often, and so it rings.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }
}

/// The result of a future that waits as [`Blocking`] does.
pub(crate) fn now<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(result) = future.as_mut().poll(&mut context) {
            return result;
        }
        // It never comes to this: nothing that such a future awaits is pending.
        std::thread::yield_now();
    }
}

/// Waits for one of these by poll(2), and says which are ready: none, when the time has come or a signal interrupts.
pub(crate) fn poll_until<const N: usize>(watched: &[Watched<'_>; N], until: Option<Instant>) -> io::Result<[bool; N]> {
    let mut fds: Vec<PollFd<'_>> =
        watched.iter().flatten().map(|(fd, flags)| PollFd::from_borrowed_fd(*fd, *flags)).collect();
    let timeout = until.map(|until| {
        let left = until.saturating_duration_since(Instant::now());
        // A time that does not fit is as good as for ever.
        Timespec::try_from(left).unwrap_or(Timespec { tv_sec: i64::from(u32::MAX), tv_nsec: 0 })
    });
    match poll(&mut fds, timeout.as_ref()) {
        Err(rustix::io::Errno::INTR) => return Ok([false; N]),
        result => result?,
    };
    let mut ready = fds.iter().map(|fd| !fd.revents().is_empty());
    Ok(watched.each_ref().map(|watched| watched.is_some() && ready.next().unwrap_or_default()))
}
