//! A control group for each run: bounds on what is really used, what was used, and an end that nothing escapes.

use std::fs;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use qemu_cmd::ByteSize;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::waiting::Waiting;
use crate::{End, Error, ErrorKind, Outcome};

/// How long what was killed has to go.
const GONE: Duration = Duration::from_secs(2);

/// A control group (version 2) that the caller owns, in which each run gets one of its own, with these bounds.
///
/// The directory is one that was delegated to the caller, as systemd does with `Delegate=yes`: one that the caller may
/// write to, with the needed controllers in its `cgroup.controllers`, and without processes in it. The process is in its
/// group before it is qemu-img. Afterwards the group is removed, with whatever is left in it; what a killed caller leaves
/// is an empty group called `qemu-img-PID-N`, which the next run in the same place takes away.
///
/// ```no_run
/// use qemu_exec::cmd::ByteSize;
/// use qemu_exec::{Cgroup, LocalExecutor};
///
/// let group = Cgroup::new("/sys/fs/cgroup/system.slice/backup.service/jobs").memory(ByteSize::mib(512)).cpu_quota(150);
/// let executor = LocalExecutor::new().cgroup(group);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Cgroup {
    parent: PathBuf,
    memory: Option<ByteSize>,
    swap: Option<ByteSize>,
    processes: Option<u64>,
    cpu_quota: Option<u32>,
}

impl Cgroup {
    /// Groups in this directory of the file system `cgroup2`, without bounds.
    pub fn new(parent: impl Into<PathBuf>) -> Self {
        Self { parent: parent.into(), memory: None, swap: None, processes: None, cpu_quota: None }
    }

    /// How much memory may be used, with the page cache. The kernel makes room as long as it can; then it kills the
    /// group, which is a [`LimitHit`](ErrorKind::LimitHit) of [`Memory`](crate::Limit::Memory). Default: any. Unless
    /// [`swap`](Self::swap) says otherwise, no swap is used then.
    #[doc(alias = "memory.max")]
    pub const fn memory(mut self, size: ByteSize) -> Self {
        self.memory = Some(size);
        self
    }

    /// How much swap may be used. Default: any, or none if memory is bounded.
    #[doc(alias = "memory.swap.max")]
    pub const fn swap(mut self, size: ByteSize) -> Self {
        self.swap = Some(size);
        self
    }

    /// How many processes and threads there may be; unlike [`Limits::processes`](crate::Limits::processes) this counts
    /// those of this run, and binds root too. Default: any.
    #[doc(alias = "pids.max")]
    pub const fn processes(mut self, processes: u64) -> Self {
        self.processes = Some(processes);
        self
    }

    /// How much CPU may be used, in percent of one: what wants more is slowed down. Default: any.
    #[doc(alias = "cpu.max")]
    pub const fn cpu_quota(mut self, percent: u32) -> Self {
        self.cpu_quota = Some(percent);
        self
    }

    /// The directory that the groups are made in.
    #[must_use]
    pub fn parent(&self) -> &Path {
        &self.parent
    }

    /// Makes a group.
    pub(crate) fn make(&self) -> Result<Group, Error> {
        let failed = |path: &Path, source: io::Error| {
            let message = format!("the control group `{}` could not be made or bounded", path.display());
            Error::new(ErrorKind::LimitsNotApplied).message(message).path(path).because(source)
        };
        // Peak memory is told if it can be.
        let _ = self.enable("memory");
        for controller in self.controllers() {
            self.enable(controller).map_err(|source| failed(&self.parent, source))?;
        }
        sweep(&self.parent);
        let group = loop {
            let path = self.parent.join(name());
            match fs::create_dir(&path).and_then(|()| lock(&path)) {
                Ok(Some(lock)) => break Group { path, memory: self.memory, _lock: lock },
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(&path, error)),
            }
        };
        for (file, value, must_exist) in self.settings() {
            match group.write(file, &value) {
                Err(error) if error.kind() == io::ErrorKind::NotFound && !must_exist => {}
                result => result.map_err(|source| failed(&group.path.join(file), source))?,
            }
        }
        Ok(group)
    }

    fn controllers(&self) -> impl Iterator<Item = &'static str> {
        [
            ("memory", self.memory.is_some() || self.swap.is_some()),
            ("pids", self.processes.is_some()),
            ("cpu", self.cpu_quota.is_some()),
        ]
        .into_iter()
        .filter_map(|(controller, needed)| needed.then_some(controller))
    }

    /// Lets groups in the directory have this controller.
    fn enable(&self, controller: &str) -> io::Result<()> {
        let file = self.parent.join("cgroup.subtree_control");
        if fs::read_to_string(&file)?.split_whitespace().any(|enabled| enabled == controller) {
            return Ok(());
        }
        // Not created, if this is no control group.
        fs::File::options().write(true).open(file)?.write_all(format!("+{controller}").as_bytes())
    }

    /// Files and what is written to them; and whether that must succeed.
    fn settings(&self) -> Vec<(&'static str, String, bool)> {
        let mut settings = Vec::new();
        if let Some(memory) = self.memory {
            settings.push(("memory.max", memory.to_string(), true));
            // A process that lost a part of itself is not left to go on.
            settings.push(("memory.oom.group", "1".to_owned(), false));
        }
        match (self.swap, self.memory) {
            (Some(swap), _) => settings.push(("memory.swap.max", swap.to_string(), true)),
            // A kernel without swap has no such file.
            (None, Some(_)) => settings.push(("memory.swap.max", "0".to_owned(), false)),
            (None, None) => {}
        }
        if let Some(processes) = self.processes {
            settings.push(("pids.max", processes.to_string(), true));
        }
        if let Some(percent) = self.cpu_quota {
            /// Microseconds, as the kernel has it.
            const PERIOD: u64 = 100_000;
            let quota = u64::from(percent).saturating_mul(PERIOD) / 100;
            settings.push(("cpu.max", format!("{quota} {PERIOD}"), true));
        }
        settings
    }
}

