//! Files in GlusterFS volumes.

use std::ffi::OsString;
use std::path::PathBuf;

use super::builder::{self, Builder, parts};
use super::{Driver, uri};
use crate::{Error, KeyVal};

const DEFAULT_PORT: u16 = 24007;

/// Where a GlusterFS server listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum GlusterServer {
    /// On a TCP port of a host. QAPI type `InetSocketAddress`.
    Tcp {
        /// A host name or an address.
        host: String,
        /// The port, from 1. The usual one is 24007.
        port: u16,
    },
    /// On a Unix socket of this machine. QAPI type `UnixSocketAddress`.
    Unix {
        /// The path of the socket.
        path: PathBuf,
    },
}

/// A file in a GlusterFS volume. Deprecated since 9.2; builds of 11 leave it out.
///
/// As a name it is `gluster://host:port/volume/path`, percent-encoded; as a node it has the keys `driver`, `volume`,
/// `path`, `server.N.type`, `server.N.host`, `server.N.port` (or `server.N.path`), `debug`, `logfile`. With several
/// servers, a Unix socket (whose name 10.0 cannot read), an IPv6 address, `debug` or `logfile` there is only the node,
/// and with a volume that has a slash or a path that starts with one.
///
/// Refused are empty parts and port 0. Source: QAPI type `BlockdevOptionsGluster`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct Gluster {
    volume: String,
    path: OsString,
    server: GlusterServer,
    more_servers: Vec<GlusterServer>,
    debug: Option<u8>,
    logfile: Option<PathBuf>,
}

impl Gluster {
    /// The file `path` of a volume.
    pub fn new(server: GlusterServer, volume: impl Into<String>, path: impl Into<OsString>) -> Self {
        let (volume, path) = (volume.into(), path.into());
        Self { volume, path, server, more_servers: Vec::new(), debug: None, logfile: None }
    }

    /// The file `path` of a volume, on the server at this host and port 24007.
    pub fn tcp(host: impl Into<String>, volume: impl Into<String>, path: impl Into<OsString>) -> Self {
        Self::new(GlusterServer::Tcp { host: host.into(), port: DEFAULT_PORT }, volume, path)
    }

    /// Adds a server to ask if those before do not answer.
    pub fn server(mut self, server: GlusterServer) -> Self {
        self.more_servers.push(server);
        self
    }

    parts! {
        /// How much the library logs, from 0 to 9. Default: 4.
        copy debug: u8;
        /// The file that the library logs to. Default: standard error.
        text logfile: PathBuf;
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        let uri = uri::Uri::parse(name).filter(|uri| uri.query.is_empty() && uri.user.is_none())?;
        let (volume, path) = uri.path.strip_prefix('/')?.split_once('/')?;
        let server = GlusterServer::Tcp { host: uri.host, port: uri.port.unwrap_or(DEFAULT_PORT) };
        Some(Self::new(server, volume, path))
    }
}

impl Driver for Gluster {
    fn node(&self) -> Result<KeyVal, Error> {
        const DEBUG_MAX: u8 = 9;
        let mut node = Builder::new("gluster").text("volume", &self.volume)?.text("path", &self.path)?;
        for (index, server) in std::iter::once(&self.server).chain(&self.more_servers).enumerate() {
            let key = |name: &str| format!("server.{index}.{name}");
            node = match server {
                GlusterServer::Tcp { host, port } => {
                    node.text(&key("type"), "inet")?.text(&key("host"), host)?.port(&key("port"), *port)?
                }
                GlusterServer::Unix { path } => node.text(&key("type"), "unix")?.text(&key("path"), path)?,
            };
        }
        if let Some(debug) = self.debug.filter(|debug| *debug > DEBUG_MAX) {
            return Err(node.refusal("debug", debug, "it is a number from 0 to 9"));
        }
        Ok(node.number("debug", self.debug).optional("logfile", self.logfile.as_ref())?.done())
    }

    fn plain_name(&self) -> Result<Option<OsString>, Error> {
        self.node()?;
        let GlusterServer::Tcp { host, port } = &self.server else { return Ok(None) };
        let Some(path) = self.path.to_str().filter(|path| !path.starts_with('/')) else { return Ok(None) };
        let node_only = !self.more_servers.is_empty() || self.debug.is_some() || self.logfile.is_some();
        if node_only || self.volume.contains('/') {
            return Ok(None);
        }
        let host = uri::authority(host, Some(*port).filter(|port| *port != DEFAULT_PORT), false);
        let (volume, path) = (uri::encode(&self.volume), uri::encode(path));
        Ok(host.map(|host| format!("gluster://{host}/{volume}/{path}").into()))
    }

    fn read(node: &KeyVal) -> Option<Self> {
        let server = |node: &KeyVal, key: &str| {
            let key = |name: &str| format!("{key}.{name}");
            match node.get(&key("type"))?.to_str()? {
                "inet" => {
                    let (host, port) = (builder::value(node, &key("host"))?, builder::value(node, &key("port"))?);
                    Some(GlusterServer::Tcp { host, port })
                }
                "unix" => Some(GlusterServer::Unix { path: node.get(&key("path"))?.into() }),
                _ => None,
            }
        };
        let mut servers = builder::list(node, "server", server).into_iter();
        Some(Self {
            volume: builder::value(node, "volume")?,
            path: node.get("path")?.to_owned(),
            server: servers.next()?,
            more_servers: servers.collect(),
            debug: builder::value(node, "debug"),
            logfile: node.get("logfile").map(PathBuf::from),
        })
    }
}
