use crate::KeyVal;

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
    /// The one of this name, or if there is none, of this id.
    NameOrId(String),
}

impl SourceSnapshot {
    pub(crate) fn render(&self) -> std::ffi::OsString {
        let (key, value) = match self {
            Self::Name(name) => ("snapshot.name", name),
            Self::Id(id) => ("snapshot.id", id),
            Self::NameAndId(name, id) => {
                return KeyVal::new().with("snapshot.id", id).with("snapshot.name", name).render();
            }
            Self::NameOrId(text) => return text.into(),
        };
        KeyVal::new().with(key, value).render()
    }
}
