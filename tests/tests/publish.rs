//! A new image has its name when it is complete, and whatever else happens leaves nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use qemu_cmd::{Backing, ByteSize, Convert, Create, Dd, Format, Qcow2, Raw, Source, Target};
use qemu_exec::{
    CancelToken, DryRunExecutor, Error, ErrorKind, Executor, LocalExecutor, Outcome, Plan, Publish, QemuImg, Request,
};
use tests::machine::{SmallFileSystem, Writer};
use tests::processes::{assert_passed, processes_about, wait_for};
use tests::{Kind, content, copy, local, names, slow_copy, with_source, write_fixture};

fn client() -> QemuImg<LocalExecutor> {
    QemuImg::new(local())
}

fn replacing() -> QemuImg<LocalExecutor> {
    client().publish(Publish::new().replace(true))
}

/// Runs another executor, and then does something before anybody knows what came of it.
struct Then<F>(LocalExecutor, F);

impl<F: Fn() + Send + Sync> Executor for Then<F> {
    fn plan(&self, request: &Request<'_>) -> Result<Plan, Error> {
        self.0.plan(request)
    }

    fn run<'a>(&self, request: Request<'a>) -> Result<Outcome, Error> {
        let outcome = self.0.run(request)?;
        (self.1)();
        Ok(outcome)
    }
}

#[test]
fn it_has_its_name_when_it_is_complete() {
    let directory = with_source();
    let here = directory.path();
    let meanwhile = std::sync::Mutex::new(Vec::new());
    let client = QemuImg::new(Then(local(), || meanwhile.lock().unwrap().push(names(here))));
    client.convert(&copy(here, "b")).unwrap();
    client.create(&Create::new(here.join("c"), Qcow2::new(), ByteSize::mib(1))).unwrap();
    client.dd(&Dd::new(Source::raw(here.join("a")), here.join("d"), Format::Raw).block_size(ByteSize::mib(1))).unwrap();
    let seen = meanwhile.into_inner().unwrap();
    assert_eq!(seen[0], [".b.partial", "a"]);
    assert_eq!(seen[1], [".c.partial", "a", "b"]);
    assert_eq!(seen[2], [".d.partial", "a", "b", "c"]);
    assert_eq!(names(here), ["a", "b", "c", "d"]);
    assert!(fs::read(here.join("b")).unwrap() == content() && fs::read(here.join("d")).unwrap() == content());
    // The mode is that of a file that qemu-img makes by itself.
    assert!(tests::bare(["create", "-f", "raw", here.join("e").to_str().unwrap(), "1M"]).status.success());
    let mode = |name: &str| fs::metadata(here.join(name)).unwrap().mode();
    assert_eq!((mode("b"), mode("c"), mode("d")), (mode("e"), mode("e"), mode("e")));
}

#[test]
fn what_fails_leaves_nothing() {
    let directory = with_source();
    let here = directory.path();
    let kind = |result: Result<Outcome, Error>| {
        let error = result.expect_err("it must fail");
        assert_eq!(names(here), ["a"], "{error}");
        assert!(!format!("{error} {error:?}").contains("partial"), "{error:?}");
        error.kind()
    };
    let wrong = Convert::new(Source::qcow2(here.join("a")), copy(here, "b").target().clone());
    assert_eq!(kind(client().convert(&wrong)), ErrorKind::WrongFormat);
    let timeout = client().data_timeout(Some(Duration::from_millis(300)));
    assert_eq!(kind(timeout.convert(&slow_copy(here, "b"))), ErrorKind::TimedOut);
    // One that qemu-img takes away itself, from 6.0 on.
    let backing = Backing::new(here.join("gone"), Format::Raw);
    assert_eq!(kind(client().create(&Create::overlay(here.join("b"), Qcow2::new(), backing))), ErrorKind::NotFound);

    let token = CancelToken::new().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            wait_for("it is begun", || here.join(".b.partial").exists());
            token.cancel();
        });
        assert_eq!(kind(client().cancel(token.clone()).convert(&slow_copy(here, "b"))), ErrorKind::Cancelled);
    });

    let panics = QemuImg::new(Then(local(), || panic!("as this test wants")));
    catch_unwind(AssertUnwindSafe(|| panics.convert(&copy(here, "b")))).unwrap_err();
    assert_eq!(names(here), ["a"]);
}

