//! Splits a command line as getopt_long(3) does.

use std::ffi::{OsStr, OsString};

use super::{Meaning, Piece};
use crate::os::{ascii, from_units, units};
use crate::{OptionSpec, ParseError, Subcommand};

pub(super) fn pieces(subcommand: Subcommand, args: Vec<OsString>) -> Result<Vec<Piece>, ParseError> {
    let mut pieces = Vec::new();
    let mut args = args.into_iter().enumerate();
    let mut only_operands = false;
    while let Some((at, arg)) = args.next() {
        let mut piece = Piece { args: vec![arg.clone().into()], meaning: Meaning::Operand(arg.clone()) };
        let dash = |text: &str| arg.as_encoded_bytes().starts_with(text.as_bytes());
        if only_operands || arg == "-" || !dash("-") {
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

struct Reader<F> {
    subcommand: Subcommand,
    at: usize,
    next: F,
}

/// What an argument means, and the argument after it if that is its value.
type Read = (Meaning, Option<OsString>);

impl<F: FnMut() -> Option<OsString>> Reader<F> {
    fn long(&mut self, arg: &OsStr) -> Result<Read, ParseError> {
        let all = units(arg);
        let text = all.get(2..).unwrap_or_default();
        let mut halves = text.splitn(2, |&unit| unit == ascii(b'='));
        let name = from_units(halves.next().unwrap_or_default().to_vec()).to_string_lossy().into_owned();
        let attached = halves.next().map(|value| from_units(value.to_vec()));
        let option = format!("--{name}");
        if !name.is_empty() && "help".starts_with(&name) && self.candidates(&name).is_empty() {
            return Ok((Meaning::Help, None));
        }
        let spec = self.find_long(&name)?;
        let (value, separate) = match (spec.value, attached) {
            (None, Some(_)) => return Err(ParseError::UnexpectedValue { option, at: self.at }),
            (None, None) => (None, None),
            (Some(_), Some(value)) => (Some(value), None),
            (Some(_), None) => {
                let value = (self.next)().ok_or(ParseError::MissingValue { option, at: self.at })?;
                (Some(value.clone()), Some(value))
            }
        };
        Ok((Meaning::Options(vec![(spec, value)]), separate))
    }

    /// The options of which `name` is a prefix, each with the name that it is a prefix of.
    fn candidates(&self, name: &str) -> Vec<(&'static OptionSpec, &'static str)> {
        let options = self.subcommand.options().iter();
        options
            .flat_map(|spec| spec.long.iter().map(move |long| (spec, *long)))
            .filter(|(_, long)| long.starts_with(name))
            .collect()
    }

    fn find_long(&self, name: &str) -> Result<&'static OptionSpec, ParseError> {
        let candidates = self.candidates(name);
        let exact = candidates.iter().find(|(_, long)| *long == name);
        if let Some((spec, _)) = exact.or(candidates.first()) {
            if exact.is_some() || candidates.iter().all(|(other, _)| other == spec) {
                return Ok(spec);
            }
            return Err(ParseError::AmbiguousOption {
                option: format!("--{name}"),
                candidates: candidates.iter().map(|(_, long)| format!("--{long}")).collect(),
                at: self.at,
            });
        }
        Err(self.unknown(format!("--{name}")))
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
            let spec = self.subcommand.options().iter().find(|spec| spec.short == Some(letter));
            let spec = spec.ok_or_else(|| self.unknown(option.clone()))?;
            match spec.value {
                None => options.push((spec, None)),
                Some(_) if !tail.is_empty() => {
                    options.push((spec, Some(from_units(tail.to_vec()))));
                    break;
                }
                Some(_) => {
                    let value = (self.next)().ok_or(ParseError::MissingValue { option, at: self.at })?;
                    options.push((spec, Some(value.clone())));
                    return Ok((Meaning::Options(options), Some(value)));
                }
            }
        }
        Ok((Meaning::Options(options), None))
    }

    fn unknown(&self, option: String) -> ParseError {
        ParseError::UnknownOption { subcommand: self.subcommand.as_str(), option, at: self.at }
    }
}
