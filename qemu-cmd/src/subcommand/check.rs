use super::{push_source, setters};
use crate::invocation::OutputKind;
use crate::{CacheMode, Error, Invocation, Source};

/// `qemu-img check`: looks for errors in an image, and repairs them if asked to; the report is JSON.
///
/// ```
/// use qemu_cmd::{Check, Source};
/// let check = Check::new(Source::qcow2("/a"));
/// assert_eq!(check.invocation()?.to_string(), "qemu-img check --output=json -f qcow2 /a");
/// # Ok::<(), qemu_cmd::Error>(())
/// ```
///
/// Exit status: 0 clean, 2 corrupt, 3 leaks only, 63 if the format has no check, 1 if it could not be checked. After a
/// repair it is that of the repaired image. Source: qemu-img(1), `check`.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Check {
    source: Source,
    repair: Option<Repair>,
    cache: Option<CacheMode>,
    force_share: bool,
    human: bool,
    quiet: bool,
}

/// What a check repairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Repair {
    /// `leaks`: space that nothing uses. It is safe.
    Leaks,
    /// `all`: everything, by guessing where it has to. It can make a damaged image worse.
    All,
}

impl Repair {
    /// The name on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Leaks => "leaks",
            Self::All => "all",
        }
    }
}

impl Check {
    /// Checks `source`.
    pub const fn new(source: Source) -> Self {
        Self { source, repair: None, cache: None, force_share: false, human: false, quiet: false }
    }

    setters! {
        /// Prints text for people instead of JSON, which the types of `qemu-info` cannot read. Default: no.
        #[doc(alias = "--output")]
        flag human;
        /// Repairs errors of this kind. Default: none.
        #[doc(alias = "-r")]
        option repair: Repair;
        /// The cache mode. Default: absent, which is `writeback`.
        #[doc(alias = "-T")]
        option cache: CacheMode;
        /// Checks the image even while another process writes it, which finds errors that are none. Default: no.
        /// Excludes a repair.
        #[doc(alias = "-U")]
        flag force_share;
        /// Prints nothing, not even the report. Default: no.
        #[doc(alias = "-q")]
        flag quiet;
    }

    /// The arguments and secrets.
    ///
    /// # Errors
    /// What qemu-img would always reject: see [`Error`].
    pub fn invocation(&self) -> Result<Invocation, Error> {
        if self.repair.is_some() && self.force_share {
            return Err(Error::Options("an image cannot be shared while it is repaired: drop force_share"));
        }
        let mut out = Invocation::new("check");
        out.flag(!self.human, "--output=json");
        if let Some(repair) = self.repair {
            out.option("-r", repair.as_str());
            out.writes_to(self.source.location().clone());
        }
        if let Some(mode) = self.cache {
            out.option("-T", mode.as_str());
        }
        out.flag(self.force_share, "-U");
        out.flag(self.quiet, "-q");
        let operand = push_source(&mut out, &self.source)?;
        out.arg(operand);
        out.prints(if self.human { OutputKind::Text } else { OutputKind::Json });
        Ok(out)
    }
}
