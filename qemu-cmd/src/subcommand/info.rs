use crate::image::Spelled;
use crate::invocation::OutputKind;
use crate::secret::SecretId;
use crate::{CacheMode, Error, Invocation, Source};

/// `qemu-img info`: what an image is, as JSON.
///
/// It reads headers only, so it needs no key: a source's key is not handed over. It does **not** open backing
/// files, but it opens what a VMDK descriptor names (and qemu 5.2 what a qcow2 header names as its data file).
///
/// ```
/// use qemu_cmd::{Info, Source};
/// assert_eq!(
///     Info::new(Source::qcow2("/a")).invocation()?.to_string(),
///     "qemu-img info /a --force-share --output=json -f qcow2"
/// );
/// # Ok::<(), qemu_cmd::Error>(())
/// ```
///
/// The order of the arguments is fixed: image, `--force-share`, `--output=json`, `-f` or `--image-opts`,
/// `--backing-chain`, `-t`, `--limits`. Source: qemu-img(1), `info`.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Info {
    source: Source,
    force_share: bool,
    human: bool,
    backing_chain: bool,
    cache: Option<CacheMode>,
    limits: bool,
}

impl Info {
    /// Describes `source`, whose keys are dropped: none is needed.
    pub fn new(source: Source) -> Self {
        Self {
            source: source.without_keys(),
            force_share: true,
            human: false,
            backing_chain: false,
            cache: None,
            limits: false,
        }
    }

    /// Describes the image even while another process writes it. Default: yes, since only headers are read.
    #[doc(alias = "-U")]
    pub const fn force_share(mut self, on: bool) -> Self {
        self.force_share = on;
        self
    }

    /// Describes every image of the backing chain, top first, as an array. Default: no.
    ///
    /// This **opens whatever the images name** as backing files: never do it with an image from a stranger.
    #[doc(alias = "--backing-chain")]
    pub const fn backing_chain(mut self, on: bool) -> Self {
        self.backing_chain = on;
        self
    }

    super::setters! {
        /// Prints text for people instead of JSON, which the types of `qemu-info` cannot read. Default: no.
        #[doc(alias = "--output")]
        flag human;
        /// The cache mode (10.2). Default: absent, which is `writeback`.
        #[doc(alias = "-t")]
        option cache: CacheMode;
        /// Adds the block limits of the image and its file (10.2). Default: no.
        #[doc(alias = "--limits")]
        flag limits;
    }

    /// The image.
    pub const fn source(&self) -> &Source {
        &self.source
    }

    /// The same question about another image.
    pub fn with_source(mut self, source: Source) -> Self {
        self.source = source.without_keys();
        self
    }

    /// The arguments.
    ///
    /// # Errors
    /// A path that no argument, or not the chosen form, can carry.
    pub fn invocation(&self) -> Result<Invocation, Error> {
        self.source.check_fits_format()?;
        self.source.check_nothing_below("info")?;
        let source = self.source.clone().without_keys();
        let spelled = source.spelled(&SecretId::source())?;
        let mut out = Invocation::new("info");
        let (Spelled::Plain(name) | Spelled::ImageOpts(name) | Spelled::Json(name)) = &spelled;
        out.arg(name);
        out.flag(self.force_share, "--force-share");
        out.flag(!self.human, "--output=json");
        out.define(source.objects(&SecretId::source())?)?;
        match (&spelled, source.format()) {
            (Spelled::Plain(_), Some(format)) => out.option("-f", format.as_str()),
            (Spelled::ImageOpts(_), _) => out.arg("--image-opts"),
            _ => {}
        }
        out.flag(self.backing_chain, "--backing-chain");
        if let Some(mode) = self.cache {
            out.option("-t", mode.as_str());
        }
        out.flag(self.limits, "--limits");
        out.reads_image(&source);
        out.prints(if self.human { OutputKind::Text } else { OutputKind::Json });
        Ok(out)
    }
}
