//! Completions for shells, from the option table.

mod bash;
mod fish;
mod zsh;

use std::ffi::OsString;

use qemu_exec::cmd::{Format, OptionSpec, ValueKind};
use qemu_exec::info::inspect::{Code, ImageFormat};

use crate::Error;
use crate::own::Own;

pub(crate) fn text(mut args: impl Iterator<Item = OsString>) -> Result<String, Error> {
    let shell = args.next();
    match (shell.as_ref().and_then(|shell| shell.to_str()), args.next()) {
        (Some("bash"), None) => Ok(bash::script()),
        (Some("zsh"), None) => Ok(zsh::script()),
        (Some("fish"), None) => Ok(fish::script()),
        _ => Err("completions takes the name of one shell: bash, zsh or fish".into()),
    }
}

/// The values that can be offered for an option; none if they cannot be listed.
fn choices(spec: &OptionSpec) -> Vec<&'static str> {
    match spec.value.map(|value| value.kind) {
        Some(ValueKind::Choice { of, .. }) => of.to_vec(),
        Some(ValueKind::Format) => Format::ALL.iter().map(|format| format.as_str()).collect(),
        _ => Vec::new(),
    }
}

/// The same for an option of `qimg inspect`.
fn inspect_choices(own: &Own) -> Vec<&'static str> {
    match own.long {
        "output" => vec!["human", "json"],
        "claimed" => ImageFormat::ALL.iter().map(|format| format.as_str()).collect(),
        "grant" => Code::ALL.iter().map(|code| code.as_str()).collect(),
        _ => Vec::new(),
    }
}

/// A word in single quotes.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
