use super::node::BackingOverride;
use crate::command_line::places;
use crate::secret::SecretId;
use crate::{Error, Format, Key, KeyVal, Location, Object, rules};

/// How a source is written on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SourceForm {
    /// A plain name with `-f`: any path, but nothing else to say about the image. What is chosen for an image without a
    /// key.
    Plain,
    /// `--image-opts` with a `driver=…,file.filename=…` node: any path, any key. What is chosen for an image
    /// with a key.
    ImageOpts,
    /// A `json:{…}` node: UTF-8 paths only. What is chosen for an image whose backing file is cut off, if its path
    /// allows.
    Json,
}

/// An image that exists.
///
/// It has a format. Where nobody knows the format, [`probing`](Self::probing) says what that risks.
#[derive(Clone, Debug)]
#[must_use]
pub struct Source {
    pub(super) location: Location,
    pub(super) format: Option<Format>,
    pub(super) key: Option<Key>,
    /// For a probed image: whether the key is one for `qcow2` rather than for `luks`.
    pub(super) qcow2_key: bool,
    pub(super) header: Option<Location>,
    pub(super) backing: Option<Box<BackingOverride>>,
    pub(super) options: KeyVal,
    pub(super) objects: Vec<Object>,
    pub(super) form: Option<SourceForm>,
}

impl PartialEq for Source {
    /// Two are the same if they mean the same image, however they are spelled.
    fn eq(&self, other: &Self) -> bool {
        let Self { location, format, key, qcow2_key, header, backing, options, objects, form: _ } = self;
        *location == other.location
            && *format == other.format
            && *key == other.key
            && *qcow2_key == other.qcow2_key
            && *header == other.header
            && *backing == other.backing
            && *options == other.options
            && *objects == other.objects
    }
}

impl Source {
    /// An image of a known format.
    pub fn new(location: impl Into<Location>, format: Format) -> Self {
        Self { format: Some(format), ..Self::probing(location) }
    }

    /// A raw image.
    pub fn raw(location: impl Into<Location>) -> Self {
        Self::new(location, Format::Raw)
    }

    /// A qcow2 image. An encrypted one also needs its [`key`](Self::key).
    pub fn qcow2(location: impl Into<Location>) -> Self {
        Self::new(location, Format::Qcow2)
    }

    /// A LUKS volume and its key.
    pub fn luks(location: impl Into<Location>, key: impl Into<Key>) -> Self {
        Self::new(location, Format::Luks).key(key)
    }

    /// An image whose format **qemu-img guesses from its content**.
    ///
    /// Whoever wrote the content chooses the format: a guest that writes a qcow2 header with a backing file
    /// to its raw disk gets that file's content read (CVE-2024-32498, CVE-2026-24708). Use it only for images
    /// that you made yourself.
    pub fn probing(location: impl Into<Location>) -> Self {
        Self {
            location: location.into(),
            format: None,
            key: None,
            qcow2_key: false,
            header: None,
            backing: None,
            options: KeyVal::new(),
            objects: Vec::new(),
            form: None,
        }
    }

