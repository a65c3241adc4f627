//! Files behind HTTP and FTP URLs.

use std::ffi::OsString;
use std::time::Duration;

use super::builder::{self, Builder, parts};
use super::{Driver, protocol, uri};
use crate::redact::redact;
use crate::{ByteSize, Error, KeyVal, SecretId};

const SCHEMES: [&str; 4] = ["http", "https", "ftp", "ftps"];

/// A file behind a URL with `http`, `https`, `ftp` or `ftps`. qemu only reads it, and an HTTP server must be able
/// to send parts of a file.
///
/// As a name it is the URL; with any of the options, it is a node with the keys `driver` (which is the scheme),
/// `url`, `readahead`, `sslverify`, `timeout`, `username`, `password-secret`, `proxy-username`,
/// `proxy-password-secret`, `cookie-secret`. The driver comes in a package of its own in many distributions, such
/// as `qemu-block-extra`.
///
/// Source: QAPI type `BlockdevOptionsCurlBase` and those that are based on it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct Url {
    url: String,
    readahead: Option<ByteSize>,
    sslverify: Option<bool>,
    timeout: Option<Duration>,
    username: Option<String>,
    password_secret: Option<SecretId>,
    proxy_username: Option<String>,
    proxy_password_secret: Option<SecretId>,
    cookie_secret: Option<SecretId>,
}

impl Url {
    /// The file behind `url`, which stays as it is: what needs percent-encoding must have it.
    ///
    /// # Errors
    /// [`Error::SecretInLocation`] if it has a password, which everybody could read in the process list: give
    /// [`username`](Self::username) and [`password_secret`](Self::password_secret). [`Error::LocationPart`] if it is
    /// no URL that qemu takes: with another scheme or one in capitals, without a host, with a port beyond 65535, or
    /// with spaces or control characters.
    pub fn new(url: impl Into<String>) -> Result<Self, Error> {
        let url = url.into();
        if let Some(refusal) = protocol::secret_in(&url) {
            return Err(refusal);
        }
        match reason_against(&url) {
            Some(reason) => {
                let given = redact(url.as_ref()).to_string_lossy().into_owned();
                Err(Error::LocationPart { driver: "curl", part: "url".to_owned(), given, reason })
            }
            None => Ok(Self {
                url,
                readahead: None,
                sslverify: None,
                timeout: None,
                username: None,
                password_secret: None,
                proxy_username: None,
                proxy_password_secret: None,
                cookie_secret: None,
            }),
        }
    }

    parts! {
        /// How much to read beyond what is asked for; a multiple of 512 bytes. Default: 256 KiB.
        copy readahead: ByteSize;
        /// Whether the server's certificate must be valid. Default: yes. `false` lets anybody on the way change what
        /// is read.
        copy sslverify: bool;
        /// How long to wait for the server; whole seconds, up to 10000. Default: 5 s.
        copy timeout: Duration;
        /// The user to authenticate as. Default: the one in the URL, or none.
        text username: String;
        /// The id of the `secret` object that holds the user's password. Default: none.
        #[doc(alias = "password-secret")]
        text password_secret: SecretId;
        /// The user to authenticate as to the proxy. Default: none.
        #[doc(alias = "proxy-username")]
        text proxy_username: String;
        /// The id of the `secret` object that holds the proxy user's password. Default: none.
        #[doc(alias = "proxy-password-secret")]
        text proxy_password_secret: SecretId;
        /// The id of the `secret` object that holds the cookies to send, as in the header of the name; for `http` and
        /// `https`. Default: none.
        #[doc(alias = "cookie-secret")]
        text cookie_secret: SecretId;
    }

    /// The URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    fn scheme(&self) -> &'static str {
        let is_ours = |scheme: &&&str| self.url.strip_prefix(**scheme).is_some_and(|rest| rest.starts_with(':'));
        SCHEMES.iter().find(is_ours).copied().unwrap_or_default()
    }
}

