//! Where a fault happens, and what must hold after it.

use std::cell::{Cell, RefCell};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use qemu_cmd::{ByteSize, Convert, Raw, Source, Target};
use qemu_exec::{Error, ErrorKind, Executor, LocalExecutor, Publish, QemuImg, SudoExecutor};
use rustix::process::{Pid, Signal};
use tempfile::TempDir;
use tests::machine::SmallFileSystem;
use tests::processes::{innermost, processes_about, signal, wait_until};
use tests::{Kind, content, names, scratch, write_fixture};

/// Who runs qemu-img.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Local,
    Portable,
    /// As root.
    Sudo,
    /// As another user.
    Nobody,
}

/// What the caller is told.
#[derive(Clone, Copy, Debug)]
pub enum Gives {
    Done,
    Fails(ErrorKind),
    FailsWith(&'static [ErrorKind]),
}

/// What `b` is afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum B {
    /// What it was.
    Old,
    /// What `a` is.
    New,
    /// As long as `a`, and empty.
    Zeros,
    /// It went with the place where it was.
    Gone,
}

/// A fault, by whom qemu-img is run, what that gives, what `b` is then, and how it is brought about.
pub struct Row(pub &'static str, pub &'static [By], pub Gives, pub B, pub fn(&Scene) -> Result<(), Error>);

/// Brings about each of the faults, several at a time, and tells of all that do not give what they must.
pub fn hold(rows: &[Row]) {
    const AT_ONCE: usize = 10;
    let cases: Vec<(&Row, By)> = rows.iter().flat_map(|row| row.1.iter().map(move |by| (row, *by))).collect();
    let cases = Mutex::new(cases.into_iter());
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        let work = || {
            loop {
                let Some((row, by)) = cases.lock().unwrap().next() else { break };
                let held = std::panic::catch_unwind(|| row.holds(by));
                if let Err(why) = held.unwrap_or_else(|_| Err("it panicked".to_owned())) {
                    wrong.lock().unwrap().push(format!("{} ({by:?}): {why}", row.0));
                }
            }
        };
        for _ in 0..AT_ONCE {
            scope.spawn(work);
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} do not hold:\n{}", wrong.len(), wrong.join("\n"));
}

impl Row {
    fn holds(&self, by: By) -> Result<(), String> {
        let Self(_, _, gives, b, provoke) = self;
        let scene = Scene::new(by);
        let result = provoke(&scene);
        let kind = result.as_ref().err().map(Error::kind);
        let expected = match gives {
            Gives::Done => kind.is_none(),
            Gives::Fails(expected) => kind == Some(*expected),
            Gives::FailsWith(any) => kind.is_some_and(|kind| any.contains(&kind)),
        };
        if !expected {
            return Err(format!("{result:?} instead of {gives:?}"));
        }
        scene.has_lost_nothing(*b)
    }
}

/// A directory with an image `a`, and in another one an image `b`.
pub struct Scene {
    pub by: By,
    /// Where `b` is.
    place: RefCell<PathBuf>,
    /// What goes away before the directory does.
    mounts: RefCell<Vec<SmallFileSystem>>,
    /// What stands in for qemu-img.
    fake: RefCell<Option<PathBuf>>,
    in_place: Cell<bool>,
    directory: TempDir,
}

const OLD: [u8; 512] = [b'o'; 512];

impl Scene {
    fn new(by: By) -> Self {
        let directory = scratch();
        write_fixture(Kind::Raw, &directory.path().join("a"));
        let place = directory.path().join("place");
        fs::create_dir(&place).unwrap();
        fs::write(place.join("b"), OLD).unwrap();
        Self {
            by,
            place: RefCell::new(place),
            mounts: RefCell::default(),
            fake: RefCell::default(),
            // What sudo makes has another owner than what its caller would begin.
            in_place: Cell::new(by == By::Nobody || (by == By::Sudo && !rustix::process::geteuid().is_root())),
            directory,
        }
    }

    pub fn here(&self) -> &Path {
        self.directory.path()
    }

    /// A file beside `a`.
    pub fn file(&self, name: &str) -> PathBuf {
        self.here().join(name)
    }

    pub fn place(&self) -> PathBuf {
        self.place.borrow().clone()
    }

    pub fn b(&self) -> PathBuf {
        self.place().join("b")
    }

