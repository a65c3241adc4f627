//! Overwriting what held a passphrase on its way to a [`Secret`](crate::Secret).

use std::ffi::OsString;

use serde_json::Value;
use zeroize::Zeroize as _;

pub(crate) fn wipe(text: OsString) {
    text.into_encoded_bytes().zeroize();
}

pub(crate) fn wipe_json(value: Value) {
    match value {
        Value::String(mut text) => text.zeroize(),
        Value::Array(items) => items.into_iter().for_each(wipe_json),
        Value::Object(members) => members.into_iter().for_each(|(_, value)| wipe_json(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
