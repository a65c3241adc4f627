//! The examples of `qemu-exec`, run as people run them: on real images, with the content compared.
//!
//! Those about tests hold their own, which are run here, too.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod images;
mod incremental;
mod progress;
mod service;
mod upload;

// The files that people read, each with a `main` of its own.
#[path = "../../../qemu-exec/examples/dry_run.rs"]
#[allow(dead_code)]
mod dry_run;
#[path = "../../../qemu-exec/examples/encrypt.rs"]
#[allow(dead_code)]
mod encrypt;
#[path = "../../../qemu-exec/examples/fake_and_mock.rs"]
#[allow(dead_code)]
mod fake_and_mock;
#[path = "../../../qemu-exec/examples/incremental_backup.rs"]
#[allow(dead_code)]
mod incremental_backup;
#[path = "../../../qemu-exec/examples/luks_rotate.rs"]
#[allow(dead_code)]
mod luks_rotate;
#[path = "../../../qemu-exec/examples/overlay_commit.rs"]
#[allow(dead_code)]
mod overlay_commit;
#[path = "../../../qemu-exec/examples/progress_cancel.rs"]
#[allow(dead_code)]
mod progress_cancel;
#[path = "../../../qemu-exec/examples/property_tests.rs"]
#[allow(dead_code)]
mod property_tests;
#[path = "../../../qemu-exec/examples/tokio_service.rs"]
#[allow(dead_code)]
mod tokio_service;
#[path = "../../../qemu-exec/examples/upload_server.rs"]
#[allow(dead_code)]
mod upload_server;

use std::path::Path;
use std::process::Command;

/// What a guest does: commands of qemu-io, as an image is written to by qemu itself.
fn guest(image: &Path, commands: &[&str]) {
    let mut command = Command::new("qemu-io");
    for text in commands {
        command.args(["-c", text]);
    }
    let output = command.args(["-f", "qcow2"]).arg(image).output().expect("cargo xtask test installs qemu-io");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && !said.contains("failed"), "{output:?}");
}

/// Every example is run here, but for the demo, which `cargo xtask demo` runs.
#[test]
fn every_example_is_here() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../qemu-exec/examples");
    let here = include_str!("main.rs");
    let readme = std::fs::read_to_string(directory.join("../../README.md")).unwrap();
    for name in tests::names(&directory) {
        let name = name.to_str().unwrap();
        if name == "demo.rs" {
            continue;
        }
        assert!(here.contains(&format!("examples/{name}\"]")), "{name} is not run");
        assert!(readme.contains(&format!("qemu-exec/examples/{name}")), "{name} is not in README.md");
    }
}
