//! From how a command ended, and what it said, to an [`Error`].

use std::borrow::Cow;
use std::path::Path;

use qemu_cmd::{Arg, ByteSize, Invocation, Location};
use rustix::process::Signal;

use crate::messages::{MESSAGES, Message};
use crate::{End, Error, ErrorKind, Limit, Limits, Outcome};

impl Outcome {
    /// The error that this outcome of `invocation` is, if it did not succeed.
    ///
    /// # Errors
    /// Unless the command ran, exited with 0, and does not say otherwise: `create` does so and makes nothing where Debian's
    /// package with the driver of the place is not installed ([`Unsupported`](ErrorKind::Unsupported)), and any command
    /// that could not write what it still had when it closed an image.
    pub fn ok(self, invocation: &Invocation, limits: &Limits) -> Result<Self, Error> {
        if self.success() && !says_otherwise(&self, invocation) {
            Ok(self)
        } else {
            Err(classify(&self, invocation, limits))
        }
    }
}

pub(crate) fn classify(outcome: &Outcome, invocation: &Invocation, limits: &Limits) -> Error {
    let said = invocation.redact(&String::from_utf8_lossy(&outcome.stderr));
    let text = Text::new(&said, invocation);
    let (exit, signal) = match outcome.end {
        End::Exited(code) => (Some(code), None),
        End::Signaled(signal) => (None, Some(signal)),
        _ => (None, None),
    };
    let kind = match outcome.end {
        End::TimedOut => ErrorKind::TimedOut,
        End::OutOfMemory { .. } => ErrorKind::LimitHit(Limit::Memory),
        End::Stalled => ErrorKind::Stalled,
        End::Cancelled => ErrorKind::Cancelled,
        End::OutputTooLarge => ErrorKind::OutputTooLarge,
        End::NotRun => ErrorKind::NotRun,
        End::Signaled(signal) => of_signal(signal, &text, limits),
        End::Exited(code) => of_exit(code, &text, invocation, limits),
    };
    let subject = subject(&text, invocation);
    let mut error = Error::new(kind).message(message(kind, outcome, &text, subject, limits));
    if let Some(path) = subject {
        error = error.path(path);
    }
    error.about(invocation).ended(exit, signal).said(&said)
}

/// Whether qemu-img says that it did not do it, and exits with 0 all the same. It may be called otherwise, and then calls
/// itself so.
fn says_otherwise(outcome: &Outcome, invocation: &Invocation) -> bool {
    const UNFLUSHED: [&str; 4] = [
        "Failed to flush the L2 table cache: ",
        "Failed to flush the refcount block cache: ",
        "Failed flush for '",
        "Lost persistent bitmaps during inactivation of node '",
    ];
    let said = String::from_utf8_lossy(&outcome.stderr);
    let says =
        |text: &str| said.lines().filter_map(|line| line.split_once(": ")).any(|(_, said)| said.starts_with(text));
    UNFLUSHED.into_iter().any(says) || invocation.subcommand() == "create" && says("Unable to load module ")
}

/// Standard error by lines: as it is, and without the names of the images, which anybody may have chosen. Names in which no
/// message can be stay, since they may be in a message: `small` is in `smaller`.
struct Text {
    lines: Vec<String>,
    nameless: Vec<String>,
}

impl Text {
    fn new(text: &str, invocation: &Invocation) -> Self {
        let mut nameless = text.to_owned();
        for path in images_by_length(invocation) {
            let name = path.to_string_lossy();
            if name.contains([' ', '_']) {
                nameless = nameless.replace(&*name, "IMAGE");
            }
        }
        let lines =
            |text: &str| text.lines().map(str::trim_end).filter(|line| !line.is_empty()).map(str::to_owned).collect();
        Self { lines: lines(text), nameless: lines(&nameless) }
    }

    fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Whether a line ends with this text, as one does with that of strerror(3).
    fn ends(&self, text: &str) -> bool {
        self.nameless.iter().any(|line| line.ends_with(text))
    }

    fn has(&self, text: &str) -> bool {
        self.nameless.iter().any(|line| line.contains(text))
    }

    /// Whether a line is such a message.
    fn is(&self, Message(holds, ends, _): &Message) -> bool {
        self.nameless.iter().any(|line| line.contains(holds) && line.ends_with(ends))
    }

