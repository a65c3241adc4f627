//! Images that a command reads or writes.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::secret::SecretId;
use crate::{Error, Format, KeyVal, Location, NewImage, Secret};

/// How a source is written on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SourceForm {
    /// A plain name with `-f`: any path, no key. What is chosen for an image without a key.
    Plain,
    /// `--image-opts` with a `driver=…,file.filename=…` node: any path, any key. What is chosen for an image
    /// with a key.
    ImageOpts,
    /// A `json:{…}` node: UTF-8 paths only.
    Json,
}

/// An image that exists and is read.
///
/// It has a format. Where nobody knows the format, [`probing`](Self::probing) says what that risks.
#[derive(Clone, Debug)]
#[must_use]
pub struct Source {
    location: Location,
    format: Option<Format>,
    key: Option<Secret>,
    /// For a probed image: whether the key is one for `qcow2` rather than for `luks`.
    qcow2_key: bool,
    form: Option<SourceForm>,
}

impl PartialEq for Source {
    fn eq(&self, other: &Self) -> bool {
        let rest = |source: &Self| (source.location.clone(), source.format, source.qcow2_key, source.form);
        let keys = match (&self.key, &other.key) {
            (Some(key), Some(other)) => key.same(other),
            (None, None) => true,
            _ => false,
        };
        keys && rest(self) == rest(other)
    }
}

impl Source {
    /// An image of a known format.
    pub fn new(location: impl Into<Location>, format: Format) -> Self {
        Self { location: location.into(), format: Some(format), key: None, qcow2_key: false, form: None }
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
    pub fn luks(location: impl Into<Location>, key: Secret) -> Self {
        Self::new(location, Format::Luks).key(key)
    }

    /// An image whose format **qemu-img guesses from its content**.
    ///
    /// Whoever wrote the content chooses the format: a guest that writes a qcow2 header with a backing file
    /// to its raw disk gets that file's content read (CVE-2024-32498, CVE-2026-24708). Use it only for images
    /// that you made yourself.
    pub fn probing(location: impl Into<Location>) -> Self {
        Self { location: location.into(), format: None, key: None, qcow2_key: false, form: None }
    }

    /// The key of an encrypted image. An image that is [probed](Self::probing) takes it as a LUKS volume's key;
    /// for a probed qcow2 image see [`qcow2_key`](Self::qcow2_key).
    ///
    /// A key for an image that turns out not to be encrypted is ignored by qemu-img; one for a format that has
    /// no encryption is refused.
    #[doc(alias = "key-secret")]
    pub fn key(mut self, key: Secret) -> Self {
        self.key = Some(key);
        self
    }

    /// The key of an encrypted qcow2 image whose format is probed.
    #[doc(alias = "encrypt.key-secret")]
    pub fn qcow2_key(mut self, key: Secret) -> Self {
        self.qcow2_key = true;
        self.key(key)
    }

    /// Writes the source in this form. Default: plain without a key, image-opts with one.
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

    /// The same source at another place.
    pub fn at(mut self, location: impl Into<Location>) -> Self {
        self.location = location.into();
        self
    }

    pub(crate) fn without_key(mut self) -> Self {
        self.key = None;
        self
    }

    pub(crate) fn secret(&self) -> Option<&Secret> {
        self.key.as_ref()
    }

    /// The option that carries the key, if there is a key.
    fn key_option(&self) -> Result<Option<&'static str>, Error> {
        if self.key.is_none() {
            return Ok(None);
        }
        let format = match self.format {
            Some(format) => format,
            None if self.qcow2_key => Format::Qcow2,
            None => Format::Luks,
        };
        let option = format.key_option().ok_or(Error::KeyForPlainFormat { format: format.as_str() })?;
        Ok(Some(option))
    }

    pub(crate) fn check_key_fits(&self) -> Result<(), Error> {
        self.key_option().map(|_| ())
    }

    /// Whether the image's content can be read or written, as far as can be said without looking at it.
    pub(crate) fn check_openable(&self) -> Result<(), Error> {
        self.check_key_fits()?;
        if self.format == Some(Format::Luks) && self.key.is_none() {
            return Err(Error::LuksNeedsKey { name: self.name() });
        }
        Ok(())
    }

    pub(crate) fn name(&self) -> String {
        match &self.location {
            Location::Protocol(name) => name.to_string_lossy().into_owned(),
            Location::File(path) | Location::HostDevice(path) => path.display().to_string(),
        }
    }

