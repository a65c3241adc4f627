//! `qimg` in place of `qemu-img`: the same output, exit status and files, and the users that `--sudo` names.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::ffi::OsString;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, Output};

use qemu_cmd::QemuVersion;
use tests::machine::need_sudo;
use tests::{bare, content, names, qemu_img, qimg, scratch, version, which};

/// A directory with the images that the command lines below name.
fn furnish(directory: &Path) {
    std::fs::create_dir(directory).unwrap();
    write_raw(&directory.join("a.raw"));
    let images: [&[&str]; 4] = [
        &["convert", "-f", "raw", "-O", "qcow2", "a.raw", "a.qcow2"],
        &["snapshot", "-c", "snap", "a.qcow2"],
        &["create", "-q", "-f", "qcow2", "-b", "a.qcow2", "-F", "qcow2", "over.qcow2"],
        &["create", "-q", "-f", "raw", "zero.raw", "1M"],
    ];
    for args in images {
        let output = run(Command::new(qemu_img()).env("LC_ALL", "C").args(args), directory);
        assert!(output.status.success(), "{output:?}");
    }
    for name in names(directory) {
        // What is allocated on disk, which `info` shows, is final only then.
        std::fs::File::open(directory.join(name)).unwrap().sync_all().unwrap();
    }
}

fn write_raw(path: &Path) {
    std::fs::write(path, content()).unwrap();
}

fn run(command: &mut Command, directory: &Path) -> Output {
    command.current_dir(directory).output().expect("qemu-img is installed: cargo xtask test installs it")
}

/// Runs one command line with qemu-img and with qimg, each in its directory, and expects the same exit status,
/// output and files of both.
fn same_as_qemu_img(theirs: &Path, ours: &Path, line: &str, code: i32) {
    let args: Vec<&str> = line.split(' ').collect();
    let before = names(ours);
    // By its path, since it repeats in a hint how it was called.
    let expected = run(Command::new(which(qemu_img())).args(&args).env("LC_ALL", "C"), theirs);
    assert_eq!(expected.status.code(), Some(code), "qemu-img {line}: {expected:?}");
    let got = run(qimg!().args(&args), ours);
    assert_eq!(got.status.code(), Some(code), "{line}: {got:?}");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(text(&got.stdout), text(&expected.stdout), "{line}");
    assert_eq!(text(&got.stderr), text(&expected.stderr), "{line}");
    assert_eq!(names(ours), names(theirs), "{line}");
    for name in names(ours).iter().filter(|name| !before.contains(name)) {
        // Allocation may differ with the cache mode; what a guest reads may not.
        let compared = bare([OsString::from("compare"), theirs.join(name).into(), ours.join(name).into()]);
        assert!(compared.status.success(), "{line}: {compared:?}");
        std::fs::remove_file(theirs.join(name)).unwrap();
        std::fs::remove_file(ours.join(name)).unwrap();
    }
}

/// The same for several, in two directories that look the same.
fn all_the_same(lines: &[(&str, i32)]) {
    let directory = scratch();
    let (theirs, ours) = (directory.path().join("theirs"), directory.path().join("ours"));
    furnish(&theirs);
    furnish(&ours);
    for (line, code) in lines {
        same_as_qemu_img(&theirs, &ours, line, *code);
    }
}

#[test]
fn info_is_a_drop_in() {
    let directory = scratch();
    let images = directory.path().join("images");
    furnish(&images);
    for (line, code) in [
        ("info a.raw", 0),
        ("info -f qcow2 a.qcow2", 0),
        ("info -f qcow2 --output=json a.qcow2", 0),
        ("info --output human a.qcow2", 0),
        ("info a.qcow2 --output json -f qcow2", 0),
        ("info -Uf qcow2 a.qcow2", 0),
        ("info -Ufqcow2 --out=json -- a.qcow2", 0),
        ("info --backing-chain over.qcow2", 0),
        ("info --back over.qcow2 --output=json", 0),
        ("info --image-opts driver=qcow2,file.filename=a.qcow2", 0),
        ("info --image driver=qcow2,file.filename=a.qcow2", 0),
        ("info --help", 0),
        ("info -h", 0),
        ("info -f raw --hel a.raw", 0),
        ("info missing", 1),
        ("info --output=json missing", 1),
        ("info -f qcow2 a.raw", 1),
        ("info --image-opts driver=qcow2,file.filename=a.raw", 1),
        ("info .", 1),
    ] {
        same_as_qemu_img(&images, &images, line, code);
    }
}

