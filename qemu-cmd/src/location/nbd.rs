//! Exports of NBD servers.

use std::ffi::OsString;
use std::path::PathBuf;

use super::builder::{self, Builder, parts};
use super::{Driver, uri};
use crate::{Error, KeyVal};

const DEFAULT_PORT: u16 = 10809;

/// Where an NBD server listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum NbdServer {
    /// On a TCP port of a host. QAPI type `InetSocketAddress`.
    Tcp {
        /// A host name or an address; an IPv6 address without brackets.
        host: String,
        /// The port, from 1. The usual one is 10809.
        port: u16,
    },
    /// On a Unix socket of this machine. QAPI type `UnixSocketAddress`.
    Unix {
        /// The path of the socket, of at most 107 bytes.
        path: PathBuf,
    },
    /// At the other end of a socket that the process has inherited, connected. QAPI type `FdSocketAddress`.
    Descriptor {
        /// The number of the descriptor.
        fd: u32,
    },
}

/// An export of an NBD server.
///
/// As a name it is `nbd://host:port/export` or `nbd+unix:///export?socket=path`, percent-encoded; as a node it has
/// the keys `driver`, `server.type`, `server.host`, `server.port` (or `server.path`, or `server.str`), `export`, `tls-creds`,
/// `tls-hostname`. With TLS, with an export whose name starts with `/`, with a socket whose path holds `%` or `&`
/// (which versions since 9.1 misread), and with one that is inherited, there is only the node.
///
/// Refused are an empty host, path or export, port 0, a path of more than 107 bytes, an export of more than 4096,
/// and a name for TLS without TLS. Source: QAPI type `BlockdevOptionsNbd`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct Nbd {
    server: NbdServer,
    export: Option<String>,
    tls_creds: Option<String>,
    tls_hostname: Option<String>,
}

impl Nbd {
    /// The default export of a server.
    pub const fn new(server: NbdServer) -> Self {
        Self { server, export: None, tls_creds: None, tls_hostname: None }
    }

    /// The default export of the server at this host and port.
    #[doc(alias = "server.host")]
    #[doc(alias = "server.port")]
    pub fn tcp(host: impl Into<String>, port: u16) -> Self {
        Self::new(NbdServer::Tcp { host: host.into(), port })
    }

    /// The default export of the server at this socket.
    #[doc(alias = "server.path")]
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Self::new(NbdServer::Unix { path: path.into() })
    }

    parts! {
        /// The name of the export, of at most 4096 bytes. Default: the server's default export, whose name is empty.
        text export: String;
        /// The id of the `tls-creds-x509` or `tls-creds-psk` object to connect with; to a Unix socket since 7.0. Default:
        /// no TLS.
        #[doc(alias = "tls-creds")]
        text tls_creds: String;
        /// The name that the server's certificate must bear (since 7.0). Default: the host. Needs
        /// [`tls_creds`](Self::tls_creds).
        #[doc(alias = "tls-hostname")]
        text tls_hostname: String;
    }

    /// The server.
    #[must_use]
    pub const fn server(&self) -> &NbdServer {
        &self.server
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        // The order of qemu: a URI is whatever holds `://`.
        if name.contains("://") { Self::from_uri(name) } else { Self::from_old_name(name) }
    }

    fn from_uri(name: &str) -> Option<Self> {
        let uri = uri::Uri::parse(name)?;
        let nbd = match (uri.scheme.as_str(), uri.port) {
            ("nbd" | "nbd+tcp", port) if uri.query.is_empty() && uri.user.is_none() => {
                Self::tcp(uri.host.clone(), port.unwrap_or(DEFAULT_PORT))
            }
            ("nbd+unix", None) if uri.host.is_empty() && uri.user.is_none() && uri.query.len() == 1 => {
                Self::unix(uri.parameter("socket")??)
            }
            _ => return None,
        };
        Some(nbd.maybe_export(uri.path.strip_prefix('/').unwrap_or_default()))
    }

    /// `nbd:host:port:exportname=name` and `nbd:unix:path:exportname=name`, in which nothing is encoded.
    fn from_old_name(name: &str) -> Option<Self> {
        let rest = name.strip_prefix("nbd:")?;
        let (server, export) = rest.split_once(":exportname=").unwrap_or((rest, ""));
        let nbd = match server.strip_prefix("unix:") {
            Some(path) => Self::unix(path),
            None => {
                let (host, port) = server.rsplit_once(':')?;
                let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
                let host = match address {
                    Some(address) if uri::is_v6(address) => address,
                    None if uri::is_name(host) => host,
                    _ => return None,
                };
                Self::tcp(host, uri::number(port)?)
            }
        };
        Some(nbd.maybe_export(export))
    }

    fn maybe_export(self, export: &str) -> Self {
        if export.is_empty() { self } else { self.export(export) }
    }
}

