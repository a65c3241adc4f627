//! What inspection costs, against opening the file and reading its first 64 KiB, which it cannot do without.
//!
//! With the file in memory, 10 µs are allowed, and 30 for VMDK and VHDX, whose headers lie in several places.

#![allow(clippy::expect_used, clippy::print_stdout, reason = "a bench shows what it measures")]

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use divan::{Bencher, black_box};
use qemu_info::inspect::{Inspected, Policy};
use tempfile::TempDir;

const FORMATS: &[&str] = &["qcow2", "luks", "vdi", "vpc", "qed", "parallels", "vmdk", "vhdx"];

static IMAGES: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a place for images"));

fn main() {
    // `cargo test` runs benches, too, and only to see that they run.
    if std::env::args().any(|arg| arg == "--bench") {
        table();
    }
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

/// Both in turns, so that what else the machine does slows both.
fn table() {
    println!("format      inspect   open and read   ratio");
    for format in FORMATS {
        let path = image(format);
        let (mut inspect, mut open) = (Vec::new(), Vec::new());
        for _ in 0..2000 {
            inspect.push(timed(|| inspected(black_box(&path))));
            open.push(timed(|| read(black_box(&path))));
        }
        let (inspect, open) = (median(inspect), median(open));
        let micros = |time: Duration| time.as_secs_f64() * 1e6;
        let ratio = inspect.as_secs_f64() / open.as_secs_f64();
        println!("{format:<10} {:>5.1} µs {:>12.1} µs {ratio:>7.2}", micros(inspect), micros(open));
    }
}

fn timed<T>(run: impl FnOnce() -> T) -> Duration {
    let start = Instant::now();
    let result = run();
    let time = start.elapsed();
    drop(black_box(result));
    time
}

fn median(mut times: Vec<Duration>) -> Duration {
    let middle = times.len() / 2;
    *times.select_nth_unstable(middle).1
}
