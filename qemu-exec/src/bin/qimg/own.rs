//! What qimg has beside qemu-img's subcommands: its own options, which stand before the subcommand, and its own
//! commands. Help, manual page and completions are made of these tables.

mod commands;
mod take;
mod usage;
mod wrong;

pub(crate) use commands::COMMANDS;
pub(crate) use take::{at_equals, take_out};
pub(crate) use usage::{of as usage_of, text as usage};
pub(crate) use wrong::{is_json, nearest, of, unexpected, unknown, value, word};

use std::ffi::{OsStr, OsString};

use qemu_exec::cmd::Subcommand;
use qemu_exec::info::inspect::{Code, ImageFormat};

/// An option of qimg.
pub(crate) struct Own {
    /// The letter, if it has one.
    pub(crate) short: Option<char>,
    pub(crate) long: &'static str,
    /// What its value is called; in brackets if it can be left out.
    pub(crate) value: Option<&'static str>,
    pub(crate) takes: Takes,
    pub(crate) doc: &'static str,
}

/// A command of qimg.
pub(crate) struct Command {
    pub(crate) name: &'static str,
    /// Each way to call it, and what that does.
    pub(crate) uses: &'static [(&'static str, &'static str)],
    pub(crate) options: &'static [Own],
    /// It has the options of this subcommand too.
    pub(crate) like: Option<Subcommand>,
    pub(crate) operands: Takes,
    /// What else there is to say, such as its exit status.
    pub(crate) note: &'static str,
}

/// The command of this name.
pub(crate) fn command(name: &OsStr) -> Option<&'static Command> {
    COMMANDS.iter().find(|command| name == command.name)
}

/// The options of a command, beside those of the subcommand that it is like.
pub(crate) fn options_of(command: &str) -> &'static [Own] {
    self::command(command.as_ref()).map_or(&[], |command| command.options)
}

impl Command {
    /// Whether its arguments ask for help; those of a command line that it is about do not.
    pub(crate) fn is_asked_for_help(&self, args: &[OsString]) -> bool {
        let is_own = |arg: &&OsString| {
            *arg != "--" && (self.operands != Takes::CommandLine || arg.as_encoded_bytes().starts_with(b"-"))
        };
        args.iter().take_while(is_own).any(|arg| arg == "--help" || arg == "-h")
    }
}

/// What a value or an operand can be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    /// There is none.
    Nothing,
    /// Anything.
    Text,
    OneOf(&'static [&'static str]),
    /// A format that inspection knows.
    Format,
    /// What inspection holds against an image.
    Code,
    File,
    Directory,
    User,
    /// A command line of qemu-img.
    CommandLine,
}

impl Takes {
    /// The words to offer, if they can be listed.
    pub(crate) fn words(self) -> Vec<&'static str> {
        match self {
            Self::OneOf(words) => words.to_vec(),
            Self::Format => ImageFormat::ALL.iter().map(|format| format.as_str()).collect(),
            Self::Code => Code::ALL.iter().map(|code| code.as_str()).collect(),
            _ => Vec::new(),
        }
    }
}

const SECONDS: Takes = Takes::Text;
const HUMAN_OR_JSON: Takes = Takes::OneOf(&["human", "json"]);

pub(crate) const OPTIONS: &[Own] = &[
    own("dry-run", "[shell|json]", Takes::OneOf(&["shell", "json"]), "show what would run, and run nothing"),
    own(
        "pretty",
        "[auto|always|never]",
        Takes::OneOf(&["auto", "always", "never"]),
        "tables for info and check, a drawing for map, control characters as text, and what helps after an error: on a terminal (auto), always, or never; neither table nor drawing with --output",
    ),
    flag(
        "progress",
        "how far amend, commit, compare, convert, rebase, import and digest are, on standard error: a bar on a terminal, \
         where -p does the same, and lines elsewhere",
    ),
    own("sudo", "[USER]", Takes::User, "run through sudo -n, as root or as USER"),
    own("limit-cpu", "SECONDS", SECONDS, "CPU time; for info 30 unless given; `none` for no limit"),
    own(
        "limit-memory",
        "BYTES",
        Takes::Text,
        "address space; for info and import 1G unless given; `none` for no limit",
    ),
    own(
        "timeout",
        "SECONDS",
        SECONDS,
        "time by the clock; for info 60 and for import 3600 unless given; `none` for no limit",
    ),
    own("env", "NAME[=VALUE]", Takes::Text, "an environment variable for qemu-img; without a value, the caller's"),
    own("qemu-img", "PATH", Takes::File, "another qemu-img"),
    Own {
        short: Some('h'),
        ..flag("help", "this text; after a subcommand, qemu-img's; after a command of qimg, its own")
    },
    Own { short: Some('V'), ..flag("version", "the version of qimg") },
];

/// What qimg adds to the options of a subcommand.
pub(crate) const ADDED: &[(Subcommand, &[Own])] = &[(
    Subcommand::Map,
    &[own(
        "svg",
        "FILE",
        Takes::File,
        "draws it into a picture, too; with --output=json qemu-img's map is printed as well",
    )],
)];

/// The same for one.
pub(crate) fn added(subcommand: Subcommand) -> &'static [Own] {
    ADDED.iter().find(|(other, _)| *other == subcommand).map_or(&[], |(_, options)| options)
}

/// What qimg exits with, and when.
pub(crate) const EXIT_STATUS: &str =
    "qemu-img's own; 2 if qimg refused; 124 if the timeout passed; 128 + N if signal N ended qemu-img";

const fn own(long: &'static str, value: &'static str, takes: Takes, doc: &'static str) -> Own {
    Own { short: None, long, value: Some(value), takes, doc }
}

const fn flag(long: &'static str, doc: &'static str) -> Own {
    Own { short: None, long, value: None, takes: Takes::Nothing, doc }
}

impl Own {
    /// Whether its value is an argument of its own.
    pub(crate) fn has_separate_value(&self) -> bool {
        self.value.is_some_and(|value| !value.starts_with('['))
    }

    /// `-h, --help`, `--sudo[=USER]`, `--timeout SECONDS`.
    pub(crate) fn spelled(&self) -> String {
        let letter = self.short.map_or_else(String::new, |letter| format!("-{letter}, "));
        let value = match self.value {
            Some(value) => match value.strip_prefix('[') {
                Some(optional) => format!("[={optional}"),
                None => format!(" {value}"),
            },
            None => String::new(),
        };
        format!("{letter}--{}{value}", self.long)
    }
}
