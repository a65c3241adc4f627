//! One child process, watched by one poll loop.

use std::io::{self, PipeReader, Read as _, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::process::{Pid, Signal, kill_process_group};

use crate::asking::Asking;
use crate::reports::Reports;
use crate::screen::Screen;
use crate::wait::{Exit, try_wait};
use crate::waiting::{Waiting, Watched, poll_until};
use crate::{CancelToken, End, Error, Outcome, Output, Request};

/// How long a child has between TERM and KILL.
pub(crate) const GRACE: Duration = Duration::from_secs(5);
/// How long the pipes are read after the child is gone: a grandchild may hold them open.
const DRAIN: Duration = Duration::from_secs(1);
/// How much of standard error is kept.
const STDERR_KEPT: usize = 64 << 10;

/// Waits for the child, as the request says.
pub(crate) async fn watch<W: Waiting>(
    waiting: W,
    child: Child,
    (stdout, stderr): (Option<PipeReader>, PipeReader),
    started: Instant,
    request: &Request<'_>,
    timeout: Option<Duration>,
) -> Result<Outcome, Error> {
    let reports = Reports::of(request, started);
    let asking = request.progress_by_signal.filter(|_| reports.is_some());
    let (said, answered) = if asking.is_some() { (None, reports) } else { (reports, None) };
    let mut watch = Watch {
        waiting,
        child,
        stdout: Stream::new(stdout, false, request.output_limit, Keep::Start).with(said),
        stderr: Stream::new(Some(stderr), request.output == Output::Forwarded, STDERR_KEPT, Keep::End).with(answered),
        asking: asking.map(|interval| Asking::every(interval, started)),
        request,
        deadline: timeout.and_then(|timeout| started.checked_add(timeout)),
    };
    let ended = watch.until_the_end().await;
    let (end, exit) = ended
        .map_err(|source| Error::could_not_start("qemu-img could not be watched", source).about(request.invocation))?;
    Ok(Outcome {
        // We do not stop waiting for what has not ended without a reason.
        end: end.or(exit.map(|exit| exit.end)).unwrap_or(End::TimedOut),
        stdout: watch.stdout.kept,
        stderr: watch.stderr.kept,
        wall_time: started.elapsed(),
        user_time: exit.map_or(Duration::ZERO, |exit| exit.user_time),
        system_time: exit.map_or(Duration::ZERO, |exit| exit.system_time),
        peak_memory: exit.and_then(|exit| exit.peak_memory),
    })
}

/// A child in its own process group, which is killed when this is dropped before the child was reaped.
#[derive(Debug)]
pub(crate) struct Child {
    pid: Pid,
    /// Readable when it has ended.
    pidfd: OwnedFd,
    /// How it ended; once that is known, the number may be somebody else's.
    exit: Option<Exit>,
    /// How long a drop waits for its end, and who waits for it then.
    patience: Duration,
    heir: Option<fn(Pid)>,
    /// What ends a child that need not be ours to signal, when it is dropped.
    tether: Option<OwnedFd>,
}

impl Child {
    pub(crate) const fn new(pid: Pid, pidfd: OwnedFd, tether: Option<OwnedFd>) -> Self {
        Self { pid, pidfd, exit: None, patience: DRAIN, heir: None, tether }
    }

    /// Makes a drop wait only this long, and leave it to another after that to reap the child.
    #[cfg(feature = "tokio")]
    pub(crate) const fn left_to(mut self, heir: fn(Pid), patience: Duration) -> Self {
        self.heir = Some(heir);
        self.patience = patience;
        self
    }

    /// Has it end in order.
    fn terminate(&mut self) {
        self.tether = None;
        self.signal(Signal::TERM);
        // What is stopped takes it only when it goes on.
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        if self.exit.is_none() {
            // It fails only when there is nobody left, or nobody whom we may signal.
            let _ = kill_process_group(self.pid, signal);
        }
    }

    fn wait_patiently(&mut self, gone: Instant) {
        while matches!(self.try_wait(), Ok(None)) && Instant::now() < gone {
            let _ = poll_until(&[Some((self.pidfd.as_fd(), PollFlags::IN))], Some(gone));
        }
    }

    fn try_wait(&mut self) -> io::Result<Option<Exit>> {
        if self.exit.is_none() {
            self.exit = try_wait(self.pid)?;
        }
        Ok(self.exit)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if let Ok(None) = self.try_wait() {
            let gone = Instant::now() + self.patience;
            if self.tether.is_some() {
                // Its shell has others to end, who are not in its group.
                self.terminate();
                self.wait_patiently(gone);
            }
            self.signal(Signal::KILL);
            // A child that survives KILL is not ours to signal, and must not keep us.
            self.wait_patiently(gone);
            match self.heir {
                Some(heir) if self.exit.is_none() => heir(self.pid),
                _ => {}
            }
        }
    }
}

struct Watch<'a, W> {
    waiting: W,
    child: Child,
    stdout: Stream<'a>,
    stderr: Stream<'a>,
    asking: Option<Asking>,
    request: &'a Request<'a>,
    deadline: Option<Instant>,
}

