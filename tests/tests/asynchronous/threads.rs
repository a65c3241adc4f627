//! What the threads of a runtime are kept from, and what they cannot do to the one that starts all commands.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::time::{Duration, Instant};

use qemu_cmd::{ByteSize, Info, Source};
use qemu_exec::{AsyncExecutor as _, End, Request};
use tests::processes::{assert_passed, wait_for};
use tests::{content, copy, local, with_source};
use tokio::runtime::Builder;

use crate::{client, is_writing, until};

/// Whatever touches a disk is done by others than the thread that polls, the making of the unfinished file included; and a
/// drop that comes just then does not wait for a server that does not answer.
#[test]
fn no_disk_keeps_a_runtime_from_its_work() {
    const ROLE: &str = "ASYNC_TEST_TRACED";
    const TEST: &str = "threads::no_disk_keeps_a_runtime_from_its_work";
    if let Some(directory) = std::env::var_os(ROLE) {
        let here = Path::new(&directory);
        let thread = rustix::thread::gettid().as_raw_nonzero().to_string();
        fs::write(here.join("thread"), thread).unwrap();
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let (client, convert) = (client().into_async(), copy(here, "b"));
        // That of flock(2) takes a second; it comes after the file is made.
        let mut future = Box::pin(client.convert(&convert));
        runtime.block_on(until(&mut future, || here.join(".b.partial").exists()));
        let before = Instant::now();
        drop(future);
        let took = before.elapsed();
        assert!(took < Duration::from_millis(500), "the drop took {took:?}");
        wait_for("the file is gone", || !here.join(".b.partial").exists());
        runtime.block_on(client.convert(&convert)).unwrap();
        return;
    }
    let directory = with_source();
    let trace = directory.path().join("trace");
    let output = Command::new("strace")
        .args(["-f", "-e", "trace=flock,fsync,renameat2", "-e", "inject=flock:delay_enter=1000000", "-o"])
        .arg(&trace)
        .arg(std::env::current_exe().unwrap())
        .args([TEST, "--exact"])
        .env(ROLE, directory.path())
        .output()
        .expect("this test needs strace");
    assert_passed(&output);
    let (trace, thread) =
        (fs::read_to_string(trace).unwrap(), fs::read_to_string(directory.path().join("thread")).unwrap());
    let by = |line: &&str| line.split_whitespace().next() == Some(&thread);
    let calls: Vec<_> = trace.lines().filter(|line| line.contains('(')).collect();
    assert!(
        calls.iter().any(|line| line.contains("flock(")) && calls.iter().any(|line| line.contains("fsync(")),
        "{trace}"
    );
    assert_eq!(calls.iter().copied().find(by), None, "{trace}");
}

/// It is called by the thread that has started all children, which would end with it.
#[test]
fn a_waker_that_panics_ends_no_other_command() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("as this test wants");
        }
    }
    let directory = with_source();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let client = client().into_async();
    // Four seconds.
    let convert = copy(directory.path(), "b").rate(ByteSize::kib(256));
    let mut other = Box::pin(client.convert(&convert));
    runtime.block_on(until(&mut other, || is_writing(directory.path(), "b")));
    let _here = runtime.enter();
    let (executor, invocation) = (local(), Info::new(Source::raw("/a")).invocation().unwrap());
    let mut started = executor.run_async(Request::new(&invocation));
    let waker = Waker::from(Arc::new(Panics));
    assert!(started.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    runtime.block_on(other).unwrap();
    assert!(fs::read(directory.path().join("b")).unwrap() == content());
    // What it was to wake can be polled again.
    assert_eq!(runtime.block_on(started).unwrap().end, End::Exited(1));
}
