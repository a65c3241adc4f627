//! `qimg doctor`: what it says of this machine is so.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tests::{bare, qemu_img, scratch};

fn doctor(program: impl AsRef<OsStr>, args: &[&OsStr]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_qimg-under-test"))
        .arg("--qemu-img")
        .arg(program)
        .args(["doctor", "--output=json"])
        .args(args)
        .env_remove("NO_COLOR")
        .output()
        .unwrap()
}

fn read(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
}

fn about<'a>(all: &'a Value, what: &str) -> &'a Value {
    let found = all["checks"].as_array().unwrap().iter().find(|check| check["about"] == what);
    found.unwrap_or_else(|| panic!("{what} in {all}"))
}

#[test]
fn it_tells_what_is_here() {
    let directory = scratch();
    let output = doctor(qemu_img(), &[directory.path().as_os_str()]);
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let all = read(&output);
    assert_eq!(all["ok"], true);
    let names: Vec<_> =
        all["checks"].as_array().unwrap().iter().map(|check| check["about"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "qemu-img",
            "formats",
            "drivers",
            "start",
            "memory",
            "proc",
            "sudo",
            "limits",
            "cgroups",
            "directory",
            "O_DIRECT"
        ]
    );
    for check in all["checks"].as_array().unwrap() {
        let state = check["state"].as_str().unwrap();
        assert!(["ok", "note"].contains(&state) && (state == "ok" || check["remedy"].is_string()), "{check}");
    }
    let version = about(&all, "qemu-img")["values"]["version"].as_str().unwrap();
    let theirs = String::from_utf8(bare(["--version"]).stdout).unwrap();
    assert!(theirs.starts_with(&format!("qemu-img version {version}")), "{version}: {theirs}");
    for format in ["raw", "qcow2", "luks", "vmdk"] {
        assert!(about(&all, "formats")["values"]["made"].as_array().unwrap().contains(&format.into()), "{all}");
    }
    assert!(about(&all, "formats")["values"]["read"].as_array().unwrap().contains(&"bochs".into()), "{all}");
    assert_eq!(about(&all, "sudo")["state"], "ok");
    // In the memory that is said to be enough it works.
    let least = about(&all, "memory")["values"]["info"].as_u64().unwrap();
    let mut limited = Command::new("prlimit");
    limited.arg(format!("--as={least}")).arg(qemu_img()).args(["info", "-f", "raw", "/dev/null"]);
    assert!(limited.output().unwrap().status.success(), "{least}");

    let missing = directory.path().join("missing");
    let output = doctor(qemu_img(), &[missing.as_os_str()]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(about(&read(&output), "directory")["state"], "bad");
}

#[test]
fn it_tells_what_is_not() {
    let directory = scratch();
    let output = doctor("/nonexistent/qemu-img", &[directory.path().as_os_str()]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let all = read(&output);
    assert_eq!((&all["ok"], &about(&all, "qemu-img")["state"]), (&false.into(), &"bad".into()));
    assert!(about(&all, "qemu-img")["remedy"].as_str().unwrap().contains("--qemu-img PATH"), "{all}");

    // What is inherited is low, and what was left behind is counted.
    std::fs::write(directory.path().join(".a.partial"), vec![1; 8192]).unwrap();
    let shell = "ulimit -n 32; exec \"$@\"";
    let output = Command::new("sh")
        .args(["-c", shell, "sh", env!("CARGO_BIN_EXE_qimg-under-test"), "--qemu-img"])
        .arg(qemu_img())
        .args(["doctor".as_ref(), "--output=json".as_ref(), directory.path().as_os_str()])
        .output()
        .unwrap();
    let all = read(&output);
    let limits = about(&all, "limits");
    assert!(limits["state"] == "note" && limits["remedy"].as_str().unwrap().contains("ulimit -n"), "{limits}");
    assert_eq!(about(&all, "leftovers")["values"]["count"], 1, "{all}");
    assert!(directory.path().join(".a.partial").exists());
}

#[test]
fn another_user_is_told_what_only_root_has() {
    let directory = scratch();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    // The program may lie where only its owner can look.
    let program = scratch();
    let copy = program.path().join("qimg");
    let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_qimg-under-test")).arg(&copy).status().unwrap();
    assert!(copied.success());
    std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o755)).unwrap();
    let run = |directory: &Path| {
        let mut command = Command::new("sudo");
        command.args(["-n", "-u", "nobody", "--"]).arg(&copy).arg("--qemu-img").arg(qemu_img());
        let output = command.args(["doctor", "--output=json"]).arg(directory).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        read(&output)
    };
    let all = run(directory.path());
    assert_eq!(
        (&about(&all, "write")["state"], &about(&all, "sudo")["state"]),
        (&"note".into(), &"note".into()),
        "{all}"
    );
    assert!(about(&all, "sudo")["remedy"].as_str().unwrap().contains("NOPASSWD"), "{all}");
}
