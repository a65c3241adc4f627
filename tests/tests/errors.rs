//! Every kind of error, provoked for real.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use qemu_cmd::{
    Backing, ByteSize, Commit, Convert, Create, Format, Info, Luks, LuksImage, Qcow2, Secret, Source, Target,
};
use qemu_exec::{
    CancelToken, DryRunExecutor, Error, ErrorKind, Executor, Limit, Limits, LocalExecutor, QemuImg, Request,
};
use tests::{Kind, bare, client, local, quick_luks, scratch, sudo, write_fixture};

fn info<E: Executor>(qemu_img: &QemuImg<E>, source: Source) -> Error {
    qemu_img.info(&Info::new(source)).expect_err("info must fail")
}

fn fifo(directory: &Path) -> PathBuf {
    let path = directory.join("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o666.into(), 0).unwrap();
    path
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

/// A process that is killed with the test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn locked() {
    let directory = scratch();
    let (a, b) = (directory.path().join("a"), directory.path().join("b"));
    write_fixture(Kind::Qcow2, &a);
    let writer = Command::new(tests::qemu_img())
        .args(["bench", "-w", "-c", "2000000000", "-f", "qcow2"])
        .arg(&a)
        .stdout(std::process::Stdio::null())
        .spawn();
    let _writer = Killed(writer.unwrap());
    let convert = Convert::new(Source::qcow2(&a), Kind::Raw.target(&b));
    let inode = format!(":{} ", fs::metadata(&a).unwrap().ino());
    let deadline = Instant::now() + Duration::from_secs(30);
    while !fs::read_to_string("/proc/locks").unwrap().contains(&inode) {
        assert!(Instant::now() < deadline, "the image was never locked");
        std::thread::sleep(Duration::from_millis(10));
    }
    let error = client().convert(&convert).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked, "{error}");
    assert_eq!(error.subject(), Some(&*a));
    // Headers can be read all the same.
    client().info(&Info::new(Source::qcow2(&a))).unwrap();
}

#[test]
fn no_space() {
    let directory = scratch();
    let mount = directory.path().join("small");
    fs::create_dir(&mount).unwrap();
    let as_root = |args: &[&str]| {
        let output = Command::new("sudo").arg("-n").args(args).arg(&mount).output().unwrap();
        assert!(output.status.success(), "this test needs passwordless sudo to mount a small file system: {output:?}");
    };
    as_root(&["mount", "-t", "tmpfs", "-o", "size=256k,mode=0777", "small"]);
    let source = directory.path().join("a");
    write_fixture(Kind::Raw, &source);
    let result = client().convert(&Convert::new(Source::raw(&source), Kind::Raw.target(&mount.join("b"))));
    as_root(&["umount"]);
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSpace, "{error}");
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
    assert!(processes_about(&fifo).is_empty());
}

/// TERM is ignored, also by a grandchild that holds the pipes open.
#[test]
fn timed_out_with_a_child_that_ignores_it() {
    let directory = scratch();
    let qemu_img = script(directory.path(), "trap '' TERM; sleep 1000 & while :; do sleep 1; done");
    let started = Instant::now();
    let error = info(&qemu_img.metadata_timeout(Some(Duration::from_millis(100))), Source::raw("/a"));
    assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
    assert!(processes_about(directory.path()).is_empty());
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
    assert!(processes_about(&fifo).is_empty());
}

/// The processes that have this path among their arguments.
fn processes_about(path: &Path) -> Vec<i32> {
    let needle = path.as_os_str().as_encoded_bytes();
    let own = std::process::id().cast_signed();
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    processes
        .filter(|pid| {
            let cmdline = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            *pid != own && cmdline.windows(needle.len()).any(|window| window == needle)
        })
        .collect()
}

#[test]
fn killed() {
    let directory = scratch();
    let fifo = fifo(directory.path());
    let path = fifo.clone();
    let thread = std::thread::spawn(move || {
        let deadline = Instant::now() + Duration::from_secs(30);
        while Instant::now() < deadline {
            if let Some(pid) = processes_about(&path).first() {
                let pid = rustix::process::Pid::from_raw(*pid).unwrap();
                rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
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

/// Megabytes on standard error neither block the child nor fill our memory.
#[test]
fn a_flood_on_standard_error() {
    let directory = scratch();
    let qemu_img = script(directory.path(), "yes noise | head -c 5000000 >&2; echo the end >&2; exit 1");
    let error = info(&qemu_img, Source::raw("/a"));
    assert_eq!(error.kind(), ErrorKind::Failed);
    assert!(error.stderr().len() <= 64 << 10 && error.stderr().ends_with("the end"));
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
}
