//! `qimg`: a drop-in for `qemu-img` that shows what would run, bounds it, and keeps secrets out of sight.

mod args;
mod dry_run;
mod run;
mod secrets;

use std::process::ExitCode;

use qemu_exec::cmd::{CommandLine, Invocation, Subcommand};
use qemu_exec::{Executor, LocalExecutor, Output, Request, SudoExecutor, safe_cache_mode};

use args::{Action, Options};

/// What qimg exits with when it refuses, and nothing has run.
const REFUSED: u8 = 2;

fn main() -> ExitCode {
    let result = args::parse().and_then(|action| match action {
        Action::Print(text) => {
            print!("{text}");
            Ok(ExitCode::SUCCESS)
        }
        Action::Run(options) => act(&options),
    });
    result.unwrap_or_else(|error| {
        eprintln!("qimg: {}", one_line(&*error));
        ExitCode::from(REFUSED)
    })
}

type Error = Box<dyn std::error::Error>;

fn act(options: &Options) -> Result<ExitCode, Error> {
    let mut line = CommandLine::parse(options.command.iter().cloned())?;
    secrets::take_over(&mut line, options.dry_run.is_some())?;
    let mut invocation = line.invocation()?;
    if line.subcommand() == Subcommand::Convert && !line.has("t") && !line.asks_for_help() {
        if let Some(target) = line.target() {
            line.set_target_cache(safe_cache_mode(&target)?);
        }
        invocation = line.invocation()?;
    }
    let request = request(options, &line, &invocation);
    let executor = executor(options);
    match options.dry_run {
        Some(format) => {
            let plan = executor.plan(&request)?;
            println!("{}", dry_run::show(format, &plan, &invocation));
            Ok(ExitCode::SUCCESS)
        }
        None => run::run(&*executor, request),
    }
}

fn request<'a>(options: &Options, line: &CommandLine, invocation: &'a Invocation) -> Request<'a> {
    let request = Request::new(invocation).output(Output::Forwarded);
    let bounds = options.bounds.for_subcommand(line.subcommand());
    request.limits(bounds.limits).timeout(bounds.timeout)
}

fn executor(options: &Options) -> Box<dyn Executor> {
    let qemu_img = options.qemu_img.as_deref().unwrap_or("qemu-img".as_ref());
    match &options.sudo {
        None => Box::new(LocalExecutor::with_program(qemu_img)),
        Some(None) => Box::new(SudoExecutor::with_program(qemu_img)),
        Some(Some(user)) => Box::new(SudoExecutor::with_program(qemu_img).user(user)),
    }
}

/// The error and what caused it, on one line whatever names are in it.
fn one_line(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
