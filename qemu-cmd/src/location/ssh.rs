//! Files on SSH servers.

use std::ffi::OsString;

use super::builder::{self, Builder, parts};
use super::{Driver, uri};
use crate::{Error, KeyVal};

const DEFAULT_PORT: u16 = 22;

/// The hash that a fingerprint is of. QAPI type `SshHostKeyCheckHashType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HostKeyHash {
    /// MD5, of 32 hexadecimal digits.
    Md5,
    /// SHA-1, of 40 hexadecimal digits.
    Sha1,
    /// SHA-256, of 64 hexadecimal digits (since 6.1).
    Sha256,
}

impl HostKeyHash {
    const ALL: [Self; 3] = [Self::Md5, Self::Sha1, Self::Sha256];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
        }
    }

    const fn digits(self) -> usize {
        match self {
            Self::Md5 => 32,
            Self::Sha1 => 40,
            Self::Sha256 => 64,
        }
    }
}

/// How the server's host key is checked. QAPI type `SshHostKeyCheck`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostKeyCheck {
    /// Not at all: **anybody on the way can be the server**.
    None,
    /// Against the known hosts of the user that runs qemu-img.
    KnownHosts,
    /// Against a fingerprint.
    Hash {
        /// What the fingerprint is a hash by.
        hash_type: HostKeyHash,
        /// The fingerprint in hexadecimal digits, with or without colons between the bytes.
        hash: String,
    },
}

/// A file on an SSH server, by SFTP. qemu authenticates with the keys of the user's SSH agent, or those in `~/.ssh`.
///
/// As a name it is `ssh://user@host:port/path?host_key_check=…`, percent-encoded; as a node it has the keys `driver`,
/// `path`, `server.host`, `server.port`, `user`, `host-key-check.mode`, `host-key-check.type`,
/// `host-key-check.hash`. With a path that is not absolute, or an IPv6 address, there is only the node.
///
/// Refused are an empty host, path or user, port 0, and a fingerprint that is none. Source: QAPI type
/// `BlockdevOptionsSsh`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct Ssh {
    host: String,
    port: u16,
    path: OsString,
    user: Option<String>,
    host_key_check: Option<HostKeyCheck>,
}

impl Ssh {
    /// The file `path` of the server, on port 22. A relative path is relative to the user's home.
    #[doc(alias = "server.host")]
    pub fn new(host: impl Into<String>, path: impl Into<OsString>) -> Self {
        Self { host: host.into(), port: DEFAULT_PORT, path: path.into(), user: None, host_key_check: None }
    }

    /// The port of the server. Default: 22.
    #[doc(alias = "server.port")]
    pub const fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    parts! {
        /// The user to log in as. Default: the one that runs qemu-img.
        text user: String;
        /// How the host key is checked. Default: against the known hosts.
        #[doc(alias = "host-key-check")]
        text host_key_check: HostKeyCheck;
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        let uri = uri::Uri::parse(name).filter(|uri| uri.has_only(&["host_key_check"]))?;
        let check = match uri.parameter("host_key_check")? {
            None => None,
            Some("no") => Some(HostKeyCheck::None),
            Some("yes") => Some(HostKeyCheck::KnownHosts),
            Some(check) => {
                let (kind, hash) = check.split_once(':')?;
                Some(HostKeyCheck::Hash { hash_type: hash_type(kind)?, hash: hash.to_owned() })
            }
        };
        let port = uri.port.unwrap_or(DEFAULT_PORT);
        Some(Self { host: uri.host, port, path: uri.path.into(), user: uri.user, host_key_check: check })
    }
}

fn hash_type(name: &str) -> Option<HostKeyHash> {
    HostKeyHash::ALL.into_iter().find(|hash| hash.as_str() == name)
}

impl Driver for Ssh {
    fn node(&self) -> Result<KeyVal, Error> {
        let node = Builder::new("ssh").text("path", &self.path)?.text("server.host", &self.host)?;
        let node = node.port("server.port", self.port)?.optional("user", self.user.as_ref())?;
        let node = match &self.host_key_check {
            None => node,
            Some(HostKeyCheck::None) => node.text("host-key-check.mode", "none")?,
            Some(HostKeyCheck::KnownHosts) => node.text("host-key-check.mode", "known_hosts")?,
            Some(HostKeyCheck::Hash { hash_type, hash }) => {
                let digits = hash.chars().filter(|c| *c != ':');
                if digits.clone().count() != hash_type.digits() || !digits.clone().all(|c| c.is_ascii_hexdigit()) {
                    let reason = "it is 32 hexadecimal digits for md5, 40 for sha1 and 64 for sha256, with or without \
                                  colons";
                    return Err(node.refusal("host-key-check.hash", hash, reason));
                }
                let node = node.text("host-key-check.mode", "hash")?;
                node.text("host-key-check.type", hash_type.as_str())?.text("host-key-check.hash", hash)?
            }
        };
        Ok(node.done())
    }

    fn plain_name(&self) -> Result<Option<OsString>, Error> {
        self.node()?;
        let port = Some(self.port).filter(|port| *port != DEFAULT_PORT);
        // Before 9.1 the brackets of an IPv6 address become part of it.
        let Some(host) = uri::authority(&self.host, port, false) else { return Ok(None) };
        let Some(path) = self.path.to_str().filter(|path| path.starts_with('/')) else { return Ok(None) };
        let user = self.user.as_deref().unwrap_or_default();
        if user.contains([':', '/']) {
            return Ok(None);
        }
        let at = if user.is_empty() { "" } else { "@" };
        let check = match &self.host_key_check {
            None => String::new(),
            Some(HostKeyCheck::None) => "?host_key_check=no".to_owned(),
            Some(HostKeyCheck::KnownHosts) => "?host_key_check=yes".to_owned(),
            Some(HostKeyCheck::Hash { hash_type, hash }) => format!("?host_key_check={}:{hash}", hash_type.as_str()),
        };
        Ok(Some(format!("ssh://{}{at}{host}{}{check}", uri::encode(user), uri::encode(path)).into()))
    }

    fn read(node: &KeyVal) -> Option<Self> {
        let host_key_check = match node.get("host-key-check.mode") {
            None => None,
            Some(mode) => Some(match mode.to_str()? {
                "none" => HostKeyCheck::None,
                "known_hosts" => HostKeyCheck::KnownHosts,
                "hash" => HostKeyCheck::Hash {
                    hash_type: hash_type(node.get("host-key-check.type")?.to_str()?)?,
                    hash: builder::value(node, "host-key-check.hash")?,
                },
                _ => return None,
            }),
        };
        Some(Self {
            host: builder::value(node, "server.host")?,
            port: builder::value(node, "server.port")?,
            path: node.get("path")?.to_owned(),
            user: builder::value(node, "user"),
            host_key_check,
        })
    }
}
