//! The end of a child, with what it used.

use std::io;
use std::time::Duration;

use rustix::process::Pid;

use crate::{End, sys};

/// How a child ended, and how much processor time it took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exit {
    pub(crate) end: End,
    pub(crate) user_time: Duration,
    pub(crate) system_time: Duration,
}

/// Reaps a child of ours, if it has ended.
pub(crate) fn try_wait(pid: Pid) -> io::Result<Option<Exit>> {
    let Some((status, usage)) = sys::try_wait4(pid)? else { return Ok(None) };
    let end = if libc::WIFSIGNALED(status) {
        End::Signaled(libc::WTERMSIG(status))
    } else {
        End::Exited(libc::WEXITSTATUS(status))
    };
    Ok(Some(Exit { end, user_time: duration(usage.ru_utime), system_time: duration(usage.ru_stime) }))
}

fn duration(time: libc::timeval) -> Duration {
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let micros = u64::try_from(time.tv_usec).unwrap_or_default();
    Duration::from_secs(seconds).saturating_add(Duration::from_micros(micros))
}
