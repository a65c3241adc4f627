use crate::format::{CreateOptions, Preallocation};
use crate::image::{Spelled, TargetKind};
use crate::secret::SecretId;
use crate::{ByteSize, CacheMode, Error, Format, Invocation, Source, Target, rules};

use super::push_create_options;

/// `qemu-img convert`: copies the guest's content of one image into another.
///
/// ```
/// use qemu_cmd::{CacheMode, Convert, Qcow2, Source, Target};
/// let convert = Convert::new(Source::raw("/a"), Target::new("/b", Qcow2::new()))
///     .target_cache(CacheMode::Writeback)
///     .compress(true);
/// assert_eq!(
///     convert.invocation()?.to_string(),
///     "qemu-img convert -t writeback -O qcow2 -f raw -c /a /b"
/// );
/// # Ok::<(), qemu_cmd::Error>(())
/// ```
///
/// The order of the arguments is fixed: `-t`, `-n`, `-O`, `-f`, `-c`, `-T`, `-S`, `-m`, `-W`, `-U`, `-p`, `-q`,
/// the source's key and `--image-opts`, the target's key and `-o` options (or `--target-image-opts`), source,
/// target. Source: qemu-img(1), `convert`.
#[derive(Clone, Debug)]
#[must_use]
pub struct Convert {
    source: Source,
    target: Target,
    compress: bool,
    target_cache: Option<CacheMode>,
    source_cache: Option<CacheMode>,
    sparse_size: Option<ByteSize>,
    coroutines: Option<u8>,
    out_of_order: bool,
    force_share: bool,
    progress: bool,
    quiet: bool,
}

impl Convert {
    /// Converts `source` to `target`.
    pub const fn new(source: Source, target: Target) -> Self {
        Self {
            source,
            target,
            compress: false,
            target_cache: None,
            source_cache: None,
            sparse_size: None,
            coroutines: None,
            out_of_order: false,
            force_share: false,
            progress: false,
            quiet: false,
        }
    }

    /// Compresses the data. Default: no. Only an unencrypted, not preallocated qcow2 target can be compressed.
    #[doc(alias = "-c")]
    pub const fn compress(mut self, on: bool) -> Self {
        self.compress = on;
        self
    }

    /// The cache mode of the target. Default: absent, which is qemu-img's `unsafe`: it returns before the data
    /// is on disk. The client of the crate `qemu-exec` never leaves it absent.
    #[doc(alias = "-t")]
    pub const fn target_cache(mut self, mode: CacheMode) -> Self {
        self.target_cache = Some(mode);
        self
    }

    /// The cache mode of the source. Default: absent, which is `writeback`.
    #[doc(alias = "-T")]
    pub const fn source_cache(mut self, mode: CacheMode) -> Self {
        self.source_cache = Some(mode);
        self
    }

    /// How many consecutive zero bytes become a hole: a multiple of 512 up to 16 MiB; 0 allocates everything.
    /// Default: absent, which is 4 KiB.
    #[doc(alias = "-S")]
    pub const fn sparse_size(mut self, size: ByteSize) -> Self {
        self.sparse_size = Some(size);
        self
    }

    /// The number of coroutines that copy, 1 to 16. Default: absent, which is 8.
    #[doc(alias = "-m")]
    pub const fn coroutines(mut self, coroutines: u8) -> Self {
        self.coroutines = Some(coroutines);
        self
    }

    /// Whether data may be written out of order. Default: no. Faster for compressed and preallocated targets;
    /// the layout of the target is then not the same every time.
    #[doc(alias = "-W")]
    pub const fn out_of_order(mut self, on: bool) -> Self {
        self.out_of_order = on;
        self
    }

    /// Reads the source even while another process may write it; the copy may then be inconsistent.
    /// Default: no.
    #[doc(alias = "-U")]
    pub const fn force_share(mut self, on: bool) -> Self {
        self.force_share = on;
        self
    }

    /// Prints progress on standard output. Default: no.
    #[doc(alias = "-p")]
    pub const fn progress(mut self, on: bool) -> Self {
        self.progress = on;
        self
    }

    /// Prints nothing but errors. Default: no. Wins over [`progress`](Self::progress).
    #[doc(alias = "-q")]
    pub const fn quiet(mut self, on: bool) -> Self {
        self.quiet = on;
        self
    }

