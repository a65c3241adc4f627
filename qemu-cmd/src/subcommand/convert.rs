mod refusals;

use super::{SourceSnapshot, push_create_options, setters};
use crate::image::{Spelled, TargetKind, plain_name};
use crate::secret::SecretId;
use crate::{
    Backing, ByteSize, CacheMode, CompressionType, Error, Invocation, KeyVal, Location, Qcow2, Source, Target,
};

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
/// The order of the arguments is fixed: `-t`, `-n`, `-O`, `-f`, `-c`, `-T`, `-S`, `-m`, `-r`, `-l`, `-W`, `-C`,
/// `--target-is-zero`, `--bitmaps`, `--skip-broken-bitmaps`, `--salvage`, `-U`, `-p`, `-q`, the source's key,
/// `--image-opts` and the source if it is a node, the target's key and `-o` options (or `--target-image-opts`), the
/// source if it is not a node, target. Source: qemu-img(1), `convert`.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Convert {
    source: Source,
    more_sources: Vec<Source>,
    target: Target,
    backing: Option<Backing>,
    snapshot: Option<SourceSnapshot>,
    target_is_zero: bool,
    bitmaps: bool,
    skip_broken_bitmaps: bool,
    salvage: bool,
    copy_offload: bool,
    rate: Option<ByteSize>,
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
    pub fn new(source: Source, target: Target) -> Self {
        Self {
            source,
            more_sources: Vec::new(),
            target,
            backing: None,
            snapshot: None,
            target_is_zero: false,
            bitmaps: false,
            skip_broken_bitmaps: false,
            salvage: false,
            copy_offload: false,
            rate: None,
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

    /// Makes a compressed qcow2 image in the fastest way that there is: zstd instead of zlib, 16 coroutines, and written
    /// out of order. It took 0.13 of the time that `-c` takes by itself (`cargo xtask bench convert`).
    ///
    /// The layout of the image is not the same every time, and what reads it must know zstd, as qemu does since 5.1.
    ///
    /// ```
    /// use qemu_cmd::{Convert, Source};
    /// assert_eq!(
    ///     Convert::to_zstd(Source::raw("/a"), "/b").invocation()?.to_string(),
    ///     "qemu-img convert -O qcow2 -f raw -c -m 16 -W -o compression_type=zstd /a /b"
    /// );
    /// # Ok::<(), qemu_cmd::Error>(())
    /// ```
    pub fn to_zstd(source: Source, target: impl Into<Location>) -> Self {
        let image = Qcow2::new().compression_type(CompressionType::Zstd);
        Self::new(source, Target::new(target, image)).compress(true).coroutines(16).out_of_order(true)
    }

    /// Puts the content of another image behind what there is already. All are written in the same way: if one
    /// needs a node, all are nodes.
    pub fn and_source(mut self, source: Source) -> Self {
        self.more_sources.push(source);
        self
    }

    /// Reads an internal snapshot of the source instead of its current state. Default: absent.
    #[doc(alias = "-l")]
    pub fn snapshot(mut self, snapshot: SourceSnapshot) -> Self {
        self.snapshot = Some(snapshot);
        self
    }

    /// Gives the new image a backing file, **which must hold the same data** where the copy leaves something out.
    /// Default: absent.
    #[doc(alias = "-B")]
    pub fn backing(mut self, backing: Backing) -> Self {
        self.backing = Some(backing);
        self
    }

    setters! {
        /// Compresses the data. Default: no. Only an unencrypted, not preallocated qcow2 target or a stream-optimized
        /// VMDK one can be compressed.
        #[doc(alias = "-c")]
        flag compress;
        /// The cache mode of the target. Default: absent, which is qemu-img's `unsafe`: it returns before the data
        /// is on disk. The client of the crate `qemu-exec` never leaves it absent.
        #[doc(alias = "-t")]
        option target_cache: CacheMode;
        /// The cache mode of the source. Default: absent, which is `writeback`.
        #[doc(alias = "-T")]
        option source_cache: CacheMode;
        /// How many consecutive zero bytes become a hole: a multiple of 512 up to 16 MiB; 0 allocates everything.
        /// Default: absent, which is 4 KiB.
        #[doc(alias = "-S")]
        option sparse_size: ByteSize;
        /// The number of coroutines that copy, 1 to 16. Default: absent, which is 8.
        #[doc(alias = "-m")]
        option coroutines: u8;
        /// How many bytes a second at most. Default: absent, which is as fast as it goes.
        #[doc(alias = "-r")]
        option rate: ByteSize;
        /// Whether data may be written out of order. Default: no. Faster for compressed and preallocated targets;
        /// the layout of the target is then not the same every time.
        #[doc(alias = "-W")]
        flag out_of_order;
        /// Lets the storage copy, where it can. Default: no. Excludes compression, a sparse size and salvage.
        #[doc(alias = "-C")]
        flag copy_offload;
        /// **Promises** that the existing target reads as zeros, so that none are written. Default: no.
        #[doc(alias = "--target-is-zero")]
        flag target_is_zero;
        /// Copies the persistent bitmaps, from qcow2 to qcow2. Default: no.
        #[doc(alias = "--bitmaps")]
        flag bitmaps;
        /// Leaves out bitmaps that are inconsistent (6.1); with [`bitmaps`](Self::bitmaps). Default: no.
        #[doc(alias = "--skip-broken-bitmaps")]
        flag skip_broken_bitmaps;
        /// Goes on after errors in reading, **with zeros where data was**. Default: no.
        #[doc(alias = "--salvage")]
        flag salvage;
        /// Reads the source even while another process may write it; the copy may then be inconsistent.
        /// Default: no.
        #[doc(alias = "-U")]
        flag force_share;
        /// Prints progress on standard output. Default: no.
        #[doc(alias = "-p")]
        flag progress;
        /// Prints nothing but errors. Default: no. Wins over [`progress`](Self::progress).
        #[doc(alias = "-q")]
        flag quiet;
    }

    /// The source, or the first of several.
    pub const fn source(&self) -> &Source {
        &self.source
    }

    /// The sources in order.
    pub fn sources(&self) -> impl Iterator<Item = &Source> {
        std::iter::once(&self.source).chain(&self.more_sources)
    }

    /// The target.
    pub const fn target(&self) -> &Target {
        &self.target
    }

    /// The same, of this source alone.
    pub fn with_source(mut self, source: Source) -> Self {
        self.source = source;
        self.more_sources.clear();
        self
    }

    /// The same, with the target at another place.
    pub fn target_at(mut self, location: impl Into<Location>) -> Self {
        self.target = self.target.at(location);
        self
    }

    /// The backing file of the new image.
    #[must_use]
    pub const fn new_backing(&self) -> Option<&Backing> {
        self.backing.as_ref()
    }

    /// Whether data is compressed.
    #[must_use]
    pub const fn compresses(&self) -> bool {
        self.compress
    }

    /// The internal snapshot that is read.
    #[must_use]
    pub const fn chosen_snapshot(&self) -> Option<&SourceSnapshot> {
        self.snapshot.as_ref()
    }

    /// Whether the target is promised to read as zeros.
    #[must_use]
    pub const fn promises_zero(&self) -> bool {
        self.target_is_zero
    }

    /// Whether the source is read even while another process may write it.
    #[must_use]
    pub const fn shares(&self) -> bool {
        self.force_share
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
        self.check()?;
        let options = self.check_target()?;
        let (sources, as_nodes) = self.spell_sources()?;

        let mut out = Invocation::new("convert");
        if let Some(mode) = self.target_cache {
            out.option("-t", mode.as_str());
        }
        let target_opts = self.push_target_format(&mut out)?;
        // All have one format here, and where the first is a json: node another may still be a name.
        if let (true, Some(format)) =
            (sources.iter().any(|source| matches!(source, Spelled::Plain(_))), self.source.format())
        {
            out.option("-f", format.as_str());
        }
        out.flag(self.compress, "-c");
        self.push_options(&mut out)?;
        for (index, source) in self.sources().enumerate() {
            out.define(source.objects(&SecretId::source_number(index))?)?;
            out.reads_image(source);
        }
        out.flag(as_nodes, "--image-opts");
        // The reference puts a node here, before the target's options, and a plain name after them.
        let mut names = Vec::new();
        for source in sources {
            match source {
                Spelled::ImageOpts(node) => out.arg(node),
                Spelled::Plain(name) | Spelled::Json(name) => names.push(name),
            }
        }
        match (&self.target.0, options) {
            (TargetKind::New { .. }, Some(options)) => push_create_options(&mut out, options)?,
            (TargetKind::Existing(image), _) => {
                out.define(image.objects(&SecretId::target())?)?;
                image.parts().skip(1).for_each(|part| out.reads_from(part.clone()));
                out.flag(target_opts.is_some(), "--target-image-opts");
            }
            _ => {}
        }
        self.push_backing(&mut out)?;
        for name in names {
            out.arg(name);
        }
        match target_opts {
            Some(opts) => out.arg(opts),
            None => out.arg(plain_name(self.target.location())?),
        }
        out.writes_to(self.target.location().clone());
        Ok(out)
    }

    /// The options that need nothing else to be known.
    fn push_options(&self, out: &mut Invocation) -> Result<(), Error> {
        if let Some(mode) = self.source_cache {
            out.option("-T", mode.as_str());
        }
        if let Some(size) = self.sparse_size {
            out.option("-S", size.to_string());
        }
        if let Some(coroutines) = self.coroutines {
            out.option("-m", coroutines.to_string());
        }
        if let Some(rate) = self.rate {
            out.option("-r", rate.to_string());
        }
        if let Some(snapshot) = &self.snapshot {
            out.option("-l", snapshot.render()?);
        }
        for (on, flag) in [
            (self.out_of_order, "-W"),
            (self.copy_offload, "-C"),
            (self.target_is_zero, "--target-is-zero"),
            (self.bitmaps, "--bitmaps"),
            (self.skip_broken_bitmaps, "--skip-broken-bitmaps"),
            (self.salvage, "--salvage"),
            (self.force_share, "-U"),
            (self.progress, "-p"),
            (self.quiet, "-q"),
        ] {
            out.flag(on, flag);
        }
        Ok(())
    }

    /// Qemu 5.2 has no `-F` here, and the create options say the same in every version.
    fn push_backing(&self, out: &mut Invocation) -> Result<(), Error> {
        if let Some(backing) = &self.backing {
            let mut pairs = KeyVal::new().with("backing_file", backing.name()?);
            if let Some(format) = backing.format() {
                pairs.push("backing_fmt", format.as_str());
            }
            for pair in pairs.render_each() {
                out.option("-o", pair);
            }
            out.reads_from(backing.location().clone());
        }
        Ok(())
    }

    /// The sources as they stand on the command line, and whether all are nodes for `--image-opts`.
    fn spell_sources(&self) -> Result<(Vec<Spelled>, bool), Error> {
        let ids = || self.sources().enumerate().map(|(index, source)| (source, SecretId::source_number(index)));
        let spelled = ids().map(|(source, id)| source.spelled(&id)).collect::<Result<Vec<_>, _>>()?;
        // `-f` and `--image-opts` are for all of them.
        let mixed = self.more_sources.iter().any(|source| source.format() != self.source.format());
        let some_nodes = spelled.iter().any(|source| matches!(source, Spelled::ImageOpts(_)));
        if !some_nodes && !mixed {
            return Ok((spelled, false));
        }
        let nodes = ids().map(|(source, id)| Ok(Spelled::ImageOpts(source.image_opts(&id)?.render())));
        Ok((nodes.collect::<Result<_, Error>>()?, true))
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
}
