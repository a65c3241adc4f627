use crate::format::Preallocation;
use crate::{Backing, ByteSize, Error, Format, Invocation, Location, NewImage, rules};

use super::push_create_options;
use crate::image::plain_name;

/// `qemu-img create`: makes an image.
///
/// ```
/// use qemu_cmd::{Backing, ByteSize, Create, Format, Qcow2};
/// let create = Create::new("disk.qcow2", Qcow2::new(), ByteSize::gib(10));
/// assert_eq!(create.invocation()?.to_string(), "qemu-img create -f qcow2 ./disk.qcow2 10737418240");
///
/// let overlay = Create::overlay("/vm/top.qcow2", Qcow2::new(), Backing::new("/vm/base.raw", Format::Raw));
/// assert_eq!(
///     overlay.invocation()?.to_string(),
///     "qemu-img create -f qcow2 -b /vm/base.raw -F raw /vm/top.qcow2"
/// );
/// # Ok::<(), qemu_cmd::Error>(())
/// ```
///
/// The order of the arguments is fixed: `-f`, `-q`, the key and `-o` options, `-b` and `-F`, `-u`, file, size.
/// Source: qemu-img(1), `create`.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Create {
    location: Location,
    image: NewImage,
    size: Option<ByteSize>,
    backing: Option<Backing>,
    backing_unchecked: bool,
    quiet: bool,
}

impl Create {
    /// An image of this virtual size. A file that has this name is overwritten.
    pub fn new(location: impl Into<Location>, image: impl Into<NewImage>, size: ByteSize) -> Self {
        Self {
            location: location.into(),
            image: image.into(),
            size: Some(size),
            backing: None,
            backing_unchecked: false,
            quiet: false,
        }
    }

    /// An image that holds the differences to `backing`, and takes its virtual size from there unless
    /// [`size`](Self::size) says otherwise.
    #[doc(alias = "-b")]
    pub fn overlay(location: impl Into<Location>, image: impl Into<NewImage>, backing: Backing) -> Self {
        Self {
            location: location.into(),
            image: image.into(),
            size: None,
            backing: Some(backing),
            backing_unchecked: false,
            quiet: false,
        }
    }

    /// The virtual size.
    pub const fn size(mut self, size: ByteSize) -> Self {
        self.size = Some(size);
        self
    }

    /// Does not open the backing file, which then need not exist; a size must be given. Default: no.
    #[doc(alias = "-u")]
    pub const fn backing_unchecked(mut self, on: bool) -> Self {
        self.backing_unchecked = on;
        self
    }

    /// Does not print what was made. Default: no.
    #[doc(alias = "-q")]
    pub const fn quiet(mut self, on: bool) -> Self {
        self.quiet = on;
        self
    }

    /// Where the image is made.
    pub const fn location(&self) -> &Location {
        &self.location
    }

    /// What is made.
    #[must_use]
    pub const fn image(&self) -> &NewImage {
        &self.image
    }

    /// The same image at another place.
    pub fn at(mut self, location: impl Into<Location>) -> Self {
        self.location = location.into();
        self
    }

    /// The arguments and secrets.
    ///
    /// # Errors
    /// What qemu-img would always reject or get silently wrong: see [`Error`].
    pub fn invocation(&self) -> Result<Invocation, Error> {
        let options = self.image.options()?;
        if let Some(size) = self.size {
            self.image.check_size(size)?;
        }
        if self.size.is_none() && (self.backing.is_none() || self.backing_unchecked) {
            return Err(Error::SizeMissing);
        }
        if let Some(backing) = &self.backing {
            rules::check_backing(self.image.format())?;
            rules::check_not_own_backing(&self.location, backing)?;
            // qemu-img compares the names too, wherever they lead.
            if self.location.is_same(backing.location()) {
                return Err(Error::SameFile { name: self.location.to_string() });
            }
            if options.data_file_raw {
                return Err(Error::Options(
                    "a raw data file holds all there is: drop data_file_raw or the backing file",
                ));
            }
            if self.image.format() == Format::Vmdk && backing.format() != Some(Format::Vmdk) && !self.backing_unchecked
            {
                return Err(Error::Options("the backing file of a vmdk image must be one too"));
            }
        }
        let preallocated = options.preallocation.is_some_and(|mode| mode != Preallocation::Off);
        if self.backing.is_some() && preallocated && !options.extended_l2 {
            return Err(Error::PreallocationWithBacking);
        }
        rules::check_creatable(&self.location, self.image.format(), &options.pairs)?;
        let mut out = Invocation::new("create");
        out.option("-f", self.image.format().as_str());
        out.flag(self.quiet, "-q");
        push_create_options(&mut out, options)?;
        if let Some(backing) = &self.backing {
            out.option("-b", backing.name()?);
            if let Some(format) = backing.format() {
                out.option("-F", format.as_str());
            }
            if !self.backing_unchecked {
                out.reads_from(backing.location().clone());
            }
        }
        out.flag(self.backing_unchecked, "-u");
        out.arg(plain_name(&self.location)?);
        if let Some(size) = self.size {
            out.arg(size.to_string());
        }
        out.writes_to(self.location.clone());
        Ok(out)
    }
}
