//! qemu-img behind typed calls.

use std::path::PathBuf;
use std::time::Duration;

use qemu_cmd::{Convert, Create, Info, Invocation};
use qemu_info::{BackingChain, ImageInfo};

use crate::{
    CancelToken, Error, ErrorKind, Executor, Limits, Outcome, Request, direct_io_works, ploop_image, safe_cache_mode,
};

/// qemu-img, run by an executor: one method a subcommand, typed in and out.
///
/// `info` runs under [`Limits::metadata`] and a timeout of a minute, since an image can make it use any amount
/// of memory and a FIFO can block it for ever; `convert` and `create` run without limits unless some are set.
#[derive(Debug)]
#[must_use]
pub struct QemuImg<E> {
    executor: E,
    metadata: Bounds,
    data: Bounds,
    probe_directory: Option<PathBuf>,
    cancel: Option<CancelToken>,
}

#[derive(Clone, Copy, Debug)]
struct Bounds {
    limits: Limits,
    timeout: Option<Duration>,
}

impl<E: Executor> QemuImg<E> {
    /// Runs commands with `executor`.
    pub const fn new(executor: E) -> Self {
        Self {
            executor,
            metadata: Bounds { limits: Limits::metadata(), timeout: Some(Duration::from_secs(60)) },
            data: Bounds { limits: Limits::none(), timeout: None },
            probe_directory: None,
            cancel: None,
        }
    }

    /// The limits of commands that read headers only (`info`). Default: [`Limits::metadata`].
    pub const fn metadata_limits(mut self, limits: Limits) -> Self {
        self.metadata.limits = limits;
        self
    }

    /// How long those may run by the clock. Default: a minute.
    pub const fn metadata_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.metadata.timeout = timeout;
        self
    }

    /// The limits of commands that move data (`convert`, `create`). Default: none.
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

    /// The executor.
    pub const fn executor(&self) -> &E {
        &self.executor
    }

    /// Converts an image.
    ///
    /// Where the command leaves the target's cache mode open, it is `none` if O_DIRECT works there and
    /// `writeback` if not, so that the data is on disk when this returns. Warnings are in the outcome's standard
    /// error.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] before anything runs, or whatever kind the failure is.
    pub fn convert(&self, convert: &Convert) -> Result<Outcome, Error> {
        let invocation = match convert.chosen_target_cache() {
            Some(_) => convert.invocation()?,
            None => {
                // Refusals come first: the probe writes to the directory.
                let invocation = convert.invocation()?;
                let mode = self.target_cache(convert).map_err(|source| {
                    Error::new(if source.kind() == std::io::ErrorKind::StorageFull {
                        ErrorKind::NoSpace
                    } else {
                        ErrorKind::CouldNotStart
                    })
                    .message("the target's directory could not be probed for O_DIRECT")
                    .about(&invocation)
                    .because(source)
                })?;
                convert.clone().target_cache(mode).invocation()?
            }
        };
        self.run(&invocation, self.data)
    }

    fn target_cache(&self, convert: &Convert) -> std::io::Result<qemu_cmd::CacheMode> {
        match &self.probe_directory {
            None => safe_cache_mode(convert.target().location()),
            // A file in it: a directory that is not there must not be taken for a file of the one above.
            Some(directory) if direct_io_works(&directory.join("image"))? => Ok(qemu_cmd::CacheMode::None),
            Some(_) => Ok(qemu_cmd::CacheMode::Writeback),
        }
    }

    /// Makes an image.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] before anything runs, or whatever kind the failure is.
    pub fn create(&self, create: &Create) -> Result<Outcome, Error> {
        self.run(&create.invocation()?, self.data)
    }

    /// Describes an image. A directory that is a ploop image stands for the image in it.
    ///
    /// # Errors
    /// Whatever kind the failure is; [`ErrorKind::OutputNotUnderstood`] if the output is not what `info` prints.
    pub fn info(&self, info: &Info) -> Result<ImageInfo, Error> {
        let invocation = image_of(info).backing_chain(false).invocation()?;
        let outcome = self.run(&invocation, self.metadata)?;
        answer(&outcome, &invocation, ImageInfo::from_json(&outcome.stdout))
    }

    /// Describes an image and every image below it, top first. **Opens whatever the images name** as backing
    /// files.
    ///
    /// # Errors
    /// As [`info`](Self::info).
    pub fn backing_chain(&self, info: &Info) -> Result<BackingChain, Error> {
        let invocation = image_of(info).backing_chain(true).invocation()?;
        let outcome = self.run(&invocation, self.metadata)?;
        answer(&outcome, &invocation, BackingChain::from_json(&outcome.stdout))
    }

    fn run(&self, invocation: &Invocation, bounds: Bounds) -> Result<Outcome, Error> {
        let mut request = Request::new(invocation).limits(bounds.limits).timeout(bounds.timeout);
        request.cancel.clone_from(&self.cancel);
        let mut outcome = self.executor.run(request.clone())?;
        for _ in 0..RETRIES {
            if !calibration_failed(&outcome) {
                break;
            }
            outcome = self.executor.run(request.clone())?;
        }
        if outcome.end == crate::End::NotRun && invocation.output() == qemu_cmd::OutputKind::Text {
            return Ok(outcome);
        }
        outcome.ok(invocation, &bounds.limits)
    }
}

/// How often a command is run again whose key derivation could not be calibrated.
const RETRIES: usize = 3;

/// Whether qemu-img failed to measure how fast this machine derives keys, which it does before it writes anything: up to
/// 7.2 that fails now and then, when the clock of CPU time has not moved on.
fn calibration_failed(outcome: &Outcome) -> bool {
    const MESSAGE: &[u8] = b"Unable to get accurate CPU usage";
    outcome.end == crate::End::Exited(1) && outcome.stderr.windows(MESSAGE.len()).any(|window| window == MESSAGE)
}

fn image_of(info: &Info) -> Info {
    let ploop = info.source().location().path().and_then(ploop_image);
    match ploop {
        Some(image) => info.clone().with_source(info.source().clone().at(image)),
        None => info.clone(),
    }
}

fn answer<T>(outcome: &Outcome, invocation: &Invocation, parsed: Result<T, qemu_info::Error>) -> Result<T, Error> {
    parsed.map_err(|source| {
        let mut error = Error::new(ErrorKind::OutputNotUnderstood)
            .message("qemu-img exited with 0, and its output could not be understood")
            .about(invocation)
            .ended(Some(0), None)
            .said(&outcome.stderr)
            .because(source);
        if let Some(path) = invocation.reads().first().and_then(|location| location.path()) {
            error = error.path(path);
        }
        error
    })
}