    /// The source as it stands on the command line, with its key under `id`.
    pub(crate) fn spelled(&self, id: &SecretId) -> Result<Spelled, Error> {
        let chosen = if self.key.is_some() { SourceForm::ImageOpts } else { SourceForm::Plain };
        match self.form.unwrap_or(chosen) {
            SourceForm::Plain if self.key.is_some() => Err(Error::KeyInPlainForm),
            SourceForm::Plain => Ok(Spelled::Plain(self.location.plain_name()?)),
            SourceForm::ImageOpts => Ok(Spelled::ImageOpts(self.image_opts(id)?.render())),
            SourceForm::Json => Ok(Spelled::Json(self.json(id)?.into())),
        }
    }

    /// The node as a `key=value,…` list.
    pub(crate) fn image_opts(&self, id: &SecretId) -> Result<KeyVal, Error> {
        let (driver, filename) = self.location.node()?;
        let mut opts = KeyVal::new();
        if let Some(format) = self.format {
            opts = opts.with("driver", format.as_str());
        }
        opts = opts.with("file.driver", driver).with("file.filename", filename);
        if let Some(option) = self.key_option()? {
            opts = opts.with(option, id.as_str());
        }
        Ok(opts)
    }

    fn json(&self, id: &SecretId) -> Result<String, Error> {
        let (driver, filename) = self.location.node()?;
        let refused = |name: OsString| Error::PathNotUtf8 { path: PathBuf::from(name) };
        let filename = filename.into_string().map_err(refused)?;
        // qemu's JSON parser takes no noncharacters, not even escaped.
        if filename.chars().map(u32::from).any(|c| (0xfdd0..=0xfdef).contains(&c) || c & 0xfffe == 0xfffe) {
            return Err(refused(filename.into()));
        }
        let mut pairs = Vec::new();
        if let Some(format) = self.format {
            pairs.push(("driver", format.as_str().to_owned()));
        }
        pairs.push(("file.driver", driver.to_owned()));
        pairs.push(("file.filename", filename));
        if let Some(option) = self.key_option()? {
            pairs.push((option, id.to_string()));
        }
        // Flat keys mean the same as nested objects, and keep the order.
        let members: Vec<String> =
            pairs.into_iter().map(|(key, value)| format!("\"{key}\":{}", serde_json::Value::from(value))).collect();
        Ok(format!("json:{{{}}}", members.join(",")))
    }
}

/// A source as it stands on the command line.
pub(crate) enum Spelled {
    Plain(OsString),
    ImageOpts(OsString),
    Json(OsString),
}

/// The image that a convert writes.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Target(pub(crate) TargetKind);

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TargetKind {
    New { location: Location, image: NewImage },
    Existing(Source),
}

impl Target {
    /// A new image. A file that has this name is overwritten.
    pub fn new(location: impl Into<Location>, image: impl Into<NewImage>) -> Self {
        Self(TargetKind::New { location: location.into(), image: image.into() })
    }

    /// An image or device that exists, is large enough, and keeps its format and key (`-n`).
    #[doc(alias = "-n")]
    pub const fn existing(image: Source) -> Self {
        Self(TargetKind::Existing(image))
    }

    /// Where it is.
    #[must_use]
    pub const fn location(&self) -> &Location {
        match &self.0 {
            TargetKind::New { location, .. } => location,
            TargetKind::Existing(image) => image.location(),
        }
    }
}

/// The plain name of a place that can only be given so.
pub(crate) fn plain_name(location: &Location) -> Result<OsString, Error> {
    location.plain_name()
}

/// A backing file: a place and the format of the image there, which is never probed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Backing {
    location: Location,
    format: Format,
}

impl Backing {
    /// The image at `location`. A relative path is relative to the directory of the image that it backs.
    pub fn new(location: impl Into<Location>, format: Format) -> Self {
        Self { location: location.into(), format }
    }

    /// Where it is.
    #[must_use]
    pub const fn location(&self) -> &Location {
        &self.location
    }

    /// Its format.
    #[must_use]
    pub const fn format(&self) -> Format {
        self.format
    }

    pub(crate) fn name(&self) -> Result<OsString, Error> {
        // The field of the qcow2 header holds 1023 bytes.
        const MAX: usize = 1023;
        let name = self.location.plain_name()?;
        let length = name.as_encoded_bytes().len();
        if length > MAX {
            return Err(Error::BackingNameTooLong { path: PathBuf::from(name), length });
        }
        Ok(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_json_node_is_what_qemu_takes_for_utf8() {
        let spelled = |path: &str| Source::raw(path).form(SourceForm::Json).spelled(&SecretId::source()).map(drop);
        for path in ["a", "é\u{fffd}", "\u{fdcf}\u{fdf0}", "\u{1f4be}"] {
            assert_eq!(spelled(path), Ok(()), "{path:?}");
        }
        for path in ["\u{fdd0}", "\u{ffff}", "a\u{1fffe}"] {
            assert!(matches!(spelled(path), Err(Error::PathNotUtf8 { .. })), "{path:?}");
        }
    }
}
