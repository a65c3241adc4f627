//! Objects that an image's location names.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;

use super::Source;
use crate::{Error, Key, KeyVal, SecretId, rules};

/// An object that the location of an image names by its id: credentials, a password, a throttle group.
///
/// A [`Source`] carries those that its location names ([`Source::object`]). The keys of encrypted images need none: they
/// are `sec0`, `sec1` and so on, which is refused as the id of another object of the same command. On the command line
/// it becomes `--object TYPE,id=ID,…`.
///
/// ```
/// use qemu_cmd::{Info, Nbd, Object, SecretId, Source};
///
/// let id = SecretId::new("tls0")?;
/// let disk = Source::raw(Nbd::tcp("nbd.example.com", 10809).tls_creds("tls0"));
/// let info = Info::new(disk.object(Object::tls_creds_x509(id, "/etc/pki/qemu"))).invocation()?;
/// assert_eq!(
///     info.to_string(),
///     "qemu-img info driver=raw,file.driver=nbd,file.server.type=inet,file.server.host=nbd.example.com,\
///      file.server.port=10809,file.tls-creds=tls0 --force-share --output=json \
///      --object tls-creds-x509,id=tls0,dir=/etc/pki/qemu,endpoint=client --image-opts"
/// );
/// # Ok::<(), qemu_cmd::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Object {
    pub(crate) id: SecretId,
    pub(crate) kind: Kind,
}

#[derive(Clone, PartialEq)]
pub(crate) enum Kind {
    Secret(Key),
    Other { qom_type: String, properties: KeyVal },
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret(key) => f.debug_tuple("Secret").field(key).finish(),
            Self::Other { qom_type, properties } => {
                // What is a password depends on the type.
                let list = KeyVal::new().with("qom-type", qom_type);
                let list = properties.iter().fold(list, |list, (name, value)| list.with(name, value));
                f.debug_tuple("Other").field(&list).finish()
            }
        }
    }
}

impl Object {
    /// A password, for a location's `password-secret` and the like.
    pub fn secret(id: SecretId, key: impl Into<Key>) -> Self {
        Self { id, kind: Kind::Secret(key.into()) }
    }

    /// The certificates in a directory of the machine that qemu-img runs on (`ca-cert.pem`, and `client-cert.pem`
    /// with `client-key.pem` if the server asks for one), for a client.
    pub fn tls_creds_x509(id: SecretId, directory: impl Into<PathBuf>) -> Self {
        Self::new("tls-creds-x509", id).property("dir", directory.into()).property("endpoint", "client")
    }

    /// The key shared beforehand that `user` has in `keys.psk` in a directory of the machine that qemu-img runs on,
    /// for a client.
    pub fn tls_creds_psk(id: SecretId, directory: impl Into<PathBuf>, user: impl Into<OsString>) -> Self {
        Self::new("tls-creds-psk", id)
            .property("dir", directory.into())
            .property("endpoint", "client")
            .property("username", user)
    }

    /// Limits that the places share which name them. They are properties such as `x-bps-total` (bytes per second) and
    /// `x-iops-total`.
    pub fn throttle_group(id: SecretId) -> Self {
        Self::new("throttle-group", id)
    }

    /// An object of any other type. A passphrase in it is refused: everybody could read it in the process list.
    pub fn new(qom_type: impl Into<String>, id: SecretId) -> Self {
        Self { id, kind: Kind::Other { qom_type: qom_type.into(), properties: KeyVal::new() } }
    }

    /// Another property, by qemu's name. A secret has none, and stays as it is.
    pub fn property(mut self, name: impl Into<String>, value: impl Into<OsString>) -> Self {
        if let Kind::Other { properties, .. } = &mut self.kind {
            properties.push(name, value);
        }
        self
    }

    /// Its id.
    #[must_use]
    pub const fn id(&self) -> &SecretId {
        &self.id
    }

    /// Whether its type and its properties are what they are called, and none is a secret.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let Kind::Other { qom_type, properties } = &self.kind else { return Ok(()) };
        if qom_type == "secret" && properties.get("data").is_some() && properties.get("keyid").is_none() {
            return Err(Error::SecretInLocation {
                what: "property `data`".to_owned(),
                instead: "use `Object::secret`",
            });
        }
        std::iter::once(qom_type.as_str()).chain(properties.iter().map(|(name, _)| name)).try_for_each(rules::check_key)
    }

    /// The ids of other objects that it names.
    pub(crate) fn references(&self) -> impl Iterator<Item = &OsStr> {
        let properties = match &self.kind {
            Kind::Secret(_) => None,
            Kind::Other { properties, .. } => Some(properties),
        };
        let pairs = properties.into_iter().flat_map(KeyVal::iter);
        pairs.filter(|(name, _)| *name == "passwordid").map(|(_, id)| id)
    }
}

/// The ids of the objects that a location's node names, each with its key.
pub(crate) fn references(node: &KeyVal) -> impl Iterator<Item = (&str, &OsStr)> {
    let names = |key: &str| match key.rsplit('.').next() {
        Some("tls-creds" | "throttle-group") => true,
        Some(last) => last.ends_with("-secret"),
        None => false,
    };
    node.iter().filter(move |(key, _)| names(key))
}

impl Source {
    /// An object that the location names. They are written in the order in which they were given.
    #[doc(alias = "--object")]
    pub fn object(mut self, object: Object) -> Self {
        self.objects.push(object);
        self
    }

    /// The nodes of its location and of its header's, as far as they can be written at all. A file names no object.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = KeyVal> {
        let locations = [Some(&self.location), self.header.as_ref()].into_iter().flatten();
        locations.filter(|location| location.path().is_none()).filter_map(|location| location.node().ok())
    }

    /// Whether it has an object of that id itself.
    pub(crate) fn carries(&self, id: &OsStr) -> bool {
        self.objects.iter().any(|object| object.id.as_str() == id)
    }

    /// The objects of the image and of those below it, with each key under its id.
    pub(crate) fn objects(&self, id: &SecretId) -> Result<Vec<Object>, Error> {
        for node in self.nodes() {
            if let Some((_, missing)) = references(&node).find(|(_, id)| !self.carries(id)) {
                return Err(Error::ObjectMissing { id: missing.to_string_lossy().into_owned() });
            }
        }
        let mut objects = self.objects.clone();
        objects.extend(self.key.iter().map(|key| Object::secret(id.clone(), key.clone())));
        if let Some(image) = self.given_below() {
            objects.extend(image.objects(&id.backing())?);
        }
        Ok(objects)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_object_of_another_type_holds_no_passphrase() {
        let object = || Object::new("secret", SecretId::new("a").unwrap()).property("data", "hunter2");
        let refusal = object().check().unwrap_err();
        assert!(matches!(refusal, Error::SecretInLocation { .. }), "{refusal}");
        let printed = format!("{:?} {refusal} {refusal:?}", object());
        assert!(printed.contains("qom-type=secret") && !printed.contains("hunter2"), "{printed}");
        object().property("keyid", "m").check().unwrap();
    }
}
