//! Splits a command line as getopt_long(3) does.

use std::ffi::{OsStr, OsString};

use super::{Given, Meaning, Piece};
use crate::option_table::Spelling;
use crate::os::{ascii, from_units, units};
use crate::{OptionSpec, ParseError, QemuVersion, Subcommand};

pub(super) fn pieces(subcommand: Subcommand, args: Vec<OsString>) -> Result<Vec<Piece>, ParseError> {
    let mut pieces: Vec<Piece> = Vec::new();
    let last = args.len().saturating_sub(1);
    let mut args = args.into_iter().enumerate();
    let mut only_operands = false;
    while let Some((at, arg)) = args.next() {
        let mut piece = Piece { args: vec![arg.clone().into()], meaning: Meaning::Operand(arg.clone()) };
        let dash = |text: &str| arg.as_encoded_bytes().starts_with(text.as_bytes());
        let is_operand = || {
            only_operands
                || arg == "-"
                || !dash("-")
                || (subcommand == Subcommand::Resize && is_size_to_take_away(&arg, at == last, &pieces))
        };
        if is_operand() {
            pieces.push(piece);
            continue;
        }
        if arg == "--" {
            only_operands = true;
            piece.meaning = Meaning::Terminator;
            pieces.push(piece);
            continue;
        }
        let mut reader = Reader { subcommand, at, next: || args.next().map(|(_, value)| value) };
        let (meaning, separate) = if dash("--") { reader.long(&arg)? } else { reader.letters(&arg)? };
        piece.meaning = meaning;
        piece.args.extend(separate.map(Into::into));
        pieces.push(piece);
    }
    Ok(pieces)
}

/// Whether `-512k` is the size of a resize. Up to 7.2 the last argument is, whatever it looks like; later the one
/// that follows the file.
fn is_size_to_take_away(arg: &OsStr, is_last: bool, before: &[Piece]) -> bool {
    let looks_like_one = matches!(arg.as_encoded_bytes().get(1), Some(b'0'..=b'9' | b'.'));
    let follows_the_file = matches!(before.last(), Some(Piece { meaning: Meaning::Operand(_), .. }))
        && before.iter().filter(|piece| matches!(piece.meaning, Meaning::Operand(_))).count() == 1;
    looks_like_one && (is_last || follows_the_file)
}

struct Reader<F> {
    subcommand: Subcommand,
    at: usize,
    next: F,
}

/// What an argument means, and the argument after it if that is its value.
type Read = (Meaning, Option<OsString>);

/// A long name that an argument is a prefix of.
type Candidate = (&'static OptionSpec, &'static Spelling);

impl<F: FnMut() -> Option<OsString>> Reader<F> {
    fn long(&mut self, arg: &OsStr) -> Result<Read, ParseError> {
        let all = units(arg);
        let text = all.get(2..).unwrap_or_default();
        let mut halves = text.splitn(2, |&unit| unit == ascii(b'='));
        let text = from_units(halves.next().unwrap_or_default().to_vec()).to_string_lossy().into_owned();
        let attached = halves.next().map(|value| from_units(value.to_vec()));
        let option = format!("--{text}");
        if !text.is_empty() && "help".starts_with(&text) && self.candidates(&text).is_empty() {
            return Ok((Meaning::Help, None));
        }
        let (spec, name) = self.find_long(&text)?;
        let (value, separate) = match (spec.value, attached) {
            (None, Some(_)) => return Err(ParseError::UnexpectedValue { option, at: self.at }),
            (None, None) => (None, None),
            (Some(_), Some(value)) => (Some(value), None),
            (Some(_), None) => {
                let value = (self.next)().ok_or(ParseError::MissingValue { option, at: self.at })?;
                (Some(value.clone()), Some(value))
            }
        };
        Ok((Meaning::Options(vec![Given { spec, name: Some(name), value }]), separate))
    }

    fn candidates(&self, text: &str) -> Vec<Candidate> {
        let options = self.subcommand.options().iter();
        options
            .flat_map(|spec| spec.long_names().map(move |name| (spec, name)))
            .filter(|(_, name)| name.text.starts_with(text))
            .collect()
    }

    fn find_long(&self, text: &str) -> Result<Candidate, ParseError> {
        let candidates = self.candidates(text);
        if let Some(exact) = candidates.iter().find(|(_, name)| name.text == text) {
            return Ok(*exact);
        }
        let found = if text.is_empty() { None } else { unambiguous(&candidates) };
        found.ok_or_else(|| match candidates.as_slice() {
            [] => self.unknown(format!("--{text}")),
            _ => ParseError::AmbiguousOption {
                option: format!("--{text}"),
                candidates: candidates.iter().map(|(_, name)| name.spelled()).collect(),
                at: self.at,
            },
        })
    }

    /// `-c`, `-cpO qcow2`, `-Oqcow2`.
    fn letters(&mut self, arg: &OsStr) -> Result<Read, ParseError> {
        let all = units(arg);
        let mut rest = all.get(1..).unwrap_or_default();
        let mut options = Vec::new();
        while let Some((&unit, tail)) = rest.split_first() {
            rest = tail;
            let letter = char::from_u32(u32::from(unit)).unwrap_or(char::REPLACEMENT_CHARACTER);
            if letter == 'h' {
                return Ok((Meaning::Help, None));
            }
            let option = format!("-{letter}");
            let (spec, name) = self.find_letter(letter).ok_or_else(|| self.unknown(option.clone()))?;
            if spec.value.is_none() {
                options.push(Given { spec, name, value: None });
                continue;
            }
            if !tail.is_empty() {
                options.push(Given { spec, name, value: Some(from_units(tail.to_vec())) });
                break;
            }
            let value = (self.next)().ok_or(ParseError::MissingValue { option, at: self.at })?;
            options.push(Given { spec, name, value: Some(value.clone()) });
            return Ok((Meaning::Options(options), Some(value)));
        }
        Ok((Meaning::Options(options), None))
    }

    fn find_letter(&self, letter: char) -> Option<(&'static OptionSpec, Option<&'static Spelling>)> {
        self.subcommand.options().iter().find_map(|spec| {
            let (_, name) = spec.letters().find(|(other, _)| *other == letter)?;
            Some((spec, name))
        })
    }

    fn unknown(&self, option: String) -> ParseError {
        ParseError::UnknownOption { subcommand: self.subcommand.as_str(), option, at: self.at }
    }
}

/// The option that a prefix stands for. Names have been added over time, so what has become ambiguous is
/// read as the versions did that had fewer: `bitmap --rem` is `--remove`, until `--remove-all` came. Versions that
/// would read it differently make it ambiguous.
fn unambiguous(candidates: &[Candidate]) -> Option<Candidate> {
    const VERSIONS: [QemuVersion; 4] =
        [QemuVersion::new(5, 2, 0), QemuVersion::new(10, 0, 0), QemuVersion::new(10, 1, 0), QemuVersion::new(11, 0, 0)];
    let mut found: Option<Candidate> = None;
    for version in VERSIONS {
        let has =
            |(spec, name): &&Candidate| spec.availability.in_version(version) && name.availability.in_version(version);
        let mut there = candidates.iter().filter(has);
        let Some(first) = there.next() else { continue };
        if there.any(|other| other.0 != first.0) {
            continue;
        }
        match found {
            Some(earlier) if earlier.0 != first.0 => return None,
            Some(_) => {}
            None => found = Some(*first),
        }
    }
    found
}
