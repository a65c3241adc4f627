use super::{push_source, setters};
use crate::invocation::OutputKind;
use crate::{ByteSize, Error, Invocation, Source, rules};

/// `qemu-img map`: which parts of an image hold data, and in which image of the chain; as JSON.
///
/// ```
/// use qemu_cmd::{Map, Source};
/// assert_eq!(
///     Map::new(Source::qcow2("/a")).invocation()?.to_string(),
///     "qemu-img map --output=json -f qcow2 /a"
/// );
/// # Ok::<(), qemu_cmd::Error>(())
/// ```
///
/// Source: qemu-img(1), `map`.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Map {
    source: Source,
    start_offset: Option<ByteSize>,
    max_length: Option<ByteSize>,
    force_share: bool,
    human: bool,
}

impl Map {
    /// Maps `source`.
    pub const fn new(source: Source) -> Self {
        Self { source, start_offset: None, max_length: None, force_share: false, human: false }
    }

    /// The image.
    pub const fn source(&self) -> &Source {
        &self.source
    }

    setters! {
        /// Prints text for people instead of JSON, which the types of `qemu-info` cannot read. Default: no.
        #[doc(alias = "--output")]
        flag human;
        /// Where to begin (since 5.2). Default: absent, which is 0.
        #[doc(alias = "-s")]
        option start_offset: ByteSize;
        /// How many bytes to look at (since 5.2). Default: absent, which is all.
        #[doc(alias = "-l")]
        option max_length: ByteSize;
        /// Opens the image even while another process writes it. Default: no.
        #[doc(alias = "-U")]
        flag force_share;
    }

    /// The arguments and secrets.
    ///
    /// # Errors
    /// What qemu-img would always reject: see [`Error`].
    pub fn invocation(&self) -> Result<Invocation, Error> {
        rules::check_signed(&[self.start_offset, self.max_length])?;
        let mut out = Invocation::new("map");
        out.flag(!self.human, "--output=json");
        if let Some(offset) = self.start_offset {
            out.option("-s", offset.to_string());
        }
        if let Some(length) = self.max_length {
            out.option("-l", length.to_string());
        }
        out.flag(self.force_share, "-U");
        let operand = push_source(&mut out, &self.source)?;
        out.arg(operand);
        out.prints(if self.human { OutputKind::Text } else { OutputKind::Json });
        Ok(out)
    }
}
