//! How many operations run at once, in threads and in a runtime.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::time::Duration;

use qemu_cmd::{ByteSize, Check, Create, Info, Qcow2, Snapshot, Source};
use qemu_exec::{
    CancelToken, Checks, Error, ErrorKind, Executor, LocalExecutor, Outcome, Plan, QemuImg, Request, Semaphore,
};
use tests::processes::wait_for;
use tests::{content, copy, local, names, slow_copy, with_source};
use tokio::runtime::Builder;

fn one() -> Semaphore {
    Semaphore::new(NonZero::new(1).unwrap())
}

/// Runs what another executor does, and remembers when each command began and ended.
#[derive(Default)]
struct Clocked(Mutex<Vec<(String, bool)>>);

impl Executor for Clocked {
    fn plan(&self, request: &Request<'_>) -> Result<Plan, Error> {
        local().plan(request)
    }

    fn run<'a>(&self, request: Request<'a>) -> Result<Outcome, Error> {
        let note = |begins| {
            self.0.lock().unwrap().push((request.invocation.subcommand().to_string_lossy().into_owned(), begins))
        };
        note(true);
        let outcome = local().run(request.clone());
        note(false);
        outcome
    }
}

/// The most commands that ran at once.
fn most(events: &[(String, bool)]) -> usize {
    let mut now = 0;
    let counts = events.iter().map(|(_, begins)| {
        now = if *begins { now + 1 } else { now - 1 };
        now
    });
    counts.max().unwrap()
}

#[test]
fn so_many_operations_run_at_once_and_no_more() {
    let directory = with_source();
    let here = directory.path();
    for places in [1, 3] {
        let (executor, semaphore) = (Clocked::default(), Semaphore::new(NonZero::new(places).unwrap()));
        std::thread::scope(|scope| {
            for n in 0..12 {
                let (executor, semaphore) = (&executor, semaphore.clone());
                scope.spawn(move || {
                    // Each is a client of its own; one operation in each is a convert with its checks.
                    let client = QemuImg::new(executor).semaphore(semaphore).checks(Checks::all());
                    client.convert(&copy(here, format!("{places}.{n}"))).unwrap();
                });
            }
        });
        let events = executor.0.into_inner().unwrap();
        assert!((1..=places).contains(&most(&events)), "{events:?}");
        assert!((semaphore.free(), semaphore.waiting()) == (places, 0));
    }
}

/// With one place, the checks of a convert are not between those of another one.
#[test]
fn an_operation_is_all_that_belongs_to_it() {
    let directory = with_source();
    let (executor, semaphore) = (Clocked::default(), one());
    std::thread::scope(|scope| {
        for n in ["b", "c", "d"] {
            let client = QemuImg::new(&executor).semaphore(semaphore.clone()).checks(Checks::none().verify(true));
            let copy = copy(directory.path(), n);
            scope.spawn(move || client.convert(&copy).unwrap());
        }
    });
    let begun = executor.0.into_inner().unwrap().into_iter().filter(|(_, begins)| *begins).map(|(name, _)| name);
    assert_eq!(begun.collect::<Vec<_>>(), ["convert", "compare", "convert", "compare", "convert", "compare"]);
}

#[test]
fn what_only_reads_headers_does_not_wait() {
    let directory = with_source();
    let here = directory.path();
    let (semaphore, token) = (one(), CancelToken::new().unwrap());
    let client = || QemuImg::new(local()).semaphore(semaphore.clone());
    let qcow2 = here.join("qcow2");
    client().create(&Create::new(&qcow2, Qcow2::new(), ByteSize::mib(1))).unwrap();
    std::thread::scope(|scope| {
        let busy = client().cancel(token.clone());
        let busy = scope.spawn(move || busy.convert(&slow_copy(here, "b")).unwrap_err().kind());
        wait_for("it runs", || semaphore.free() == 0);
        client().info(&Info::new(Source::qcow2(&qcow2))).unwrap();
        client().snapshot(&Snapshot::list(Source::qcow2(&qcow2))).unwrap();
        client().qemu_version().unwrap();
        // And this does.
        let waits = scope.spawn(|| client().check(&Check::new(Source::qcow2(&qcow2))));
        wait_for("it waits", || semaphore.waiting() == 1);
        assert!(!waits.is_finished());
        token.cancel();
        assert_eq!(busy.join().unwrap(), ErrorKind::Cancelled);
        waits.join().unwrap().unwrap();
    });
    assert_eq!((semaphore.free(), semaphore.waiting()), (1, 0));
}

