//! qemu-img on another host, over a real sshd.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use qemu_cmd::{ByteSize, Convert, Create, Info, Qcow2, QemuVersion, Raw, Source, Target};
use qemu_exec::{
    CancelToken, Delivery, DryRunExecutor, ErrorKind, Executor as _, Limit, Limits, Publish, QemuImg, Request,
    SshExecutor,
};
use tests::processes::{is_running, wait_until};
use tests::sshd::Sshd;
use tests::{Kind, PASSPHRASE, content, executable, fifo, guest_content, names, scratch, with_source, write_fixture};

/// Whose `sh -c` is not that of the login shell, which is bash on most machines.
const BY_DASH: &str = "ForceCommand exec dash -c \"$SSH_ORIGINAL_COMMAND\"";

fn info(path: &Path) -> Info {
    Info::new(Source::raw(path))
}

fn raw(path: &Path) -> Create {
    Create::new(path, Raw::new(), ByteSize::mib(1))
}

#[test]
fn every_name_arrives_as_it_is() {
    let directory = scratch();
    let bytes: Vec<u8> = (1..=255).filter(|byte| *byte != b'/').collect();
    let paths: Vec<_> = [&bytes[..127], &bytes[127..], b"'", b"$(false) `false` \\"]
        .iter()
        .map(|name| directory.path().join(OsStr::from_bytes(name)))
        .collect();
    for path in &paths {
        std::fs::write(path, [1; 512]).unwrap();
    }
    for more in ["", BY_DASH] {
        let server = Sshd::configured(more);
        for path in &paths {
            // The name is not UTF-8, so it is the exit status that tells whether that file was found.
            let invocation = info(path).invocation().unwrap();
            let outcome = server.executor().run(Request::new(&invocation)).unwrap();
            assert!(outcome.success(), "{more}: {path:?}: {outcome:?}");
        }
    }
}

#[test]
fn secrets_come_on_standard_input() {
    for more in ["", BY_DASH] {
        let server = Sshd::configured(more);
        let directory = scratch();
        let path = |name: &str| directory.path().join(name);
        write_fixture(Kind::Luks, &path("luks"));
        write_fixture(Kind::Qcow2Luks, &path("qcow2"));
        let there = QemuImg::new(server.executor()).publish(Publish::new().replace(true));
        // One secret, then two.
        there.convert(&Convert::new(Kind::Luks.source(&path("luks")), Kind::Raw.target(&path("raw")))).unwrap();
        assert!(std::fs::read(path("raw")).unwrap() == content());
        let both =
            Convert::new(Kind::Luks.source(&path("luks")), Target::existing(Kind::Qcow2Luks.source(&path("qcow2"))));
        there.convert(&both).unwrap();
        assert!(guest_content(Kind::Qcow2Luks, &path("qcow2")) == content());
        assert_eq!(names(directory.path()), ["luks", "qcow2", "raw"]);

        let invocation = both.invocation().unwrap();
        let plan = server.executor().plan(&Request::new(&invocation)).unwrap();
        assert_eq!(plan.secrets.iter().map(|(_, how)| *how).collect::<Vec<_>>(), [Delivery::Wrapped; 2]);
        assert!(!format!("{:?}", plan.launch).contains(PASSPHRASE));
        let wrong = Source::luks(path("luks"), qemu_cmd::Secret::new("wrong").unwrap());
        let error = there.convert(&Convert::new(wrong, Kind::Raw.target(&path("raw")))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WrongPassphrase, "{error:?}");
    }
}

#[test]
fn a_cancelled_command_ends_over_there() {
    let server = Sshd::start();
    let directory = scratch();
    let fifo = fifo(directory.path());
    let token = CancelToken::new().unwrap();
    let there = QemuImg::new(server.executor()).cancel(token.clone());
    std::thread::scope(|scope| {
        let error = scope.spawn(|| there.info(&info(&fifo)).unwrap_err());
        assert!(wait_until(|| is_running(&fifo)));
        token.cancel();
        assert_eq!(error.join().unwrap().kind(), ErrorKind::Cancelled);
    });
    assert!(wait_until(|| !is_running(&fifo)));
}

