use super::{push_source, setters};
use crate::{ByteSize, Error, Format, Invocation, Preallocation, Source};

/// `qemu-img resize`: changes the virtual size of an image.
///
/// ```
/// use qemu_cmd::{ByteSize, Resize, ResizeTo, Source};
/// let resize = Resize::new(Source::raw("/a"), ResizeTo::GrowTo(ByteSize::gib(2)));
/// assert_eq!(resize.invocation()?.to_string(), "qemu-img resize -f raw -- /a 2147483648");
/// # Ok::<(), qemu_cmd::Error>(())
/// ```
///
/// An image is made smaller only by a variant that says so: what lies beyond the new end is lost. Source: qemu-img(1),
/// `resize`.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Resize {
    source: Source,
    to: ResizeTo,
    preallocation: Option<Preallocation>,
    quiet: bool,
}

/// The new size, and whether it may be smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResizeTo {
    /// This size; qemu-img refuses if the image is larger.
    GrowTo(ByteSize),
    /// Larger by this (`+SIZE`).
    GrowBy(ByteSize),
    /// This size, even if the image is larger: **what lies beyond it is lost**.
    ShrinkOrGrowTo(ByteSize),
    /// Smaller by this (`-SIZE`): **what lies beyond the new end is lost**.
    ShrinkBy(ByteSize),
}

impl Resize {
    /// Resizes `source`.
    pub const fn new(source: Source, to: ResizeTo) -> Self {
        Self { source, to, preallocation: None, quiet: false }
    }

    setters! {
        /// How the space that is added is allocated. Default: absent, which is `off`. Only when it grows.
        #[doc(alias = "--preallocation")]
        option preallocation: Preallocation;
        /// Prints nothing but errors. Default: no.
        #[doc(alias = "-q")]
        flag quiet;
    }

    /// The arguments and secrets.
    ///
    /// # Errors
    /// What qemu-img would always reject: see [`Error`].
    pub fn invocation(&self) -> Result<Invocation, Error> {
        let (size, sign, shrinks) = match self.to {
            ResizeTo::GrowTo(size) => (size, "", false),
            ResizeTo::GrowBy(size) => (size, "+", false),
            ResizeTo::ShrinkOrGrowTo(size) => (size, "", true),
            ResizeTo::ShrinkBy(size) => (size, "-", true),
        };
        if size == ByteSize::bytes(0) {
            return Err(Error::Options("an image is not resized to or by 0 bytes"));
        }
        if size > ByteSize::bytes(i64::MAX.unsigned_abs()) {
            return Err(Error::SizeTooLarge { size, max: ByteSize::bytes(i64::MAX.unsigned_abs()) });
        }
        if let Some(format) = self.source.format()
            && !matches!(format, Format::Raw | Format::Qcow2 | Format::Luks | Format::Qed)
        {
            let what = "way to change its size: raw, qcow2, luks and qed have";
            return Err(Error::FormatHasNo { format: format.as_str(), what });
        }
        let is_allocated = match self.preallocation {
            None | Some(Preallocation::Off) => true,
            Some(Preallocation::Metadata) => matches!(self.source.format(), None | Some(Format::Qcow2)),
            Some(_) => self.source.format() != Some(Format::Qed),
        };
        if let (false, Some(format)) = (is_allocated, self.source.format()) {
            return Err(Error::FormatHasNo { format: format.as_str(), what: "preallocation of this mode" });
        }
        let mut out = Invocation::new("resize");
        out.flag(shrinks, "--shrink");
        if let Some(mode) = self.preallocation {
            if sign == "-" && mode != Preallocation::Off {
                return Err(Error::Options(
                    "space is allocated in advance only when an image grows: drop the preallocation",
                ));
            }
            out.option("--preallocation", mode.as_str());
        }
        out.flag(self.quiet, "-q");
        let operand = push_source(&mut out, &self.source)?;
        // A size with a minus would be an option.
        out.arg("--");
        out.arg(operand);
        out.arg(format!("{sign}{size}"));
        out.writes_to(self.source.location().clone());
        Ok(out)
    }
}
