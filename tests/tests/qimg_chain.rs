//! `qimg chain`: what images are based on, without opening what the caller did not ask for.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use tests::hostile::plain;
use tests::terminal::on_terminal;
use tests::{bare, fifo, qemu_img, scratch};

fn qimg(directory: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_qimg-under-test"));
    command.current_dir(directory).args(["--qemu-img", "/nonexistent"]).args(args).output().unwrap()
}

/// An overlay that names this, whatever it is.
fn overlay(directory: &Path, name: &str, backing: &str, format: &str) {
    let path = directory.join(name);
    let args = ["create", "-q", "-u", "-f", "qcow2", "-b", backing, "-F", format];
    let output = bare(args.iter().map(AsRef::as_ref).chain([path.as_os_str(), "1M".as_ref()]));
    assert!(output.status.success(), "{output:?}");
}

fn layers(directory: &Path, args: &[&str], code: i32) -> Vec<Value> {
    let output = qimg(directory, &[&["chain", "--output=json"], args].concat());
    assert_eq!(output.status.code(), Some(code), "{args:?}: {output:?}");
    let object: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(object["complete"], json!(code == 0));
    object["layers"].as_array().unwrap().clone()
}

#[test]
fn a_chain_is_a_tree() {
    let directory = scratch();
    let directory = directory.path();
    std::fs::create_dir(directory.join("below")).unwrap();
    std::fs::write(directory.join("below/base.raw"), vec![1; 1 << 20]).unwrap();
    overlay(directory, "mid.qcow2", "below/base.raw", "raw");
    overlay(directory, "top.qcow2", directory.join("mid.qcow2").to_str().unwrap(), "qcow2");
    let output = qimg(directory, &["chain", "top.qcow2"]);
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[0].starts_with("top.qcow2  qcow2, 1 MiB, "), "{text}");
    assert!(lines[1].starts_with(&format!("└─ {}/mid.qcow2", directory.display())), "{text}");
    assert!(text.contains("   └─ below/base.raw  raw, 1 MiB, 1 MiB on disk\n"), "{text}");
    for columns in [40, 200_u16] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_qimg-under-test"));
        let command = command.current_dir(directory).env("NO_COLOR", "1").args(["chain", "top.qcow2"]);
        let (_, shown) = on_terminal(command, columns);
        assert!(shown.lines().all(|line| line.chars().count() <= usize::from(columns)), "{shown}");
    }
    let found = layers(directory, &["top.qcow2"], 0);
    let told: Vec<_> = found.iter().map(|layer| (&layer["depth"], &layer["state"], &layer["format"])).collect();
    let seen = json!("seen");
    assert_eq!(
        told,
        [(&json!(0), &seen, &json!("qcow2")), (&json!(1), &seen, &json!("qcow2")), (&json!(2), &seen, &json!("raw"))]
    );
    assert_eq!((&found[2]["recorded_format"], &found[2]["virtual_size"]), (&json!("raw"), &json!(1 << 20)));
}

