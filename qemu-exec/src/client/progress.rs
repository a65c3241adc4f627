//! How far a command is, and what comes no further.

use std::sync::Arc;
use std::time::Duration;

use qemu_cmd::Invocation;

use super::QemuImg;
use super::flow::Flow;
use crate::Progress;

impl<E> QemuImg<E> {
    /// Tells how far a command is: `amend`, `commit`, `compare`, `convert` and `rebase`, which get `-p`, unless the
    /// command is to be [quiet](qemu_cmd::Convert::quiet). The others do not say. Default: nobody.
    ///
    /// It is called by the thread that called the method, which meanwhile reads no output and keeps no deadline: so it
    /// is to return soon. If it panics, the command is killed. A command that is run again begins again; and a
    /// [check](Self::checks) that compares is told of like the convert that it belongs to, from 0 to 100 %.
    ///
    /// ```no_run
    /// use qemu_exec::cmd::{Convert, Raw, Source, Target};
    /// use qemu_exec::{LocalExecutor, QemuImg};
    ///
    /// let qemu_img = QemuImg::new(LocalExecutor::new()).on_progress(|progress| match progress.remaining() {
    ///     Some(remaining) => println!("{progress}, {} s left", remaining.as_secs()),
    ///     None => println!("{progress}"),
    /// });
    /// qemu_img.convert(&Convert::new(Source::qcow2("disk.qcow2"), Target::new("disk.img", Raw::new())))?;
    /// # Ok::<(), qemu_exec::Error>(())
    /// ```
    #[doc(alias = "-p")]
    pub fn on_progress(mut self, listener: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        self.settings.listener = Some(Arc::new(listener));
        self
    }

    /// How long those commands may go without coming further; then they have
    /// [stalled](crate::ErrorKind::Stalled). Default: for ever. See
    /// [`Request::stall_timeout`](crate::Request::stall_timeout).
    pub const fn stall_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.settings.data.stall_timeout = timeout;
        self
    }
}

impl<R> Flow<'_, R> {
    /// The command, saying how far it is if somebody wants to know.
    pub(super) fn watched<C: Clone>(&self, command: &C, progress: impl FnOnce(C, bool) -> C) -> C {
        let command = command.clone();
        let on = self.client.listener.is_some() || self.data.stall_timeout.is_some();
        if on { progress(command, true) } else { command }
    }
}

/// Whether this is a command that is watched. What others print may hold names that look like a report.
pub(super) fn says_how_far(invocation: &Invocation) -> bool {
    let subcommand = invocation.subcommand();
    ["amend", "commit", "compare", "convert", "rebase"].iter().any(|watched| subcommand == *watched)
}
