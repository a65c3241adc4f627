//! `qimg`: a drop-in for `qemu-img` that shows what would run, bounds it, and keeps secrets out of sight.

mod advice;
mod args;
mod chain;
mod clean;
mod completions;
mod digest;
mod doctor;
mod dry_run;
mod explain;
mod import;
mod inspect;
mod install_docs;
mod lint;
mod man;
mod own;
mod progress;
mod run;
mod secrets;
mod table;
mod term;
mod view;

use std::io::{self, Write as _};
use std::process::ExitCode;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Resource, Rlimit, Signal, setrlimit};

use qemu_exec::cmd::{CommandLine, Invocation, LintRule, Location, Subcommand};
use qemu_exec::{Executor, LocalExecutor, Output, Request, SudoExecutor, safe_cache_mode};

use args::{Action, Options};
use progress::Display;
use view::View;

/// What qimg exits with when it refuses, and nothing has run.
const REFUSED: u8 = 2;

fn main() -> ExitCode {
    // The arguments may hold a passphrase, and a core file would hold the arguments.
    let core = rustix::process::getrlimit(Resource::Core);
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), ..core });
    run::remember_children();
    let mut advice = None;
    let result = args::parse().and_then(|action| match action {
        Action::Print(text) => {
            io::stdout().write_all(text.as_bytes())?;
            Ok(ExitCode::SUCCESS)
        }
        Action::Report(text, found) => {
            io::stdout().write_all(text.as_bytes())?;
            Ok(ExitCode::from(u8::from(found)))
        }
        Action::Inspect(inspect) => inspect.run(),
        Action::Chain(chain) => chain.run(),
        Action::Clean(clean) => clean.run(),
        Action::Doctor(doctor) => doctor.run(),
        Action::Run(options) => {
            let run = match options.command.first() {
                Some(command) if command == "digest" => digest::digest,
                Some(command) if command == "import" => import::import,
                _ => act,
            };
            run(&options).inspect_err(|error| {
                let wanted = advice::is_wanted(options.pretty);
                advice = advice::about_line(&options.command, &error.to_string()).filter(|_| wanted);
            })
        }
    });
    result.unwrap_or_else(|error| {
        if error.downcast_ref().is_some_and(|error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe) {
            // As if it were killed by that: whoever has stopped reading wants to be told nothing.
            return ExitCode::from(run::after_signal(Signal::PIPE.as_raw()));
        }
        complain(&*error);
        if let Some(advice) = advice {
            complain(&*Error::from(advice));
        }
        ExitCode::from(REFUSED)
    })
}

type Error = Box<dyn std::error::Error>;

/// What a version of qemu-img lacks is for that one to say: it may be a build that has it all the same, and what is
/// added here (a cache mode, a secret by another way) every version has.
fn act(options: &Options) -> Result<ExitCode, Error> {
    if let Some(name) = options.command.first().filter(|name| Subcommand::from_name(name).is_none()) {
        return Err(own::unknown(name));
    }
    let (command, svg) = match options.command.first() {
        Some(name) if name == "map" => view::take_svg(&options.command)?,
        _ => (options.command.clone(), None),
    };
    let mut line = CommandLine::parse(command.iter().cloned())?;
    let view = View::of(&line, options.pretty, svg)?;
    if view.is_some() && !line.has("output") {
        line = CommandLine::parse(View::command(&command))?;
    }
    secrets::take_over(&mut line, options.dry_run.is_some())?;
    let mut invocation = line.invocation()?;
    if line.subcommand() == Subcommand::Convert && !line.has("t") && !line.asks_for_help() {
        if let Some(target) = line.target() {
            let place = target.path().map_or_else(String::new, |path| path.display().to_string());
            let mode = safe_cache_mode(&target).map_err(|error| format!("`{place}` cannot be written: {error}"))?;
            line.set_target_cache(mode);
        }
        invocation = line.invocation()?;
    }
    let request = request(options, &line, &invocation);
    let executor = executor(options, &invocation);
    let advise = advice::is_wanted(options.pretty);
    match options.dry_run {
        Some(format) => {
            // What is shown is exact, so that it can be pasted, and would show a password as `ps` does.
            for finding in line.lint().iter().filter(|finding| finding.code == LintRule::PASSWORD_IN_NAME.code) {
                complain(&*Error::from(format!("{finding}")));
            }
            let plan = executor.plan(&request)?;
            writeln!(io::stdout(), "{}", dry_run::show(format, &plan, &invocation, &line.requires()))?;
            if let Some(advice) = dry_run::how_to_paste(format, &plan).filter(|_| advise) {
                complain(&*Error::from(advice));
            }
            Ok(ExitCode::SUCCESS)
        }
        None => match view {
            Some(view) => view.run(&*executor, request, &line, advise),
            None => {
                let display = Display::of(options, &line, &invocation, &*executor)?;
                if display.is_none() && is_for_a_person(options, &line, &invocation) {
                    return run::show(&*executor, request, advise);
                }
                run::run(&*executor, request, advise, display.as_ref())
            }
        },
    }
}

