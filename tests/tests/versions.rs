//! What this qemu-img lacks is refused before it runs, and nothing else is.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::path::{Path, PathBuf};

use qemu_cmd::{
    Backing, ByteSize, Command, Convert, Create, Format, LuksImage, Qcow2, QemuVersion, Rebase, Source, Target, Vmdk,
};
use qemu_exec::{DryRunExecutor, Error, ErrorKind, Executor, LocalExecutor, Outcome, QemuImg, SudoExecutor};
use tests::{Kind, bare, client, local, quick_luks, scratch, write_fixture};

fn run(command: &Command) -> Result<Outcome, Error> {
    match command {
        Command::Convert(convert) => client().convert(convert),
        Command::Create(create) => client().create(create),
        Command::Rebase(rebase) => client().rebase(rebase),
        other => panic!("{other:?}"),
    }
}

/// Flattens an overlay with compression, which 8.2 has learned.
fn rebase(top: &Path) -> Rebase {
    Rebase::flatten(Source::qcow2(top)).compress(true)
}

/// What not every version can do, and how the refusal begins. `base` is raw, and `top` is an overlay on it.
fn newer(here: &Path) -> [(Command, &'static str); 4] {
    let (base, top, new) = (here.join("base"), here.join("top"), here.join("new"));
    let bitmaps = Convert::new(Source::qcow2(&top), Target::new(&new, Qcow2::new())).bitmaps(true);
    let tools = Convert::new(Source::raw(base), Target::new(&new, Vmdk::new().toolsversion("1")));
    let header = Create::new(&new, LuksImage::new(quick_luks("x")).detached_header(true), ByteSize::mib(1));
    [
        (Command::Rebase(rebase(&top)), "`rebase -c` needs qemu-img 8.2, this is "),
        (
            Command::Convert(bitmaps.skip_broken_bitmaps(true)),
            "`convert --skip-broken-bitmaps` needs qemu-img 6.1, this is ",
        ),
        (Command::Convert(tools), "`-o toolsversion` needs qemu-img 6.2, this is "),
        (Command::Create(header), "`-o detached-header` needs qemu-img 9.0, this is "),
    ]
}

/// A directory with the images of [`newer`].
fn furnished() -> tempfile::TempDir {
    let directory = scratch();
    let base = directory.path().join("base");
    write_fixture(Kind::Raw, &base);
    let overlay = Create::overlay(directory.path().join("top"), Qcow2::new(), Backing::new(base, Format::Raw));
    client().create(&overlay).unwrap();
    directory
}

/// Names and contents of the files of a directory.
fn files(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let paths = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = paths.map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    files.sort();
    files
}

#[test]
fn what_it_lacks_is_refused_and_what_it_has_is_not() {
    let version = tests::version();
    for at in 0..newer(Path::new("/")).len() {
        let directory = furnished();
        let (command, refusal) = newer(directory.path()).into_iter().nth(at).unwrap();
        let invocation = command.invocation().unwrap();
        let [feature] = invocation.requires().try_into().unwrap();
        let before = files(directory.path());
        let result = run(&command);
        let after = files(directory.path());
        // The same by hand, with the passphrase in a file.
        let (by_hand, secret) = (furnished(), scratch());
        let key = secret.path().join("key");
        fs::write(&key, "x").unwrap();
        let invocation_by_hand = newer(by_hand.path()).into_iter().nth(at).unwrap().0.invocation().unwrap();
        let output = bare(invocation_by_hand.argv(|id| format!("secret,id={id},file={}", key.display()).into()));
        assert_eq!(result.is_ok(), output.status.success(), "{invocation}: {result:?}, {output:?}");
        if feature.in_version(version) {
            // Not every build has all of its version: some of 10.0 make no detached header. That is not ours to say.
            let kind = result.err().map(|error| error.kind());
            assert_ne!(kind, Some(ErrorKind::Unsupported), "{invocation}");
            continue;
        }
        let error = result.unwrap_err();
        assert_eq!((error.kind(), error.to_string()), (ErrorKind::Unsupported, format!("{refusal}{version}")));
        assert_eq!(error.subject(), invocation.writes()[0].path());
        assert_eq!((error.exit_code(), error.stderr()), (None, ""));
        assert_eq!(error.command(), invocation.to_string());
        assert!(before == after, "{invocation} has changed something");
    }
}

/// A qemu-img that prints `says` when it is asked for its version, and notes what it was asked.
struct Fake {
    directory: tempfile::TempDir,
    program: PathBuf,
}

impl Fake {
    fn new(says: &str) -> Self {
        let directory = scratch();
        let log = directory.path().join("log");
        let script =
            format!("#!/bin/sh\necho \"$1\" >> '{}'\n[ \"$1\" = --version ] || exit 0\n{says}\n", log.display());
        let program = tests::executable(directory.path(), &script);
        Self { directory, program }
    }

    fn printing(line: &str) -> Self {
        Self::new(&format!("printf '%b' '{line}\\nCopyright (c) 2003-2024 Fabrice Bellard\\n'"))
    }

    fn client(&self) -> QemuImg<LocalExecutor> {
        QemuImg::new(LocalExecutor::with_program(&self.program))
    }

    /// What it was asked since the last time.
    fn asked(&self) -> Vec<String> {
        let log = self.directory.path().join("log");
        let text = fs::read_to_string(&log).unwrap_or_default();
        let _ = fs::remove_file(log);
        text.lines().map(str::to_owned).collect()
    }
}

fn newer_rebase() -> Rebase {
    rebase(Path::new("/top"))
}

#[test]
fn any_build_can_tell() {
    for (line, version, can) in [
        ("qemu-img version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)", "7.2.22", false),
        ("qemu-img version 10.0.2 (Debian 1:10.0.2+ds-2+deb13u1~bpo12+1)", "10.0.2", true),
        ("qemu-img version 6.2.0 (Debian 1:6.2+dfsg-2ubuntu6.22)", "6.2", false),
        ("qemu-img version 9.2.4 (qemu-9.2.4-2.fc42)", "9.2.4", true),
        ("qemu-img version 8.1.0", "8.1", false),
        ("qemu-img version 9.2.0 (v9.2.0-12062-g3f1b0dc)\\r", "9.2", true),
        ("qemu-img version 8.1.90 (v8.2.0-rc0)", "8.1.90", true),
    ] {
        let fake = Fake::printing(line);
        let client = fake.client();
        let result = client.rebase(&newer_rebase());
        assert_eq!(client.qemu_version().unwrap().unwrap().to_string(), version, "{line}");
        if can {
            result.unwrap();
            assert_eq!(fake.asked(), ["--version", "rebase"], "{line}");
        } else {
            let message = format!("`rebase -c` needs qemu-img 8.2, this is {version}");
            assert_eq!(result.unwrap_err().to_string(), message);
            assert_eq!(fake.asked(), ["--version"], "{line}");
        }
    }
}

#[test]
fn it_is_asked_once_and_only_if_it_matters() {
    let fake = Fake::printing("qemu-img version 11.1.0");
    let client = fake.client();
    let old = Rebase::flatten(Source::qcow2("/top"));
    client.rebase(&old).unwrap();
    assert_eq!(fake.asked(), ["rebase"]);
    client.rebase(&newer_rebase()).unwrap();
    client.rebase(&newer_rebase()).unwrap();
    client.rebase(&old).unwrap();
    assert_eq!(fake.asked(), ["--version", "rebase", "rebase", "rebase"]);
    // Who says which it is has the last word.
    let client = fake.client().version(QemuVersion::new(8, 1, 0));
    assert_eq!(client.rebase(&newer_rebase()).unwrap_err().kind(), ErrorKind::Unsupported);
    client.rebase(&old).unwrap();
    assert_eq!(fake.asked(), ["rebase"]);
}

#[test]
fn threads_can_share_a_client() {
    let fake = Fake::printing("qemu-img version 11.1.0");
    let client = fake.client();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| client.rebase(&newer_rebase()).unwrap());
        }
    });
    let asked = fake.asked();
    assert_eq!(asked[0], "--version");
    assert_eq!(asked.iter().filter(|what| *what == "rebase").count(), 4);
}

