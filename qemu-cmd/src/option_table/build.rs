//! How the table is written down, and the options that many subcommands share.

use super::{Because, OptionSpec, Spelling, ValueKind, ValueSpec};
use crate::{Availability, QemuVersion};

pub(super) const fn flag(short: Option<char>, names: &'static [Spelling], doc: &'static str) -> OptionSpec {
    let availability = Availability::ALWAYS;
    OptionSpec { short, names, value: None, doc, availability, excludes: &[], needs: &[] }
}

pub(super) const fn arg(
    short: Option<char>,
    names: &'static [Spelling],
    name: &'static str,
    kind: ValueKind,
    doc: &'static str,
) -> OptionSpec {
    let mut spec = flag(short, names, doc);
    spec.value = Some(ValueSpec { name, kind });
    spec
}

impl OptionSpec {
    pub(super) const fn available(mut self, availability: Availability) -> Self {
        self.availability = availability;
        self
    }

    pub(super) const fn excludes(mut self, others: &'static [Because]) -> Self {
        self.excludes = others;
        self
    }

    pub(super) const fn needs(mut self, others: &'static [Because]) -> Self {
        self.needs = others;
        self
    }
}

pub(super) const fn because(option: &'static str, reason: &'static str) -> Because {
    Because { option, reason }
}

/// A name of every version that has the option.
pub(super) const fn name(text: &'static str) -> Spelling {
    Spelling { text, availability: Availability::ALWAYS }
}

/// A name of Debian's 10.0 and, elsewhere, of 10.1 and later.
pub(super) const fn later(text: &'static str) -> Spelling {
    Spelling { text, availability: Availability::LONG_NAMES }
}

/// A name of 10.1 and later, which Debian's 10.0 has not.
pub(super) const fn upstream(text: &'static str) -> Spelling {
    Spelling { text, availability: Availability::UPSTREAM }
}

/// A name that only Debian's 10.0 has.
pub(super) const fn debian(text: &'static str) -> Spelling {
    Spelling { text, availability: Availability::DEBIAN }
}

pub(super) const fn since(major: u16, minor: u16) -> Availability {
    Availability::since(QemuVersion::new(major, minor, 0))
}

/// `off` is another name of `none`.
pub(super) const CACHE_MODE: ValueKind = ValueKind::Choice {
    of: &["none", "writeback", "writethrough", "directsync", "unsafe", "off"],
    reason: "no such cache mode: write none, writeback, writethrough, directsync or unsafe",
};

pub(super) const OUTPUT_FORMAT: ValueKind =
    ValueKind::Choice { of: &["human", "json"], reason: "no such output: write --output=human or --output=json" };

const FORMAT_OR_NODE: &str = "-f and --image-opts exclude each other: write driver=FMT in the node";

pub(super) const FORMAT_EXCLUDES: &[Because] = &[because("image-opts", FORMAT_OR_NODE)];

pub(super) const FORMAT: OptionSpec = format(&[later("format")]);

/// `--format` where all versions have it.
pub(super) const FORMAT_LONG: OptionSpec = format(&[name("format")]);

const fn format(names: &'static [Spelling]) -> OptionSpec {
    arg(Some('f'), names, "FMT", ValueKind::Format, "the image's format; without it the content chooses")
        .excludes(FORMAT_EXCLUDES)
}

pub(super) const IMAGE_OPTS: OptionSpec = flag(None, &[name("image-opts")], "the image is a key=value node");

pub(super) const OBJECT: OptionSpec =
    arg(None, &[name("object")], "OBJDEF", ValueKind::Object, "defines an object, such as a secret");

pub(super) const FORCE_SHARE: OptionSpec =
    flag(Some('U'), &[name("force-share")], "opens images even while another process writes them");

pub(super) const QUIET: OptionSpec = flag(Some('q'), &[later("quiet")], "prints nothing but errors");

pub(super) const PROGRESS: OptionSpec = flag(Some('p'), &[later("progress")], "prints progress on standard output");

pub(super) const OUTPUT: OptionSpec =
    arg(None, &[name("output")], "FMT", OUTPUT_FORMAT, "human or json; default human");

pub(super) const CACHE: OptionSpec =
    arg(Some('t'), &[later("cache")], "CACHE", CACHE_MODE, "the image's cache mode; default writeback");

pub(super) const SOURCE_CACHE: OptionSpec =
    arg(Some('T'), &[later("cache")], "CACHE", CACHE_MODE, "the cache mode; default writeback");
