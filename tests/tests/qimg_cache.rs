//! `-t` of `qimg convert`: the target's directory decides, unless the command line does.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use qemu_exec::direct_io_works;
use rustix::fs::{Mode, OFlags};
use serde_json::{Value, json};
use tests::machine::need_sudo;
use tests::{bare, content, qimg, scratch};

/// What would run.
fn argv(directory: &Path, line: &[&str]) -> Vec<Value> {
    let output = qimg!().arg("--dry-run=json").args(line).current_dir(directory).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let object: Value = serde_json::from_slice(&output.stdout).unwrap();
    object["argv"].as_array().unwrap().clone()
}

#[test]
fn the_directory_decides() {
    let directory = scratch();
    let here = directory.path();
    // As the kernel sees it, with none of our code in between.
    let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::DIRECT;
    let works = rustix::fs::open(here.join("probe"), flags, Mode::RUSR).is_ok();
    std::fs::remove_file(here.join("probe")).unwrap();
    assert_eq!(direct_io_works(here).unwrap(), works);
    let mode = if works { "none" } else { "writeback" };
    let argv = |line: &[&str]| argv(here, line);
    assert_eq!(argv(&["convert", "a", "b"])[2..4], ["-t", mode]);
    let node = format!("driver=raw,file.filename={}", here.join("b").display());
    assert_eq!(argv(&["convert", "-n", "--target-image-opts", "a", &node])[2..4], ["-t", mode]);
    // What is reached by a protocol cannot be probed; what does not exist is for qemu-img to complain about.
    assert_eq!(argv(&["convert", "a", "nbd:host:1"])[2..4], ["-t", "writeback"]);
    assert_eq!(argv(&["convert", "a", "not-there/b"])[2..4], ["-t", "writeback"]);
}

#[test]
fn what_was_given_stays() {
    let directory = scratch();
    for given in [
        &["convert", "-t", "unsafe", "a", "b"][..],
        &["convert", "a", "b", "-twritethrough"],
        &["convert", "-cpt", "directsync", "-O", "qcow2", "a", "b"],
        &["convert", "--target-cache=none", "a", "b"],
        &["convert", "-O", "qcow2", "-o", "help"],
        &["convert", "--help"],
        &["create", "a", "1M"],
        &["info", "a"],
    ] {
        assert_eq!(argv(directory.path(), given)[1..], *given);
    }
}

/// ramfs has no O_DIRECT. It is mounted where only the shell that runs qimg sees it.
#[test]
fn without_direct_io_it_is_writeback() {
    need_sudo();
    let directory = scratch();
    let here = directory.path();
    std::fs::write(here.join("a"), content()).unwrap();
    let script = "mount -t ramfs none \"$1\" && cd \"$1\" && shift && \"$@\" --dry-run=json convert ../a b && \
                  \"$@\" convert -f raw -O qcow2 ../a b && cat b";
    std::fs::create_dir(here.join("ramfs")).unwrap();
    let mut qimg = qimg!();
    qimg.arg("--timeout=20");
    let output = Command::new("sudo")
        .args(["-n", "unshare", "-m", "sh", "-c", script, "sh"])
        .arg(here.join("ramfs"))
        .arg(qimg.get_program())
        .args(qimg.get_args())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let end = output.stdout.iter().position(|byte| *byte == b'\n').unwrap();
    let object: Value = serde_json::from_slice(&output.stdout[..end]).unwrap();
    assert_eq!(object["argv"], json!(["qemu-img", "convert", "-t", "writeback", "../a", "b"]));
    std::fs::write(here.join("b"), &output.stdout[end + 1..]).unwrap();
    let compared = bare([OsStr::new("compare"), here.join("a").as_ref(), here.join("b").as_ref()]);
    assert!(compared.status.success(), "{compared:?}");
}
