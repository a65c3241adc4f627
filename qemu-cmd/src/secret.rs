//! Passphrases, and the ids under which qemu-img knows them.

use std::fmt;
use std::sync::Arc;

use zeroize::{Zeroize, Zeroizing};

use crate::Error;

/// A passphrase: UTF-8 without NUL, wiped from memory when the last clone is dropped.
///
/// qemu-img refuses every other byte string as a passphrase, so it is checked here, when it is built.
/// The empty passphrase is one, and a trailing newline belongs to the passphrase.
///
/// There is no `Display`, no `PartialEq` and no serialization; `Debug` shows nothing of the value, not
/// even its length. Clones share one allocation.
#[derive(Clone)]
pub struct Secret(Arc<Zeroizing<Vec<u8>>>);

impl Secret {
    /// Takes a passphrase. Give it an owned `String` or `Vec<u8>` to leave no second copy in memory.
    ///
    /// # Errors
    /// [`Error::PassphraseNotUtf8`] and [`Error::PassphraseNul`]; the rejected bytes are wiped.
    pub fn new(passphrase: impl Into<Vec<u8>>) -> Result<Self, Error> {
        let mut bytes = passphrase.into();
        let refused = match std::str::from_utf8(&bytes) {
            Err(_) => Some(Error::PassphraseNotUtf8),
            Ok(text) if text.contains('\0') => Some(Error::PassphraseNul),
            Ok(_) => None,
        };
        if let Some(error) = refused {
            bytes.zeroize();
            return Err(error);
        }
        Ok(Self(Arc::new(Zeroizing::new(bytes))))
    }

    /// Key material of any bytes, for the one use where qemu takes it: a master key that other secrets are
    /// encrypted under (`keyid=`).
    #[must_use]
    pub fn key_material(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Zeroizing::new(bytes)))
    }

    /// Whether both are the same secret, in a time that depends on their lengths only.
    pub(crate) fn same(&self, other: &Self) -> bool {
        let (a, b) = (self.expose(), other.expose());
        a.len() == b.len() && a.iter().zip(b).fold(0, |different, (a, b)| different | (a ^ b)) == 0
    }

    /// The passphrase itself, for whoever delivers it to the process.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The key of an encrypted image: a passphrase, or a file that holds one and that qemu-img reads itself.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Key {
    /// A passphrase, which is delivered to qemu-img.
    Secret(Secret),
    /// A file of the machine that qemu-img runs on. A newline at its end belongs to the passphrase, unless it is
    /// base64.
    File {
        /// The file.
        path: std::path::PathBuf,
        /// Whether its content is base64.
        base64: bool,
    },
}

impl From<Secret> for Key {
    fn from(secret: Secret) -> Self {
        Self::Secret(secret)
    }
}

impl PartialEq for Key {
    /// Passphrases are compared in a time that depends on their lengths only.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Secret(secret), Self::Secret(other)) => secret.same(other),
            (Self::File { path, base64 }, Self::File { path: other, base64: also }) => path == other && base64 == also,
            _ => false,
        }
    }
}

/// The id of a `secret` object on the command line: a letter, then letters, digits, `-`, `.` or `_`.
///
/// The typed commands use `sec0` for the source's key and `sec1` for the target's, as OpenStack Nova does.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SecretId(String);

impl SecretId {
    /// Checks an id.
    ///
    /// # Errors
    /// [`Error::SecretId`] if qemu-img would not take it.
    pub fn new(id: impl Into<String>) -> Result<Self, Error> {
        let id = id.into();
        let mut chars = id.chars();
        let well_formed = chars.next().is_some_and(|first| first.is_ascii_alphabetic())
            && chars.all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'));
        if well_formed { Ok(Self(id)) } else { Err(Error::SecretId { id }) }
    }

    pub(crate) fn source() -> Self {
        Self("sec0".to_owned())
    }

    /// The key of the image below the one whose key this is.
    pub(crate) fn backing(&self) -> Self {
        Self(format!("{self}.backing"))
    }

    /// The key of one of several sources.
    pub(crate) fn source_number(index: usize) -> Self {
        if index == 0 { Self::source() } else { Self(format!("sec0-{index}")) }
    }

    pub(crate) fn target() -> Self {
        Self("sec1".to_owned())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SecretId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_passphrase_is_utf8_without_nul() {
        assert_eq!(Secret::new(vec![0xff]).unwrap_err(), Error::PassphraseNotUtf8);
        assert_eq!(Secret::new("a\0b").unwrap_err(), Error::PassphraseNul);
        assert_eq!(Secret::new("pä\n").unwrap().expose(), "pä\n".as_bytes());
        assert_eq!(Secret::new("").unwrap().expose(), b"");
    }

    #[test]
    fn another_passphrase_is_not_the_same() {
        let same = |one: &str, other: &str| Secret::new(one).unwrap().same(&Secret::new(other).unwrap());
        assert!(same("hunter2", "hunter2") && same("", ""));
        assert!(!same("hunter2", "hunter3") && !same("hunter2", "hunter") && !same("", "a") && !same("ab", "ba"));
    }

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", Secret::new("hunter2").unwrap()), "Secret(…)");
    }

    #[test]
    fn ids_are_what_qemu_takes() {
        for good in ["sec0", "a", "A-b.c_9"] {
            assert_eq!(SecretId::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "0a", "a b", "a,b", "-a", "ä"] {
            assert!(SecretId::new(bad).is_err(), "{bad}");
        }
    }
}
