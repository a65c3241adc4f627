//! The way through a call, which is the same however it is waited for: see [`Waiting`].

use std::fs::File;
use std::future::Future;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use qemu_cmd::{Invocation, OutputKind};

use super::progress::says_how_far;
use super::{Bounds, Checks, Settings};
use crate::held::Held;
use crate::semaphore::Permit;
use crate::waiting::{Blocking, Waiting};
use crate::{End, Error, ErrorKind, Executor, Outcome, Request, Staging};

/// Who runs commands, and how that is waited for.
pub(crate) trait Runs: Copy + Send + Sync {
    type Waiting: Waiting;

    fn waiting(self) -> Self::Waiting;

    /// See [`Executor::run`].
    fn run(self, request: Request<'_>) -> impl Future<Output = Result<Outcome, Error>> + Send;

    /// See [`Executor::is_elsewhere`].
    fn is_elsewhere(self) -> bool;
}

/// An executor that the calling thread waits for.
#[derive(Debug)]
pub(super) struct Here<'a, E>(pub(super) &'a E);

impl<E> Clone for Here<'_, E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E> Copy for Here<'_, E> {}

impl<E: Executor> Runs for Here<'_, E> {
    type Waiting = Blocking;

    fn waiting(self) -> Blocking {
        Blocking
    }

    async fn run(self, request: Request<'_>) -> Result<Outcome, Error> {
        self.0.run(request)
    }

    fn is_elsewhere(self) -> bool {
        self.0.is_elsewhere()
    }
}

/// One call of a client: what the methods of [`QemuImg`](super::QemuImg) do.
#[derive(Clone, Debug)]
pub(super) struct Flow<'a, R> {
    pub(super) runs: R,
    pub(super) client: &'a Settings,
    pub(super) data: Bounds,
    pub(super) checks: Checks,
    /// What each command has open as its descriptor 3.
    pub(super) handed: Option<&'a File>,
    /// What each command has as its standard output.
    pub(super) stdout: Option<BorrowedFd<'a>>,
    /// The place of this call among those that may run at once, once it has one.
    pub(super) place: Arc<Mutex<Option<Permit>>>,
}

impl<'a, R> Flow<'a, R> {
    pub(super) fn new(runs: R, client: &'a Settings) -> Self {
        let place = Arc::default();
        Self { runs, client, data: client.data, checks: client.checks, handed: None, stdout: None, place }
    }
}

impl<R: Runs> Flow<'_, R> {
    /// Runs a command that has done its work if it exits with 0, and does not say otherwise.
    pub(super) async fn run(&self, invocation: &Invocation, bounds: Bounds) -> Result<Outcome, Error> {
        self.patiently(|| self.run_once(invocation, bounds, None)).await
    }

    /// The same, once, also for one that writes an unfinished file, which is called by its final name in whatever is
    /// said of it.
    pub(super) async fn run_once(
        &self,
        invocation: &Invocation,
        bounds: Bounds,
        staging: Option<&Staging>,
    ) -> Result<Outcome, Error> {
        self.check_version(invocation).await?;
        self.run_any_version(invocation, bounds, staging).await
    }

    /// The same, whatever the version of qemu-img is.
    pub(super) async fn run_any_version(
        &self,
        invocation: &Invocation,
        bounds: Bounds,
        staging: Option<&Staging>,
    ) -> Result<Outcome, Error> {
        let mut outcome = self.attempt(invocation, bounds, staging).await?;
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
    pub(super) async fn ask<T>(
        &self,
        invocation: &Invocation,
        bounds: Bounds,
        parse: impl FnOnce(&[u8]) -> Result<T, qemu_info::Error> + Send,
    ) -> Result<T, Error> {
        let outcome = self.run(invocation, bounds).await?;
        parse(&outcome.stdout).map_err(|source| not_understood(&outcome, invocation, source))
    }

    /// Runs a command, whatever comes of it; what it has done to an image in place is on disk then.
    pub(super) async fn attempt(
        &self,
        invocation: &Invocation,
        bounds: Bounds,
        staging: Option<&Staging>,
    ) -> Result<Outcome, Error> {
        if bounds.counted {
            self.enter(invocation).await?;
        }
        let mut request = Request::new(invocation).limits(bounds.limits).timeout(bounds.timeout);
        request = request.output_limit(bounds.output).staging(staging).handing(self.handed);
        request.cancel.clone_from(&self.client.cancel);
        request.stdout = self.stdout;
        if says_how_far(invocation) {
            request = request.stall_timeout(bounds.stall_timeout);
            request.progress = self.client.listener.as_deref();
        }
        let held = if staging.is_none() { self.hold(invocation).await? } else { Vec::new() };
        let mut outcome = self.runs.run(request.clone()).await?;
        for _ in 0..RETRIES {
            if !calibration_failed(&outcome) {
                break;
            }
            outcome = self.runs.run(request.clone()).await?;
        }
        if outcome.success() && !held.is_empty() {
            let flushed = self.blocking(move || held.iter().try_for_each(Held::flush)).await;
            flushed.map_err(|error| error.about(invocation))?;
        }
        Ok(outcome)
    }

    /// The images that a command writes to, as far as they are there and here.
    async fn hold(&self, invocation: &Invocation) -> Result<Vec<Held>, Error> {
        let images = invocation.writes().to_vec();
        if images.is_empty() || self.runs.is_elsewhere() {
            return Ok(Vec::new());
        }
        self.blocking(move || Ok(images.iter().filter_map(Held::open).collect())).await
    }

    /// Waits for a place among those calls that may run at once, unless this one has it.
    pub(super) async fn enter(&self, invocation: &Invocation) -> Result<(), Error> {
        let Some(semaphore) = &self.client.semaphore else { return Ok(()) };
        if self.place().is_some() {
            return Ok(());
        }
        let acquired = self.runs.waiting().unless_cancelled(semaphore.acquire(), self.client.cancel.as_ref()).await;
        let permit = acquired.map_err(|source| {
            Error::could_not_start("it could not be waited for other operations", source).about(invocation)
        })?;
        let cancelled = || {
            let message = "the command was cancelled while it waited for other operations to end";
            Error::new(ErrorKind::Cancelled).message(message).about(invocation)
        };
        *self.place() = Some(permit.ok_or_else(cancelled)?);
        Ok(())
    }

    /// Gives the place to another, until there is the next command.
    pub(super) fn step_aside(&self) {
        *self.place() = None;
    }

    fn place(&self) -> MutexGuard<'_, Option<Permit>> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does what may have to wait for a disk or a server.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        act: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.runs.waiting().blocking(act).await?
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

pub(super) fn not_understood(outcome: &Outcome, invocation: &Invocation, source: qemu_info::Error) -> Error {
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
