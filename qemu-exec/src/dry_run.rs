//! Running nothing.

use std::sync::{Mutex, PoisonError};

use crate::{End, Error, Executor, LocalExecutor, Outcome, Plan, Request};

/// Runs nothing, and remembers what another executor would have run.
///
/// ```
/// use qemu_exec::cmd::{ByteSize, Create, Raw};
/// use qemu_exec::{DryRunExecutor, QemuImg};
///
/// let qemu_img = QemuImg::new(DryRunExecutor::default());
/// qemu_img.create(&Create::new("/vm/disk", Raw::new(), ByteSize::gib(1)))?;
/// assert_eq!(
///     qemu_img.executor().plans()[0].argv,
///     ["qemu-img", "create", "-f", "raw", "/vm/disk", "1073741824"]
/// );
/// # Ok::<(), qemu_exec::Error>(())
/// ```
#[derive(Debug)]
pub struct DryRunExecutor<E = LocalExecutor> {
    inner: E,
    plans: Mutex<Vec<Plan>>,
}

impl Default for DryRunExecutor {
    fn default() -> Self {
        Self::new(LocalExecutor::new())
    }
}

impl<E: Executor> DryRunExecutor<E> {
    /// Shows what `inner` would do.
    #[must_use]
    pub const fn new(inner: E) -> Self {
        Self { inner, plans: Mutex::new(Vec::new()) }
    }

    /// What would have been run until now, in order.
    #[must_use]
    pub fn plans(&self) -> Vec<Plan> {
        self.plans.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl<E: Executor> Executor for DryRunExecutor<E> {
    fn plan(&self, request: &Request<'_>) -> Result<Plan, Error> {
        self.inner.plan(request)
    }

    fn run<'a>(&self, request: Request<'a>) -> Result<Outcome, Error> {
        let plan = self.inner.plan(&request)?;
        self.plans.lock().unwrap_or_else(PoisonError::into_inner).push(plan);
        Ok(Outcome::new(End::NotRun, "", ""))
    }

    fn is_elsewhere(&self) -> bool {
        self.inner.is_elsewhere()
    }
}
