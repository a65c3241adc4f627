//! What is said about options and values that are wrong.

use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::str::FromStr;

use lexopt::Arg;
use qemu_exec::cmd::{ParseError, ParseErrorKind, Subcommand};

use super::{COMMANDS, OPTIONS, Takes};
use crate::Error;

/// A word in the place of a subcommand.
pub(crate) fn unknown(name: &OsStr) -> Error {
    let own: Vec<_> = COMMANDS.iter().map(|command| command.name).collect();
    let unknown = ParseErrorKind::UnknownSubcommand { name: name.to_string_lossy().into_owned() };
    format!("{unknown}, or of qimg's own: {}", own.join(", ")).into()
}

/// An argument that a command does not take; `of` is empty for qimg itself.
pub(crate) fn unexpected(arg: Arg<'_>, of: &str) -> Error {
    let command = super::command(of.as_ref());
    let whose = command.map_or("qimg".to_owned(), |command| format!("qimg {}", command.name));
    let given = match arg {
        Arg::Long(long) => format!("--{long}"),
        Arg::Short(letter) => format!("-{letter}"),
        Arg::Value(value) => {
            return format!("`{of}` takes no `{}`: `{whose} --help` tells what it takes", value.display()).into();
        }
    };
    let options = command.map_or(OPTIONS, |command| command.options);
    let names = options.iter().map(|own| format!("--{}", own.long));
    let meant = nearest(&given, names).map_or_else(String::new, |name| format!(", but `{name}`"));
    let of = if of.is_empty() { "qimg" } else { of };
    format!("there is no option `{given}` of {of}{meant}: `{whose} --help` lists them").into()
}

/// What is wrong with a line of a command that is like a subcommand. The place is not told: the line that has it was
/// made of the one that was written.
pub(crate) fn of(command: &str, error: &ParseError) -> Error {
    let like = super::command(command.as_ref()).and_then(|own| own.like).map_or("", Subcommand::as_str);
    error.kind().to_string().replacen(&format!("`{like}`"), &format!("`{command}`"), 1).into()
}

/// The value of an option.
pub(crate) fn value<T: FromStr<Err: Display>>(option: &str, value: &OsString) -> Result<T, Error> {
    value.to_string_lossy().parse().map_err(|error| format!("--{option}: {error}").into())
}

/// The same of an option that takes one of a few words, which are told if it is another.
pub(crate) fn word<T: FromStr<Err: Display>>(option: &str, word: &OsString, takes: Takes) -> Result<T, Error> {
    value(option, word).map_err(|error| format!("{error}: write one of {}", takes.words().join(", ")).into())
}

/// Whether an `--output` is JSON.
pub(crate) fn is_json(output: &OsStr) -> Result<bool, Error> {
    match output.to_str() {
        Some("json") => Ok(true),
        Some("human") => Ok(false),
        _ => Err(format!("--output takes human or json, and `{}` was given", output.display()).into()),
    }
}

/// The word that may have been meant: the one that takes the fewest changes of a letter, if that is few.
pub(crate) fn nearest(word: &str, of: impl IntoIterator<Item = impl Into<String>>) -> Option<String> {
    // A word is not compared with what somebody chose to be long.
    const LONGEST: usize = 64;
    if word.len() > LONGEST {
        return None;
    }
    let most = if word.len() > 4 { 2 } else { 1 };
    let candidates = of.into_iter().map(Into::into).filter(|other| other.len() <= LONGEST && *other != word);
    let near = candidates.map(|other| (distance(word, &other), other)).filter(|(distance, _)| *distance <= most);
    near.min().map(|(_, other)| other)
}

/// How many letters have to be changed, added, left out, or swapped with the next.
fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    let at = |row: &[usize], index: usize| row.get(index).copied().unwrap_or(usize::MAX / 2);
    for (i, a) in one.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in other.iter().enumerate() {
            let change = at(&last, j) + usize::from(a != b);
            let mut least = change.min(at(&last, j + 1) + 1).min(at(&row, j) + 1);
            let swapped = i > 0 && j > 0 && one.get(i - 1) == Some(b) && other.get(j - 1) == Some(a);
            if swapped {
                least = least.min(at(&before, j - 1) + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_have_been_meant() {
        let words = ["convert", "commit", "compare", "create", "map"];
        for (word, meant) in [
            ("covnert", Some("convert")),
            ("conver", Some("convert")),
            ("creat", Some("create")),
            ("mpa", Some("map")),
            ("map", None),
            ("launch", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, words).as_deref(), meant, "{word}");
        }
    }
}
