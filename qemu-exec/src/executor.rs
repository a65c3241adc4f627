//! Who runs a command, and what they are asked.

use std::fs::File;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use qemu_cmd::Invocation;

use crate::{CancelToken, Error, Limits, OnProgress, Outcome, Plan, Progress, Staging};

/// Something that can run qemu-img.
///
/// The trait is object-safe, and can be implemented outside of this crate: see [`Plan::new`] and [`Outcome::new`].
///
/// With the feature `tracing`, the executors of this crate that run something run each command in a span `qemu-img` of
/// level INFO and target `qemu_exec`. Its fields are `subcommand` and `argv`, without secrets and passwords; and in the end
/// `end` (an [`End`](crate::End)), `exit_code` or `signal`, `wall_time`, `user_time` and `system_time` in seconds,
/// `peak_memory` in bytes, and `error` (an [`ErrorKind`](crate::ErrorKind)) if it failed. A future that is dropped leaves
/// these empty.
pub trait Executor: Send + Sync {
    /// What [`run`](Self::run) would start for this request, to the byte, but for the values of secrets.
    ///
    /// # Errors
    /// The same as `run` before it starts anything.
    fn plan(&self, request: &Request<'_>) -> Result<Plan, Error>;

    /// Runs the command and waits for it.
    ///
    /// # Errors
    /// The command could not be started. What it did once started is in the [`Outcome`].
    fn run<'a>(&self, request: Request<'a>) -> Result<Outcome, Error>;

    /// Whether the files that commands name are not those of this process, as on another host or in a container. Then
    /// [`QemuImg`](crate::QemuImg) looks at none of them. Default: no.
    fn is_elsewhere(&self) -> bool {
        false
    }
}

impl<E: Executor + ?Sized> Executor for Box<E> {
    fn plan(&self, request: &Request<'_>) -> Result<Plan, Error> {
        (**self).plan(request)
    }

    fn run<'a>(&self, request: Request<'a>) -> Result<Outcome, Error> {
        (**self).run(request)
    }

    fn is_elsewhere(&self) -> bool {
        (**self).is_elsewhere()
    }
}

impl<E: Executor + ?Sized> Executor for std::sync::Arc<E> {
    fn plan(&self, request: &Request<'_>) -> Result<Plan, Error> {
        (**self).plan(request)
    }

    fn run<'a>(&self, request: Request<'a>) -> Result<Outcome, Error> {
        (**self).run(request)
    }

    fn is_elsewhere(&self) -> bool {
        (**self).is_elsewhere()
    }
}

impl<E: Executor + ?Sized> Executor for &E {
    fn plan(&self, request: &Request<'_>) -> Result<Plan, Error> {
        (**self).plan(request)
    }

    fn run<'a>(&self, request: Request<'a>) -> Result<Outcome, Error> {
        (**self).run(request)
    }

    fn is_elsewhere(&self) -> bool {
        (**self).is_elsewhere()
    }
}

/// What becomes of a command's output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Output {
    /// It is kept for the [`Outcome`].
    #[default]
    Captured,
    /// Standard output is the caller's own, and standard error is passed on to the caller's as it comes; only
    /// the end of that is also kept.
    Forwarded,
}

/// A command to be run, and the bounds that it is run in.
#[derive(Clone, Debug)]
#[non_exhaustive]
#[must_use]
pub struct Request<'a> {
    /// The command.
    pub invocation: &'a Invocation,
    /// The limits of the process.
    pub limits: Limits,
    /// How long it may run by the clock.
    pub timeout: Option<Duration>,
    /// How long it may go without coming further or saying anything.
    pub stall_timeout: Option<Duration>,
    /// Who is told how far it is.
    pub progress: Option<&'a dyn OnProgress>,
    /// How often it is asked for that by a signal, if it does not say so by itself.
    pub progress_by_signal: Option<Duration>,
    /// What becomes of its output.
    pub output: Output,
    /// What is its standard output, whatever becomes of the rest.
    pub stdout: Option<BorrowedFd<'a>>,
    /// How many bytes it may print on standard output when that is captured.
    pub output_limit: usize,
    /// What stops it.
    pub cancel: Option<CancelToken>,
    /// Whether it reads the caller's standard input; otherwise that is empty, or carries secrets.
    pub inherit_stdin: bool,
    /// What is written first under another name; an executor that runs things on this machine
    /// [begins](Staging::begin) it, and runs [`launched`](Self::launched).
    pub staging: Option<&'a Staging>,
    /// A file that the process has open as its descriptor 3. An executor that cannot do that refuses.
    pub handed: Option<&'a File>,
}

