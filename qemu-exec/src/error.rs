//! Why a command did not do what was asked.

use std::fmt;
use std::path::{Path, PathBuf};

use qemu_cmd::ByteSize;

use crate::Limit;

/// What a caller can act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The command was refused before anything ran; the source is a [`qemu_cmd::Error`].
    Refused,
    /// This qemu-img lacks what the command needs, as the message tells. Either nothing ran, see
    /// [`Invocation::requires`](qemu_cmd::Invocation::requires), or qemu-img has no driver for the format or the place, or
    /// does not know a feature of the image.
    Unsupported,
    /// An image, a backing file or a directory does not exist, or a snapshot or a bitmap is not in its image.
    NotFound,
    /// The user who ran qemu-img may not read or write an image, or its file system is read-only.
    PermissionDenied,
    /// An image is not in the format that was given, or its header is damaged.
    WrongFormat,
    /// An image is, through its backing files, below itself; qemu-img goes round until something runs out.
    BackingLoop,
    /// A passphrase opens no key slot.
    WrongPassphrase,
    /// An image is encrypted, and no key was given.
    KeyNeeded,
    /// Another process uses an image.
    Locked,
    /// A file system or quota is full. What was written to a device or an existing image stays.
    NoSpace,
    /// A device or a file system could not read or write (`EIO`). What cannot be read can be
    /// [left out](qemu_cmd::Convert::salvage).
    InputOutput,
    /// An existing target has fewer bytes than the source.
    TargetTooSmall,
    /// The destination exists, and is [not to be replaced](crate::Publish::replace).
    AlreadyExists,
    /// The file system has fewer bytes free than the image needs; nothing was written.
    SpaceMissing {
        /// How many the new image needs, as `measure` says.
        needed: ByteSize,
        /// How many the caller may still write.
        available: ByteSize,
    },
    /// The image is written, and could not be given its name, or not durably; the source says why. Or qemu-img says that
    /// it is written, and has written nothing: what was there before is as it was.
    NotPublished,
    /// The source is damaged: qemu-img would read zeros, or rubbish, and exit with 0. Nothing was written.
    SourceCorrupt,
    /// The source is encrypted in a way that takes a wrong key without an error, and was to be
    /// [checked](crate::Checks::source). Nothing was written.
    KeyUnverifiable,
    /// What came of an [import](crate::QemuImg::import) is not acceptable, and was removed.
    Untrusted,
    /// The target is promised to read as zeros, and does not. Nothing was written.
    TargetNotZero,
    /// What was written is not what was read.
    ContentDiffers,
    /// A limit of the request was hit.
    LimitHit(Limit),
    /// The limits could not be set: the caller's own are lower.
    LimitsNotApplied,
    /// The request's timeout passed.
    TimedOut,
    /// The command came no further, and said nothing, for the request's stall timeout.
    Stalled,
    /// The request was cancelled.
    Cancelled,
    /// The process was killed by this signal, and neither a limit nor we sent it.
    Killed(i32),
    /// qemu-img, or a program that is needed to run it, is not installed.
    ProgramMissing,
    /// The other host could not be reached, did not let us in, or was lost: what ran there is being ended, and may have
    /// done its work. Or qemu-img could not reach the server that has an image.
    Unreachable,
    /// sudo refused, for instance because it would have asked for a password.
    SudoRefused,
    /// The process could not be started, or not be watched.
    CouldNotStart,
    /// qemu-img printed something else than was expected; the source is a [`qemu_info::Error`].
    OutputNotUnderstood,
    /// qemu-img printed more than the request allowed.
    OutputTooLarge,
    /// There is no answer, since it was a dry run.
    NotRun,
    /// Everything else: see [`Error::exit_code`] and [`Error::stderr`].
    Failed,
}

/// Why a command did not do what was asked: the kind, the command, how it ended and what it said.
///
/// It holds no secret, and no password: where somebody wrote one into a name, `***` stands in the command and in what
/// qemu-img said of it. [`Outcome`](crate::Outcome) has that as it was.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    command: String,
    path: Option<PathBuf>,
    exit_code: Option<i32>,
    signal: Option<i32>,
    stderr: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of this kind, as an executor or a test makes one: its message is the kind's name.
    #[must_use]
    pub fn new(kind: ErrorKind) -> Self {
        Self(Box::new(Inner {
            kind,
            message: format!("{kind:?}"),
            command: String::new(),
            path: None,
            exit_code: None,
            signal: None,
            stderr: String::new(),
            source: None,
        }))
    }

    /// Says this, on one line, instead.
    #[must_use]
    pub fn message(mut self, message: impl Into<String>) -> Self {
        self.0.message = message.into();
        self
    }

    pub(crate) fn about(mut self, command: impl fmt::Display) -> Self {
        self.0.command = command.to_string();
        self
    }

    pub(crate) fn path(mut self, path: &Path) -> Self {
        self.0.path = Some(path.to_owned());
        self
    }

    /// Calls a file by its name in what is said of it. The command stays as it was.
    pub(crate) fn calling(mut self, path: &Path, name: &Path) -> Self {
        let (shown, name_shown) = (path.to_string_lossy(), name.to_string_lossy());
        for text in [&mut self.0.message, &mut self.0.stderr] {
            *text = text.replace(&*shown, &name_shown);
        }
        if self.subject() == Some(path) {
            self.0.path = Some(name.to_owned());
        }
        self
    }

    pub(crate) fn ended(mut self, exit_code: Option<i32>, signal: Option<i32>) -> Self {
        self.0.exit_code = exit_code;
        self.0.signal = signal;
        self
    }

    /// Takes what is [redacted](qemu_cmd::Invocation::redact).
    pub(crate) fn said(mut self, stderr: &str) -> Self {
        self.0.stderr = stderr.trim_end().to_owned();
        self
    }

    /// Names what caused it.
    #[must_use]
    pub fn because(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.0.source = Some(Box::new(source));
        self
    }

    /// What this process lacks for a command that it was about to run.
    pub(crate) fn could_not_start(message: &str, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::new(ErrorKind::CouldNotStart).message(message).because(source)
    }

    /// What a caller can act on.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The command, quoted for a shell, with a placeholder for each secret and `***` for a password in a name; empty if
    /// none was built.
    #[must_use]
    pub fn command(&self) -> &str {
        &self.0.command
    }

    /// The image, directory or program that the error is about, where that is known.
    #[must_use]
    pub fn subject(&self) -> Option<&Path> {
        self.0.path.as_deref()
    }

    /// The exit status, if the process exited.
    #[must_use]
    pub const fn exit_code(&self) -> Option<i32> {
        self.0.exit_code
    }

    /// The signal that killed the process, if one did.
    #[must_use]
    pub const fn signal(&self) -> Option<i32> {
        self.0.signal
    }

    /// The end of what qemu-img said on standard error, at most 64 KiB, without passwords. Names in it come from images.
    #[must_use]
    pub fn stderr(&self) -> &str {
        &self.0.stderr
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("message", &self.0.message)
            .field("command", &self.0.command)
            .field("exit_code", &self.0.exit_code)
            .field("signal", &self.0.signal)
            .field("stderr", &self.0.stderr)
            .field("source", &self.0.source)
            .finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

impl From<qemu_cmd::Error> for Error {
    fn from(source: qemu_cmd::Error) -> Self {
        // The house rule is that a source's text is not repeated; here it is all there is to say.
        Self::new(ErrorKind::Refused).message("the command was refused before anything ran").because(source)
    }
}
