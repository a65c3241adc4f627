//! Starting what was planned, in one of two ways.

use std::ffi::{CString, OsString};
use std::io::{self, PipeReader};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use rustix::fs::{Mode, OFlags, open};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::process::{Pid, PidfdFlags, Rlimit, pidfd_open};

use crate::child::Child;
use crate::secrets::Filled;
use crate::sys::{self, Failure, Step};
use crate::{Error, ErrorKind, Launch, Output, Request};

/// How a child is started, which also decides what can carry its secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// The child sets its limits, has a descriptor for each secret, and dies with its parent.
    Native,
    /// By std, which can do none of that: limits are among the arguments, and secrets come on standard input.
    Portable,
    /// The same, for what runs elsewhere: standard input is a pipe that carries one line, if there are secrets, and
    /// then stays open for as long as this process waits.
    Tethered,
}

/// The streams that the child shares with the caller. To be taken before anything is opened, which may get their
/// numbers if they are closed.
#[derive(Default)]
pub(crate) struct OwnStreams {
    stdin: Option<OwnedFd>,
    stdout: Option<OwnedFd>,
}

impl OwnStreams {
    pub(crate) fn of(request: &Request<'_>) -> io::Result<Self> {
        Ok(Self {
            stdin: request.inherit_stdin.then(|| own(io::stdin().as_fd())).transpose()?,
            stdout: match (request.stdout, request.output) {
                (Some(stdout), _) => Some(own(stdout)?),
                (None, Output::Forwarded) => Some(own(io::stdout().as_fd())?),
                (None, Output::Captured) => None,
            },
        })
    }
}

/// What the child reads and writes: 0, 1, 2, and after them the file that is handed over, and the secrets.
struct Descriptors {
    stdin: OwnedFd,
    stdout: OwnedFd,
    stderr: OwnedFd,
    others: Vec<OwnedFd>,
}

/// All that a child is started from, of which nothing belongs to somebody else.
pub(crate) struct Prepared {
    start: Start,
    launch: Launch,
    descriptors: Descriptors,
    /// The entrance of the control group that it is to be in.
    cgroup: Option<OwnedFd>,
    tether: Option<OwnedFd>,
}

/// The other ends of a child's output; the first is `None` if it writes to the caller's own standard output.
pub(crate) type Pipes = (Option<PipeReader>, PipeReader);

/// Makes what the arguments of the launch refer to, and the pipes.
pub(crate) fn prepare(
    start: Start,
    launch: Launch,
    streams: OwnStreams,
    mut filled: Filled,
    cgroup: Option<OwnedFd>,
    request: &Request<'_>,
) -> Result<(Prepared, Pipes), Error> {
    let tether = filled.tether.take();
    let (descriptors, stdout, stderr) =
        descriptors(streams, filled, request).map_err(|source| could_not_start(source).about(request.invocation))?;
    Ok((Prepared { start, launch, descriptors, cgroup, tether }, (stdout, stderr)))
}

impl Prepared {
    /// Starts it, in a process group of its own. An error is not yet about a command.
    pub(crate) fn start(self) -> Result<Child, Error> {
        if sys::forgets_children() {
            let message = "this process ignores SIGCHLD, so that nobody would be told how qemu-img ends";
            return Err(Error::new(ErrorKind::CouldNotStart).message(message));
        }
        let (pid, pidfd) = match self.start {
            Start::Native => native(&self.launch, &self.descriptors, self.cgroup.as_ref())?,
            Start::Portable | Start::Tethered => portable(&self.launch, self.descriptors).map_err(could_not_start)?,
        };
        Ok(Child::new(pid, pidfd, self.tether))
    }
}

fn could_not_start(source: io::Error) -> Error {
    Error::could_not_start("qemu-img could not be started", source)
}

fn descriptors(
    own: OwnStreams,
    filled: Filled,
    request: &Request<'_>,
) -> io::Result<(Descriptors, Option<PipeReader>, PipeReader)> {
    let stdin = match filled.stdin.or(own.stdin) {
        Some(stdin) => stdin,
        None => null()?,
    };
    let (stdout, read_stdout) = match own.stdout {
        Some(stdout) => (stdout, None),
        None => {
            let (read, write) = io::pipe()?;
            (write.into(), Some(read))
        }
    };
    let (read_stderr, write_stderr) = io::pipe()?;
    let stderr = write_stderr.into();
    let mut others: Vec<OwnedFd> =
        request.handed.map(|file| file.as_fd().try_clone_to_owned()).into_iter().collect::<io::Result<_>>()?;
    others.extend(filled.secrets);
    Ok((Descriptors { stdin, stdout, stderr, others }, read_stdout, read_stderr))
}

