//! Images of a command line: plain names, nodes, and images to be made.

use std::ffi::OsStr;

use super::reader::{Reader, UTF8, not_modelled, read_key};
use crate::location::is_too_deep;
use crate::{
    CipherAlg, CipherMode, Error, Format, HashAlg, IvgenAlg, KeyVal, Location, Luks, LuksImage, NewImage, Parallels,
    ParseError, ParseErrorKind, Qcow, Qcow2, Qed, Raw, Source, SourceForm, Vdi, Vhdx, Vmdk, Vpc,
};

type Result<T> = std::result::Result<T, ParseError>;

impl Reader<'_> {
    /// The image of an operand, with the option that gives its format.
    pub(super) fn source(&self, operand: usize, format: &str) -> Result<Source> {
        let source = self.operand(operand).and_then(|name| self.source_named(name, format));
        source.map_err(|error| self.line.at_operand(operand, error))
    }

    /// An image that exists, with the option that gives its format.
    pub(super) fn source_named(&self, name: &OsStr, format: &str) -> Result<Source> {
        if self.flag("image-opts") {
            return self.node(KeyVal::parse(name));
        }
        self.plain(name, self.format(format)?)
    }

    /// An image by its plain name, which may be a `json:` node.
    pub(super) fn plain(&self, name: &OsStr, format: Option<Format>) -> Result<Source> {
        if let Some(json) = name.to_str().and_then(|name| name.strip_prefix("json:")) {
            let mut list = KeyVal::from_json(json).ok_or(ParseErrorKind::Json)?;
            // `-f` and the node's own driver must be the same.
            if let (None, Some(format)) = (list.get("driver"), format) {
                list.push("driver", format.as_str());
            }
            return Ok(self.node(list)?.form(SourceForm::Json));
        }
        let location = Location::from_plain_name(name);
        Ok(match format {
            Some(format) => Source::new(location, format),
            None => Source::probing(location),
        })
    }

    /// An image by its node.
    pub(super) fn node(&self, mut list: KeyVal) -> Result<Source> {
        if is_too_deep(&list) {
            return Err(ParseError::not_modelled("a node with so many others below it"));
        }
        let driver = take(&mut list, "driver")?;
        let format = driver.as_deref().map(str::parse::<Format>);
        let mut source = match format {
            // A protocol with no format over it is what a raw image over it is.
            Some(Err(_)) => {
                list.push("driver", driver.unwrap_or_default());
                return self.with_objects(Source::raw(Location::from_node(list)).form(SourceForm::ImageOpts));
            }
            Some(Ok(format)) => Source::new(self.file(&mut list, "file")?, format),
            None => Source::probing(self.file(&mut list, "file")?),
        };
        if let Some(id) = take(&mut list, "encrypt.key-secret")? {
            source = source.qcow2_key(self.key("encrypt.key-secret", &id)?);
        }
        if let Some(id) = take(&mut list, "key-secret")? {
            source = source.key(self.key("key-secret", &id)?);
        }
        if list.iter().any(|(key, _)| key.starts_with("header.")) {
            source = source.header(self.file(&mut list, "header")?);
        }
        match list.get("backing") {
            None => {}
            Some(name) if name.is_empty() => source = source.without_backing(),
            Some(_) => return Err(ParseError::not_modelled("a backing file by the name of a node").of_key("backing")),
        }
        list.take("backing");
        let backing = list.take_prefixed("backing.");
        if !backing.is_empty() {
            source = source.backing(self.node(backing).map_err(|error| error.under("backing."))?);
        }
        for (key, value) in list.iter() {
            source = source.option(key, value);
        }
        self.with_objects(source.form(SourceForm::ImageOpts))
    }

    fn file(&self, list: &mut KeyVal, key: &str) -> Result<Location> {
        let node = list.take_prefixed(&[key, "."].concat());
        if node.get("driver").is_none() && node.get("filename").is_none() {
            return Err(ParseError::not_modelled("an image without a file"));
        }
        Ok(Location::from_node(node))
    }

    /// An image to be made: the format that the option gives, and create options.
    pub(super) fn new_image(&self, option: &str, list: KeyVal) -> Result<NewImage> {
        let format = self.format(option)?.unwrap_or(Format::Raw);
        let image = self.image_of(format, list).map_err(|error| self.line.in_create_options(error))?;
        let read_only = || ParseError::not_modelled(format!("a new image of format `{format}`"));
        image.ok_or_else(|| self.line.at_value(option, read_only()))
    }

    /// `None` if images of that format are only read.
    fn image_of(&self, format: Format, mut list: KeyVal) -> Result<Option<NewImage>> {
        Ok(Some(match format {
            Format::Raw => Raw::read(list)?.into(),
            Format::Qcow2 => {
                let encryption = list.take_prefixed("encrypt.");
                let image = Qcow2::read(list)?;
                if encryption.is_empty() {
                    image.into()
                } else {
                    image.encryption(self.luks(encryption, true).map_err(|error| error.under("encrypt."))?).into()
                }
            }
            Format::Luks => {
                let preallocation = crate::format::options::take(&mut list, "preallocation");
                let detached = crate::format::options::take(&mut list, "detached-header");
                let mut image = LuksImage::new(self.luks(list, false)?);
                if let Some(mode) = preallocation {
                    image = image.preallocation(mode);
                }
                if let Some(on) = detached {
                    image = image.detached_header(on);
                }
                image.into()
            }
            Format::Vmdk => Vmdk::read(list)?.into(),
            Format::Vdi => Vdi::read(list)?.into(),
            Format::Vpc => Vpc::read(list)?.into(),
            Format::Vhdx => Vhdx::read(list)?.into(),
            Format::Qed => Qed::read(list)?.into(),
            Format::Parallels => Parallels::read(list)?.into(),
            Format::Qcow => Qcow::read(list)?.into(),
            Format::Bochs | Format::Cloop | Format::Dmg => return Ok(None),
        }))
    }

    fn luks(&self, mut list: KeyVal, in_qcow2: bool) -> Result<Luks> {
        if in_qcow2 {
            match take(&mut list, "format")?.as_deref() {
                Some("luks") => {}
                _ => return Err(ParseError::not_modelled("encryption other than LUKS of a new image").of_key("format")),
            }
        }
        let key =
            take(&mut list, "key-secret")?.ok_or(Error::Options("an encrypted image needs a key: give key-secret"))?;
        let mut luks = Luks::new(self.key("key-secret", &key)?);
        if let Some(cipher) = word(&mut list, "cipher-alg", CipherAlg::ALL, CipherAlg::as_str)? {
            luks = luks.cipher(cipher);
        }
        if let Some(mode) = word(&mut list, "cipher-mode", CipherMode::ALL, CipherMode::as_str)? {
            luks = luks.mode(mode);
        }
        if let Some(hash) = word(&mut list, "hash-alg", HashAlg::ALL, HashAlg::as_str)? {
            luks = luks.hash(hash);
        }
        if let Some(ivgen) = word(&mut list, "ivgen-alg", IvgenAlg::ALL, IvgenAlg::as_str)? {
            luks = luks.ivgen(ivgen);
        }
        if let Some(hash) = word(&mut list, "ivgen-hash-alg", HashAlg::ALL, HashAlg::as_str)? {
            luks = luks.ivgen_hash(hash);
        }
        if let Some(time) = take(&mut list, "iter-time")? {
            let time = read_key("iter-time", time.as_ref(), "write milliseconds")?;
            luks = luks.iter_time(std::time::Duration::from_millis(time));
        }
        not_modelled(&list)?;
        Ok(luks)
    }
}

/// Takes the last value of a key out of the list.
pub(super) fn take(list: &mut KeyVal, key: &str) -> Result<Option<String>> {
    let Some(value) = list.take(key) else { return Ok(None) };
    value.into_string().map(Some).map_err(|value| ParseError::value(key, &value, UTF8).of_key(key))
}

fn word<T: Copy>(list: &mut KeyVal, key: &str, all: &[T], name: impl Fn(T) -> &'static str) -> Result<Option<T>> {
    let Some(text) = take(list, key)? else { return Ok(None) };
    let found = all.iter().copied().find(|value| name(*value) == text);
    found
        .map(Some)
        .ok_or_else(|| ParseError::value(key, text.as_ref(), "write a name that LUKS has in qemu").of_key(key))
}
