//! From a command line to the typed command: the inverse of `invocation()`.

mod image;
mod object;
mod reader;
mod subcommands;

use std::ffi::OsString;

use crate::{
    Amend, Bench, Bitmap, Check, CommandLine, Commit, Compare, Convert, Create, Dd, Error, Info, Invocation, Map,
    Measure, ParseError, Rebase, Resize, Snapshot, Subcommand,
};
use reader::Reader;

/// A command of any subcommand.
///
/// ```
/// use qemu_cmd::{Command, Convert, Qcow2, Source, Target};
/// let command = Command::parse("convert -f raw -cO qcow2 a b".split(' ').map(Into::into))?;
/// let same = Convert::new(Source::raw("a"), Target::new("b", Qcow2::new())).compress(true);
/// assert_eq!(command, Command::Convert(same));
/// # Ok::<(), qemu_cmd::ParseError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "each variant is the subcommand of its name")]
#[non_exhaustive]
pub enum Command {
    Amend(Amend),
    Bench(Bench),
    Bitmap(Bitmap),
    Check(Check),
    Commit(Commit),
    Compare(Compare),
    Convert(Convert),
    Create(Create),
    Dd(Dd),
    Info(Info),
    Map(Map),
    Measure(Measure),
    Rebase(Rebase),
    Resize(Resize),
    Snapshot(Snapshot),
}

macro_rules! each {
    ($self:expr, $command:ident => $call:expr) => {
        match $self {
            Command::Amend($command) => $call,
            Command::Bench($command) => $call,
            Command::Bitmap($command) => $call,
            Command::Check($command) => $call,
            Command::Commit($command) => $call,
            Command::Compare($command) => $call,
            Command::Convert($command) => $call,
            Command::Create($command) => $call,
            Command::Dd($command) => $call,
            Command::Info($command) => $call,
            Command::Map($command) => $call,
            Command::Measure($command) => $call,
            Command::Rebase($command) => $call,
            Command::Resize($command) => $call,
            Command::Snapshot($command) => $call,
        }
    };
}

impl Command {
    /// Reads the arguments after the program's name, beginning with the subcommand, as qemu-img reads them.
    ///
    /// What comes out of [`invocation`](Self::invocation) means the same; the spelling is this crate's. The help of
    /// qemu-img (`--help`, `-o help`) is no command.
    ///
    /// # Errors
    /// What is not a command line of that subcommand, what qemu-img would always reject or get silently wrong, and what
    /// the types cannot hold: [`ParseErrorKind::NotModelled`](crate::ParseErrorKind::NotModelled).
    pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Self, ParseError> {
        Self::from_line(&CommandLine::parse(args)?)
    }

    /// Reads a command line that has been taken apart already.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn from_line(line: &CommandLine) -> Result<Self, ParseError> {
        Self::read(line).map_err(|error| error.of(line.subcommand()))
    }

    fn read(line: &CommandLine) -> Result<Self, ParseError> {
        let help = || ParseError::not_modelled("a request for help");
        if line.asks_for_help() {
            return Err(line.at_help(help()));
        }
        if let Some((key, _)) = line.create_options().iter().find(|(key, _)| matches!(*key, "help" | "?")) {
            return Err(line.at_create_option(key, help()));
        }
        line.check()?;
        let reader = Reader::new(line);
        Ok(match line.subcommand() {
            Subcommand::Amend => Self::Amend(reader.amend()?),
            Subcommand::Bench => Self::Bench(reader.bench()?),
            Subcommand::Bitmap => Self::Bitmap(reader.bitmap()?),
            Subcommand::Check => Self::Check(reader.check()?),
            Subcommand::Commit => Self::Commit(reader.commit()?),
            Subcommand::Compare => Self::Compare(reader.compare()?),
            Subcommand::Convert => Self::Convert(reader.convert()?),
            Subcommand::Create => Self::Create(reader.create()?),
            Subcommand::Dd => Self::Dd(reader.dd()?),
            Subcommand::Info => Self::Info(reader.info()?),
            Subcommand::Map => Self::Map(reader.map()?),
            Subcommand::Measure => Self::Measure(reader.measure()?),
            Subcommand::Rebase => Self::Rebase(reader.rebase()?),
            Subcommand::Resize => Self::Resize(reader.resize()?),
            Subcommand::Snapshot => Self::Snapshot(reader.snapshot()?),
        })
    }

    /// The arguments and secrets.
    ///
    /// # Errors
    /// What qemu-img would always reject or get silently wrong: see [`Error`].
    pub fn invocation(&self) -> Result<Invocation, Error> {
        each!(self, command => command.invocation())
    }
}

macro_rules! command_from {
    ($($name:ident),+) => {
        $(impl From<$name> for Command {
            fn from(command: $name) -> Self {
                Self::$name(command)
            }
        })+
    };
}

command_from!(
    Amend, Bench, Bitmap, Check, Commit, Compare, Convert, Create, Dd, Info, Map, Measure, Rebase, Resize, Snapshot
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_of_any_length_is_read_or_refused() {
        for (length, is_read) in [(60, true), (400, false)] {
            let layer = |level: usize| {
                let above = "backing.".repeat(level);
                format!("{above}driver=qcow2,{above}file.driver=file,{above}file.filename=/a")
            };
            let node = (0..length).map(layer).collect::<Vec<_>>().join(",");
            let command = Command::parse(["info", "--image-opts", &node].map(Into::into));
            assert_eq!(command.is_ok(), is_read, "{length}: {command:?}");
        }
    }
}
