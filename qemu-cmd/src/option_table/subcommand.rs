//! The subcommands.

use std::ffi::OsStr;

use super::{OptionSpec, bench, chain, convert, inspect, new};

macro_rules! subcommands {
    ($($variant:ident $name:literal $spec:expr;)+) => {
        /// A subcommand of qemu-img.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Subcommand {
            $(#[doc = concat!("`", $name, "`")] $variant,)+
        }

        impl Subcommand {
            /// Every subcommand.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
            /// Their names.
            pub const NAMES: &'static [&'static str] = &[$($name),+];

            pub(crate) const fn spec(self) -> &'static CommandSpec {
                match self {
                    $(Self::$variant => &$spec,)+
                }
            }
        }
    };
}

subcommands! {
    Amend "amend" new::AMEND;
    Bench "bench" bench::BENCH;
    Bitmap "bitmap" bench::BITMAP;
    Check "check" inspect::CHECK;
    Commit "commit" chain::COMMIT;
    Compare "compare" inspect::COMPARE;
    Convert "convert" convert::CONVERT;
    Create "create" new::CREATE;
    Dd "dd" new::DD;
    Info "info" inspect::INFO;
    Map "map" inspect::MAP;
    Measure "measure" convert::MEASURE;
    Rebase "rebase" chain::REBASE;
    Resize "resize" new::RESIZE;
    Snapshot "snapshot" chain::SNAPSHOT;
}

/// A subcommand as the table has it.
#[derive(Debug)]
pub(crate) struct CommandSpec {
    pub(crate) name: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) operands: &'static [OperandSpec],
    /// The operands in words.
    pub(crate) needs: &'static str,
    pub(crate) options: &'static [OptionSpec],
    pub(crate) choices: &'static [Choice],
}

/// How many of some options there must be.
#[derive(Debug)]
pub(crate) struct Choice {
    /// The options, by their keys.
    pub(crate) of: &'static [&'static str],
    pub(crate) min: usize,
    /// Counting repetitions.
    pub(crate) max: usize,
    pub(crate) reason: &'static str,
}

impl Choice {
    pub(super) const fn at_least_one(of: &'static [&'static str], reason: &'static str) -> Self {
        Self { of, min: 1, max: usize::MAX, reason }
    }

    pub(super) const fn at_most_one(of: &'static [&'static str], reason: &'static str) -> Self {
        Self { of, min: 0, max: 1, reason }
    }
}

/// An operand of a subcommand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OperandSpec {
    /// What it is called.
    pub name: &'static str,
    /// What it is.
    pub doc: &'static str,
    /// How many there must be.
    pub min: usize,
    /// How many there may be.
    pub max: usize,
}

pub(super) const fn one(name: &'static str, doc: &'static str) -> OperandSpec {
    OperandSpec { name, doc, min: 1, max: 1 }
}

pub(super) const fn optional(name: &'static str, doc: &'static str) -> OperandSpec {
    OperandSpec { name, doc, min: 0, max: 1 }
}

pub(super) const fn many(name: &'static str, doc: &'static str) -> OperandSpec {
    OperandSpec { name, doc, min: 1, max: usize::MAX }
}

impl Subcommand {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.spec().name
    }

    /// The subcommand of this name.
    #[must_use]
    pub fn from_name(name: &OsStr) -> Option<Self> {
        Self::ALL.iter().copied().find(|subcommand| subcommand.as_str() == name)
    }

    /// What it does.
    #[must_use]
    pub const fn summary(self) -> &'static str {
        self.spec().summary
    }

    /// Its options.
    #[must_use]
    pub const fn options(self) -> &'static [OptionSpec] {
        self.spec().options
    }

    /// Its operands, in their order; those of `dd` may stand in any.
    #[must_use]
    pub const fn operands(self) -> &'static [OperandSpec] {
        self.spec().operands
    }
}
