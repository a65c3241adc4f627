//! qimg's own options, which stand before the subcommand.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::prelude::*;
use qemu_exec::Limits;
use qemu_exec::cmd::{ByteSize, Subcommand};

use crate::Error;
use crate::dry_run::Format;
use crate::view::Pretty;
use crate::{chain, clean, completions, doctor, explain, inspect, install_docs, lint, man, own, table};

/// What qimg was asked to do.
pub(crate) enum Action {
    Print(String),
    /// Prints it, and exits with 1 if anything was found.
    Report(String, bool),
    Inspect(inspect::Inspect),
    Chain(chain::Chain),
    Doctor(doctor::Doctor),
    Run(Options),
}

pub(crate) struct Options {
    pub(crate) dry_run: Option<Format>,
    pub(crate) pretty: Pretty,
    pub(crate) progress: bool,
    /// `Some(None)` is root.
    pub(crate) sudo: Option<Option<String>>,
    pub(crate) qemu_img: Option<PathBuf>,
    pub(crate) env: Vec<(OsString, OsString)>,
    pub(crate) bounds: Bounds,
    /// The subcommand and what follows it.
    pub(crate) command: Vec<OsString>,
}

/// The bounds that were given; an inner `None` is no bound.
#[derive(Default)]
pub(crate) struct Bounds {
    cpu: Option<Option<Duration>>,
    memory: Option<Option<ByteSize>>,
    timeout: Option<Option<Duration>>,
}

pub(crate) struct Resolved {
    pub(crate) limits: Limits,
    pub(crate) timeout: Option<Duration>,
}

impl Bounds {
    /// What reads headers only is bounded unless that was switched off.
    pub(crate) fn for_subcommand(&self, subcommand: Subcommand) -> Resolved {
        let metadata = subcommand == Subcommand::Info;
        let cpu = self.cpu.unwrap_or(metadata.then_some(Duration::from_secs(30)));
        let memory = self.memory.unwrap_or(metadata.then_some(ByteSize::gib(1)));
        let timeout = self.timeout.unwrap_or(metadata.then_some(Duration::from_secs(60)));
        let mut limits = Limits::none();
        if let Some(cpu) = cpu {
            limits = limits.cpu(cpu);
        }
        if let Some(memory) = memory {
            limits = limits.address_space(memory);
        }
        Resolved { limits, timeout }
    }
}

pub(crate) fn parse() -> Result<Action, Error> {
    let mut parser = lexopt::Parser::from_env();
    let mut options = Options {
        dry_run: None,
        pretty: Pretty::default(),
        progress: false,
        sudo: None,
        qemu_img: None,
        env: Vec::new(),
        bounds: Bounds::default(),
        command: Vec::new(),
    };
    while let Some(arg) = parser.next()? {
        match arg {
            Long("dry-run") => {
                options.dry_run = Some(match parser.optional_value() {
                    None => Format::Shell,
                    Some(value) if value == "shell" => Format::Shell,
                    Some(value) if value == "json" => Format::Json,
                    Some(value) => return Err(bad("--dry-run", "shell or json", &value)),
                });
            }
            Long("pretty") => {
                options.pretty = match parser.optional_value() {
                    None => Pretty::Always,
                    Some(value) if value == "always" => Pretty::Always,
                    Some(value) if value == "auto" => Pretty::Auto,
                    Some(value) if value == "never" => Pretty::Never,
                    Some(value) => return Err(bad("--pretty", "auto, always or never", &value)),
                };
            }
            Long("progress") => options.progress = true,
            Long("sudo") => {
                let user = parser.optional_value().map(ValueExt::string).transpose()?;
                if user.as_deref() == Some("") {
                    return Err("--sudo= needs a user; for root write --sudo".into());
                }
                options.sudo = Some(user);
            }
            Long("limit-cpu") => options.bounds.cpu = Some(seconds("--limit-cpu", &parser.value()?)?),
            Long("timeout") => options.bounds.timeout = Some(seconds("--timeout", &parser.value()?)?),
            Long("limit-memory") => {
                let value = parser.value()?;
                let size = || value.to_str().and_then(|text| text.parse().ok());
                options.bounds.memory = match value == "none" {
                    true => Some(None),
                    false => {
                        Some(Some(size().ok_or_else(|| bad("--limit-memory", "a size such as 1G, or none", &value))?))
                    }
                };
            }
            Long("env") => options.env.extend(variable(parser.value()?)),
            Long("qemu-img") => options.qemu_img = Some(parser.value()?.into()),
            Short('h') | Long("help") => return Ok(Action::Print(own::usage())),
            Short('V') | Long("version") => {
                return Ok(Action::Print(format!("qimg {}\n", env!("CARGO_PKG_VERSION"))));
            }
            Value(command) if command == "lint" => {
                return lint::report(parser.raw_args()?, options.bounds.memory.flatten())
                    .map(|(text, found)| Action::Report(text, found));
            }
            Value(command) if command == "inspect" => return inspect::parse(parser.raw_args()?).map(Action::Inspect),
            Value(command) if command == "chain" => return chain::parse(parser.raw_args()?).map(Action::Chain),
            Value(command) if command == "doctor" => {
                return doctor::parse(parser.raw_args()?, options.qemu_img).map(Action::Doctor);
            }
            Value(command) if command == "explain" => return explain::text(parser.raw_args()?).map(Action::Print),
            Value(command) if command == "completions" => {
                return completions::text(parser.raw_args()?).map(Action::Print);
            }
            Value(command) if command == "clean" => return clean::text(parser.raw_args()?).map(Action::Print),
            Value(command) if command == "install-docs" => {
                return install_docs::text(parser.raw_args()?).map(Action::Print);
            }
            Value(command) if command == "man" => return Ok(Action::Print(man::text())),
            Value(command) if command == "options" => return Ok(Action::Print(table::text())),
            Value(subcommand) => {
                options.command.push(subcommand);
                options.command.extend(parser.raw_args()?);
                return Ok(Action::Run(options));
            }
            other => return Err(own::unexpected(other, "")),
        }
    }
    Err("there is no subcommand: write one, such as convert or info; `qimg --help` lists them".into())
}

/// `NAME=VALUE`, or `NAME` for one of our own; if we have it not, neither has qemu-img.
fn variable(text: OsString) -> Option<(OsString, OsString)> {
    let bytes = text.as_bytes();
    match bytes.iter().position(|byte| *byte == b'=').and_then(|at| bytes.split_at_checked(at)) {
        Some((name, value)) => Some((OsStr::from_bytes(name).into(), OsStr::from_bytes(value.get(1..)?).into())),
        None => std::env::var_os(&text).map(|value| (text, value)),
    }
}

fn seconds(option: &str, value: &OsString) -> Result<Option<Duration>, Error> {
    if value == "none" {
        return Ok(None);
    }
    let number = value.to_str().and_then(|text| text.parse().ok());
    let time = number.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).filter(|time| !time.is_zero());
    time.map(Some).ok_or_else(|| bad(option, "a number of seconds above 0, or none", value))
}

fn bad(option: &str, wanted: &str, value: &OsString) -> Error {
    format!("{option} takes {wanted}, and `{}` was given", value.to_string_lossy()).into()
}
