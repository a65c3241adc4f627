//! `qimg --progress`, and `-p` on a terminal: a bar there, lines elsewhere, and standard output as it is.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs::File;
use std::path::Path;
use std::process::{Command, Output};

use tests::terminal::on_terminal;
use tests::{content, qemu_img, scratch};

fn qimg(directory: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_qimg-under-test"));
    command.current_dir(directory).arg("--qemu-img").arg(qemu_img()).args(args);
    command
}

/// A directory with a raw image `a` of 12 MiB, and the arguments of a convert of it that takes two seconds.
fn scene() -> (tempfile::TempDir, [&'static str; 8]) {
    let directory = scratch();
    std::fs::write(directory.path().join("a"), content().repeat(12)).unwrap();
    (directory, ["-r", "6M", "-m", "1", "-f", "raw", "-O", "qcow2"])
}

fn with<'a>(front: &[&'a str], options: &[&'a str], back: &[&'a str]) -> Vec<&'a str> {
    [front, options, back].concat()
}

fn said(output: &Output) -> (String, String) {
    assert!(output.status.success(), "{output:?}");
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_bar_fits_its_terminal_and_ends_at_100_percent() {
    let (directory, slow) = scene();
    for (front, option) in [(&["convert", "-p"][..], "-p"), (&["--progress", "convert"], "--progress")] {
        for columns in [40, 100] {
            let mut command = qimg(directory.path(), &with(front, &slow, &["a", "b"]));
            let (status, seen) = on_terminal(&mut command, columns);
            assert!(status.success(), "{seen}");
            assert!(seen.ends_with('\n'), "what comes next would stand behind the bar: {seen:?}");
            // Each drawing begins at the left, and nothing in it but what it is drawn with moves the cursor.
            let drawings: Vec<String> = seen.split(['\r', '\n']).map(bare).filter(|text| !text.is_empty()).collect();
            let longest = drawings.iter().map(|text| text.chars().count()).max().unwrap();
            assert!(longest <= columns.into(), "{option} {columns}: {drawings:?}");
            assert!(drawings.len() >= 3, "{option} {columns}: {drawings:?}");
            assert!(drawings.last().unwrap().contains("100.00 %"), "{option} {columns}: {drawings:?}");
            assert_eq!(seen.contains(" of 12 MiB"), columns == 100, "{option}: {seen}");
            assert!(!seen.contains("/100%"), "{seen}");
        }
    }
}

/// The text without sequences that begin with an escape.
fn bare(text: &str) -> String {
    let mut parts = text.split('\x1b');
    let first = parts.next().unwrap_or_default().to_owned();
    let rest = parts.map(|part| part.trim_start_matches(|c: char| !c.is_ascii_alphabetic()).get(1..).unwrap_or(""));
    [first, rest.collect()].concat().trim_end().to_owned()
}

#[test]
fn lines_go_where_there_is_no_terminal() {
    let (directory, slow) = scene();
    for front in [&["--progress", "convert"][..], &["--progress", "convert", "-p"]] {
        let output = qimg(directory.path(), &with(front, &slow, &["a", "b"])).output().unwrap();
        let (stdout, stderr) = said(&output);
        assert_eq!(stdout, "", "{front:?}");
        let lines: Vec<_> = stderr.lines().collect();
        assert!(lines.len() >= 3 && lines.len() <= 12, "{front:?}: {lines:?}");
        assert!(lines.iter().all(|line| line.contains(" %, ") && line.contains(" of 12 MiB")), "{lines:?}");
        assert!(lines.last().unwrap().starts_with("100.00 %, 12 MiB of 12 MiB, "), "{lines:?}");
    }
}

/// A script that reads what qemu-img reports goes on to read that; who wants no progress has none.
#[test]
fn what_is_not_asked_for_is_as_qemu_img_has_it() {
    let (directory, _) = scene();
    let plain = ["-f", "raw", "-O", "qcow2", "a", "b"];
    let (stdout, stderr) = said(&qimg(directory.path(), &with(&["convert", "-p"], &[], &plain)).output().unwrap());
    assert!(stdout.starts_with("    (0.00/100%)\r") && stdout.ends_with("    (100.00/100%)\r\n"), "{stdout:?}");
    assert_eq!(stderr, "");
    for quiet in [&["convert"][..], &["--progress", "convert", "-q"], &["--progress", "convert", "-p", "-q"]] {
        let output = qimg(directory.path(), &with(quiet, &[], &plain)).output().unwrap();
        assert_eq!(said(&output), (String::new(), String::new()), "{quiet:?}");
        let (status, seen) = on_terminal(&mut qimg(directory.path(), &with(quiet, &[], &plain)), 80);
        assert!(status.success() && seen.is_empty(), "{quiet:?}: {seen:?}");
    }
    let info = qimg(directory.path(), &["--progress", "info", "-f", "raw", "a"]).output().unwrap();
    assert_eq!(said(&info).1, "");
}

#[test]
fn data_on_standard_output_stays_as_it_is() {
    let (directory, slow) = scene();
    let target = File::create(directory.path().join("b")).unwrap();
    let front = with(&["--progress", "convert"], &slow[..6], &["-O", "raw", "a", "/dev/stdout"]);
    let output = qimg(directory.path(), &front).stdout(target).output().unwrap();
    let (_, stderr) = said(&output);
    assert!(std::fs::read(directory.path().join("b")).unwrap() == content().repeat(12));
    assert!(stderr.lines().count() >= 3 && stderr.lines().last().unwrap().starts_with("100.00 %"), "{stderr}");
    assert!(!stderr.contains("/100%"), "{stderr}");
}

/// What has no reports of its own on standard output has them on standard error, too.
#[test]
fn an_import_and_a_digest_are_told_of() {
    let (directory, slow) = scene();
    let import = ["import", "-r", "6M", "-m", "1", "-f", "raw", "-O", "raw", "a", "b"];
    let digest = ["digest", "-f", "raw", "a"];
    for line in [&with(&["--progress"], &import, &[])[..], &with(&["--progress"], &digest, &[])] {
        let output = qimg(directory.path(), line).output().unwrap();
        let (_, stderr) = said(&output);
        let lines: Vec<_> = stderr.lines().collect();
        assert!(!lines.is_empty() && lines.len() <= 12, "{line:?}: {lines:?}");
        assert!(lines.last().unwrap().starts_with("100.00 %"), "{line:?}: {lines:?}");
    }
    assert_eq!(std::fs::metadata(directory.path().join("b")).unwrap().len(), 12 << 20);
    std::fs::remove_file(directory.path().join("b")).unwrap();
    let (status, seen) = on_terminal(&mut qimg(directory.path(), &with(&["--progress"], &import, &[])), 60);
    assert!(status.success() && seen.contains("100.00 %") && seen.ends_with('\n'), "{seen:?}");
    let (status, seen) = on_terminal(&mut qimg(directory.path(), &with(&["--progress"], &import, &[])), 60);
    assert_eq!(status.code(), Some(1), "{seen}");
    assert!(seen.contains("`b` exists") && !seen.contains("100.00"), "{seen:?}");
    let quiet = qimg(directory.path(), &with(&["--progress"], &import[..9], &["-q", "a", "c"])).output().unwrap();
    assert_eq!(said(&quiet), (String::new(), String::new()), "{slow:?}");
}

#[test]
fn a_failure_is_told_after_the_bar() {
    let (directory, _) = scene();
    let wrong = ["-f", "qcow2", "-O", "raw", "a", "b"];
    let (status, seen) = on_terminal(&mut qimg(directory.path(), &with(&["--progress", "convert"], &[], &wrong)), 80);
    assert_eq!(status.code(), Some(1), "{seen}");
    assert!(seen.contains("Image is not in qcow2 format"), "{seen}");
    assert!(!seen.contains("100.00"), "{seen}");
}