    /// Whether a backing file had a backing file, and so on, more often than any chain is long.
    fn goes_round(&self) -> bool {
        const LONGEST_CHAIN: usize = 200;
        let deep = |line: &String| line.matches("Could not open backing file: ").count() > LONGEST_CHAIN;
        self.has("creates an infinite loop") || self.nameless.iter().any(deep)
    }

    /// Whether a line begins with the name of one of these programs, which may stand behind its directory.
    fn is_by(&self, programs: &[&str]) -> bool {
        self.nameless.iter().filter_map(|line| line.split_once(": ")).any(|(speaker, _)| {
            Path::new(speaker).file_name().is_some_and(|name| programs.iter().any(|program| name == *program))
        })
    }

    fn names(&self, path: &Path) -> bool {
        self.lines.iter().any(|line| line.contains(&*path.to_string_lossy()))
    }

    /// The line that says most: the first of qemu-img's own, without its name. Of a long one the middle is left out.
    fn line(&self) -> Cow<'_, str> {
        const BEFORE: usize = 200;
        const AFTER: usize = 400;
        let own = self.lines.iter().find_map(|line| line.strip_prefix("qemu-img: "));
        let line = own.or(self.lines.last().map(String::as_str)).unwrap_or("it said nothing");
        let length = line.chars().count();
        if length <= BEFORE + AFTER {
            return line.into();
        }
        let (before, after) = (line.chars().take(BEFORE), line.chars().skip(length - AFTER));
        before.chain([' ', '…', ' ']).chain(after).collect()
    }
}

/// The images of the command, the longest names first: a longer name may contain a shorter one.
fn images_by_length(invocation: &Invocation) -> Vec<&Path> {
    let mut images: Vec<&Path> =
        invocation.reads().iter().chain(invocation.writes()).filter_map(Location::path).collect();
    images.sort_by_key(|path| std::cmp::Reverse(path.as_os_str().len()));
    images
}

fn of_signal(signal: i32, text: &Text, limits: &Limits) -> ErrorKind {
    if signal == Signal::XCPU.as_raw() && limits.has(Limit::Cpu) {
        return ErrorKind::LimitHit(Limit::Cpu);
    }
    if signal == Signal::XFSZ.as_raw() && limits.has(Limit::FileSize) {
        return ErrorKind::LimitHit(Limit::FileSize);
    }
    // What an allocation, a thread or a descriptor that cannot be had makes qemu and glib do.
    if [Signal::ABORT, Signal::TRAP, Signal::SEGV].iter().any(|fatal| fatal.as_raw() == signal)
        && let Some(limit) = resource_limit(text, limits)
    {
        return ErrorKind::LimitHit(limit);
    }
    // Below what qemu-img needs to start, the kernel or the loader ends it without a word.
    let too_small = limits.address_space_below(ByteSize::mib(64));
    if too_small && text.is_empty() && [Signal::SEGV, Signal::KILL].iter().any(|fatal| fatal.as_raw() == signal) {
        return ErrorKind::LimitHit(Limit::AddressSpace);
    }
    ErrorKind::Killed(signal)
}

/// Which of the limits a complaint about resources is about.
fn resource_limit(text: &Text, limits: &Limits) -> Option<Limit> {
    if limits.has(Limit::OpenFiles) && text.ends("Too many open files") {
        return Some(Limit::OpenFiles);
    }
    let thread = text.has("qemu_thread_create") || text.has("creating thread");
    if limits.has(Limit::Processes) && thread {
        return Some(Limit::Processes);
    }
    let memory = thread
        || ["not allocate memory", "failed to allocate", "failed to map segment", "Out of memory"]
            .iter()
            .any(|complaint| text.has(complaint));
    (limits.has(Limit::AddressSpace) && memory).then_some(Limit::AddressSpace)
}

