//! qimg's own options, which stand before the subcommand.

use std::ffi::OsString;
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
    Clean(clean::Clean),
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
        match subcommand {
            Subcommand::Info => {
                self.or(Some(Duration::from_secs(30)), Some(ByteSize::gib(1)), Some(Duration::from_secs(60)))
            }
            _ => self.or(None, None, None),
        }
    }

    /// So is an import, each bound by itself: the library has the same, but only for whom sets none of the limits.
    pub(crate) fn for_import(&self) -> Resolved {
        let Resolved { limits, timeout } = self.or(None, Some(ByteSize::gib(1)), Some(Duration::from_secs(3600)));
        let limits = limits.open_files(256).core(ByteSize::bytes(0));
        Resolved { limits, timeout: timeout.or(Some(Duration::MAX)) }
    }

    /// What was given, or else these.
    fn or(&self, cpu: Option<Duration>, memory: Option<ByteSize>, timeout: Option<Duration>) -> Resolved {
        let (cpu, memory) = (self.cpu.unwrap_or(cpu), self.memory.unwrap_or(memory));
        let timeout = self.timeout.unwrap_or(timeout);
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
            Value(name) => {
                options.command = [name].into_iter().chain(parser.raw_args()?).collect();
                return action(options);
            }
            other => return Err(own::unexpected(other, "")),
        }
    }
    Err("there is no subcommand: write one, such as convert or info; `qimg --help` lists them".into())
}

/// What the words behind qimg's own options ask for.
fn action(options: Options) -> Result<Action, Error> {
    let Some((name, args)) = options.command.split_first() else { return Ok(Action::Run(options)) };
    let Some(command) = own::command(name) else { return Ok(Action::Run(options)) };
    if command.is_asked_for_help(args) {
        return Ok(Action::Print(own::usage_of(command)));
    }
    // These run one, and say for themselves what they do not take.
    if !matches!(command.name, "import" | "digest") {
        keep_promises(command, &options)?;
    }
    let mut args = args.iter().cloned();
    let alone = |text: fn() -> String, arg: Option<OsString>| match arg {
        Some(arg) => Err(own::unexpected(Value(arg), command.name)),
        None => Ok(Action::Print(text())),
    };
    match command.name {
        "help" => help(args.collect(), options),
        "lint" => lint::report(args, options.bounds.memory.flatten()).map(|(text, found)| Action::Report(text, found)),
        "inspect" => inspect::parse(args).map(Action::Inspect),
        "chain" => chain::parse(args).map(Action::Chain),
        "doctor" => doctor::parse(args, options.qemu_img).map(Action::Doctor),
        "explain" => explain::text(args).map(Action::Print),
        "completions" => completions::text(args).map(Action::Print),
        "clean" => clean::parse(args).map(Action::Clean),
        "install-docs" => install_docs::text(args).map(Action::Print),
        "man" => alone(man::text, args.next()),
        "options" => alone(table::text, args.next()),
        _ => Ok(Action::Run(options)),
    }
}

fn help(about: Vec<OsString>, options: Options) -> Result<Action, Error> {
    match &about[..] {
        [] => Ok(Action::Print(own::usage())),
        [name] => Ok(match own::command(name) {
            Some(command) => Action::Print(own::usage_of(command)),
            None => Action::Run(Options { command: vec![name.clone(), "--help".into()], ..options }),
        }),
        _ => Err("help takes the name of one command".into()),
    }
}

/// Refuses what would not be so: that nothing is done, or that root does it.
fn keep_promises(command: &own::Command, options: &Options) -> Result<(), Error> {
    let name = command.name;
    if options.dry_run.is_some() {
        let has_its_own = command.options.iter().any(|own| own.long == "dry-run");
        let instead = if has_its_own { format!(": write `qimg {name} --dry-run`") } else { String::new() };
        return Err(format!("--dry-run in front is for what runs a qemu-img, and not for {name}{instead}").into());
    }
    if options.sudo.is_some() {
        return Err(format!("--sudo is for what runs a qemu-img, and not for {name}: run qimg itself by sudo").into());
    }
    Ok(())
}

/// `NAME=VALUE`, or `NAME` for one of our own; if we have it not, neither has qemu-img.
fn variable(text: OsString) -> Option<(OsString, OsString)> {
    match own::at_equals(&text) {
        (name, Some(value)) => Some((name.into(), value.into())),
        (_, None) => std::env::var_os(&text).map(|value| (text, value)),
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
