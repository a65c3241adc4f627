//! Objects of a command line that its images name.

use std::ffi::OsStr;

use super::reader::Reader;
use crate::image::references;
use crate::{Key, KeyVal, Object, ParseError, ParseErrorKind, SecretId, SecretValue, Source};

impl Reader<'_> {
    /// The source with the objects that its location and its header's location name.
    pub(super) fn with_objects(&self, source: Source) -> Result<Source, ParseError> {
        let mut found = Vec::new();
        for node in source.nodes() {
            for (key, id) in references(&node) {
                self.find(id, &mut found).map_err(|error| error.of_key(key))?;
            }
        }
        Ok(found.into_iter().fold(source, Source::object))
    }

    /// Adds the object with the id, behind the secrets that it names itself.
    fn find(&self, id: &OsStr, found: &mut Vec<Object>) -> Result<(), ParseError> {
        let is_known = |found: &[Object], id: &OsStr| found.iter().any(|object| object.id().as_str() == id);
        if is_known(found, id) {
            return Ok(());
        }
        let object = self.object(id)?;
        for id in object.references() {
            if is_known(found, id) {
                continue;
            }
            let secret = self.object(id)?;
            // Another object is none to qemu, and could name its own, or those above it.
            if secret.references().next().is_some() {
                return Err(ParseErrorKind::NoSecret { id: id.to_string_lossy().into_owned() }.into());
            }
            found.push(secret);
        }
        found.push(object);
        Ok(())
    }

    /// The object with the id.
    fn object(&self, id: &OsStr) -> Result<Object, ParseError> {
        let name = id.to_string_lossy();
        if self.line.secret_objects().iter().any(|object| object.id.as_str() == id) {
            return Ok(Object::secret(SecretId::new(name.as_ref())?, self.secret(&name)?));
        }
        let mut lists = self.line.values("object").filter_map(KeyVal::parse_object);
        let mut list = lists
            .find(|list| list.get("id") == Some(id))
            .ok_or_else(|| ParseErrorKind::NoObject { id: name.clone().into_owned() })?;
        let qom_type = list.take("qom-type").unwrap_or_default().to_string_lossy().into_owned();
        list.take("id");
        let new = Object::new(qom_type, SecretId::new(name)?);
        Ok(list.iter().fold(new, |object, (name, value)| object.property(name, value)))
    }

    /// The key of an object of the command line, which a list's key names.
    pub(super) fn key(&self, key: &str, id: &str) -> Result<Key, ParseError> {
        self.secret(id).map_err(|error| error.of_key(key))
    }

    fn secret(&self, id: &str) -> Result<Key, ParseError> {
        let object = self.line.secret_objects().iter().find(|object| object.id.as_str() == id);
        match &object.ok_or_else(|| ParseErrorKind::NoSecret { id: id.to_owned() })?.value {
            SecretValue::Data(secret) => Ok(Key::Secret(secret.clone())),
            SecretValue::File { path, base64 } => Ok(Key::File { path: path.clone(), base64: *base64 }),
            SecretValue::Encrypted { .. } => Err(ParseError::not_modelled("a secret that is encrypted under another")),
        }
    }
}
