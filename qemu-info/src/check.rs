//! What `qemu-img check` found.

use serde::{Deserialize, Serialize};

use crate::error::{Error, from_json};

/// The exit status of `qemu-img check` for a format that it cannot check.
const UNSUPPORTED: i32 = 63;

/// What became of a `qemu-img check`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Check {
    /// The image was looked at: exit status 0, 2 or 3, or 1 if not all of it could be checked.
    Checked(CheckReport),

    /// `qemu-img` has no check for this format (raw, luks, qcow, vpc; parallels up to 5.2): exit status 63.
    Unsupported,
}

/// What [`CheckReport`] amounts to. The worst comes first: an image with leaks and corruptions is corrupt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CheckVerdict {
    /// Not everything could be checked: nothing is known of the rest. Exit status 1.
    Incomplete,
    /// Data is lost or will be. Exit status 2.
    Corrupt,
    /// Space is lost, no data. Exit status 3.
    Leaking,
    /// Nothing was found. Exit status 0.
    Clean,
}

impl CheckVerdict {
    /// The exit status of `qemu-img check` with such a report.
    #[must_use]
    pub const fn exit_status(self) -> i32 {
        match self {
            Self::Incomplete => 1,
            Self::Corrupt => 2,
            Self::Leaking => 3,
            Self::Clean => 0,
        }
    }
}

/// An image as `qemu-img check --output=json` found it (QAPI `ImageCheck`).
///
/// Of a repair (`check -r`), the counters of errors say what is left. A counter that `qemu-img` left out is 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct CheckReport {
    /// The image, word for word as the command line named it. May be lossy: see
    /// [`name_is_lossy`](crate::name_is_lossy).
    pub filename: String,

    /// The block driver that checked it.
    pub format: String,

    /// How often the check itself failed, as on a read error.
    pub check_errors: u64,

    /// Where the image ends in its file, in bytes. 0 also if the driver does not say.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub image_end_offset: u64,

    /// The corruptions that are there.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub corruptions: u64,

    /// The leaked clusters that are there.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub leaks: u64,

    /// The corruptions that were repaired.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub corruptions_fixed: u64,

    /// The leaked clusters that were freed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub leaks_fixed: u64,

    /// The clusters that the virtual size makes. 0 also if the driver does not count.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub total_clusters: u64,

    /// The clusters that are allocated. 0 also if the driver does not count.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub allocated_clusters: u64,

    /// The allocated clusters that do not follow the one before. 0 also if the driver does not count.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub fragmented_clusters: u64,

    /// The compressed clusters. 0 also if the driver does not count.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub compressed_clusters: u64,
}

/// The counters that `qemu-img` leaves out are left out again.
#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Check {
    /// Reads how `qemu-img check --output=json` ended and what it printed on standard output.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`] if `qemu-img` could not open the image or was given wrong arguments;
    /// [`Error::Empty`] after `check -q`, which prints no JSON; [`Error::ExitStatus`] if status and report
    /// contradict each other; or any [`Error`] of reading JSON.
    pub fn from_output(exit: i32, stdout: &[u8]) -> Result<Self, Error> {
        match exit {
            0 | 2 | 3 => {}
            // With a report, 1 means that the check met errors, without one that there was no check.
            1 if !stdout.trim_ascii().is_empty() => {}
            UNSUPPORTED if stdout.trim_ascii().is_empty() => return Ok(Self::Unsupported),
            UNSUPPORTED => return Err(Error::ExitStatus { exit }),
            _ => return Err(Error::Failed { exit }),
        }
        let report = CheckReport::from_json(stdout)?;
        if report.verdict().exit_status() == exit { Ok(Self::Checked(report)) } else { Err(Error::ExitStatus { exit }) }
    }

    /// The report, if the format can be checked.
    #[must_use]
    pub const fn report(&self) -> Option<&CheckReport> {
        match self {
            Self::Checked(report) => Some(report),
            Self::Unsupported => None,
        }
    }
}

impl CheckReport {
    /// Reads the output of `qemu-img check --output=json`. [`Check::from_output`] looks at the exit status too.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of reading JSON.
    pub fn from_json(json: &[u8]) -> Result<Self, Error> {
        from_json(json)
    }

    /// What the counters amount to.
    #[must_use]
    pub const fn verdict(&self) -> CheckVerdict {
        match self {
            Self { check_errors: 1.., .. } => CheckVerdict::Incomplete,
            Self { corruptions: 1.., .. } => CheckVerdict::Corrupt,
            Self { leaks: 1.., .. } => CheckVerdict::Leaking,
            _ => CheckVerdict::Clean,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn report(counters: &str) -> String {
        format!(r#"{{"filename":"a","format":"qcow2"{counters}}}"#)
    }

    #[test]
    fn the_worst_counts() {
        for (counters, verdict) in [
            (r#","check-errors":0"#, CheckVerdict::Clean),
            (r#","check-errors":0,"leaks":1,"allocated-clusters":7"#, CheckVerdict::Leaking),
            (r#","check-errors":0,"leaks":1,"corruptions":18446744073709551615"#, CheckVerdict::Corrupt),
            (r#","check-errors":1,"leaks":1,"corruptions":1"#, CheckVerdict::Incomplete),
            (r#","check-errors":0,"leaks-fixed":1,"corruptions-fixed":1"#, CheckVerdict::Clean),
        ] {
            for exit in [0, 1, 2, 3] {
                let check = Check::from_output(exit, report(counters).as_bytes());
                if exit == verdict.exit_status() {
                    assert_eq!(check.unwrap().report().unwrap().verdict(), verdict);
                } else {
                    assert!(matches!(check, Err(Error::ExitStatus { exit: e }) if e == exit), "{counters}: {check:?}");
                }
            }
        }
    }

    #[test]
    fn counters_are_exact() {
        let check = CheckReport::from_json(report(r#","check-errors":0,"leaks":18446744073709551615"#).as_bytes());
        assert_eq!(check.unwrap().leaks, u64::MAX);
        let check = CheckReport::from_json(report(r#","check-errors":-1"#).as_bytes());
        assert!(matches!(check, Err(Error::Unexpected { .. })), "{check:?}");
        let check = CheckReport::from_json(report("").as_bytes());
        assert!(matches!(check, Err(Error::Unexpected { .. })), "{check:?}");
    }

    #[test]
    fn no_report() {
        assert_eq!(Check::from_output(63, b"").unwrap(), Check::Unsupported);
        for (exit, stdout) in [(1, ""), (134, ""), (-1, "{}")] {
            assert!(matches!(Check::from_output(exit, stdout.as_bytes()), Err(Error::Failed { exit: e }) if e == exit));
        }
        for exit in [0, 2, 3] {
            assert!(matches!(Check::from_output(exit, b"\n"), Err(Error::Empty)));
        }
        let clean = report(r#","check-errors":0"#);
        assert!(matches!(Check::from_output(63, clean.as_bytes()), Err(Error::ExitStatus { exit: 63 })));
        for end in 1..clean.len() {
            let cut = Check::from_output(0, &clean.as_bytes()[..end]);
            assert!(matches!(cut, Err(Error::Incomplete { .. })), "{end}: {cut:?}");
        }
    }

    #[test]
    fn an_array_is_not_a_report() {
        let array = CheckReport::from_json(br#"["a","qcow2",0]"#);
        assert!(matches!(array, Err(Error::Unexpected { .. })), "{array:?}");
    }
}
