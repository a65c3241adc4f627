//! Every kind of error, provoked for real.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use qemu_cmd::{
    Backing, Blkdebug, ByteSize, Commit, Convert, Create, Format, Info, InjectError, Luks, LuksImage, Map, Qcow2, Raw,
    Secret, Source, Ssh, Target,
};
use qemu_exec::{
    CancelToken, DryRunExecutor, End, Error, ErrorKind, Executor, Limit, Limits, LocalExecutor, Outcome, QemuImg,
    Request,
};
use rustix::process::Signal;
use tests::machine::{SmallFileSystem, Writer};
use tests::processes::{processes_about, signal, wait_for};
use tests::{Kind, bare, client, fifo, local, quick_luks, scratch, sudo, write_fixture};

fn info<E: Executor>(qemu_img: &QemuImg<E>, source: Source) -> Error {
    qemu_img.info(&Info::new(source)).expect_err("info must fail")
}

/// An executable that stands in for qemu-img where no real one misbehaves so.
fn script(directory: &Path, body: &str) -> QemuImg<LocalExecutor> {
    let path = tests::executable(directory, &format!("#!/bin/sh\n{body}\n"));
    QemuImg::new(LocalExecutor::with_program(path))
}

/// A volume whose making takes minutes of CPU time.
fn slow_luks() -> LuksImage {
    LuksImage::new(Luks::new(Secret::new("x").unwrap()).iter_time(Duration::from_secs(1000)))
}

#[test]
fn not_found() {
    let directory = scratch();
    let path = directory.path().join("gone");
    for error in [info(&client(), Source::raw(&path)), info(&QemuImg::new(sudo()), Source::qcow2(&path))] {
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
        assert_eq!(error.subject(), Some(&*path));
        assert_eq!(error.exit_code(), Some(1));
        assert!(error.stderr().contains("No such file or directory"));
        assert!(error.command().starts_with("qemu-img info /"));
    }
    let nowhere = Target::new(path.join("b"), Qcow2::new());
    write_fixture(Kind::Raw, &directory.path().join("a"));
    let error = client().convert(&Convert::new(Source::raw(directory.path().join("a")), nowhere)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    assert_eq!(error.subject(), Some(&*path.join("b")));
}

#[test]
fn permission_denied() {
    let directory = scratch();
    let path = directory.path().join("private");
    write_fixture(Kind::Raw, &path);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let error = info(&QemuImg::new(sudo().user("nobody")), Source::raw(&path));
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");

    let locked = directory.path().join("locked");
    fs::create_dir(&locked).unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o700)).unwrap();
    let create = Create::new(locked.join("new"), Qcow2::new(), ByteSize::mib(1));
    let error = QemuImg::new(sudo().user("nobody")).create(&create).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
}

#[test]
fn wrong_format() {
    let directory = scratch();
    let path = directory.path().join("raw");
    write_fixture(Kind::Raw, &path);
    for format in [Format::Qcow2, Format::Luks, Format::Vmdk, Format::Vdi, Format::Vpc, Format::Qed, Format::Qcow] {
        let error = info(&client(), Source::new(&path, format));
        assert_eq!(error.kind(), ErrorKind::WrongFormat, "{format}: {error}");
    }
}

#[test]
fn wrong_passphrase() {
    let directory = scratch();
    let (a, b) = (directory.path().join("a"), directory.path().join("b"));
    let wrong = || Secret::new("not it").unwrap();
    for (kind, source) in [(Kind::Luks, Source::luks(&a, wrong())), (Kind::Qcow2Luks, Source::qcow2(&a).key(wrong()))] {
        write_fixture(kind, &a);
        let convert = Convert::new(source, Kind::Raw.target(&b));
        for error in [client().convert(&convert).unwrap_err(), QemuImg::new(sudo()).convert(&convert).unwrap_err()] {
            assert_eq!(error.kind(), ErrorKind::WrongPassphrase, "{error}");
            assert!(!format!("{error} {error:?}").contains("not it"));
        }
    }
}

#[test]
fn key_needed() {
    let directory = scratch();
    let (a, b) = (directory.path().join("a"), directory.path().join("b"));
    write_fixture(Kind::Qcow2Luks, &a);
    let error = client().convert(&Convert::new(Source::qcow2(&a), Kind::Raw.target(&b))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyNeeded, "{error}");
}

#[test]
fn locked() {
    let directory = scratch();
    let (a, b) = (directory.path().join("a"), directory.path().join("b"));
    write_fixture(Kind::Qcow2, &a);
    let _writer = Writer::of(&a);
    let error = client().convert(&Convert::new(Source::qcow2(&a), Kind::Raw.target(&b))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked, "{error}");
    assert_eq!(error.subject(), Some(&*a));
    // Headers can be read all the same.
    client().info(&Info::new(Source::qcow2(&a))).unwrap();
}

