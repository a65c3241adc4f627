//! Running what ends when this process does, though nobody here can signal it.

use std::ffi::OsString;
use std::path::Path;

use qemu_cmd::ByteSize;

use crate::environment::Environment;
use crate::plan::LimitedBy;
use crate::start::Start;
use crate::trace::traced;
use crate::waiting::Waiting;
use crate::{End, Error, ErrorKind, Launch, Outcome, Plan, Request, Staging, child, local};

/// What reaches elsewhere by a program of its own.
pub(crate) trait Reach: Send + Sync {
    /// Looks up that program, and what else must be here.
    fn resolve(&self, request: &Request<'_>) -> Result<(), Error>;

    /// Refuses what cannot be asked of it.
    fn check(&self, request: &Request<'_>) -> Result<(), Error>;

    /// What is started, with [`launch`] in it.
    fn launch(&self, request: &Request<'_>, args: Vec<OsString>) -> Launch;

    /// What failed, if this exit status is the program's own.
    fn failure(&self, code: i32, said: &str) -> Option<(ErrorKind, String)>;

    /// What is written under another name first, if that is done there.
    fn staging<'a>(&self, _request: &Request<'a>) -> Option<&'a Staging> {
        None
    }

    /// How much memory may be used there, if that is bounded by a control group.
    fn memory(&self) -> Option<ByteSize> {
        None
    }
}

/// The plan of a request. If the program is not installed it is shown by its bare name.
pub(crate) fn plan<R: Reach>(reach: &R, request: &Request<'_>) -> Result<Plan, Error> {
    reach.check(request)?;
    let _ = reach.resolve(request);
    let request = &request.clone().staging(reach.staging(request));
    Ok(local::plan(request, Start::Tethered, |args| reach.launch(request, args)))
}

/// Runs a request.
pub(crate) async fn run<W: Waiting, R: Reach>(waiting: W, reach: &R, request: Request<'_>) -> Result<Outcome, Error> {
    traced(&request, run_untraced(waiting, reach, request.clone())).await
}

async fn run_untraced<W: Waiting, R: Reach>(waiting: W, reach: &R, request: Request<'_>) -> Result<Outcome, Error> {
    reach.check(&request)?;
    reach.resolve(&request).map_err(|error| error.about(request.invocation))?;
    let staging = reach.staging(&request);
    let request = request.staging(staging).progress_by_signal(None);
    let mut outcome = run_there(waiting, &request, |args| reach.launch(&request, args)).await?;
    let End::Exited(code) = outcome.end else { return Ok(outcome) };
    if code == OUT_OF_MEMORY && reach.memory().is_some() {
        outcome.end = End::OutOfMemory { limit: reach.memory() };
        return Ok(outcome);
    }
    let said = request.invocation.redact(&String::from_utf8_lossy(&outcome.stderr));
    match reach.failure(code, &said).or_else(|| missing(code, &said)) {
        Some((kind, message)) => {
            Err(Error::new(kind).message(message).about(request.invocation).ended(Some(code), None).said(&said))
        }
        None => Ok(outcome),
    }
}

/// What is not there, if that is why. The loader, too, exits with that.
fn missing(code: i32, said: &str) -> Option<(ErrorKind, String)> {
    let seekers = ["sh: ", "env: ", "nice: ", "timeout: ", "prlimit: "];
    let why = said.lines().find(|line| seekers.iter().any(|seeker| line.starts_with(seeker)))?;
    (code == 127).then(|| (ErrorKind::ProgramMissing, format!("a program is missing elsewhere: {why}")))
}

/// What the script exits with if the kernel has killed something in its control group. qemu-img never does, and there is
/// no such signal.
const OUT_OF_MEMORY: i32 = 254;

/// A script that runs its arguments as a command, which gets TERM when standard input ends, unless that is a terminal or
/// `/dev/null`, as where somebody pastes what a dry run shows. With a key, the first line
/// of that is the command's standard input: a shell's own `read` takes no byte more than the line, and its own `echo` shows
/// in no list of processes.
///
/// The shell asks for TERM, without which the first process of a container does not get it. It waits for the command, so
/// that a signal that killed that is told as 128 and its number: to sshd, a signal is a lost connection. 143 is TERM, upon
/// which a timeout(1) that has just forked goes away and leaves its child behind, in its process group.
fn script(key: bool, bounded: bool) -> String {
    let feed = if key { "read -r k <&3; echo \"$k\" | " } else { "" };
    // Of a version 2 the group's own path is in the third field; of a version 1, a container sees its own group.
    let ask = if bounded {
        "[ $s = 137 ] && { while IFS=: read -r n m p; do [ \"$m\" ] || g=$p; done </proc/self/cgroup; \
         for f in \"/sys/fs/cgroup$g/memory.events\" /sys/fs/cgroup/memory/memory.oom_control; do \
         while read -r n m; do [ \"$n\" = oom_kill ] && [ \"$m\" != 0 ] && s=254; done <\"$f\"; done; }; "
    } else {
        ""
    };
    format!(
        "exec 3<&0 </dev/null; {feed}\"$@\" 3<&- & c=$!; exec >/dev/null 2>&1; trap \"kill $c\" TERM; \
         w=; [ -c /dev/fd/3 ] || {{ {{ cat <&3; kill $c; }} & w=$!; }}; \
         wait $c; s=$?; kill $w; [ $s = 143 ] && kill -9 -$c; {ask}exit $s"
    )
}

/// The launch elsewhere, of programs that are looked up there: qemu-img with its environment, clock and limits.
pub(crate) fn launch(request: &Request<'_>, qemu_img: &Path, args: Vec<OsString>, added: &Environment) -> Launch {
    let mut launch = Launch::new(qemu_img, args)
        .limited(request.effective_limits(), LimitedBy::Prlimit("prlimit".as_ref()))
        .with_env(added);
    if let Some(timeout) = request.timeout {
        launch = launch.timed(timeout, child::GRACE, "timeout".as_ref());
    }
    launch.with_env_as_args("env".as_ref())
}

/// The launch in a shell that ends it with its standard input, and tells if this much memory was not enough.
pub(crate) fn tethered(request: &Request<'_>, launch: Launch, shell: &str, memory: Option<ByteSize>) -> Launch {
    let script = script(!request.invocation.secrets().is_empty(), memory.is_some());
    launch.wrap(shell.as_ref(), vec!["-c".into(), script.into(), "sh".into()])
}

/// Runs what is [`tethered`].
pub(crate) async fn run_there<W: Waiting>(
    waiting: W,
    request: &Request<'_>,
    launch: impl FnOnce(Vec<OsString>) -> Launch + Send,
) -> Result<Outcome, Error> {
    let mut outcome = local::run_timed(waiting, request, Start::Tethered, launch).await?;
    // There are 64 signals.
    if let End::Exited(code @ 129..=192) = outcome.end {
        outcome.end = End::Signaled(code - 128);
    }
    Ok(outcome)
}

/// The launch of a program that reaches elsewhere, with the variables by which it finds the caller's things.
pub(crate) fn reaching(program: &Path, args: Vec<OsString>, inherited: &[&str]) -> Launch {
    let mut launch = Launch::new(program, args);
    launch.env.extend(inherited.iter().filter_map(|name| Some((name.into(), std::env::var_os(name)?))));
    launch
}
