//! Why output could not be read.

use std::io;

use serde::de::{DeserializeOwned, Error as _, Unexpected};
use serde_json::error::Category;

use crate::ChainError;

/// Output of `qemu-img` that could not be read as the type that was asked for.
///
/// Where there is JSON at all, the source is serde_json's error, which says what is wrong and at
/// which line and column.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is nothing but white space: `qemu-img` failed before it printed anything, or was not
    /// asked to print (`check -q`).
    #[error("empty output where JSON was expected")]
    Empty,

    /// The JSON stops before it is complete: `qemu-img` failed or was killed half way, or the output
    /// was cut. `qemu-img` can exit with 0 all the same when its standard output is a full disk or a
    /// closed pipe.
    #[error("incomplete JSON")]
    Incomplete {
        /// Where the JSON stops.
        source: serde_json::Error,
    },

    /// This is not JSON (such as the output without `--output=json`), there is more after it, or it is
    /// nested more than 128 levels deep.
    #[error("malformed JSON")]
    Malformed {
        /// Where reading stopped, and why.
        source: serde_json::Error,
    },

    /// This is JSON, but of something else: a field is missing, or a value is not of the type that
    /// qemu's schema gives it.
    #[error("unexpected JSON")]
    Unexpected {
        /// What was found, what was expected and where.
        source: serde_json::Error,
    },

    /// The reader that the output comes from failed.
    #[error("the output could not be read")]
    Io {
        /// The reader's error.
        source: io::Error,
    },

    /// The images are not a chain that can be worked with.
    #[error("unusable backing chain")]
    Chain {
        /// What is wrong with them.
        source: ChainError,
    },

    /// Text that is not what this command prints.
    #[error("unexpected text `{}`", text.escape_debug())]
    Text {
        /// The text that was not understood, or its first 200 bytes, with U+FFFD for what is not UTF-8.
        text: String,
    },

    /// The command failed, so there is nothing to read: standard error says why.
    #[error("`qemu-img` failed with exit status {exit}")]
    Failed {
        /// The exit status.
        exit: i32,
    },

    /// The exit status says something else than the output does.
    #[error("exit status {exit} contradicts the output")]
    ExitStatus {
        /// The exit status.
        exit: i32,
    },
}

/// How much of a text stands in an error.
const SHOWN: usize = 200;

impl Error {
    pub(crate) fn text(text: &[u8]) -> Self {
        Self::Text { text: String::from_utf8_lossy(text.get(..SHOWN).unwrap_or(text)).into_owned() }
    }
}

impl From<serde_json::Error> for Error {
    fn from(source: serde_json::Error) -> Self {
        match source.classify() {
            Category::Eof => Self::Incomplete { source },
            Category::Syntax | Category::Io => Self::Malformed { source },
            Category::Data => Self::Unexpected { source },
        }
    }
}

/// Reads all of `json`, which is an object, as one `T`.
pub(crate) fn from_json<T: DeserializeOwned>(json: &[u8]) -> Result<T, Error> {
    // serde would take the elements of an array for the fields of a struct.
    if json.trim_ascii_start().starts_with(b"[") {
        let source = serde_json::Error::invalid_type(Unexpected::Seq, &"one object");
        return Err(Error::Unexpected { source });
    }
    any_from_json(json)
}

/// Reads all of `json` as one `T`.
pub(crate) fn any_from_json<T: DeserializeOwned>(json: &[u8]) -> Result<T, Error> {
    if json.trim_ascii().is_empty() {
        return Err(Error::Empty);
    }
    Ok(serde_json::from_slice(json)?)
}
