//! What `qimg` shows to people: tables where a terminal is, and what qemu-img prints everywhere else.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Command, Output};

use tests::terminal::on_terminal;
use tests::{bare, qemu_img, scratch};

/// A name that would clear the screen, set the title, and turn the text round.
const HOSTILE: &str = "a\u{1b}[2J\u{1b}]0;x\u{7}\u{9b}31m\u{202e}\r.qcow2";

fn qimg(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_qimg-under-test"));
    command.current_dir(directory).env_remove("NO_COLOR");
    if std::env::var_os("QEMU_IMG").is_some() {
        command.arg("--qemu-img").arg(qemu_img());
    }
    command
}

fn piped(directory: &Path, args: &[&str]) -> Output {
    qimg(directory).args(args).output().unwrap()
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn make(directory: &Path, args: &[&str]) {
    let output = Command::new(qemu_img()).args(args).current_dir(directory).output().unwrap();
    assert!(output.status.success(), "{args:?}: {output:?}");
}

/// Nothing in it does anything to a terminal.
fn is_text(shown: &str) -> bool {
    shown.chars().all(|c| c == '\n' || !(c.is_control() || c == '\u{202e}'))
}

#[test]
fn a_terminal_gets_tables_and_a_pipe_what_qemu_img_prints() {
    let directory = scratch();
    let directory = directory.path();
    make(directory, &["create", "-q", "-f", "qcow2", "a.qcow2", "1536M"]);
    let (status, shown) = on_terminal(qimg(directory).args(["info", "a.qcow2"]), 80);
    assert!(status.success());
    assert!(shown.contains("1.5 GiB (1610612736 bytes)\n") && shown.contains("\u{1b}["), "{shown}");
    let (_, plain) = on_terminal(qimg(directory).args(["info", "a.qcow2"]).env("NO_COLOR", "1"), 80);
    assert!(is_text(&plain), "{plain:?}");
    let rows: Vec<_> = plain.lines().collect();
    assert_eq!(
        rows[..3],
        ["a.qcow2", "  format        qcow2, compat 1.1", "  virtual size  1.5 GiB (1610612736 bytes)"]
    );
    assert_eq!(text(&piped(directory, &["--pretty", "info", "a.qcow2"])), plain);

    let theirs = String::from_utf8(bare(["info".as_ref(), directory.join("a.qcow2").as_os_str()]).stdout).unwrap();
    let theirs = theirs.replace(&format!("{}/", directory.display()), "");
    for line in [
        &["--pretty=never", "info", "a.qcow2"][..],
        &["info", "--output=human", "a.qcow2"],
        &["--pretty=always", "info", "--output", "human", "a.qcow2"],
    ] {
        assert_eq!(on_terminal(qimg(directory).args(line), 80).1, theirs, "{line:?}");
    }
    assert_eq!(text(&piped(directory, &["info", "a.qcow2"])), theirs);
    let json = on_terminal(qimg(directory).args(["info", "--output=json", "a.qcow2"]), 80).1;
    assert!(json.starts_with("{\n"), "{json}");
    let planned = text(&piped(directory, &["--pretty", "--dry-run", "info", "a.qcow2"]));
    assert!(planned.ends_with("qemu-img info --output=json a.qcow2\n"), "{planned}");
    let wrong = piped(directory, &["--pretty=nice", "info", "a.qcow2"]);
    assert_eq!(wrong.status.code(), Some(2));
}

#[test]
fn a_chain_is_a_table_an_image() {
    let directory = scratch();
    let directory = directory.path();
    make(directory, &["create", "-q", "-f", "raw", "base.raw", "1M"]);
    make(directory, &["create", "-q", "-f", "qcow2", "-b", "base.raw", "-F", "raw", "top.qcow2"]);
    make(directory, &["snapshot", "-c", "before \u{1b}[2J", "top.qcow2"]);
    let shown = text(&piped(directory, &["--pretty", "info", "--backing-chain", "top.qcow2"]));
    assert!(is_text(&shown), "{shown:?}");
    for part in
        ["top.qcow2\n  format", "\n\nbase.raw\n  format", "  backing file  base.raw (raw)\n", "before \\u{1b}[2J\n"]
    {
        assert!(shown.contains(part), "{part:?} in {shown}");
    }
}

#[test]
fn check_keeps_its_exit_status() {
    let directory = scratch();
    let directory = directory.path();
    make(directory, &["create", "-q", "-f", "qcow2", "clean.qcow2", "1M"]);
    make(directory, &["create", "-q", "-f", "raw", "a.raw", "1M"]);
    for name in ["leaking.qcow2", "corrupt.qcow2"] {
        std::fs::copy(directory.join("clean.qcow2"), directory.join(name)).unwrap();
    }
    // The refcount block begins at 2 * 64 KiB: the image's header is counted too rarely, or a cluster behind it for nothing.
    let spoil = |name: &str, cluster: u64, count: u8| {
        let image = std::fs::OpenOptions::new().write(true).open(directory.join(name)).unwrap();
        image.write_all_at(&[0, count], 2 * 65536 + 2 * cluster).unwrap();
        image.set_len(5 * 65536).unwrap();
    };
    spoil("leaking.qcow2", 4, 1);
    spoil("corrupt.qcow2", 0, 0);
    for (line, code, part) in [
        ("check clean.qcow2", 0, "clean.qcow2 (qcow2): clean\n"),
        ("check leaking.qcow2", 3, "leaking.qcow2 (qcow2): leaking: "),
        ("check corrupt.qcow2", 2, "corrupt.qcow2 (qcow2): corrupt: "),
        ("check -r leaks leaking.qcow2", 0, "leaking.qcow2 (qcow2): repaired\n  leaks freed    1\n"),
        ("check -f raw a.raw", 63, "does not support checks"),
        ("check missing", 1, "No such file"),
        ("check -q clean.qcow2", 0, ""),
    ] {
        let line: Vec<_> = line.split(' ').collect();
        let (status, shown) = on_terminal(qimg(directory).args(&line).env("NO_COLOR", "1"), 80);
        assert_eq!(status.code(), Some(code), "{line:?}: {shown}");
        assert!(shown.contains(part) && (!part.is_empty() || shown.is_empty()), "{part:?} in {shown}");
        let bare = Command::new(qemu_img()).args(&line).current_dir(directory).output().unwrap();
        let piped = piped(directory, &line);
        assert_eq!((piped.status, piped.stdout), (bare.status, bare.stdout), "{line:?}");
    }
}

#[test]
fn a_name_does_nothing_to_a_terminal() {
    let directory = scratch();
    let directory = directory.path();
    make(directory, &["create", "-q", "-f", "qcow2", HOSTILE, "1M"]);
    make(directory, &["create", "-q", "-u", "-f", "qcow2", "-b", HOSTILE, "-F", "qcow2", "top.qcow2", "1M"]);
    for line in [&["info", HOSTILE][..], &["info", "top.qcow2"], &["check", HOSTILE]] {
        let (status, shown) = on_terminal(qimg(directory).args(line).env("NO_COLOR", "1"), 80);
        assert!(status.success() && is_text(&shown), "{line:?}: {shown:?}");
        assert!(shown.contains("a\\u{1b}[2J\\u{1b}]0;x\\u{7}\\u{9b}31m\\u{202e}\\r.qcow2"), "{shown:?}");
    }
    // What qemu-img says of it comes to the terminal as it was said, but for that.
    std::fs::remove_file(directory.join(HOSTILE)).unwrap();
    for line in [&["info", HOSTILE][..], &["check", "top.qcow2"], &["convert", "-O", "raw", "top.qcow2", "new"]] {
        let (status, shown) = on_terminal(qimg(directory).args(line), 80);
        assert!(!status.success() && shown.contains("a\\x1b[2J\\x1b]0;x\\x07\\u{9b}31m"), "{line:?}: {shown:?}");
        assert!(shown.chars().all(|c| c == '\n' || !c.is_control()), "{line:?}: {shown:?}");
    }
}
