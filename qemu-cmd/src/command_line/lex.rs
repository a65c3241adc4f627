//! Splits a command line as getopt_long(3) does.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};

use super::{Given, Meaning, Piece};
use crate::option_table::Spelling;
use crate::os::{from_units, split_once, units};
use crate::wipe::wipe;
use crate::{OptionSpec, ParseError, ParseErrorKind, QemuVersion, Subcommand};

/// What cannot be split is wiped, since a passphrase may be in it.
pub(super) fn pieces(subcommand: Subcommand, args: Vec<OsString>) -> Result<Vec<Piece>, ParseError> {
    let mut pieces = Vec::with_capacity(args.len());
    let mut args = args.into_iter();
    let result = split(subcommand, &mut args, &mut pieces);
    if result.is_err() {
        pieces.iter_mut().for_each(Piece::wipe);
        args.for_each(wipe);
    }
    result.map(|()| pieces)
}

fn split(
    subcommand: Subcommand,
    args: &mut std::vec::IntoIter<OsString>,
    pieces: &mut Vec<Piece>,
) -> Result<(), ParseError> {
    let last = args.len();
    // The subcommand is argument 0.
    let mut args = (1..).zip(args);
    let mut only_operands = false;
    while let Some((at, arg)) = args.next() {
        let dash = |text: &str| arg.as_encoded_bytes().starts_with(text.as_bytes());
        let is_operand = || {
            only_operands
                || !dash("-")
                || arg == "-"
                || (subcommand == Subcommand::Resize && is_size_to_take_away(&arg, at == last, pieces))
        };
        let mut reader = Reader { subcommand, at, next: || args.next().map(|(_, value)| value) };
        let (meaning, separate) = if is_operand() {
            (Meaning::Operand(arg.clone()), None)
        } else if arg == "--" {
            only_operands = true;
            (Meaning::Terminator, None)
        } else {
            match if dash("--") { reader.long(&arg) } else { reader.letters(&arg) } {
                Ok(read) => read,
                Err(error) => {
                    wipe(arg);
                    return Err(error.or_at(Some(at)));
                }
            }
        };
        let args = std::iter::once(arg).chain(separate).map(Into::into).collect();
        pieces.push(Piece { at, args, meaning });
    }
    Ok(())
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
        let (name, attached) = match split_once(arg, b'=') {
            Some((name, value)) => (Cow::Owned(name), Some(value)),
            None => (Cow::Borrowed(arg), None),
        };
        let option = name.to_string_lossy();
        let text = option.strip_prefix("--").unwrap_or_default();
        if !text.is_empty() && "help".starts_with(text) && self.candidates(text).next().is_none() {
            return Ok((Meaning::Help, None));
        }
        let (spec, name) = match self.find_long(text) {
            Ok(found) => found,
            Err(error) => {
                attached.into_iter().for_each(wipe);
                return Err(error);
            }
        };
        let given = |value, value_at| Given { spec, name: Some(name), value, value_at };
        let (given, separate) = match (spec.value, attached) {
            (None, Some(value)) => {
                wipe(value);
                return Err(ParseErrorKind::UnexpectedValue { option: option.into_owned() }.into());
            }
            (None, None) => (given(None, self.at), None),
            (Some(_), Some(value)) => (given(Some(value), self.at), None),
            (Some(_), None) => {
                let missing = || ParseErrorKind::MissingValue { option: option.into_owned() };
                let value = (self.next)().ok_or_else(missing)?;
                (given(Some(value.clone()), self.at + 1), Some(value))
            }
        };
        Ok((Meaning::Options(vec![given]), separate))
    }

    fn candidates<'a>(&self, text: &'a str) -> impl Iterator<Item = Candidate> + use<'a, F> {
        let options = self.subcommand.options().iter();
        options
            .flat_map(|spec| spec.long_names().map(move |name| (spec, name)))
            .filter(move |(_, name)| name.text.starts_with(text))
    }

    fn find_long(&self, text: &str) -> Result<Candidate, ParseError> {
        if let Some(exact) = self.candidates(text).find(|(_, name)| name.text == text) {
            return Ok(exact);
        }
        let candidates: Vec<Candidate> = self.candidates(text).collect();
        let found = if text.is_empty() { None } else { unambiguous(&candidates) };
        let option = || format!("--{text}");
        found.ok_or_else(|| match candidates.as_slice() {
            [] => unknown(option()),
            _ => {
                let candidates = candidates.iter().map(|(_, name)| name.spelled()).collect();
                ParseErrorKind::AmbiguousOption { option: option(), candidates }.into()
            }
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
            let (spec, name) = self.find_letter(letter).ok_or_else(|| unknown(format!("-{letter}")))?;
            let given = |value, value_at| Given { spec, name, value, value_at };
            if spec.value.is_none() {
                options.push(given(None, self.at));
                continue;
            }
            if !tail.is_empty() {
                options.push(given(Some(from_units(tail.to_vec())), self.at));
                break;
            }
            let missing = || ParseErrorKind::MissingValue { option: format!("-{letter}") };
            let value = (self.next)().ok_or_else(missing)?;
            options.push(given(Some(value.clone()), self.at + 1));
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
}

fn unknown(option: String) -> ParseError {
    ParseErrorKind::UnknownOption { option }.into()
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