/// Why qemu, or the libcurl that it uses, does not take the URL.
fn reason_against(url: &str) -> Option<&'static str> {
    const NOT_IN_HOSTS: &str = "\\^`{}|<>\"'*=;,+&()!$[]";
    let Some((_, rest)) = url.split_once("://").filter(|(scheme, _)| SCHEMES.contains(scheme)) else {
        return Some("it must start with `http://`, `https://`, `ftp://` or `ftps://`");
    };
    if url.chars().any(|c| c == ' ' || c.is_ascii_control()) {
        return Some("spaces and control characters must be percent-encoded");
    }
    // libcurl takes slashes in excess for one URL or for another, depending on its version.
    if rest.starts_with('/') {
        return Some("it has no host");
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let address = authority.rsplit_once('@').map_or(authority, |(_, address)| address);
    let (host, port) = match address.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, port)) if uri::is_v6(host) => (host, port),
        _ => match address.find(':').and_then(|colon| address.split_at_checked(colon)) {
            Some((host, _)) if host.contains(|c| NOT_IN_HOSTS.contains(c)) => return Some("it has no valid host"),
            None if address.contains(|c| NOT_IN_HOSTS.contains(c)) => return Some("it has no valid host"),
            Some((host, port)) => (host, port),
            None => (address, ""),
        },
    };
    if host.is_empty() {
        return Some("it has no host");
    }
    let port_is_sound = port.is_empty() || port.strip_prefix(':').is_some_and(|port| uri::number(port).is_some());
    if port_is_sound { None } else { Some("a port is a number from 1 to 65535") }
}

impl Driver for Url {
    fn node(&self) -> Result<KeyVal, Error> {
        const TIMEOUT_MAX: u64 = 10_000;
        let node = Builder::new(self.scheme()).text("url", &self.url)?.sectors("readahead", self.readahead)?;
        let node = node.switch("sslverify", self.sslverify);
        if let Some(timeout) = self.timeout
            && (timeout.as_secs() > TIMEOUT_MAX || timeout.subsec_nanos() > 0)
        {
            let given = format!("{timeout:?}");
            return Err(node.refusal("timeout", given, "it is a whole number of seconds up to 10000"));
        }
        let node = node.number("timeout", self.timeout.map(|timeout| timeout.as_secs()));
        let node = node.optional("username", self.username.as_ref())?;
        let node = node.secret("password-secret", self.password_secret.as_ref());
        let node = node.optional("proxy-username", self.proxy_username.as_ref())?;
        let node = node.secret("proxy-password-secret", self.proxy_password_secret.as_ref());
        Ok(node.secret("cookie-secret", self.cookie_secret.as_ref()).done())
    }

    fn plain_name(&self) -> Result<Option<OsString>, Error> {
        // The driver and the URL itself.
        let only_url = self.node()?.iter().count() == 2;
        Ok(only_url.then(|| self.url.clone().into()))
    }

    fn read(node: &KeyVal) -> Option<Self> {
        let url = Self::new(builder::value::<String>(node, "url")?).ok()?;
        Some(Self {
            readahead: builder::bytes(node, "readahead"),
            sslverify: builder::switch(node, "sslverify"),
            timeout: builder::value(node, "timeout").map(Duration::from_secs),
            username: builder::value(node, "username"),
            password_secret: builder::secret(node, "password-secret"),
            proxy_username: builder::value(node, "proxy-username"),
            proxy_password_secret: builder::secret(node, "proxy-password-secret"),
            cookie_secret: builder::secret(node, "cookie-secret"),
            ..url
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for url in ["http://h", "https://h:8443/a?b=c:d@e#f", "ftp://me@h/a", "http://[::1]:80/é", "ftps://1.2.3.4/"] {
            assert!(Url::new(url).is_ok(), "{url}");
        }
        for url in [
            "h/a",
            "HTTP://h/",
            "file:///a",
            "http://",
            "http:///a",
            "http://h:0/",
            "http://h:65536/",
            "http://h:x/",
            "http://h/a b",
            "http://h/\n",
            "http://[::1/",
            "http://a,b/",
            "http://@/",
            "http://::1/",
            "http:/h/",
        ] {
            assert!(matches!(Url::new(url), Err(Error::LocationPart { .. })), "{url}");
        }
        for url in ["http://me:hunter2@h/", "https://:hunter2@h/", "ftp://me:@h/"] {
            assert!(matches!(Url::new(url), Err(Error::SecretInLocation { .. })), "{url}");
        }
    }
}
