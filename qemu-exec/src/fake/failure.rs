//! Failures that a test has asked for.

use qemu_cmd::{Invocation, OutputKind, Subcommand};
use rustix::process::Signal;

use crate::classify::classify;
use crate::{End, Error, ErrorKind, Limit, Limits, Outcome};

/// A failure that waits for its command.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failure {
    pub(super) kind: ErrorKind,
    pub(super) on: When,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum When {
    /// After so many others.
    After(usize),
    /// At the first of these.
    On(Subcommand),
}

/// Takes the failure of this command out of the list, and counts the command for the others.
pub(super) fn take(failures: &mut Vec<Failure>, invocation: &Invocation) -> Option<ErrorKind> {
    let due = failures.iter().position(|failure| match failure.on {
        When::After(others) => others == 0,
        When::On(subcommand) => invocation.subcommand() == subcommand.as_str(),
    });
    let taken = due.map(|index| failures.remove(index).kind);
    for failure in failures {
        if let When::After(others) = &mut failure.on {
            *others = others.saturating_sub(1);
        }
    }
    taken
}

/// A command that fails so: in the way that the real one would, if there is one.
pub(super) fn fail(kind: ErrorKind, invocation: &Invocation, limits: &Limits) -> Result<Outcome, Error> {
    let outcome = outcome(kind, invocation);
    if let Some(outcome) = outcome.filter(|outcome| is(outcome, kind, invocation, limits)) {
        return Ok(outcome);
    }
    Err(Error::new(kind).message("the fake qemu-img was told to fail").about(invocation))
}

fn is(outcome: &Outcome, kind: ErrorKind, invocation: &Invocation, limits: &Limits) -> bool {
    match kind {
        ErrorKind::OutputNotUnderstood => invocation.output() == OutputKind::Json,
        _ => classify(outcome, invocation, limits).kind() == kind,
    }
}

fn outcome(kind: ErrorKind, invocation: &Invocation) -> Option<Outcome> {
    let mut images = invocation.writes().iter().chain(invocation.reads()).filter_map(|image| image.path());
    let name = images.next().map(|path| path.to_string_lossy().into_owned()).unwrap_or_default();
    let says = |text: &str| Outcome::new(End::Exited(1), "", format!("qemu-img: Could not open '{name}': {text}\n"));
    let ends = |end| Outcome::new(end, "", "");
    Some(match kind {
        ErrorKind::NotFound => says("No such file or directory"),
        ErrorKind::PermissionDenied => says("Permission denied"),
        ErrorKind::WrongFormat => says("Image is not in qcow2 format"),
        ErrorKind::WrongPassphrase => says("Invalid password, cannot unlock any keyslot"),
        ErrorKind::KeyNeeded => says("Parameter 'encrypt.key-secret' is required for cipher"),
        ErrorKind::Locked => says("Failed to get \"write\" lock"),
        ErrorKind::NoSpace => {
            Outcome::new(End::Exited(1), "", "qemu-img: error while writing at byte 0: No space left on device\n")
        }
        ErrorKind::LimitHit(Limit::Cpu) => ends(End::Signaled(Signal::XCPU.as_raw())),
        ErrorKind::LimitHit(Limit::FileSize) => says("File too large"),
        ErrorKind::LimitHit(Limit::OpenFiles) => says("Too many open files"),
        ErrorKind::LimitHit(Limit::AddressSpace) => says("Cannot allocate memory"),
        ErrorKind::LimitHit(Limit::Memory) => ends(End::OutOfMemory { limit: None }),
        ErrorKind::TimedOut => ends(End::TimedOut),
        ErrorKind::Cancelled => ends(End::Cancelled),
        ErrorKind::Killed(signal) => ends(End::Signaled(signal)),
        ErrorKind::OutputTooLarge => ends(End::OutputTooLarge),
        ErrorKind::OutputNotUnderstood => Outcome::new(End::Exited(0), "{\"virtual-", ""),
        ErrorKind::InputOutput => says("Input/output error"),
        ErrorKind::Failed => says("Operation not supported"),
        _ => return None,
    })
}
