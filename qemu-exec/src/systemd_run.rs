//! Running as a service of systemd.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;

use qemu_cmd::ByteSize;

use crate::environment::env_builder;
use crate::front::Front;
use crate::program::Program;
use crate::start::Start;
use crate::waiting::{Blocking, Waiting, now};
use crate::{End, Error, ErrorKind, Executor, Launch, Outcome, Plan, Request, child, local, tether};

/// Runs qemu-img in a service that is made for it, by `systemd-run`: so that its memory and CPU are bounded by a control
/// group, which counts what is really used.
///
/// The manager is that of the system, which root may ask, or that of the [user](Self::user_manager). What it starts are
/// `env`, and `timeout` and `prlimit` as far as they are needed, and then qemu-img.
///
/// * **Secrets** come on standard input, as under sudo: a sealed memory file, which systemd hands to the service.
/// * **The clock** is kept by timeout(1), which tells that time was up. `RuntimeMaxSec` is above that, and ends the
///   service even if nobody waits for it any more.
/// * **What is not guaranteed**: a service goes on when `systemd-run` is ended. A command that is cancelled, or whose
///   caller is gone, runs on until it is done or its time is up: give it a timeout. And `systemd-run` may tell of a
///   signal as an exit status of 1: what is killed for [`memory`](Self::memory) is then
///   [`Failed`](ErrorKind::Failed), without a word.
/// * **New images** have their name when they are complete if the service runs as the caller; otherwise they are written
///   under it, as with [`SudoExecutor`](crate::SudoExecutor).
///
/// Its arguments are held by tests; no test has run it against a real systemd yet.
#[derive(Debug)]
pub struct SystemdRunExecutor {
    user_manager: bool,
    properties: Vec<OsString>,
    systemd_run: Program,
    front: Front,
}

impl Default for SystemdRunExecutor {
    fn default() -> Self {
        Self::new()
    }
}

impl SystemdRunExecutor {
    /// Runs the `qemu-img` that is found in `PATH` or the standard directories, as a service of the system.
    #[must_use]
    pub fn new() -> Self {
        Self::with_program("qemu-img")
    }

    /// Runs another qemu-img: a path, or a name to be looked up.
    #[must_use]
    pub fn with_program(qemu_img: impl Into<PathBuf>) -> Self {
        Self {
            user_manager: false,
            properties: Vec::new(),
            systemd_run: Program::new("systemd-run"),
            front: Front::new(qemu_img),
        }
    }

    /// Asks the caller's own manager, which needs no rights; it is found by `XDG_RUNTIME_DIR`.
    #[doc(alias = "--user")]
    #[must_use]
    pub const fn user_manager(mut self) -> Self {
        self.user_manager = true;
        self
    }

    /// How much memory may be used, with the page cache and without swap (`MemoryMax`); what takes more is killed.
    #[doc(alias = "MemoryMax")]
    #[must_use]
    pub fn memory(self, size: ByteSize) -> Self {
        self.property(format!("MemoryMax={size}")).property("MemorySwapMax=0")
    }

    /// How much CPU may be used, in percent of one (`CPUQuota`): what wants more is slowed down.
    #[doc(alias = "CPUQuota")]
    #[must_use]
    pub fn cpu_quota(self, percent: u32) -> Self {
        self.property(format!("CPUQuota={percent}%"))
    }

    /// Gives the service another property, as systemd.exec(5) and systemd.resource-control(5) have them: `IOWeight=10`.
    ///
    /// One that hides files or changes the user, such as `PrivateTmp` or `User`, is for names that do not depend on it.
    #[doc(alias = "-p")]
    #[must_use]
    pub fn property(mut self, property: impl Into<OsString>) -> Self {
        self.properties.push(property.into());
        self
    }

    env_builder!(
        |executor| executor.front.environment(),
        "Not for secrets: it stands in the arguments, which every user can read."
    );

    /// The request without its staging, if the files would be those of another user.
    fn as_service<'a>(&self, request: &Request<'a>) -> Request<'a> {
        let same = self.user_manager || rustix::process::geteuid().is_root();
        let staging = request.staging.filter(|_| same);
        request.clone().staging(staging)
    }

    fn resolve(&self, request: &Request<'_>) -> Result<(), Error> {
        self.systemd_run.resolve()?;
        self.front.resolve(request)
    }

    fn launch(&self, request: &Request<'_>, args: Vec<OsString>) -> Launch {
        let mut options: Vec<OsString> =
            ["--pipe", "--wait", "--collect", "--quiet", "--same-dir"].map(Into::into).into();
        if self.user_manager {
            options.push("--user".into());
        }
        options.extend(self.properties.iter().flat_map(|property| ["-p".into(), property.clone()]));
        if let Some(timeout) = request.timeout {
            // After timeout(1) has sent KILL, and before we stop waiting, with the second that is rounded up.
            let most = timeout.saturating_add(child::GRACE).as_secs().saturating_add(1);
            options.extend(["-p".into(), format!("RuntimeMaxSec={most}").into()]);
        }
        options.push("--".into());
        let service = self.front.launch(request, args);
        options.push(service.program.into_os_string());
        options.extend(service.args.iter().map(unexpanded));
        tether::reaching(self.systemd_run.path(), options, &["XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"])
    }

    async fn run_by<W: Waiting>(&self, waiting: W, request: Request<'_>) -> Result<Outcome, Error> {
        self.front.check(request.invocation)?;
        let request = self.as_service(&request);
        self.resolve(&request).map_err(|error| error.about(request.invocation))?;
        let outcome = local::run_timed(waiting, &request, Start::Portable, |args| self.launch(&request, args)).await?;
        let said = String::from_utf8_lossy(&outcome.stderr);
        // What systemd-run says when there is no manager, or that does not let us. qemu-img says its name first.
        let complaint = said.lines().find(|line| !line.is_empty());
        let own = complaint.filter(|line| ["Failed to ", "System has not "].iter().any(|own| line.starts_with(own)));
        match own {
            Some(why) if outcome.end == End::Exited(1) => Err(Error::new(ErrorKind::CouldNotStart)
                .message(format!("systemd made no service: {why}"))
                .about(request.invocation)
                .ended(Some(1), None)
                .said(&request.invocation.redact(&said))),
            _ => Ok(outcome),
        }
    }
}

impl Executor for SystemdRunExecutor {
    /// A program that is not installed is shown by its bare name.
    fn plan(&self, request: &Request<'_>) -> Result<Plan, Error> {
        self.front.check(request.invocation)?;
        let _ = self.resolve(request);
        let request = &self.as_service(request);
        Ok(local::plan(request, Start::Portable, |args| self.launch(request, args)))
    }

    fn run<'a>(&self, request: Request<'a>) -> Result<Outcome, Error> {
        now(self.run_by(Blocking, request))
    }
}

/// An argument in which the manager finds no variable: to it, `$$` is a `$`.
fn unexpanded(arg: &OsString) -> OsString {
    let dollars = |&byte: &u8| std::iter::repeat_n(byte, if byte == b'$' { 2 } else { 1 });
    OsString::from_vec(arg.as_bytes().iter().flat_map(dollars).collect())
}
