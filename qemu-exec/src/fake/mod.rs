//! A qemu-img in memory, for the tests of those who call one.

mod answers;
mod chain;
mod copy;
mod disk;
mod failure;
mod fault;
mod files;
mod guest;
mod inside;
mod line;
mod make;
mod measure;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use qemu_cmd::{Invocation, QemuVersion, Subcommand};

use crate::executor::Output;
use crate::trace::traced;
use crate::waiting::now;
use crate::{End, Error, ErrorKind, Executor, Launch, Outcome, Plan, Request};
use failure::{Failure, When};
use fault::{Fault, Result};
use files::Files;
use line::Line;

/// A qemu-img whose images are in memory: it needs no program and touches no file.
///
/// It does to its images what qemu-img 10.0 does to real ones, and answers as that does. The commands come to it by the
/// trait [`Executor`], however they are written, so that the code under test is the code that runs. A clone is another
/// handle of the same images.
///
/// ```
/// use qemu_exec::cmd::{Backing, ByteSize, Commit, Create, Format, Info, Qcow2, Raw, Source};
/// use qemu_exec::fake::FakeExecutor;
/// use qemu_exec::{ErrorKind, QemuImg};
///
/// let fake = FakeExecutor::new();
/// let qemu_img = QemuImg::new(fake.clone());
/// qemu_img.create(&Create::new("/vm/base", Raw::new(), ByteSize::mib(1)))?;
/// qemu_img.create(&Create::overlay("/vm/top", Qcow2::new(), Backing::new("base", Format::Raw)))?;
/// fake.write("/vm/top", 4096, b"what a guest wrote")?;
///
/// qemu_img.commit(&Commit::new(Source::qcow2("/vm/top")))?;
/// assert!(fake.read("/vm/base", 4096, 18)? == b"what a guest wrote");
/// assert_eq!(qemu_img.info(&Info::new(Source::qcow2("/vm/top")))?.virtual_size, 1 << 20);
///
/// fake.fail_next(ErrorKind::NoSpace);
/// let failed = qemu_img.commit(&Commit::new(Source::qcow2("/vm/top"))).unwrap_err();
/// assert_eq!(failed.kind(), ErrorKind::NoSpace);
/// assert_eq!(fake.invocations().len(), 5);
/// # Ok::<(), qemu_exec::Error>(())
/// ```
///
/// # What it knows
///
/// `create`, `convert`, `resize`, `rebase`, `commit`, `snapshot`, `bitmap`, `amend`, `info`, `check`, `map` and `measure`
/// of raw and qcow2 images in files. A command that succeeds prints its JSON, or nothing; `snapshot -l` prints its table.
///
/// Everything else **fails with [`ErrorKind::Unsupported`]**, with a message that says what is not modelled, and
/// changes nothing: `dd`, `bench`, `compare`; encryption and other objects; other formats, and images that are not in
/// files; nodes with more than a driver and a file; a convert of several sources; data files; the output for people;
/// output that is forwarded; the bytes of a qcow2 file read as raw; a raw image whose format is to be found out and
/// whose first block holds data; a chain that comes back to itself; compression into an image that exists, and
/// `--target-is-zero` of one that is not zero; what becomes of bitmaps at `compat=0.10`, and of snapshots with reference
/// counts of less than 16 bits; and `map`, `check` and `measure` of images with preallocation, extended L2 entries or
/// clusters of other than 64 KiB.
///
/// # Where it is simpler
///
/// * Space is allocated in blocks of 64 KiB, so that `map` shows no smaller holes of a raw file; where in its file a
///   qcow2 image has its data is not told.
/// * [`actual_size`](qemu_info::ImageInfo::actual_size) counts the data and no tables; `children` are absent, as before
///   qemu 8.0; `check` never finds anything, and does not tell where the image ends.
/// * Every directory exists, nobody else uses the images, limits are never hit, and time stands still: each snapshot was
///   made at the epoch.
#[derive(Clone, Debug, Default)]
pub struct FakeExecutor(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    files: Files,
    failures: Vec<Failure>,
    invocations: Vec<Invocation>,
    version: QemuVersion,
}

impl Default for State {
    fn default() -> Self {
        let version = QemuVersion::new(10, 0, 0);
        Self { files: Files::default(), failures: Vec::new(), invocations: Vec::new(), version }
    }
}

