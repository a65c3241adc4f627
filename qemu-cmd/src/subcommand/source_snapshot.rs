use std::ffi::OsString;

use crate::{Error, KeyVal};

/// An internal snapshot of a source.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SourceSnapshot {
    /// The one of this name.
    Name(String),
    /// The one of this id.
    Id(String),
    /// The one that has both.
    NameAndId(String, String),
    /// The one of this id, or if there is none, of this name: a name can be the id of another. What starts with
    /// `snapshot.` is refused: qemu-img reads that as keys.
    NameOrId(String),
}

impl SourceSnapshot {
    /// What a value of `-l` starts with that is a list.
    pub(crate) const LIST: &str = "snapshot.";

    pub(crate) fn render(&self) -> Result<OsString, Error> {
        let list = match self {
            Self::Name(name) => KeyVal::new().with("snapshot.name", name),
            Self::Id(id) => KeyVal::new().with("snapshot.id", id),
            Self::NameAndId(name, id) => KeyVal::new().with("snapshot.id", id).with("snapshot.name", name),
            Self::NameOrId(text) if text.starts_with(Self::LIST) => {
                return Err(Error::Options(
                    "what starts with `snapshot.` is read as keys: say that it is a name, or an id",
                ));
            }
            Self::NameOrId(text) => return Ok(text.into()),
        };
        Ok(list.render())
    }
}
