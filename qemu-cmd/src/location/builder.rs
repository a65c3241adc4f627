//! What all drivers need to write their node and to read it back.

use std::ffi::OsStr;
use std::str::FromStr;

use crate::os::units;
use crate::{ByteSize, Error, KeyVal, Location, SecretId};

/// What qemu counts sizes with: a signed 64-bit number.
const SIZE_MAX: u64 = i64::MAX as u64;

/// A node that is being written. What no qemu takes is refused here, with the driver and the part named.
pub(super) struct Builder {
    driver: &'static str,
    node: KeyVal,
}

impl Builder {
    pub(super) fn new(driver: &'static str) -> Self {
        Self { driver, node: KeyVal::new().with("driver", driver) }
    }

    /// A value that must not be empty.
    pub(super) fn text(mut self, key: &str, value: impl AsRef<OsStr>) -> Result<Self, Error> {
        let value = value.as_ref();
        if value.is_empty() {
            return Err(Error::LocationPartEmpty { driver: self.driver, part: key.to_owned() });
        }
        if units(value).contains(&0) {
            return Err(Error::LocationPartNul { driver: self.driver, part: key.to_owned() });
        }
        self.node = self.node.with(key, value);
        Ok(self)
    }

    /// The same, unless it is absent.
    pub(super) fn optional(self, key: &str, value: Option<impl AsRef<OsStr>>) -> Result<Self, Error> {
        match value {
            Some(value) => self.text(key, value),
            None => Ok(self),
        }
    }

    pub(super) fn number(mut self, key: &str, value: Option<impl ToString>) -> Self {
        if let Some(value) = value {
            self.node = self.node.with(key, value.to_string());
        }
        self
    }

    /// A TCP port. Port 0 would mean the default port in a plain name, and nothing in a node.
    pub(super) fn port(self, key: &str, port: u16) -> Result<Self, Error> {
        if port == 0 {
            return Err(self.refusal(key, port, "a port is a number from 1 to 65535"));
        }
        Ok(self.number(key, Some(port)))
    }

    pub(super) fn size(self, key: &str, size: Option<ByteSize>) -> Result<Self, Error> {
        match size {
            Some(size) if size.as_u64() > SIZE_MAX => {
                Err(self.refusal(key, size, "qemu counts bytes up to 9223372036854775807"))
            }
            size => Ok(self.number(key, size)),
        }
    }

    /// A size that qemu counts in sectors.
    pub(super) fn sectors(self, key: &str, size: Option<ByteSize>) -> Result<Self, Error> {
        match size {
            Some(size) if !size.as_u64().is_multiple_of(512) => {
                Err(self.refusal(key, size, "it must be a multiple of 512"))
            }
            size => self.size(key, size),
        }
    }

    pub(super) fn switch(mut self, key: &str, on: Option<bool>) -> Self {
        if let Some(on) = on {
            self.node = self.node.with(key, if on { "on" } else { "off" });
        }
        self
    }

    /// The id of an object that is no secret.
    pub(super) fn object(self, key: &str, id: Option<&str>) -> Result<Self, Error> {
        match id {
            Some(id) if SecretId::new(id).is_err() => {
                let reason = "the id of an object is a letter, then letters, digits, `-`, `.` and `_`";
                Err(self.refusal(key, id, reason))
            }
            id => self.optional(key, id),
        }
    }

    pub(super) fn secret(mut self, key: &str, id: Option<&SecretId>) -> Self {
        if let Some(id) = id {
            self.node = self.node.with(key, id.as_str());
        }
        self
    }

    /// A place below this one.
    pub(super) fn child(mut self, key: &str, place: &Location) -> Result<Self, Error> {
        for (name, value) in place.node()?.iter() {
            self.node = self.node.with(format!("{key}.{name}"), value);
        }
        Ok(self)
    }

    pub(super) fn refusal(&self, part: &str, given: impl ToString, reason: &'static str) -> Error {
        Error::LocationPart { driver: self.driver, part: part.to_owned(), given: given.to_string(), reason }
    }

    pub(super) fn done(self) -> KeyVal {
        self.node
    }
}

/// The value of a key, if it is one of the type: as text, as a number, as an id.
pub(super) fn value<T: FromStr>(node: &KeyVal, key: &str) -> Option<T> {
    node.get(key)?.to_str()?.parse().ok()
}

pub(super) fn bytes(node: &KeyVal, key: &str) -> Option<ByteSize> {
    value(node, key).map(ByteSize::bytes)
}

pub(super) fn switch(node: &KeyVal, key: &str) -> Option<bool> {
    match node.get(key)?.to_str()? {
        "on" => Some(true),
        "off" => Some(false),
        _ => None,
    }
}

pub(super) fn secret(node: &KeyVal, key: &str) -> Option<SecretId> {
    SecretId::new(value::<String>(node, key)?).ok()
}

/// The place below `key`, if there is one.
pub(super) fn child(node: &KeyVal, key: &str) -> Option<Location> {
    let below = node.below(&[key, "."].concat());
    (!below.is_empty()).then(|| Location::from_node(below))
}

/// The elements of a list: `key.0`, `key.1` and so on, each with what `read` makes of it.
pub(super) fn list<T>(node: &KeyVal, key: &str, read: impl Fn(&KeyVal, &str) -> Option<T>) -> Vec<T> {
    (0..).map_while(|index: usize| read(node, &format!("{key}.{index}"))).collect()
}

/// Methods that give a part which is otherwise absent: `text` takes anything that converts, `copy` the type.
macro_rules! parts {
    ($($(#[$meta:meta])* $kind:ident $name:ident: $type:ty;)*) => {
        $($crate::location::builder::parts!(@ $kind $(#[$meta])* $name $type);)*
    };
    (@ text $(#[$meta:meta])* $name:ident $type:ty) => {
        $(#[$meta])*
        pub fn $name(mut self, value: impl Into<$type>) -> Self {
            self.$name = Some(value.into());
            self
        }
    };
    (@ copy $(#[$meta:meta])* $name:ident $type:ty) => {
        $(#[$meta])*
        pub fn $name(mut self, value: $type) -> Self {
            self.$name = Some(value);
            self
        }
    };
}

pub(super) use parts;