/// Threads and tasks are in one queue.
#[test]
fn who_waits_can_be_cancelled_and_is_timed_from_the_start() {
    let directory = with_source();
    let here = directory.path();
    let semaphore = one();
    let client = || QemuImg::new(local()).semaphore(semaphore.clone());
    let runtime = Builder::new_current_thread().enable_io().build().unwrap();
    let [busy, thread, task] = [0; 3].map(|_| CancelToken::new().unwrap());
    std::thread::scope(|scope| {
        let first = client().cancel(busy.clone());
        scope.spawn(move || first.convert(&slow_copy(here, "b")).unwrap_err());
        wait_for("it runs", || semaphore.free() == 0);
        let second = client().cancel(thread.clone());
        let second = scope.spawn(move || second.convert(&copy(here, "c")).unwrap_err());
        let third = client().cancel(task.clone()).into_async();
        let third = scope.spawn(move || runtime.block_on(third.convert(&copy(here, "d"))).unwrap_err());
        // It waits longer than it may run.
        let patient = client().data_timeout(Some(Duration::from_millis(500)));
        let patient = scope.spawn(move || patient.convert(&copy(here, "e")).map(drop));
        wait_for("they wait", || semaphore.waiting() == 3);
        for (token, waits) in [(thread, second), (task, third)] {
            token.cancel();
            let error = waits.join().unwrap();
            assert_eq!(
                (error.kind(), error.exit_code(), error.signal()),
                (ErrorKind::Cancelled, None, None),
                "{error}"
            );
            assert!(error.command().starts_with("qemu-img convert"), "{}", error.command());
        }
        assert_eq!(semaphore.waiting(), 1);
        std::thread::sleep(Duration::from_secs(1));
        busy.cancel();
        patient.join().unwrap().unwrap();
    });
    assert_eq!((semaphore.free(), semaphore.waiting()), (1, 0));
    assert_eq!(names(here), ["a", "e"]);
}

#[test]
fn a_place_is_given_back_whatever_happens() {
    let directory = with_source();
    let here = directory.path();
    let semaphore = one();
    let client = || QemuImg::new(local()).semaphore(semaphore.clone());
    let is_free = || assert_eq!((semaphore.free(), semaphore.waiting()), (1, 0));

    client().convert(&copy(here, "no/b")).unwrap_err();
    is_free();
    let panics = client().on_progress(|_| panic!("the listener"));
    assert!(catch_unwind(AssertUnwindSafe(|| panics.convert(&copy(here, "b")))).is_err());
    is_free();
    QemuImg::new(LocalExecutor::with_program("/no/qemu-img"))
        .semaphore(semaphore.clone())
        .convert(&copy(here, "b"))
        .unwrap_err();
    is_free();

    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let awaited = client().into_async();
    runtime.block_on(async {
        let (slow, second) = (slow_copy(here, "b"), copy(here, "c"));
        let short = Duration::from_millis(100);
        // One is dropped while it runs, the other while it waits.
        let mut first = Box::pin(awaited.convert(&slow));
        assert!(tokio::time::timeout(short, &mut first).await.is_err());
        assert!(tokio::time::timeout(short, awaited.convert(&second)).await.is_err());
        drop(first);
    });
    is_free();
    assert_eq!(names(here), ["a"]);
}

/// Who waits for a lock is not in the way of the others.
#[test]
fn while_an_image_is_locked_others_have_the_place() {
    let directory = with_source();
    let here = directory.path();
    let (semaphore, token) = (one(), CancelToken::new().unwrap());
    std::thread::scope(|scope| {
        // It holds the lock of `b`, and has no place.
        let other = QemuImg::new(local()).cancel(token.clone());
        scope.spawn(move || other.convert(&slow_copy(here, "b")).unwrap_err());
        wait_for("it writes", || here.join(".b.partial").exists());
        let client = || QemuImg::new(local()).semaphore(semaphore.clone());
        let patient = client().wait_for_locks(Duration::from_secs(60));
        let patient = scope.spawn(move || patient.convert(&copy(here, "b")).map(drop));
        for n in ["c", "d", "e"] {
            client().convert(&copy(here, n)).unwrap();
        }
        assert!(!patient.is_finished());
        token.cancel();
        patient.join().unwrap().unwrap();
    });
    assert!(std::fs::read(here.join("b")).unwrap() == content());
    assert_eq!((semaphore.free(), semaphore.waiting()), (1, 0));
}
