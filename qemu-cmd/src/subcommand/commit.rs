use super::{push_source, setters};
use crate::{ByteSize, CacheMode, Error, Invocation, Location, Source, rules};

/// `qemu-img commit`: writes what an overlay holds into an image below it.
///
/// ```
/// use qemu_cmd::{Commit, Source};
/// let commit = Commit::new(Source::qcow2("/top")).drop_overlay(true);
/// assert_eq!(commit.invocation()?.to_string(), "qemu-img commit -d -f qcow2 /top");
/// # Ok::<(), qemu_cmd::Error>(())
/// ```
///
/// Source: qemu-img(1), `commit`.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Commit {
    source: Source,
    base: Option<Location>,
    drop_overlay: bool,
    cache: Option<CacheMode>,
    rate: Option<ByteSize>,
    progress: bool,
    quiet: bool,
}

impl Commit {
    /// Commits `source` into its backing file, and empties it.
    pub const fn new(source: Source) -> Self {
        Self { source, base: None, drop_overlay: false, cache: None, rate: None, progress: false, quiet: false }
    }

    /// Commits into this image of the chain instead; the overlay is not emptied, and what lies between **is no longer
    /// valid**. It must be spelled as the chain spells it, after relative names are resolved.
    #[doc(alias = "-b")]
    pub fn base(mut self, base: impl Into<Location>) -> Self {
        self.base = Some(base.into());
        self
    }

    setters! {
        /// Does not empty the overlay, which is to be deleted. Default: no.
        #[doc(alias = "-d")]
        flag drop_overlay;
        /// The cache mode. Default: absent, which is `writeback`.
        #[doc(alias = "-t")]
        option cache: CacheMode;
        /// How many bytes a second at most. Default: absent, which is as fast as it goes.
        #[doc(alias = "-r")]
        option rate: ByteSize;
        /// Prints progress on standard output. Default: no.
        #[doc(alias = "-p")]
        flag progress;
        /// Prints nothing but errors. Default: no.
        #[doc(alias = "-q")]
        flag quiet;
    }

    /// The arguments and secrets.
    ///
    /// # Errors
    /// What qemu-img would always reject: see [`Error`].
    pub fn invocation(&self) -> Result<Invocation, Error> {
        rules::check_signed(&[self.rate])?;
        let mut out = Invocation::new("commit");
        if let Some(mode) = self.cache {
            out.option("-t", mode.as_str());
        }
        match (&self.base, self.source.given_below()) {
            (Some(base), _) => {
                out.option("-b", crate::image::plain_name(base)?);
                out.writes_to(base.clone());
            }
            (None, Some(below)) => out.writes_to(below.location().clone()),
            (None, None) => {}
        }
        out.flag(self.drop_overlay, "-d");
        if let Some(rate) = self.rate {
            out.option("-r", rate.to_string());
        }
        out.flag(self.progress, "-p");
        out.flag(self.quiet, "-q");
        let operand = push_source(&mut out, &self.source)?;
        out.arg(operand);
        out.writes_to(self.source.location().clone());
        Ok(out)
    }
}
