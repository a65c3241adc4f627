//! A service in a tokio runtime: jobs come from a queue, so many run at once, and each can be given up.
//!
//! `cargo run -p qemu-exec --features tokio --example tokio_service -- DIRECTORY`, with the names of raw disks as lines on
//! standard input; each becomes a compressed `DIRECTORY/NAME.qcow2`.
//!
//! The bound is on what runs, not on what waits: a job that has no place yet costs a future, and no thread and no process.
//! A job that is dropped, because its client is gone or its time is up, has its qemu-img killed and what it wrote removed;
//! so has one that is dropped with the runtime.

use std::error::Error;
use std::io::{BufRead as _, stdin};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use qemu_exec::cmd::{Convert, Info, Source};
use qemu_exec::{AsyncExecutor, AsyncQemuImg, Checks, LocalExecutor, QemuImg, Semaphore};

/// How long a job may take from when it came, with the time that it waits.
const DEADLINE: Duration = Duration::from_secs(3600);

fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::args_os().nth(1).map(PathBuf::from).ok_or("usage: tokio_service DIRECTORY")?;
    let places = std::thread::available_parallelism()?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let service = Arc::new(Service::new(LocalExecutor::new(), places, directory));
        let mut jobs = tokio::task::JoinSet::new();
        for disk in stdin().lock().lines() {
            let (service, disk) = (Arc::clone(&service), PathBuf::from(disk?));
            jobs.spawn(async move {
                let done = service.archive(&disk, DEADLINE).await;
                (disk, done)
            });
        }
        while let Some(job) = jobs.join_next().await {
            match job? {
                (disk, Ok(size)) => {
                    println!("{}: {size} bytes; {} jobs wait", disk.display(), service.semaphore.waiting());
                }
                (disk, Err(error)) => println!("{}: {error}", disk.display()),
            }
        }
        Ok(())
    })
}

/// Why a job was not done.
#[derive(Debug)]
pub(crate) enum JobError {
    /// It took too long, and was given up; nothing is left of it.
    TooLate,
    /// qemu-img failed.
    Failed(qemu_exec::Error),
}

impl std::fmt::Display for JobError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooLate => f.write_str("it took too long"),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl From<qemu_exec::Error> for JobError {
    fn from(error: qemu_exec::Error) -> Self {
        Self::Failed(error)
    }
}

pub(crate) struct Service<E> {
    qemu_img: AsyncQemuImg<E>,
    pub(crate) semaphore: Semaphore,
    directory: PathBuf,
}

impl<E: AsyncExecutor> Service<E> {
    /// Runs so many jobs at once.
    pub(crate) fn new(executor: E, places: NonZero<usize>, directory: PathBuf) -> Self {
        let semaphore = Semaphore::new(places);
        let qemu_img = QemuImg::new(executor).checks(Checks::none().verify(true)).semaphore(semaphore.clone());
        Self { qemu_img: qemu_img.into_async(), semaphore, directory }
    }

    /// Archives a raw disk, and says how many bytes the archive takes.
    pub(crate) async fn archive(&self, disk: &Path, deadline: Duration) -> Result<u64, JobError> {
        let mut name = disk.file_name().unwrap_or_default().to_owned();
        name.push(".qcow2");
        let target = self.directory.join(name);
        let job = async {
            self.qemu_img.convert(&Convert::to_zstd(Source::raw(disk), &*target)).await?;
            let info = self.qemu_img.info(&Info::new(Source::qcow2(&*target))).await?;
            Ok(info.actual_size.unwrap_or_default())
        };
        // Whoever awaits may drop this future too, and then the same happens.
        tokio::time::timeout(deadline, job).await.unwrap_or(Err(JobError::TooLate))
    }
}
