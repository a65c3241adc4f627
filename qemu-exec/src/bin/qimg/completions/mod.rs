//! Completions for shells, from the tables of options: qemu-img's and qimg's own, made into one kind.

mod bash;
mod fish;
mod zsh;

use std::ffi::OsString;

use qemu_exec::cmd::{Format, OptionSpec, Subcommand, ValueKind};

use crate::Error;
use crate::own::{COMMANDS, Command, OPTIONS, Own, Takes, added};
use crate::table;

pub(crate) fn text(mut args: impl Iterator<Item = OsString>) -> Result<String, Error> {
    let shell = args.next();
    let script = shell.as_ref().and_then(|shell| shell.to_str()).and_then(script);
    match (script, args.next()) {
        (Some(script), None) => Ok(script),
        _ => Err("completions takes the name of one shell: bash, zsh or fish".into()),
    }
}

/// The completions for one shell, if it is known.
pub(crate) fn script(shell: &str) -> Option<String> {
    match shell {
        "bash" => Some(bash::script()),
        "zsh" => Some(zsh::script()),
        "fish" => Some(fish::script()),
        _ => None,
    }
}

/// A subcommand or a command, and what can follow it.
struct Offered {
    name: &'static str,
    doc: &'static str,
    options: Vec<Choice>,
    operands: Takes,
}

/// An option in all its spellings.
struct Choice {
    spelled: Vec<String>,
    value: Option<Value>,
    doc: &'static str,
}

struct Value {
    name: &'static str,
    /// It is part of the option's own argument, or absent.
    optional: bool,
    takes: Takes,
    words: Vec<&'static str>,
}

impl Choice {
    fn of_qemu_img(spec: &OptionSpec) -> Self {
        let value = spec.value.map(|value| {
            let words = match value.kind {
                ValueKind::Choice { of, .. } => of.to_vec(),
                ValueKind::Format => Format::ALL.iter().map(|format| format.as_str()).collect(),
                _ => Vec::new(),
            };
            let takes = if value.kind == ValueKind::Image { Takes::File } else { Takes::Text };
            Value { name: value.name, optional: false, takes, words }
        });
        Self { spelled: table::offered(spec), value, doc: spec.doc }
    }

    fn of_qimg(own: &Own) -> Self {
        let value = own.value.map(|name| Value {
            name: name.trim_matches(['[', ']']),
            optional: !own.has_separate_value(),
            takes: own.takes,
            words: own.takes.words(),
        });
        let letter = own.short.map(|letter| format!("-{letter}"));
        let spelled = letter.into_iter().chain([format!("--{}", own.long)]).collect();
        Self { spelled, value, doc: own.doc }
    }

    fn words(&self) -> &[&'static str] {
        self.value.as_ref().map_or(&[], |value| &value.words)
    }
}

impl Offered {
    fn subcommand(subcommand: Subcommand) -> Self {
        let options = subcommand.options().iter().map(Choice::of_qemu_img);
        let options = options.chain(added(subcommand).iter().map(Choice::of_qimg)).collect();
        Self { name: subcommand.as_str(), doc: subcommand.summary(), options, operands: Takes::File }
    }

    fn command(command: &Command) -> Self {
        let like = command.like.map(|subcommand| subcommand.options()).unwrap_or_default();
        let options = command.options.iter().map(Choice::of_qimg).chain(like.iter().map(Choice::of_qemu_img)).collect();
        let doc = command.uses.first().map_or("", |(_, doc)| doc);
        Self { name: command.name, doc, options, operands: command.operands }
    }
}

/// qimg's own options, which come first.
fn first() -> Vec<Choice> {
    OPTIONS.iter().map(Choice::of_qimg).collect()
}

/// Everything that can follow them.
fn offered() -> Vec<Offered> {
    let subcommands = Subcommand::ALL.iter().map(|subcommand| Offered::subcommand(*subcommand));
    subcommands.chain(COMMANDS.iter().map(Offered::command)).collect()
}

/// A word in single quotes.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