#[test]
fn no_space() {
    let directory = scratch();
    let (a, small) = (directory.path().join("a"), directory.path().join("small"));
    write_fixture(Kind::Raw, &a);
    fs::create_dir(&small).unwrap();
    let _small = SmallFileSystem::mount(&small, "256k");
    let error = client().convert(&Convert::new(Source::raw(&a), Kind::Raw.target(&small.join("b")))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSpace, "{error}");
}

#[test]
fn input_output() {
    let directory = scratch();
    let (a, b) = (directory.path().join("a"), directory.path().join("b"));
    write_fixture(Kind::Raw, &a);
    let unreadable = Source::raw(Blkdebug::new(&*a).inject_error(InjectError::new("none").sector(7)));
    let convert = Convert::new(unreadable, Kind::Raw.target(&b));
    let error = client().convert(&convert).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InputOutput, "{error}");
    client().convert(&convert.salvage(true)).unwrap();
}

/// What it says is as long as the way round is often gone, and the message is not.
#[test]
fn backing_loop() {
    let directory = scratch();
    let a = directory.path().join("a");
    write_fixture(Kind::Qcow2, &a);
    // The model refuses that.
    let name = a.to_str().unwrap();
    assert!(bare(["rebase", "-u", "-f", "qcow2", "-b", name, "-F", "qcow2", name]).status.success());
    let limited = client().data_limits(Limits::none().open_files(300));
    let error = limited.map(&Map::new(Source::qcow2(&a))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BackingLoop, "{error}");
    assert!(error.stderr().len() > 5000 && error.to_string().len() < 500, "{error}");
}

#[test]
fn cpu_limit() {
    let directory = scratch();
    let create = Create::new(directory.path().join("new"), slow_luks(), ByteSize::mib(1));
    let limits = Limits::none().cpu(Duration::from_secs(1));
    for error in [
        client().data_limits(limits).create(&create).unwrap_err(),
        QemuImg::new(sudo()).data_limits(limits).create(&create).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::LimitHit(Limit::Cpu), "{error}");
    }
}

#[test]
fn address_space_limit() {
    let directory = scratch();
    let path = directory.path().join("a");
    write_fixture(Kind::Qcow2, &path);
    for size in [1, 8, 16, 20] {
        let limits = Limits::none().address_space(ByteSize::mib(size));
        for error in [
            info(&client().metadata_limits(limits), Source::qcow2(&path)),
            info(&QemuImg::new(sudo()).metadata_limits(limits), Source::qcow2(&path)),
        ] {
            assert_eq!(error.kind(), ErrorKind::LimitHit(Limit::AddressSpace), "{size} MiB: {error:?}");
        }
    }
}

#[test]
fn file_size_limit() {
    let directory = scratch();
    let (a, b) = (directory.path().join("a"), directory.path().join("b"));
    write_fixture(Kind::Raw, &a);
    let limited = client().data_limits(Limits::none().file_size(ByteSize::kib(64)));
    let error = limited.convert(&Convert::new(Source::raw(&a), Kind::Raw.target(&b))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitHit(Limit::FileSize), "{error}");
}

/// A chain has more images than the process may open files.
#[test]
fn open_files_limit() {
    let directory = scratch();
    let image = |n: usize| directory.path().join(n.to_string());
    write_fixture(Kind::Qcow2, &image(0));
    for n in 1..16 {
        let overlay = Create::overlay(image(n), Qcow2::new(), Backing::new(image(n - 1), Format::Qcow2));
        client().create(&overlay).unwrap();
    }
    let convert = Convert::new(Source::qcow2(image(15)), Kind::Raw.target(&directory.path().join("out")));
    client().convert(&convert).unwrap();
    let limited = client().data_limits(Limits::none().open_files(14));
    let error = limited.convert(&convert).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitHit(Limit::OpenFiles), "{error:?}");
}

/// Root is not bound by this limit, so it is another user who hits it.
#[test]
fn processes_limit() {
    let directory = scratch();
    let (a, b) = (directory.path().join("a"), directory.path().join("b"));
    write_fixture(Kind::Qcow2, &a);
    let limited = QemuImg::new(sudo().user("nobody")).data_limits(Limits::none().processes(1));
    let error = limited.convert(&Convert::new(Source::qcow2(&a), Kind::Raw.target(&b))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitHit(Limit::Processes), "{error:?}");
}

