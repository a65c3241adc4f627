//! Running as the caller.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::cgroup::Kept;
use crate::environment::{Environment, env_builder};
use crate::plan::LimitedBy;
use crate::program::Program;
use crate::secrets::{self, Scheme};
use crate::start::{self, OwnStreams, Start};
use crate::trace::traced;
use crate::waiting::{Blocking, Waiting, now};
use crate::{Cgroup, End, Error, ErrorKind, Executor, Launch, Outcome, Plan, Request, child};

/// Runs qemu-img as the user who calls.
///
/// `qemu-img` is looked up once, in `PATH` and the standard directories. It runs in a process group of its
/// own, with an environment that holds `LC_ALL=C`, `LANG=C`, what [`env`](Self::env) adds, and nothing of the
/// caller's; with every signal at its default, and no descriptor but its streams and its secrets.
///
/// * **Limits** are set by the child itself, before it is qemu-img. That takes no copy of the caller, however large
///   that is.
/// * **Secrets** are sealed memory files, which the child has as its descriptors 3, 4, and so on. So the arguments are
///   the same every time, and a dry run shows them to the byte.
/// * **Death of the caller** is that of qemu-img too, by SIGKILL: nobody is left to publish what it writes, or to end
///   it when its time is up. The caller is the thread that called, which waits for qemu-img; but the kernel forgets this
///   for a program with capabilities of its own.
///
/// This needs Linux 5.9; [`portable`](Self::portable) does with less. Neither starts anything where SIGCHLD is ignored,
/// since a process is not told then how its children end ([`CouldNotStart`](ErrorKind::CouldNotStart)).
#[derive(Debug)]
pub struct LocalExecutor {
    qemu_img: Program,
    prlimit: Program,
    environment: Environment,
    directory: Option<PathBuf>,
    cgroup: Option<Cgroup>,
    start: Start,
}

impl Default for LocalExecutor {
    fn default() -> Self {
        Self::new()
    }
}

impl LocalExecutor {
    /// Runs the `qemu-img` that is found in `PATH` or the standard directories.
    #[must_use]
    pub fn new() -> Self {
        Self::with_program("qemu-img")
    }

    /// Runs another qemu-img: a path, or a name to be looked up.
    #[must_use]
    pub fn with_program(qemu_img: impl Into<PathBuf>) -> Self {
        Self {
            qemu_img: Program::new(qemu_img),
            prlimit: Program::new("prlimit"),
            environment: Environment::default(),
            directory: None,
            cgroup: None,
            start: Start::Native,
        }
    }

    /// Starts qemu-img with the means of the standard library only: limits are set by prlimit(1), which then becomes
    /// qemu-img; one secret comes on standard input, and several are encrypted in the arguments, under a key that comes
    /// on standard input. qemu-img does not die with the caller, and inherits signals that are ignored and descriptors
    /// that are not close-on-exec.
    ///
    /// For a sandbox or an emulator that lacks `clone` with `CLONE_VM`, or `close_range`.
    #[must_use]
    pub const fn portable(mut self) -> Self {
        self.start = Start::Portable;
        self
    }

    /// Runs qemu-img in this directory. Default: the caller's.
    ///
    /// Relative names in a command are of that directory then. [`QemuImg`](crate::QemuImg) does not know of it when it
    /// asks the machine about a target: give absolute names there.
    #[must_use]
    pub fn current_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// Gives each run a control group of its own. Default: none. Where that cannot be done a command is not run
    /// ([`LimitsNotApplied`](ErrorKind::LimitsNotApplied)); [`portable`](Self::portable) cannot
    /// ([`Refused`](ErrorKind::Refused)).
    #[must_use]
    pub fn cgroup(mut self, cgroup: Cgroup) -> Self {
        self.cgroup = Some(cgroup);
        self
    }

    env_builder!(|executor| executor.environment, "Not for secrets: a dry run shows it.");

    /// Looks up what is needed.
    fn resolve(&self, request: &Request<'_>) -> Result<(), Error> {
        self.qemu_img.resolve()?;
        if self.start == Start::Portable && !request.effective_limits().is_none() {
            self.prlimit.resolve()?;
        }
        Ok(())
    }

    fn launch(&self, request: &Request<'_>, args: Vec<OsString>) -> Launch {
        let by = match self.start {
            Start::Native => LimitedBy::Child,
            Start::Portable | Start::Tethered => LimitedBy::Prlimit(self.prlimit.path()),
        };
        let limits = request.effective_limits().within_own();
        let mut launch = Launch::new(self.qemu_img.path(), args).limited(limits, by).with_env(&self.environment);
        launch.directory.clone_from(&self.directory);
        launch.cgroup.clone_from(&self.cgroup);
        launch
    }

    pub(crate) async fn run_by<W: Waiting>(&self, waiting: W, request: Request<'_>) -> Result<Outcome, Error> {
        traced(&request, self.run_untraced(waiting, &request)).await
    }

