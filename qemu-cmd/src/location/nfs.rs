//! Files on NFS servers.

use std::ffi::OsString;

use super::builder::{self, Builder, parts};
use super::{Driver, uri};
use crate::{ByteSize, Error, KeyVal};

/// A file on an NFS server, reached without a mount.
///
/// As a name it is `nfs://host/export/file?uid=…`, percent-encoded; as a node it has the keys `driver`, `server.type`,
/// `server.host`, `path`, `user`, `group`, `tcp-syn-count`, `readahead-size`, `page-cache-size`, `debug`. With a path
/// that is not absolute, or an IPv6 address, there is only the node.
///
/// Refused are an empty host, and a path without a slash or that ends with one: what stands before the last slash
/// is mounted, and what follows is the file. Source: QAPI type `BlockdevOptionsNfs`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct Nfs {
    host: String,
    path: OsString,
    user: Option<u32>,
    group: Option<u32>,
    tcp_syn_count: Option<u32>,
    readahead_size: Option<ByteSize>,
    page_cache_size: Option<u32>,
    debug: Option<u8>,
}

impl Nfs {
    /// The file `path` of the server, such as `/export/images/a.raw`.
    #[doc(alias = "server.host")]
    pub fn new(host: impl Into<String>, path: impl Into<OsString>) -> Self {
        Self {
            host: host.into(),
            path: path.into(),
            user: None,
            group: None,
            tcp_syn_count: None,
            readahead_size: None,
            page_cache_size: None,
            debug: None,
        }
    }

    parts! {
        /// The number of the user to be. Default: the one that runs qemu-img.
        #[doc(alias = "uid")]
        copy user: u32;
        /// The number of the group to be. Default: that of the user.
        #[doc(alias = "gid")]
        copy group: u32;
        /// How often to try to connect. Default: what the system does.
        #[doc(alias = "tcp-syn-count")]
        #[doc(alias = "tcp-syncnt")]
        copy tcp_syn_count: u32;
        /// How much to read ahead; qemu takes no more than 1 MiB. Default: nothing. Excludes the cache modes `none` and
        /// `directsync`.
        #[doc(alias = "readahead-size")]
        #[doc(alias = "readahead")]
        copy readahead_size: ByteSize;
        /// How much to cache, in pages of the server's protocol. Default: nothing. Excludes the cache modes `none` and
        /// `directsync`.
        #[doc(alias = "page-cache-size")]
        #[doc(alias = "pagecache")]
        copy page_cache_size: u32;
        /// How much to report on standard error; qemu takes no more than 2. Default: 0.
        copy debug: u8;
    }

    /// The numbers that are given, by the name of the parameter.
    fn parameters(&self) -> [(&'static str, Option<u64>); 6] {
        [
            ("uid", self.user.map(u64::from)),
            ("gid", self.group.map(u64::from)),
            ("tcp-syncnt", self.tcp_syn_count.map(u64::from)),
            ("readahead", self.readahead_size.map(ByteSize::as_u64)),
            ("pagecache", self.page_cache_size.map(u64::from)),
            ("debug", self.debug.map(u64::from)),
        ]
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        let uri = uri::Uri::parse(name).filter(|uri| uri.port.is_none() && uri.user.is_none())?;
        let mut nfs = Self::new(uri.host.clone(), uri.path.clone());
        if !uri.has_only(&nfs.parameters().map(|(name, _)| name)) {
            return None;
        }
        nfs.user = number(&uri, "uid")?;
        nfs.group = number(&uri, "gid")?;
        nfs.tcp_syn_count = number(&uri, "tcp-syncnt")?;
        nfs.readahead_size = number(&uri, "readahead")?.map(ByteSize::bytes);
        nfs.page_cache_size = number(&uri, "pagecache")?;
        nfs.debug = number(&uri, "debug")?;
        Some(nfs)
    }
}

/// The number of a parameter: decimal digits only, as qemu would read others by their prefix.
fn number<T: std::str::FromStr + ToString>(uri: &uri::Uri, name: &str) -> Option<Option<T>> {
    match uri.parameter(name)? {
        None => Some(None),
        Some(text) => text.parse().ok().filter(|number: &T| number.to_string() == text).map(Some),
    }
}

impl Driver for Nfs {
    fn node(&self) -> Result<KeyVal, Error> {
        let node = Builder::new("nfs").text("server.type", "inet")?.text("server.host", &self.host)?;
        let path = self.path.to_string_lossy();
        if !path.is_empty() && (!path.contains('/') || path.ends_with('/')) {
            return Err(node.refusal("path", path, "it is the path of an export, a slash and the name of a file"));
        }
        Ok(node
            .text("path", &self.path)?
            .number("user", self.user)
            .number("group", self.group)
            .number("tcp-syn-count", self.tcp_syn_count)
            .size("readahead-size", self.readahead_size)?
            .number("page-cache-size", self.page_cache_size)
            .number("debug", self.debug)
            .done())
    }

    fn plain_name(&self) -> Result<Option<OsString>, Error> {
        self.node()?;
        let Some(host) = uri::authority(&self.host, None, false) else { return Ok(None) };
        let Some(path) = self.path.to_str().filter(|path| path.starts_with('/')) else { return Ok(None) };
        let mut name = format!("nfs://{host}{}", uri::encode(path));
        let given = self.parameters().into_iter().filter_map(|(name, number)| Some((name, number?)));
        for (index, (parameter, number)) in given.enumerate() {
            name.push_str(&format!("{}{parameter}={number}", if index == 0 { '?' } else { '&' }));
        }
        Ok(Some(name.into()))
    }

    fn read(node: &KeyVal) -> Option<Self> {
        Some(Self {
            host: builder::value(node, "server.host")?,
            path: node.get("path")?.to_owned(),
            user: builder::value(node, "user"),
            group: builder::value(node, "group"),
            tcp_syn_count: builder::value(node, "tcp-syn-count"),
            readahead_size: builder::bytes(node, "readahead-size"),
            page_cache_size: builder::value(node, "page-cache-size"),
            debug: builder::value(node, "debug"),
        })
    }
}