    /// The key of an encrypted image. An image that is [probed](Self::probing) takes it as a LUKS volume's key;
    /// for a probed qcow2 image see [`qcow2_key`](Self::qcow2_key).
    ///
    /// A key for an image that turns out not to be encrypted is ignored by qemu-img; one for a format that has
    /// no encryption is refused. With the encryption that came before LUKS, a wrong key is no error: qemu-img **reads
    /// garbage** and exits with 0.
    #[doc(alias = "key-secret")]
    pub fn key(mut self, key: impl Into<Key>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// The key of an encrypted qcow2 image whose format is probed.
    #[doc(alias = "encrypt.key-secret")]
    pub fn qcow2_key(mut self, key: impl Into<Key>) -> Self {
        self.qcow2_key = self.format.is_none();
        self.key(key)
    }

    /// The file that holds the header of a LUKS volume, where that is detached from the data (9.0).
    pub fn header(mut self, location: impl Into<Location>) -> Self {
        self.header = Some(location.into());
        self
    }

    /// Reads this image below it, instead of the backing file that it names. It can have a key and a backing file of
    /// its own, so a whole chain can be given, with a key for each encrypted layer.
    pub fn backing(mut self, image: Self) -> Self {
        self.backing = Some(Box::new(BackingOverride::Image(image)));
        self
    }

    /// Reads nothing below it, whatever backing file it names: what it lacks reads as zeros.
    #[doc(alias = "backing=null")]
    pub fn without_backing(mut self) -> Self {
        self.backing = Some(Box::new(BackingOverride::Cut));
        self
    }

    /// Another option of the image's node, such as `discard` or `lazy-refcounts`, by qemu's name. They are written in
    /// the order of their names, since a node has no other.
    pub fn option(mut self, key: impl Into<String>, value: impl Into<std::ffi::OsString>) -> Self {
        let options = self.options.with(key, value);
        let mut pairs: Vec<_> = options.iter().collect();
        pairs.sort_by_key(|(key, _)| *key);
        self.options = pairs.into_iter().fold(KeyVal::new(), |list, (key, value)| list.with(key, value));
        self
    }

    /// Writes the source in this form. Default: the one that [`SourceForm`] says is chosen.
    pub const fn form(mut self, form: SourceForm) -> Self {
        self.form = Some(form);
        self
    }

    /// Where it is.
    #[must_use]
    pub const fn location(&self) -> &Location {
        &self.location
    }

    /// Its format; `None` if it is probed.
    #[must_use]
    pub const fn format(&self) -> Option<Format> {
        self.format
    }

    /// The places that it is put together of: its own first, then that of its header and those of what is given below
    /// it.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &Location> {
        let images = std::iter::successors(Some(self), |image| image.given_below());
        images.flat_map(|image| std::iter::once(&image.location).chain(&image.header))
    }

    /// The image that is read below it instead of the backing file that it names.
    pub(crate) fn given_below(&self) -> Option<&Self> {
        match self.backing.as_deref() {
            Some(BackingOverride::Image(image)) => Some(image),
            _ => None,
        }
    }

    /// The same source at another place.
    pub fn at(mut self, location: impl Into<Location>) -> Self {
        self.location = location.into();
        self
    }

    /// Without the keys, of which `info` needs none.
    pub(crate) fn without_keys(mut self) -> Self {
        self.key = None;
        self.qcow2_key = false;
        if let Some(BackingOverride::Image(image)) = self.backing.as_deref_mut() {
            *image = image.clone().without_keys();
        }
        self
    }

    /// Whether it is encrypted, as far as it has a key.
    pub(crate) const fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// Whether it has nothing that its format has not.
    pub(crate) fn check_fits_format(&self) -> Result<(), Error> {
        if self.header.is_some() && self.format != Some(Format::Luks) {
            return Err(Error::Options("only a luks image has a detached header: drop it, or give the format as luks"));
        }
        self.key_option().map(|_| ())
    }

    /// Whether the image's content can be read or written, as far as can be said without looking at it.
    pub(crate) fn check_openable(&self) -> Result<(), Error> {
        self.check_fits_format()?;
        if self.format == Some(Format::Luks) && self.key.is_none() {
            return Err(Error::LuksNeedsKey { name: self.name() });
        }
        match self.given_below() {
            Some(image) => {
                self.format.map_or(Ok(()), rules::check_backing)?;
                image.check_openable()
            }
            None => Ok(()),
        }
    }

    /// Whether it can be qcow2, as far as is known: a probed image with the other key is none.
    pub(crate) fn may_be_qcow2(&self) -> bool {
        self.format.map_or(self.key.is_none() || self.qcow2_key, |format| format == Format::Qcow2)
    }

    /// Some subcommands open no image below, and then take none.
    pub(crate) fn check_nothing_below(&self, subcommand: &'static str) -> Result<(), Error> {
        match self.given_below() {
            Some(_) => Err(Error::BackingOverrideUnused { subcommand }),
            None => Ok(()),
        }
    }

    /// Whether snapshots can be made in it: qcow2 has them, and under any other format a place that has some, which a
    /// file has not.
    pub(crate) fn check_snapshots(&self) -> Result<(), Error> {
        let is_file = || self.places().first().is_some_and(|place| place.path().is_some());
        rules::check_qcow2(self.format.filter(|_| is_file()), "internal snapshots")
    }

    /// The places of the image and of what lies below it, its own first.
    pub(crate) fn places(&self) -> Vec<Location> {
        let node = self.image_opts(&SecretId::source());
        node.map_or_else(|_| vec![self.location.clone()], |node| places(&node))
    }

    pub(crate) fn name(&self) -> String {
        self.location.display_name()
    }
}
