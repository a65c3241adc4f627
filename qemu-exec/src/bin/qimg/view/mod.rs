//! What people look at where a program would read: tables for `info` and `check`, a drawing for `map`.
//!
//! qemu-img is run as it was asked, but that it prints JSON, which is made into the view as it comes.

mod check;
mod info;
mod map;

use std::ffi::OsString;
use std::io::{self, Read as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use qemu_exec::cmd::{CommandLine, Subcommand};
use qemu_exec::{Executor, OutputReader, Request};

use crate::term::{Style, Terminal, folded, printable};
use crate::{Error, run, term};

pub(crate) use map::{Drawing, take_svg};

/// When what is shown is made for people.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Pretty {
    /// On a terminal.
    #[default]
    Auto,
    Always,
    Never,
}

impl Pretty {
    /// Whether it is for a person, where `is_terminal` tells what a person would look at.
    pub(crate) const fn is_wanted(self, is_terminal: bool) -> bool {
        match self {
            Self::Auto => is_terminal,
            Self::Always => true,
            Self::Never => false,
        }
    }
}

/// A view of what one subcommand prints.
#[derive(Clone)]
pub(crate) enum View {
    Info { chain: bool },
    Check,
    Map(Drawing),
}

/// How much JSON of `info` and `check` is taken.
const MOST: u64 = 64 << 20;

impl View {
    /// The view of this command line, if there is to be one: not where it says itself what is printed.
    pub(crate) fn of(line: &CommandLine, pretty: Pretty, svg: Option<PathBuf>) -> Result<Option<Self>, Error> {
        if line.asks_for_help() {
            return Ok(None);
        }
        let output = line.value("output").and_then(|output| output.to_str());
        if svg.is_some() && output.is_some_and(|output| output != "json") {
            return Err("a picture is made of JSON: give --svg without --output, or with --output=json".into());
        }
        let wanted = pretty.is_wanted(term::is_terminal()) && output.is_none() && !line.has("q");
        Ok(match line.subcommand() {
            Subcommand::Info if wanted => Some(Self::Info { chain: line.has("backing-chain") }),
            Subcommand::Check if wanted => Some(Self::Check),
            Subcommand::Map if wanted || svg.is_some() => {
                let on_stdout = svg.as_ref().is_some_and(|file| file.as_os_str() == "-");
                Some(Self::Map(Drawing { strip: wanted && !on_stdout, json: output.is_some() && !on_stdout, svg }))
            }
            _ => None,
        })
    }

    /// The command that prints what the view is made of.
    pub(crate) fn command(command: &[OsString]) -> impl Iterator<Item = OsString> {
        let json = OsString::from("--output=json");
        let (subcommand, rest) = command.split_at(command.len().min(1));
        subcommand.iter().cloned().chain([json]).chain(rest.iter().cloned())
    }

    /// Runs it, and shows what came of it. The exit status is qemu-img's.
    pub(crate) fn run(
        &self,
        executor: &dyn Executor,
        request: Request<'_>,
        line: &CommandLine,
        advise: bool,
    ) -> Result<ExitCode, Error> {
        if let Self::Map(drawing) = self {
            return drawing.run(executor, request, line, advise);
        }
        let (json, code) = run::read(executor, request, advise, all)?;
        let terminal = Terminal::new();
        let text = match self {
            Self::Info { chain: false } => info::one(&json, terminal),
            Self::Info { chain: true } => info::chain(&json, terminal),
            Self::Check | Self::Map(_) => check::text(&json, terminal),
        };
        // What is not understood is shown as it is. Nothing was printed by what failed, and qemu-img has said why.
        let text = text.unwrap_or_else(|| plain(&json));
        io::stdout().write_all(text.as_bytes())?;
        Ok(code)
    }
}

/// What there is to read, and not more than anybody wants to see; it is read to its end.
fn all(mut pipe: OutputReader) -> Vec<u8> {
    let mut json = Vec::new();
    // An error ends it as the end does.
    let _ = pipe.by_ref().take(MOST).read_to_end(&mut json);
    let _ = io::copy(&mut pipe, &mut io::sink());
    json
}

fn plain(json: &[u8]) -> String {
    String::from_utf8_lossy(json).lines().map(|line| printable(line) + "\n").collect()
}

/// Rows of a name and what is to be said about it, which may be several lines, under a heading.
struct Rows {
    terminal: Terminal,
    rows: Vec<(&'static str, String)>,
}

impl Rows {
    const fn new(terminal: Terminal) -> Self {
        Self { terminal, rows: Vec::new() }
    }

    fn row(&mut self, name: &'static str, value: impl Into<String>) {
        self.rows.push((name, value.into()));
    }

    fn maybe(&mut self, name: &'static str, value: Option<impl Into<String>>) {
        if let Some(value) = value {
            self.row(name, value);
        }
    }

    fn text(&self) -> String {
        let width = self.rows.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
        let mut text = String::new();
        for (name, value) in &self.rows {
            let mut name = *name;
            for line in value.lines() {
                let line = folded(line, width + 4, self.terminal.width);
                text.push_str(&format!("  {}  {line}\n", self.terminal.paint(Style::Dim, &format!("{name:<width$}"))));
                name = "";
            }
        }
        text
    }
}
