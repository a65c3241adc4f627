//! The end of a child, with what it used.

use std::io;
use std::time::Duration;

use qemu_cmd::ByteSize;
use rustix::process::Pid;

use crate::{End, sys};

/// How a child ended, and how much processor time it took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exit {
    pub(crate) end: End,
    pub(crate) user_time: Duration,
    pub(crate) system_time: Duration,
    /// The most memory that was resident in it, or in a child of it.
    pub(crate) peak_memory: Option<ByteSize>,
}

/// Reaps a child of ours, if it has ended.
pub(crate) fn try_wait(pid: Pid) -> io::Result<Option<Exit>> {
    let Some((status, usage)) = sys::try_wait4(pid)? else { return Ok(None) };
    let end = if libc::WIFSIGNALED(status) {
        End::Signaled(libc::WTERMSIG(status))
    } else {
        End::Exited(libc::WEXITSTATUS(status))
    };
    Ok(Some(Exit {
        end,
        user_time: duration(usage.ru_utime),
        system_time: duration(usage.ru_stime),
        peak_memory: peak(usage.ru_maxrss),
    }))
}

/// What is said to have been resident at most, in KiB, if that is the child's own: the kernel starts to count with what
/// the process was before it became the program, which is this one. More than this one ever had is not from here.
fn peak(kib: libc::c_long) -> Option<ByteSize> {
    /// How far the two counts can be apart, since the kernel adds up what each processor has counted only now and then.
    const UNCERTAIN: u64 = 1 << 10;
    let peak = u64::try_from(kib).ok()?;
    // getrusage(2) would be quicker, and counts what this process was before it became this program, too.
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let own = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok())?;
    (peak > u64::saturating_add(own, UNCERTAIN)).then(|| ByteSize::kib(peak))
}

fn duration(time: libc::timeval) -> Duration {
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let micros = u64::try_from(time.tv_usec).unwrap_or_default();
    Duration::from_secs(seconds).saturating_add(Duration::from_micros(micros))
}
