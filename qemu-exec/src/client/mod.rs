//! qemu-img behind typed calls.

#[cfg(feature = "tokio")]
mod asynchronous;
mod checks;
mod commands;
mod convert;
#[cfg(feature = "digest")]
mod digest;
mod flow;
mod import;
mod inspect;
mod new_file;
mod patience;
mod progress;
mod read_map;
mod version;

#[cfg(feature = "tokio")]
pub use asynchronous::AsyncQemuImg;
pub use checks::Checks;
pub use import::Import;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use qemu_cmd::QemuVersion;

use flow::{Flow, Here};

use crate::{CancelToken, Executor, Limits, OnProgress, Publish, Semaphore};

/// qemu-img, run by an executor: one method a subcommand, typed in and out.
///
/// * **Bounds**: what only reads headers (`info`, a list of snapshots) runs under [`Limits::metadata`] and a timeout of
///   a minute, since an image can make it use any amount of memory and a FIFO can block it for ever. Everything else
///   runs without bounds unless some are set: it takes as long as there is data, and what is ended while it writes
///   leaves an image half changed.
/// * **Version**: what not every supported version can do is [refused](crate::ErrorKind::Unsupported) if this qemu-img cannot,
///   before anything runs. It is [asked for its version](Self::qemu_version) once, and only for such a command.
/// * **New images** (of `convert` without an existing target, `create` and `dd`) have their name when they are complete
///   and on disk, and not before: until then they are called `.NAME.partial`, and what fails, is ended or panics leaves
///   nothing. What exists is not replaced unless [`publish`](Self::publish) says so. Written in place, with whatever a
///   failure leaves, are devices and pipes; what `qemu-img` reaches by a protocol; VMDK images and qcow2 ones with a
///   data file, which hold names of files; and under sudo, see [`SudoExecutor`](crate::SudoExecutor).
/// * **Locks of this process**: images that a command writes to are opened here, too, to see whether they are in use, and
///   whether they are on disk in the end. With that, the locks of fcntl(2) that this very process may hold on them
///   (`F_SETLK`) are gone, as POSIX has it; those of an open file (`F_OFD_SETLK`) and of flock(2) stay.
/// * **Retries**: a command is run again, up to three times, if qemu-img could not measure how fast this machine derives
///   keys, which it does before it writes anything.
#[derive(Debug)]
#[must_use]
pub struct QemuImg<E> {
    executor: E,
    settings: Settings,
}

/// How a client does what it is asked.
#[derive(Debug)]
struct Settings {
    metadata: Bounds,
    data: Bounds,
    probe_directory: Option<PathBuf>,
    cancel: Option<CancelToken>,
    /// Who is told how far a command is.
    listener: Option<Arc<dyn OnProgress>>,
    publish: Publish,
    checks: Checks,
    /// How long locked images are waited for.
    patience: Duration,
    semaphore: Option<Semaphore>,
    /// `Some(None)` is a version that nobody understands.
    version: OnceLock<Option<QemuVersion>>,
}

#[derive(Clone, Copy, Debug)]
struct Bounds {
    limits: Limits,
    timeout: Option<Duration>,
    stall_timeout: Option<Duration>,
    /// How much standard output is taken.
    output: usize,
    /// Whether it counts among the operations of which only so many may run at once.
    counted: bool,
}

impl<E: Executor> QemuImg<E> {
    /// Runs commands with `executor`.
    pub const fn new(executor: E) -> Self {
        let settings = Settings {
            metadata: Bounds {
                limits: Limits::metadata(),
                timeout: Some(Duration::from_secs(60)),
                stall_timeout: None,
                output: 64 << 20,
                counted: false,
            },
            data: Bounds {
                limits: Limits::none(),
                timeout: None,
                stall_timeout: None,
                output: 64 << 20,
                counted: true,
            },
            probe_directory: None,
            cancel: None,
            listener: None,
            publish: Publish::new(),
            checks: Checks::none(),
            patience: Duration::ZERO,
            semaphore: None,
            version: OnceLock::new(),
        };
        Self { executor, settings }
    }

    /// The limits of commands that read headers only (`info`, `snapshot -l`). Default: [`Limits::metadata`].
    pub const fn metadata_limits(mut self, limits: Limits) -> Self {
        self.settings.metadata.limits = limits;
        self
    }

    /// How long those may run by the clock. Default: a minute.
    pub const fn metadata_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.settings.metadata.timeout = timeout;
        self
    }

    /// The limits of all other commands. Default: none.
    pub const fn data_limits(mut self, limits: Limits) -> Self {
        self.settings.data.limits = limits;
        self
    }

    /// How long those may run by the clock. Default: for ever.
    pub const fn data_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.settings.data.timeout = timeout;
        self
    }

    /// Asks this directory whether O_DIRECT works, instead of each target's own.
    pub fn probe_directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.settings.probe_directory = Some(directory.into());
        self
    }

    /// Stops what this client runs, now and later, when the token is cancelled.
    pub fn cancel(mut self, token: CancelToken) -> Self {
        self.settings.cancel = Some(token);
        self
    }

    /// How new images appear. Default: [`Publish::new`], which replaces nothing. To do it otherwise for one image, make
    /// another client: executors can be shared by reference.
    pub const fn publish(mut self, publish: Publish) -> Self {
        self.settings.publish = publish;
        self
    }

    /// What is looked at before and after a convert. Default: [`Checks::none`].
    pub const fn checks(mut self, checks: Checks) -> Self {
        self.settings.checks = checks;
        self
    }

    /// Bounds how many operations run at once, of this client and of all others that have the same semaphore. Default:
    /// any number.
    ///
    /// An operation is a call that runs a command under the [limits of data](Self::data_limits), with the
    /// [checks](Self::checks) that belong to it: what only reads headers runs at any time. It has its place until the
    /// call is over, however that ends; while it [waits for a lock](Self::wait_for_locks), others have it.
    ///
    /// A timeout begins when the command does: it does not count the waiting, which has no bound of its own. The
    /// [token](Self::cancel) ends it, as [`Cancelled`](crate::ErrorKind::Cancelled), and then nothing was run.
    pub fn semaphore(mut self, semaphore: Semaphore) -> Self {
        self.settings.semaphore = Some(semaphore);
        self
    }

    /// The executor.
    pub const fn executor(&self) -> &E {
        &self.executor
    }

    /// The way through a call, in this thread.
    fn flow(&self) -> Flow<'_, Here<'_, E>> {
        Flow::new(Here(&self.executor), &self.settings)
    }
}
