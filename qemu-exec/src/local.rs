//! Running as the caller.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::environment::Environment;
use crate::program::Program;
use crate::secrets::Scheme;
use crate::{Error, ErrorKind, Executor, Launch, Outcome, Plan, Request, child};

/// Runs qemu-img as the user who calls.
///
/// `qemu-img` is looked up once, in `PATH` and the standard directories. It runs in a process group of its
/// own, with an environment that holds `LC_ALL=C`, `LANG=C`, what [`env`](Self::env) adds, and nothing of the
/// caller's. Limits are set by prlimit(1), which then becomes qemu-img.
#[derive(Debug)]
pub struct LocalExecutor {
    qemu_img: Program,
    prlimit: Program,
    environment: Environment,
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
        Self { qemu_img: Program::new(qemu_img), prlimit: Program::new("prlimit"), environment: Environment::default() }
    }

    /// Gives qemu-img another environment variable, such as `SSH_AUTH_SOCK` or `CEPH_ARGS`; of several values of one
    /// name the last holds. A name that is empty or has a `=` in it is [refused](crate::ErrorKind::Refused) when a
    /// command is run.
    ///
    /// It can replace what is set here, but errors are told apart by messages in English. The programs in front of
    /// qemu-img, such as prlimit, are given it too. Not for secrets: a dry run shows it.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.set(name.into(), value.into());
        self
    }

    /// Looks up what is needed.
    fn resolve(&self, request: &Request<'_>) -> Result<(), Error> {
        self.qemu_img.resolve()?;
        if !request.effective_limits().is_none() {
            self.prlimit.resolve()?;
        }
        Ok(())
    }

    fn launch(&self, request: &Request<'_>, args: Vec<OsString>) -> Launch {
        let limits = request.effective_limits().within_own();
        Launch::new(self.qemu_img.path(), args).limited(&limits, self.prlimit.path()).with_env(&self.environment)
    }
}

impl Executor for LocalExecutor {
    /// A program that is not installed is shown by its bare name.
    fn plan(&self, request: &Request<'_>) -> Result<Plan, Error> {
        self.environment.check(request.invocation)?;
        // The plan is also of use where qemu-img is not installed.
        let _ = self.resolve(request);
        Ok(plan(request, |args| self.launch(request, args)))
    }

    fn run<'a>(&self, request: Request<'a>) -> Result<Outcome, Error> {
        self.environment.check(request.invocation)?;
        self.resolve(&request).map_err(|error| error.about(request.invocation))?;
        run(&request, request.timeout, |args| self.launch(&request, args))
    }
}

/// The plan of a launch that is made from filled arguments.
pub(crate) fn plan(request: &Request<'_>, launch: impl FnOnce(Vec<OsString>) -> Launch) -> Plan {
    let scheme = Scheme::of(request.invocation);
    let mut argv = vec![OsString::from("qemu-img")];
    argv.extend(scheme.preview(request.invocation));
    Plan { argv, launch: launch(scheme.preview(request.launched())), secrets: scheme.deliveries() }
}

/// Runs a launch that is made from filled arguments.
pub(crate) fn run(
    request: &Request<'_>,
    timeout: Option<std::time::Duration>,
    launch: impl FnOnce(Vec<OsString>) -> Launch,
) -> Result<Outcome, Error> {
    let could_not = |source: std::io::Error| {
        Error::new(ErrorKind::CouldNotStart)
            .message("qemu-img could not be started or watched")
            .about(request.invocation)
            .because(source)
    };
    if request.inherit_stdin && !request.invocation.secrets().is_empty() {
        return Err(Error::new(ErrorKind::Refused)
            .message("standard input cannot carry both an image and a secret: give the image by its name")
            .about(request.invocation));
    }
    if let Some(staging) = request.staging {
        staging.begin().map_err(|error| error.about(request.invocation))?;
    }
    let filled = Scheme::of(request.invocation).fill(request.launched()).map_err(could_not)?;
    child::run(&launch(filled.args), filled.stdin, request, timeout).map_err(could_not)
}
