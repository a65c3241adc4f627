//! The programs in front of a qemu-img that somebody else starts: its environment, clock and limits.

use std::path::PathBuf;

use qemu_cmd::Invocation;

use crate::environment::Environment;
use crate::plan::LimitedBy;
use crate::program::Program;
use crate::{Error, Launch, Request, child};

/// qemu-img behind `env`, `timeout` and `prlimit`, for a service or a sudo that makes the environment, may reset limits,
/// and starts what its caller cannot signal.
#[derive(Debug)]
pub(crate) struct Front {
    env: Program,
    timeout: Program,
    prlimit: Program,
    qemu_img: Program,
    environment: Environment,
}

impl Front {
    pub(crate) fn new(qemu_img: impl Into<PathBuf>) -> Self {
        Self {
            env: Program::new("env"),
            timeout: Program::new("timeout"),
            prlimit: Program::new("prlimit"),
            qemu_img: Program::new(qemu_img),
            environment: Environment::default(),
        }
    }

    pub(crate) const fn environment(&mut self) -> &mut Environment {
        &mut self.environment
    }

    pub(crate) fn check(&self, invocation: &Invocation) -> Result<(), Error> {
        self.environment.check(invocation)
    }

    /// Looks up what is needed.
    pub(crate) fn resolve(&self, request: &Request<'_>) -> Result<(), Error> {
        self.qemu_img.resolve()?;
        self.env.resolve()?;
        if request.timeout.is_some() {
            self.timeout.resolve()?;
        }
        if !request.effective_limits().is_none() {
            self.prlimit.resolve()?;
        }
        Ok(())
    }

    /// The command, which begins with `env`.
    pub(crate) fn launch(&self, request: &Request<'_>, args: Vec<std::ffi::OsString>) -> Launch {
        let mut launch = Launch::new(self.qemu_img.path(), args)
            .limited(request.effective_limits(), LimitedBy::Prlimit(self.prlimit.path()))
            .with_env(&self.environment);
        if let Some(timeout) = request.timeout {
            launch = launch.timed(timeout, child::GRACE, self.timeout.path());
        }
        launch.with_env_as_args(self.env.path())
    }
}
