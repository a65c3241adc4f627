use super::{SourceSnapshot, push_create_options, push_source, setters};
use crate::invocation::OutputKind;
use crate::{ByteSize, Error, Format, Invocation, NewImage, Source, rules};

/// `qemu-img measure`: how large the file of a new image would be; as JSON.
///
/// ```
/// use qemu_cmd::{ByteSize, Measure, Qcow2, Source};
/// assert_eq!(
///     Measure::image(Source::raw("/a"), Qcow2::new()).invocation()?.to_string(),
///     "qemu-img measure --output=json -O qcow2 -f raw /a"
/// );
/// assert_eq!(
///     Measure::size(ByteSize::gib(1), Qcow2::new()).invocation()?.to_string(),
///     "qemu-img measure --output=json -O qcow2 --size 1073741824"
/// );
/// # Ok::<(), qemu_cmd::Error>(())
/// ```
///
/// Only raw, qcow2 and luks can be measured. Source: qemu-img(1), `measure`.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Measure {
    of: Of,
    target: NewImage,
    snapshot: Option<SourceSnapshot>,
    force_share: bool,
    human: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum Of {
    Size(ByteSize),
    Image(Box<Source>),
}

impl Measure {
    /// An empty image of this virtual size.
    #[doc(alias = "--size")]
    pub fn size(size: ByteSize, target: impl Into<NewImage>) -> Self {
        Self { of: Of::Size(size), target: target.into(), snapshot: None, force_share: false, human: false }
    }

    /// An image that `source` would be converted to.
    pub fn image(source: Source, target: impl Into<NewImage>) -> Self {
        Self {
            of: Of::Image(Box::new(source)),
            target: target.into(),
            snapshot: None,
            force_share: false,
            human: false,
        }
    }

    setters! {
        /// Prints text for people instead of JSON, which the types of `qemu-info` cannot read. Default: no.
        #[doc(alias = "--output")]
        flag human;
        /// Opens the source even while another process writes it. Default: no.
        #[doc(alias = "-U")]
        flag force_share;
    }

    /// Measures an internal snapshot of the source. Default: absent, which is its current state.
    #[doc(alias = "-l")]
    pub fn snapshot(mut self, snapshot: SourceSnapshot) -> Self {
        self.snapshot = Some(snapshot);
        self
    }

    /// The arguments and secrets.
    ///
    /// # Errors
    /// What qemu-img would always reject: see [`Error`].
    pub fn invocation(&self) -> Result<Invocation, Error> {
        let format = self.target.format();
        if !matches!(format, Format::Raw | Format::Qcow2 | Format::Luks) {
            return Err(Error::MeasureUnsupported { format: format.as_str() });
        }
        let mut out = Invocation::new("measure");
        out.flag(!self.human, "--output=json");
        out.option("-O", format.as_str());
        out.flag(self.force_share, "-U");
        let options = self.target.options()?;
        if options.pairs.get("detached-header").is_some() {
            return Err(Error::Options("measure knows no detached header: measure the volume without it"));
        }
        match &self.of {
            Of::Size(size) => {
                if self.snapshot.is_some() || self.force_share {
                    return Err(Error::Options("a size has no snapshot and is not shared: measure an image"));
                }
                self.target.check_size(*size)?;
                push_create_options(&mut out, options)?;
                out.option("--size", size.to_string());
            }
            Of::Image(source) => {
                if let Some(snapshot) = &self.snapshot {
                    rules::check_qcow2(source.format(), "internal snapshots")?;
                    out.option("-l", snapshot.render()?);
                }
                let operand = push_source(&mut out, source)?;
                push_create_options(&mut out, options)?;
                out.arg(operand);
            }
        }
        out.prints(if self.human { OutputKind::Text } else { OutputKind::Json });
        Ok(out)
    }
}
