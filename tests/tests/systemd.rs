//! qemu-img in control groups and in services, under a real systemd: that of this machine, or one that boots for it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::path::Path;
use std::time::{Duration, Instant};

use qemu_cmd::{ByteSize, Convert, Format, Info, Map, Qcow2, Source, Target};
use qemu_exec::{
    CancelToken, Cgroup, End, ErrorKind, Executor, Limit, Limits, LocalExecutor, Outcome, Progress, QemuImg, Request,
    SystemdRunExecutor,
};
use tests::hostile::plain;
use tests::processes::{is_running, wait_until};
use tests::systemd::{delegated, in_a_service};
use tests::{content, executable, fifo, local, names, passphrase, qemu_img, scratch};

/// One start of a systemd is shared by all, since it takes seconds.
#[test]
fn under_a_real_systemd() {
    in_a_service("under_a_real_systemd", || {
        let group = delegated();
        for (part, act) in [
            ("bounds", bounds as fn(&Path)),
            ("memory", memory_that_runs_out_is_told),
            ("escape", nothing_escapes),
            ("every way out", every_way_out_removes_the_group),
            ("drops", a_future_that_is_dropped_removes_the_group),
            ("refusals", what_cannot_be_done_is_refused),
            ("services", |_| secrets_reach_a_service_on_standard_input()),
            ("bounded services", |_| what_is_bounded_in_a_service_is_told()),
            ("ends of services", |_| what_is_cancelled_in_a_service_ends()),
            ("awaited services", |_| a_service_can_be_awaited_and_given_up()),
        ] {
            let started = Instant::now();
            println!("{part} …");
            act(&group);
            let left = names(&group).into_iter().filter(|name| name.to_string_lossy().starts_with("qemu-img-"));
            assert_eq!(left.count(), 0, "{part} leaves a group");
            println!("{part}: {:?}", started.elapsed());
        }
    });
}

/// What a script in the place of qemu-img comes to, in a group of its own.
fn run(cgroup: Cgroup, body: &str) -> Outcome {
    let directory = scratch();
    let program = executable(directory.path(), &format!("#!/bin/sh\n{body}\n"));
    let invocation = Info::new(Source::raw("/a")).invocation().unwrap();
    LocalExecutor::with_program(program).cgroup(cgroup).run(Request::new(&invocation)).unwrap()
}

fn text(outcome: &Outcome) -> String {
    assert_eq!(outcome.end, End::Exited(0), "{outcome:?}");
    String::from_utf8(outcome.stdout.clone()).unwrap()
}

fn bounds(group: &Path) {
    let look = "g=/sys/fs/cgroup$(sed -n s/^0:://p /proc/self/cgroup); echo $g; cd $g; \
                cat memory.max memory.oom.group pids.max cpu.max; cat memory.swap.max 2>/dev/null || echo 0";
    let cgroup = Cgroup::new(group).memory(ByteSize::mib(64)).processes(20).cpu_quota(150);
    let said = text(&run(cgroup, look));
    let lines: Vec<_> = said.lines().collect();
    let own = format!("{}/qemu-img-{}-", group.display(), std::process::id());
    assert!(lines[0].starts_with(&own), "{said}");
    assert_eq!(lines[1..], ["67108864", "1", "20", "150000 100000", "0"]);
    // From the very first instruction on, each time.
    for _ in 0..5 {
        assert!(text(&run(Cgroup::new(group), "exec cat /proc/self/cgroup")).contains("/qemu-img-"));
    }
    let too_many = run(Cgroup::new(group).processes(3), "for i in 1 2 3 4 5; do sleep 1 & done; wait");
    assert!(String::from_utf8_lossy(&too_many.stderr).contains("ork"), "{too_many:?}");
}

fn memory_that_runs_out_is_told(group: &Path) {
    let directory = scratch();
    // A few bytes that make qemu-img load a table of 32 MiB.
    let bomb = directory.path().join("bomb");
    plain::qcow().be64(24, 128 << 30).put(32, &[9, 6]).write(&bomb);
    let invocation = Info::new(Source::new(&bomb, Format::Qcow)).invocation().unwrap();
    let within = |size| {
        let outcome = local().cgroup(Cgroup::new(group).memory(size)).run(Request::new(&invocation)).unwrap();
        (outcome.peak_memory.unwrap(), outcome.ok(&invocation, &Limits::none()))
    };
    let (peak, result) = within(ByteSize::mib(256));
    result.unwrap();
    assert!(peak >= ByteSize::mib(32) && peak < ByteSize::mib(128), "{peak}");
    let (peak, result) = within(ByteSize::mib(24));
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitHit(Limit::Memory), "{error:?}");
    assert_eq!(error.to_string(), "the limit of 25165824 bytes on memory was hit");
    assert!(peak <= ByteSize::mib(24), "{peak}");
}

