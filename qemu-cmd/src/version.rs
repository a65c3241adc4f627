//! Versions of qemu-img, and which of them have what.

use std::fmt;
use std::str::FromStr;

use crate::Invocation;

/// A version of qemu.
///
/// [`FromStr`] reads a number (`7.2`, `7.2.22`) or the first line of `qemu-img --version`, as Debian, Fedora,
/// RHEL, Homebrew and the builds for Windows print it.
///
/// ```
/// use qemu_cmd::QemuVersion;
/// let version: QemuVersion = "qemu-img version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)".parse()?;
/// assert_eq!(version, QemuVersion::new(7, 2, 22));
/// assert!(version < QemuVersion::new(10, 0, 0));
/// # Ok::<(), qemu_cmd::ParseVersionError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QemuVersion {
    /// The first number.
    pub major: u16,
    /// The second number.
    pub minor: u16,
    /// The third number: from 50 it is a state of development, and from 90 a release candidate, of what follows.
    pub micro: u16,
}

/// A text that names no version of qemu.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a version of qemu: give a number such as 7.2, or what `qemu-img --version` prints", text.escape_debug())]
pub struct ParseVersionError {
    text: String,
}

impl QemuVersion {
    /// The version `major.minor.micro`.
    #[must_use]
    pub const fn new(major: u16, minor: u16, micro: u16) -> Self {
        Self { major, minor, micro }
    }

    /// The oldest version that is supported.
    pub const OLDEST: Self = Self::new(5, 2, 0);

    /// What asks qemu-img for its version: `qemu-img --version`.
    pub fn invocation() -> Invocation {
        Invocation::from_args(vec!["--version".into()])
    }

    /// Whether it has what came with the release `since`. A state of development, such as 9.1.91, is counted as
    /// the release that it becomes.
    #[must_use]
    pub fn has(self, since: Self) -> bool {
        self >= since || (self.micro >= 50 && self.next_release() >= since)
    }

    /// qemu has had three releases for each major number since 4.0.
    const fn next_release(self) -> Self {
        if self.minor >= 2 {
            Self::new(self.major.saturating_add(1), 0, 0)
        } else {
            Self::new(self.major, self.minor + 1, 0)
        }
    }
}

impl fmt::Display for QemuVersion {
    /// `10.0` for a release, `10.0.2` for one that has been mended.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)?;
        if self.micro > 0 { write!(f, ".{}", self.micro) } else { Ok(()) }
    }
}

impl FromStr for QemuVersion {
    type Err = ParseVersionError;

    fn from_str(text: &str) -> Result<Self, ParseVersionError> {
        let line = text.lines().next().unwrap_or_default().trim();
        let number = line.split_once("version ").map_or(line, |(_, number)| number);
        let end = number.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(number.len());
        let (number, rest) = number.split_at(end);
        let parse = || {
            // `7.2+dfsg`, `8.2.0-rc1`, `9.2.4 (qemu-…)`; anything else is a word that begins with a digit.
            let followed_well = rest.is_empty() || rest.starts_with([' ', '-', '+', '(', ',', '\t']);
            let mut parts = number.split('.').map(|part| part.parse().ok());
            let (major, minor) = (parts.next()??, parts.next()??);
            let micro = parts.next().map_or(Some(0), |part| part)?;
            (followed_well && parts.next().is_none()).then_some(Self { major, minor, micro })
        };
        parse().ok_or_else(|| ParseVersionError { text: line.to_owned() })
    }
}

/// In which versions something exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Availability {
    /// The first version that has it anywhere; 5.2, the oldest supported one, if that has it.
    pub since: QemuVersion,
    /// The first version that has it outside Debian, where that is another one: Debian's 10.0 has long names of
    /// its own.
    pub elsewhere: Option<QemuVersion>,
    /// The first version that has it no more.
    pub removed: Option<QemuVersion>,
}

impl Availability {
    /// In every supported version.
    pub const ALWAYS: Self = Self::since(QemuVersion::OLDEST);
    /// In Debian's 10.0 and, elsewhere, since 10.1, which gave every option a long name.
    pub(crate) const LONG_NAMES: Self =
        Self { since: QemuVersion::new(10, 0, 0), elsewhere: Some(QemuVersion::new(10, 1, 0)), removed: None };
    /// Since 10.1, where Debian's 10.0 had another long name or none.
    pub(crate) const UPSTREAM: Self = Self::since(QemuVersion::new(10, 1, 0));
    /// Only in Debian's 10.0.
    pub(crate) const DEBIAN: Self =
        Self { since: QemuVersion::new(10, 0, 0), elsewhere: None, removed: Some(QemuVersion::new(10, 1, 0)) };

