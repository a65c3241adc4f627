//! Asking a qemu-img that was not told to report how far it is.

use std::fs;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, pidfd_send_signal};

/// When to ask next.
#[derive(Debug)]
pub(crate) struct Asking {
    interval: Duration,
    /// `None` is never.
    next: Option<Instant>,
}

impl Asking {
    pub(crate) fn every(interval: Duration, started: Instant) -> Self {
        // What would never end is done now and then.
        let interval = interval.max(Duration::from_millis(10));
        Self { interval, next: started.checked_add(interval) }
    }

    pub(crate) const fn next(&self) -> Option<Instant> {
        self.next
    }

    /// Asks, if it is time to, by SIGUSR1: qemu-img answers on standard error. Before it has installed its handler for
    /// that, the signal would be its death; so whether it has is looked up, and it never takes it back.
    pub(crate) fn ask_if_due(&mut self, pid: Pid, pidfd: impl AsFd) {
        let now = Instant::now();
        if self.next.is_none_or(|next| now < next) {
            return;
        }
        self.next = now.checked_add(self.interval);
        if catches(pid, Signal::USR1) {
            // It may have ended.
            let _ = pidfd_send_signal(pidfd, Signal::USR1);
        }
    }
}

/// Whether the process has a handler for the signal.
fn catches(pid: Pid, signal: Signal) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
    u32::try_from(signal.as_raw() - 1).is_ok_and(|bit| mask.checked_shr(bit).is_some_and(|mask| mask & 1 == 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_never_is_not_asked_for() {
        assert_eq!(Asking::every(Duration::MAX, Instant::now()).next(), None);
    }
}
