//! `qimg inspect`: it needs no qemu-img, and says of real images what qemu-img says.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::ffi::OsStr;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tests::{Kind, bare, fifo, scratch, write_fixture};

fn command<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_qimg-under-test"));
    // Where no qemu-img can be found.
    command.arg("inspect").args(args).env_clear().env("PATH", "/nonexistent").stdin(Stdio::null());
    command
}

fn inspect<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Output {
    command(args).output().unwrap()
}

/// The exit status, and an object for each line.
fn json<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> (Option<i32>, Vec<Value>) {
    objects(&command(args).arg("--output=json").output().unwrap())
}

fn objects(output: &Output) -> (Option<i32>, Vec<Value>) {
    let text = std::str::from_utf8(&output.stdout).unwrap();
    (output.status.code(), text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

fn codes(object: &Value) -> Vec<&str> {
    object["findings"].as_array().unwrap().iter().map(|finding| finding["code"].as_str().unwrap()).collect()
}

fn create(args: &[&str], path: &Path) {
    let output = bare(
        [
            &["create".as_ref(), "-q".as_ref()],
            &args.iter().map(OsStr::new).collect::<Vec<_>>()[..],
            &[path.as_ref(), "64M".as_ref()],
        ]
        .concat(),
    );
    assert!(output.status.success(), "{args:?}: {output:?}");
}

/// The header of a qcow2 image that needs no qemu-img to be made.
fn hostile(field: usize, value: u64) -> Vec<u8> {
    let mut image = vec![0; 4 << 16];
    image[..8].copy_from_slice(b"QFI\xfb\0\0\0\x03");
    for (at, value) in [
        (16, 16),
        (24, 1 << 20),
        (32, 1),
        (40, 3 << 16),
        (48, 1 << 16),
        (56, 1 << 32),
        (96, 4 << 32 | 104),
        (field, value),
    ] {
        image[at..at + 8].copy_from_slice(&u64::to_be_bytes(value));
    }
    image
}

#[test]
fn what_qemu_img_makes_is_accepted_and_described_alike() {
    let directory = scratch();
    let mut paths = Vec::new();
    for (index, args) in [
        &["-f", "qcow2"][..],
        &["-f", "qcow2", "-o", "compat=0.10,cluster_size=512"],
        &["-f", "qcow2", "-o", "lazy_refcounts=on,refcount_bits=1,cluster_size=2M"],
        &["-f", "qcow2", "-o", "refcount_bits=64,preallocation=metadata"],
        &["-f", "qcow2", "-o", "preallocation=full,cluster_size=4k"],
        &["-f", "qcow"],
    ]
    .iter()
    .enumerate()
    {
        paths.push(directory.path().join(index.to_string()));
        create(args, &paths[index]);
    }
    for kind in [Kind::Qcow2, Kind::Qcow2Luks, Kind::Luks] {
        paths.push(directory.path().join(format!("{kind:?}")));
        write_fixture(kind, paths.last().unwrap());
    }
    let with_tables = &paths[0];
    for name in ["one", "two"] {
        assert!(bare([OsStr::new("snapshot"), "-c".as_ref(), name.as_ref(), with_tables.as_ref()]).status.success());
    }
    assert!(bare([OsStr::new("bitmap"), "--add".as_ref(), with_tables.as_ref(), "b".as_ref()]).status.success());

    let (status, objects) = json(&paths);
    assert_eq!((status, objects.len()), (Some(0), paths.len()), "{objects:?}");
    for (path, object) in paths.iter().zip(&objects) {
        let info = bare([OsStr::new("info"), "--output=json".as_ref(), path.as_ref()]);
        let info: Value = serde_json::from_slice(&info.stdout).unwrap();
        assert_eq!(object["file"], path.to_str().unwrap());
        assert_eq!(object["verdict"], "accept");
        assert_eq!(object["format"], info["format"]);
        assert_eq!(object["virtual_size"], info["virtual-size"]);
        assert_eq!(object["cluster_size"], info["cluster-size"], "{path:?}");
        assert_eq!(object["encryption"].is_object(), info["encrypted"] == true, "{path:?}");
    }
    assert_eq!((&objects[0]["snapshots"], &objects[0]["bitmaps"]), (&2.into(), &1.into()));
    assert_eq!(objects[7]["encryption"]["cipher"][0], "aes");
}

#[test]
fn what_an_image_refers_to_is_told_and_refused() {
    let directory = scratch();
    let image = directory.path().join("top\n.qcow2");
    create(&["-f", "qcow2", "-u", "-F", "raw", "-b", "/etc/shadow"], &image);
    let (status, objects) = json([&image]);
    assert_eq!((status, codes(&objects[0])), (Some(1), vec!["backing-file"]));
    assert_eq!((&objects[0]["backing_file"], &objects[0]["backing_format"]), (&"/etc/shadow".into(), &"raw".into()));
    assert_eq!(objects[0]["findings"][0]["offset"], 8);

    let output = inspect([&image]);
    let text = std::str::from_utf8(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    for line in [
        "  format         qcow2, version 3",
        "  virtual size   64 MiB (67108864 bytes)",
        "  backing file   /etc/shadow (raw)",
    ] {
        assert!(text.lines().any(|printed| printed == line), "{line}: {text}");
    }
    assert!(text.contains("\n  backing-file at 8: "), "{text}");

    let (status, objects) = json([OsStr::new("--grant=backing-file"), image.as_ref()]);
    assert_eq!((status, &objects[0]["verdict"]), (Some(0), &"accept".into()));
}

#[test]
fn the_policy_is_the_callers() {
    let directory = scratch();
    let image = directory.path().join("image");
    create(&["-f", "qcow2"], &image);
    let path = image.as_os_str();
    for (args, status, expected) in [
        (&["--claimed", "qcow2"][..], 0, &[][..]),
        (&["--claimed=raw"], 1, &["format-mismatch"]),
        (&["--max-virtual-size", "63M"], 1, &["virtual-size-too-large"]),
        (&["--max-virtual-size=64M", "--hybrid"], 0, &[]),
    ] {
        let (code, objects) = json(args.iter().map(OsStr::new).chain([path]));
        assert_eq!((code, codes(&objects[0])), (Some(status), expected.to_vec()), "{args:?}");
    }
    for bad in [
        &["--claimed=floppy"][..],
        &["--grant=everything"],
        &["--output=xml"],
        &["--max-virtual-size=x"],
        &["--nosuch"],
    ] {
        let output = inspect(bad.iter().map(OsStr::new).chain([path]));
        assert_eq!(output.status.code(), Some(2), "{bad:?}");
        assert!(output.stdout.is_empty() && output.stderr.starts_with(b"qimg: "), "{output:?}");
    }
    assert_eq!(inspect::<&str>([]).status.code(), Some(2));
}

#[test]
fn what_is_no_file_is_refused_and_blocks_nothing() {
    let directory = scratch();
    let fifo = fifo(directory.path());
    let link = directory.path().join("link");
    std::os::unix::fs::symlink(&fifo, &link).unwrap();
    let started = Instant::now();
    let (status, objects) =
        json([&fifo, &link, directory.path(), "/dev/zero".as_ref(), "/dev/null".as_ref()] as [&Path; 5]);
    assert_eq!((status, objects.len()), (Some(1), 5));
    for object in &objects {
        assert_eq!(codes(object), ["not-a-regular-file"], "{object}");
    }
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[test]
fn one_that_cannot_be_read_does_not_hide_the_others() {
    let directory = scratch();
    let bad = directory.path().join("bad");
    std::fs::write(&bad, hostile(72, 1 << 63)).unwrap();
    let link = directory.path().join("link");
    std::os::unix::fs::symlink(&bad, &link).unwrap();
    let missing = directory.path().join(OsStr::from_bytes(b"miss\xff\ning"));
    let output = command([&missing, &link]).arg("--output=json").output().unwrap();
    let (status, objects) = objects(&output);
    assert_eq!((status, objects.len()), (Some(2), 1));
    assert_eq!(codes(&objects[0]), ["unknown-features"]);
    assert_eq!(objects[0]["features"]["unknown_incompatible"], 1_u64 << 63);
    assert_eq!(output.stderr.iter().filter(|byte| **byte == b'\n').count(), 1, "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("No such file"), "{output:?}");
}

#[test]
fn standard_input_is_read_as_it_comes() {
    let mut child = command(["-", "--output=json"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&hostile(72, 4)[..1024]).unwrap();
    // It stays open: the verdict does not wait for its end.
    let (status, refused) = objects(&child.wait_with_output().unwrap());
    drop(stdin);
    assert_eq!((status, codes(&refused[0])), (Some(1), vec!["data-file"]));

    let mut child = command(["-", "--output=json"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&hostile(72, 0)).unwrap();
    let (status, accepted) = objects(&child.wait_with_output().unwrap());
    assert_eq!((status, &accepted[0]["format"]), (Some(0), &"qcow2".into()));
    assert_eq!((&accepted[0]["file"], &accepted[0]["virtual_size"]), (&"-".into(), &(1 << 20).into()));
}
