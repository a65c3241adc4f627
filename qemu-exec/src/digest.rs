//! A digest of what a guest sees of an image.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

use crate::nbd::Sink;

/// The SHA-256 of the content of an image, as its guest sees it: what `sha256sum` says of the same image in raw format.
///
/// It is displayed, and read, as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContentDigest([u8; 32]);

impl ContentDigest {
    /// Of these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for ContentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ContentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentDigest({self})")
    }
}

/// The text is not 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseDigestError(());

impl fmt::Display for ParseDigestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a SHA-256 has 64 hexadecimal digits")
    }
}

impl std::error::Error for ParseDigestError {}

impl FromStr for ContentDigest {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Self, ParseDigestError> {
        let error = ParseDigestError(());
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return Err(error) };
        let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?));
        let bytes: Vec<u8> = bytes.collect::<Option<_>>().ok_or(error)?;
        bytes.try_into().map(Self).map_err(|_| error)
    }
}

/// What the digest is made of.
#[derive(Default)]
pub(crate) struct Hasher(Sha256);

impl Hasher {
    pub(crate) fn finish(self) -> ContentDigest {
        ContentDigest(self.0.finalize().into())
    }
}

impl Sink for Hasher {
    fn data(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// They are not read from anywhere, but count like every other byte.
    fn zeros(&mut self, count: u64) {
        const ZEROS: &[u8] = &[0; 64 << 10];
        let mut left = count;
        while left > 0 {
            let some = ZEROS.get(..usize::try_from(left).unwrap_or(usize::MAX)).unwrap_or(ZEROS);
            self.0.update(some);
            left = left.saturating_sub(some.len() as u64);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_it_is_shown() {
        let mut hasher = Hasher::default();
        hasher.data(b"abc");
        let digest = hasher.finish();
        // From FIPS 180.
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!((digest.to_string().as_str(), text.parse()), (text, Ok(digest)));
        assert_eq!(text.to_uppercase().parse(), Ok(digest));
        for wrong in [
            "",
            "ba",
            &text[..63],
            &text[..62],
            &format!("{text}00"),
            &text.replace('b', "g"),
            &text.replace("ba", "é"),
        ] {
            assert!(wrong.parse::<ContentDigest>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn zeros_are_zeros() {
        for count in [0, 1, 65_535, 65_536, 200_000] {
            let (mut one, mut other) = (Hasher::default(), Hasher::default());
            one.zeros(count as u64);
            other.data(&vec![0; count]);
            assert_eq!(one.finish(), other.finish(), "{count}");
        }
    }
}