#[test]
fn a_future_that_is_dropped_ends_its_command_over_there() {
    let server = Sshd::start();
    let directory = scratch();
    let (fifo, image) = (fifo(directory.path()), directory.path().join("image"));
    let there = QemuImg::new(server.executor()).publish(Publish::new().replace(true)).into_async();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_io().build().unwrap();
    runtime.block_on(there.create(&raw(&image))).unwrap();
    assert_eq!(runtime.block_on(there.info(&info(&image))).unwrap().virtual_size, 1 << 20);
    let waits = info(&fifo);
    let task = runtime.spawn(async move { there.info(&waits).await });
    assert!(wait_until(|| is_running(&fifo)));
    task.abort();
    assert!(wait_until(|| !is_running(&fifo)));
}

#[test]
fn it_ends_with_whoever_waits_for_it() {
    let server = Sshd::start();
    let directory = scratch();
    let fifo = fifo(directory.path());
    let invocation = info(&fifo).invocation().unwrap();
    let launch = server.executor().plan(&Request::new(&invocation)).unwrap().launch;
    let mut command = Command::new(&launch.program);
    // What ends first is standard input, as when this process is killed; ssh is there to the end.
    let mut ssh = command.args(&launch.args).env_clear().envs(launch.env).stdin(Stdio::piped()).spawn().unwrap();
    assert!(wait_until(|| is_running(&fifo)));
    drop(ssh.stdin.take());
    // 128 and TERM.
    assert_eq!(ssh.wait().unwrap().code(), Some(143));
    assert!(!is_running(&fifo));
}

#[test]
fn time_is_kept_over_there() {
    let server = Sshd::start();
    let directory = scratch();
    let fifo = fifo(directory.path());
    let there = QemuImg::new(server.executor()).metadata_timeout(Some(Duration::from_millis(500)));
    assert_eq!(there.info(&info(&fifo)).unwrap_err().kind(), ErrorKind::TimedOut);
    assert!(!is_running(&fifo));
}

#[test]
fn limits_and_the_environment_are_set_over_there() {
    let server = Sshd::start();
    let directory = scratch();
    // To env(1), that is the name of a variable.
    let inside = directory.path().join("a=b");
    std::fs::create_dir(&inside).unwrap();
    let fake = |script| server.executor().qemu_img(executable(&inside, script)).env("CEPH_ARGS", "a 'b'\n$c");
    let invocation = QemuVersion::invocation();
    let limits = Limits::none().cpu(Duration::from_secs(7)).open_files(99);
    let bare = fake("#!/bin/sh\necho here").run(Request::new(&invocation)).unwrap();
    assert_eq!(bare.stdout, b"here\n", "{bare:?}");
    let request = Request::new(&invocation).limits(limits);
    let outcome = fake("#!/bin/sh\nenv; cat /proc/self/limits").run(request.clone()).unwrap();
    let text = String::from_utf8(outcome.stdout).unwrap();
    assert!(text.contains("CEPH_ARGS=a 'b'\n$c\n") && text.contains("LC_ALL=C\n"), "{text}");
    let values = |name| text.lines().find_map(|line: &str| line.strip_prefix(name)).unwrap().split_whitespace().take(2);
    assert_eq!(values("Max cpu time").collect::<Vec<_>>(), ["7", "8"]);
    assert_eq!(values("Max open files").collect::<Vec<_>>(), ["99", "99"]);

    let outcome = fake("#!/bin/sh\nkill -s XCPU $$").run(request).unwrap();
    let error = outcome.ok(&invocation, &limits).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitHit(Limit::Cpu), "{error:?}");
    assert_eq!(error.stderr(), "");
}