/// Whether what qemu-img prints is text that a person is to read, and that may hold names.
fn is_for_a_person(options: &Options, line: &CommandLine, invocation: &Invocation) -> bool {
    // What it prints first of these is to be seen while it works, and only a terminal has it flush that.
    let is_seen_at_once = line.has("p") || line.subcommand() == Subcommand::Bench;
    !is_seen_at_once && !progress::may_be_data(invocation) && options.pretty.is_wanted(term::is_terminal())
}

fn request<'a>(options: &Options, line: &CommandLine, invocation: &'a Invocation) -> Request<'a> {
    let request = Request::new(invocation).output(Output::Forwarded);
    let bounds = options.bounds.for_subcommand(line.subcommand());
    let reads_stdin = invocation.reads().iter().filter_map(Location::path).any(secrets::is_stdin);
    request.limits(bounds.limits).timeout(bounds.timeout).inherit_stdin(reads_stdin)
}

fn executor(options: &Options, invocation: &Invocation) -> Box<dyn Executor> {
    let qemu_img = options.qemu_img.as_deref().unwrap_or("qemu-img".as_ref());
    let env = options.env.iter();
    let Some(user) = &options.sudo else {
        let local = LocalExecutor::with_program(qemu_img);
        // An image that is a descriptor of ours is to be one of qemu-img's.
        let images = invocation.reads().iter().chain(invocation.writes()).filter_map(Location::path);
        let inherits = images.into_iter().any(|path| secrets::is_own_descriptor(path) && !secrets::is_stdin(path));
        let local = if inherits { local.portable() } else { local };
        return Box::new(env.fold(local, |local, (name, value)| local.env(name, value)));
    };
    let sudo = env.fold(SudoExecutor::with_program(qemu_img), |sudo, (name, value)| sudo.env(name, value));
    Box::new(match user {
        Some(user) => sudo.user(user),
        None => sudo,
    })
}

/// Says what is wrong on standard error, unless nobody takes it: a reader that has stopped must not hold us up.
fn complain(error: &dyn std::error::Error) {
    let stderr = io::stderr();
    let second = Timespec { tv_sec: 1, tv_nsec: 0 };
    let mut fds = [PollFd::new(&stderr, PollFlags::OUT)];
    if !matches!(poll(&mut fds, Some(&second)), Ok(0)) {
        // It may be closed, and then there is nobody to tell.
        let _ = writeln!(&stderr, "qimg: {}", one_line(error));
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
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    without_number(&text).to_owned()
}

/// Without what std puts behind the words of an error of the system.
pub(crate) fn without_number(text: &str) -> &str {
    let number = text.strip_suffix(')').and_then(|text| text.rsplit_once(" (os error "));
    number.filter(|(_, number)| number.bytes().all(|byte| byte.is_ascii_digit())).map_or(text, |(words, _)| words)
}
