//! Running in a container.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use qemu_cmd::ByteSize;

use crate::environment::{Environment, env_builder};
use crate::program::Program;
use crate::tether::{self, Reach};
use crate::waiting::{Blocking, now};
use crate::{Error, ErrorKind, Executor, Launch, Outcome, Plan, Request};

/// Runs qemu-img in a container that is made for the command and removed after it, by `podman` or `docker`.
///
/// Of the machine's files, the container has those that are [shared](Self::share) with it, under their own names, and
/// nothing else; it has no network, and its image must be there already: or a directory of programs, with the
/// [option](Self::option) `--rootfs` of podman. In it are needed `sh`, `env` and `cat`, and
/// for a request with a timeout or limits `timeout` and `prlimit`.
///
/// * **Secrets** are encrypted in the arguments, under a random key that comes on standard input. In the container, the
///   key is in the memory of a shell until qemu-img has read it.
/// * **Limits** are set by prlimit(1) in the container, and the clock is kept there too. [`memory`](Self::memory) is a
///   limit on what is really used, and of the whole container.
/// * **The end of standard input** is that of qemu-img: when the command is cancelled, or this process is gone, a shell
///   in the container sends it TERM. What is not guaranteed: that this happens before [`run`](Executor::run) returns; and a
///   runtime that is ended while it still makes the container may leave that, without anything running in it.
/// * **New images** belong to the user of the container, are written under their own names, where a run that fails leaves
///   what it has, and are refused unless [`Publish::replace`](crate::Publish::replace) is on.
///
/// It cannot hand over an open file or a socket, which an [import](crate::QemuImg::import) and a digest need, nor standard
/// input: those are [refused](ErrorKind::Refused).
#[derive(Debug)]
pub struct ContainerExecutor {
    runtime: Program,
    image: OsString,
    shares: Vec<Share>,
    network: OsString,
    memory: Option<ByteSize>,
    options: Vec<OsString>,
    qemu_img: PathBuf,
    environment: Environment,
}

#[derive(Debug)]
struct Share {
    path: PathBuf,
    writable: bool,
}

/// What podman and docker find their daemon, images and configuration by.
const INHERITED: [&str; 8] = [
    "HOME",
    "PATH",
    "XDG_RUNTIME_DIR",
    "DBUS_SESSION_BUS_ADDRESS",
    "DOCKER_HOST",
    "DOCKER_CONTEXT",
    "DOCKER_CONFIG",
    "CONTAINER_HOST",
];

impl ContainerExecutor {
    /// Runs the `qemu-img` of this container image with `runtime`, which is `podman`, `docker`, or what takes their
    /// arguments: a path, or a name to be looked up. An image whose name is empty or begins with `-` is
    /// [refused](ErrorKind::Refused) when a command is run.
    #[must_use]
    pub fn new(runtime: impl Into<PathBuf>, image: impl Into<OsString>) -> Self {
        Self {
            runtime: Program::new(runtime),
            image: image.into(),
            shares: Vec::new(),
            network: "none".into(),
            memory: None,
            options: Vec::new(),
            qemu_img: "qemu-img".into(),
            environment: Environment::default(),
        }
    }

    /// Runs another qemu-img: a path in the container, or a name to be looked up there.
    #[must_use]
    pub fn qemu_img(mut self, qemu_img: impl Into<PathBuf>) -> Self {
        self.qemu_img = qemu_img.into();
        self
    }

    /// Lets the container have this file or directory, under the same name. The name must be absolute, UTF-8, and
    /// without commas, quotation marks and control characters, which the option for it cannot carry; another one is
    /// [refused](ErrorKind::Refused) when a command is run.
    #[doc(alias = "--mount")]
    #[must_use]
    pub fn share(mut self, path: impl Into<PathBuf>) -> Self {
        self.shares.push(Share { path: path.into(), writable: true });
        self
    }

    /// The same, for reading only.
    #[must_use]
    pub fn share_read_only(mut self, path: impl Into<PathBuf>) -> Self {
        self.shares.push(Share { path: path.into(), writable: false });
        self
    }

