//! Why an argument list is not understood, and which argument that is about.

use std::ffi::OsStr;
use std::fmt;

use super::{Error, one_line};
use crate::Subcommand;

/// An argument list that is not a qemu-img command line: why, and where.
///
/// ```
/// use qemu_cmd::CommandLine;
/// let line = CommandLine::parse(["convert", "-m", "17", "a", "b"].map(Into::into))?;
/// let error = line.invocation().unwrap_err();
/// assert_eq!(error.at(), Some(2));
/// assert_eq!(error.to_string(), "argument 2 of `convert`: number of coroutines 17 must be from 1 to 16");
/// # Ok::<(), qemu_cmd::ParseError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError(Box<Parts>);

/// Boxed, so that every result that may be an error is small.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Parts {
    kind: ParseErrorKind,
    subcommand: Option<Subcommand>,
    at: Option<usize>,
    key: Option<String>,
}

impl ParseError {
    /// What is wrong.
    #[must_use]
    pub fn kind(&self) -> &ParseErrorKind {
        &self.0.kind
    }

    /// The place of the argument in the list, where 0 is the subcommand. An option that is wrong in itself is pointed
    /// at where it stands, one with a wrong value where that stands. `None` if it is not about an argument that is
    /// there, but about one that is missing.
    #[must_use]
    pub fn at(&self) -> Option<usize> {
        self.0.at
    }

    /// The key that it is about, if that argument is a list (`-o`, an image's node in either syntax).
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.0.key.as_deref()
    }

    /// A value that cannot be.
    pub(crate) fn value(of: impl Into<String>, value: &OsStr, reason: &'static str) -> Self {
        ParseErrorKind::Value { option: of.into(), value: value.to_string_lossy().into_owned(), reason }.into()
    }

    /// Something that the typed commands cannot hold.
    pub(crate) fn not_modelled(what: impl Into<String>) -> Self {
        ParseErrorKind::NotModelled { what: what.into() }.into()
    }

    /// The same, about this argument, unless it is known to be about another.
    pub(crate) fn or_at(mut self, at: Option<usize>) -> Self {
        self.0.at = self.0.at.or(at);
        self
    }

    /// The same, about this key of a list.
    pub(crate) fn of_key(mut self, key: &str) -> Self {
        self.0.key = Some(key.to_owned());
        self
    }

    /// The same, with what was taken off the key.
    pub(crate) fn under(mut self, prefix: &str) -> Self {
        self.0.key = self.0.key.map(|key| [prefix, &key].concat());
        self
    }

    pub(crate) fn of(mut self, subcommand: Subcommand) -> Self {
        self.0.subcommand = Some(subcommand);
        self
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(subcommand), Some(at)) = (self.0.subcommand, self.0.at) {
            write!(f, "argument {at} of `{}`: ", subcommand.as_str())?;
        }
        self.0.kind.fmt(f)
    }
}

impl std::error::Error for ParseError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.kind.source()
    }
}

impl From<ParseErrorKind> for ParseError {
    fn from(kind: ParseErrorKind) -> Self {
        Self(Box::new(Parts { kind, subcommand: None, at: None, key: None }))
    }
}

impl From<Error> for ParseError {
    fn from(error: Error) -> Self {
        ParseErrorKind::Refused(error).into()
    }
}

/// What is wrong with an argument list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseErrorKind {
    /// There is no subcommand.
    #[error("no subcommand: write one of {}", Subcommand::NAMES.join(", "))]
    NoSubcommand,
    /// The first argument is not a subcommand that is modelled.
    #[error("`{}` is not a subcommand: write one of {}", one_line(name), Subcommand::NAMES.join(", "))]
    UnknownSubcommand {
        /// The argument.
        name: String,
    },
    /// The subcommand has no such option.
    #[error("there is no option `{}`", one_line(option))]
    UnknownOption {
        /// The option as written.
        option: String,
    },
    /// A long option is a prefix of more than one.
    #[error("option `{}` could be {}", one_line(option), candidates.join(" or "))]
    AmbiguousOption {
        /// The option as written.
        option: String,
        /// What it could mean.
        candidates: Vec<String>,
    },
    /// An option that takes a value ends the argument list.
    #[error("option `{}` needs a value", one_line(option))]
    MissingValue {
        /// The option as written.
        option: String,
    },
    /// A long option that takes no value has one.
    #[error("option `{}` takes no value", one_line(option))]
    UnexpectedValue {
        /// The option as written.
        option: String,
    },
    /// Too few or too many operands.
    #[error("`{subcommand}` needs {needs}, and {given} were given")]
    Operands {
        /// The subcommand.
        subcommand: &'static str,
        /// What it needs.
        needs: &'static str,
        /// How many there are.
        given: usize,
    },
    /// An `--object` that is not well-formed.
    #[error("`--object`: {reason}")]
    Object {
        /// What is wrong, without its value.
        reason: String,
    },
    /// A value that cannot be.
    #[error("`{}` cannot be `{}`: {reason}", one_line(option), one_line(value))]
    Value {
        /// What it is the value of: an option with its dashes, a key of a list, or an operand.
        option: String,
        /// The value.
        value: String,
        /// Why it cannot be, or what can.
        reason: &'static str,
    },
    /// A name that starts with `json:` and goes on with something else. It is not shown, for it may hold a password.
    #[error("what follows `json:` is not a JSON object")]
    Json,
    /// No `--object` defines the secret that an option names.
    #[error("no --object defines the secret `{}`", one_line(id))]
    NoSecret {
        /// The id.
        id: String,
    },
    /// No `--object` defines what an image names.
    #[error("no --object has the id `{}`", one_line(id))]
    NoObject {
        /// The id.
        id: String,
    },
    /// Something that the typed commands cannot hold. A [`CommandLine`](crate::CommandLine) can.
    #[error("{what} cannot be held by the typed commands")]
    NotModelled {
        /// What it is.
        what: String,
    },
    /// The combination is one that qemu-img always refuses.
    #[error(transparent)]
    Refused(Error),
}
