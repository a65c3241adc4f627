//! What came of running a command.

use std::time::Duration;

use qemu_cmd::ByteSize;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// It exited with this status.
    Exited(i32),
    /// It was killed by this signal, which was not ours.
    Signaled(i32),
    /// It ran out of the time that the request allowed, and was killed.
    TimedOut,
    /// The kernel killed it, since its [control group](crate::Cgroup) had no more memory.
    OutOfMemory {
        /// How much that was allowed, if this run was given a limit of its own.
        limit: Option<ByteSize>,
    },
    /// It came no further and said nothing for as long as the request allowed, and was killed.
    Stalled,
    /// The request's token was cancelled, and it was killed.
    Cancelled,
    /// It printed more on standard output than the request allowed, and was killed.
    OutputTooLarge,
    /// It was a dry run.
    NotRun,
}

/// What came of running a command, whether it succeeded or not.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// How it ended.
    pub end: End,
    /// What it printed on standard output: all of it, unless `end` is [`End::OutputTooLarge`]; nothing, if the
    /// output was forwarded; and without reports of progress, if somebody was told of them.
    pub stdout: Vec<u8>,
    /// What it printed on standard error: the last 64 KiB.
    pub stderr: Vec<u8>,
    /// How long it ran.
    pub wall_time: Duration,
    /// How long processors worked for it outside of the kernel: for qemu-img, and for what stands in front of it, such
    /// as sudo. Zero if it did not run, or could not be ended.
    pub user_time: Duration,
    /// The same inside of the kernel.
    pub system_time: Duration,
    /// How much memory it used at most; `None` where that cannot be known.
    ///
    /// Of a [control group](crate::Cgroup) it is what the group used, with the page cache. Otherwise it is what was
    /// resident at once in the process, or in the largest one where others stand in front: as the kernel counts that,
    /// this process is taken along, so that what did not need more than this one ever did is not known.
    pub peak_memory: Option<ByteSize>,
}

impl Outcome {
    /// An outcome, as an executor or a test makes one.
    #[must_use]
    pub fn new(end: End, stdout: impl Into<Vec<u8>>, stderr: impl Into<Vec<u8>>) -> Self {
        Self {
            end,
            stdout: stdout.into(),
            stderr: stderr.into(),
            wall_time: Duration::ZERO,
            user_time: Duration::ZERO,
            system_time: Duration::ZERO,
            peak_memory: None,
        }
    }

    /// Whether it ran and exited with 0.
    #[must_use]
    pub fn success(&self) -> bool {
        self.end == End::Exited(0)
    }
}
