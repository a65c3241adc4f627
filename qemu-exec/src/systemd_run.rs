//! Running as a service of systemd.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;
use std::time::Duration;

use qemu_cmd::ByteSize;

use crate::environment::env_builder;
use crate::front::Front;
use crate::program::Program;
use crate::tether::{self, Reach};
use crate::waiting::{Blocking, now};
use crate::{Error, ErrorKind, Executor, Launch, Outcome, Plan, Request, Staging, child};

/// Runs qemu-img in a service that is made for it, by `systemd-run`: so that its memory and CPU are bounded by a control
/// group, which counts what is really used.
///
/// The manager is that of the system, which root may ask, or that of the [user](Self::user_manager). What it starts are
/// `env`, and `timeout` and `prlimit` as far as they are needed, and then qemu-img.
///
/// * **Secrets** are encrypted in the arguments, under a random key that comes on standard input, which systemd hands to
///   the service. There, the key is in the memory of a shell until qemu-img has read it.
/// * **The clock** is kept by timeout(1), which tells that time was up. `RuntimeMaxSec` is above that, and ends the
///   service even if nobody waits for it any more.
/// * **The end of standard input** is that of qemu-img: when the command is cancelled, or this process is gone, a shell
///   in the service sends it TERM. What is not guaranteed: that this happens before [`run`](Executor::run) returns.
/// * **New images** have their name when they are complete if the service runs as the caller; otherwise they are written
///   under it, as with [`SudoExecutor`](crate::SudoExecutor).
///
/// It cannot hand over an open file or a socket, which an [import](crate::QemuImg::import) and a digest need, nor standard
/// input: those are [refused](ErrorKind::Refused).
#[derive(Debug)]
pub struct SystemdRunExecutor {
    user_manager: bool,
    memory: Option<ByteSize>,
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
            memory: None,
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

    /// How much memory may be used, with the page cache and without swap (`MemoryMax`); what takes more is killed, which
    /// is a [`LimitHit`](ErrorKind::LimitHit) of [`Memory`](crate::Limit::Memory). Default: any.
    #[doc(alias = "MemoryMax")]
    #[must_use]
    pub const fn memory(mut self, size: ByteSize) -> Self {
        self.memory = Some(size);
        self
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
}

/// The most seconds that systemd takes, since it counts them in microseconds; what is longer is as good as for ever.
const LONGEST: u64 = i64::MAX.unsigned_abs() / 1_000_000;

impl Reach for SystemdRunExecutor {
    fn resolve(&self, request: &Request<'_>) -> Result<(), Error> {
        self.systemd_run.resolve()?;
        self.front.resolve(request)
    }

    fn check(&self, request: &Request<'_>) -> Result<(), Error> {
        self.front.check(request.invocation)
    }

    fn launch(&self, request: &Request<'_>, args: Vec<OsString>) -> Launch {
        let mut options: Vec<OsString> =
            ["--pipe", "--wait", "--collect", "--quiet", "--same-dir"].map(Into::into).into();
        if self.user_manager {
            options.push("--user".into());
        }
        if let Some(memory) = self.memory {
            // What is left then can tell what happened.
            let properties = [format!("MemoryMax={memory}"), "MemorySwapMax=0".into(), "OOMPolicy=continue".into()];
            options.extend(properties.into_iter().flat_map(|property| ["-p".into(), property.into()]));
        }
        options.extend(self.properties.iter().flat_map(|property| ["-p".into(), property.clone()]));
        // After timeout(1) has sent KILL, and before we stop waiting, with the second that is rounded up.
        let most = |timeout: Duration| timeout.saturating_add(child::GRACE).as_secs().saturating_add(1);
        if let Some(most) = request.timeout.map(most).filter(|most| *most <= LONGEST) {
            options.extend(["-p".into(), format!("RuntimeMaxSec={most}").into()]);
        }
        options.push("--".into());
        let service = tether::tethered(request, self.front.launch(request, args), "/bin/sh", self.memory);
        options.push(service.program.into_os_string());
        options.extend(service.args.iter().map(unexpanded));
        tether::reaching(self.systemd_run.path(), options, &["XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"])
    }

    /// What systemd-run says when there is no manager, or that does not let us. qemu-img says its name first.
    fn failure(&self, code: i32, said: &str) -> Option<(ErrorKind, String)> {
        let complaint = said.lines().find(|line| !line.is_empty())?;
        let own = ["Failed to ", "System has not ", "Unknown assignment"].iter().any(|own| complaint.starts_with(own));
        let message = format!("systemd made no service: {complaint}");
        (code == 1 && own).then_some((ErrorKind::CouldNotStart, message))
    }

    /// Unless the files would be those of another user.
    fn staging<'a>(&self, request: &Request<'a>) -> Option<&'a Staging> {
        request.staging.filter(|_| self.user_manager || rustix::process::geteuid().is_root())
    }

    fn memory(&self) -> Option<ByteSize> {
        self.memory
    }
}

impl Executor for SystemdRunExecutor {
    /// A program that is not installed is shown by its bare name.
    fn plan(&self, request: &Request<'_>) -> Result<Plan, Error> {
        tether::plan(self, request)
    }

    fn run<'a>(&self, request: Request<'a>) -> Result<Outcome, Error> {
        now(tether::run(Blocking, self, request))
    }
}

/// An argument in which the manager finds no variable: to it, `$$` is a `$`.
fn unexpanded(arg: &OsString) -> OsString {
    let dollars = |&byte: &u8| std::iter::repeat_n(byte, if byte == b'$' { 2 } else { 1 });
    OsString::from_vec(arg.as_bytes().iter().flat_map(dollars).collect())
}
