//! Logical units of iSCSI targets.

use std::ffi::OsString;
use std::time::Duration;

use super::builder::{self, Builder, parts};
use super::{Driver, uri};
use crate::{Error, KeyVal, SecretId};

/// How iSCSI is transported. QAPI type `IscsiTransport`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum IscsiTransport {
    /// Over TCP.
    #[default]
    Tcp,
    /// Over RDMA.
    Iser,
}

/// How headers are protected against errors. QAPI type `IscsiHeaderDigest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IscsiHeaderDigest {
    /// By a checksum.
    Crc32c,
    /// Not at all.
    None,
    /// By a checksum if the target can, otherwise not.
    Crc32cNone,
    /// Not, unless the target insists on a checksum.
    NoneCrc32c,
}

impl IscsiHeaderDigest {
    const ALL: [Self; 4] = [Self::Crc32c, Self::None, Self::Crc32cNone, Self::NoneCrc32c];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Crc32c => "crc32c",
            Self::None => "none",
            Self::Crc32cNone => "crc32c-none",
            Self::NoneCrc32c => "none-crc32c",
        }
    }
}

/// A logical unit of an iSCSI target.
///
/// As a name it is `iscsi://portal/target/lun`, or `iser://…`; as a node it has the keys `driver`, `transport`,
/// `portal`, `target`, `lun`, `user`, `password-secret`, `initiator-name`, `header-digest`, `timeout`. With any of the
/// last five, or a target that is not made of letters, digits, `.`, `-`, `:` and `_`, there is only the node.
///
/// Refused are empty parts, port 0, a portal or a target of more than 255 bytes, and a timeout that is no whole
/// number of seconds. Source: QAPI type `BlockdevOptionsIscsi`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct Iscsi {
    transport: IscsiTransport,
    host: String,
    port: Option<u16>,
    target: String,
    lun: u16,
    chap: Option<(String, SecretId)>,
    initiator_name: Option<String>,
    header_digest: Option<IscsiHeaderDigest>,
    timeout: Option<Duration>,
}

impl Iscsi {
    /// Unit 0 of a target, over TCP. The host is a name or an address, an IPv6 address without brackets; the target is
    /// its qualified name.
    #[doc(alias = "portal")]
    pub fn new(host: impl Into<String>, target: impl Into<String>) -> Self {
        Self {
            transport: IscsiTransport::Tcp,
            host: host.into(),
            port: None,
            target: target.into(),
            lun: 0,
            chap: None,
            initiator_name: None,
            header_digest: None,
            timeout: None,
        }
    }

    /// The logical unit. Default: 0.
    pub const fn lun(mut self, lun: u16) -> Self {
        self.lun = lun;
        self
    }

    /// How to transport. Default: TCP.
    pub const fn transport(mut self, transport: IscsiTransport) -> Self {
        self.transport = transport;
        self
    }

    /// Authenticates by CHAP, as this user and with the password in the `secret` object of this id. Default: not.
    #[doc(alias = "user")]
    #[doc(alias = "password-secret")]
    pub fn chap(mut self, user: impl Into<String>, password_secret: SecretId) -> Self {
        self.chap = Some((user.into(), password_secret));
        self
    }

    parts! {
        /// The port of the portal. Default: 3260.
        copy port: u16;
        /// The qualified name of this side. Default: one made of this machine's UUID or name.
        #[doc(alias = "initiator-name")]
        text initiator_name: String;
        /// How headers are protected. Default: `none-crc32c`.
        #[doc(alias = "header-digest")]
        copy header_digest: IscsiHeaderDigest;
        /// How long to wait for an answer; whole seconds. Default: for ever.
        copy timeout: Duration;
    }

    fn portal(&self) -> String {
        let host = if uri::is_v6(&self.host) { format!("[{}]", self.host) } else { self.host.clone() };
        self.port.map_or_else(|| host.clone(), |port| format!("{host}:{port}"))
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        let uri = uri::Uri::parse(name).filter(|uri| uri.query.is_empty() && uri.user.is_none())?;
        let (target, lun) = uri.path.strip_prefix('/')?.split_once('/')?;
        let mut iscsi = Self::new(uri.host, target).lun(lun_of(lun)?);
        iscsi.port = uri.port;
        Some(if uri.scheme == "iser" { iscsi.transport(IscsiTransport::Iser) } else { iscsi })
    }
}

