//! `--progress`, and `-p` on a terminal: how far a command is, on standard error.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use qemu_exec::cmd::{ByteSize, Command, CommandLine, Invocation, Location, Map, Subcommand};
use qemu_exec::{Executor, OnProgress, Outcome, Output, Progress, QemuImg, Request};

use crate::args::Options;
use crate::term::{self, Terminal};
use crate::{Error, secrets};

/// How often qemu-img is asked that does not say by itself.
const INTERVAL: Duration = Duration::from_millis(250);
/// How far apart two lines are, unless more than a tenth was done in between.
const PAUSE: Duration = Duration::from_secs(10);

/// What shows how far a command is.
pub(crate) struct Display {
    /// `None` where there is no terminal.
    bar: Option<ProgressBar>,
    /// What the last line said, and when.
    last: Mutex<Option<Progress>>,
    /// How much there is to be done, if that is known.
    total: Option<ByteSize>,
    reports_itself: bool,
    stdout_is_data: bool,
}

impl Display {
    /// What is to show how far this line is; `None` for nothing. With `-p` elsewhere than on a terminal, qemu-img's own
    /// reports stay as they are, for those who read them.
    pub(crate) fn of(
        options: &Options,
        line: &CommandLine,
        invocation: &Invocation,
        executor: &dyn Executor,
    ) -> Result<Option<Self>, Error> {
        use Subcommand as S;
        let watched = matches!(line.subcommand(), S::Amend | S::Commit | S::Compare | S::Convert | S::Rebase);
        let reports_itself = line.has("p");
        let stdout_is_data = may_be_data(invocation);
        let seen = io::stdout().is_terminal() && io::stderr().is_terminal();
        let wanted = options.progress || (reports_itself && seen && !stdout_is_data);
        if !wanted || !watched || line.has("q") || line.asks_for_help() {
            return Ok(None);
        }
        if options.sudo.is_some() && !reports_itself {
            return Err("qemu-img cannot be asked through sudo how far it is: write -p, too".into());
        }
        let total = total(options, invocation, executor);
        Ok(Some(Self { total, reports_itself, stdout_is_data, ..Self::new() }))
    }

    /// What shows how far a client is, which is told by qemu-img's own reports.
    pub(crate) fn new() -> Self {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let bar = (io::stderr().is_terminal() && !dumb).then(|| {
            let bar = ProgressBar::with_draw_target(Some(10_000), ProgressDrawTarget::stderr());
            bar.with_style(
                ProgressStyle::with_template("{wide_bar} {msg}").unwrap_or_else(|_| ProgressStyle::default_bar()),
            )
        });
        Self { bar, last: Mutex::new(None), total: None, reports_itself: true, stdout_is_data: false }
    }

    /// The request, with this told of its progress. What is printed waits until nothing is drawn any more, unless it is
    /// the data.
    pub(crate) fn watching<'a>(&'a self, mut request: Request<'a>) -> Request<'a> {
        if !self.reports_itself {
            request = request.progress_by_signal(Some(INTERVAL));
        }
        if !self.stdout_is_data {
            request = request.output(Output::Captured);
        }
        request.progress = Some(self);
        request
    }

    /// Draws no more.
    pub(crate) fn end(&self, success: bool) -> io::Result<()> {
        match &self.bar {
            Some(bar) if success => {
                bar.abandon();
                // It leaves the cursor at the end of its line.
                writeln!(io::stderr())
            }
            Some(bar) => {
                bar.finish_and_clear();
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// The same, and passes on what was printed.
    pub(crate) fn finish(&self, outcome: &Outcome) -> io::Result<()> {
        self.end(outcome.success())?;
        if self.stdout_is_data {
            return Ok(());
        }
        io::stdout().write_all(&outcome.stdout)?;
        if !io::stderr().is_terminal() {
            return io::stderr().write_all(&outcome.stderr);
        }
        let said = String::from_utf8_lossy(&outcome.stderr);
        said.lines().try_for_each(|line| writeln!(io::stderr(), "{}", term::printable(line)))
    }

    fn text(&self, progress: Progress, separator: &str, narrow: bool) -> String {
        let mut parts = vec![progress.to_string()];
        if let Some(total) = self.total.filter(|_| !narrow) {
            let size = |size: ByteSize| term::size(size.as_u64());
            parts.push(format!("{} of {}", size(progress.done_of(total)), size(total)));
            parts.extend(progress.rate_of(total).map(|rate| format!("{}/s", size(rate))));
        }
        match progress.remaining() {
            Some(_) if progress.is_complete() => parts.push(format!("after {}", clock(progress.elapsed()))),
            Some(left) => parts.push(format!("{} left", clock(left))),
            None => {}
        }
        parts.join(separator)
    }
}

impl OnProgress for Display {
    fn progress(&self, progress: Progress) {
        if let Some(bar) = &self.bar {
            /// Below so many columns there is no room for the bytes.
            const NARROW: usize = 70;
            bar.set_message(self.text(progress, "  ", Terminal::new().width < NARROW));
            bar.set_position((progress.percent() * 100.0).round() as u64);
            return;
        }
        let Ok(mut last) = self.last.lock() else { return };
        let due = last.is_none_or(|last| {
            let further = progress.percent() - last.percent();
            further >= 10.0
                || (further > 0.0 && (progress.is_complete() || progress.elapsed() > last.elapsed() + PAUSE))
        });
        if due {
            *last = Some(progress);
            // It may be closed, and then there is nobody to tell.
            let _ = writeln!(io::stderr(), "{}", self.text(progress, ", ", false));
        }
    }
}

/// A client that shows how far it is, if that is wanted, and where.
pub(crate) fn watched<E>(client: QemuImg<E>, wanted: bool) -> (QemuImg<E>, Option<Arc<Display>>) {
    if !wanted {
        return (client, None);
    }
    let display = Arc::new(Display::new());
    let told = Arc::clone(&display);
    (client.on_progress(move |progress| told.progress(progress)), Some(display))
}

/// Whether standard output may be an image, which it is under one of several names.
pub(crate) fn may_be_data(invocation: &Invocation) -> bool {
    let mut images = invocation.reads().iter().chain(invocation.writes()).filter_map(Location::path);
    images.any(|path| path == Path::new("/dev/stdout") || secrets::is_own_descriptor(path))
}

/// `0:07`, `1:02:03`.
fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// How many bytes a convert copies, as far as that can be known beforehand, soon, and without a key.
fn total(options: &Options, invocation: &Invocation, executor: &dyn Executor) -> Option<ByteSize> {
    const SOON: Duration = Duration::from_secs(5);
    if !invocation.secrets().is_empty() || options.dry_run.is_some() {
        return None;
    }
    let Command::Convert(convert) = Command::parse(options.command.iter().cloned()).ok()? else { return None };
    let [source] = convert.sources().collect::<Vec<_>>()[..] else { return None };
    if convert.chosen_snapshot().is_some() || source.location().path().is_some_and(secrets::is_own_descriptor) {
        return None;
    }
    let map = QemuImg::new(executor).data_timeout(Some(SOON)).map(&Map::new(source.clone())).ok()?;
    let data = map.iter().filter(|extent| extent.data && !extent.zero).map(|extent| extent.length);
    Some(ByteSize::bytes(data.sum())).filter(|total| total.as_u64() > 0)
}
