use super::{push_source, setters};
use crate::{Backing, CacheMode, Error, Format, Invocation, Source, rules};

/// `qemu-img rebase`: gives an image another backing file, or none.
///
/// ```
/// use qemu_cmd::{Backing, Format, Rebase, Source};
/// let rebase = Rebase::onto(Source::qcow2("/top"), Backing::new("/base", Format::Raw));
/// assert_eq!(rebase.invocation()?.to_string(), "qemu-img rebase -b /base -F raw -f qcow2 /top");
/// assert_eq!(
///     Rebase::flatten(Source::qcow2("/top")).invocation()?.to_string(),
///     "qemu-img rebase -b '' -f qcow2 /top"
/// );
/// # Ok::<(), qemu_cmd::Error>(())
/// ```
///
/// Source: qemu-img(1), `rebase`.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Rebase {
    source: Source,
    backing: Option<Backing>,
    unsafe_mode: bool,
    cache: Option<CacheMode>,
    backing_cache: Option<CacheMode>,
    compress: bool,
    force_share: bool,
    progress: bool,
    quiet: bool,
}

impl Rebase {
    const fn new(source: Source, backing: Option<Backing>, unsafe_mode: bool) -> Self {
        Self {
            source,
            backing,
            unsafe_mode,
            cache: None,
            backing_cache: None,
            compress: false,
            force_share: false,
            progress: false,
            quiet: false,
        }
    }

    /// Gives the image this backing file, and copies into the image what differs from the old one: its content stays.
    #[doc(alias = "-b")]
    pub const fn onto(source: Source, backing: Backing) -> Self {
        Self::new(source, Some(backing), false)
    }

    /// Copies into the image what it lacks, and drops its backing file: its content stays.
    pub const fn flatten(source: Source) -> Self {
        Self::new(source, None, false)
    }

    /// Only writes another name of the backing file into the image. The caller knows that the file there **has the same
    /// content**: if it has not, the image is corrupt from then on, and no check finds that.
    #[doc(alias = "-u")]
    pub const fn rename_backing_of_same_content(source: Source, backing: Backing) -> Self {
        Self::new(source, Some(backing), true)
    }

    /// Drops the backing file and **copies nothing**: everything that the image took from there reads as zeros from then
    /// on. This name is the acknowledgement of that.
    #[doc(alias = "-u")]
    pub const fn drop_backing_and_lose_its_data(source: Source) -> Self {
        Self::new(source, None, true)
    }

    setters! {
        /// The cache mode of the image. Default: absent, which is `writeback`.
        #[doc(alias = "-t")]
        option cache: CacheMode;
        /// The cache mode of the backing files. Default: absent, which is `writeback`.
        #[doc(alias = "-T")]
        option backing_cache: CacheMode;
        /// Compresses what is copied (8.2). Default: no. Not for an image with a key: it would be stored in the clear.
        #[doc(alias = "-c")]
        flag compress;
        /// Opens the new backing file even while another process writes it. Default: no.
        #[doc(alias = "-U")]
        flag force_share;
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
    /// What qemu-img would always reject or get silently wrong: see [`Error`].
    pub fn invocation(&self) -> Result<Invocation, Error> {
        self.check()?;
        let mut out = Invocation::new("rebase");
        out.flag(self.unsafe_mode, "-u");
        match &self.backing {
            Some(backing) => {
                out.option("-b", backing.name()?);
                if let Some(format) = backing.format() {
                    out.option("-F", format.as_str());
                }
                if !self.unsafe_mode {
                    out.reads_from(backing.location().clone());
                }
            }
            None => out.option("-b", ""),
        }
        if let Some(mode) = self.cache {
            out.option("-t", mode.as_str());
        }
        if let Some(mode) = self.backing_cache {
            out.option("-T", mode.as_str());
        }
        out.flag(self.compress, "-c");
        out.flag(self.force_share, "-U");
        out.flag(self.progress, "-p");
        out.flag(self.quiet, "-q");
        let operand = push_source(&mut out, &self.source)?;
        out.arg(operand);
        out.writes_to(self.source.location().clone());
        Ok(out)
    }

    fn check(&self) -> Result<(), Error> {
        if self.unsafe_mode {
            self.source.check_nothing_below("rebase")?;
        }
        if let Some(format) = self.source.format()
            && !matches!(format, Format::Qcow2 | Format::Qed)
        {
            let what = "way to change its backing file: qcow2 and qed have";
            return Err(Error::FormatHasNo { format: format.as_str(), what });
        }
        if self.compress {
            // What is probed may be qcow2.
            let format = self.source.format().unwrap_or(Format::Qcow2);
            rules::check_compression(format.as_str(), self.source.has_key(), false)?;
        }
        let Some(backing) = &self.backing else { return Ok(()) };
        if let Some(image) = self.source.places().first() {
            rules::check_not_own_backing(image, backing)?;
        }
        if self.unsafe_mode { Ok(()) } else { rules::check_backing_opens(backing) }
    }
}
