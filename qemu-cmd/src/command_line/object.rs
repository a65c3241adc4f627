//! `--object secret,…` on a command line.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::{CommandLine, Given, Meaning};
use crate::{Arg, KeyVal, ParseError, ParseErrorKind, Secret, SecretId};

/// A `secret` object of a command line.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SecretObject {
    /// Its id.
    pub id: SecretId,
    /// Where its value is.
    pub value: SecretValue,
    /// Whether other secrets are encrypted under it; its value can then be any bytes.
    pub is_master_key: bool,
    pub(super) piece: usize,
}

/// Where the value of a [`SecretObject`] is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SecretValue {
    /// It was given as `data=`, and has been taken out of the command line.
    Data(Secret),
    /// It is in a file, which qemu-img reads.
    File {
        /// The file.
        path: PathBuf,
        /// Whether the file's content is base64.
        base64: bool,
    },
    /// It is encrypted under another secret, and left as it was written.
    Encrypted {
        /// The file that holds it, unless it stands in the arguments.
        file: Option<PathBuf>,
    },
}

impl CommandLine {
    /// Finds the `secret` objects, and takes those with a plain `data=` out of the arguments.
    pub(super) fn take_secrets(&mut self) -> Result<(), ParseError> {
        let mut found = Vec::new();
        let mut master_keys = Vec::new();
        let mut failure = None;
        for (piece, taken) in self.pieces.iter_mut().enumerate() {
            let Meaning::Options(options) = &taken.meaning else { continue };
            let [Given { spec, value: Some(text), value_at, .. }] = options.as_slice() else { continue };
            if !spec.is("object") {
                continue;
            }
            match Object::parse(text) {
                Ok(None) => {}
                Ok(Some(object)) => {
                    master_keys.extend(object.keyid.clone());
                    let at = *value_at;
                    if object.data.is_some() && object.keyid.is_none() {
                        taken.wipe();
                    }
                    found.push((piece, at, object));
                }
                Err(reason) => {
                    failure = failure.or(Some(malformed(*value_at, reason)));
                    taken.wipe();
                }
            }
        }
        // Only now, when no passphrase is left in the pieces.
        if let Some(failure) = failure {
            return Err(failure);
        }
        for (piece, at, object) in found {
            let fail = |reason| malformed(at, reason);
            let is_master_key = master_keys.contains(&object.id);
            let id = SecretId::new(object.id).map_err(|error| fail(error.to_string()))?;
            let value = match (object.data, object.file, &object.keyid) {
                (Some(_), Some(_), _) => return Err(fail("`data` and `file` exclude each other".to_owned())),
                (None, None, _) => return Err(fail(format!("secret `{id}` has neither `data` nor `file`"))),
                (_, file, Some(_)) => SecretValue::Encrypted { file },
                (None, Some(path), None) => SecretValue::File { path, base64: object.base64 },
                (Some(data), None, None) => {
                    let bytes = decode(data, object.base64).map_err(fail)?;
                    let secret = if is_master_key { Ok(Secret::key_material(bytes)) } else { Secret::new(bytes) };
                    SecretValue::Data(secret.map_err(|error| ParseError::from(error).or_at(Some(at)))?)
                }
            };
            if matches!(value, SecretValue::Data(_))
                && let Some(taken) = self.pieces.get_mut(piece)
            {
                taken.args = vec!["--object".into(), Arg::Secret(id.clone())];
            }
            self.objects.push(SecretObject { id, value, is_master_key, piece });
        }
        Ok(())
    }
}

fn malformed(at: usize, reason: String) -> ParseError {
    ParseError::from(ParseErrorKind::Object { reason }).or_at(Some(at))
}

fn decode(mut data: Zeroizing<Vec<u8>>, base64: bool) -> Result<Vec<u8>, String> {
    if !base64 {
        return Ok(std::mem::take(&mut *data));
    }
    // qemu ignores white space in it.
    data.retain(|byte| !byte.is_ascii_whitespace());
    let mut decoded = Zeroizing::new(Vec::new());
    STANDARD.decode_vec(&*data, &mut decoded).map_err(|_| "`data` is not base64".to_owned())?;
    Ok(std::mem::take(&mut *decoded))
}

/// The properties of a `secret` object, in either syntax.
struct Object {
    id: String,
    data: Option<Zeroizing<Vec<u8>>>,
    file: Option<PathBuf>,
    base64: bool,
    keyid: Option<String>,
}

impl Object {
    /// `None` if the object is not a secret. The reason of a failure never quotes the text.
    fn parse(text: &OsStr) -> Result<Option<Self>, String> {
        let mut properties = KeyVal::parse_object(text).ok_or_else(|| "not a JSON object".to_owned())?;
        if properties.get("qom-type").is_none_or(|kind| kind != "secret") {
            properties.wipe();
            return Ok(None);
        }
        let base64 = properties.get("format").is_some_and(|format| format == "base64");
        let data = properties.get("data").map(|data| Zeroizing::new(data.as_encoded_bytes().to_vec()));
        let mut take = |key: &str| properties.take(key);
        let lossy = |text: OsString| text.to_string_lossy().into_owned();
        let (id, file, keyid) = (take("id").map(lossy), take("file").map(PathBuf::from), take("keyid").map(lossy));
        properties.wipe();
        let id = id.ok_or_else(|| "a secret needs an `id`".to_owned())?;
        Ok(Some(Self { id, data, file, base64, keyid }))
    }
}
