//! Images in a Ceph cluster.

use std::ffi::OsString;
use std::path::PathBuf;

use super::Driver;
use super::builder::{self, Builder, parts};
use crate::{Error, KeyVal, SecretId};

/// How a client may authenticate to a Ceph cluster. QAPI type `RbdAuthMode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RbdAuth {
    /// With a key.
    Cephx,
    /// Not at all.
    None,
}

/// An image in a Ceph cluster.
///
/// As a name it is `rbd:pool/namespace/image@snapshot:id=user:conf=path`, with backslashes before what means
/// something; as a node it has the keys `driver`, `pool`, `namespace`, `image`, `snapshot`, `conf`, `user`,
/// `auth-client-required.N`, `key-secret`, `server.N.host`, `server.N.port`. There is only the node with a key,
/// servers or ways to authenticate, and where a part other than the pool holds `@` or a namespace or an image `/`,
/// on which old versions crash.
///
/// Refused are empty parts and port 0. Source: QAPI type `BlockdevOptionsRbd`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct Rbd {
    pool: String,
    namespace: Option<String>,
    image: String,
    snapshot: Option<String>,
    conf: Option<PathBuf>,
    user: Option<String>,
    auth_client_required: Vec<RbdAuth>,
    key_secret: Option<SecretId>,
    servers: Vec<(String, u16)>,
}

impl Rbd {
    /// An image of a pool.
    pub fn new(pool: impl Into<String>, image: impl Into<String>) -> Self {
        Self {
            pool: pool.into(),
            namespace: None,
            image: image.into(),
            snapshot: None,
            conf: None,
            user: None,
            auth_client_required: Vec::new(),
            key_secret: None,
            servers: Vec::new(),
        }
    }

    parts! {
        /// The namespace in the pool. Default: none.
        text namespace: String;
        /// The snapshot to read. Default: the image as it is.
        text snapshot: String;
        /// The configuration file of the cluster. Default: where Ceph looks for one, such as `/etc/ceph/ceph.conf`.
        text conf: PathBuf;
        /// The user to authenticate as, without `client.` in front. Default: `admin`.
        #[doc(alias = "id")]
        text user: String;
        /// The id of the `secret` object that holds the user's key. Default: the keyring that the configuration
        /// names.
        #[doc(alias = "key-secret")]
        text key_secret: SecretId;
    }

    /// Accepts one more way to authenticate. Default: what the configuration says.
    #[doc(alias = "auth-client-required")]
    pub fn auth_client_required(mut self, auth: RbdAuth) -> Self {
        self.auth_client_required.push(auth);
        self
    }

    /// Adds a monitor of the cluster. Default: those that the configuration names. The usual ports are 3300 and
    /// 6789.
    #[doc(alias = "mon_host")]
    pub fn server(mut self, host: impl Into<String>, port: u16) -> Self {
        self.servers.push((host.into(), port));
        self
    }

    /// Reads a name the way qemu does; what would make an old version crash has no plain name and is dropped later.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        let (pool, rest) = split(name.strip_prefix("rbd:")?, '/');
        let (image, snapshot, options) = match split(rest?, '@') {
            (image, Some(rest)) => {
                let (snapshot, options) = split(rest, ':');
                (image, Some(snapshot), options)
            }
            (_, None) => {
                let (image, options) = split(rest?, ':');
                (image, None, options)
            }
        };
        let (namespace, image) = match split(image, '/') {
            (namespace, Some(image)) => (Some(namespace), image),
            (image, None) => (None, image),
        };
        let mut rbd = Self::new(unescape(pool), unescape(image));
        rbd.namespace = namespace.map(unescape);
        rbd.snapshot = snapshot.map(unescape);
        for (name, value) in pairs(options)? {
            match name.as_str() {
                "id" if rbd.user.is_none() => rbd.user = Some(value),
                "conf" if rbd.conf.is_none() => rbd.conf = Some(value.into()),
                _ => return None,
            }
        }
        Some(rbd)
    }
}

/// Whether the options of a name, of which `rbd:` is cut off, hold a key.
pub(super) fn has_key(name: &str) -> bool {
    let mut rest = split(name, ':').1;
    while let Some(option) = rest {
        let (option, next) = split(option, ':');
        if unescape(split(option, '=').0) == "key" {
            return true;
        }
        rest = next;
    }
    false
}

/// The options of a name; `None` if one has no value.
fn pairs(mut rest: Option<&str>) -> Option<Vec<(String, String)>> {
    let mut pairs = Vec::new();
    while let Some(option) = rest {
        let (name, value) = split(option, '=');
        let (value, next) = split(value?, ':');
        pairs.push((unescape(name), unescape(value)));
        rest = next;
    }
    Some(pairs)
}

/// What stands before the first `at` that has no backslash before it, and what stands after.
fn split(text: &str, at: char) -> (&str, Option<&str>) {
    let mut escaped = false;
    for (index, c) in text.char_indices() {
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if c == at {
            let (before, after) = text.split_at_checked(index).unwrap_or((text, ""));
            return (before, after.strip_prefix(at));
        }
    }
    (text, None)
}

fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        // A backslash at the end stands for itself.
        plain.push(if c == '\\' { chars.next().unwrap_or(c) } else { c });
    }
    plain
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\\' | ':' | '@' | '=' | '/') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

impl Driver for Rbd {
    fn node(&self) -> Result<KeyVal, Error> {
        let mut node = Builder::new("rbd")
            .text("pool", &self.pool)?
            .optional("namespace", self.namespace.as_ref())?
            .text("image", &self.image)?
            .optional("snapshot", self.snapshot.as_ref())?
            .optional("conf", self.conf.as_ref())?
            .optional("user", self.user.as_ref())?;
        for (index, auth) in self.auth_client_required.iter().enumerate() {
            let auth = match auth {
                RbdAuth::Cephx => "cephx",
                RbdAuth::None => "none",
            };
            node = node.text(&format!("auth-client-required.{index}"), auth)?;
        }
        node = node.secret("key-secret", self.key_secret.as_ref());
        for (index, (host, port)) in self.servers.iter().enumerate() {
            node = node.text(&format!("server.{index}.host"), host)?.port(&format!("server.{index}.port"), *port)?;
        }
        Ok(node.done())
    }

    fn plain_name(&self) -> Result<Option<OsString>, Error> {
        self.node()?;
        let conf = match &self.conf {
            None => None,
            Some(path) => match path.to_str() {
                None => return Ok(None),
                path => path,
            },
        };
        let node_only = self.key_secret.is_some() || !self.servers.is_empty() || !self.auth_client_required.is_empty();
        let names = [Some(&self.image), self.namespace.as_ref()];
        let others = [self.snapshot.as_deref(), self.user.as_deref(), conf];
        let unsafe_name = names.into_iter().flatten().any(|name| name.contains(['@', '/']));
        if node_only || unsafe_name || others.into_iter().flatten().any(|part| part.contains('@')) {
            return Ok(None);
        }
        let mut name = format!("rbd:{}/", escape(&self.pool));
        if let Some(namespace) = &self.namespace {
            name.push_str(&escape(namespace));
            name.push('/');
        }
        name.push_str(&escape(&self.image));
        for (before, part) in [("@", self.snapshot.as_deref()), (":id=", self.user.as_deref())] {
            if let Some(part) = part {
                name.push_str(before);
                name.push_str(&escape(part));
            }
        }
        if let Some(conf) = conf {
            name.push_str(":conf=");
            // Slashes mean nothing here, and people expect to see the path.
            name.push_str(&escape(conf).replace("\\/", "/"));
        }
        Ok(Some(name.into()))
    }

    fn read(node: &KeyVal) -> Option<Self> {
        let auth = |node: &KeyVal, key: &str| match node.get(key)?.to_str()? {
            "cephx" => Some(RbdAuth::Cephx),
            "none" => Some(RbdAuth::None),
            _ => None,
        };
        let server = |node: &KeyVal, key: &str| {
            Some((builder::value(node, &format!("{key}.host"))?, builder::value(node, &format!("{key}.port"))?))
        };
        Some(Self {
            pool: builder::value(node, "pool")?,
            namespace: builder::value(node, "namespace"),
            image: builder::value(node, "image")?,
            snapshot: builder::value(node, "snapshot"),
            conf: node.get("conf").map(PathBuf::from),
            user: builder::value(node, "user"),
            auth_client_required: builder::list(node, "auth-client-required", auth),
            key_secret: builder::secret(node, "key-secret"),
            servers: builder::list(node, "server", server),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped() {
        let rbd = Rbd::new("p/o:o@l\\", "i=m:age").namespace("n").snapshot("s:n").user("me").conf("/etc/a:b");
        let name = rbd.plain_name().unwrap().unwrap();
        assert_eq!(name, r"rbd:p\/o\:o\@l\\/n/i\=m\:age@s\:n:id=me:conf=/etc/a\:b");
        assert_eq!(Rbd::from_name(name.to_str().unwrap()), Some(rbd));
    }

    #[test]
    fn what_old_versions_crash_on_is_a_node() {
        for rbd in [
            Rbd::new("p", "i@j"),
            Rbd::new("p", "i/j"),
            Rbd::new("p", "i").user("me@here"),
            Rbd::new("p", "i").conf("/a@b"),
            Rbd::new("p", "i").namespace("a/b"),
        ] {
            assert_eq!(rbd.plain_name(), Ok(None), "{rbd:?}");
        }
    }

    #[test]
    fn keys_are_found() {
        assert!(has_key("p/i:id=a:key=b"));
        assert!(has_key(r"p/i@s:\key=b"));
        assert!(!has_key(r"p/i:id=a\:key=b"));
        assert!(!has_key("p/key=a"));
    }
}