#[test]
fn what_nobody_understands_refuses_nothing() {
    let fake = Fake::printing("qemu-img of ours, build 7");
    let client = fake.client();
    client.rebase(&newer_rebase()).unwrap();
    client.rebase(&newer_rebase()).unwrap();
    assert_eq!(client.qemu_version().unwrap(), None);
    assert_eq!(fake.asked(), ["--version", "rebase", "rebase"]);
}

#[test]
fn one_that_cannot_be_asked_is_an_error_each_time() {
    let fake = Fake::new("echo 'libfoo.so: cannot open shared object file' >&2; exit 1");
    let client = fake.client();
    for _ in 0..2 {
        let error = client.rebase(&newer_rebase()).unwrap_err();
        assert_eq!((error.kind(), error.exit_code()), (ErrorKind::Failed, Some(1)));
        assert_eq!(error.command(), "qemu-img --version");
    }
    assert_eq!(fake.asked(), ["--version", "--version"]);
    let gone = QemuImg::new(LocalExecutor::with_program("/nowhere/qemu-img"));
    assert_eq!(gone.rebase(&newer_rebase()).unwrap_err().kind(), ErrorKind::ProgramMissing);
}

/// The bounds of what only reads hold here too.
#[test]
fn one_that_does_not_answer_is_given_up() {
    let fake = Fake::new("exec sleep 600");
    let client = fake.client().metadata_timeout(Some(std::time::Duration::from_millis(200)));
    assert_eq!(client.rebase(&newer_rebase()).unwrap_err().kind(), ErrorKind::TimedOut);
}

