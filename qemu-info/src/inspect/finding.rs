//! What inspection can hold against an image.

use std::fmt;
use std::str::FromStr;

/// What is wrong with an image, by a name that does not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Code {
    /// `backing-file`: it names a backing file, which would be opened and read.
    BackingFile,
    /// `data-file`: its data lies in another file, which would be opened and read.
    DataFile,
    /// `external-extent`: a VMDK descriptor names an extent in another file or device.
    ExternalExtent,
    /// `unusual-vmdk`: a VMDK of a create type that is neither `monolithicSparse` nor `streamOptimized`.
    UnusualVmdk,
    /// `several-formats`: it is valid as more than one format, so that two programs can see two images.
    SeveralFormats,
    /// `format-mismatch`: it is of another format than was claimed.
    FormatMismatch,
    /// `unknown-features`: it says that whoever does not know some feature must not open it.
    UnknownFeatures,
    /// `unsupported`: it is of a version or kind that qemu cannot open.
    Unsupported,
    /// `nested-format`: an encrypted volume's payload is not ciphertext but an image of its own.
    NestedFormat,
    /// `table-too-large`: a table whose size would make qemu use much memory, CPU time or output.
    TableTooLarge,
    /// `costly-key`: to open it takes minutes of CPU time, whatever the passphrase.
    CostlyKey,
    /// `virtual-size-too-large`: more virtual than the policy allows.
    VirtualSizeTooLarge,
    /// `not-a-regular-file`: a FIFO, a device, a directory or a socket.
    NotARegularFile,
    /// `truncated`: it ends before something that its header says it has.
    Truncated,
    /// `malformed`: a field has a value that is not allowed, or two fields contradict each other.
    Malformed,
    /// `corrupt`: it says of itself that it is corrupt.
    Corrupt,
    /// `unreadable`: what decides lies where it could not be read, such as behind what passed by in a stream.
    Unreadable,
}

impl Code {
    /// Every code.
    pub const ALL: [Self; 17] = [
        Self::BackingFile,
        Self::DataFile,
        Self::ExternalExtent,
        Self::UnusualVmdk,
        Self::SeveralFormats,
        Self::FormatMismatch,
        Self::UnknownFeatures,
        Self::Unsupported,
        Self::NestedFormat,
        Self::TableTooLarge,
        Self::CostlyKey,
        Self::VirtualSizeTooLarge,
        Self::NotARegularFile,
        Self::Truncated,
        Self::Malformed,
        Self::Corrupt,
        Self::Unreadable,
    ];

    /// The name that does not change.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BackingFile => "backing-file",
            Self::DataFile => "data-file",
            Self::ExternalExtent => "external-extent",
            Self::UnusualVmdk => "unusual-vmdk",
            Self::SeveralFormats => "several-formats",
            Self::FormatMismatch => "format-mismatch",
            Self::UnknownFeatures => "unknown-features",
            Self::Unsupported => "unsupported",
            Self::NestedFormat => "nested-format",
            Self::TableTooLarge => "table-too-large",
            Self::CostlyKey => "costly-key",
            Self::VirtualSizeTooLarge => "virtual-size-too-large",
            Self::NotARegularFile => "not-a-regular-file",
            Self::Truncated => "truncated",
            Self::Malformed => "malformed",
            Self::Corrupt => "corrupt",
            Self::Unreadable => "unreadable",
        }
    }
}

/// A name that is none of [`Code`]'s.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the code of a finding")]
pub struct UnknownCode(String);

impl FromStr for Code {
    type Err = UnknownCode;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|code| code.as_str() == name).ok_or_else(|| UnknownCode(name.into()))
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl serde::Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Something about an image for which a policy refuses it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// What it is.
    pub code: Code,
    /// One sentence, for people. Names from the image are in backticks, with control characters escaped.
    pub message: String,
    /// Where in the image the field stands that says so, in bytes from its start.
    pub offset: u64,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}: {}", self.code, self.offset, self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::{Code, Finding};

    #[test]
    fn every_code_is_read_and_written() {
        for code in Code::ALL {
            assert_eq!(code.to_string().parse(), Ok(code));
        }
        assert_eq!(Code::BackingFile.as_str(), "backing-file");
    }

    #[test]
    fn a_finding_says_what_and_where() {
        let finding = Finding { code: Code::Corrupt, message: "it is marked as corrupt".into(), offset: 72 };
        assert_eq!(finding.to_string(), "corrupt at 72: it is marked as corrupt");
    }
}