#[test]
fn a_full_disk_is_empty_again() {
    let directory = with_source();
    let mount = directory.path().join("small");
    fs::create_dir(&mount).unwrap();
    let _small = SmallFileSystem::mount(&mount, "256k");
    let target = Target::new(mount.join("b"), Raw::new());
    let result = client().convert(&Convert::new(Source::raw(directory.path().join("a")), target));
    let (left, stat) = (names(&mount), rustix::fs::statvfs(&mount).unwrap());
    assert_eq!(result.unwrap_err().kind(), ErrorKind::NoSpace);
    assert_eq!((left.len(), stat.f_bfree), (0, stat.f_blocks));
}

#[test]
fn what_exists_is_replaced_only_on_demand() {
    let directory = with_source();
    let here = directory.path();
    let (b, link, second) = (here.join("b"), here.join("link"), here.join("second"));
    fs::write(&b, "old").unwrap();
    fs::set_permissions(&b, fs::Permissions::from_mode(0o640)).unwrap();
    rustix::fs::chown(&b, Some(rustix::fs::Uid::from_raw(12)), Some(rustix::fs::Gid::from_raw(34))).unwrap();
    fs::hard_link(&b, &second).unwrap();
    symlink("nowhere", &link).unwrap();

    let dry = QemuImg::new(DryRunExecutor::new(local()));
    for name in ["b", "link"] {
        for result in [client().convert(&copy(here, name)), dry.convert(&copy(here, name))] {
            let error = result.unwrap_err();
            assert_eq!((error.kind(), error.subject()), (ErrorKind::AlreadyExists, Some(&*here.join(name))));
        }
    }
    assert_eq!(fs::read(&b).unwrap(), b"old");
    // Somebody is faster.
    let late = here.join("late");
    let raced = QemuImg::new(Then(local(), || fs::write(&late, "theirs").unwrap()));
    assert_eq!(raced.convert(&copy(here, "late")).unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(fs::read(&late).unwrap(), b"theirs");

    replacing().convert(&copy(here, "b")).unwrap();
    replacing().convert(&copy(here, "link")).unwrap();
    let meta = fs::metadata(&b).unwrap();
    assert_eq!((meta.mode() & 0o7777, meta.uid(), meta.gid()), (0o640, 12, 34));
    assert_eq!(fs::read(&second).unwrap(), b"old", "another link has what it had");
    assert!(fs::symlink_metadata(&link).unwrap().is_file(), "a link is not followed");
    assert!(fs::read(&b).unwrap() == content() && fs::read(&link).unwrap() == content());
    // What fails keeps the old one.
    fs::write(&b, "old").unwrap();
    replacing().convert(&Convert::new(Source::qcow2(here.join("a")), Target::new(&b, Raw::new()))).unwrap_err();
    assert_eq!(fs::read(&b).unwrap(), b"old");
    assert_eq!(names(here), ["a", "b", "late", "link", "second"]);
}

/// The process that uses it would go on with a file that has no name.
#[test]
fn what_is_in_use_is_not_replaced() {
    let directory = with_source();
    let b = directory.path().join("b");
    write_fixture(Kind::Qcow2, &b);
    let inode = fs::metadata(&b).unwrap().ino();
    let writer = Writer::of(&b);
    let result = replacing().convert(&copy(directory.path(), "b"));
    drop(writer);
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Locked);
    assert_eq!(fs::metadata(&b).unwrap().ino(), inode);
    replacing().convert(&copy(directory.path(), "b")).unwrap();
}

