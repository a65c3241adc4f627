//! Images of a command line: plain names, nodes, and images to be made.

use std::ffi::OsStr;

use super::reader::{Reader, bad, not_modelled, read_text};
use crate::{
    CipherAlg, CipherMode, Error, Format, HashAlg, IvgenAlg, KeyVal, Location, Luks, LuksImage, NewImage, Parallels,
    ParseError, Qcow, Qcow2, Qed, Raw, Source, SourceForm, Vdi, Vhdx, Vmdk, Vpc,
};

type Result<T> = std::result::Result<T, ParseError>;

impl Reader<'_> {
    /// An image that exists, with the option that gives its format.
    pub(super) fn source(&self, operand: &OsStr, format: &str) -> Result<Source> {
        if self.flag("image-opts") {
            return self.node(KeyVal::parse(operand));
        }
        self.plain(operand, self.format(format)?)
    }

    /// An image by its plain name, which may be a `json:` node.
    pub(super) fn plain(&self, name: &OsStr, format: Option<Format>) -> Result<Source> {
        if let Some(json) = name.to_str().and_then(|name| name.strip_prefix("json:")) {
            let mut list = KeyVal::from_json(json).ok_or_else(|| bad("json:", name, "a JSON object"))?;
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
        let driver = take(&mut list, "driver")?;
        let format = driver.as_deref().map(str::parse::<Format>);
        let mut source = match format {
            // A protocol with no format over it is what a raw image over it is.
            Some(Err(_)) => {
                let mut node = KeyVal::new().with("driver", driver.unwrap_or_default());
                node.push_prefixed("", &list);
                return self.with_objects(Source::raw(Location::from_node(node)).form(SourceForm::ImageOpts));
            }
            Some(Ok(format)) => Source::new(self.file(&mut list, "file")?, format),
            None => Source::probing(self.file(&mut list, "file")?),
        };
        if let Some(id) = take(&mut list, "encrypt.key-secret")? {
            source = source.qcow2_key(self.key(id.as_ref())?);
        }
        if let Some(id) = take(&mut list, "key-secret")? {
            source = source.key(self.key(id.as_ref())?);
        }
        if list.iter().any(|(key, _)| key.starts_with("header.")) {
            source = source.header(self.file(&mut list, "header")?);
        }
        match list.get("backing") {
            None => {}
            Some(name) if name.is_empty() => source = source.without_backing(),
            Some(_) => return Err(ParseError::NotModelled { what: "a backing file by the name of a node".to_owned() }),
        }
        list.remove("backing");
        let backing = list.take_prefixed("backing.");
        if !backing.is_empty() {
            source = source.backing(self.node(backing)?);
        }
        for (key, value) in list.iter() {
            source = source.option(key, value);
        }
        self.with_objects(source.form(SourceForm::ImageOpts))
    }

    fn file(&self, list: &mut KeyVal, key: &str) -> Result<Location> {
        let mut node = list.take_prefixed(&format!("{key}."));
        let filename = node.get("filename").map(OsStr::to_owned);
        match (node.get("driver"), filename) {
            (None, Some(name)) => {
                node.remove("filename");
                not_modelled(&node)?;
                // A file, also if it looks like a protocol.
                Ok(Location::from(name))
            }
            (None, None) => Err(ParseError::NotModelled { what: "an image without a file".to_owned() }),
            (Some(_), _) => Ok(Location::from_node(node)),
        }
    }

    /// An image to be made, of its create options.
    pub(super) fn new_image(&self, format: Format, mut list: KeyVal) -> Result<NewImage> {
        Ok(match format {
            Format::Raw => Raw::read(list)?.into(),
            Format::Qcow2 => {
                let encryption = list.take_prefixed("encrypt.");
                let image = Qcow2::read(list)?;
                if encryption.is_empty() { image.into() } else { image.encryption(self.luks(encryption, true)?).into() }
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
            _ => return Err(ParseError::NotModelled { what: format!("a new image of format `{format}`") }),
        })
    }

    fn luks(&self, mut list: KeyVal, in_qcow2: bool) -> Result<Luks> {
        if in_qcow2 {
            match take(&mut list, "format")?.as_deref() {
                Some("luks") => {}
                _ => {
                    return Err(ParseError::NotModelled {
                        what: "encryption other than LUKS of a new image".to_owned(),
                    });
                }
            }
        }
        let key =
            take(&mut list, "key-secret")?.ok_or(Error::Options("an encrypted image needs a key: give key-secret"))?;
        let mut luks = Luks::new(self.key(key.as_ref())?);
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
            let time = read_text("iter-time", time.as_ref(), "milliseconds")?;
            luks = luks.iter_time(std::time::Duration::from_millis(time));
        }
        not_modelled(&list)?;
        Ok(luks)
    }
}

/// Takes the last value of a key out of the list.
fn take(list: &mut KeyVal, key: &str) -> Result<Option<String>> {
    let value = list.get(key).map(|value| read_text(key, value, "text in UTF-8")).transpose()?;
    list.remove(key);
    Ok(value)
}

fn word<T: Copy>(list: &mut KeyVal, key: &str, all: &[T], name: impl Fn(T) -> &'static str) -> Result<Option<T>> {
    let Some(text) = take(list, key)? else { return Ok(None) };
    let found = all.iter().copied().find(|value| name(*value) == text);
    found.map(Some).ok_or_else(|| bad(key, text.as_ref(), "a name that LUKS has in qemu"))
}
