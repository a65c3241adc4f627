//! A command as the fake reads it: parsed, spelled again in the one way of its type, and taken apart.

use std::ffi::OsStr;
use std::str::FromStr;

use qemu_cmd::{Command, CommandLine, Format, Invocation, KeyVal, Subcommand};
use serde_json::Value;

use super::fault::{Fault, Result};
use super::files::{Named, check_name};

/// A command line in the spelling of `Command::invocation`, so that no other needs to be known here.
pub(super) struct Line(CommandLine);

impl Line {
    pub(super) fn read(invocation: &Invocation) -> Result<Self> {
        let unreadable = |error: &dyn std::error::Error| Fault::not_modelled(format!("this command line: {error}"));
        let written = invocation.argv(|id| format!("secret,id={id},file=/{id}").into());
        let command = Command::parse(written).map_err(|error| unreadable(&error))?;
        let spelled = command.invocation().map_err(|error| unreadable(&error))?;
        let line = CommandLine::parse(spelled.argv(|id| format!("secret,id={id},file=/{id}").into()));
        let line = Self(line.map_err(|error| unreadable(&error))?);
        if line.has("object") {
            return Err(Fault::not_modelled("encryption, or any other object"));
        }
        Ok(line)
    }

    pub(super) const fn subcommand(&self) -> Subcommand {
        self.0.subcommand()
    }

    pub(super) fn has(&self, option: &str) -> bool {
        self.0.has(option)
    }

    /// The options and create options in the order in which they were given.
    pub(super) fn given(&self) -> impl Iterator<Item = (&'static str, Option<&OsStr>)> {
        self.0.given_in_order()
    }

    pub(super) const fn create_options(&self) -> &KeyVal {
        self.0.create_options()
    }

    pub(super) fn value(&self, option: &str) -> Result<Option<&str>> {
        self.0.value(option).map(utf8).transpose()
    }

    pub(super) fn number(&self, option: &str) -> Result<Option<u64>> {
        self.value(option)?.map(read).transpose()
    }

    pub(super) fn format(&self, option: &str) -> Result<Option<Format>> {
        self.value(option)?.map(read).transpose()
    }

    /// Refuses an output that is text for people.
    pub(super) fn wants_json(&self) -> Result<()> {
        if self.value("output")? == Some("json") {
            return Ok(());
        }
        Err(Fault::not_modelled("output for people: ask for JSON"))
    }

    pub(super) fn operands(&self) -> Result<Vec<&str>> {
        self.0.operands().map(utf8).collect()
    }

    pub(super) fn operand(&self, index: usize) -> Result<&str> {
        self.operands()?.get(index).copied().ok_or_else(|| Fault::not_modelled("a command without an image"))
    }

    /// The image of the first operand.
    pub(super) fn image(&self) -> Result<Named> {
        self.image_at(self.operand(0)?)
    }

    /// An image that the command reads.
    pub(super) fn image_at(&self, operand: &str) -> Result<Named> {
        named(operand, self.format("f")?, self.has("image-opts"))
    }
}

/// An image by a plain name or a node.
pub(super) fn named(operand: &str, format: Option<Format>, is_node: bool) -> Result<Named> {
    if is_node {
        return of_node(&KeyVal::parse(operand.as_ref()));
    }
    if let Some(json) = operand.strip_prefix("json:") {
        let node = serde_json::from_str(json).map_err(|_| Fault::not_modelled("a node that is not JSON"))?;
        let node = flat(&node, "", KeyVal::new());
        return of_node(&match format {
            Some(format) if node.get("driver").is_none() => node.with("driver", format.as_str()),
            _ => node,
        });
    }
    check_name(operand)?;
    Ok(Named { name: operand.to_owned(), format })
}

fn of_node(node: &KeyVal) -> Result<Named> {
    let (mut name, mut format) = (None, None);
    for (key, value) in node.iter() {
        match (key, utf8(value)?) {
            ("driver", driver) => format = Some(read(driver)?),
            ("file.filename", path) => name = Some(path.to_owned()),
            ("file.driver", "file") => {}
            _ => return Err(Fault::not_modelled(format!("`{key}` of a node"))),
        }
    }
    let name = name.ok_or_else(|| Fault::not_modelled("an image that is not in a file"))?;
    Ok(Named { name, format })
}

/// Nested keys with dots in between.
fn flat(value: &Value, prefix: &str, list: KeyVal) -> KeyVal {
    match value {
        Value::Object(members) => members.iter().fold(list, |list, (key, value)| {
            let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
            flat(value, &key, list)
        }),
        Value::String(text) => list.with(prefix, text),
        other => list.with(prefix, other.to_string()),
    }
}

pub(super) fn utf8(text: &OsStr) -> Result<&str> {
    text.to_str().ok_or_else(|| Fault::not_modelled("a name that is not UTF-8"))
}

/// A value that the command's own type has already been read from.
pub(super) fn read<T: FromStr>(text: &str) -> Result<T> {
    text.parse().map_err(|_| Fault::not_modelled(format!("`{text}`")))
}
