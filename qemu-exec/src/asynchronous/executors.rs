//! The executors of this crate, awaited.

use std::future::ready;

use super::{AsyncExecutor, Running, Tokio};
use crate::{
    ContainerExecutor, DryRunExecutor, Executor, LocalExecutor, Request, SshExecutor, SudoExecutor, SystemdRunExecutor,
    tether,
};

impl AsyncExecutor for LocalExecutor {
    /// Death of the caller is that of the process here, not that of a thread: futures have none.
    fn run_async<'a>(&'a self, request: Request<'a>) -> Running<'a> {
        Box::pin(self.run_by(Tokio, request))
    }
}

impl AsyncExecutor for SudoExecutor {
    fn run_async<'a>(&'a self, request: Request<'a>) -> Running<'a> {
        Box::pin(self.run_by(Tokio, request))
    }
}

impl AsyncExecutor for SystemdRunExecutor {
    fn run_async<'a>(&'a self, request: Request<'a>) -> Running<'a> {
        Box::pin(tether::run(Tokio, self, request))
    }
}

impl AsyncExecutor for ContainerExecutor {
    fn run_async<'a>(&'a self, request: Request<'a>) -> Running<'a> {
        Box::pin(tether::run(Tokio, self, request))
    }
}

impl AsyncExecutor for SshExecutor {
    fn run_async<'a>(&'a self, request: Request<'a>) -> Running<'a> {
        Box::pin(tether::run(Tokio, self, request))
    }
}

/// Those that run no process answer at once.
impl<E: Executor> AsyncExecutor for DryRunExecutor<E> {
    fn run_async<'a>(&'a self, request: Request<'a>) -> Running<'a> {
        Box::pin(ready(self.run(request)))
    }
}

#[cfg(feature = "fake")]
impl AsyncExecutor for crate::fake::FakeExecutor {
    fn run_async<'a>(&'a self, request: Request<'a>) -> Running<'a> {
        Box::pin(ready(self.run(request)))
    }
}

/// It answers as is [expected](crate::MockExecutor) of `run`.
#[cfg(feature = "mock")]
impl AsyncExecutor for crate::MockExecutor {
    fn run_async<'a>(&'a self, request: Request<'a>) -> Running<'a> {
        Box::pin(ready(self.run(request)))
    }
}
