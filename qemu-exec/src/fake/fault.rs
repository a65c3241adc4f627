//! What goes wrong in the fake, in qemu-img's own words, so that callers get their error by the same path.

use qemu_cmd::Invocation;

use crate::{End, Error, ErrorKind, Outcome};

pub(super) type Result<T> = std::result::Result<T, Fault>;

/// Why a command fails.
#[derive(Debug)]
pub(super) enum Fault {
    /// No such image.
    NotFound(String),
    /// It is in another format.
    WrongFormat(String),
    /// The command itself has it open already.
    Locked(String),
    /// qemu-img fails, and says so.
    Failed(String),
    /// qemu-img does something that this fake does not know.
    NotModelled(String),
}

impl Fault {
    pub(super) fn not_modelled(what: impl Into<String>) -> Self {
        Self::NotModelled(what.into())
    }

    /// How the command ends.
    pub(super) fn outcome(self, invocation: &Invocation) -> std::result::Result<Outcome, Error> {
        let text = match self {
            Self::NotModelled(_) => return Err(self.error().about(invocation)),
            other => other.text(),
        };
        Ok(Outcome::new(End::Exited(1), "", format!("qemu-img: {text}\n")))
    }

    /// The error where there is no command.
    pub(super) fn error(self) -> Error {
        let kind = match &self {
            Self::NotFound(_) => ErrorKind::NotFound,
            Self::WrongFormat(_) => ErrorKind::WrongFormat,
            Self::Locked(_) => ErrorKind::Locked,
            Self::Failed(_) => ErrorKind::Failed,
            Self::NotModelled(_) => ErrorKind::Unsupported,
        };
        Error::new(kind).message(self.text())
    }

    fn text(self) -> String {
        match self {
            Self::NotFound(name) => format!("Could not open '{name}': No such file or directory"),
            Self::WrongFormat(name) => format!("Could not open '{name}': Image is not in qcow2 format"),
            Self::Locked(name) => format!("Could not open '{name}': Failed to get \"write\" lock"),
            Self::Failed(text) => text,
            Self::NotModelled(what) => format!("the fake qemu-img does not model {what}"),
        }
    }
}