#[test]
fn what_goes_wrong_on_the_way_is_told() {
    let server = Sshd::start();
    let path = Path::new("/no-such-image");
    let kind = |executor: SshExecutor| QemuImg::new(executor).info(&info(path)).unwrap_err();
    for (executor, said) in [
        (SshExecutor::new("127.0.0.1").option("Port=1"), "refused"),
        (
            SshExecutor::new("127.0.0.1")
                .option(format!("Port={}", server.port))
                .option("UserKnownHostsFile=/dev/null"),
            "Host key verification failed",
        ),
        (SshExecutor::new("no.such.host.invalid"), "Could not resolve"),
    ] {
        let error = kind(executor);
        assert_eq!(error.kind(), ErrorKind::Unreachable, "{error:?}");
        assert!(error.to_string().contains(said), "{error}");
    }
    assert_eq!(kind(server.executor()).kind(), ErrorKind::NotFound);
    for limits in [Limits::none(), Limits::metadata()] {
        let missing = QemuImg::new(server.executor().qemu_img("no-such-program")).metadata_limits(limits);
        let error = missing.qemu_version().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ProgramMissing, "{error:?}");
    }
    for host in ["", "-oProxyCommand=false"] {
        assert_eq!(kind(SshExecutor::new(host)).kind(), ErrorKind::Refused);
    }
}

#[test]
fn new_images_have_their_own_name() {
    let server = Sshd::start();
    let directory = with_source();
    let path = |name: &str| directory.path().join(name);
    let convert = Convert::new(Source::raw(path("a")), Target::new(path("b"), Qcow2::new()));
    for error in [
        QemuImg::new(server.executor()).convert(&convert).unwrap_err(),
        QemuImg::new(server.executor()).create(&raw(&path("b"))).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Refused, "{error:?}");
    }
    let publish = Publish::new().replace(true);
    let dry = QemuImg::new(DryRunExecutor::new(server.executor())).publish(publish);
    dry.convert(&convert).unwrap();
    let line = dry.executor().plans()[0].launch.args.last().unwrap().to_string_lossy().into_owned();
    let end = format!("convert -t writeback -O qcow2 -f raw {} {}", path("a").display(), path("b").display());
    assert!(line.ends_with(&end), "{line}");
    assert_eq!(names(directory.path()), ["a"]);
    QemuImg::new(server.executor()).publish(publish).convert(&convert).unwrap();
    assert!(guest_content(Kind::Qcow2, &path("b")) == content());
}

#[test]
fn what_is_not_from_a_pipe_is_refused() {
    let server = Sshd::start();
    let invocation = info(Path::new("/dev/stdin")).invocation().unwrap();
    let file = std::fs::File::open("/dev/null").unwrap();
    for request in [Request::new(&invocation).inherit_stdin(true), Request::new(&invocation).handing(Some(&file))] {
        assert_eq!(server.executor().run(request).unwrap_err().kind(), ErrorKind::Refused);
    }
}

#[test]
fn a_dry_run_shows_it_all() {
    let invocation = info(Path::new("/vm/it's")).invocation().unwrap();
    let request = Request::new(&invocation).limits(Limits::metadata()).timeout(Some(Duration::from_secs(60)));
    let launch = SshExecutor::new("backup@host").option("Port=2222").plan(&request).unwrap().launch;
    let script = "exec 3<&0 </dev/null; \"$@\" 3<&- & c=$!; exec >/dev/null 2>&1; \
                  trap \"kill $c\" TERM; w=; [ -c /dev/fd/3 ] || { { cat <&3; kill $c; } & w=$!; }; wait $c; s=$?; \
                  kill $w; [ $s = 143 ] && kill -9 -$c; exit $s";
    let wanted = format!(
        "exec sh -c '{script}' sh env LC_ALL=C LANG=C MALLOC_ARENA_MAX=1 timeout --kill-after=5 60 \
         prlimit --cpu=30:31 --as=1073741824 qemu-img info '/vm/it'\\''s' --force-share --output=json -f raw"
    );
    let args: Vec<_> = launch.args.iter().map(|arg| arg.to_str().unwrap()).collect();
    assert_eq!(args.last(), Some(&wanted.as_str()));
    assert_eq!(args[args.len() - 3..args.len() - 1], ["--", "backup@host"]);
    assert!(args.starts_with(&["-T", "-o", "BatchMode=yes"]));
    assert!(args.windows(2).any(|pair| pair == ["-o", "Port=2222"]));
}