impl<W: Waiting> Watch<'_, W> {
    /// Why we ended the child, if we did, and how it ended, if it has.
    async fn until_the_end(&mut self) -> io::Result<(Option<End>, Option<Exit>)> {
        let mut reason = None;
        while !self.wait(self.deadline, reason.is_none()).await? {
            let now = Instant::now();
            let due = self.deadline.is_some_and(|deadline| now >= deadline);
            let why = if self.stdout.overflowed {
                End::OutputTooLarge
            } else if due {
                End::TimedOut
            } else if self.cancelled()? {
                End::Cancelled
            } else if self.stalls_at().is_some_and(|stalled| now >= stalled) {
                End::Stalled
            } else {
                continue;
            };
            match reason {
                None => self.child.terminate(),
                Some(_) if !due => continue,
                Some(_) => {
                    self.child.signal(Signal::KILL);
                    self.wait(now.checked_add(GRACE), false).await?;
                    break;
                }
            }
            reason = Some(why);
            self.deadline = now.checked_add(GRACE);
        }
        // What ignored TERM, or was forked by the child, goes too, also if that has ended by itself: until it is reaped,
        // the group has its number.
        self.child.signal(Signal::KILL);
        let exit = self.child.try_wait()?;
        let drained = Instant::now() + DRAIN;
        while self.streams_open() && Instant::now() < drained {
            self.poll(Some(drained), false, false).await?;
        }
        self.stdout.finish();
        self.stderr.finish();
        if let (Some(_), Some(reports)) = (&self.asking, &self.stderr.reports)
            && reason.is_none()
            && exit.is_some_and(|exit| exit.end == End::Exited(0))
        {
            reports.complete();
        }
        if self.stdout.overflowed {
            reason = reason.or(Some(End::OutputTooLarge));
        }
        Ok((reason, exit))
    }

    /// Reads until the child is gone (`true`), or there is something to decide; which, once it is to end, is only that
    /// the deadline has passed.
    async fn wait(&mut self, deadline: Option<Instant>, undecided: bool) -> io::Result<bool> {
        loop {
            let until = deadline.into_iter().chain(self.stalls_at().filter(|_| undecided)).min();
            let ask = self.asking.as_ref().filter(|_| undecided).and_then(Asking::next);
            let (gone, cancelled) = self.poll(until.into_iter().chain(ask).min(), true, undecided).await?;
            if let Some(asking) = self.asking.as_mut().filter(|_| undecided && !gone) {
                asking.ask_if_due(self.child.pid, &self.child.pidfd);
            }
            let due = until.is_some_and(|until| Instant::now() >= until);
            if gone || cancelled || due || (undecided && self.stdout.overflowed) {
                return Ok(gone);
            }
        }
    }

    fn stalls_at(&self) -> Option<Instant> {
        self.stdout.reports.as_ref().or(self.stderr.reports.as_ref()).and_then(Reports::stalls_at)
    }

    fn streams_open(&self) -> bool {
        self.stdout.pipe.is_some() || self.stderr.pipe.is_some()
    }

    fn cancelled(&self) -> io::Result<bool> {
        self.request.cancel.as_ref().map_or(Ok(false), CancelToken::is_cancelled)
    }

    /// Waits for one event and reads what there is. Returns whether the child is gone, and whether the token
    /// is cancelled.
    async fn poll(
        &mut self,
        until: Option<Instant>,
        watch_child: bool,
        watch_cancel: bool,
    ) -> io::Result<(bool, bool)> {
        let own_stderr = io::stderr();
        // Whoever reads our standard error may be slow: what the child says waits in its pipe then, and we do not.
        let held_back = self.stderr.forward && self.stderr.pipe.is_some() && !is_writable(own_stderr.as_fd());
        let readable = |fd| (fd, PollFlags::IN);
        let err = if held_back { Some((own_stderr.as_fd(), PollFlags::OUT)) } else { self.stderr.fd().map(readable) };
        let cancel = self.request.cancel.as_ref().filter(|_| watch_cancel).map(|token| readable(token.read_end()));
        let child = watch_child.then(|| readable(self.child.pidfd.as_fd()));
        let watched: [Watched<'_>; 4] = [self.stdout.fd().map(readable), err, cancel, child];
        let [out, err, cancelled, gone] = self.waiting.ready(watched, until).await?;
        if out {
            self.stdout.read()?;
        }
        if err && !held_back {
            self.stderr.read()?;
            if let Some(reports) = &mut self.stdout.reports {
                reports.spoke();
            }
        }
        Ok((gone, cancelled))
    }
}

