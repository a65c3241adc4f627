//! Typed values of a command line's options.

use std::ffi::OsStr;
use std::str::FromStr;

use crate::format::options::OptionValue;
use crate::{ByteSize, CacheMode, CommandLine, Format, KeyVal, ParseError, ParseErrorKind, Preallocation};

/// A command line whose options are read one by one.
pub(super) struct Reader<'a> {
    pub(super) line: &'a CommandLine,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(line: &'a CommandLine) -> Self {
        Self { line }
    }

    pub(super) fn flag(&self, option: &str) -> bool {
        self.line.has(option)
    }

    /// The option's value, of anything that is made from text.
    pub(super) fn read<T: FromStr>(&self, option: &str, wanted: &'static str) -> Result<Option<T>, ParseError> {
        self.word(option, wanted, |text| text.parse().ok())
    }

    pub(super) fn size(&self, option: &str) -> Result<Option<ByteSize>, ParseError> {
        self.read(option, SIZE)
    }

    pub(super) fn text(&self, option: &str) -> Result<Option<String>, ParseError> {
        self.read(option, UTF8)
    }

    pub(super) fn format(&self, option: &str) -> Result<Option<Format>, ParseError> {
        self.read(option, FORMAT)
    }

    pub(super) fn cache(&self, option: &str) -> Result<Option<CacheMode>, ParseError> {
        self.word(option, "write none, writeback, writethrough, directsync or unsafe", |text| {
            // `off` is qemu's older word for none.
            let text = if text == "off" { "none" } else { text };
            CacheMode::ALL.iter().copied().find(|mode| mode.as_str() == text)
        })
    }

    pub(super) fn preallocation(&self, option: &str) -> Result<Option<Preallocation>, ParseError> {
        self.word(option, "write off, metadata, falloc or full", Preallocation::read)
    }

    /// The option's value, of one of a few words.
    pub(super) fn word<T>(
        &self,
        option: &str,
        wanted: &'static str,
        find: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, ParseError> {
        let Some(value) = self.line.value(option) else { return Ok(None) };
        let bad = || self.line.at_value(option, ParseError::value(dashed(option), value, wanted));
        value.to_str().and_then(find).map(Some).ok_or_else(bad)
    }

    pub(super) fn operand(&self, index: usize) -> Result<&'a OsStr, ParseError> {
        let missing = || {
            let (subcommand, given) = (self.line.subcommand().as_str(), self.line.operands().count());
            ParseErrorKind::Operands { subcommand, needs: "more operands", given }.into()
        };
        self.line.operands().nth(index).ok_or_else(missing)
    }
}

pub(super) const SIZE: &str = "write a size, as in 10G";
pub(super) const UTF8: &str = "write text in UTF-8";
pub(super) const FORMAT: &str = "write the name of an image format";

fn dashed(option: &str) -> String {
    format!("{}{option}", if option.chars().count() == 1 { "-" } else { "--" })
}

/// The value of a list's key.
pub(super) fn read_key<T: FromStr>(key: &str, value: &OsStr, wanted: &'static str) -> Result<T, ParseError> {
    read_value(key, value, wanted).map_err(|error| error.of_key(key))
}

pub(super) fn read_value<T: FromStr>(of: &str, value: &OsStr, wanted: &'static str) -> Result<T, ParseError> {
    value.to_str().and_then(|text| text.parse().ok()).ok_or_else(|| ParseError::value(of, value, wanted))
}

/// A pair of a list that the types cannot hold.
pub(super) fn not_modelled(list: &KeyVal) -> Result<(), ParseError> {
    match list.iter().next() {
        None => Ok(()),
        Some((key, _)) => Err(ParseError::not_modelled(format!("option `{key}`")).of_key(key)),
    }
}
