//! Nodes of drivers that have no type of their own here.

use std::ffi::OsStr;

use super::{Driver, Location, protocol};
use crate::os::units;
use crate::redact::is_password;
use crate::{Error, KeyVal, rules};

/// The keys of a protocol node, for a driver that has no type of its own or with options that the type does not
/// have. Made by [`Location::from_node`].
///
/// Nothing is known of the keys, so qemu-img may refuse what is accepted here. Source: QAPI type
/// `BlockdevOptions`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OpenNode(KeyVal);

impl OpenNode {
    /// Each key once, with its last value, which is the one that counts; `driver` first, then in the order of their
    /// names, since a node has no other.
    pub(super) fn new(node: &KeyVal) -> Self {
        let mut pairs: Vec<(&str, &OsStr)> = Vec::new();
        for (key, value) in node.iter() {
            pairs.retain(|(other, _)| *other != key);
            pairs.push((key, value));
        }
        pairs.sort_by_key(|(key, _)| (*key != "driver", *key));
        Self(pairs.into_iter().fold(KeyVal::new(), |node, (key, value)| node.with(key, value)))
    }

    /// The keys.
    #[must_use]
    pub const fn options(&self) -> &KeyVal {
        &self.0
    }

    /// The name of the driver. Without one, qemu takes `file` or, for a device, `host_device`.
    #[must_use]
    pub fn driver(&self) -> Option<&OsStr> {
        self.0.get("driver")
    }
}

impl Driver for OpenNode {
    fn node(&self) -> Result<KeyVal, Error> {
        let has = |key| self.0.get(key).is_some_and(|value| !value.is_empty());
        if !has("driver") && !has("filename") {
            return Err(Error::LocationPartEmpty { driver: "node", part: "driver".to_owned() });
        }
        for (key, value) in self.0.iter() {
            if !rules::is_key(key) {
                let reason = "a key is a word without `=` and `,`";
                return Err(Error::LocationPart { driver: "node", part: "key".to_owned(), given: key.into(), reason });
            }
            if units(value).contains(&0) {
                return Err(Error::LocationPartNul { driver: "node", part: key.to_owned() });
            }
            if is_password(key) {
                let instead = "give the id of a secret object as `password-secret` or `cookie-secret`";
                return Err(Error::SecretInLocation { what: format!("key `{key}`"), instead });
            }
            if let Some(refusal) = protocol::secret_in(&value.to_string_lossy()) {
                return Err(refusal);
            }
        }
        Ok(self.0.clone())
    }

    fn read(node: &KeyVal) -> Option<Self> {
        Some(Self::new(node))
    }
}

impl From<OpenNode> for Location {
    fn from(node: OpenNode) -> Self {
        Self::from_node(node.0)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_node_must_be_one_and_hold_no_secret() {
        let refusal = |text: &str| Location::from_node(KeyVal::parse(text.as_ref())).node().unwrap_err();
        assert!(matches!(refusal("x=y"), Error::LocationPartEmpty { .. }));
        assert!(matches!(refusal("driver=x,=y"), Error::LocationPart { .. }));
        assert!(matches!(refusal("driver=x,y=\0"), Error::LocationPartNul { .. }));
        for text in [
            "driver=iscsi,password=hunter2",
            "driver=x,file.driver=http,file.cookie=hunter2",
            "driver=http,url=http://u:hunter2@h/",
        ] {
            let refusal = refusal(text);
            assert!(matches!(refusal, Error::SecretInLocation { .. }), "{refusal:?}");
            assert!(!format!("{refusal}{refusal:?}").contains("hunter2"));
        }
    }
}