    /// Says where `b` is now.
    pub fn moved_to(&self, place: PathBuf) {
        self.place.replace(place);
    }

    /// Puts a file system of its own, with an image `b`, where `b` is.
    pub fn mount(&self, size: &str) {
        self.mounts.borrow_mut().push(SmallFileSystem::mount(&self.place(), size));
        fs::write(self.b(), OLD).unwrap();
    }

    pub fn make_read_only(&self) {
        self.mounts.borrow()[0].make_read_only();
    }

    pub fn unmount(&self) {
        self.mounts.borrow_mut().clear();
        fs::remove_file(self.b()).unwrap();
    }

    /// Puts a shell script in the place of qemu-img.
    pub fn fake(&self, script: &str) -> QemuImg<Box<dyn Executor>> {
        self.fake.replace(Some(tests::executable(self.here(), &format!("#!/bin/sh\n{script}\n"))));
        self.client()
    }

    /// A client that replaces what is there.
    pub fn client(&self) -> QemuImg<Box<dyn Executor>> {
        let program = self.fake.borrow().clone().unwrap_or_else(tests::qemu_img);
        let executor: Box<dyn Executor> = match self.by {
            By::Local => Box::new(LocalExecutor::with_program(program)),
            By::Portable => Box::new(LocalExecutor::with_program(program).portable()),
            By::Sudo => Box::new(SudoExecutor::with_program(program)),
            By::Nobody => Box::new(SudoExecutor::with_program(program).user("nobody")),
        };
        QemuImg::new(executor).publish(Publish::new().replace(true))
    }

    /// From this source to `b`.
    pub fn convert(&self, source: Source) -> Convert {
        Convert::new(source, Target::new(self.b(), Raw::new()))
    }

    /// From `a` to `b`.
    pub fn copy(&self) -> Convert {
        self.convert(Source::raw(self.file("a")))
    }

    /// Does something while `a` is copied, which takes ten seconds, or one if it is to get done; it is told which process
    /// qemu-img is.
    pub fn meanwhile(
        &self,
        client: &QemuImg<Box<dyn Executor>>,
        gets_done: bool,
        act: impl FnOnce(Pid),
    ) -> Result<(), Error> {
        let copy = self.copy().rate(ByteSize::kib(if gets_done { 768 } else { 64 }));
        let written = if self.in_place.get() { self.b() } else { self.place().join(".b.partial") };
        std::thread::scope(|scope| {
            let running = scope.spawn(|| client.convert(&copy).map(drop));
            // More than the block that is written when it is made, and before it is opened once more.
            let begun = || written.metadata().is_ok_and(|meta| meta.blocks() * 512 > 64 << 10);
            assert!(wait_until(|| begun() || running.is_finished()), "it does not begin");
            assert!(!running.is_finished(), "it came to an end: {:?}", running.join());
            act(innermost(&processes_about(&written)).expect("qemu-img runs"));
            running.join().unwrap()
        })
    }

    fn has_lost_nothing(&self, b: B) -> Result<(), String> {
        // What was killed is gone when the kernel has got round to it.
        wait_until(|| processes_about(self.here()).is_empty());
        let left = processes_about(self.here());
        left.iter().for_each(|pid| signal(*pid, Signal::KILL));
        if !left.is_empty() {
            return Err(format!("{} processes are left", left.len()));
        }
        if fs::read(self.file("a")).unwrap() != content() {
            return Err("`a` has changed".to_owned());
        }
        let (found, bytes) =
            (if self.place().exists() { names(&self.place()) } else { Vec::new() }, fs::read(self.b()).ok());
        let expected = match b {
            B::Gone => return if found.is_empty() { Ok(()) } else { Err(format!("there is {found:?}")) },
            // Written in place, it is what was written until then.
            B::Old if self.in_place.get() => return Ok(()),
            B::Old => OLD.to_vec(),
            B::New => content(),
            B::Zeros => vec![0; bytes.as_ref().map_or(1, Vec::len).max(1 << 20)],
        };
        match bytes {
            Some(bytes) if bytes == expected && found == ["b"] => Ok(()),
            Some(bytes) if bytes == expected => Err(format!("there is {found:?}")),
            Some(bytes) => Err(format!("`b` has {} bytes, and is not {b:?}", bytes.len())),
            None => Err("`b` is gone".to_owned()),
        }
    }
}

pub const SOON: Option<Duration> = Some(Duration::from_millis(500));