#[test]
fn limits_not_applied() {
    let directory = scratch();
    let path = directory.path().join("a");
    write_fixture(Kind::Raw, &path);
    // More than the kernel gives to anybody (fs.nr_open).
    let limits = Limits::none().open_files(1 << 40);
    let error = info(&QemuImg::new(sudo()).metadata_limits(limits), Source::raw(&path));
    assert_eq!(error.kind(), ErrorKind::LimitsNotApplied, "{error}");
    // Without sudo a limit above one's own is none.
    client().metadata_limits(limits).info(&Info::new(Source::raw(&path))).unwrap();
}

#[test]
fn timed_out() {
    let directory = scratch();
    let fifo = fifo(directory.path());
    let timeout = Some(Duration::from_millis(300));
    for error in [
        info(&client().metadata_timeout(timeout), Source::raw(&fifo)),
        info(&QemuImg::new(sudo()).metadata_timeout(timeout), Source::raw(&fifo)),
    ] {
        assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
    }
    // The shell behind sudo may be on its way.
    wait_for("nothing of them runs", || processes_about(&fifo).is_empty());
}

#[test]
fn cancelled() {
    let directory = scratch();
    let fifo = fifo(directory.path());
    let token = CancelToken::new().unwrap();
    let other = token.clone();
    let invocation = Info::new(Source::raw(&fifo)).invocation().unwrap();
    let thread = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(200));
        other.cancel();
    });
    let outcome = local().run(Request::new(&invocation).cancel(token)).unwrap();
    thread.join().unwrap();
    let error = outcome.ok(&invocation, &Limits::none()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}");
    // The shell behind sudo may be on its way.
    wait_for("nothing of them runs", || processes_about(&fifo).is_empty());
}

#[test]
fn killed() {
    let directory = scratch();
    let fifo = fifo(directory.path());
    let path = fifo.clone();
    let thread = std::thread::spawn(move || {
        wait_for("it runs", || !processes_about(&path).is_empty());
        signal(processes_about(&path)[0], Signal::KILL);
    });
    let error = info(&client(), Source::raw(&fifo));
    thread.join().unwrap();
    assert_eq!(error.kind(), ErrorKind::Killed(9), "{error}");
    assert_eq!(error.signal(), Some(9));
}

#[test]
fn program_missing() {
    let missing = QemuImg::new(LocalExecutor::with_program("/nonexistent/qemu-img"));
    let error = info(&missing, Source::raw("/a"));
    assert_eq!(error.kind(), ErrorKind::ProgramMissing);
    assert!(error.to_string().contains("/nonexistent/qemu-img"), "{error}");
    let missing = QemuImg::new(LocalExecutor::with_program("qemu-img-of-another-world"));
    assert_eq!(info(&missing, Source::raw("/a")).kind(), ErrorKind::ProgramMissing);
}

#[test]
fn sudo_refused() {
    let error = info(&QemuImg::new(sudo().user("no-such-user")), Source::raw("/a"));
    assert_eq!(error.kind(), ErrorKind::SudoRefused, "{error}");
}

#[test]
fn could_not_start() {
    let directory = scratch();
    let path = tests::executable(directory.path(), "this is no program");
    let qemu_img = QemuImg::new(LocalExecutor::with_program(path)).metadata_limits(Limits::none());
    let error = info(&qemu_img, Source::raw("/a"));
    assert_eq!(error.kind(), ErrorKind::CouldNotStart, "{error}");
}

/// A program that cannot be executed is not an address space that is too small.
#[test]
fn could_not_start_under_limits() {
    let directory = scratch();
    let path = tests::executable(directory.path(), "#!/nonexistent/interpreter\n");
    let error = info(&QemuImg::new(LocalExecutor::with_program(&path)), Source::raw("/a"));
    assert_eq!(error.kind(), ErrorKind::CouldNotStart, "{error}");
    let error = info(&QemuImg::new(qemu_exec::SudoExecutor::with_program(&path)), Source::raw("/a"));
    assert_eq!(error.kind(), ErrorKind::CouldNotStart, "{error}");
}

#[test]
fn output_not_understood() {
    for body in ["", "echo hello", "echo '{\"virtual-size\": 1,'", "echo '{\"format\": \"raw\"}'", "echo '[]'"] {
        let directory = scratch();
        let error = info(&script(directory.path(), body), Source::raw("/a"));
        assert_eq!(error.kind(), ErrorKind::OutputNotUnderstood, "{body}: {error}");
        assert!(std::error::Error::source(&error).is_some());
    }
}