#[test]
fn what_is_wrong_is_marked() {
    let directory = scratch();
    let (outside, directory) = (scratch(), directory.path());
    let elsewhere = outside.path().join("base.raw");
    std::fs::write(&elsewhere, "content").unwrap();
    std::os::unix::fs::symlink(&elsewhere, directory.join("link.raw")).unwrap();
    std::fs::write(directory.join("inside.raw"), "content").unwrap();
    let _ = fifo(directory);
    for (name, backing, format) in [
        ("missing", "gone.qcow2", "qcow2"),
        ("absolute", elsewhere.to_str().unwrap(), "raw"),
        ("up", "../x/base.raw", "raw"),
        ("link", "link.raw", "raw"),
        ("nbd", "nbd://127.0.0.1:1/x", "raw"),
        ("json", "json:{\"driver\":\"raw\",\"file\":{\"driver\":\"file\",\"filename\":\"/etc/passwd\"}}", "raw"),
        ("fifo", "fifo", "raw"),
        ("directory", ".", "raw"),
        ("one", "two.qcow2", "qcow2"),
        ("two", "one.qcow2", "qcow2"),
        ("wrong", "missing.qcow2", "raw"),
    ] {
        overlay(directory, &format!("{name}.qcow2"), backing, format);
    }
    for (name, state, said) in [
        ("missing", "missing", "missing: there is no such file"),
        ("absolute", "outside", "not opened without --follow"),
        ("up", "outside", "not opened without --follow"),
        ("link", "outside", "not opened without --follow"),
        ("nbd", "protocol", "never opened here"),
        ("json", "protocol", "never opened here"),
        ("fifo", "no-file", "a FIFO: not opened"),
        ("directory", "no-file", "a directory: not opened"),
    ] {
        let image = format!("{name}.qcow2");
        let found = layers(directory, &[&image], 1);
        assert_eq!((found.len(), &found[1]["state"]), (2, &json!(state)), "{name}: {found:?}");
        let output = qimg(directory, &["chain", &image]);
        assert_eq!(output.status.code(), Some(1));
        let shown = String::from_utf8_lossy(&output.stdout).replace('\n', " ");
        let shown: Vec<_> = shown.split_whitespace().collect();
        assert!(shown.join(" ").contains(said), "{name}: {shown:?}");
    }
    for name in ["absolute.qcow2", "link.qcow2"] {
        assert_eq!(layers(directory, &["--follow", name], 0)[1]["state"], "seen", "{name}");
    }
    let cycle = layers(directory, &["one.qcow2"], 1);
    assert_eq!((cycle.len(), &cycle[2]["state"]), (3, &json!("cycle")), "{cycle:?}");
    // qemu reads as raw what is said to be raw, and not what that names.
    let wrong = layers(directory, &["wrong.qcow2"], 1);
    assert_eq!((wrong.len(), &wrong[1]["mismatch"]), (2, &json!("qcow2")), "{wrong:?}");
    assert_eq!(layers(directory, &["gone"], 1)[0]["state"], "missing");
    assert_eq!(layers(directory, &["nbd://127.0.0.1:1/x"], 1)[0]["state"], "protocol");
    assert_eq!(qimg(directory, &["chain"]).status.code(), Some(2));
}

/// The names of all fields, at whatever depth.
fn fields(value: &Value, found: &mut std::collections::BTreeSet<String>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| fields(value, found)),
        Value::Object(object) => {
            for (name, value) in object {
                found.insert(name.clone());
                fields(value, found);
            }
        }
        _ => {}
    }
}

/// As qemu does.
#[test]
fn a_data_file_is_looked_for_from_here_and_not_beside_the_image() {
    let directory = scratch();
    let directory = directory.path();
    let folder = directory.join("folder");
    std::fs::create_dir(&folder).unwrap();
    let mut create = Command::new(qemu_img());
    create.current_dir(directory).args(["create", "-q", "-f", "qcow2", "-o", "data_file=data", "folder/image", "1M"]);
    assert!(create.status().unwrap().success() && directory.join("data").exists());
    for (from, args, code, state) in [
        (directory, &["folder/image"][..], 1, "outside"),
        (directory, &["--follow", "folder/image"], 0, "seen"),
        (&folder, &["image"], 1, "missing"),
    ] {
        let found = layers(from, args, code);
        assert_eq!(found[0]["files"][0]["state"], state, "{args:?}: {found:?}");
    }
}

#[test]
fn every_field_is_documented() {
    let directory = scratch();
    let directory = directory.path();
    let made = bare([
        "create".as_ref(),
        "-q".as_ref(),
        "-f".as_ref(),
        "qcow2".as_ref(),
        "-o".as_ref(),
        std::ffi::OsString::from(format!("data_file={}", directory.join("data").display())).as_os_str(),
        directory.join("a.qcow2").as_os_str(),
        "1M".as_ref(),
    ]);
    assert!(made.status.success(), "{made:?}");
    overlay(directory, "b.qcow2", "gone", "raw");
    plain::qcow2_luks().write(&directory.join("luks.qcow2"));
    plain::vmdk_text("monolithicFlat", "RW 1 FLAT \"x\" 0").write(&directory.join("text.vmdk"));
    let print = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_qimg-under-test"));
        let output = command.current_dir(directory).args(args).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>()
    };
    let mut found = std::collections::BTreeSet::new();
    for args in [
        &["chain", "--output=json", "a.qcow2", "b.qcow2"][..],
        &["doctor", "--output=json"],
        &["inspect", "--output=json", "a.qcow2", "b.qcow2", "luks.qcow2", "text.vmdk"],
        &["explain", "--output=json", "--", "qemu-img", "create", "-f", "qcow2", "-o", "size=1M", "c.qcow2"],
        &["lint", "--output=json", "--", "qemu-img", "resize", "a.qcow2", "1G"],
    ] {
        print(args).iter().for_each(|value| fields(value, &mut found));
    }
    // The names of variables are no fields.
    let planned = print(&["--dry-run=json", "info", "-f", "qcow2", "a.qcow2"]);
    found.extend(planned[0].as_object().unwrap().keys().cloned());
    for name in ["role", "reason", "remedy", "cipher", "kind", "offset", "parts", "instead", "launch"] {
        assert!(found.contains(name), "{name}: {found:?}");
    }
    let page = include_str!("../../docs/qimg-json.md");
    for name in found {
        assert!(page.contains(&format!("`{name}`")), "{name}");
    }
}

