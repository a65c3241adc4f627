//! Running what ends when this process does, though nobody here can signal it.

use std::ffi::OsString;
use std::path::Path;

use crate::environment::Environment;
use crate::plan::LimitedBy;
use crate::program::Program;
use crate::start::Start;
use crate::waiting::Waiting;
use crate::{End, Error, ErrorKind, Launch, Outcome, Plan, Request, child, local};

/// What reaches elsewhere by a program of its own.
pub(crate) trait Reach: Send + Sync {
    /// The exit status with which that program tells of its own failure.
    const FAILED: i32;

    /// That program.
    fn program(&self) -> &Program;

    /// Refuses what cannot be asked of it.
    fn check(&self, request: &Request<'_>) -> Result<(), Error>;

    /// What is started, with [`launch`] in it.
    fn launch(&self, request: &Request<'_>, args: Vec<OsString>) -> Launch;

    /// What failed, by what was said.
    fn failure(&self, said: &str) -> (ErrorKind, String);
}

/// The plan of a request. If the program is not installed it is shown by its bare name.
pub(crate) fn plan<R: Reach>(reach: &R, request: &Request<'_>) -> Result<Plan, Error> {
    reach.check(request)?;
    let _ = reach.program().resolve();
    let request = &request.clone().staging(None);
    Ok(local::plan(request, Start::Tethered, |args| reach.launch(request, args)))
}

/// Runs a request.
pub(crate) async fn run<W: Waiting, R: Reach>(waiting: W, reach: &R, request: Request<'_>) -> Result<Outcome, Error> {
    reach.check(&request)?;
    reach.program().resolve().map_err(|error| error.about(request.invocation))?;
    let request = request.staging(None);
    let outcome = run_there(waiting, &request, |args| reach.launch(&request, args)).await?;
    if outcome.end != End::Exited(R::FAILED) {
        return Ok(outcome);
    }
    let said = request.invocation.redact(&String::from_utf8_lossy(&outcome.stderr));
    let (kind, message) = reach.failure(&said);
    Err(Error::new(kind).message(message).about(request.invocation).ended(Some(R::FAILED), None).said(&said))
}

/// A script that runs its arguments as a command, which gets TERM when standard input ends. With a key, the first line
/// of that is the command's standard input: a shell's own `read` takes no byte more than the line, and its own `echo` shows
/// in no list of processes.
///
/// The shell asks for TERM, without which the first process of a container does not get it. It waits for the command, so
/// that a signal that killed that is told as 128 and its number: to sshd, a signal is a lost connection. 143 is TERM, upon
/// which a timeout(1) that has just forked goes away and leaves its child behind, in its process group.
fn script(key: bool) -> String {
    let feed = if key { "read -r k <&3; echo \"$k\" | " } else { "" };
    format!(
        "exec 3<&0 </dev/null; {feed}\"$@\" 3<&- & c=$!; exec >/dev/null 2>&1; trap \"kill $c\" TERM; \
         {{ cat <&3; kill $c; }} & w=$!; wait $c; s=$?; kill $w; [ $s = 143 ] && kill -9 -$c; exit $s"
    )
}

/// The launch elsewhere, of programs that are looked up there: a shell, and in it qemu-img with its environment, clock
/// and limits.
pub(crate) fn launch(request: &Request<'_>, qemu_img: &Path, args: Vec<OsString>, added: &Environment) -> Launch {
    let mut launch = Launch::new(qemu_img, args)
        .limited(request.effective_limits(), LimitedBy::Prlimit("prlimit".as_ref()))
        .with_env(added);
    if let Some(timeout) = request.timeout {
        launch = launch.timed(timeout, child::GRACE, "timeout".as_ref());
    }
    let script = script(!request.invocation.secrets().is_empty());
    launch.with_env_as_args("env".as_ref()).wrap("sh".as_ref(), vec!["-c".into(), script.into(), "sh".into()])
}

/// Runs what [`launch`] was wrapped into.
async fn run_there<W: Waiting>(
    waiting: W,
    request: &Request<'_>,
    launch: impl FnOnce(Vec<OsString>) -> Launch + Send,
) -> Result<Outcome, Error> {
    let mut outcome = local::run_timed(waiting, request, Start::Tethered, launch).await?;
    match outcome.end {
        // 255 is no signal, but what ssh says of itself.
        End::Exited(code @ 129..255) => outcome.end = End::Signaled(code - 128),
        // The loader, too, exits with that.
        End::Exited(127) => {
            let said = request.invocation.redact(&String::from_utf8_lossy(&outcome.stderr));
            let seekers = ["sh: ", "env: ", "timeout: ", "prlimit: "];
            if let Some(why) = said.lines().find(|line| seekers.iter().any(|seeker| line.starts_with(seeker))) {
                return Err(Error::new(ErrorKind::ProgramMissing)
                    .message(format!("a program is missing elsewhere: {why}"))
                    .about(request.invocation)
                    .ended(Some(127), None)
                    .said(&said));
            }
        }
        _ => {}
    }
    Ok(outcome)
}

/// The launch of a program that reaches elsewhere, with the variables by which it finds the caller's things.
pub(crate) fn reaching(program: &Path, args: Vec<OsString>, inherited: &[&str]) -> Launch {
    let mut launch = Launch::new(program, args);
    launch.env.extend(inherited.iter().filter_map(|name| Some((name.into(), std::env::var_os(name)?))));
    launch
}
