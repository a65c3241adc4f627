//! What is acceptable.

use super::{Code, Finding, ImageFormat};

/// What an image may be and refer to. There is no default: whoever inspects decides.
///
/// [`Policy::untrusted`] refuses everything that has a [`Code`]; each thing that is fine after all is granted by
/// name.
///
/// ```
/// use qemu_info::inspect::{Code, ImageFormat, Policy};
/// let policy = Policy::untrusted().claimed(ImageFormat::Qcow2).grant(Code::BackingFile).max_virtual_size(1 << 40);
/// # let _ = policy;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Policy {
    granted: Vec<Code>,
    claimed: Option<ImageFormat>,
    formats: Option<Vec<ImageFormat>>,
    pub(super) max_virtual_size: u64,
    pub(super) hybrid_discs: bool,
}

impl Policy {
    /// For an image from a stranger: nothing is granted, and no more than 16 TiB of virtual size, which is what a
    /// file on ext4 can hold.
    pub const fn untrusted() -> Self {
        Self {
            granted: Vec::new(),
            claimed: None,
            formats: None,
            max_virtual_size: super::limits::VIRTUAL_SIZE,
            hybrid_discs: false,
        }
    }

    /// For an image of one's own, of which only the facts are wanted: everything is granted.
    pub fn facts_only() -> Self {
        Self { granted: Code::ALL.to_vec(), max_virtual_size: u64::MAX, hybrid_discs: true, ..Self::untrusted() }
    }

    /// Does not refuse an image for this.
    ///
    /// Where a format cannot be read any further for what is granted (a header that contradicts itself, more regions than
    /// are looked at), what would come after it is not looked at, and so not held against the image either.
    pub fn grant(mut self, code: Code) -> Self {
        self.granted.push(code);
        self
    }

    /// What the image is said to be: anything else is refused as [`Code::FormatMismatch`]. A disk with a partition
    /// table may be said to be raw.
    pub const fn claimed(mut self, format: ImageFormat) -> Self {
        self.claimed = Some(format);
        self
    }

    /// The only formats that are accepted; any other is refused as [`Code::FormatMismatch`]. Default: all.
    pub fn formats(mut self, formats: impl IntoIterator<Item = ImageFormat>) -> Self {
        self.formats = Some(formats.into_iter().collect());
        self
    }

    /// The largest virtual size that is accepted, in bytes. Default of [`untrusted`](Self::untrusted): 16 TiB.
    pub const fn max_virtual_size(mut self, bytes: u64) -> Self {
        self.max_virtual_size = bytes;
        self
    }

    /// Whether an optical disc may have a partition table too, as discs for USB sticks have. Default: no.
    pub const fn hybrid_discs(mut self, accepted: bool) -> Self {
        self.hybrid_discs = accepted;
        self
    }

    /// Whether an image is not refused for this.
    #[must_use]
    pub fn grants(&self, code: Code) -> bool {
        self.granted.contains(&code)
    }

    /// What is to be said about the format that was found.
    pub(super) fn about(&self, found: ImageFormat) -> Option<Finding> {
        let message = match (self.claimed, &self.formats) {
            (Some(claimed), _) if !claimed.admits(found) => format!("it is {found}, and was said to be {claimed}"),
            (_, Some(formats)) if !formats.iter().any(|format| format.admits(found)) => {
                format!("it is {found}, which is not among the accepted formats")
            }
            _ => return None,
        };
        (!self.grants(Code::FormatMismatch)).then_some(Finding { code: Code::FormatMismatch, message, offset: 0 })
    }
}

/// Whether a policy accepts an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// There is no finding.
    Accept,
    /// There is at least one.
    Refuse,
}

#[cfg(test)]
mod tests {
    use super::super::ImageFormat::{Gpt, Iso, Qcow2, Raw, Vmdk};
    use super::*;

    /// Whether each of these formats is refused.
    fn refused<const N: usize>(policy: &Policy, found: [ImageFormat; N]) -> [bool; N] {
        found.map(|format| policy.about(format).is_some_and(|finding| finding.code == Code::FormatMismatch))
    }

    #[test]
    fn another_format_than_the_claimed_one_is_refused() {
        let policy = Policy::untrusted();
        assert_eq!(refused(&policy, [Qcow2, Raw, Vmdk]), [false; 3]);
        assert_eq!(refused(&policy.clone().claimed(Qcow2), [Qcow2, Raw, Vmdk]), [false, true, true]);
        // A disk with a partition table is a raw one; a disc is not.
        assert_eq!(refused(&policy.clone().claimed(Raw), [Raw, Gpt, Iso, Qcow2]), [false, false, true, true]);
        assert_eq!(
            refused(&policy.clone().formats([Raw, Qcow2]), [Raw, Gpt, Qcow2, Vmdk]),
            [false, false, false, true]
        );
        let both = policy.claimed(Qcow2).formats([Raw]);
        assert_eq!(refused(&both, [Qcow2, Raw]), [true, true]);
        assert_eq!(refused(&both.grant(Code::FormatMismatch), [Qcow2, Raw]), [false, false]);
    }

    #[test]
    fn facts_only_refuses_nothing() {
        let policy = Policy::facts_only();
        assert!(Code::ALL.iter().all(|code| policy.grants(*code)));
        assert!(policy.hybrid_discs && policy.max_virtual_size == u64::MAX);
    }
}
