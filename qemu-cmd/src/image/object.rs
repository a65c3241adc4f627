//! Objects that an image's location names.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use super::Source;
use super::node::BackingOverride;
use crate::{Error, Key, KeyVal, SecretId};

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

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    Secret(Key),
    Other { qom_type: String, properties: KeyVal },
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

    /// An object of any other type.
    pub fn new(qom_type: impl Into<String>, id: SecretId) -> Self {
        Self { id, kind: Kind::Other { qom_type: qom_type.into(), properties: KeyVal::new() } }
    }

    /// Another property, by qemu's name. A secret has none.
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

    /// The objects of the image and of those below it, with each key under its id.
    pub(crate) fn objects(&self, id: &SecretId) -> Result<Vec<Object>, Error> {
        let mut objects = self.objects.clone();
        for node in self.nodes() {
            let carried = |id: &OsStr| objects.iter().any(|object| object.id.as_str() == id);
            if let Some((_, missing)) = references(&node).find(|(_, id)| !carried(id)) {
                return Err(Error::ObjectMissing { id: missing.to_string_lossy().into_owned() });
            }
        }
        objects.extend(self.key.iter().map(|key| Object::secret(id.clone(), key.clone())));
        if let Some(BackingOverride::Image(image)) = self.backing.as_deref() {
            objects.extend(image.objects(&id.backing())?);
        }
        Ok(objects)
    }
}
