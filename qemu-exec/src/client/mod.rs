//! qemu-img behind typed calls.

mod checks;
mod commands;
mod convert;
mod import;
mod inspect;
mod new_file;
mod patience;
mod progress;
mod version;

pub use checks::Checks;
pub use import::Import;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use qemu_cmd::{Invocation, OutputKind, QemuVersion};

use progress::says_how_far;

use crate::{CancelToken, End, Error, ErrorKind, Executor, Limits, OnProgress, Outcome, Publish, Request, Staging};

/// qemu-img, run by an executor: one method a subcommand, typed in and out.
///
/// * **Bounds**: what only reads headers (`info`, a list of snapshots) runs under [`Limits::metadata`] and a timeout of
///   a minute, since an image can make it use any amount of memory and a FIFO can block it for ever. Everything else
///   runs without bounds unless some are set: it takes as long as there is data, and what is ended while it writes
///   leaves an image half changed.
/// * **Version**: what not every supported version can do is [refused](ErrorKind::Unsupported) if this qemu-img cannot,
///   before anything runs. It is [asked for its version](Self::qemu_version) once, and only for such a command.
/// * **New images** (of `convert` without an existing target, `create` and `dd`) have their name when they are complete
///   and on disk, and not before: until then they are called `.NAME.partial`, and what fails, is ended or panics leaves
///   nothing. What exists is not replaced unless [`publish`](Self::publish) says so. Written in place, with whatever a
///   failure leaves, are devices and pipes; what `qemu-img` reaches by a protocol; VMDK images and qcow2 ones with a
///   data file, which hold names of files; and under sudo, see [`SudoExecutor`](crate::SudoExecutor).
/// * **Retries**: a command is run again, up to three times, if qemu-img could not measure how fast this machine derives
///   keys, which it does before it writes anything.
#[derive(Debug)]
#[must_use]
pub struct QemuImg<E> {
    executor: E,
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
}

impl<E: Executor> QemuImg<E> {
    /// Runs commands with `executor`.
    pub const fn new(executor: E) -> Self {
        Self {
            executor,
            metadata: Bounds {
                limits: Limits::metadata(),
                timeout: Some(Duration::from_secs(60)),
                stall_timeout: None,
                output: 64 << 20,
            },
            data: Bounds { limits: Limits::none(), timeout: None, stall_timeout: None, output: 64 << 20 },
            probe_directory: None,
            cancel: None,
            listener: None,
            publish: Publish::new(),
            checks: Checks::none(),
            patience: Duration::ZERO,
            version: OnceLock::new(),
        }
    }

    /// The limits of commands that read headers only (`info`, `snapshot -l`). Default: [`Limits::metadata`].
    pub const fn metadata_limits(mut self, limits: Limits) -> Self {
        self.metadata.limits = limits;
        self
    }

    /// How long those may run by the clock. Default: a minute.
    pub const fn metadata_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.metadata.timeout = timeout;
        self
    }

    /// The limits of all other commands. Default: none.
    pub const fn data_limits(mut self, limits: Limits) -> Self {
        self.data.limits = limits;
        self
    }

    /// How long those may run by the clock. Default: for ever.
    pub const fn data_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.data.timeout = timeout;
        self
    }

    /// Asks this directory whether O_DIRECT works, instead of each target's own.
    pub fn probe_directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.probe_directory = Some(directory.into());
        self
    }

    /// Stops what this client runs, now and later, when the token is cancelled.
    pub fn cancel(mut self, token: CancelToken) -> Self {
        self.cancel = Some(token);
        self
    }

    /// How new images appear. Default: [`Publish::new`], which replaces nothing. To do it otherwise for one image, make
    /// another client: executors can be shared by reference.
    pub const fn publish(mut self, publish: Publish) -> Self {
        self.publish = publish;
        self
    }

    /// What is looked at before and after a convert. Default: [`Checks::none`].
    pub const fn checks(mut self, checks: Checks) -> Self {
        self.checks = checks;
        self
    }

    /// The executor.
    pub const fn executor(&self) -> &E {
        &self.executor
    }

    /// Runs a command that has done its work if and only if it exits with 0.
    fn run(&self, invocation: &Invocation, bounds: Bounds) -> Result<Outcome, Error> {
        self.patiently(|| self.run_once(invocation, bounds, None))
    }

    /// The same, once, also for one that writes an unfinished file, which is called by its final name in whatever is said of it.
    fn run_once(&self, invocation: &Invocation, bounds: Bounds, staging: Option<&Staging>) -> Result<Outcome, Error> {
        let mut outcome = self.attempt(invocation, bounds, staging)?;
        if let Some(staging) = staging {
            outcome.stdout = staging.rename_in(outcome.stdout);
            outcome.stderr = staging.rename_in(outcome.stderr);
        }
        if outcome.end == End::NotRun && invocation.output() == OutputKind::Text {
            return Ok(outcome);
        }
        outcome.ok(invocation, &bounds.limits)
    }

    /// The same for one whose answer is JSON.
    fn ask<T>(
        &self,
        invocation: &Invocation,
        bounds: Bounds,
        parse: impl FnOnce(&[u8]) -> Result<T, qemu_info::Error>,
    ) -> Result<T, Error> {
        let outcome = self.run(invocation, bounds)?;
        parse(&outcome.stdout).map_err(|source| not_understood(&outcome, invocation, source))
    }

    /// Runs a command, whatever comes of it, unless this qemu-img cannot.
    fn attempt(&self, invocation: &Invocation, bounds: Bounds, staging: Option<&Staging>) -> Result<Outcome, Error> {
        self.check_version(invocation)?;
        let mut request = Request::new(invocation).limits(bounds.limits).timeout(bounds.timeout);
        request = request.output_limit(bounds.output).staging(staging);
        request.cancel.clone_from(&self.cancel);
        if says_how_far(invocation) {
            request = request.stall_timeout(bounds.stall_timeout);
            request.progress = self.listener.as_deref();
        }
        let mut outcome = self.executor.run(request.clone())?;
        for _ in 0..RETRIES {
            if !calibration_failed(&outcome) {
                break;
            }
            outcome = self.executor.run(request.clone())?;
        }
        Ok(outcome)
    }
}

/// How often a command is run again whose key derivation could not be calibrated.
const RETRIES: usize = 3;

/// Whether qemu-img failed to measure how fast this machine derives keys, which it does before it writes anything: up to
/// 7.2 that fails now and then, when the clock of CPU time has not moved on.
fn calibration_failed(outcome: &Outcome) -> bool {
    const MESSAGE: &[u8] = b"Unable to get accurate CPU usage";
    outcome.end == End::Exited(1) && outcome.stderr.windows(MESSAGE.len()).any(|window| window == MESSAGE)
}

fn not_understood(outcome: &Outcome, invocation: &Invocation, source: qemu_info::Error) -> Error {
    let exit = if let End::Exited(exit) = outcome.end { Some(exit) } else { None };
    let error = Error::new(ErrorKind::OutputNotUnderstood)
        .message("qemu-img's output could not be understood")
        .about(invocation)
        .ended(exit, None)
        .said(&invocation.redact(&String::from_utf8_lossy(&outcome.stderr)))
        .because(source);
    match invocation.reads().first().and_then(|location| location.path()) {
        Some(path) => error.path(path),
        None => error,
    }
}
