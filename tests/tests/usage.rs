//! What a command used, beside the time that it took.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::time::Duration;

use qemu_cmd::{ByteSize, Format, Info, Source};
use qemu_exec::{DryRunExecutor, End, Executor, LocalExecutor, Outcome, Request};
use tests::hostile::plain;
use tests::{executable, local, scratch, with_source};

/// Runs a shell script in the place of qemu-img.
fn run(body: &str, timeout: Option<Duration>) -> [Outcome; 2] {
    let directory = scratch();
    let program = executable(directory.path(), &format!("#!/bin/sh\n{body}\n"));
    let invocation = Info::new(Source::raw("/a")).invocation().unwrap();
    let request = Request::new(&invocation).timeout(timeout);
    let native = LocalExecutor::with_program(&program).run(request.clone()).unwrap();
    [native, LocalExecutor::with_program(&program).portable().run(request).unwrap()]
}

#[test]
fn waiting_takes_no_processor_time() {
    for outcome in run("sleep 0.5", None) {
        assert_eq!(outcome.end, End::Exited(0));
        assert!(outcome.wall_time >= Duration::from_millis(500), "{outcome:?}");
        assert!(outcome.user_time + outcome.system_time < Duration::from_millis(250), "{outcome:?}");
    }
}

#[test]
fn work_is_told_by_where_it_is_done() {
    for outcome in run("i=0; while [ $i -lt 100000 ]; do i=$((i + 1)); done", None) {
        assert!(outcome.user_time > outcome.system_time, "{outcome:?}");
        assert!(outcome.user_time > Duration::from_millis(20), "{outcome:?}");
    }
    // As a child of the one that is waited for, as qemu-img is under sudo.
    for outcome in run("dd if=/dev/zero of=/dev/null bs=1 count=100000 2>/dev/null", None) {
        assert!(outcome.system_time > Duration::from_millis(5), "{outcome:?}");
    }
}

#[test]
fn what_was_ended_has_used_something_too() {
    for outcome in run("while :; do :; done", Some(Duration::from_millis(400))) {
        assert_eq!(outcome.end, End::TimedOut);
        assert!(outcome.user_time + outcome.system_time > Duration::from_millis(5), "{outcome:?}");
    }
    for outcome in run("kill -USR1 $$", None) {
        assert_eq!(outcome.end, End::Signaled(10));
    }
}

#[test]
fn the_real_one_uses_some_and_a_dry_run_none() {
    let directory = with_source();
    let invocation = Info::new(Source::raw(directory.path().join("a"))).invocation().unwrap();
    let outcome = local().run(Request::new(&invocation)).unwrap();
    assert!(outcome.user_time + outcome.system_time > Duration::ZERO, "{outcome:?}");
    let dry = DryRunExecutor::new(local()).run(Request::new(&invocation)).unwrap();
    assert_eq!((dry.user_time, dry.system_time), (Duration::ZERO, Duration::ZERO));
}

/// However much this process has itself.
#[test]
fn peak_memory_is_true_or_absent() {
    let directory = scratch();
    let path = directory.path().join("a");
    // A few bytes that make qemu-img load a table of 32 MiB.
    plain::qcow().be64(24, 128 << 30).put(32, &[9, 6]).write(&path);
    let invocation = Info::new(Source::new(&path, Format::Qcow)).invocation().unwrap();
    for (number, executor) in [local(), local().portable()].into_iter().enumerate() {
        let peak = executor.run(Request::new(&invocation)).unwrap().peak_memory.unwrap();
        assert!(peak >= ByteSize::mib(32) && peak < ByteSize::mib(128), "{number}: {peak}");
    }
    let much = vec![1_u8; 150 << 20];
    for executor in [local(), local().portable()] {
        assert_eq!(executor.run(Request::new(&invocation)).unwrap().peak_memory, None, "{}", much.len());
    }
}