/// A copy of one of the caller's own streams; if that is closed, a stream without content.
fn own(stream: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    /// After the streams.
    const LOWEST: i32 = 3;
    match fcntl_dupfd_cloexec(stream, LOWEST) {
        Err(Errno::BADF) => null(),
        result => Ok(result?),
    }
}

fn null() -> io::Result<OwnedFd> {
    Ok(open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?)
}

fn native(launch: &Launch, descriptors: &Descriptors, cgroup: Option<&OwnedFd>) -> Result<(Pid, OwnedFd), Error> {
    // Where there is a NUL, there is no such argument.
    let c_string = |bytes: Vec<u8>| {
        CString::new(bytes).map_err(|source| Error::could_not_start("an argument holds a NUL", io::Error::from(source)))
    };
    let program = c_string(launch.program.as_os_str().as_bytes().to_vec())?;
    let args = launch.args.iter().map(|arg| c_string(arg.as_bytes().to_vec()));
    let args: Vec<CString> = [Ok(program.clone())].into_iter().chain(args).collect::<Result<_, _>>()?;
    let pair = |(name, value): &(OsString, OsString)| {
        c_string([name.clone().into_vec(), value.clone().into_vec()].join(&b'='))
    };
    let env: Vec<CString> = launch.env.iter().map(pair).collect::<Result<_, _>>()?;
    let directory = launch.directory.as_ref().map(|path| c_string(path.as_os_str().as_bytes().to_vec())).transpose()?;
    let limits = launch.limits.to_resource_limits();
    let limits: Vec<_> = limits
        .iter()
        .map(|limit| (limit.resource, Rlimit { current: Some(limit.soft), maximum: Some(limit.hard) }))
        .collect();
    let Descriptors { stdin, stdout, stderr, others } = descriptors;
    let descriptors: Vec<_> = [stdin, stdout, stderr].into_iter().chain(others).map(|fd| fd.as_fd()).collect();
    let program = sys::Program {
        path: &program,
        args: &args,
        env: &env,
        directory: directory.as_deref(),
        cgroup: cgroup.map(|cgroup| cgroup.as_fd()),
        limits: &limits,
        descriptors: &descriptors,
    };
    sys::spawn(&program).map_err(|failure| explain(failure, launch))
}

fn portable(launch: &Launch, descriptors: Descriptors) -> io::Result<(Pid, OwnedFd)> {
    let mut command = Command::new(&launch.program);
    command
        .args(&launch.args)
        .env_clear()
        .envs(launch.env.iter().map(|(name, value)| (name, value)))
        .stdin(descriptors.stdin)
        .stdout(descriptors.stdout)
        .stderr(descriptors.stderr)
        .process_group(0);
    if let Some(directory) = &launch.directory {
        command.current_dir(directory);
    }
    let mut child = command.spawn()?;
    // Nobody waits for it but us, so its number stays its own.
    let pid = Pid::from_child(&child);
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).inspect_err(|_| {
        let _ = child.kill().and_then(|()| child.wait());
    })?;
    Ok((pid, pidfd))
}

/// What could not be done, to whom.
fn explain(Failure { step, errno }: Failure, launch: &Launch) -> Error {
    let quoted = |path: &Path| format!("`{}`", path.display());
    let error = |kind, message: String| Error::new(kind).message(message).because(io::Error::from(errno));
    match step {
        Step::Create => error(ErrorKind::CouldNotStart, "no process could be made".into()),
        Step::Cgroup => error(ErrorKind::LimitsNotApplied, "the process could not enter its control group".into()),
        Step::Group => error(ErrorKind::CouldNotStart, "the process got no group of its own".into()),
        Step::DeathSignal => error(ErrorKind::CouldNotStart, "the process could not be tied to this one".into()),
        Step::Directory => {
            let directory = launch.directory.as_deref().unwrap_or(Path::new("."));
            let message = format!("the working directory {} could not be entered", quoted(directory));
            error(ErrorKind::CouldNotStart, message).path(directory)
        }
        Step::Descriptors => error(ErrorKind::CouldNotStart, "the process did not get its descriptors".into()),
        Step::Limit(resource) => {
            let limits = launch.limits.to_resource_limits();
            let limit = limits.iter().find(|limit| limit.resource == resource);
            let limit = limit.map_or_else(String::new, |limit| format!(" `{}` of {}", limit.name, limit.soft));
            error(ErrorKind::LimitsNotApplied, format!("the limit{limit} could not be set"))
        }
        // Of a script, the interpreter may be what is not there.
        Step::Execute if errno == Errno::NOENT && !launch.program.exists() => {
            error(ErrorKind::ProgramMissing, format!("there is no {}", quoted(&launch.program))).path(&launch.program)
        }
        Step::Execute => {
            let message = format!("{} could not be executed", quoted(&launch.program));
            error(ErrorKind::CouldNotStart, message).path(&launch.program)
        }
    }
}
