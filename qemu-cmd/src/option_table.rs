//! Every option of every modelled subcommand, once.

use std::ffi::OsStr;

/// A subcommand of qemu-img.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Subcommand {
    /// `convert`
    Convert,
    /// `create`
    Create,
    /// `info`
    Info,
}

/// An option of a subcommand.
///
/// `-h` and `--help` are options of every subcommand, and not listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OptionSpec {
    /// The letter after `-`, if it has one.
    pub short: Option<char>,
    /// The long names, of all versions: none exists in every version unless it is the only name.
    pub long: &'static [&'static str],
    /// What its value is called, if it takes one.
    pub value: Option<&'static str>,
    /// What it does.
    pub doc: &'static str,
}

const fn flag(short: Option<char>, long: &'static [&'static str], doc: &'static str) -> OptionSpec {
    OptionSpec { short, long, value: None, doc }
}

const fn arg(short: Option<char>, long: &'static [&'static str], value: &'static str, doc: &'static str) -> OptionSpec {
    OptionSpec { short, long, value: Some(value), doc }
}

const OBJECT: OptionSpec = arg(None, &["object"], "OBJDEF", "defines an object, such as a secret");
const FORCE_SHARE: OptionSpec =
    flag(Some('U'), &["force-share"], "opens images even while another process writes them");
const QUIET: OptionSpec = flag(Some('q'), &["quiet"], "prints nothing but errors");
const PROGRESS: OptionSpec = flag(Some('p'), &["progress"], "prints progress on standard output");

const CONVERT: &[OptionSpec] = &[
    arg(Some('f'), &["source-format"], "FMT", "the sources' format; without it the content chooses"),
    flag(None, &["image-opts", "source-image-opts"], "the sources are key=value nodes"),
    arg(Some('l'), &["snapshot"], "SNAPSHOT", "reads an internal snapshot of the source"),
    arg(Some('T'), &["source-cache"], "CACHE", "the sources' cache mode; default writeback"),
    arg(Some('O'), &["target-format", "output-format"], "FMT", "the target's format; default raw"),
    flag(None, &["target-image-opts"], "the target is a key=value node; needs -n"),
    arg(Some('o'), &["target-format-options", "options"], "OPTS", "create options of the target"),
    flag(Some('c'), &[], "compresses the data"),
    arg(Some('t'), &["target-cache"], "CACHE", "the target's cache mode; default unsafe"),
    arg(Some('B'), &["backing"], "FILE", "backing file of the target, assumed to hold the same data"),
    arg(Some('b'), &[], "FILE", "the same as -B, in 10.2 and later"),
    arg(Some('F'), &["backing-format"], "FMT", "the backing file's format (6.1)"),
    flag(Some('n'), &["no-create"], "the target exists and is written into"),
    flag(None, &["target-is-zero"], "the target is known to read as zeros; needs -n"),
    arg(Some('S'), &["sparse-size"], "SIZE", "how many zero bytes become a hole; default 4k, 0 for none"),
    arg(Some('r'), &["rate-limit", "rate"], "RATE", "bytes a second at most"),
    arg(Some('m'), &["parallel"], "NUM", "how many coroutines copy; default 8"),
    flag(Some('W'), &["oob-writes"], "writes out of order"),
    flag(Some('C'), &["copy-range-offloading"], "lets the storage copy"),
    flag(None, &["bitmaps"], "copies persistent bitmaps"),
    flag(None, &["skip-broken-bitmaps"], "leaves out inconsistent bitmaps (6.1)"),
    flag(None, &["salvage"], "goes on after read errors, with zeros"),
    FORCE_SHARE,
    PROGRESS,
    QUIET,
    OBJECT,
];

const CREATE: &[OptionSpec] = &[
    arg(Some('f'), &["format"], "FMT", "the image's format; default raw"),
    arg(Some('o'), &["options"], "OPTS", "create options"),
    arg(Some('b'), &["backing"], "FILE", "backing file"),
    arg(Some('F'), &["backing-format"], "FMT", "the backing file's format"),
    arg(Some('B'), &[], "FMT", "the same as -F, in 10.2 and later"),
    flag(Some('u'), &["backing-unsafe"], "does not open the backing file"),
    QUIET,
    OBJECT,
];

const INFO: &[OptionSpec] = &[
    arg(Some('f'), &["format"], "FMT", "the image's format; without it the content chooses"),
    flag(None, &["image-opts"], "the image is a key=value node"),
    flag(Some('b'), &["backing-chain"], "describes the whole backing chain"),
    arg(Some('t'), &["cache"], "CACHE", "the image's cache mode (10.2)"),
    flag(None, &["limits"], "prints block limits (10.2)"),
    FORCE_SHARE,
    arg(None, &["output"], "FMT", "human or json; default human"),
    OBJECT,
];

impl Subcommand {
    /// Every modelled subcommand.
    pub const ALL: &'static [Self] = &[Self::Convert, Self::Create, Self::Info];
    /// Their names.
    pub const NAMES: &'static [&'static str] = &["convert", "create", "info"];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Convert => "convert",
            Self::Create => "create",
            Self::Info => "info",
        }
    }

    /// The subcommand of this name.
    #[must_use]
    pub fn from_name(name: &OsStr) -> Option<Self> {
        Self::ALL.iter().copied().find(|subcommand| subcommand.as_str() == name)
    }

    /// Its options.
    #[must_use]
    pub const fn options(self) -> &'static [OptionSpec] {
        match self {
            Self::Convert => CONVERT,
            Self::Create => CREATE,
            Self::Info => INFO,
        }
    }
}