/// A unit without leading zeros, which would be read as octal somewhere.
fn lun_of(text: &str) -> Option<u16> {
    text.parse().ok().filter(|lun: &u16| lun.to_string() == text)
}

fn is_plain_target(target: &str) -> bool {
    target.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':' | b'_'))
}

impl Driver for Iscsi {
    fn node(&self) -> Result<KeyVal, Error> {
        const MAX: usize = 255;
        let transport = match self.transport {
            IscsiTransport::Tcp => "tcp",
            IscsiTransport::Iser => "iser",
        };
        let node = Builder::new("iscsi").text("transport", transport)?;
        // Only to see that the host is one.
        Builder::new("iscsi").text("portal", &self.host)?;
        if self.port == Some(0) {
            return Err(node.refusal("portal", self.portal(), "a port is a number from 1 to 65535"));
        }
        if self.host.contains('[') || self.host.contains(':') && !uri::is_v6(&self.host) {
            let reason = "the host is a name or an address, and the port is given by itself";
            return Err(node.refusal("portal", &self.host, reason));
        }
        for (part, given) in [("portal", &self.portal()), ("target", &self.target)] {
            if given.len() > MAX {
                return Err(node.refusal(part, given, "libiscsi cuts it off after 255 bytes"));
            }
        }
        let node = node.text("portal", self.portal())?.text("target", &self.target)?.number("lun", Some(self.lun));
        let node = match &self.chap {
            Some((user, password)) => node.text("user", user)?.secret("password-secret", Some(password)),
            None => node,
        };
        let node = node.optional("initiator-name", self.initiator_name.as_ref())?;
        let node = node.optional("header-digest", self.header_digest.map(IscsiHeaderDigest::as_str))?;
        if let Some(timeout) = self.timeout
            && (timeout.subsec_nanos() > 0 || u32::try_from(timeout.as_secs()).is_err())
        {
            let given = format!("{timeout:?}");
            return Err(node.refusal("timeout", given, "it is a whole number of seconds up to 4294967295"));
        }
        Ok(node.number("timeout", self.timeout.map(|timeout| timeout.as_secs())).done())
    }

    fn plain_name(&self) -> Result<Option<OsString>, Error> {
        self.node()?;
        let node_only = self.chap.is_some()
            || self.initiator_name.is_some()
            || self.header_digest.is_some()
            || self.timeout.is_some()
            || !is_plain_target(&self.target);
        let scheme = match self.transport {
            IscsiTransport::Tcp => "iscsi",
            IscsiTransport::Iser => "iser",
        };
        let portal = uri::authority(&self.host, self.port, true).filter(|_| !node_only);
        Ok(portal.map(|portal| format!("{scheme}://{portal}/{}/{}", self.target, self.lun).into()))
    }

    fn read(node: &KeyVal) -> Option<Self> {
        let transport = match node.get("transport")?.to_str()? {
            "tcp" => IscsiTransport::Tcp,
            "iser" => IscsiTransport::Iser,
            _ => return None,
        };
        let portal: String = builder::value(node, "portal")?;
        let (host, port) = match portal.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, port)) => (host, port.strip_prefix(':')),
            None => portal.split_once(':').map_or((portal.as_str(), None), |(host, port)| (host, Some(port))),
        };
        let digest: Option<String> = builder::value(node, "header-digest");
        let chap = builder::value::<String>(node, "user").zip(builder::secret(node, "password-secret"));
        Some(Self {
            transport,
            host: host.to_owned(),
            port: match port {
                Some(port) => Some(uri::number(port)?),
                None => None,
            },
            target: builder::value(node, "target")?,
            lun: builder::value(node, "lun")?,
            chap,
            initiator_name: builder::value(node, "initiator-name"),
            header_digest: IscsiHeaderDigest::ALL.into_iter().find(|kind| Some(kind.as_str()) == digest.as_deref()),
            timeout: builder::value(node, "timeout").map(Duration::from_secs),
        })
    }
}
