//! What inspection costs, against opening the file and reading its first 64 KiB, which it cannot do without.
//!
//! With the file in memory. What is allowed, and the ratio of the two, is among the figures of `cargo xtask bench`.

#![allow(clippy::expect_used)]

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use divan::{Bencher, black_box};
use qemu_info::inspect::{Inspected, Policy};
use tempfile::TempDir;

const FORMATS: &[&str] = &["qcow2", "luks", "vdi", "vpc", "qed", "parallels", "vmdk", "vhdx"];

static IMAGES: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a place for images"));

fn main() {
    divan::main();
    std::fs::remove_dir_all(IMAGES.path()).expect("nobody else uses it");
}

/// An image of a gibibyte, made by qemu-img once, with its first part in memory.
fn image(format: &str) -> PathBuf {
    let path = IMAGES.path().join(format);
    if !path.exists() {
        let secret = ["--object", "secret,id=key,data=key", "-o", "key-secret=key,iter-time=10"];
        let options = if format == "luks" { &secret[..] } else { &[] };
        let mut create = Command::new("qemu-img");
        create.args(["create", "-q", "-f", format]).args(options).arg(&path).arg("1G");
        assert!(create.status().expect("qemu-img is installed").success(), "{format}");
    }
    path
}

fn inspected(path: &Path) -> Inspected {
    Inspected::new(File::open(path).expect("an image"), &Policy::untrusted()).expect("an image without a fault")
}

fn read(path: &Path) -> usize {
    let mut buffer = [0; 64 << 10];
    File::open(path).and_then(|mut file| file.read(&mut buffer)).expect("an image")
}

#[divan::bench(args = FORMATS)]
fn inspect(bencher: Bencher<'_, '_>, format: &str) {
    let path = image(format);
    bencher.bench_local(|| inspected(black_box(&path)));
}

#[divan::bench(args = FORMATS)]
fn open_and_read(bencher: Bencher<'_, '_>, format: &str) {
    let path = image(format);
    bencher.bench_local(|| read(black_box(&path)));
}