const PREFIX: &str = "qemu-img-";

/// The name of a group that no other run has.
fn name() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{PREFIX}{}-{count}", std::process::id())
}

/// Removes the groups of callers who are gone. The kernel keeps those that a process is in.
fn sweep(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let is_ours = entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes());
        // It is held until the group is gone, so that who has just made it makes another.
        if is_ours && let Ok(Some(_lock)) = lock(&entry.path()) {
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// The lock of a group, which says that its caller lives: in a container that shares the directory, process numbers are
/// others. `None` if somebody has it, or the group is gone.
fn lock(group: &Path) -> io::Result<Option<fs::File>> {
    let directory = match fs::File::open(group) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        directory => directory?,
    };
    match directory.try_lock() {
        Ok(()) => {
            let inode = |meta: fs::Metadata| meta.ino();
            let is_there = fs::metadata(group).map(inode).ok() == directory.metadata().map(inode).ok();
            Ok(is_there.then_some(directory))
        }
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(error)) => Err(error),
    }
}

/// The group of one run. When it is dropped, what is still in it is killed, and it is removed.
pub(crate) struct Group {
    path: PathBuf,
    memory: Option<ByteSize>,
    _lock: fs::File,
}

impl Group {
    /// Where a process writes `0` to be in the group.
    pub(crate) fn entrance(&self) -> io::Result<OwnedFd> {
        Ok(fs::File::options().write(true).open(self.path.join("cgroup.procs"))?.into())
    }

    /// Adds to an outcome what only the group knows: whether memory ran out, and how much was used.
    pub(crate) fn judge(&self, mut outcome: Outcome) -> Outcome {
        let killed = self.read("memory.events").is_some_and(|events| {
            let count = events.lines().find_map(|line| line.strip_prefix("oom_kill "));
            count.is_some_and(|count| count != "0")
        });
        if killed && matches!(outcome.end, End::Signaled(_)) {
            outcome.end = End::OutOfMemory { limit: self.memory };
        }
        let peak = self.read("memory.peak").and_then(|peak| peak.trim().parse().ok());
        outcome.peak_memory = peak.map(ByteSize::bytes).or(outcome.peak_memory);
        outcome
    }

    fn read(&self, file: &str) -> Option<String> {
        fs::read_to_string(self.path.join(file)).ok()
    }

    fn write(&self, file: &str, value: &str) -> io::Result<()> {
        fs::File::options().write(true).open(self.path.join(file))?.write_all(value.as_bytes())
    }

    fn kill(&self) -> io::Result<()> {
        self.write("cgroup.kill", "1")
    }

    /// Kills what is in the group, and waits until it is gone.
    fn clear(&self) -> io::Result<()> {
        let events = fs::File::open(self.path.join("cgroup.events"))?;
        let populated =
            || self.read("cgroup.events").is_some_and(|events| events.lines().any(|line| line == "populated 1"));
        let end = Instant::now() + GONE;
        while populated() && Instant::now() < end {
            self.kill()?;
            // The kernel tells of a change; and a change between the look and this is seen soon.
            let moment = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
            let _ = poll(&mut [PollFd::new(&events, PollFlags::PRI)], Some(&moment));
        }
        Ok(())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Nobody can be told; the next run here tries again, once this process is gone.
        let _ = self.clear();
        let _ = fs::remove_dir(&self.path);
    }
}

/// A group while its run goes on. If that is given up, what is in it is killed at once, and removed by whoever may stand
/// still for so long.
pub(crate) struct Kept<W: Waiting> {
    group: Option<Group>,
    waiting: W,
}

impl<W: Waiting> Kept<W> {
    pub(crate) async fn made(waiting: W, cgroup: Cgroup) -> Result<Self, Error> {
        let group = waiting.blocking(move || cgroup.make()).await??;
        Ok(Self { group: Some(group), waiting })
    }

    /// See [`Group::entrance`].
    pub(crate) fn entrance(&self) -> io::Result<OwnedFd> {
        self.group.as_ref().map_or_else(|| Err(io::ErrorKind::NotFound.into()), Group::entrance)
    }

    /// Judges the outcome, and removes the group.
    pub(crate) async fn end(mut self, outcome: Outcome) -> Result<Outcome, Error> {
        let Some(group) = self.group.take() else { return Ok(outcome) };
        self.waiting.blocking(move || group.judge(outcome)).await
    }
}

impl<W: Waiting> Drop for Kept<W> {
    fn drop(&mut self) {
        if let Some(group) = self.group.take() {
            let _ = group.kill();
            self.waiting.leave(group);
        }
    }
}
