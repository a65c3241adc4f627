//! Running on another host.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;

use crate::environment::{Environment, env_builder};
use crate::program::Program;
use crate::tether::{self, Reach};
use crate::waiting::{Blocking, now};
use crate::{Error, ErrorKind, Executor, Launch, Outcome, Plan, Request};

/// Runs qemu-img on another host, by `ssh` and the keys, agent and configuration of the caller. It never asks for a
/// password, nor whether a new host is to be trusted, and forwards nothing.
///
/// Names in a command are of that host, and so are `sh`, `env`, `timeout` and `prlimit`, which come before qemu-img as
/// far as they are needed. The login shell there must be one that reads `'…'` as POSIX says: sh, dash, bash, ksh, zsh.
///
/// * **Secrets** are encrypted in the arguments, under a random key that comes on standard input. On that host, the key
///   is in the memory of a shell until qemu-img has read it.
/// * **Limits** are set by prlimit(1) over there, and the clock is kept there too, by timeout(1).
/// * **The end of the connection** is that of qemu-img: when the command is cancelled, or this process is gone, however
///   that came about, a shell over there sends it TERM. What is not guaranteed: that this happens before
///   [`run`](Executor::run) returns, or, where the network fails without a word, before sshd over there sees that, which
///   is for its `ClientAliveInterval` to say. [`Unreachable`](ErrorKind::Unreachable) is after 45 s of silence.
/// * **New images** are written under their own names, where a run that fails leaves what it has; and since nobody can
///   see from here whether there is one already, they are refused unless
///   [`Publish::replace`](crate::Publish::replace) is on.
///
/// It cannot hand over an open file or a socket, which an [import](crate::QemuImg::import) and a digest need, nor standard
/// input: those are [refused](ErrorKind::Refused).
#[derive(Debug)]
pub struct SshExecutor {
    host: OsString,
    ssh: Program,
    options: Vec<OsString>,
    qemu_img: PathBuf,
    environment: Environment,
}

/// What is not for a configuration to change: of several values of an option, ssh takes the first.
const FIXED: [&str; 8] = [
    "BatchMode=yes",
    "ClearAllForwardings=yes",
    "ForwardAgent=no",
    "ForwardX11=no",
    "PermitLocalCommand=no",
    "RemoteCommand=none",
    // A master of other sessions would outlive its own.
    "ControlMaster=no",
    "LogLevel=ERROR",
];

/// What holds unless the caller says otherwise.
const DEFAULTS: [&str; 3] = ["ConnectTimeout=30", "ServerAliveInterval=15", "ServerAliveCountMax=3"];

/// What ssh itself, and a program that it connects through, find the caller's things by.
const INHERITED: [&str; 4] = ["HOME", "PATH", "SSH_AUTH_SOCK", "KRB5CCNAME"];

impl SshExecutor {
    /// Runs the `qemu-img` that the `PATH` of this host holds: a name of it as ssh takes that, such as `user@host`,
    /// `ssh://user@host:2222`, or what is in its configuration. One that is empty or begins with `-` is
    /// [refused](ErrorKind::Refused) when a command is run.
    #[must_use]
    pub fn new(host: impl Into<OsString>) -> Self {
        Self {
            host: host.into(),
            ssh: Program::new("ssh"),
            options: Vec::new(),
            qemu_img: "qemu-img".into(),
            environment: Environment::default(),
        }
    }

    /// Runs another qemu-img: a path on that host, or a name to be looked up there.
    #[must_use]
    pub fn qemu_img(mut self, qemu_img: impl Into<PathBuf>) -> Self {
        self.qemu_img = qemu_img.into();
        self
    }

    /// Gives ssh an option, as ssh_config(5) has it: `Port=2222`, `IdentityFile=/key`, `UserKnownHostsFile=/hosts`. What
    /// makes it ask, forward or share is not to be changed.
    #[doc(alias = "-o")]
    #[must_use]
    pub fn option(mut self, option: impl Into<OsString>) -> Self {
        self.options.push(option.into());
        self
    }

    env_builder!(
        |executor| executor.environment,
        "Not for secrets: it stands in the arguments of ssh, which every user can read."
    );
}

impl Reach for SshExecutor {
    fn resolve(&self, _request: &Request<'_>) -> Result<(), Error> {
        self.ssh.resolve().map(drop)
    }

    fn check(&self, request: &Request<'_>) -> Result<(), Error> {
        self.environment.check(request.invocation)?;
        if self.host.is_empty() || self.host.as_bytes().starts_with(b"-") {
            let message = format!("`{}` cannot be the name of a host", self.host.display());
            return Err(Error::new(ErrorKind::Refused).message(message).about(request.invocation));
        }
        Ok(())
    }

    fn launch(&self, request: &Request<'_>, args: Vec<OsString>) -> Launch {
        let there = tether::launch(request, &self.qemu_img, args, &self.environment);
        let there = tether::tethered(request, there, "sh", None);
        let mut args: Vec<OsString> = vec!["-T".into()];
        let options = FIXED.iter().map(OsString::from).chain(self.options.clone()).chain(DEFAULTS.map(Into::into));
        args.extend(options.flat_map(|option| ["-o".into(), option]));
        args.extend(["--".into(), self.host.clone(), command_line(&there)]);
        tether::reaching(self.ssh.path(), args, &INHERITED)
    }

    fn failure(&self, code: i32, said: &str) -> Option<(ErrorKind, String)> {
        /// Nothing over there exits with that.
        const OF_SSH: i32 = 255;
        let why = said.lines().last().unwrap_or("it said nothing");
        let message = format!("`{}` could not be reached, or was lost: {why}", self.host.display());
        (code == OF_SSH).then_some((ErrorKind::Unreachable, message))
    }
}

impl Executor for SshExecutor {
    /// If ssh is not installed it is shown by its bare name.
    fn plan(&self, request: &Request<'_>) -> Result<Plan, Error> {
        tether::plan(self, request)
    }

    fn run<'a>(&self, request: Request<'a>) -> Result<Outcome, Error> {
        now(tether::run(Blocking, self, request))
    }

    fn is_elsewhere(&self) -> bool {
        true
    }
}

/// The program with its arguments, for any POSIX shell.
fn command_line(launch: &Launch) -> OsString {
    let words = [launch.program.as_os_str()].into_iter().chain(launch.args.iter().map(OsString::as_os_str));
    let mut line = b"exec".to_vec();
    for word in words {
        line.push(b' ');
        quote(word, &mut line);
    }
    OsString::from_vec(line)
}

/// A word that is itself in every POSIX shell, whatever its bytes: of `'…'`, all of them know, and nothing in it is
/// special but its end. `$'…'` is not known to all.
fn quote(word: &OsStr, line: &mut Vec<u8>) {
    // A `=` in front is special to zsh.
    let plain = |&byte: &u8| byte.is_ascii_alphanumeric() || b"%+,-./:=@_".contains(&byte);
    let bytes = word.as_bytes();
    if !bytes.is_empty() && bytes.iter().all(plain) && !bytes.starts_with(b"=") {
        line.extend_from_slice(bytes);
        return;
    }
    line.push(b'\'');
    for &byte in bytes {
        match byte {
            b'\'' => line.extend_from_slice(br"'\''"),
            byte => line.push(byte),
        }
    }
    line.push(b'\'');
}
