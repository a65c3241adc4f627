//! What inspection itself may cost, whatever it looks at: 50 ms and 16 MiB.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use qemu_info::inspect::Policy;
use rustix::time::{ClockId, clock_gettime};
use tests::hostile::{all, image::Image, plain};
use tests::scratch;

use crate::{inspected, streamed};

/// Every image there is.
fn images(directory: &tempfile::TempDir) -> Vec<PathBuf> {
    let hostile = all(directory.path()).into_iter().map(|hostile| hostile.write(directory.path()));
    let most = [("most-bitmaps", plain::qcow2_bitmaps(1024)), ("most-snapshots", plain::qcow2_snapshots(1024))];
    let plain = plain::all().into_iter().map(|(name, _, image)| (name, image)).chain(most);
    let plain = plain.map(|(name, image): (&str, Image)| {
        image.write(&directory.path().join(name));
        directory.path().join(name)
    });
    hostile.chain(plain).collect()
}

/// Whether `qimg inspect` can do with 16 MiB for this file.
pub(crate) fn fits(file: &Path) -> bool {
    matches!(inspect(16 << 20, Stdio::null(), &[file.to_owned()]).code(), Some(0 | 1))
}

/// Runs `qimg inspect` with so many bytes for its heap, its data and its anonymous maps.
fn inspect(memory: u64, stdin: Stdio, files: &[PathBuf]) -> ExitStatus {
    let mut command = Command::new("prlimit");
    command.arg(format!("--data={memory}")).args(["--core=0", env!("CARGO_BIN_EXE_qimg-under-test"), "inspect"]);
    command.args(files).stdin(stdin).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap()
}

#[test]
fn each_takes_no_more_than_16_mebibytes() {
    let directory = scratch();
    let files = images(&directory);
    // Status 1: some were refused, and none could not be read.
    assert_eq!(inspect(16 << 20, Stdio::null(), &files).code(), Some(1));
    assert_ne!(inspect(1 << 18, Stdio::null(), &files).code(), Some(1), "the limit has no effect");
    for file in files.iter().filter(|file| file.metadata().unwrap().len() < 64 << 20) {
        let status = inspect(16 << 20, File::open(file).unwrap().into(), &["-".into()]);
        assert!(matches!(status.code(), Some(0 | 1)), "{}: {status}", file.display());
    }
}

/// The processor time of this thread.
fn now() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap()
}

/// Runs it, and fails if that takes more than 50 ms of processor time: what else the machine does makes nothing slow.
pub(crate) fn in_time<T>(run: impl FnOnce() -> T) -> T {
    let started = now();
    let result = run();
    let took = now() - started;
    assert!(took < Duration::from_millis(50), "{took:?}");
    result
}

/// As every other image of these tests does.
#[test]
fn each_takes_no_more_than_50_milliseconds() {
    let directory = scratch();
    let hostile = all(directory.path()).into_iter().map(|hostile| hostile.image);
    for image in hostile.chain([plain::qcow2_bitmaps(1024), plain::qcow2_snapshots(1024)]) {
        let found = inspected(&image, &Policy::untrusted());
        streamed(&image, &Policy::untrusted(), &found);
    }
    let end = now() + Duration::from_millis(60);
    let slow = std::panic::catch_unwind(|| in_time(|| while now() < end {}));
    assert!(slow.is_err(), "the clock stands still");
}
