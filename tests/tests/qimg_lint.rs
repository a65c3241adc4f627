//! `qimg lint`, of a command line and of a script.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

fn lint(args: &[&str], stdin: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_qimg-under-test"));
    command.arg("lint").args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // What does not read it closes it.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    child.wait_with_output().unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

#[test]
fn a_clean_line_is_silent() {
    let output = lint(&["--", "qemu-img", "convert", "-t", "none", "-f", "raw", "-O", "qcow2", "a", "b"], "");
    assert_eq!((output.status.code(), stdout(&output)), (Some(0), ""));
    let output = lint(&["--output=json", "--", "qemu-img", "info", "-f", "raw", "a"], "");
    assert_eq!((output.status.code(), stdout(&output)), (Some(0), "[]\n"));
}

#[test]
fn findings_are_told() {
    let line = ["--", "/usr/bin/qemu-img", "resize", "a", "20G"];
    let output = lint(&line, "");
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).starts_with("danger format-probed: "), "{output:?}");
    assert_eq!(stdout(&output).lines().count(), 1);

    let secret = ["--output=json", "--", "qemu-img", "create", "-f", "luks", "--object", "secret,id=k,data=hunter2"];
    let output = lint(&[&secret[..], &["-o", "key-secret=k", "b", "1M"]].concat(), "");
    assert_eq!(output.status.code(), Some(1));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json[0]["code"], "secret-in-arguments");
    assert_eq!(json[0]["severity"], "danger");
    assert!(json[0]["message"].is_string() && json[0]["instead"].is_string());
    assert!(!stdout(&output).contains("hunter2"));
}

#[test]
fn what_cannot_be_read_is_refused() {
    for line in [&["--", "qemu-img", "frobnicate"][..], &["--output=xml", "--", "qemu-img", "info", "a"], &[]] {
        let output = lint(line, "");
        assert_eq!(output.status.code(), Some(2), "{line:?}: {output:?}");
        assert!(output.stderr.starts_with(b"qimg: "));
    }
}

#[test]
fn a_script_is_read_line_by_line() {
    let script = "#!/bin/sh\n\
                  # qemu-img info never\n\
                  set -e\n\
                  qemu-img info -f raw \"$DISK\" > /dev/null 2>&1 || exit 1\n\
                  sudo qemu-img convert -t none -f raw \\\n  -O qcow2 'a b' \"c\"; qemu-img resize \"$DISK\" +1G && echo done\n\
                  size=$(qemu-img info --output=json a | jq .size)\n\
                  qemu-img frobnicate x\n";
    let output = lint(&["-"], script);
    assert_eq!(output.status.code(), Some(1));
    let text = stdout(&output);
    let found: Vec<_> = text.lines().map(|line| line.split(": ").take(2).collect::<Vec<_>>().join(": ")).collect();
    assert_eq!(
        found,
        ["line 5: danger format-probed", "line 7: warning format-probed", "line 8: danger unreadable"],
        "{text}"
    );
    let output = lint(&["--output=json", "-"], script);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json[0]["line"], 5);
    let none = "echo nothing here\ncommand -v qemu-img >/dev/null || apk add qemu-img\ncp qemu-img.raw b\n";
    assert_eq!(stdout(&lint(&["-"], none)), "");
}

#[test]
fn a_line_is_looked_at_where_it_is_to_run() {
    let directory = tests::scratch();
    let there = directory.path().join("there");
    std::fs::write(&there, "").unwrap();
    let line = ["--", "qemu-img", "convert", "-t", "none", "-f", "raw", "-m16", "a", there.to_str().unwrap()];
    let output = lint(&line, "");
    assert!(stdout(&output).starts_with("warning target-overwritten: "), "{output:?}");
    assert_eq!(stdout(&lint(&["-"], &line[1..].join(" "))), "", "a script may run elsewhere");

    let under = |env: &str| {
        let limited = "ulimit -v 1048576 && exec env \"$0\" \"$@\"";
        let program = env!("CARGO_BIN_EXE_qimg-under-test");
        let output = Command::new("sh").args(["-c", limited, env, program, "lint"]).args(line).output().unwrap();
        stdout(&output).lines().filter(|line| line.starts_with("warning address-space-tight: ")).count()
    };
    assert_eq!((under("MALLOC_ARENA_MAX=8"), under("MALLOC_ARENA_MAX=1")), (1, 0));
}