impl FakeExecutor {
    /// A qemu-img without any images.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that it is this version. [`QemuImg`](crate::QemuImg) refuses what that cannot do; nothing else changes.
    /// Default: 10.0.
    #[must_use]
    pub fn version(self, version: QemuVersion) -> Self {
        self.state().version = version;
        self
    }

    /// Lets the next command fail so, before it has changed anything.
    ///
    /// It ends as a real command that fails so would, with an exit status and a complaint, where there is such an end.
    /// A call of [`QemuImg`](crate::QemuImg) can be two commands: it may ask for the version first.
    pub fn fail_next(&self, kind: ErrorKind) {
        self.fail_nth(1, kind);
    }

    /// Lets the `n`-th command from now fail so, where 1 is the next.
    pub fn fail_nth(&self, n: usize, kind: ErrorKind) {
        self.state().failures.push(Failure { kind, on: When::After(n.saturating_sub(1)) });
    }

    /// Lets the next command of this subcommand fail so.
    pub fn fail_on(&self, subcommand: Subcommand, kind: ErrorKind) {
        self.state().failures.push(Failure { kind, on: When::On(subcommand) });
    }

    /// The commands that were run until now, in order, those that failed among them.
    #[must_use]
    pub fn invocations(&self) -> Vec<Invocation> {
        self.state().invocations.clone()
    }
}

impl Executor for FakeExecutor {
    fn plan(&self, request: &Request<'_>) -> std::result::Result<Plan, Error> {
        Ok(crate::local::plan(request, crate::start::Start::Native, |args| Launch::new(Path::new("qemu-img"), args)))
    }

    fn run<'a>(&self, request: Request<'a>) -> std::result::Result<Outcome, Error> {
        now(traced(&request, async { self.answer(&request) }))
    }
}

impl FakeExecutor {
    fn answer(&self, request: &Request<'_>) -> std::result::Result<Outcome, Error> {
        let invocation = request.invocation;
        let mut state = self.state();
        state.invocations.push(invocation.clone());
        if let Some(kind) = failure::take(&mut state.failures, invocation) {
            return failure::fail(kind, invocation, &request.limits);
        }
        if request.output == Output::Forwarded {
            return Err(Fault::not_modelled("output that is forwarded").error().about(invocation));
        }
        if request.handed.is_some() {
            return Err(Fault::not_modelled("a file that is handed over").error().about(invocation));
        }
        if invocation.subcommand() == "--version" {
            return Ok(Outcome::new(End::Exited(0), format!("qemu-img version {}\n", state.version), ""));
        }
        let before = state.files.clone();
        let outcome = Line::read(invocation).and_then(|line| execute(&mut state.files, &line));
        if matches!(outcome, Err(Fault::NotModelled(_))) {
            // It may have shown half way.
            state.files = before;
        }
        match outcome {
            Ok(outcome) if outcome.stdout.len() > request.output_limit => Ok(Outcome::new(End::OutputTooLarge, "", "")),
            Ok(outcome) => Ok(outcome),
            Err(fault) => fault.outcome(invocation),
        }
    }
}

fn execute(files: &mut Files, line: &Line) -> Result<Outcome> {
    let stdout = match line.subcommand() {
        Subcommand::Create => done(make::create(files, line)),
        Subcommand::Resize => done(make::resize(files, line)),
        Subcommand::Convert => done(copy::convert(files, line)),
        Subcommand::Rebase => done(chain::rebase(files, line)),
        Subcommand::Commit => done(chain::commit(files, line)),
        Subcommand::Snapshot => inside::snapshot(files, line).map(String::into_bytes),
        Subcommand::Bitmap => done(inside::bitmap(files, line)),
        Subcommand::Amend => done(inside::amend(files, line)),
        Subcommand::Info => answers::info(files, line),
        Subcommand::Map => answers::map(files, line),
        Subcommand::Measure => measure::measure(files, line),
        Subcommand::Check => match answers::check(files, line)? {
            Some(report) => Ok(report),
            None => {
                let complaint = "qemu-img: This image format does not support checks\n";
                return Ok(Outcome::new(End::Exited(63), "", complaint));
            }
        },
        other => Err(Fault::not_modelled(format!("`{}`", other.as_str()))),
    };
    stdout.map(|stdout| Outcome::new(End::Exited(0), stdout, ""))
}

fn done(result: Result<()>) -> Result<Vec<u8>> {
    result.map(|()| Vec::new())
}
