//! What inspection itself may cost, whatever it looks at: 50 ms and 16 MiB.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tests::hostile::{all, image::Image, plain};
use tests::scratch;

use crate::inspected;

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

#[test]
fn each_takes_no_more_than_50_milliseconds() {
    let directory = scratch();
    let images = all(directory.path()).into_iter().map(|hostile| (hostile.name, hostile.image));
    let most = [("bitmaps", plain::qcow2_bitmaps(1024)), ("snapshots", plain::qcow2_snapshots(1024))];
    for (name, image) in images.chain(most.map(|(name, image)| (name.to_owned(), image))) {
        // The machine may have other things to do, but not each time.
        let took = (0..20).map(|_| {
            let started = Instant::now();
            let _ = inspected(&image, &qemu_info::inspect::Policy::untrusted());
            started.elapsed()
        });
        let fast = |took: &Duration| *took < Duration::from_millis(50);
        assert!(took.clone().any(|took| fast(&took)), "{name}: {:?}", took.min());
    }
}
