use super::{push_source, setters};
use crate::{ByteSize, Error, Format, Invocation, KeyVal, Location, Source, rules};

/// `qemu-img dd`: copies blocks of an image into a new one.
///
/// ```
/// use qemu_cmd::{Dd, Format, Source};
/// let dd = Dd::new(Source::raw("/a"), "/b", Format::Qcow2).count(2);
/// assert_eq!(dd.invocation()?.to_string(), "qemu-img dd -f raw -O qcow2 count=2 if=/a of=/b");
/// # Ok::<(), qemu_cmd::Error>(())
/// ```
///
/// It is slow: [`Convert`](crate::Convert) copies whole images. Source: qemu-img(1), `dd`.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Dd {
    source: Source,
    target: Location,
    format: Format,
    block_size: Option<ByteSize>,
    count: Option<u64>,
    skip: Option<u64>,
    force_share: bool,
}

impl Dd {
    /// Copies `source` to a new image at `target`. A file that has this name is overwritten.
    pub fn new(source: Source, target: impl Into<Location>, format: Format) -> Self {
        Self { source, target: target.into(), format, block_size: None, count: None, skip: None, force_share: false }
    }

    setters! {
        /// The size of a block, from 1 to 2147483647 bytes. Default: absent, which is 512.
        #[doc(alias = "bs")]
        option block_size: ByteSize;
        /// At how many blocks of the source to stop. Unlike that of dd(1) it **includes those that are skipped**:
        /// with `count` 5 and `skip` 2 three blocks are copied. Default: absent, which is at its end.
        option count: u64;
        /// How many blocks of the source are left out at its start. Default: absent, which is none.
        option skip: u64;
        /// Reads the source even while another process writes it. Default: no.
        #[doc(alias = "-U")]
        flag force_share;
    }

    /// Where the new image is made.
    pub const fn target(&self) -> &Location {
        &self.target
    }

    /// The new image's format.
    #[must_use]
    pub const fn format(&self) -> Format {
        self.format
    }

    /// The same copy to another place.
    pub fn target_at(mut self, location: impl Into<Location>) -> Self {
        self.target = location.into();
        self
    }

    /// The arguments and secrets.
    ///
    /// # Errors
    /// What qemu-img would always reject: see [`Error`].
    pub fn invocation(&self) -> Result<Invocation, Error> {
        if matches!(self.format, Format::Bochs | Format::Cloop | Format::Dmg | Format::Luks) {
            let what = "image that dd can make: it takes no create options, and some formats are only read";
            return Err(Error::FormatHasNo { format: self.format.as_str(), what });
        }
        rules::check_creatable(&self.target, self.format, &KeyVal::new())?;
        rules::check_not_written(&self.source, [&self.target])?;
        if self.block_size.is_some_and(|size| size.as_u64() == 0 || size.as_u64() > 0x7fff_ffff) {
            return Err(Error::Options("a block of dd must have from 1 to 2147483647 bytes"));
        }
        rules::check_signed(&[self.count.map(ByteSize::bytes), self.skip.map(ByteSize::bytes)])?;
        if let (Some(count), Some(skip)) = (self.count, self.skip)
            && count <= skip
        {
            // qemu-img complains, copies nothing, and exits with 0.
            return Err(Error::Options(
                "the count of dd includes the blocks that are skipped: make it larger than skip",
            ));
        }
        let mut out = Invocation::new("dd");
        out.flag(self.force_share, "-U");
        let source = push_source(&mut out, &self.source)?;
        out.option("-O", self.format.as_str());
        let numbers = [("bs", self.block_size.map(ByteSize::as_u64)), ("count", self.count), ("skip", self.skip)];
        for (name, number) in numbers.into_iter().filter_map(|(name, number)| Some((name, number?))) {
            out.arg(format!("{name}={number}"));
        }
        for (name, operand) in [("if=", source), ("of=", crate::image::plain_name(&self.target)?)] {
            let mut arg = std::ffi::OsString::from(name);
            arg.push(operand);
            out.arg(arg);
        }
        out.writes_to(self.target.clone());
        Ok(out)
    }
}
