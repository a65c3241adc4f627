//! What became of a command.

use qemu_exec::{End, Outcome};

/// What became of a command.
#[derive(Debug)]
pub enum Verdict {
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

/// The drivers and protocols that qemu-img can be built without, or that are in a package of their own.
const OPTIONAL: &[&str] =
    &["ftp", "ftps", "gluster", "http", "https", "iscsi", "iser", "nfs", "parallels", "rbd", "ssh"];

/// What qemu-img says of those that it was built without: all of it, with a name for `{}`.
const UNKNOWN: &[&str] =
    &["Unknown protocol '{}'", "Unknown driver '{}'", "Unknown file format '{}'", "Invalid format name: '{}'"];

/// What else it says of what it was built without.
const NOT_BUILT: &[&str] = &[
    "ailed to initialize module: ",
    "Failed to open module: ",
    MODULE,
    // zstd of a qcow2 image.
    "Invalid parameter 'zstd'",
    // Some releases list it, and then know nothing of it.
    "Parameter 'detached-header' is unexpected",
];

/// What Debian's qemu-img says without the package that has the module, and what it then goes on to say.
const MODULE: &str = "Unable to load module ";
const WITHOUT_MODULE: &[&str] =
    &["A block device must be specified for \"file\"", "Must specify either driver or file"];

/// What qemu-img says of a format without snapshots, bitmaps, backing files or preallocation, which a probed image may
/// be of.
const OF_THE_FORMAT: &[&str] = &[
    "temporarily loading internal snapshots",
    "lacks bitmap support",
    "doesn't support backing files",
    "Unsupported preallocation mode",
];

/// What qemu-img says of arguments that it does not understand, or that no image could make right.
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
    "Unknown driver",
    "Unknown protocol",
    "Unknown file format '",
    "Invalid format name",
    "does not support image creation\n",
    "does not support bitmaps",
    "requires cache.direct=on",
];

/// What sounds like that, and depends on the image: on its size, or on whether it names a backing file of its own, whose
/// name qemu then gives to the place that is to be there instead, unless that has a file name too. Gluster reads it as
/// its URI.
const ABOUT_THE_IMAGE: &[&str] =
    &["Preallocation can only be used for growing images", "cannot be used with a file name", "invalid URI ././middle"];

impl Verdict {
    /// Judges it; `probes` is whether the content of an image chose its format.
    #[must_use]
    pub fn of(outcome: &Outcome, probes: bool) -> Self {
        let said = String::from_utf8_lossy(&outcome.stderr);
        let without = |said: String, texts: &mut dyn Iterator<Item = String>| {
            texts.fold(said, |said, text| said.replace(&text, ""))
        };
        let unknown = UNKNOWN.iter().flat_map(|text| OPTIONAL.iter().map(|name| text.replace("{}", name)));
        let mut not_built = unknown.chain(NOT_BUILT.iter().map(ToString::to_string));
        let rest = without(said.clone().into_owned(), &mut not_built);
        let is_not_built = rest.len() < said.len();
        let consequences = if said.contains(MODULE) { WITHOUT_MODULE } else { &[] };
        let rest = without(rest, &mut consequences.iter().map(ToString::to_string));
        let rest = without(rest, &mut ABOUT_THE_IMAGE.iter().map(ToString::to_string));
        let of_the_format = if probes { &[] } else { OF_THE_FORMAT };
        // Also beside what is not built: that must not hide another complaint.
        if let Some(complaint) = NOT_UNDERSTOOD.iter().chain(of_the_format).find(|text| rest.contains(**text)) {
            return Self::Wrong(format!("`{complaint}`"));
        }
        if is_not_built {
            return Self::NotBuilt;
        }
        match outcome.end {
            End::Exited(0) => Self::Succeeded,
            End::Exited(_) => Self::Failed,
            End::TimedOut | End::OutputTooLarge => Self::Ended,
            end => Self::Wrong(format!("died: {end:?}")),
        }
    }

    /// In a word or two.
    #[must_use]
    pub fn name(&self) -> &'static str {
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