#[test]
fn the_one_that_is_run_is_asked() {
    let fake = Fake::printing("qemu-img version 7.2.22 (Debian 1:7.2+dfsg-7)");
    for sudo in [SudoExecutor::with_program(&fake.program), SudoExecutor::with_program(&fake.program).user("nobody")] {
        let client = QemuImg::new(Box::new(sudo) as Box<dyn Executor>);
        assert_eq!(client.rebase(&newer_rebase()).unwrap_err().kind(), ErrorKind::Unsupported);
    }
}

/// What is shown is what would run, the question included, and that is answered by nobody.
#[test]
fn a_dry_run_asks_nobody() {
    let client = QemuImg::new(DryRunExecutor::new(local()));
    client.rebase(&Rebase::flatten(Source::qcow2("/top"))).unwrap();
    client.rebase(&newer_rebase()).unwrap();
    client.rebase(&newer_rebase()).unwrap();
    let argvs = client.executor().plans().into_iter().map(|plan| plan.argv[1].clone());
    assert_eq!(argvs.collect::<Vec<_>>(), ["rebase", "--version", "rebase", "rebase"]);

    let client = QemuImg::new(DryRunExecutor::new(local())).version(QemuVersion::OLDEST);
    let error = client.rebase(&newer_rebase()).unwrap_err();
    assert_eq!(error.to_string(), "`rebase -c` needs qemu-img 8.2, this is 5.2");
    assert!(client.executor().plans().is_empty());
}

/// The probe for O_DIRECT writes to the target's directory, which what is refused must not.
#[test]
fn a_convert_is_refused_before_the_target_is_looked_at() {
    let directory = scratch();
    let circle = directory.path().join("circle");
    std::os::unix::fs::symlink(&circle, &circle).unwrap();
    let target = Target::new(directory.path().join("new"), Vmdk::new().toolsversion("1"));
    let convert = Convert::new(Source::raw("/a"), target);
    let refused = |version| {
        let client = client().version(version).probe_directory(&circle);
        client.convert(&convert).unwrap_err().kind()
    };
    assert_eq!(refused(QemuVersion::new(11, 0, 0)), ErrorKind::CouldNotStart, "it cannot be probed");
    assert_eq!(refused(QemuVersion::OLDEST), ErrorKind::Unsupported);
}

/// A drop-in refuses nothing that qemu-img decides by itself: what this one lacks, it says in its own words.
#[test]
fn qimg_leaves_it_to_qemu_img() {
    let directory = furnished();
    let qimg = |options: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_qimg-under-test"));
        command.arg("--qemu-img").arg(tests::qemu_img()).args(options);
        command.args(["rebase", "-c", "-f", "qcow2", "-b", "", "top"]).current_dir(&directory).output().unwrap()
    };
    let top = fs::read(directory.path().join("top")).unwrap();
    let by_qimg = qimg(&[]);
    fs::write(directory.path().join("top"), top).unwrap();
    let mut bare = std::process::Command::new(tests::qemu_img());
    bare.args(["rebase", "-c", "-f", "qcow2", "-b", "", "top"]).env("LC_ALL", "C");
    let by_qemu_img = bare.current_dir(&directory).output().unwrap();
    assert_eq!(by_qimg, by_qemu_img);
}
