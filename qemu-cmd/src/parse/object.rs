//! Objects of a command line that its images name.

use std::ffi::OsStr;

use super::reader::Reader;
use crate::image::references;
use crate::{Key, KeyVal, Object, ParseError, SecretId, SecretValue, Source};

impl Reader<'_> {
    /// The source with the objects that its location and its header's location name.
    pub(super) fn with_objects(&self, source: Source) -> Result<Source, ParseError> {
        let mut found = Vec::new();
        for node in source.nodes() {
            for id in references(&node) {
                self.find(id, &mut found)?;
            }
        }
        Ok(found.into_iter().fold(source, Source::object))
    }

    /// Adds the object with the id, behind those that it names itself.
    fn find(&self, id: &OsStr, found: &mut Vec<Object>) -> Result<(), ParseError> {
        if found.iter().any(|object| object.id().as_str() == id) {
            return Ok(());
        }
        if self.line.secret_objects().iter().any(|object| object.id.as_str() == id) {
            let key = self.key(id)?;
            found.push(Object::secret(SecretId::new(id.to_string_lossy())?, key));
            return Ok(());
        }
        let mut lists = self.line.values("object").filter_map(KeyVal::parse_object);
        let mut list = lists
            .find(|list| list.get("id") == Some(id))
            .ok_or_else(|| ParseError::NoObject { id: id.to_string_lossy().into_owned() })?;
        let qom_type = list.get("qom-type").unwrap_or_default().to_string_lossy().into_owned();
        list.remove("qom-type");
        list.remove("id");
        let new = Object::new(qom_type, SecretId::new(id.to_string_lossy())?);
        let object = list.iter().fold(new, |object, (name, value)| object.property(name, value));
        for id in object.references() {
            self.find(id, found)?;
        }
        found.push(object);
        Ok(())
    }

    /// The key of an object of the command line.
    pub(super) fn key(&self, id: &OsStr) -> Result<Key, ParseError> {
        let object = self.line.secret_objects().iter().find(|object| object.id.as_str() == id);
        let object = object.ok_or_else(|| ParseError::NoSecret { id: id.to_string_lossy().into_owned() })?;
        match &object.value {
            SecretValue::Data(secret) => Ok(Key::Secret(secret.clone())),
            SecretValue::File { path, base64 } => Ok(Key::File { path: path.clone(), base64: *base64 }),
            SecretValue::Encrypted { .. } => {
                Err(ParseError::NotModelled { what: "a secret that is encrypted under another".to_owned() })
            }
        }
    }
}
