//! Running as root, or as another user.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::environment::env_builder;
use crate::front::Front;
use crate::program::Program;
use crate::start::Start;
use crate::trace::traced;
use crate::waiting::{Blocking, Waiting, now};
use crate::{Error, Executor, Launch, Outcome, Plan, Request, local, tether};

/// Runs qemu-img through `sudo -n`, which never asks for a password: as root, or as [`user`](Self::user).
///
/// What sudo starts is `sh`, `env`, `timeout` and `prlimit`, as far as they are needed, and then qemu-img: sudo
/// resets the environment, its PAM modules can reset limits, and a process of root cannot be signalled by the
/// caller. So the policy of sudoers must allow `/bin/sh`, which is to say everything: this is for a caller who may
/// be root, not for one who must not.
///
/// A new image is written under its own name, where a run that fails leaves what it has: the unfinished file of a
/// [`Staging`](crate::Staging) would belong to the caller. Where caller and user are both root it is as without sudo.
///
/// The shell holds standard input, and ends qemu-img when that ends: when the command is cancelled, or when the caller
/// is gone, however that came about, whoever the caller is. Only where an image comes on
/// standard input ([`Request::inherit_stdin`](crate::Request::inherit_stdin)) there is no shell, and a qemu-img whose
/// caller was killed goes on until it is done or its time is up.
///
/// It cannot hand over an open file or a socket, which an [import](crate::QemuImg::import) and a digest need: those are
/// [refused](crate::ErrorKind::Refused). Inspect and digest as the caller, if that may read the image.
///
/// **Where sudoers logs input (`log_input`), sudo writes what comes on standard input to its log**: the key of the
/// secrets. Switch that off for whoever runs qemu-img with secrets.
#[derive(Debug)]
pub struct SudoExecutor {
    user: Option<String>,
    sudo: Program,
    front: Front,
}

impl Default for SudoExecutor {
    fn default() -> Self {
        Self::new()
    }
}

impl SudoExecutor {
    /// Runs as root the `qemu-img` that is found in `PATH` or the standard directories.
    #[must_use]
    pub fn new() -> Self {
        Self::with_program("qemu-img")
    }

    /// Runs another qemu-img: a path, or a name to be looked up.
    #[must_use]
    pub fn with_program(qemu_img: impl Into<PathBuf>) -> Self {
        Self { user: None, sudo: Program::new("sudo"), front: Front::new(qemu_img) }
    }

    /// Runs as this user, a name or `#UID`. Default: root.
    #[doc(alias = "-u")]
    #[must_use]
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    env_builder!(
        |executor| executor.front.environment(),
        "Not for secrets: it stands in the arguments of sudo, which every user can read."
    );

    /// The request without its staging, unless sudo changes nothing: an unfinished file would have another owner than
    /// what sudo makes, or lie where the caller may not write.
    fn as_other<'a>(&self, request: &Request<'a>) -> Request<'a> {
        let same = rustix::process::geteuid().is_root() && matches!(self.user.as_deref(), None | Some("root" | "#0"));
        let staging = request.staging.filter(|_| same);
        request.clone().staging(staging).progress_by_signal(None)
    }

    fn resolve(&self, request: &Request<'_>) -> Result<(), Error> {
        self.sudo.resolve()?;
        self.front.resolve(request)
    }

    fn launch(&self, request: &Request<'_>, args: Vec<OsString>) -> Launch {
        let mut options: Vec<OsString> = vec!["-n".into()];
        if let Some(user) = &self.user {
            options.extend(["-u".into(), user.into()]);
        }
        options.push("--".into());
        let mut launch = self.front.launch(request, args);
        if start_of(request) == Start::Tethered {
            launch = tether::tethered(request, launch, "/bin/sh", None);
        }
        launch.wrap(self.sudo.path(), options)
    }

    pub(crate) async fn run_by<W: Waiting>(&self, waiting: W, request: Request<'_>) -> Result<Outcome, Error> {
        traced(&request, self.run_untraced(waiting, &request)).await
    }

    async fn run_untraced<W: Waiting>(&self, waiting: W, request: &Request<'_>) -> Result<Outcome, Error> {
        self.front.check(request.invocation)?;
        let request = &self.as_other(request);
        self.resolve(request).map_err(|error| error.about(request.invocation))?;
        let launch = |args| self.launch(request, args);
        match start_of(request) {
            Start::Tethered => tether::run_there(waiting, request, launch).await,
            start => local::run_timed(waiting, request, start, launch).await,
        }
    }
}

/// Standard input is its tether, unless an image comes on it.
fn start_of(request: &Request<'_>) -> Start {
    if request.inherit_stdin { Start::Portable } else { Start::Tethered }
}

impl Executor for SudoExecutor {
    /// A program that is not installed is shown by its bare name.
    fn plan(&self, request: &Request<'_>) -> Result<Plan, Error> {
        self.front.check(request.invocation)?;
        let _ = self.resolve(request);
        let request = &self.as_other(request);
        Ok(local::plan(request, start_of(request), |args| self.launch(request, args)))
    }

    fn run<'a>(&self, request: Request<'a>) -> Result<Outcome, Error> {
        now(self.run_by(Blocking, request))
    }
}
