//! Files that were inspected.

use std::fs::File;
use std::io;

use super::report::Report;
use super::{Code, Finding, Inspection, Policy, Verdict, inspect};

/// An open image that a [`Policy`] accepted. Only inspection makes one.
///
/// It holds the file that was inspected, not its name: by the time that the name is opened again, another file can
/// stand there.
#[derive(Debug)]
pub struct Inspected {
    file: File,
    inspection: Inspection,
}

/// Why there is no [`Inspected`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InspectError {
    /// The file could not be read.
    #[error("the image could not be read")]
    Io(#[from] io::Error),
    /// The policy refuses the image.
    #[error("the image is refused: {}", reasons(.0.findings()))]
    Refused(Box<Inspection>),
}

fn reasons(findings: &[Finding]) -> String {
    findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl Inspected {
    /// Inspects an open file.
    ///
    /// Open it so that a FIFO cannot block you and a symbolic link is not followed if it comes from a stranger
    /// (`O_NONBLOCK`, `O_NOFOLLOW`), and keep others from writing to it: inspection cannot see what is changed later.
    ///
    /// # Errors
    /// If it cannot be read, or the policy refuses it.
    pub fn new(file: File, policy: &Policy) -> Result<Self, InspectError> {
        let inspection = inspect_file(&file, policy)?;
        match inspection.verdict() {
            Verdict::Accept => Ok(Self { file, inspection }),
            Verdict::Refuse => Err(InspectError::Refused(Box::new(inspection))),
        }
    }

    /// The file that was inspected.
    #[must_use]
    pub const fn file(&self) -> &File {
        &self.file
    }

    /// What was found.
    pub const fn inspection(&self) -> &Inspection {
        &self.inspection
    }
}

/// Inspects an open file. What is not a regular file is not read, unless the policy grants
/// [`Code::NotARegularFile`]; a block device can be inspected then.
///
/// # Errors
/// If it cannot be read.
pub fn inspect_file(file: &File, policy: &Policy) -> io::Result<Inspection> {
    if !file.metadata()?.is_file() && !policy.grants(Code::NotARegularFile) {
        let mut report = Report::new(policy);
        report.find(Code::NotARegularFile, 0, "it is not a regular file");
        return Ok(Inspection::of(report, false));
    }
    inspect(file, policy)
}