    /// The network of the container, such as `host`, for images that are reached by a protocol. Default: `none`.
    #[must_use]
    pub fn network(mut self, network: impl Into<OsString>) -> Self {
        self.network = network.into();
        self
    }

    /// How much memory the container may use, with its share of the page cache and without swap; what takes more is
    /// killed, which is a [`LimitHit`](ErrorKind::LimitHit) of [`Memory`](crate::Limit::Memory). Default: any.
    #[must_use]
    pub const fn memory(mut self, size: ByteSize) -> Self {
        self.memory = Some(size);
        self
    }

    /// Gives `run` another option, as one argument: `--cpus=1.5`, `--user=1000:1000`.
    #[must_use]
    pub fn option(mut self, option: impl Into<OsString>) -> Self {
        self.options.push(option.into());
        self
    }

    env_builder!(
        |executor| executor.environment,
        "Not for secrets: it stands in the arguments, which every user can read."
    );
}

impl Reach for ContainerExecutor {
    fn resolve(&self, _request: &Request<'_>) -> Result<(), Error> {
        self.runtime.resolve().map(drop)
    }

    fn memory(&self) -> Option<ByteSize> {
        self.memory
    }

    fn check(&self, request: &Request<'_>) -> Result<(), Error> {
        self.environment.check(request.invocation)?;
        let refused = |message| Err(Error::new(ErrorKind::Refused).message(message).about(request.invocation));
        if self.image.is_empty() || self.image.as_encoded_bytes().starts_with(b"-") {
            return refused(format!("`{}` cannot be the name of a container image", self.image.display()));
        }
        match self.shares.iter().find(|share| mount(share).is_none()) {
            Some(Share { path, .. }) => refused(format!("`{}` cannot be shared with a container", path.display())),
            None => Ok(()),
        }
    }

    fn launch(&self, request: &Request<'_>, args: Vec<OsString>) -> Launch {
        let there = tether::launch(request, &self.qemu_img, args, &self.environment);
        let there = tether::tethered(request, there, "sh", self.memory);
        let mut args: Vec<OsString> = ["run", "--rm", "-i", "--pull=never"].map(Into::into).into();
        args.push(joined("--network=", &self.network));
        if let Some(memory) = self.memory {
            args.extend([format!("--memory={memory}").into(), format!("--memory-swap={memory}").into()]);
        }
        args.extend(self.shares.iter().filter_map(mount).flat_map(|mount| ["--mount".into(), mount.into()]));
        args.extend(self.options.iter().cloned());
        args.extend([joined("--entrypoint=", there.program.as_os_str()), self.image.clone()]);
        args.extend(there.args);
        let mut launch = tether::reaching(self.runtime.path(), args, &INHERITED);
        // What watches a container for podman leaves a file called `oom` where it was started, if it may.
        launch.directory = Some("/proc".into());
        launch
    }

    fn failure(&self, code: i32, said: &str) -> Option<(ErrorKind, String)> {
        /// Of the runtime, and of `timeout` and `env`.
        const OF_RUNTIME: i32 = 125;
        let why = said.lines().find(|line| !line.is_empty()).unwrap_or("it said nothing");
        let message = format!("the container could not be started: {why}");
        (code == OF_RUNTIME).then_some((ErrorKind::CouldNotStart, message))
    }
}

impl Executor for ContainerExecutor {
    /// If the runtime is not installed it is shown by its bare name.
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

/// The value of `--mount`, a line of CSV, of which the runtimes do not read the same.
fn mount(Share { path, writable }: &Share) -> Option<String> {
    let name = Path::to_str(path).filter(|name| name.starts_with('/'))?;
    let special = |c: char| c.is_control() || matches!(c, ',' | '"');
    let access = if *writable { "" } else { ",readonly" };
    (!name.contains(special)).then(|| format!("type=bind,source={name},target={name}{access}"))
}

fn joined(option: &str, value: &std::ffi::OsStr) -> OsString {
    let mut joined = OsString::from(option);
    joined.push(value);
    joined
}
