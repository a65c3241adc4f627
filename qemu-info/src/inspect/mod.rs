//! What an image is and what it refers to, from its bytes alone: no qemu-img is run and no other file is opened.
//!
//! [`inspect`] looks at a file, [`Inspector`] at a stream while it passes by. Both need a [`Policy`], which says
//! what is acceptable, and yield an [`Inspection`]: the [`ImageFormat`], the [`Facts`], and a [`Finding`] for each
//! thing for which the policy refuses the image. [`Inspected`] is an open file that was found acceptable: code that
//! must not see an unchecked image takes that, and not a path.
//!
//! ```
//! use qemu_info::inspect::{Code, ImageFormat, Policy, Verdict, inspect};
//!
//! // A qcow2 image of one gibibyte, with a backing file.
//! let mut image = vec![0; 65536 * 4];
//! image[..4].copy_from_slice(b"QFI\xfb");
//! image[7] = 2; // version
//! image[14..16].copy_from_slice(&[2, 0]); // backing file at 512
//! image[19] = 11; // … whose name is so long
//! image[23] = 16; // 64 KiB clusters
//! image[28] = 0x40; // 1 GiB
//! image[39] = 2; // L1 entries
//! image[45] = 3; // L1 table at 0x30000
//! image[53] = 1; // refcount table at 0x10000
//! image[59] = 1; // … of one cluster
//! image[512..523].copy_from_slice(b"/etc/shadow");
//!
//! let inspection = inspect(std::io::Cursor::new(&image), &Policy::untrusted())?;
//! assert_eq!(inspection.format(), ImageFormat::Qcow2);
//! assert_eq!(inspection.virtual_size(), Some(1 << 30));
//! assert_eq!(inspection.verdict(), Verdict::Refuse);
//! assert_eq!(inspection.findings()[0].code, Code::BackingFile);
//! assert_eq!(inspection.findings()[0].offset, 8);
//! # Ok::<(), std::io::Error>(())
//! ```

mod bochs;
#[cfg(test)]
mod builder;
mod bytes;
mod checksum;
mod cloop;
mod disc;
mod dmg;
mod facts;
mod finding;
mod format;
mod inspected;
mod limits;
mod luks;
mod nested;
mod parallels;
mod partitions;
mod policy;
mod probe;
#[cfg(test)]
mod properties;
mod qcow;
mod qcow2;
mod qed;
mod report;
mod seek;
mod stream;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod testing;
mod vdi;
mod vhdx;
mod vmdk;
mod vpc;

use std::io::{self, Read, Seek};

pub use facts::{Extent, Facts, Features, ImageEncryption, Name};
pub use finding::{Code, Finding, UnknownCode};
pub use format::{ImageFormat, UnknownFormat};
pub use inspected::{InspectError, Inspected, inspect_file};
pub use policy::{Policy, Verdict};
pub use stream::Inspector;

use bytes::{Bytes, Stop};
use report::Report;

/// What an image is, and what a [`Policy`] holds against it.
///
/// As JSON, an object with `format`, `virtual_size`, `verdict`, `findings` and what [`Facts`] holds.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[must_use]
pub struct Inspection {
    format: ImageFormat,
    virtual_size: Option<u64>,
    verdict: Verdict,
    findings: Vec<Finding>,
    #[serde(skip)]
    formats: Vec<ImageFormat>,
    #[serde(flatten)]
    facts: Facts,
}

impl Inspection {
    /// What it is: the format for which its first bytes speak, then the one of its last, then a disc or a disk with
    /// a partition table, and [`ImageFormat::Raw`] if nothing was recognised.
    #[must_use]
    pub const fn format(&self) -> ImageFormat {
        self.format
    }

    /// Every format as which it is valid; more than one is an attack or a hybrid disc. Empty for a raw image.
    #[must_use]
    pub fn formats(&self) -> &[ImageFormat] {
        &self.formats
    }

    /// The size of the disk in bytes, if the image says one that can be right.
    #[must_use]
    pub const fn virtual_size(&self) -> Option<u64> {
        self.virtual_size
    }

    /// Whether all that it has is in it: its data lies neither in a data file nor in the extents of a VMDK descriptor.
    /// A backing file does not count, since it can be cut off.
    #[must_use]
    pub fn is_self_contained(&self) -> bool {
        // A descriptor alone has no grains.
        self.facts.data_file.is_none() && (self.format != ImageFormat::Vmdk || self.facts.cluster_size.is_some())
    }

    /// What else it says.
    #[must_use]
    pub const fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Everything for which the policy refuses it, in the order in which it was found; of what is wrong with it as one
    /// format, the first 64.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Whether the policy accepts it: there is no finding.
    #[must_use]
    pub const fn verdict(&self) -> Verdict {
        self.verdict
    }

    fn of(mut report: Report<'_>, certain: bool) -> Self {
        let format = report.formats.first().copied().unwrap_or(ImageFormat::Raw);
        // A stream that has not ended may still turn out to be something else.
        if certain || !report.formats.is_empty() {
            report.findings.extend(report.policy().about(format));
        }
        Self {
            format,
            virtual_size: report.virtual_size,
            verdict: if report.findings.is_empty() { Verdict::Accept } else { Verdict::Refuse },
            findings: report.findings,
            formats: report.formats,
            facts: report.facts,
        }
    }

    /// Looks at what there is. The error is that the image could not be read.
    fn examine(bytes: &mut impl Bytes, policy: &Policy) -> (Self, Option<io::Error>) {
        let mut report = Report::new(policy);
        match probe::examine(bytes, &mut report) {
            Ok(()) | Err(Stop::Broken) => (Self::of(report, true), None),
            Err(Stop::Lost) => {
                report.find(Code::Unreadable, 0, "what its header points at is out of the reach of an inspection");
                (Self::of(report, true), None)
            }
            Err(Stop::Wait) => (Self::of(report, false), None),
            Err(Stop::Io(error)) => (Self::of(report, false), Some(error)),
        }
    }
}

/// Inspects an image that can be read anywhere. 64 KiB of it are read, and eight mebibytes at most.
///
/// For a file, [`inspect_file`] also looks at what kind of file it is.
///
/// # Errors
/// If it cannot be read.
pub fn inspect(image: impl Read + Seek, policy: &Policy) -> io::Result<Inspection> {
    match Inspection::examine(&mut seek::Seekable::new(image), policy) {
        (_, Some(error)) => Err(error),
        (inspection, None) => Ok(inspection),
    }
}
