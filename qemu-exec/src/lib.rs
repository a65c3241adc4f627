//! Runs `qemu-img`: locally, through sudo, over ssh, in a container, or not at all, under limits, with secrets that never touch a disk
//! and errors that say what happened.
//!
//! ```no_run
//! use qemu_exec::{LocalExecutor, QemuImg};
//! use qemu_exec::cmd::{Convert, Info, Luks, Qcow2, Secret, Source, Target};
//!
//! let qemu_img = QemuImg::new(LocalExecutor::new());
//! let encrypted = Qcow2::new().encryption(Luks::new(Secret::new("correct horse battery staple")?));
//! qemu_img.convert(&Convert::new(Source::raw("disk.img"), Target::new("disk.qcow2", encrypted)))?;
//!
//! let info = qemu_img.info(&Info::new(Source::qcow2("disk.qcow2")))?;
//! println!("{} bytes, encrypted: {}", info.virtual_size, info.encrypted == Some(true));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! * **who runs it**: an [`Executor`]: [`LocalExecutor`], [`SudoExecutor`], [`SystemdRunExecutor`], [`ContainerExecutor`],
//!   [`SshExecutor`], or [`DryRunExecutor`] around
//!   one of them, which shows the [`Plan`] and runs nothing
//! * **what is run**: a [`Request`]: an invocation, [`Limits`], a timeout, a [`CancelToken`]
//! * **what came of it**: an [`Outcome`], or an [`Error`] with an [`ErrorKind`]
//! * **all of that behind typed calls**: [`QemuImg`]
//!
//! The commands come from [`cmd`], the results from [`info`]. Linux only.

#![deny(unsafe_code)]

mod asking;
#[cfg(feature = "tokio")]
mod asynchronous;
mod cancel;
mod cgroup;
mod child;
mod classify;
mod client;
mod container;
#[cfg(feature = "digest")]
mod digest;
mod direct_io;
mod dry_run;
mod environment;
mod error;
mod executor;
#[cfg(feature = "fake")]
pub mod fake;
mod front;
mod held;
mod leftovers;
mod limits;
mod local;
mod messages;
#[cfg(feature = "mock")]
mod mock;
#[cfg(feature = "digest")]
mod nbd;
mod open_image;
mod outcome;
mod output_pipe;
mod partial;
mod plan;
mod ploop;
mod program;
mod progress;
mod publish;
mod reports;
mod screen;
mod secrets;
mod semaphore;
mod ssh;
mod start;
mod sudo;
#[allow(unsafe_code)]
mod sys;
mod systemd_run;
mod tether;
mod trace;
mod wait;
mod waiting;

pub use qemu_cmd as cmd;
pub use qemu_info as info;

#[cfg(feature = "tokio")]
pub use asynchronous::{AsyncExecutor, Running};
pub use cancel::CancelToken;
pub use cgroup::Cgroup;
#[cfg(feature = "tokio")]
pub use client::AsyncQemuImg;
pub use client::{Checks, Import, QemuImg};
pub use container::ContainerExecutor;
#[cfg(feature = "digest")]
pub use digest::{ContentDigest, ParseDigestError};
pub use direct_io::{direct_io_works, safe_cache_mode};
pub use dry_run::DryRunExecutor;
pub use error::{Error, ErrorKind};
pub use executor::{Executor, Output, Request};
pub use leftovers::remove_leftovers;
pub use limits::{Limit, Limits, ResourceLimit};
pub use local::LocalExecutor;
#[cfg(feature = "mock")]
pub use mock::MockExecutor;
pub use open_image::open_image;
pub use outcome::{End, Outcome};
pub use output_pipe::{OutputReader, output_pipe};
pub use plan::{Delivery, Launch, Plan};
pub use ploop::ploop_image;
pub use progress::{OnProgress, Progress, ProgressParser};
pub use publish::{Publish, Staging};
pub use semaphore::Semaphore;
pub use ssh::SshExecutor;
pub use sudo::SudoExecutor;
pub use systemd_run::SystemdRunExecutor;
