//! Sizes in bytes.

use std::fmt;
use std::str::FromStr;

use crate::Error;

/// A size in bytes.
///
/// On a command line it is always written as a plain number of bytes, which every version of qemu-img
/// reads the same way. [`FromStr`] reads what people write: a whole number with an optional suffix
/// `b`, `k`, `M`, `G`, `T`, `P` or `E` (powers of 1024, either case), as qemu-img does.
///
/// ```
/// use qemu_cmd::ByteSize;
/// assert_eq!("10G".parse::<ByteSize>()?, ByteSize::gib(10));
/// assert_eq!(ByteSize::mib(1).to_string(), "1048576");
/// # Ok::<(), qemu_cmd::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(u64);

impl ByteSize {
    /// So many bytes.
    #[must_use]
    pub const fn bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// So many KiB (1024 bytes), or `u64::MAX` bytes if that is too many.
    #[must_use]
    pub const fn kib(kib: u64) -> Self {
        Self(kib.saturating_mul(1 << 10))
    }

    /// So many MiB (1024 KiB), or `u64::MAX` bytes if that is too many.
    #[must_use]
    pub const fn mib(mib: u64) -> Self {
        Self(mib.saturating_mul(1 << 20))
    }

    /// So many GiB (1024 MiB), or `u64::MAX` bytes if that is too many.
    #[must_use]
    pub const fn gib(gib: u64) -> Self {
        Self(gib.saturating_mul(1 << 30))
    }

    /// The number of bytes.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

impl From<u64> for ByteSize {
    fn from(bytes: u64) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ByteSize {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = || Error::Size { text: text.to_owned() };
        let (digits, shift) = match text.char_indices().next_back() {
            Some((at, suffix)) if !suffix.is_ascii_digit() => {
                let shift = match suffix.to_ascii_lowercase() {
                    'b' => 0,
                    'k' => 10,
                    'm' => 20,
                    'g' => 30,
                    't' => 40,
                    'p' => 50,
                    'e' => 60,
                    _ => return Err(bad()),
                };
                (text.get(..at).unwrap_or_default(), shift)
            }
            _ => (text, 0),
        };
        if !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(bad());
        }
        let number: u64 = digits.parse().map_err(|_| bad())?;
        number.checked_mul(1 << shift).map(Self).ok_or_else(bad)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, bytes) in [("0", 0), ("512", 512), ("1b", 1), ("1k", 1024), ("2K", 2048), ("1E", 1 << 60)] {
            assert_eq!(text.parse::<ByteSize>().unwrap().as_u64(), bytes, "{text}");
        }
        for bad in ["", "k", "-1", "+1", "1.5G", "1Q", "16E", "1 G", "1GiB", "١"] {
            assert!(bad.parse::<ByteSize>().is_err(), "{bad}");
        }
    }
}
