//! Running the command, and what qimg exits with.

use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use qemu_exec::{CancelToken, End, ErrorKind, Executor, OutputReader, Request, output_pipe};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM};

use crate::progress::Display;
use crate::{Error, REFUSED, advice, complain, term};

/// What timeout(1) exits with.
const TIMED_OUT: u8 = 124;

/// Makes sure that this process is told how its children end: who starts it may ignore SIGCHLD, as some services do.
pub(crate) fn remember_children() {
    if ignored_signals()(SIGCHLD) {
        // If there is no handler, nothing is started, which says why.
        let _ = signal_hook::flag::register(SIGCHLD, Arc::default());
    }
}

/// A token that is cancelled by the signals that end a program, and the number of the one that came.
pub(crate) fn cancelled_by_signals() -> Result<(CancelToken, Arc<AtomicUsize>), Error> {
    let interrupted = Arc::new(AtomicUsize::new(0));
    let token = CancelToken::new()?;
    // qemu-img has a process group of its own, so what the terminal sends reaches qimg alone.
    let ignored = ignored_signals();
    // What was ignored stays so, for nohup and for what a script runs in the background.
    for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM].into_iter().filter(|signal| !ignored(*signal)) {
        signal_hook::flag::register_usize(signal, Arc::clone(&interrupted), signal.try_into()?)?;
        signal_hook::low_level::pipe::register(signal, token.write_end().as_fd().try_clone_to_owned()?)?;
    }
    Ok((token, interrupted))
}

/// Says why a client has failed, and what helps, and tells what to exit with.
pub(crate) fn failed(error: &qemu_exec::Error, advice: Option<String>, interrupted: &AtomicUsize) -> ExitCode {
    complain(error);
    if let Some(advice) = advice {
        complain(&*Error::from(advice));
    }
    ExitCode::from(match error.kind() {
        ErrorKind::Refused | ErrorKind::Unsupported => REFUSED,
        ErrorKind::TimedOut => TIMED_OUT,
        ErrorKind::Cancelled => after_that_of(interrupted),
        _ => 1,
    })
}

/// Runs it, and says what qemu-img cannot know of its end; if there is to be advice, that too.
pub(crate) fn run<'a>(
    executor: &dyn Executor,
    request: Request<'a>,
    advise: bool,
    display: Option<&'a Display>,
) -> Result<ExitCode, Error> {
    let (token, interrupted) = cancelled_by_signals()?;
    let (invocation, limits) = (request.invocation, request.limits);
    let request = request.cancel(token);
    let outcome = executor.run(display.map_or_else(|| request.clone(), |display| display.watching(request.clone())))?;
    if let Some(display) = display {
        display.finish(&outcome)?;
    }
    let end = outcome.end;
    // Some versions leave the line open that they say last.
    let open = outcome.stderr.last().is_some_and(|byte| *byte != b'\n');
    let Err(error) = outcome.ok(invocation, &limits) else { return Ok(ExitCode::SUCCESS) };
    // The words of qemu-img, or of sudo, have been passed on; what they cannot know about is added.
    let told = matches!(end, End::Exited(_) | End::Cancelled);
    let news = (!told || matches!(error.kind(), ErrorKind::LimitHit(_))).then(|| unsaid(&error));
    let advice = advice::about(&error, Some(invocation)).filter(|_| advise);
    for (index, line) in news.into_iter().chain(advice).enumerate() {
        if open && index == 0 {
            let _ = io::stderr().write_all(b"\n");
        }
        complain(&*Error::from(line));
    }
    Ok(ExitCode::from(match end {
        // qemu-img has not run.
        _ if error.kind() == ErrorKind::SudoRefused => REFUSED,
        // It failed all the same, as its words say.
        End::Exited(0) => 1,
        End::Exited(code) => u8::try_from(code).unwrap_or(u8::MAX),
        End::Signaled(signal) => after_signal(signal),
        End::TimedOut => TIMED_OUT,
        End::Cancelled => after_that_of(&interrupted),
        _ => 1,
    }))
}

/// The same on a terminal, where what is printed can do nothing but be seen: in it stand names that others chose.
pub(crate) fn show(executor: &dyn Executor, request: Request<'_>, advise: bool) -> Result<ExitCode, Error> {
    let (shown, code) = read(executor, request, advise, |mut pipe| {
        let shown = term::show(&mut pipe);
        // Whoever stops reading ends qemu-img.
        let _ = io::copy(&mut pipe, &mut io::sink());
        shown
    })?;
    shown?;
    Ok(code)
}

/// The same, with what the command prints read by `read` as it comes, which has to read all of it.
pub(crate) fn read<T: Send>(
    executor: &dyn Executor,
    request: Request<'_>,
    advise: bool,
    read: impl FnOnce(OutputReader) -> T + Send,
) -> Result<(T, ExitCode), Error> {
    let (reader, writer) = output_pipe()?;
    std::thread::scope(|scope| {
        let reading = scope.spawn(move || read(reader));
        let code = run(executor, request.stdout(writer.as_fd()), advise, None);
        // The command has its own; with ours gone, the reader comes to the end.
        drop(writer);
        let read = reading.join().map_err(|_| "what qemu-img printed could not be read")?;
        Ok((read, code?))
    })
}

/// The error without qemu-img's own words at its end, which have been passed on.
fn unsaid(error: &qemu_exec::Error) -> String {
    let text = error.to_string();
    let said = error.stderr().lines().map(|line| line.strip_prefix("qemu-img: ").unwrap_or(line).trim_end());
    let mut said = said.filter(|line| !line.is_empty());
    said.find_map(|line| text.strip_suffix(line)?.strip_suffix(": ")).unwrap_or(&text).to_owned()
}

/// Which signals were ignored when this process began.
fn ignored_signals() -> impl Fn(i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).map(str::trim);
    let mask = mask.and_then(|mask| u64::from_str_radix(mask, 16).ok()).unwrap_or_default();
    move |signal| mask & (1 << (signal - 1)) != 0
}

fn after_that_of(interrupted: &AtomicUsize) -> u8 {
    after_signal(i32::try_from(interrupted.load(Ordering::Relaxed)).unwrap_or_default())
}

/// What a shell says of what a signal has ended.
pub(crate) fn after_signal(signal: i32) -> u8 {
    u8::try_from(signal).map_or(u8::MAX, |signal| signal.saturating_add(128))
}