fn of_exit(code: i32, text: &Text, invocation: &Invocation, limits: &Limits) -> ErrorKind {
    // What stands in front of qemu-img speaks only where that has not run: sudo also warns.
    if !text.is_by(&["qemu-img"]) {
        if text.has("prlimit: failed to set") {
            return ErrorKind::LimitsNotApplied;
        }
        if text.is_by(&["prlimit", "timeout", "nice", "env"]) {
            return ErrorKind::CouldNotStart;
        }
        if text.is_by(&["sudo"]) {
            return ErrorKind::SudoRefused;
        }
    }
    // Whatever it was that ran out then.
    if text.goes_round() {
        return ErrorKind::BackingLoop;
    }
    if limits.has(Limit::FileSize) && text.ends("File too large") {
        return ErrorKind::LimitHit(Limit::FileSize);
    }
    if let Some(limit) = resource_limit(text, limits) {
        return ErrorKind::LimitHit(limit);
    }
    // The loader, killed by a limit, says nothing of use when it cannot even allocate its message.
    if code == 127 && limits.has(Limit::AddressSpace) {
        return ErrorKind::LimitHit(Limit::AddressSpace);
    }
    if let Some(Message(.., kind)) = MESSAGES.iter().find(|message| text.is(message)) {
        return *kind;
    }
    // What the driver of VHDX says of any other image.
    if text.ends("Invalid argument") && names_vhdx(invocation) {
        return ErrorKind::WrongFormat;
    }
    ErrorKind::Failed
}

fn names_vhdx(invocation: &Invocation) -> bool {
    invocation.args().iter().any(|arg| matches!(arg, Arg::Text(text) if text.to_string_lossy().contains("vhdx")))
}

/// The image that the complaint names, or the only one there is.
fn subject<'a>(text: &Text, invocation: &'a Invocation) -> Option<&'a Path> {
    let images = images_by_length(invocation);
    let named = images.iter().find(|path| text.names(path));
    named.or(images.first().filter(|_| images.len() == 1)).copied()
}

fn message(kind: ErrorKind, outcome: &Outcome, text: &Text, subject: Option<&Path>, limits: &Limits) -> String {
    let image = subject.map_or_else(|| "an image".to_owned(), |path| format!("`{}`", path.display()));
    let said = text.line();
    let of = |subject: Option<&Path>| {
        subject.map_or_else(|| "qemu-img".to_owned(), |path| format!("qemu-img on `{}`", path.display()))
    };
    match kind {
        ErrorKind::NotFound => format!("{image} was not found: {said}"),
        ErrorKind::PermissionDenied => format!("{image} may not be accessed: {said}"),
        ErrorKind::WrongFormat => format!("{image} is not in the format that was given: {said}"),
        ErrorKind::WrongPassphrase => format!("the passphrase opens no key slot of {image}: {said}"),
        ErrorKind::KeyNeeded => format!("{image} is encrypted and needs its key: {said}"),
        ErrorKind::Locked => format!("{image} is in use by another process: {said}"),
        ErrorKind::NoSpace => format!("no space is left for {image}: {said}"),
        ErrorKind::LimitHit(Limit::Memory) => match outcome.end {
            End::OutOfMemory { limit: Some(limit) } => format!("the limit of {limit} bytes on memory was hit"),
            _ => "the limit on memory was hit".to_owned(),
        },
        ErrorKind::InputOutput => format!("{image} cannot be read or written: {said}"),
        ErrorKind::BackingLoop => format!("{image} is, through its backing files, below itself"),
        ErrorKind::TargetTooSmall => format!("the target is smaller than the source: {said}"),
        ErrorKind::Unreachable => format!("{image} cannot be reached: {said}"),
        ErrorKind::Unsupported => format!("this qemu-img cannot do it: {said}"),
        ErrorKind::LimitHit(limit) => {
            format!("the limit of {} on {limit} was hit: {said}", limits.describe(limit))
        }
        ErrorKind::LimitsNotApplied => {
            format!("the limits could not be set, since the caller's own are lower: {said}")
        }
        ErrorKind::TimedOut => {
            format!("{} took too long, and was ended after {:.1} s", of(subject), outcome.wall_time.as_secs_f64())
        }
        ErrorKind::Stalled => {
            format!("{} came no further, and was ended after {:.1} s", of(subject), outcome.wall_time.as_secs_f64())
        }
        ErrorKind::Cancelled => format!("{} was cancelled after {:.1} s", of(subject), outcome.wall_time.as_secs_f64()),
        ErrorKind::Killed(signal) => format!("qemu-img was killed by signal {signal}: {said}"),
        ErrorKind::SudoRefused => format!("sudo refused: {said}"),
        ErrorKind::OutputTooLarge => "qemu-img printed more than the request allows".to_owned(),
        ErrorKind::NotRun => "it was a dry run, so there is no answer".to_owned(),
        _ => match outcome.end {
            End::Exited(code) => format!("qemu-img exited with {code}: {said}"),
            _ => format!("qemu-img failed: {said}"),
        },
    }
}
