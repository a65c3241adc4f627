//! What became of a command.

use std::os::unix::process::ExitStatusExt as _;
use std::process::Output;

/// What became of a command.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Its exit status says that it did what it was to do, or what it found.
    Succeeded,
    /// It failed at what it found.
    Failed,
    /// The qemu-img under test was built without what it needs, or a package that has it is not installed.
    NotBuilt,
    /// The version has not what it needs, and it was refused.
    Unsupported,
    /// It took too long, or wrote too much, and was ended.
    Ended,
    /// It was called in a wrong way, or died.
    Wrong(String),
}

/// What qemu-img says of drivers and algorithms that it was built without.
const NOT_BUILT: &[&str] = &[
    "Unknown protocol",
    "Unknown driver",
    "initialize module",
    "open module",
    "not supported in this build",
    "Algorithm '",
    "Cipher '",
    "is not supported",
    // Some releases list it, and then know nothing of it.
    "Parameter 'detached-header' is unexpected",
];

/// What qemu-img says of arguments that it does not understand.
const NOT_UNDERSTOOD: &[&str] = &[
    "unrecognized option",
    "invalid option",
    "requires an argument",
    "Try 'qemu-img",
    "Unknown option",
    "Invalid option",
    "Invalid parameter",
    "invalid parameter",
    "Invalid value",
    "Expecting",
    "expects",
    "is unexpected",
    "is missing",
    "is invalid",
    "does not support the option",
    "doesn't support the option",
    "cannot be used",
    "can not be used",
    "may only be",
    "mutually exclusive",
    "must be used",
    "must be given",
    "must be specified",
    "must specify",
    "must not be",
    "only be used",
    "at least one",
    "conflict",
    "Need all of",
    "No valid URL",
    "host_key_check setting",
    "Failed to parse",
    "Invalid U",
    "invalid U",
    "No such property",
    "Property",
    "Assertion",
];

/// What sounds like that, and depends on the image: on its size, or on whether it names a backing file of its own, whose
/// name qemu then gives to the place that is to be there instead, unless that has a file name too.
const ABOUT_THE_IMAGE: [&str; 2] =
    ["Preallocation can only be used for growing images", "cannot be used with a file name"];

impl Verdict {
    pub(crate) fn of(output: &Output) -> Self {
        let said = String::from_utf8_lossy(&output.stderr);
        let says = |texts: &[&'static str]| texts.iter().copied().find(|text| said.contains(text));
        if says(NOT_BUILT).is_some() {
            return Self::NotBuilt;
        }
        let said = ABOUT_THE_IMAGE.iter().fold(said.into_owned(), |said, text| said.replace(text, ""));
        let says = |texts: &[&'static str]| texts.iter().copied().find(|text| said.contains(text));
        if let Some(complaint) = says(NOT_UNDERSTOOD) {
            return Self::Wrong(format!("`{complaint}`"));
        }
        match (output.status.code(), output.status.signal()) {
            (Some(0), _) => Self::Succeeded,
            (Some(124 | 137), _) => Self::Ended,
            (Some(_), _) => Self::Failed,
            (None, signal) => Self::Wrong(format!("died of signal {signal:?}")),
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::NotBuilt => "not built",
            Self::Unsupported => "unsupported",
            Self::Ended => "ended",
            Self::Wrong(_) => "wrong",
        }
    }
}