#[test]
fn create_is_a_drop_in() {
    all_the_same(&[
        ("create new 1M", 0),
        ("create -f raw -- -dash 1M", 0),
        ("create -f qcow2 new 1M", 0),
        ("create -fqcow2 new 64k -o cluster_size=4k -o lazy_refcounts=on", 0),
        ("create -qf qcow2 new 1M", 0),
        ("create new -f qcow2 1M -q", 0),
        ("create -f qcow2 -o size=1M new", 0),
        ("create -f qcow2 -b a.qcow2 -F qcow2 new", 0),
        ("create -f qcow2 -u -b a.qcow2 -F qcow2 new 1M", 0),
        ("create -f qcow2 -o help", 0),
        ("create -f qcow2 -o ?", 0),
        ("create --help", 0),
        ("create -f qcow2 not-there/new 1M", 1),
        ("create -f qcow2 -b not-there -F qcow2 new", 1),
        ("create -f luks -o key-secret=nosuch new 1M", 1),
    ]);
}

#[test]
fn convert_is_a_drop_in() {
    let lines = [
        ("convert a.raw new", 0),
        ("convert -f raw -O qcow2 a.raw new", 0),
        ("convert -O qcow2 -c a.qcow2 new", 0),
        ("convert -cOqcow2 a.qcow2 new", 0),
        ("convert a.raw new -f raw -O qcow2", 0),
        ("convert -f raw -O raw -- a.raw -dash", 0),
        ("convert -f raw a.raw -O qcow2 -- new", 0),
        ("convert -O qcow2 -o cluster_size=4k,lazy_refcounts=on a.qcow2 new", 0),
        ("convert -O vmdk a.qcow2 new", 0),
        ("convert -f raw -O raw a.raw zero.raw a.raw new", 0),
        ("convert -l snap -O raw a.qcow2 new", 0),
        ("convert -O qcow2 -B a.qcow2 -F qcow2 over.qcow2 new", 0),
        ("convert -n -O raw a.qcow2 zero.raw", 0),
        ("convert -n --target-is -O raw a.qcow2 zero.raw", 0),
        ("convert -n --target-image-opts a.qcow2 driver=raw,file.filename=zero.raw", 0),
        ("convert --image driver=qcow2,file.filename=a.qcow2 -O raw new", 0),
        ("convert -t writeback -T writeback -Wm 4 -S 0 -O raw a.qcow2 new", 0),
        ("convert -qU -O raw a.qcow2 new", 0),
        ("convert --salvage -O raw a.qcow2 new", 0),
        ("convert -O qcow2 -o help", 0),
        ("convert -O qcow2 -o help a.raw new", 0),
        ("convert --help", 0),
        ("convert -h", 0),
        ("convert missing new", 1),
        ("convert -f qcow2 a.raw new", 1),
        ("convert -O qcow2 a.raw not-there/new", 1),
        ("convert -n a.raw not-there", 1),
        ("convert -l nosuch a.qcow2 new", 1),
    ];
    let old = version() < QemuVersion::new(6, 1, 0);
    // 5.2 cannot be told the backing file's format with -F.
    let known = |(line, _): &(&str, i32)| !(old && line.contains(" -F "));
    all_the_same(&lines.into_iter().filter(known).collect::<Vec<_>>());
}

/// Values that no version takes: what depends on the build qimg leaves to qemu-img to say, and says of the rest first.
#[test]
fn values_that_are_never_right_fail_either_way() {
    let directory = scratch();
    let images = directory.path().join("images");
    furnish(&images);
    let before = names(&images);
    for (line, code) in [
        ("info -f nosuch a.raw", 1),
        ("info --output=xml a.raw", 2),
        ("create -f nosuch new 1M", 1),
        ("create -f qcow2 new 1X", 2),
        ("create -f qcow2 -o nosuch=1 new 1M", 1),
        ("convert -O nosuch a.raw new", 1),
        ("convert -t nosuch a.raw new", 2),
    ] {
        let args: Vec<&str> = line.split(' ').collect();
        assert_eq!(run(Command::new(qemu_img()).args(&args), &images).status.code(), Some(1), "{line}");
        // A target may have been made by then.
        let _ = std::fs::remove_file(images.join("new"));
        let output = run(qimg!().args(&args), &images);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{line}: {text}");
        if code == 1 {
            assert!(text.starts_with("qemu-img: "), "{line}: {text}");
            let _ = std::fs::remove_file(images.join("new"));
        } else {
            assert!(text.starts_with("qimg: ") && text.lines().count() == 1, "{line}: {text}");
        }
        assert_eq!(names(&images), before, "{line}");
    }
}

/// What keeps the target from being made is qemu-img's to say, also where it keeps the cache mode from being
/// chosen.
#[test]
fn a_target_below_a_file_fails_as_in_qemu_img() {
    all_the_same(&[("convert -f raw -O raw a.raw a.raw/new", 1)]);
}