/// It has left its session and its process group, and holds no pipe.
fn nothing_escapes(group: &Path) {
    let directory = scratch();
    let fifo = fifo(directory.path());
    let escapes = format!("setsid cat '{}' >/dev/null 2>&1 & sleep 0.2", fifo.display());
    assert_eq!(run(Cgroup::new(group), &escapes).end, End::Exited(0));
    assert!(!is_running(&fifo), "it is gone with its group, before the run returns");
}

fn every_way_out_removes_the_group(group: &Path) {
    let directory = scratch();
    let fifo = fifo(directory.path());
    let groups = || names(group).iter().filter(|name| name.to_string_lossy().starts_with("qemu-img-")).count();
    let client = QemuImg::new(local().cgroup(Cgroup::new(group))).metadata_timeout(Some(Duration::from_millis(300)));
    let error = client.info(&Info::new(Source::raw(&fifo))).unwrap_err();
    assert_eq!((error.kind(), groups()), (ErrorKind::TimedOut, 0));

    let missing = LocalExecutor::with_program("/nowhere/qemu-img").cgroup(Cgroup::new(group));
    assert_eq!(
        QemuImg::new(missing).info(&Info::new(Source::raw(&fifo))).unwrap_err().kind(),
        ErrorKind::ProgramMissing
    );
    let not_a_program = directory.path().join("a");
    std::fs::write(&not_a_program, "x").unwrap();
    let client = QemuImg::new(LocalExecutor::with_program(&not_a_program).cgroup(Cgroup::new(group)));
    client.info(&Info::new(Source::raw(&fifo))).unwrap_err();
    assert_eq!(groups(), 0);

    let program = executable(directory.path(), "#!/bin/sh\nprintf '    (1.00/100%%)\\r'\nsleep 100\n");
    let invocation = Info::new(Source::raw("/a")).invocation().unwrap();
    let panicked = std::panic::catch_unwind(|| {
        let listener = |progress: Progress| panic!("at {progress}");
        let executor = LocalExecutor::with_program(&program).cgroup(Cgroup::new(group));
        executor.run(Request::new(&invocation).progress(&listener))
    });
    panicked.unwrap_err();
    assert_eq!(groups(), 0);

    // That of a caller who is gone is taken away by the next one, and that of one who is not stays, whoever has these
    // numbers here: a caller in a container has others.
    let (dead, alive) = (group.join("qemu-img-1-0"), group.join("qemu-img-4194305-0"));
    for left in [&dead, &alive] {
        std::fs::create_dir(left).unwrap();
    }
    let caller = std::fs::File::open(&alive).unwrap();
    caller.lock().unwrap();
    text(&run(Cgroup::new(group), "true"));
    assert_eq!((dead.exists(), alive.exists()), (false, true));
    drop(caller);
    text(&run(Cgroup::new(group), "true"));
    assert!(!alive.exists());
}

/// Also by what has left the process group, which only the control group still knows.
fn a_future_that_is_dropped_removes_the_group(group: &Path) {
    let directory = scratch();
    let fifo = fifo(directory.path());
    let escapes = format!("#!/bin/sh\nsetsid cat '{}' &\nwait\n", fifo.display());
    let executor = LocalExecutor::with_program(executable(directory.path(), &escapes)).cgroup(Cgroup::new(group));
    let runtime = runtime();
    let client = QemuImg::new(executor).into_async();
    let task = runtime.spawn(async move { client.info(&Info::new(Source::raw("/a"))).await });
    assert!(wait_until(|| is_running(&fifo)));
    task.abort();
    let groups = || names(group).iter().filter(|name| name.to_string_lossy().starts_with("qemu-img-")).count();
    assert!(wait_until(|| !is_running(&fifo) && groups() == 0), "{} groups are left", groups());
    // One that comes to its end has none by then.
    let awaited = QemuImg::new(local().cgroup(Cgroup::new(group))).into_async();
    runtime.block_on(awaited.qemu_version()).unwrap();
    assert_eq!(groups(), 0);
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_io().build().unwrap()
}

fn what_cannot_be_done_is_refused(group: &Path) {
    let directory = scratch();
    let info = Info::new(Source::raw("/a"));
    let kind = |executor: LocalExecutor| QemuImg::new(executor).info(&info).unwrap_err().kind();
    let limited = |parent: &Path| Cgroup::new(parent).memory(ByteSize::mib(64));
    assert_eq!(kind(local().cgroup(limited(directory.path()))), ErrorKind::LimitsNotApplied);
    assert_eq!(kind(local().cgroup(limited(Path::new("/nowhere")))), ErrorKind::LimitsNotApplied);
    // This process is in it.
    assert_eq!(kind(local().cgroup(limited(&group.join("tests")))), ErrorKind::LimitsNotApplied);
    assert_eq!(kind(local().portable().cgroup(limited(group))), ErrorKind::Refused);
    assert_eq!(names(directory.path()).len(), 0);
}