/// Whether a write of up to a page returns at once; also if it returns an error.
fn is_writable(fd: BorrowedFd<'_>) -> bool {
    !matches!(poll_until(&[Some((fd, PollFlags::OUT))], Some(Instant::now())), Ok([false]))
}

#[derive(PartialEq)]
enum Keep {
    Start,
    End,
}

/// One of the child's output pipes, and what is kept of what came out of it.
struct Stream<'a> {
    pipe: Option<PipeReader>,
    /// Who takes out the reports of progress.
    reports: Option<Reports<'a>>,
    /// Whether it is passed on to our standard error.
    forward: bool,
    screen: Screen,
    keep: Keep,
    limit: usize,
    kept: Vec<u8>,
    overflowed: bool,
}

impl<'a> Stream<'a> {
    const fn new(pipe: Option<PipeReader>, forward: bool, limit: usize, keep: Keep) -> Self {
        let screen = Screen::new();
        Self { pipe, reports: None, forward, screen, keep, limit, kept: Vec::new(), overflowed: false }
    }

    fn with(mut self, reports: Option<Reports<'a>>) -> Self {
        self.reports = reports;
        self
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(|pipe| pipe.as_fd())
    }

    /// Takes what is there; at the end of the stream the pipe is closed.
    fn read(&mut self) -> io::Result<()> {
        /// What can be written to a pipe at once when it takes anything (`PIPE_BUF`).
        const FORWARDED_AT_ONCE: usize = 4096;
        let Some(pipe) = &mut self.pipe else { return Ok(()) };
        let mut buffer = [0; 64 << 10];
        let room = if self.forward { FORWARDED_AT_ONCE } else { buffer.len() };
        let count = match pipe.read(buffer.get_mut(..room).unwrap_or_default()) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            result => result?,
        };
        let bytes = buffer.get(..count).unwrap_or_default();
        if bytes.is_empty() {
            self.pipe = None;
            return Ok(());
        }
        match &mut self.reports {
            Some(reports) => {
                let text = reports.take(bytes);
                self.pass(&text);
            }
            None => self.pass(bytes),
        }
        Ok(())
    }

    fn pass(&mut self, text: &[u8]) {
        if self.forward {
            // Nobody may be left to read it, which is no reason to end the command half way.
            let _ = io::stderr().write_all(&self.screen.pass(text));
        }
        self.keep(text);
    }

    /// Keeps what looked like the beginning of a report.
    fn finish(&mut self) {
        if let Some(reports) = &mut self.reports {
            let text = reports.finish();
            self.pass(&text);
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        match self.keep {
            Keep::Start => {
                let room = self.limit.saturating_sub(self.kept.len());
                self.overflowed |= bytes.len() > room;
                self.kept.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
            }
            Keep::End => {
                self.kept.extend_from_slice(bytes);
                let surplus = self.kept.len().saturating_sub(self.limit);
                self.kept.drain(..surplus);
            }
        }
    }
}