#[test]
fn a_second_writer_is_told_so() {
    let directory = with_source();
    let here = directory.path();
    let token = CancelToken::new().unwrap();
    std::thread::scope(|scope| {
        let private = client().publish(Publish::new().mode(0o600)).cancel(token.clone());
        let first = scope.spawn(move || private.convert(&slow_copy(here, "b")));
        wait_for("it is begun", || here.join(".b.partial").exists());
        let second = client().convert(&copy(here, "b")).unwrap_err();
        let mode = fs::metadata(here.join(".b.partial")).unwrap().mode();
        token.cancel();
        assert_eq!((second.kind(), second.subject()), (ErrorKind::Locked, Some(&*here.join("b"))), "{second}");
        assert_eq!(mode & 0o7777, 0o600, "the content must never have been readable");
        assert_eq!(first.join().unwrap().unwrap_err().kind(), ErrorKind::Cancelled);
    });
    assert_eq!(names(here), ["a"]);
    client().convert(&copy(here, "b")).unwrap();
}

#[test]
fn what_a_killed_caller_leaves_is_taken_over_or_cleaned() {
    const ROLE: &str = "PUBLISH_TEST_CALLER";
    if let Some(directory) = std::env::var_os(ROLE) {
        // Here this is the caller that is killed.
        client().convert(&slow_copy(directory.as_ref(), "b")).unwrap();
        return;
    }
    let directory = with_source();
    let here = directory.path();
    let (b, partial) = (here.join("b"), here.join(".b.partial"));
    let clean = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_qimg-under-test")).arg("clean").args(args).arg(here).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let killed = |check: &dyn Fn()| {
        let this = ["what_a_killed_caller_leaves_is_taken_over_or_cleaned", "--exact"];
        let mut command = Command::new(std::env::current_exe().unwrap());
        let mut caller = command.args(this).env(ROLE, here).stdout(Stdio::null()).spawn().unwrap();
        wait_for("it is begun", || partial.exists());
        check();
        caller.kill().unwrap();
        caller.wait().unwrap();
        // It may have been killed while it started qemu-img, which then holds the lock for a moment.
        wait_for("the lock is gone with its holder", || !clean(&["--dry-run"]).is_empty());
        wait_for("qemu-img is gone", || processes_about(&partial).is_empty());
        assert_eq!(names(here), [".b.partial", "a"]);
    };
    killed(&|| assert_eq!(clean(&[]), "", "it was being written"));
    assert_eq!(clean(&["--dry-run"]), format!("would remove {}\n", partial.display()));
    assert_eq!(clean(&[]), format!("removed {}\n", partial.display()));
    assert_eq!(names(here), ["a"]);

    killed(&|| {});
    client().convert(&copy(here, "b")).unwrap();
    assert!(fs::read(&b).unwrap() == content());
    assert_eq!(names(here), ["a", "b"]);
    // What only looks like one stays.
    fs::create_dir(here.join(".d.partial")).unwrap();
    symlink(&b, here.join(".l.partial")).unwrap();
    assert_eq!(clean(&[]), "");
    assert_eq!(names(here), [".d.partial", ".l.partial", "a", "b"]);
}

