//! `qimg doctor`: what is here to work with, and what to do about what is not.

mod directory;
mod machine;
mod program;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use lexopt::prelude::*;
use serde_json::{Value, json};

use crate::term::{Style, Terminal, folded, printable};
use crate::{Error, own, term};

/// What `qimg doctor` was asked to do.
pub(crate) struct Doctor {
    json: bool,
    qemu_img: PathBuf,
    directory: PathBuf,
}

/// What was found about one thing.
struct Found {
    /// A word that stays the same.
    about: &'static str,
    state: State,
    /// What there is, for people.
    text: String,
    /// What to do about it.
    remedy: Option<String>,
    /// The same for programs.
    values: Value,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Good,
    /// Something cannot be done here, or only in another way.
    Note,
    /// qimg cannot do its work.
    Bad,
}

impl State {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Note => "note",
            Self::Bad => "bad",
        }
    }
}

impl Found {
    fn new(about: &'static str, state: State, text: impl Into<String>) -> Self {
        let text = crate::without_number(&text.into()).to_owned();
        Self { about, state, text, remedy: None, values: json!({}) }
    }

    fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    fn values(mut self, values: Value) -> Self {
        self.values = values;
        self
    }
}

pub(crate) fn parse(args: impl Iterator<Item = OsString>, qemu_img: Option<PathBuf>) -> Result<Doctor, Error> {
    let mut parser = lexopt::Parser::from_args(args);
    let (mut json, mut directory) = (false, None);
    while let Some(arg) = parser.next()? {
        match arg {
            Long("output") => json = own::is_json(&parser.value()?)?,
            Value(value) if directory.is_none() => directory = Some(PathBuf::from(value)),
            Value(_) => return Err("doctor takes one directory: call it once for each".into()),
            other => return Err(own::unexpected(other, "doctor")),
        }
    }
    let qemu_img = qemu_img.unwrap_or_else(|| "qemu-img".into());
    Ok(Doctor { json, qemu_img, directory: directory.unwrap_or_else(|| ".".into()) })
}

impl Doctor {
    /// Exits with 1 if something keeps qimg from its work.
    pub(crate) fn run(&self) -> Result<ExitCode, Error> {
        let mut found = program::look(&self.qemu_img);
        found.extend(machine::look(&self.qemu_img));
        found.extend(directory::look(&self.directory));
        let bad = found.iter().any(|found| found.state == State::Bad);
        let text = if self.json {
            let checks: Vec<_> = found.iter().map(object).collect();
            format!("{}\n", term::json(&json!({"ok": !bad, "checks": checks})))
        } else {
            table(&found, Terminal::new())
        };
        io::stdout().write_all(text.as_bytes())?;
        Ok(ExitCode::from(u8::from(bad)))
    }
}

fn object(found: &Found) -> Value {
    let Found { about, state, text, remedy, values } = found;
    json!({"about": about, "state": state.as_str(), "text": text, "remedy": remedy, "values": values})
}

fn table(found: &[Found], terminal: Terminal) -> String {
    let names = found.iter().map(|found| found.about.len()).max().unwrap_or_default();
    let indent = names + 8;
    let mut text = String::new();
    for Found { about, state, text: said, remedy, .. } in found {
        let style = match state {
            State::Good => Style::Good,
            State::Note => Style::Warning,
            State::Bad => Style::Bad,
        };
        let mark = terminal.paint(style, &format!("{:<4}", state.as_str()));
        let about = terminal.paint(Style::Bold, &format!("{about:<names$}"));
        text.push_str(&format!("{mark}  {about}  {}\n", folded(&printable(said), indent, terminal.width)));
        if let Some(remedy) = remedy {
            let arrow = folded(&format!("→ {}", printable(remedy)), indent, terminal.width);
            text.push_str(&format!("{:indent$}{arrow}\n", ""));
        }
    }
    text
}
