//! What is about to be started, as data.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use qemu_cmd::{SecretId, shell_quote};

use crate::environment::Environment;
use crate::{Cgroup, Limit, Limits};

/// How a secret reaches the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Delivery {
    /// As a sealed memory file that is this descriptor.
    Descriptor(u32),
    /// As a sealed memory file on standard input.
    Stdin,
    /// Encrypted with AES-256-CBC among the arguments, under a random key that comes on standard input.
    Wrapped,
}

impl Delivery {
    /// Its name in a dry run.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Descriptor(_) => "fd",
            Self::Stdin => "stdin",
            Self::Wrapped => "wrapped",
        }
    }
}

/// What is started: a program, its arguments and its environment, and what the child does before it is the program.
///
/// The environment is complete: nothing is inherited. It displays as a line for a shell that does the same, but for the
/// control group and for the variables, which can be put in front of it. Everything is exact, so that it can be pasted:
/// a secret is in none of it, but a password that somebody wrote into a name is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Launch {
    /// The program that is started.
    pub program: PathBuf,
    /// The arguments after the program.
    pub args: Vec<OsString>,
    /// The environment.
    pub env: Vec<(OsString, OsString)>,
    /// The limits that the child sets for itself. What prlimit(1) sets is among the arguments instead.
    pub limits: Limits,
    /// The working directory, if it is not the caller's.
    pub directory: Option<PathBuf>,
    /// Where the child gets a control group of its own, and with what bounds.
    pub cgroup: Option<Cgroup>,
}

/// What an executor would do for a request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Plan {
    /// The command as it was modelled, beginning with `qemu-img`.
    pub argv: Vec<OsString>,
    /// What is started: the same with limits, sudo and the like around it.
    pub launch: Launch,
    /// How each secret reaches the process.
    pub secrets: Vec<(SecretId, Delivery)>,
}

impl Plan {
    /// A plan of an executor outside of this crate.
    #[must_use]
    pub const fn new(argv: Vec<OsString>, launch: Launch, secrets: Vec<(SecretId, Delivery)>) -> Self {
        Self { argv, launch, secrets }
    }
}

/// Who sets limits.
#[derive(Clone, Copy)]
pub(crate) enum LimitedBy<'a> {
    /// The child, before it is the program.
    Child,
    /// prlimit(1), which sets its own and becomes the command.
    Prlimit(&'a Path),
}

impl fmt::Display for Launch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(directory) = &self.directory {
            write!(f, "env -C {} ", shell_quote(directory.as_os_str()))?;
        }
        if !self.limits.is_none() {
            f.write_str("prlimit ")?;
        }
        for limit in self.limits.to_resource_limits() {
            write!(f, "{limit} ")?;
        }
        if self.directory.is_some() && self.limits.is_none() && looks_like_variable(&self.program) {
            f.write_str("nice ")?;
            for arg in AS_IT_IS {
                write!(f, "{} ", shell_quote(arg.as_ref()))?;
            }
        }
        f.write_str(&shell_quote(self.program.as_os_str()))?;
        for arg in &self.args {
            write!(f, " {}", shell_quote(arg))?;
        }
        Ok(())
    }
}

impl Launch {
    /// `program` with `args` and an environment that holds `LC_ALL=C` and `LANG=C`.
    #[must_use]
    pub fn new(program: &Path, args: Vec<OsString>) -> Self {
        let env = ["LC_ALL", "LANG"].map(|name| (name.into(), "C".into()));
        Self {
            program: program.to_owned(),
            args,
            env: env.into(),
            limits: Limits::none(),
            directory: None,
            cgroup: None,
        }
    }

    /// Puts another program in front, with `args` before what was the command.
    pub(crate) fn wrap(mut self, program: &Path, mut args: Vec<OsString>) -> Self {
        args.push(self.program.into_os_string());
        args.append(&mut self.args);
        Self { program: program.to_owned(), args, ..self }
    }

    /// Applies limits, in the child or by a program in front.
    pub(crate) fn limited(mut self, limits: Limits, by: LimitedBy<'_>) -> Self {
        if limits.has(Limit::AddressSpace) {
            // Each malloc arena reserves 64 MiB of address space, and each thread would get one.
            self.env.push(("MALLOC_ARENA_MAX".into(), "1".into()));
        }
        match by {
            LimitedBy::Child => self.limits = limits,
            LimitedBy::Prlimit(_) if limits.is_none() => {}
            LimitedBy::Prlimit(prlimit) => self = self.wrap(prlimit, limits.prlimit_options()),
        }
        self
    }

    /// Adds what the caller adds, whose values win.
    pub(crate) fn with_env(mut self, added: &Environment) -> Self {
        self.env = Environment::from(self.env).and(added).into_vec();
        self
    }

    /// Bounds the wall-clock time with timeout(1), for a child that we may not signal.
    pub(crate) fn timed(self, limit: Duration, grace: Duration, timeout: &Path) -> Self {
        self.wrap(timeout, vec![format!("--kill-after={}", seconds(grace)).into(), seconds(limit).into()])
    }

    /// Sets the environment with env(1), for a child whose environment is made by somebody else.
    pub(crate) fn with_env_as_args(self, env: &Path) -> Self {
        let pairs = self.env.iter().map(|(name, value)| {
            let mut pair = name.clone();
            pair.push("=");
            pair.push(value);
            pair
        });
        let args = pairs.collect();
        let behind = if looks_like_variable(&self.program) {
            self.wrap("nice".as_ref(), AS_IT_IS.map(Into::into).into())
        } else {
            self
        };
        behind.wrap(env, args)
    }
}

/// Whether env(1) would take this program for one more variable, and its first argument for the program: with `convert`,
/// that is one that many machines have.
fn looks_like_variable(program: &Path) -> bool {
    program.as_os_str().as_encoded_bytes().contains(&b'=')
}

/// With these arguments nice(1) changes nothing, and becomes the program that follows. A shell would do that too, but some
/// of them drop variables whose names are not theirs.
const AS_IT_IS: [&str; 3] = ["-n", "0", "--"];

/// As timeout(1) takes it, to whose mind 0 is for ever.
fn seconds(time: Duration) -> String {
    let time = time.max(Duration::from_millis(1));
    if time.subsec_millis() == 0 {
        time.as_secs().to_string()
    } else {
        format!("{}.{:03}", time.as_secs(), time.subsec_millis())
    }
}