#[test]
fn progress_passes_through() {
    let directory = scratch();
    write_raw(&directory.path().join("a.raw"));
    let output = run(qimg!().args(["convert", "-p", "-f", "raw", "-O", "qcow2", "a.raw", "b"]), directory.path());
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.trim_start().starts_with("(0.00/100%)"), "{text:?}");
    assert!(text.ends_with("(100.00/100%)\r\n"), "{text:?}");
    let bare = run(
        Command::new(qemu_img()).args(["convert", "-p", "-f", "raw", "-O", "qcow2", "a.raw", "c"]),
        directory.path(),
    );
    assert_eq!(text.rsplit('\r').next(), String::from_utf8(bare.stdout).unwrap().rsplit('\r').next());
}

/// Progress is worth something only while the conversion runs.
#[test]
fn progress_comes_as_it_is_made() {
    use std::io::Read as _;
    let directory = scratch();
    std::fs::File::create(directory.path().join("a.raw")).unwrap().set_len(64 << 20).unwrap();
    // 64 KiB a second: it would take minutes.
    let mut child = qimg!()
        .args("convert -p -m 1 -S 0 -r 64k -f raw -O raw a.raw b".split(' '))
        .current_dir(directory.path())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut start = [0; 15];
    child.stdout.take().unwrap().read_exact(&mut start).unwrap();
    assert!(child.try_wait().unwrap().is_none(), "it is over already");
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert_eq!(String::from_utf8_lossy(&start).trim(), "(0.00/100%)");
}

#[test]
fn a_luks_volume_is_made_as_by_qemu_img() {
    let directory = scratch();
    let line = "create -f luks --object secret,id=s,data=hunter2 -o key-secret=s,iter-time=10 new 1M";
    let outputs = std::thread::scope(|scope| {
        [("theirs", Command::new(qemu_img())), ("ours", qimg!())]
            .map(|(name, mut command)| {
                let home = directory.path().join(name);
                std::fs::create_dir(&home).unwrap();
                scope.spawn(move || run(command.args(line.split(' ')), &home))
            })
            .map(|thread| thread.join().unwrap())
    });
    assert_eq!(outputs[0].status.code(), Some(0), "{outputs:?}");
    assert_eq!(outputs[0], outputs[1]);
    let open = "driver=luks,key-secret=s,file.filename=";
    for home in ["theirs", "ours"] {
        let node = format!("{open}{}", directory.path().join(home).join("new").display());
        let raw = directory.path().join(home).join("raw");
        let output = bare([
            "convert",
            "--object",
            "secret,id=s,data=hunter2",
            "--image-opts",
            &node,
            "-O",
            "raw",
            raw.to_str().unwrap(),
        ]);
        assert!(output.status.success(), "{home}: {output:?}");
        assert_eq!(raw.metadata().unwrap().len(), 1 << 20, "{home}");
    }
}

/// An image that comes on standard input, as qemu-img reads it from a shell's `<`.
#[test]
fn an_image_on_standard_input_is_read() {
    let directory = scratch();
    let (from, to) = (directory.path().join("a"), directory.path().join("b"));
    write_raw(&from);
    let line = ["convert", "-f", "raw", "-O", "raw", "/dev/stdin", to.to_str().unwrap()];
    let output = run(qimg!().args(line).stdin(std::fs::File::open(&from).unwrap()), directory.path());
    assert!(output.status.success(), "{output:?}");
    assert!(std::fs::read(&to).unwrap() == content(), "it succeeded, and did not convert what was given");
}

#[test]
fn sudo_runs_as_the_user_that_was_named() {
    need_sudo();
    let id = |args: &[&str]| {
        let output = Command::new("id").args(args).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().parse::<u32>().unwrap()
    };
    let (me, nobody) = (id(&["-u"]), id(&["-u", "nobody"]));
    assert_ne!(me, nobody, "run the tests as another user than nobody");
    let directory = scratch();
    write_raw(&directory.path().join("a.raw"));
    let by_number = format!("--sudo=#{nobody}");
    for (option, owner) in
        [(None, me), (Some("--sudo"), 0), (Some("--sudo=nobody"), nobody), (Some(by_number.as_str()), nobody)]
    {
        for line in ["create -q -f qcow2 new 1M", "convert -f raw -O qcow2 a.raw new"] {
            let output = run(qimg!().args(option).args(line.split(' ')), directory.path());
            assert!(output.status.success() && output.stderr.is_empty(), "{option:?} {line}: {output:?}");
            let new = directory.path().join("new");
            assert_eq!(new.metadata().unwrap().uid(), owner, "{option:?} {line}");
            std::fs::remove_file(new).unwrap();
        }
        let info = run(qimg!().args(option).args(["info", "--output=json", "a.raw"]), directory.path());
        let same = run(Command::new(qemu_img()).args(["info", "--output=json", "a.raw"]), directory.path());
        assert_eq!(info, same, "{option:?}");
    }
    // nobody may not write here.
    let closed = tempfile::tempdir().unwrap();
    let output =
        run(qimg!().args(["--sudo=nobody", "create", "-q"]).arg(closed.path().join("x")).arg("1M"), "/".as_ref());
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("Permission denied"), "{output:?}");
}