#[test]
fn a_name_in_an_image_does_nothing_to_a_terminal() {
    let directory = scratch();
    overlay(directory.path(), "a.qcow2", "x\u{1b}[2J\u{7}\r\u{9b}31m\u{202e}", "raw");
    let mut command = Command::new(env!("CARGO_BIN_EXE_qimg-under-test"));
    let command = command.current_dir(directory.path()).env("NO_COLOR", "1").args(["chain", "a.qcow2"]);
    let (_, shown) = on_terminal(command, 80);
    assert!(shown.chars().all(|c| c == '\n' || !(c.is_control() || c == '\u{202e}')), "{shown:?}");
    assert!(shown.contains("[2J"), "{shown}");
    // As JSON it is the same text, and does no more to a terminal.
    let output = qimg(directory.path(), &["chain", "--output=json", "a.qcow2"]);
    let json = String::from_utf8(output.stdout).unwrap();
    assert!(json.trim_end().chars().all(|c| !(c.is_control() || c == '\u{202e}')), "{json:?}");
    let object: Value = serde_json::from_str(&json).unwrap();
    let path = object["layers"][1]["path"].as_str().unwrap().to_owned();
    assert!(path.ends_with("x\u{1b}[2J\u{7}\r\u{9b}31m\u{202e}"), "{path:?}");
}

#[test]
fn a_deep_chain_ends() {
    let directory = scratch();
    let directory = directory.path();
    overlay(directory, "0.qcow2", "1.qcow2", "qcow2");
    let image = std::fs::read(directory.join("0.qcow2")).unwrap();
    let at = image.windows(7).position(|bytes| bytes == b"1.qcow2").unwrap();
    for number in 1..=240_usize {
        // Each names the next, in as many bytes: the length of the name is in the header.
        let name = format!("{}.qcow2", number + 1);
        let mut image = image.clone();
        image[at..at + name.len()].copy_from_slice(name.as_bytes());
        image[16..20].copy_from_slice(&u32::try_from(name.len()).unwrap().to_be_bytes());
        std::fs::write(directory.join(format!("{number}.qcow2")), image).unwrap();
    }
    let found = layers(directory, &["0.qcow2"], 1);
    assert_eq!((found.len(), &found[200]["state"]), (201, &json!("too-deep")));
    let output = qimg(directory, &["chain", "0.qcow2"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.lines().all(|line| line.chars().count() <= 80) && text.contains("└─ 199: 199.qcow2"), "{text}");
}

#[test]
fn nothing_else_is_opened() {
    let directory = scratch();
    let secret = scratch();
    let (directory, target) = (directory.path(), secret.path().join("secret"));
    std::fs::write(&target, "secret").unwrap();
    overlay(directory, "a.qcow2", target.to_str().unwrap(), "raw");
    let trace = directory.join("trace");
    let traced = |args: &[&str]| {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-e", "trace=file,network", "-o"]).arg(&trace);
        strace.arg(env!("CARGO_BIN_EXE_qimg-under-test")).args(args).arg("a.qcow2").current_dir(directory);
        strace.output().expect("strace is installed: cargo xtask test installs it");
        std::fs::read_to_string(&trace).unwrap()
    };
    let name = target.to_str().unwrap();
    assert!(!traced(&["chain"]).contains(name));
    assert!(traced(&["chain", "--follow"]).contains(name));
}
