//! URIs as every supported version of qemu reads them, and no others.
//!
//! Up to 9.0 qemu had a reader of its own, since 9.1 it uses glib's. They differ in brackets, fragments, characters
//! that should have been encoded, bytes that are not UTF-8, and in how often parameters are decoded: a name with any
//! of those is not understood here.

use std::fmt::Write as _;

/// A URI, decoded.
pub(super) struct Uri {
    pub(super) scheme: String,
    pub(super) user: Option<String>,
    pub(super) host: String,
    pub(super) port: Option<u16>,
    /// With its leading slash, if there is one.
    pub(super) path: String,
    pub(super) query: Vec<(String, String)>,
}

impl Uri {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let (rest, query) = match rest.split_once('?') {
            Some((rest, query)) => (rest, query.split('&').map(parameter).collect::<Option<Vec<_>>>()?),
            None => (rest, Vec::new()),
        };
        let slash = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(slash)?;
        let (user, address) = match authority.split_once('@') {
            Some((user, address)) => (Some(decode(user)?), address),
            None => (None, authority),
        };
        let (host, port) = address_of(address)?;
        Some(Self { scheme: scheme.to_owned(), user, host, port, path: decode(path)?, query })
    }

    /// The value of a parameter that stands there once; `None` in it if it is absent.
    pub(super) fn parameter(&self, name: &str) -> Option<Option<&str>> {
        let mut values = self.query.iter().filter(|(other, _)| other == name).map(|(_, value)| value.as_str());
        match (values.next(), values.next()) {
            (value, None) => Some(value),
            _ => None,
        }
    }

    pub(super) fn has_only(&self, names: &[&str]) -> bool {
        self.query.iter().all(|(name, _)| names.contains(&name.as_str()))
    }
}

fn parameter(text: &str) -> Option<(String, String)> {
    let (name, value) = text.split_once('=')?;
    Some((decode(name)?, decode(value)?))
}

fn address_of(address: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match address.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            (host, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
        }
        None => match address.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (address, None),
        },
    };
    let is_sound = if address.starts_with('[') { is_v6(host) } else { host.is_empty() || is_name(host) };
    if !is_sound {
        return None;
    }
    let port = match port {
        Some(port) => Some(number(port)?),
        None => None,
    };
    Some((host.to_owned(), port))
}

/// A port as it is written by everybody: digits, no sign, no leading zero.
pub(super) fn number(text: &str) -> Option<u16> {
    text.parse().ok().filter(|port: &u16| *port > 0 && port.to_string() == text)
}

/// A host name or an IPv4 address.
pub(super) fn is_name(host: &str) -> bool {
    !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
}

/// An IPv6 address without a zone.
pub(super) fn is_v6(host: &str) -> bool {
    host.contains(':') && host.parse::<std::net::Ipv6Addr>().is_ok()
}

/// `host` or `host:port`, if a host of that name can stand in a URI. IPv6 addresses need brackets, which not every
/// driver takes.
pub(super) fn authority(host: &str, port: Option<u16>, takes_v6: bool) -> Option<String> {
    let host = match host {
        name if is_name(name) => name.to_owned(),
        address if takes_v6 && is_v6(address) => format!("[{address}]"),
        _ => return None,
    };
    Some(port.map_or_else(|| host.clone(), |port| format!("{host}:{port}")))
}

fn is_bare(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// The value of a parameter. Since 9.1 it is decoded twice, and the list of parameters is split in between: what would
/// not survive that cannot stand there.
pub(super) fn encode_value(text: &str) -> Option<String> {
    (!text.contains(['%', '&'])).then(|| encode(text))
}

/// A path, with everything encoded that could mean something.
pub(super) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if is_bare(byte) || matches!(byte, b'/' | b':') {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String does not fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

fn decode(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        decoded.push(match byte {
            b'%' => u8::try_from(digit(bytes.next())? * 16 + digit(bytes.next())?).ok()?,
            byte if is_bare(byte) || b"/:,=+!$'()*@".contains(&byte) => byte,
            _ => return None,
        });
    }
    String::from_utf8(decoded).ok().filter(|text| !text.contains('\0'))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
        for text in ["", "a b", "%41", "é", "a?b#c&d=e", "\\\"", "a/b:c", "+;@,[]"] {
            assert_eq!(decode(&encode(text)).as_deref(), Some(text));
        }
        assert_eq!(encode("a b/é@"), "a%20b/%C3%A9%40");
        assert_eq!(encode_value("a=b c").as_deref(), Some("a%3Db%20c"));
        assert_eq!((encode_value("a%b"), encode_value("a&b")), (None, None));
        for text in ["%", "%4", "%zz", "%ff", "%00", "a b", "é", "a;b", "a#b"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }

    #[test]
    fn addresses() {
        let parse = |text: &str| Uri::parse(&format!("x://{text}/p")).map(|uri| (uri.host, uri.port));
        assert_eq!(parse("h"), Some(("h".to_owned(), None)));
        assert_eq!(parse("h:1"), Some(("h".to_owned(), Some(1))));
        assert_eq!(parse("u@[::1]:65535"), Some(("::1".to_owned(), Some(65535))));
        for text in ["h:0", "h:65536", "h:01", "h:+1", "h:", "::1", "[::1", "[h]:x", "a b", "é", "[fe80::1%25eth0]"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
