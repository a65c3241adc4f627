//! `key=value,…` lists, in which a comma in a value is doubled.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::fmt;

use serde::de::IgnoredAny;
use serde_json::Value;
use zeroize::Zeroize as _;

use crate::os::{Unit, ascii, from_units, units};
use crate::redact::redact;
use crate::wipe::{wipe, wipe_json};

/// An ordered `key=value,…` list, as in `--image-opts`, `--object` and `-o`.
///
/// Values are arbitrary bytes: the only character that means anything in them is the comma, which is
/// doubled when the list is rendered.
///
/// ```
/// use qemu_cmd::KeyVal;
/// let opts = KeyVal::new().with("driver", "qcow2").with("file.filename", "/a,b");
/// assert_eq!(opts.render(), "driver=qcow2,file.filename=/a,,b");
/// assert_eq!(KeyVal::parse("driver=qcow2,file.filename=/a,,b".as_ref()), opts);
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct KeyVal(Vec<(String, OsString)>);

impl KeyVal {
    /// An empty list.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Appends a pair.
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: impl Into<OsString>) -> Self {
        self.0.push((key.into(), value.into()));
        self
    }

    /// Appends a pair.
    pub(crate) fn push(&mut self, key: impl Into<String>, value: impl Into<OsString>) {
        self.0.push((key.into(), value.into()));
    }

    /// Appends the pairs of another list, with `prefix` in front of their keys.
    pub(crate) fn push_prefixed(&mut self, prefix: &str, other: Self) {
        self.0.extend(other.0.into_iter().map(|(key, value)| ([prefix, &key].concat(), value)));
    }

    /// Takes out the pairs whose keys start with `prefix`, and takes that off.
    pub(crate) fn take_prefixed(&mut self, prefix: &str) -> Self {
        let taken = self.0.extract_if(.., |(key, _)| key.starts_with(prefix));
        let strip = |(mut key, value): (String, OsString)| {
            key.drain(..prefix.len());
            (key, value)
        };
        Self(taken.map(strip).collect())
    }

    /// The pairs whose keys start with `prefix`, without that.
    pub(crate) fn below(&self, prefix: &str) -> Self {
        let below = self.0.iter().filter_map(|(key, value)| Some((key.strip_prefix(prefix)?, value)));
        Self(below.map(|(key, value)| (key.to_owned(), value.clone())).collect())
    }

    /// Whether there are no pairs.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes out every value of `key`. The last one counts.
    pub(crate) fn take(&mut self, key: &str) -> Option<OsString> {
        self.0.extract_if(.., |(other, _)| other == key).last().map(|(_, value)| value)
    }

    /// The value of `key`; the last one if it occurs more than once, as in qemu.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&OsStr> {
        self.0.iter().rev().find(|(k, _)| k == key).map(|(_, value)| value.as_os_str())
    }

    /// The pairs in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &OsStr)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_os_str()))
    }

    /// The list as one argument.
    #[must_use]
    pub fn render(&self) -> OsString {
        let mut text = OsString::with_capacity(self.0.iter().map(|(key, value)| key.len() + value.len() + 2).sum());
        for pair in &self.0 {
            if !text.is_empty() {
                text.push(",");
            }
            push_pair(&mut text, pair);
        }
        text
    }

    /// Each pair as one argument.
    pub(crate) fn render_each(&self) -> impl Iterator<Item = OsString> {
        self.0.iter().map(|pair| {
            let mut text = OsString::with_capacity(pair.0.len() + pair.1.len() + 1);
            push_pair(&mut text, pair);
            text
        })
    }

    /// Reads a list. A piece without `=` is a key with the value `on`, or behind `no` one with the value `off`, which is
    /// how qemu reads it; a key that is not UTF-8 is kept with replacement characters, since qemu has no such key.
    #[must_use]
    pub fn parse(text: &OsStr) -> Self {
        Self::parse_implied(text, None)
    }

    /// Reads a list whose first piece may be a bare value of the key `implied`, as the type is in `--object`.
    #[must_use]
    pub fn parse_implied(text: &OsStr, implied: Option<&str>) -> Self {
        let mut list = Self::new();
        list.read(text, implied);
        list
    }

    /// Appends the pairs of such a list.
    pub(crate) fn read(&mut self, text: &OsStr, implied: Option<&str>) {
        let text_of = |units: &[Unit]| {
            from_units(units.to_vec()).into_string().unwrap_or_else(|text| text.to_string_lossy().into_owned())
        };
        let text = units(text);
        let mut rest = &*text;
        while !rest.is_empty() {
            let ends_key = |unit: &Unit| [b',', b'='].map(ascii).contains(unit);
            let (word, behind) =
                rest.split_at_checked(rest.iter().position(ends_key).unwrap_or(rest.len())).unwrap_or((rest, &[]));
            let is_pair = behind.first() == Some(&ascii(b'='));
            let implied = implied.filter(|_| self.is_empty());
            if !is_pair && implied.is_none() {
                // Only a value can double a comma.
                let word = text_of(word);
                self.0.push(match word.strip_prefix("no") {
                    Some(key) => (key.to_owned(), OsString::from("off")),
                    None => (word, OsString::from("on")),
                });
                rest = behind.get(1..).unwrap_or_default();
                continue;
            }
            let (piece, after) = split_piece(rest);
            rest = after;
            self.0.push(match (piece.get(word.len() + 1..), implied) {
                (Some(value), _) if is_pair => (text_of(word), from_units(value.to_vec())),
                (_, implied) => (implied.unwrap_or_default().to_owned(), from_units(piece.to_vec())),
            });
            // It may be a passphrase with a comma in it.
            if let Cow::Owned(mut piece) = piece {
                piece.zeroize();
            }
        }
    }
}