    /// The source.
    pub const fn source(&self) -> &Source {
        &self.source
    }

    /// The target.
    pub const fn target(&self) -> &Target {
        &self.target
    }

    /// The target's cache mode, if one was chosen.
    #[must_use]
    pub const fn chosen_target_cache(&self) -> Option<CacheMode> {
        self.target_cache
    }

    /// The arguments and secrets.
    ///
    /// # Errors
    /// What qemu-img would always reject or get silently wrong: see [`Error`].
    pub fn invocation(&self) -> Result<Invocation, Error> {
        self.source.check_openable()?;
        if self.source.location() == self.target.location() {
            return Err(Error::SameFile { name: self.source.name() });
        }
        if let Some(coroutines) = self.coroutines {
            rules::check_coroutines(coroutines)?;
        }
        if let Some(size) = self.sparse_size {
            rules::check_sparse_size(size)?;
        }
        let options = self.check_target()?;
        let source = self.source.spelled(&SecretId::source())?;

        let mut out = Invocation::new("convert");
        if let Some(mode) = self.target_cache {
            out.option("-t", mode.as_str());
        }
        let target_opts = self.push_target_format(&mut out)?;
        if let (Some(format), Spelled::Plain(_)) = (self.source.format(), &source) {
            out.option("-f", format.as_str());
        }
        out.flag(self.compress, "-c");
        if let Some(mode) = self.source_cache {
            out.option("-T", mode.as_str());
        }
        if let Some(size) = self.sparse_size {
            out.option("-S", size.to_string());
        }
        if let Some(coroutines) = self.coroutines {
            out.option("-m", coroutines.to_string());
        }
        out.flag(self.out_of_order, "-W");
        out.flag(self.force_share, "-U");
        out.flag(self.progress, "-p");
        out.flag(self.quiet, "-q");
        if let Some(secret) = self.source.secret() {
            out.object(SecretId::source(), secret.clone());
        }
        out.flag(matches!(source, Spelled::ImageOpts(_)), "--image-opts");
        match (&self.target.0, options) {
            (TargetKind::New { .. }, Some(options)) => push_create_options(&mut out, options),
            (TargetKind::Existing(image), _) => {
                if let Some(secret) = image.secret() {
                    out.object(SecretId::target(), secret.clone());
                }
                out.flag(target_opts.is_some(), "--target-image-opts");
            }
            _ => {}
        }
        match source {
            Spelled::Plain(name) | Spelled::ImageOpts(name) | Spelled::Json(name) => out.arg(name),
        }
        match target_opts {
            Some(opts) => out.arg(opts),
            None => out.arg(self.target.location().plain_name()?),
        }
        out.reads_from(self.source.location().clone());
        out.writes_to(self.target.location().clone());
        Ok(out)
    }

    /// `-n` and `-O`, or the node of an existing target.
    fn push_target_format(&self, out: &mut Invocation) -> Result<Option<std::ffi::OsString>, Error> {
        match &self.target.0 {
            TargetKind::New { image, .. } => out.option("-O", image.format().as_str()),
            TargetKind::Existing(image) => {
                out.arg("-n");
                match (image.spelled(&SecretId::target())?, image.format()) {
                    (Spelled::Plain(_), Some(format)) => out.option("-O", format.as_str()),
                    _ => return Ok(Some(image.image_opts(&SecretId::target())?.render())),
                }
            }
        }
        Ok(None)
    }

    fn check_target(&self) -> Result<Option<CreateOptions>, Error> {
        let (format, encrypted, options) = match &self.target.0 {
            TargetKind::New { image, .. } => {
                let options = image.options()?;
                (image.format(), options.secret.is_some(), Some(options))
            }
            TargetKind::Existing(image) => {
                image.check_openable()?;
                let format = image.format().ok_or(Error::Options(
                    "an existing target needs its format: a probed one lets its content choose",
                ))?;
                (format, image.secret().is_some(), None)
            }
        };
        if self.compress {
            let preallocation = options.as_ref().and_then(|options| options.preallocation);
            let preallocated = preallocation.is_some_and(|mode| mode != Preallocation::Off);
            // LUKS first: its reason is the format, as qemu-img says too.
            let encrypted = encrypted && format != Format::Luks;
            rules::check_compression(format.as_str(), encrypted, preallocated)?;
        }
        Ok(options)
    }
}