impl Driver for Nbd {
    fn node(&self) -> Result<KeyVal, Error> {
        // What fits into the address of a Unix socket, with the NUL that ends it.
        const PATH_MAX: usize = 107;
        const EXPORT_MAX: usize = 4096;
        let node = Builder::new("nbd");
        let node = match &self.server {
            NbdServer::Tcp { host, port } => {
                node.text("server.type", "inet")?.text("server.host", host)?.port("server.port", *port)?
            }
            NbdServer::Unix { path } if path.as_os_str().as_encoded_bytes().len() > PATH_MAX => {
                return Err(node.refusal("server.path", path.display(), "a socket's path has at most 107 bytes"));
            }
            NbdServer::Unix { path } => node.text("server.type", "unix")?.text("server.path", path)?,
            NbdServer::Descriptor { fd } => node.text("server.type", "fd")?.text("server.str", fd.to_string())?,
        };
        if let Some(export) = self.export.as_ref().filter(|export| export.len() > EXPORT_MAX) {
            return Err(node.refusal("export", export, "an export's name has at most 4096 bytes"));
        }
        let node = node.optional("export", self.export.as_ref())?;
        let node = node.object("tls-creds", self.tls_creds.as_deref())?;
        if let (None, Some(name)) = (&self.tls_creds, &self.tls_hostname) {
            return Err(node.refusal("tls-hostname", name, "without `tls-creds` it is ignored"));
        }
        Ok(node.optional("tls-hostname", self.tls_hostname.as_ref())?.done())
    }

    fn plain_name(&self) -> Result<Option<OsString>, Error> {
        self.node()?;
        let export = self.export.as_deref().unwrap_or_default();
        // A leading slash is taken away from a name, by some versions all of them.
        if self.tls_creds.is_some() || self.tls_hostname.is_some() || export.starts_with('/') {
            return Ok(None);
        }
        let export = uri::encode(export);
        Ok(match &self.server {
            NbdServer::Tcp { host, port } => {
                let port = Some(*port).filter(|port| *port != DEFAULT_PORT);
                let separator = if export.is_empty() { "" } else { "/" };
                uri::authority(host, port, true).map(|host| format!("nbd://{host}{separator}{export}").into())
            }
            NbdServer::Unix { path } => path
                .to_str()
                .and_then(uri::encode_value)
                .map(|socket| format!("nbd+unix:///{export}?socket={socket}").into()),
            NbdServer::Descriptor { .. } => None,
        })
    }

    fn read(node: &KeyVal) -> Option<Self> {
        let server = match node.get("server.type")?.to_str()? {
            "inet" => NbdServer::Tcp {
                host: builder::value(node, "server.host")?,
                port: builder::value(node, "server.port")?,
            },
            "unix" => NbdServer::Unix { path: node.get("server.path")?.into() },
            "fd" => NbdServer::Descriptor { fd: builder::value(node, "server.str")? },
            _ => return None,
        };
        Some(Self {
            server,
            export: builder::value(node, "export"),
            tls_creds: builder::value(node, "tls-creds"),
            tls_hostname: builder::value(node, "tls-hostname"),
        })
    }
}