/// After a failure of the machine the name is that of the whole content, or is not there.
#[test]
fn content_is_durable_before_the_name_and_the_name_before_success() {
    const ROLE: &str = "PUBLISH_TEST_TRACED";
    if let Some(directory) = std::env::var_os(ROLE) {
        // Here this is the caller that is traced.
        client().convert(&copy(directory.as_ref(), "b")).unwrap();
        return;
    }
    let directory = with_source();
    let trace = directory.path().join("trace");
    let output = Command::new("strace")
        .args(["-f", "-y", "-s", "4096", "-e", "trace=execve,exit_group,fchmod,fsync,renameat2", "-o"])
        .arg(&trace)
        .arg(std::env::current_exe().unwrap())
        .args(["content_is_durable_before_the_name_and_the_name_before_success", "--exact"])
        .env(ROLE, directory.path())
        .output()
        .expect("this test needs strace: cargo xtask test installs it");
    assert_passed(&output);
    let trace = fs::read_to_string(trace).unwrap();
    let file = format!("<{}>", directory.path().join(".b.partial").display());
    let here = format!("<{}>", directory.path().display());
    let steps: [&[&str]; 5] = [
        &["execve(", "\"convert\"", ".b.partial\""],
        &["exit_group(0)"],
        &["fsync(", &file],
        &["renameat2(", "\".b.partial\"", "\"b\", RENAME_NOREPLACE) = 0"],
        &["fsync(", &here],
    ];
    let mut lines = trace.lines();
    for step in steps {
        let found = lines.any(|line| step.iter().all(|part| line.contains(part)));
        assert!(found, "{step:?} does not come after the step before it:\n{trace}");
    }
}

/// Converts `a` to `b` where system calls fail so, each as strace's `inject=` has it: in this program once more, which runs
/// only this test.
fn where_calls_fail(test: &str, injections: &[&str], convert: impl FnOnce(&Path)) {
    const ROLE: &str = "PUBLISH_TEST_INJECTED";
    if let Some(directory) = std::env::var_os(ROLE) {
        convert(directory.as_ref());
        return;
    }
    let directory = with_source();
    let before = names(directory.path());
    let mut command = Command::new("strace");
    command.args(["-f", "-o", "/dev/null", "-e", "trace=flock,fsync"]);
    let injections = injections.iter().flat_map(|injection| ["-e".to_owned(), format!("inject={injection}")]);
    let output = command
        .args(injections)
        .arg(std::env::current_exe().unwrap())
        .args([test, "--exact"])
        .env(ROLE, directory.path())
        .output()
        .expect("this test needs strace: cargo xtask test installs it");
    assert_passed(&output);
    assert_eq!(names(directory.path()), before);
}

#[test]
fn what_cannot_be_locked_leaves_nothing() {
    // There are none left.
    where_calls_fail("what_cannot_be_locked_leaves_nothing", &["flock:error=ENOLCK"], |here| {
        let error = client().convert(&copy(here, "b")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotPublished, "{error}");
    });
}

/// As Lustre, unless it is mounted with them, and some file systems in user space.
#[test]
fn where_there_are_no_locks_the_file_is_the_lock() {
    for error in ["ENOSYS", "EOPNOTSUPP"] {
        let flock = format!("flock:error={error}");
        where_calls_fail("where_there_are_no_locks_the_file_is_the_lock", &[&flock], |here| {
            client().convert(&copy(here, "b")).unwrap();
            assert!(fs::read(here.join("b")).unwrap() == content());
            fs::remove_file(here.join("b")).unwrap();
            // Nobody can tell whether it is being written.
            fs::write(here.join(".b.partial"), "").unwrap();
            assert_eq!(client().convert(&copy(here, "b")).unwrap_err().kind(), ErrorKind::Locked);
            fs::remove_file(here.join(".b.partial")).unwrap();
        });
    }
}

/// As over NFS, or on a file system in user space, by a signal that the caller gets meanwhile.
#[test]
fn what_is_interrupted_is_done_again() {
    let calls = ["flock:error=EINTR:when=1+2", "fsync:error=EINTR:when=1+2"];
    where_calls_fail("what_is_interrupted_is_done_again", &calls, |here| {
        client().convert(&copy(here, "b")).unwrap();
        client()
            .convert(&Convert::new(Source::raw(here.join("a")), Target::existing(Source::raw(here.join("b")))))
            .unwrap();
        assert!(fs::read(here.join("b")).unwrap() == content());
        fs::remove_file(here.join("b")).unwrap();
    });
}
