//! Waiting in a tokio runtime.

use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use rustix::event::{PollFlags, epoll};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::runtime::Handle;

use super::keeper;
use crate::child::Child;
use crate::start::Prepared;
use crate::waiting::{Waiting, Watched, poll_until};
use crate::{CancelToken, Error};

/// The thread does something else meanwhile.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tokio;

impl Waiting for Tokio {
    async fn ready<const N: usize>(self, watched: [Watched<'_>; N], until: Option<Instant>) -> io::Result<[bool; N]> {
        // What always has something to say is not to keep others from running.
        tokio::task::coop::consume_budget().await;
        loop {
            let now = Instant::now();
            let ready = poll_until(&watched, Some(now))?;
            if ready.contains(&true) || until.is_some_and(|until| now >= until) {
                return Ok(ready);
            }
            // What it holds must stay open for as long.
            let (any, _timer) = any_of(&watched, until)?;
            registered(any)?.readable().await?.retain_ready();
        }
    }

    async fn start(self, prepared: Prepared) -> Result<Child, Error> {
        let _ = runtime()?;
        keeper::start(prepared).await
    }

    async fn unless_cancelled<F: Future<Output: Send> + Send>(
        self,
        future: F,
        token: Option<&CancelToken>,
    ) -> io::Result<Option<F::Output>> {
        let Some(token) = token else { return Ok(Some(future.await)) };
        let cancelled = self.ready([Some((token.read_end(), PollFlags::IN))], None);
        let (mut future, mut cancelled) = (pin!(future), pin!(cancelled));
        poll_fn(|context| match future.as_mut().poll(context) {
            Poll::Ready(result) => Poll::Ready(Ok(Some(result))),
            Poll::Pending => cancelled.as_mut().poll(context).map_ok(|_| None),
        })
        .await
    }

    async fn blocking<T: Send + 'static>(self, act: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
        runtime()?.spawn_blocking(act).await.map_err(|error| match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => Error::could_not_start("the runtime is shutting down", error),
        })
    }

    /// Whoever is not in a runtime keeps none from its work.
    fn leave<T: Send + 'static>(self, thing: T) {
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn_blocking(|| drop(thing));
        }
    }
}

fn runtime() -> Result<Handle, Error> {
    Handle::try_current().map_err(|error| Error::could_not_start("there is no tokio runtime", error))
}

/// What is deprecated of this is for types whose descriptor can change; what takes its place is unsafe, and newer than
/// the tokio that we ask for.
#[allow(deprecated)]
fn registered(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(fd, Interest::READABLE)
}

/// A descriptor that is readable when one of these is ready or the time has come: one is all that the runtime has to
/// know, a descriptor can be in several of them, as that of a token is, and the clock is that of the processes, whatever
/// becomes of the runtime's.
fn any_of(watched: &[Watched<'_>], until: Option<Instant>) -> io::Result<(OwnedFd, Option<OwnedFd>)> {
    let any = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let add = |fd, events| epoll::add(&any, fd, epoll::EventData::new_u64(0), events);
    for (fd, flags) in watched.iter().flatten() {
        add(*fd, if *flags == PollFlags::OUT { epoll::EventFlags::OUT } else { epoll::EventFlags::IN })?;
    }
    let timer = until.map(timer).transpose()?;
    if let Some(timer) = &timer {
        add(timer.as_fd(), epoll::EventFlags::IN)?;
    }
    Ok((any, timer))
}

fn timer(until: Instant) -> io::Result<OwnedFd> {
    let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
    // Zero would be never; what does not fit is as good as that.
    let left = until.saturating_duration_since(Instant::now()).max(Duration::from_nanos(1));
    let it_value = Timespec::try_from(left).unwrap_or_default();
    timerfd_settime(&timer, TimerfdTimerFlags::empty(), &Itimerspec { it_interval: Timespec::default(), it_value })?;
    Ok(timer)
}
