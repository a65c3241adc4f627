//! The same calls, awaited.

use qemu_cmd::{
    Amend, Bench, Bitmap, Check, Commit, Compare, Convert, Create, Dd, Info, Map, Measure, QemuVersion, Rebase, Resize,
    Snapshot,
};
use qemu_info::inspect::Inspected;
use qemu_info::{BackingChain, Comparison, ImageInfo, MapExtent, Measurement};

use super::flow::{Flow, Runs};
use super::{Import, QemuImg};
use crate::asynchronous::{AsyncExecutor, Tokio};
use crate::{Error, Outcome, Request};

/// The calls of a [`QemuImg`] as `async fn`, for a tokio runtime of any flavour (feature `tokio`).
///
/// It is made of a client with all that this was told, and each method does what the one of that name there does.
///
/// ```no_run
/// use std::num::NonZero;
///
/// use qemu_exec::cmd::{Convert, Qcow2, Source, Target};
/// use qemu_exec::{LocalExecutor, QemuImg, Semaphore};
///
/// # async fn convert() -> Result<(), qemu_exec::Error> {
/// let semaphore = Semaphore::new(NonZero::new(4).unwrap());
/// let qemu_img = QemuImg::new(LocalExecutor::new()).semaphore(semaphore).into_async();
/// let convert = Convert::new(Source::raw("disk.img"), Target::new("disk.qcow2", Qcow2::new()));
/// qemu_img.convert(&convert).await?;
/// # Ok(())
/// # }
/// ```
///
/// * **Dropping the future cancels the call.** The command and its process group get KILL, and what it was writing is
///   removed. The drop waits until the process is gone, for 20 ms at most: after that it is reaped by a thread in the
///   background. What stands behind sudo, or is elsewhere, gets TERM from the shell that holds its standard input. To
///   end a command more gently, with TERM first, and to see what came of it, use a [token](QemuImg::cancel) and go on
///   awaiting. As without a runtime, what was written to a device or an existing image stays; and a future that is
///   dropped while the finished image is [published](QemuImg::publish) comes too late: it is published.
/// * **No thread waits for a command**: neither one of the runtime's nor one of its pool for blocking calls. That pool is
///   used for what touches the disk before and after a command, such as fsync(2), and one thread of our own, which all
///   commands share, starts the processes. qemu-img dies with this process, as
///   [`LocalExecutor`](crate::LocalExecutor) says, whatever becomes of the runtime's threads.
/// * **Shutting down the runtime** drops its futures.
/// * **The runtime** needs I/O enabled. Its timers are not used: timeouts go by the clock of the machine, also where that
///   of the runtime is paused. A [listener](QemuImg::on_progress) is called by the thread that polls the future, and must
///   not block it.
#[derive(Debug)]
#[must_use]
pub struct AsyncQemuImg<E>(QemuImg<E>);

impl<E> From<QemuImg<E>> for AsyncQemuImg<E> {
    fn from(client: QemuImg<E>) -> Self {
        Self(client)
    }
}

impl<E> QemuImg<E> {
    /// The same client with calls that are awaited (feature `tokio`).
    pub const fn into_async(self) -> AsyncQemuImg<E> {
        AsyncQemuImg(self)
    }
}

/// An executor that nobody's thread waits for.
#[derive(Debug)]
pub(super) struct Awaited<'a, E>(&'a E);

impl<E> Clone for Awaited<'_, E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E> Copy for Awaited<'_, E> {}

impl<E: AsyncExecutor> Runs for Awaited<'_, E> {
    type Waiting = Tokio;

    fn waiting(self) -> Tokio {
        Tokio
    }

    async fn run(self, request: Request<'_>) -> Result<Outcome, Error> {
        self.0.run_async(request).await
    }

    fn is_elsewhere(self) -> bool {
        self.0.is_elsewhere()
    }
}

impl<E: AsyncExecutor> AsyncQemuImg<E> {
    /// Runs commands with `executor`, as [`QemuImg::new`] does; make that first to say how.
    pub const fn new(executor: E) -> Self {
        Self(QemuImg::new(executor))
    }

    /// The executor.
    pub const fn executor(&self) -> &E {
        self.0.executor()
    }

    pub(super) fn flow(&self) -> Flow<'_, Awaited<'_, E>> {
        Flow::new(Awaited(&self.0.executor), &self.0.settings)
    }

