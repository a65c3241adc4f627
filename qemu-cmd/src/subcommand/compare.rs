use super::setters;
use crate::image::Spelled;
use crate::secret::SecretId;
use crate::{CacheMode, Error, Invocation, Source};

/// `qemu-img compare`: whether two images have the same content for the guest.
///
/// ```
/// use qemu_cmd::{Compare, Source};
/// let compare = Compare::new(Source::raw("/a"), Source::qcow2("/b"));
/// assert_eq!(compare.invocation()?.to_string(), "qemu-img compare -f raw -F qcow2 /a /b");
/// # Ok::<(), qemu_cmd::Error>(())
/// ```
///
/// If one of them needs a node, both are written as nodes. Exit status: 0 the same, 1 different, above 1 failed.
/// Source: qemu-img(1), `compare`.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Compare {
    a: Source,
    b: Source,
    strict: bool,
    cache: Option<CacheMode>,
    force_share: bool,
    progress: bool,
    quiet: bool,
}

impl Compare {
    /// Compares `a` and `b`.
    pub const fn new(a: Source, b: Source) -> Self {
        Self { a, b, strict: false, cache: None, force_share: false, progress: false, quiet: false }
    }

    setters! {
        /// Whether a difference in size or allocation counts. Default: no: what is missing reads as zeros.
        #[doc(alias = "-s")]
        flag strict;
        /// The cache mode of both. Default: absent, which is `writeback`.
        #[doc(alias = "-T")]
        option cache: CacheMode;
        /// Opens the images even while another process writes them. Default: no.
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
    /// What qemu-img would always reject: see [`Error`].
    pub fn invocation(&self) -> Result<Invocation, Error> {
        let (id_a, id_b) = (SecretId::source(), SecretId::target());
        let (mut a, mut b) = (self.a.spelled(&id_a)?, self.b.spelled(&id_b)?);
        // `--image-opts` is for both; a json: node stands where a name does.
        if matches!(a, Spelled::ImageOpts(_)) != matches!(b, Spelled::ImageOpts(_)) {
            a = Spelled::ImageOpts(self.a.image_opts(&id_a)?.render());
            b = Spelled::ImageOpts(self.b.image_opts(&id_b)?.render());
        }
        let mut out = Invocation::new("compare");
        for (source, spelled, option) in [(&self.a, &a, "-f"), (&self.b, &b, "-F")] {
            source.check_openable()?;
            if let (Spelled::Plain(_), Some(format)) = (spelled, source.format()) {
                out.option(option, format.as_str());
            }
        }
        out.flag(self.strict, "-s");
        if let Some(mode) = self.cache {
            out.option("-T", mode.as_str());
        }
        out.flag(self.force_share, "-U");
        out.flag(self.progress, "-p");
        out.flag(self.quiet, "-q");
        for (source, id) in [(&self.a, id_a), (&self.b, id_b)] {
            out.define(source.objects(&id)?)?;
            out.reads_image(source);
        }
        out.flag(matches!(a, Spelled::ImageOpts(_)), "--image-opts");
        for spelled in [a, b] {
            let (Spelled::Plain(operand) | Spelled::ImageOpts(operand) | Spelled::Json(operand)) = spelled;
            out.arg(operand);
        }
        Ok(out)
    }
}
