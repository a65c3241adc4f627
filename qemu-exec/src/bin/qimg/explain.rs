//! `qimg explain`: what each argument of a command line does.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use qemu_exec::cmd::{CommandLine, Explained, shell_quote};
use serde_json::{Value, json};

use crate::{Error, term};

/// Arguments that are wider than this stand on a line of their own.
const WIDEST: usize = 36;

pub(crate) fn text(args: impl Iterator<Item = OsString>) -> Result<String, Error> {
    let (is_json, command) = parse("explain", args)?;
    let line = CommandLine::parse(command)?;
    let explained = line.explain();
    if is_json {
        return Ok(format!("{}\n", term::json(&explained.iter().map(object).collect())));
    }
    let mut text = table(&explained);
    let refusal = line.invocation().err().map(|refusal| format!("qimg refuses it: {refusal}\n"));
    let notes = refusal.into_iter().chain(line.requires().into_iter().map(|feature| format!("{feature}\n")));
    let notes: String = notes.collect();
    if !notes.is_empty() {
        text.push_str(&format!("\n{notes}"));
    }
    Ok(text)
}

/// Whether JSON is wanted, and the command line without the program's name, for a command about commands.
pub(crate) fn parse(about: &str, args: impl Iterator<Item = OsString>) -> Result<(bool, Vec<OsString>), Error> {
    let mut args = args.peekable();
    let mut is_json = false;
    while let Some(arg) = args.next_if(|arg| arg.as_encoded_bytes().starts_with(b"-") && arg != "-") {
        let value = match arg.to_str() {
            Some("--") => break,
            Some("--output") => args.next(),
            Some(text) => text.strip_prefix("--output=").map(OsString::from),
            None => None,
        };
        is_json = match value.as_ref().and_then(|value| value.to_str()) {
            Some("json") => true,
            Some("human") => false,
            _ => {
                return Err(
                    format!("{about} takes --output=human or --output=json, then `--` and a command line").into()
                );
            }
        };
    }
    args.next_if(|arg| is_program(arg));
    if args.peek().is_none() {
        return Err(format!("{about} takes a command line: `qimg {about} -- qemu-img info a.raw`").into());
    }
    Ok((is_json, args.collect()))
}

/// Whether a word of a command line is qemu-img, by whatever path.
pub(crate) fn is_program(word: &OsStr) -> bool {
    Path::new(word).file_name().is_some_and(|name| name == "qemu-img")
}

fn object(explained: &Explained) -> Value {
    let args: Vec<_> = explained.args.iter().map(|arg| arg.to_string_lossy()).collect();
    let mut object = json!({"args": args, "meaning": explained.meaning});
    if let (false, Some(object)) = (explained.parts.is_empty(), object.as_object_mut()) {
        object.insert("parts".to_owned(), explained.parts.iter().map(self::object).collect());
    }
    object
}

fn table(explained: &[Explained]) -> String {
    let shown = |explained: &Explained| {
        let args: Vec<_> = explained.args.iter().map(|arg| shell_quote(arg)).collect();
        args.join(" ")
    };
    let mut rows: Vec<(String, &str)> = Vec::new();
    for row in explained {
        rows.push((shown(row), &row.meaning));
        rows.extend(row.parts.iter().map(|part| (format!("  {}", shown(part)), part.meaning.as_str())));
    }
    let widths = rows.iter().map(|(args, _)| term::columns(args));
    let width = widths.filter(|width| *width <= WIDEST).max().unwrap_or_default();
    let mut text = String::new();
    for (args, meaning) in rows {
        if term::columns(&args) > width {
            text.push_str(&format!("{args}\n{:width$}  {meaning}\n", ""));
        } else {
            text.push_str(&format!("{}  {meaning}\n", term::padded(&args, width)));
        }
    }
    text
}