fn service() -> SystemdRunExecutor {
    SystemdRunExecutor::with_program(qemu_img())
}

fn secrets_reach_a_service_on_standard_input() {
    let directory = scratch();
    let path = |name: &str| directory.path().join(name);
    std::fs::write(path("a"), content()).unwrap();
    let convert = Convert::new(Source::raw(path("a")), Target::new(path("b"), Qcow2::new()));
    QemuImg::new(service()).convert(&convert).unwrap();
    // Of a command with a secret, what comes first is the key that it is encrypted under.
    let said = String::from_utf8(run_as_service("cat; echo \"$@\"", true)).unwrap();
    let (key, args) = said.split_once('\n').unwrap();
    assert_eq!((key.len(), key.ends_with('=')), (44, true), "{said}");
    assert!(!args.contains(key) && !args.contains("battery") && args.contains(",keyid="), "{args}");
    assert_eq!(QemuImg::new(service()).info(&Info::new(Source::qcow2(path("b")))).unwrap().virtual_size, 1 << 20);
    assert_eq!(names(directory.path()), ["a", "b"], "what is complete has its name, and nothing else is there");
}

/// What a script in the place of qemu-img prints.
fn run_as_service(body: &str, secret: bool) -> Vec<u8> {
    let directory = scratch();
    let program = executable(directory.path(), &format!("#!/bin/sh\n{body}\n"));
    let source = if secret { Source::luks("/a$b", passphrase()) } else { Source::raw("/a$b") };
    let invocation = Map::new(source).invocation().unwrap();
    let outcome = SystemdRunExecutor::with_program(program).cpu_quota(50).run(Request::new(&invocation)).unwrap();
    assert_eq!(outcome.end, End::Exited(0), "{outcome:?}");
    outcome.stdout
}

fn what_is_bounded_in_a_service_is_told() {
    let directory = scratch();
    let bomb = directory.path().join("bomb");
    plain::qcow().be64(24, 128 << 30).put(32, &[9, 6]).write(&bomb);
    let info = Info::new(Source::new(&bomb, Format::Qcow));
    let error =
        QemuImg::new(service().memory(ByteSize::mib(24))).metadata_limits(Limits::none()).info(&info).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitHit(Limit::Memory), "{error:?}");
    assert_eq!(error.to_string(), "the limit of 25165824 bytes on memory was hit");

    let look = "g=$(sed -n s/^0:://p /proc/self/cgroup); echo $g; cat /sys/fs/cgroup$g/cpu.max; echo \"$@\"";
    let said = String::from_utf8(run_as_service(look, false)).unwrap();
    let lines: Vec<_> = said.lines().collect();
    assert!(lines[0].ends_with(".service"), "{said}");
    assert_eq!(lines[1], "50000 100000");
    assert!(lines[2].contains("/a$b"), "{said}");
    let refused = service().property("NoSuchProperty=1");
    assert_eq!(QemuImg::new(refused).info(&info).unwrap_err().kind(), ErrorKind::CouldNotStart);
}

fn what_is_cancelled_in_a_service_ends() {
    let directory = scratch();
    let fifo = fifo(directory.path());
    let info = Info::new(Source::raw(&fifo));
    let token = CancelToken::new().unwrap();
    let client = QemuImg::new(service()).cancel(token.clone());
    std::thread::scope(|scope| {
        let error = scope.spawn(|| client.info(&info).unwrap_err());
        assert!(wait_until(|| is_running(&fifo)));
        token.cancel();
        assert_eq!(error.join().unwrap().kind(), ErrorKind::Cancelled);
    });
    assert!(wait_until(|| !is_running(&fifo)), "the service goes on");
    let late = QemuImg::new(service()).metadata_timeout(Some(Duration::from_secs(1)));
    assert_eq!(late.info(&info).unwrap_err().kind(), ErrorKind::TimedOut);
    assert!(wait_until(|| !is_running(&fifo)));
}

fn a_service_can_be_awaited_and_given_up() {
    let directory = scratch();
    let (fifo, image) = (fifo(directory.path()), directory.path().join("a"));
    std::fs::write(&image, [0; 512]).unwrap();
    let (runtime, client) = (runtime(), QemuImg::new(service()).into_async());
    assert_eq!(runtime.block_on(client.info(&Info::new(Source::raw(&image)))).unwrap().virtual_size, 512);
    let waits = Info::new(Source::raw(&fifo));
    let task = runtime.spawn(async move { client.info(&waits).await });
    assert!(wait_until(|| is_running(&fifo)));
    task.abort();
    assert!(wait_until(|| !is_running(&fifo)), "the service goes on");
}