    pub(crate) const fn since(version: QemuVersion) -> Self {
        Self { since: version, elsewhere: None, removed: None }
    }

    /// Whether some build of that version has it.
    #[must_use]
    pub fn in_version(self, version: QemuVersion) -> bool {
        version.has(self.since) && self.removed.is_none_or(|removed| !version.has(removed))
    }

    /// Where both exist: an option and a spelling of it.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let since = self.since.max(other.since);
        let removed = match (self.removed, other.removed) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        let elsewhere = self.elsewhere.unwrap_or(self.since).max(other.elsewhere.unwrap_or(other.since));
        let elsewhere = Some(elsewhere).filter(|elsewhere| *elsewhere != since && removed.is_none());
        Self { since, elsewhere, removed }
    }

    /// Whether every supported version has it.
    #[must_use]
    pub fn is_always(self) -> bool {
        self == Self::ALWAYS
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_builds_print() {
        for (line, version) in [
            ("qemu-img version 5.2.0 (Debian 1:5.2+dfsg-11+deb11u3)", (5, 2, 0)),
            ("qemu-img version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)\nCopyright (c) 2003-2022", (7, 2, 22)),
            ("qemu-img version 10.0.2 (Debian 1:10.0.2+ds-2+deb13u1~bpo12+1)", (10, 0, 2)),
            ("qemu-img version 6.2.0 (Debian 1:6.2+dfsg-2ubuntu6.22)", (6, 2, 0)),
            ("qemu-img version 9.2.4 (qemu-9.2.4-2.fc42)", (9, 2, 4)),
            ("qemu-img version 6.2.0 (qemu-kvm-6.2.0-11.el8)", (6, 2, 0)),
            ("qemu-img version 8.2.2 (openSUSE Leap 15.6)", (8, 2, 2)),
            ("qemu-img version 9.1.0", (9, 1, 0)),
            ("qemu-img version 9.2.0 (v9.2.0-12062-g3f1b0dc)\r\nCopyright", (9, 2, 0)),
            ("qemu-img version 9.1.91 (v9.2.0-rc1)", (9, 1, 91)),
            ("qemu-img version 8.2.0-rc1", (8, 2, 0)),
            ("qemu-img version 2.5.0 (Debian 1:2.5+dfsg-5ubuntu10.51), Copyright (c) 2004-2008", (2, 5, 0)),
            ("qemu-img version 11.1.3 (Debian 1:11.1.3+ds-1)", (11, 1, 3)),
            ("10.0", (10, 0, 0)),
            ("7.2.22", (7, 2, 22)),
        ] {
            let (major, minor, micro) = version;
            assert_eq!(line.parse(), Ok(QemuVersion::new(major, minor, micro)), "{line}");
        }
        for bad in ["", "qemu-img", "10", "qemu-img version", "a.b", "7.2.1.4", "7..2", "7.2x", "99999.0", "version 7."]
        {
            assert!(bad.parse::<QemuVersion>().is_err(), "{bad}");
        }
    }

    #[test]
    fn versions_are_ordered_by_number() {
        let parse = |text: &str| text.parse::<QemuVersion>().unwrap();
        assert!(parse("9.2.4") < parse("10.0"));
        assert!(parse("10.0.2") < parse("10.0.13"));
        assert_eq!(parse("10.0").to_string(), "10.0");
        assert_eq!(parse("10.0.13").to_string(), "10.0.13");
    }

    #[test]
    fn a_candidate_has_what_the_release_will_have() {
        let candidate = QemuVersion::new(9, 2, 91);
        assert!(candidate.has(QemuVersion::new(10, 0, 0)));
        assert!(!candidate.has(QemuVersion::new(10, 1, 0)));
        assert!(!QemuVersion::new(9, 2, 4).has(QemuVersion::new(10, 0, 0)));
        assert!(QemuVersion::new(10, 0, 50).has(QemuVersion::new(10, 1, 0)));
        assert!(!QemuVersion::new(u16::MAX, 2, 50).has(QemuVersion::new(u16::MAX, 3, 0)));
    }

    #[test]
    fn what_only_one_build_has_is_gone_after_it() {
        assert!(Availability::DEBIAN.in_version(QemuVersion::new(10, 0, 2)));
        assert!(!Availability::DEBIAN.in_version(QemuVersion::new(10, 1, 0)));
        assert!(!Availability::DEBIAN.in_version(QemuVersion::new(7, 2, 0)));
        assert!(Availability::LONG_NAMES.in_version(QemuVersion::new(10, 0, 0)));
        assert!(Availability::ALWAYS.in_version(QemuVersion::new(5, 2, 0)));
    }
}