#[test]
fn output_too_large() {
    let directory = scratch();
    let path = directory.path().join("qemu-img");
    let _ = script(directory.path(), "exec yes");
    let invocation = Info::new(Source::raw("/a")).invocation().unwrap();
    let outcome = LocalExecutor::with_program(path).run(Request::new(&invocation).output_limit(1000)).unwrap();
    assert_eq!(outcome.stdout.len(), 1000);
    let error = outcome.ok(&invocation, &Limits::none()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutputTooLarge);
}

/// What qemu-img up to 7.2 says now and then when it makes a LUKS volume, before it has written anything.
#[test]
fn a_failed_calibration_is_tried_again() {
    let directory = scratch();
    let count = directory.path().join("count");
    let body = |works_at: u32| {
        let count = count.display();
        format!(
            "echo >> {count}; while [ $# -gt 2 ]; do shift; done
             [ $(wc -l < {count}) -ge {works_at} ] && {{ echo image > $1; exit 0; }}
             echo 'qemu-img: x: Unable to get accurate CPU usage' >&2; exit 1"
        )
    };
    let create = Create::new(directory.path().join("b"), slow_luks(), ByteSize::mib(1));
    script(directory.path(), &body(3)).create(&create).unwrap();
    for left in [&count, &directory.path().join("b")] {
        fs::remove_file(left).unwrap();
    }
    assert_eq!(script(directory.path(), &body(100)).create(&create).unwrap_err().kind(), ErrorKind::Failed);
    assert_eq!(fs::read_to_string(&count).unwrap().len(), 4);
}

#[test]
fn not_run() {
    let error = info(&QemuImg::new(DryRunExecutor::default()), Source::raw("/a"));
    assert_eq!(error.kind(), ErrorKind::NotRun);
}

#[test]
fn refused() {
    let convert = Convert::new(Source::raw("/a"), Target::new("/b", LuksImage::new(quick_luks("x")))).compress(true);
    let error = client().convert(&convert).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("compression is not supported"));
}

/// Whatever else goes wrong comes with the exit code and the end of standard error.
#[test]
fn failed() {
    let directory = scratch();
    let a = directory.path().join("a");
    write_fixture(Kind::Qcow2, &a);
    let error = client().commit(&Commit::new(Source::qcow2(&a))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Failed);
    assert_eq!(error.exit_code(), Some(1));
    assert!(error.stderr().contains("Image does not have a backing file"), "{error:?}");
}

/// Debian's exits with 0 there if the package with the driver is not installed; if it is, there is no such host.
#[test]
fn what_was_not_made_is_an_error() {
    let place = Ssh::new("host.invalid", "/image");
    let error = client().create(&Create::new(place, Raw::new(), ByteSize::mib(1))).unwrap_err();
    assert!([ErrorKind::Unsupported, ErrorKind::Failed, ErrorKind::Unreachable].contains(&error.kind()), "{error}");
    assert!(error.stderr().contains("ssh"), "{error:?}");
    let (program, args) =
        (env!("CARGO_BIN_EXE_qimg-under-test"), ["create", "-f", "raw", "ssh://host.invalid/image", "1M"]);
    let output = std::process::Command::new(program).args(args).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    // It calls itself as it was called.
    let create = Create::new("/image", Raw::new(), ByteSize::mib(1)).invocation().unwrap();
    let outcome = Outcome::new(End::Exited(0), "", "qemu-img-11: Unable to load module ssh. Perhaps you want to …\n");
    assert_eq!(outcome.ok(&create, &Limits::none()).unwrap_err().kind(), ErrorKind::Unsupported);
}

#[test]
fn target_too_small() {
    let directory = scratch();
    let (a, b) = (directory.path().join("a"), directory.path().join("b"));
    write_fixture(Kind::Raw, &a);
    bare(["create", "-q", "-f", "raw", b.to_str().unwrap(), "512K"]);
    let error = client().convert(&Convert::new(Source::raw(&a), Target::existing(Source::raw(&b)))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TargetTooSmall, "{error}");
}

/// A text that an attacker puts into a name does not choose the kind.
#[test]
fn names_do_not_choose_the_kind() {
    let directory = scratch();
    let path = directory.path().join("Permission denied, No space left on device, Failed to get lock");
    let error = info(&client(), Source::raw(&path));
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");

    // Nor does that of what is given below an image.
    let (top, below) = (directory.path().join("top"), directory.path().join("Failed to get lock"));
    write_fixture(Kind::Qcow2, &top);
    let error = client().map(&Map::new(Source::qcow2(&top).backing(Source::raw(&below)))).unwrap_err();
    assert_eq!((error.kind(), error.subject()), (ErrorKind::NotFound, Some(&*below)), "{error}");
}