impl fmt::Debug for KeyVal {
    /// The list as one argument, without passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeyVal").field(&redact(&self.render())).finish()
    }
}

impl KeyVal {
    /// The properties of an object, in either syntax; `None` if it is JSON and not an object. Its type is `qom-type`.
    pub(crate) fn parse_object(text: &OsStr) -> Option<Self> {
        if text.as_encoded_bytes().starts_with(b"{") {
            let text = text.to_str()?;
            // What is not JSON leaves no half of it in memory, where a passphrase might be.
            serde_json::from_str::<IgnoredAny>(text).ok()?;
            return Self::from_json(text);
        }
        Some(Self::parse_implied(text, Some("qom-type")))
    }

    /// A JSON object as the flat keys that mean the same. `null`, which has no word here, is the empty value.
    pub(crate) fn from_json(text: &str) -> Option<Self> {
        let Ok(object @ Value::Object(_)) = serde_json::from_str(text) else { return None };
        let mut list = Self::new();
        list.flatten("", &object);
        wipe_json(object);
        Some(list)
    }

    /// Overwrites the values.
    pub(crate) fn wipe(self) {
        self.0.into_iter().for_each(|(_, value)| wipe(value));
    }

    /// serde_json reads at most 128 levels, which bounds this too.
    fn flatten(&mut self, prefix: &str, value: &Value) {
        let below = |key: &str| if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") };
        match value {
            Value::Object(members) => members.iter().for_each(|(key, value)| self.flatten(&below(key), value)),
            Value::Array(items) => {
                items.iter().enumerate().for_each(|(index, value)| self.flatten(&below(&index.to_string()), value));
            }
            Value::Null => self.push(prefix, ""),
            Value::Bool(on) => self.push(prefix, if *on { "on" } else { "off" }),
            Value::Number(number) => self.push(prefix, number.to_string()),
            Value::String(text) => self.push(prefix, text),
        }
    }
}

/// `key=value`, with each comma of the value doubled.
fn push_pair(text: &mut OsString, (key, value): &(String, OsString)) {
    text.push(key);
    text.push("=");
    let comma = ascii(b',');
    let units = units(value);
    if !units.contains(&comma) {
        return text.push(value);
    }
    let doubled = units.iter().flat_map(|&unit| std::iter::repeat_n(unit, if unit == comma { 2 } else { 1 }));
    text.push(from_units(doubled.collect()));
}

/// What is before the first single comma, with the doubled ones undoubled, and what is after it. It is copied once at most,
/// to where there is room for it.
fn split_piece(text: &[Unit]) -> (Cow<'_, [Unit]>, &[Unit]) {
    let comma = ascii(b',');
    let mut piece = Cow::Borrowed(&[][..]);
    let mut rest = text;
    loop {
        let end = rest.iter().position(|&unit| unit == comma).unwrap_or(rest.len());
        let (part, after) = rest.split_at_checked(end).unwrap_or((rest, &[]));
        if piece.is_empty() {
            piece = Cow::Borrowed(part);
        } else {
            piece.to_mut().extend(part);
        }
        match after {
            [_, second, after @ ..] if *second == comma => {
                if let Cow::Borrowed(part) = piece {
                    let mut copy = Vec::with_capacity(text.len());
                    copy.extend_from_slice(part);
                    piece = Cow::Owned(copy);
                }
                piece.to_mut().push(comma);
                rest = after;
            }
            [_, after @ ..] => return (piece, after),
            [] => return (piece, &[]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_are_doubled_and_undoubled() {
        for value in ["", ",", ",,", "a,b", ",a,", "a=b", "é\n"] {
            let opts = KeyVal::new().with("k", value).with("l", "x");
            assert_eq!(KeyVal::parse(&opts.render()), opts, "{value:?}");
        }
    }

    #[test]
    fn bare_pieces_and_duplicates_mean_what_they_mean_to_qemu() {
        assert_eq!(
            KeyVal::parse("nolazy_refcounts,nocow=on".as_ref()),
            KeyVal::parse("lazy_refcounts=off,nocow=on".as_ref())
        );
        let opts = KeyVal::parse_implied("secret,id=a,flag,id=b".as_ref(), Some("qom-type"));
        assert_eq!(opts.get("qom-type"), Some("secret".as_ref()));
        assert_eq!(opts.get("id"), Some("b".as_ref()));
        assert_eq!(opts.get("flag"), Some("on".as_ref()));
        assert_eq!(opts.get("none"), None);
    }

    #[test]
    fn a_comma_ends_a_key_and_is_doubled_in_values_only() {
        let read = |text: &str| KeyVal::parse(text.as_ref());
        assert_eq!(read("key,,"), read("key=on,=on"));
        assert_eq!(read("a,,b=1"), read("a=on,=on,b=1"));
        for text in ["key,,", "a,,b=1", ",", "=,,", "a=b,,=c"] {
            assert_eq!(KeyVal::parse(&read(text).render()), read(text), "{text}");
        }
        let implied = KeyVal::parse_implied("a,,b=c,d=e".as_ref(), Some("file"));
        assert_eq!((implied.get("file"), implied.get("d")), (Some("a,b=c".as_ref()), Some("e".as_ref())));
    }
}