    async fn run_untraced<W: Waiting>(&self, waiting: W, request: &Request<'_>) -> Result<Outcome, Error> {
        self.environment.check(request.invocation)?;
        self.resolve(request).map_err(|error| error.about(request.invocation))?;
        if self.cgroup.is_some() && self.start != Start::Native {
            return Err(Error::new(ErrorKind::Refused)
                .message("a portable start cannot enter a control group: use the native one")
                .about(request.invocation));
        }
        run(waiting, request, request.timeout, self.start, |args| self.launch(request, args)).await
    }
}

impl Executor for LocalExecutor {
    /// A program that is not installed is shown by its bare name.
    fn plan(&self, request: &Request<'_>) -> Result<Plan, Error> {
        self.environment.check(request.invocation)?;
        // The plan is also of use where qemu-img is not installed.
        let _ = self.resolve(request);
        Ok(plan(request, self.start, |args| self.launch(request, args)))
    }

    fn run<'a>(&self, request: Request<'a>) -> Result<Outcome, Error> {
        now(self.run_by(Blocking, request))
    }
}

/// The plan of a launch that is made from filled arguments.
pub(crate) fn plan(request: &Request<'_>, start: Start, launch: impl FnOnce(Vec<OsString>) -> Launch) -> Plan {
    let scheme = Scheme::of(request.invocation, start, request.handed.is_some().into());
    let mut argv = vec![OsString::from("qemu-img")];
    argv.extend(scheme.preview(request.invocation));
    Plan { argv, launch: launch(scheme.preview(request.launched())), secrets: scheme.deliveries() }
}

/// Runs a launch whose clock is kept by timeout(1), for what cannot be signalled from here.
pub(crate) async fn run_timed<W: Waiting>(
    waiting: W,
    request: &Request<'_>,
    how: Start,
    launch: impl FnOnce(Vec<OsString>) -> Launch + Send,
) -> Result<Outcome, Error> {
    // timeout(1) ends the command; should that fail, what is left is to stop waiting.
    let backstop = request.timeout.map(|timeout| timeout.saturating_add(child::GRACE).saturating_add(child::GRACE));
    let mut outcome = run(waiting, request, backstop, how, launch).await?;
    if let Some(timeout) = request.timeout {
        // timeout(1) exits with 124; if TERM was not enough, it is killed with its command, which is told as 137 or as
        // it is.
        let late = outcome.wall_time >= timeout.saturating_add(child::GRACE);
        match outcome.end {
            End::Exited(124) => outcome.end = End::TimedOut,
            End::Exited(137) | End::Signaled(9) if late => outcome.end = End::TimedOut,
            _ => {}
        }
    }
    Ok(outcome)
}

/// Runs a launch that is made from filled arguments.
pub(crate) async fn run<W: Waiting>(
    waiting: W,
    request: &Request<'_>,
    timeout: Option<Duration>,
    how: Start,
    launch: impl FnOnce(Vec<OsString>) -> Launch + Send,
) -> Result<Outcome, Error> {
    if request.handed.is_some() && how != Start::Native {
        return Err(Error::new(ErrorKind::Refused)
            .message("this executor cannot hand over an open file: use the native LocalExecutor")
            .about(request.invocation));
    }
    let scheme = Scheme::of(request.invocation, how, request.handed.is_some().into());
    if request.inherit_stdin && (scheme.needs_stdin() || how == Start::Tethered) {
        let why = match how {
            Start::Tethered => "standard input does not reach what runs elsewhere: give the image by its name",
            _ => "standard input cannot carry both an image and a secret: give the image by its name",
        };
        return Err(Error::new(ErrorKind::Refused).message(why).about(request.invocation));
    }
    let could_not =
        |message: &str, source: io::Error| Error::could_not_start(message, source).about(request.invocation);
    let streams =
        OwnStreams::of(request).map_err(|source| could_not("standard input or output could not be shared", source))?;
    if let Some(staging) = request.staging {
        staging.begin_by(waiting).await.map_err(|error| error.about(request.invocation))?;
    }
    let mut filled = scheme
        .fill(request.launched())
        .map_err(|source| could_not("the secrets could not be put into memory files", source))?;
    if how == Start::Tethered {
        let pipe = secrets::tether(filled.stdin.take());
        let (stdin, end) = pipe.map_err(|source| could_not("no pipe could be made", source))?;
        (filled.stdin, filled.tether) = (Some(stdin), Some(end));
    }
    let launch = launch(std::mem::take(&mut filled.args));
    // It outlives the child, whatever becomes of that.
    let group = match launch.cgroup.clone() {
        Some(cgroup) => Some(Kept::made(waiting, cgroup).await.map_err(|error| error.about(request.invocation))?),
        None => None,
    };
    let entrance = group.as_ref().map(|group| group.entrance()).transpose();
    let entrance = entrance.map_err(|source| could_not("the control group could not be opened", source))?;
    let started = Instant::now();
    let (prepared, pipes) = start::prepare(how, launch, streams, filled, entrance, request)?;
    let child = waiting.start(prepared).await.map_err(|error| error.about(request.invocation))?;
    let outcome = child::watch(waiting, child, pipes, started, request, timeout).await?;
    match group {
        Some(group) => group.end(outcome).await,
        None => Ok(outcome),
    }
}
