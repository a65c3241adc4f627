//! Typed values of a command line's options.

use std::ffi::OsStr;
use std::str::FromStr;

use crate::format::options::OptionValue;
use crate::{ByteSize, CacheMode, CommandLine, Format, KeyVal, ParseError, Preallocation};

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
        self.line.value(option).map(|value| read_text(option, value, wanted)).transpose()
    }

    pub(super) fn size(&self, option: &str) -> Result<Option<ByteSize>, ParseError> {
        self.read(option, "a size")
    }

    pub(super) fn text(&self, option: &str) -> Result<Option<String>, ParseError> {
        self.read(option, "text in UTF-8")
    }

    pub(super) fn format(&self, option: &str) -> Result<Option<Format>, ParseError> {
        self.read(option, "the name of an image format")
    }

    pub(super) fn cache(&self, option: &str) -> Result<Option<CacheMode>, ParseError> {
        self.word(option, "none, writeback, writethrough, directsync or unsafe", |text| {
            // `off` is qemu's older word for none.
            let text = if text == "off" { "none" } else { text };
            CacheMode::ALL.iter().copied().find(|mode| mode.as_str() == text)
        })
    }

    pub(super) fn preallocation(&self, option: &str) -> Result<Option<Preallocation>, ParseError> {
        self.word(option, "off, metadata, falloc or full", Preallocation::read)
    }

    /// The option's value, of one of a few words.
    pub(super) fn word<T>(
        &self,
        option: &str,
        wanted: &'static str,
        find: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, ParseError> {
        let read = |value: &OsStr| value.to_str().and_then(&find).ok_or_else(|| bad(option, value, wanted));
        self.line.value(option).map(read).transpose()
    }

    pub(super) fn operand(&self, index: usize) -> Result<&'a OsStr, ParseError> {
        self.line.operands().nth(index).ok_or(ParseError::Operands {
            subcommand: self.line.subcommand().as_str(),
            needs: "more operands",
            given: self.line.operands().count(),
        })
    }
}

pub(super) fn read_text<T: FromStr>(option: &str, value: &OsStr, wanted: &'static str) -> Result<T, ParseError> {
    value.to_str().and_then(|text| text.parse().ok()).ok_or_else(|| bad(option, value, wanted))
}

pub(super) fn bad(option: &str, value: &OsStr, wanted: &'static str) -> ParseError {
    let dashes = if option.chars().count() == 1 { "-" } else { "--" };
    ParseError::Value { option: format!("{dashes}{option}"), value: value.to_string_lossy().into_owned(), wanted }
}

/// A pair of a list that the types cannot hold.
pub(super) fn not_modelled(list: &KeyVal) -> Result<(), ParseError> {
    match list.iter().next() {
        None => Ok(()),
        Some((key, _)) => Err(ParseError::NotModelled { what: format!("option `{key}`") }),
    }
}
