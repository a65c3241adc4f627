//! Executors whose commands can be awaited.

mod executors;
mod keeper;
mod waiting;

use std::future::Future;
use std::pin::Pin;

pub(crate) use waiting::Tokio;

use crate::{Error, Executor, Outcome, Request};

/// A command that an [`AsyncExecutor`] runs.
pub type Running<'a> = Pin<Box<dyn Future<Output = Result<Outcome, Error>> + Send + 'a>>;

/// An executor whose commands can be awaited, as [`AsyncQemuImg`](crate::AsyncQemuImg) does.
///
/// The trait is object-safe, and can be implemented outside of this crate.
pub trait AsyncExecutor: Executor {
    /// Runs the command: as [`run`](Executor::run), but for who waits. It begins when the future is first polled.
    ///
    /// **A future that is dropped is a command that is cancelled**, as [`AsyncQemuImg`](crate::AsyncQemuImg) says.
    ///
    /// # Errors
    /// As [`run`](Executor::run).
    ///
    /// # Panics
    /// The executors of this crate need a tokio runtime with I/O enabled; without I/O, tokio panics.
    fn run_async<'a>(&'a self, request: Request<'a>) -> Running<'a>;
}

impl<E: AsyncExecutor + ?Sized> AsyncExecutor for Box<E> {
    fn run_async<'a>(&'a self, request: Request<'a>) -> Running<'a> {
        (**self).run_async(request)
    }
}

impl<E: AsyncExecutor + ?Sized> AsyncExecutor for std::sync::Arc<E> {
    fn run_async<'a>(&'a self, request: Request<'a>) -> Running<'a> {
        (**self).run_async(request)
    }
}

impl<E: AsyncExecutor + ?Sized> AsyncExecutor for &E {
    fn run_async<'a>(&'a self, request: Request<'a>) -> Running<'a> {
        (**self).run_async(request)
    }
}