impl<'a> Request<'a> {
    /// Runs `invocation` without limits or timeout; 64 MiB of output are captured at most.
    pub const fn new(invocation: &'a Invocation) -> Self {
        Self {
            invocation,
            limits: Limits::none(),
            timeout: None,
            stall_timeout: None,
            progress: None,
            progress_by_signal: None,
            output: Output::Captured,
            stdout: None,
            output_limit: 64 << 20,
            cancel: None,
            inherit_stdin: false,
            staging: None,
            handed: None,
        }
    }

    /// The command that is given to the kernel: with staging, the one that writes to the unfinished file.
    pub fn launched(&self) -> &'a Invocation {
        self.staging.map_or(self.invocation, Staging::invocation)
    }

    /// Writes to another file first. Default: none.
    pub const fn staging(mut self, staging: Option<&'a Staging>) -> Self {
        self.staging = staging;
        self
    }

    /// Hands over a file, as the descriptor 3. Default: none.
    pub const fn handing(mut self, file: Option<&'a File>) -> Self {
        self.handed = file;
        self
    }

    /// The limits of the process. Default: none.
    pub const fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The limits that the process is given: those of the request, and no core file where there are secrets.
    pub(crate) fn effective_limits(&self) -> Limits {
        if self.invocation.secrets().is_empty() { self.limits } else { self.limits.without_core() }
    }

    /// How long the command may run by the clock; then it is killed. Default: for ever.
    pub const fn timeout(mut self, timeout: Option<Duration>) -> Self {
        self.timeout = timeout;
        self
    }

    /// How long the command may go without coming further, and without printing anything else; then it is killed, and
    /// has [stalled](crate::End::Stalled). Default: for ever.
    ///
    /// It begins with the first report of progress, so that a command that makes none never stalls: as for
    /// [`progress`](Self::progress), `-p` must be among the arguments, and the output be captured. Make it minutes:
    /// qemu-img reports nothing while it preallocates the target, or waits for data to reach the disk.
    pub const fn stall_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.stall_timeout = timeout;
        self
    }

    /// Tells how far the command is whenever it says so, and takes that out of the captured output. Default: nobody.
    ///
    /// The command must print progress, which `-p` makes it do, and its output be captured.
    pub fn progress(mut self, progress: &'a (impl Fn(Progress) + Send + Sync)) -> Self {
        self.progress = Some(progress);
        self
    }

    /// Asks for progress so often, by SIGUSR1, instead of reading standard output, which may be data or the caller's own:
    /// the command is one without `-p`, and what qemu-img answers on standard error is taken out of that. At the end of
    /// a command that succeeded, 100 % are told. Default: not at all.
    ///
    /// Those that answer are `amend`, `commit`, `compare`, `convert` and `rebase`; another one is not sent the signal,
    /// since it has no handler for it. Only a [`LocalExecutor`](crate::LocalExecutor) asks: any other ignores this.
    #[doc(alias = "SIGUSR1")]
    pub const fn progress_by_signal(mut self, interval: Option<Duration>) -> Self {
        self.progress_by_signal = interval;
        self
    }

    /// What becomes of the output. Default: captured.
    pub const fn output(mut self, output: Output) -> Self {
        self.output = output;
        self
    }

    /// Has this as standard output, of which nothing is captured then: the write end of an
    /// [`output_pipe`](crate::output_pipe), for what is to be read as it comes. Default: none.
    ///
    /// Somebody else has to read it, and to read all of it, or else the command waits, or writes to nobody. The reader
    /// sees the end when this descriptor is closed here, too.
    pub const fn stdout(mut self, descriptor: BorrowedFd<'a>) -> Self {
        self.stdout = Some(descriptor);
        self
    }

    /// How many bytes of standard output are captured at most. Default: 64 MiB.
    pub const fn output_limit(mut self, bytes: usize) -> Self {
        self.output_limit = bytes;
        self
    }

    /// Stops the command when the token is cancelled.
    pub fn cancel(mut self, token: CancelToken) -> Self {
        self.cancel = Some(token);
        self
    }

    /// Lets the command read the caller's standard input, for an image called `/dev/stdin`. Default: no. Where secrets
    /// come that way, a command with one does not start.
    pub const fn inherit_stdin(mut self, on: bool) -> Self {
        self.inherit_stdin = on;
        self
    }
}