    /// See [`QemuImg::amend`].
    ///
    /// # Errors
    /// The same.
    pub async fn amend(&self, amend: &Amend) -> Result<Outcome, Error> {
        self.flow().amend(amend).await
    }

    /// See [`QemuImg::backing_chain`].
    ///
    /// # Errors
    /// The same.
    pub async fn backing_chain(&self, info: &Info) -> Result<BackingChain, Error> {
        self.flow().backing_chain(info).await
    }

    /// See [`QemuImg::bench`].
    ///
    /// # Errors
    /// The same.
    pub async fn bench(&self, bench: &Bench) -> Result<Outcome, Error> {
        self.flow().bench(bench).await
    }

    /// See [`QemuImg::bitmap`].
    ///
    /// # Errors
    /// The same.
    pub async fn bitmap(&self, bitmap: &Bitmap) -> Result<Outcome, Error> {
        self.flow().bitmap(bitmap).await
    }

    /// See [`QemuImg::check`].
    ///
    /// # Errors
    /// The same.
    pub async fn check(&self, check: &Check) -> Result<qemu_info::Check, Error> {
        self.flow().check(check).await
    }

    /// See [`QemuImg::commit`].
    ///
    /// # Errors
    /// The same.
    pub async fn commit(&self, commit: &Commit) -> Result<Outcome, Error> {
        self.flow().commit(commit).await
    }

    /// See [`QemuImg::compare`].
    ///
    /// # Errors
    /// The same.
    pub async fn compare(&self, compare: &Compare) -> Result<Comparison, Error> {
        self.flow().compare(compare).await
    }

    /// See [`QemuImg::convert`].
    ///
    /// # Errors
    /// The same.
    pub async fn convert(&self, convert: &Convert) -> Result<Outcome, Error> {
        self.flow().convert(convert).await
    }

    /// See [`QemuImg::create`].
    ///
    /// # Errors
    /// The same.
    pub async fn create(&self, create: &Create) -> Result<Outcome, Error> {
        self.flow().create(create).await
    }

    /// See [`QemuImg::dd`].
    ///
    /// # Errors
    /// The same.
    pub async fn dd(&self, dd: &Dd) -> Result<Outcome, Error> {
        self.flow().dd(dd).await
    }

    /// See [`QemuImg::digest`]. A thread takes the digest meanwhile.
    ///
    /// # Errors
    /// The same.
    #[cfg(feature = "digest")]
    pub async fn digest(&self, source: &qemu_cmd::Source) -> Result<crate::ContentDigest, Error> {
        self.flow().digest(source, false).await
    }

    /// See [`QemuImg::import`]. To open and to inspect an image is for `spawn_blocking`.
    ///
    /// # Errors
    /// The same.
    pub async fn import(&self, image: &Inspected, import: impl Into<Import>) -> Result<Outcome, Error> {
        self.flow().import(image, import.into()).await
    }

    /// See [`QemuImg::info`].
    ///
    /// # Errors
    /// The same.
    pub async fn info(&self, info: &Info) -> Result<ImageInfo, Error> {
        self.flow().info(info).await
    }

    /// See [`QemuImg::map`].
    ///
    /// # Errors
    /// The same.
    pub async fn map(&self, map: &Map) -> Result<Vec<MapExtent>, Error> {
        self.flow().map(map).await
    }

    /// See [`QemuImg::measure`].
    ///
    /// # Errors
    /// The same.
    pub async fn measure(&self, measure: &Measure) -> Result<Measurement, Error> {
        self.flow().measure(measure).await
    }

    /// See [`QemuImg::qemu_version`].
    ///
    /// # Errors
    /// The same.
    pub async fn qemu_version(&self) -> Result<Option<QemuVersion>, Error> {
        self.flow().qemu_version().await
    }

    /// See [`QemuImg::rebase`].
    ///
    /// # Errors
    /// The same.
    pub async fn rebase(&self, rebase: &Rebase) -> Result<Outcome, Error> {
        self.flow().rebase(rebase).await
    }

    /// See [`QemuImg::resize`].
    ///
    /// # Errors
    /// The same.
    pub async fn resize(&self, resize: &Resize) -> Result<Outcome, Error> {
        self.flow().resize(resize).await
    }

    /// See [`QemuImg::snapshot`].
    ///
    /// # Errors
    /// The same.
    pub async fn snapshot(&self, snapshot: &Snapshot) -> Result<Outcome, Error> {
        self.flow().snapshot(snapshot).await
    }
}
