//! An image as it stands on the command line.

use std::ffi::OsString;
use std::path::PathBuf;

use super::{Source, SourceForm, plain_name};
use crate::secret::SecretId;
use crate::{Error, Format, KeyVal, rules};

/// What is read below an image, instead of what it names.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum BackingOverride {
    Cut,
    Image(Source),
}

/// A source as it stands on the command line.
pub(crate) enum Spelled {
    Plain(OsString),
    ImageOpts(OsString),
    Json(OsString),
}

impl Source {
    /// The option that carries the key, if there is a key.
    pub(super) fn key_option(&self) -> Result<Option<&'static str>, Error> {
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

    /// Whether there is more to say than a plain name and a format can.
    fn needs_node(&self) -> bool {
        self.key.is_some() || self.header.is_some() || self.backing.is_some() || !self.options.is_empty()
    }

    /// Whether the location has a plain name, or none because it is refused anyway.
    fn has_plain_name(&self) -> bool {
        !matches!(self.location.plain_name(), Ok(None))
    }

    /// The source as it stands on the command line, with its key under `id`.
    pub(crate) fn spelled(&self, id: &SecretId) -> Result<Spelled, Error> {
        match self.form.unwrap_or_else(|| self.best_form(id)) {
            SourceForm::Plain if self.needs_node() => Err(Error::KeyInPlainForm),
            SourceForm::Plain => Ok(Spelled::Plain(plain_name(&self.location)?)),
            SourceForm::ImageOpts => Ok(Spelled::ImageOpts(self.image_opts(id)?.render())),
            SourceForm::Json => Ok(Spelled::Json(self.json(id)?.into())),
        }
    }

    fn best_form(&self, id: &SecretId) -> SourceForm {
        let cuts = self.backing.as_deref() == Some(&BackingOverride::Cut);
        if !self.needs_node() && self.has_plain_name() {
            SourceForm::Plain
        } else if cuts && self.json(id).is_ok() {
            // The other form says it with a word that qemu has deprecated.
            SourceForm::Json
        } else {
            SourceForm::ImageOpts
        }
    }

    /// The node as a `key=value,…` list.
    pub(crate) fn image_opts(&self, id: &SecretId) -> Result<KeyVal, Error> {
        let mut opts = KeyVal::new();
        if let Some(format) = self.format {
            opts.push("driver", format.as_str());
        }
        opts.push_prefixed("file.", self.location.node()?);
        if let Some(header) = &self.header {
            opts.push_prefixed("header.", header.node()?);
        }
        if let Some(option) = self.key_option()? {
            opts.push(option, id.as_str());
        }
        for (key, value) in self.options.iter() {
            rules::check_key(key)?;
            let has_method = matches!(key.split('.').next(), Some("driver" | "header" | "backing"));
            if has_method || opts.get(key).is_some() {
                return Err(Error::OptionGivenTwice { key: key.to_owned() });
            }
            opts.push(key, value);
        }
        match self.backing.as_deref() {
            None => {}
            Some(BackingOverride::Cut) => opts.push("backing", ""),
            Some(BackingOverride::Image(image)) => {
                opts.push_prefixed("backing.", image.image_opts(&id.backing())?);
            }
        }
        Ok(opts)
    }

    fn json(&self, id: &SecretId) -> Result<String, Error> {
        let opts = self.image_opts(id)?;
        // Flat keys mean the same as nested objects, and keep the order.
        let members = opts.iter().map(|(key, value)| {
            let refused = || Error::PathNotUtf8 { path: PathBuf::from(value) };
            let text = value.to_str().ok_or_else(refused)?;
            // qemu's JSON parser takes no noncharacters, not even escaped.
            if text.chars().map(u32::from).any(|c| (0xfdd0..=0xfdef).contains(&c) || c & 0xfffe == 0xfffe) {
                return Err(refused());
            }
            let cut = key.rsplit('.').next() == Some("backing") && text.is_empty();
            let value = if cut { serde_json::Value::Null } else { text.into() };
            Ok(format!("{}:{value}", serde_json::Value::from(key)))
        });
        Ok(format!("json:{{{}}}", members.collect::<Result<Vec<_>, Error>>()?.join(",")))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_option_is_one_that_has_no_method() {
        let refusal = |key: &str| Source::qcow2("a").option(key, "x").image_opts(&SecretId::source()).unwrap_err();
        for key in ["driver", "backing", "backing.file.filename", "header.filename", "file.filename"] {
            assert!(matches!(refusal(key), Error::OptionGivenTwice { .. }), "{key}");
        }
        for key in ["", "discard=unmap,backing", "a,b"] {
            assert!(matches!(refusal(key), Error::OptionName { .. }), "{key}");
        }
    }

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
