//! The same calls in a tokio runtime: what comes of them, and what is left of those that are dropped half way.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod threads;

use std::fs;
use std::future::Future;
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use qemu_cmd::{
    Amend, Backing, Bench, Bitmap, BitmapAction, ByteSize, Check, Commit, Compare, Convert, Create, Dd, Format, Info,
    Map, Measure, Qcow2, Qcow2Amend, Raw, Rebase, Resize, ResizeTo, Snapshot, Source, Target,
};
use qemu_exec::fake::FakeExecutor;
use qemu_exec::{
    AsyncExecutor, AsyncQemuImg, CancelToken, Checks, DryRunExecutor, Error, ErrorKind, LocalExecutor, Output,
    Progress, QemuImg, Request, Semaphore, open_image,
};
use qemu_info::inspect::{Inspected, Policy};
use rustix::process::test_kill_process;
use tests::processes::{is_running, processes_about, wait_for};
use tests::{content, copy, executable, local, names, scratch, slow_copy, sudo, with_source};
use tokio::runtime::{Builder, Runtime};

fn client() -> QemuImg<LocalExecutor> {
    QemuImg::new(local())
}

/// A runtime without a thread of its own, and without timers.
fn runtime() -> Runtime {
    Builder::new_current_thread().enable_io().build().unwrap()
}

/// Polls a future until this holds, and no longer; it is not over by then.
async fn until<T>(future: &mut (impl Future<Output = T> + Unpin), holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline);
        assert!(tokio::time::timeout(Duration::from_millis(5), &mut *future).await.is_err(), "it is over");
    }
}

/// Whether a convert to `name` has begun to write.
fn is_writing(directory: &Path, name: &str) -> bool {
    directory.join(format!(".{name}.partial")).metadata().is_ok_and(|meta| meta.len() > 0)
}

#[test]
fn a_future_that_is_dropped_leaves_nothing() {
    let directory = with_source();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let (client, slow) = (client().into_async(), slow_copy(directory.path(), "b"));
    let (mut seen, mut drops) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        let mut future = Box::pin(client.convert(&slow));
        runtime.block_on(until(&mut future, || is_writing(directory.path(), "b")));
        let running = processes_about(directory.path());
        assert_eq!(running.len(), 1);
        let before = Instant::now();
        drop(future);
        drops.push(before.elapsed());
        // At once, and not later.
        assert_eq!(names(directory.path()), ["a"]);
        assert!(processes_about(directory.path()).is_empty());
        seen.extend(running);
    }
    println!("a drop took {drops:?}");
    // A zombie would still be there, with no arguments.
    wait_for("they are reaped", || !seen.iter().any(|pid| test_kill_process(*pid).is_ok()));
    // The next one is kept from nothing.
    runtime.block_on(client.convert(&copy(directory.path(), "b"))).unwrap();
    assert!(fs::read(directory.path().join("b")).unwrap() == content());
}

/// A drop comes at any time: before the process is started, meanwhile, while it works, while its image is published.
#[test]
fn a_future_that_is_dropped_at_any_time_leaves_nothing_or_an_image() {
    let directory = with_source();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let client = client().into_async();
    let (mut done, mut dropped) = (0, 0);
    for round in 0..60 {
        let (b, copy) = (directory.path().join("b"), copy(directory.path(), "b"));
        let time = Duration::from_micros(round * 500);
        let result = runtime.block_on(async { tokio::time::timeout(time, client.convert(&copy)).await });
        match result {
            Ok(result) => {
                result.unwrap();
                done += 1;
            }
            Err(_) => dropped += 1,
        }
        let partial = directory.path().join(".b.partial");
        wait_for("nothing is left", || processes_about(directory.path()).is_empty() && !partial.exists());
        if b.exists() {
            assert!(fs::read(&b).unwrap() == content());
            fs::remove_file(&b).unwrap();
        }
    }
    println!("{done} were done, {dropped} dropped");
    assert!(dropped > 0);
}

#[test]
fn what_forks_and_ignores_term_goes_as_well() {
    let directory = scratch();
    // Seconds of our own, by which nobody else's are taken for ours.
    let times = [977, 978].map(|seconds| format!("{seconds}.{}", std::process::id()));
    let script = format!("#!/bin/sh\ntrap '' TERM\nsleep {} &\nsleep {}\n", times[0], times[1]);
    let program = executable(directory.path(), &script);
    let client = QemuImg::new(LocalExecutor::with_program(&program)).into_async();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let info = Info::new(Source::raw("/a"));
    let mut future = Box::pin(client.info(&info));
    let both = || times.iter().all(|time| is_running(Path::new(time)));
    runtime.block_on(until(&mut future, both));
    drop(future);
    wait_for("all of the group is gone", || {
        !times.iter().any(|time| is_running(Path::new(time))) && !is_running(&program)
    });
}

#[test]
fn a_runtime_that_is_shut_down_ends_what_it_runs() {
    let directory = with_source();
    for runtime in [Builder::new_current_thread(), Builder::new_multi_thread()] {
        let runtime = { runtime }.enable_io().build().unwrap();
        let (client, slow) = (client().into_async(), slow_copy(directory.path(), "b"));
        let task = runtime.spawn(async move { client.convert(&slow).await });
        let polled = |runtime: &Runtime| runtime.block_on(tokio::task::yield_now());
        wait_for("it writes", || {
            polled(&runtime);
            is_writing(directory.path(), "b")
        });
        drop(runtime);
        assert!(task.is_finished());
        assert_eq!(names(directory.path()), ["a"]);
        wait_for("it is gone", || processes_about(directory.path()).is_empty());
    }
}

/// In a runtime, threads come and go; the kernel would kill the children of those that go.
#[test]
fn a_command_outlives_the_thread_that_began_it() {
    let directory = with_source();
    let keep_alive = Duration::from_millis(1);
    let runtime = Builder::new_multi_thread().worker_threads(1).thread_keep_alive(keep_alive).enable_io().build();
    let runtime = runtime.unwrap();
    let (client, here) = (client().into_async(), directory.path().to_owned());
    // Four seconds.
    let slow = copy(&here, "b").rate(ByteSize::kib(256));
    let task = runtime.spawn(async move { client.convert(&slow).await });
    wait_for("it writes", || is_writing(&here, "b"));
    // The worker stands still until another thread does its work, and then it is one too many, and ends.
    let gone = runtime.block_on(runtime.spawn(async {
        let (send, receive) = std::sync::mpsc::channel();
        tokio::spawn(async move { send.send(()) });
        tokio::task::block_in_place(|| receive.recv().unwrap());
        rustix::thread::gettid()
    }));
    let gone = format!("/proc/self/task/{}", gone.unwrap().as_raw_nonzero());
    wait_for("the thread is gone", || !Path::new(&gone).exists());
    runtime.block_on(task).unwrap().unwrap();
    assert!(fs::read(here.join("b")).unwrap() == content());
}

#[test]
fn sixty_four_at_once_take_no_threads() {
    const NAME: &str = "sixty-four";
    let directory = with_source();
    let runtime = Builder::new_current_thread().enable_io().thread_name(NAME).build().unwrap();
    let semaphore = Semaphore::new(NonZero::new(4).unwrap());
    let client = Arc::new(client().semaphore(semaphore.clone()).into_async());
    let (most_processes, most_threads) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let over = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while over.load(Ordering::Relaxed) == 0 {
                most_processes.fetch_max(processes_about(directory.path()).len(), Ordering::Relaxed);
                most_threads.fetch_max(threads(&[NAME, "qemu-img-keeper"]), Ordering::Relaxed);
            }
        });
        let results = catch_unwind(AssertUnwindSafe(|| {
            let tasks: Vec<_> = (0..64)
                .map(|n| {
                    let (client, copy) = (Arc::clone(&client), copy(directory.path(), n.to_string()));
                    runtime.spawn(async move { client.convert(&copy).await })
                })
                .collect();
            let wait = async {
                for task in tasks {
                    task.await.unwrap().unwrap();
                }
            };
            runtime.block_on(wait);
        }));
        over.store(1, Ordering::Relaxed);
        results.unwrap();
    });
    for n in 0..64 {
        assert!(fs::read(directory.path().join(n.to_string())).unwrap() == content());
    }
    let (processes, threads) = (most_processes.into_inner(), most_threads.into_inner());
    println!("at most {processes} processes, and {threads} threads beside the one that waits");
    assert!((1..=4).contains(&processes), "{processes} at once");
    // Those that touch the disk before and after a command, of which some may not have gone to sleep when the next one
    // is needed, and the one that starts all processes.
    assert!(threads <= 20, "{threads} threads");
    assert_eq!((semaphore.free(), semaphore.waiting()), (4, 0));
}

/// How many threads of this process have one of these names.
fn threads(names: &[&str]) -> usize {
    let threads = fs::read_dir("/proc/self/task").unwrap().flatten();
    let name = |entry: fs::DirEntry| fs::read_to_string(entry.path().join("comm")).ok();
    threads.filter_map(name).filter(|name| names.contains(&name.trim())).count()
}

/// Whatever is printed without a pause, others have their turn.
#[test]
fn what_talks_without_end_does_not_keep_others_from_running() {
    let directory = scratch();
    let program = executable(directory.path(), "#!/bin/sh\nexec cat /dev/zero\n");
    let executor = LocalExecutor::with_program(program);
    let invocation = Info::new(Source::raw("/a")).invocation().unwrap();
    let token = CancelToken::new().unwrap();
    let request = Request::new(&invocation).output_limit(1 << 40).output(Output::Captured).cancel(token.clone());
    let outcome = runtime().block_on(async {
        let turns = tokio::task::spawn(async move {
            for _ in 0..1000 {
                tokio::task::yield_now().await;
            }
            token.cancel();
        });
        let outcome = executor.run_async(request).await;
        turns.await.unwrap();
        outcome.unwrap()
    });
    assert_eq!(outcome.end, qemu_exec::End::Cancelled);
}

#[test]
fn whatever_ends_a_command_is_told() {
    let directory = with_source();
    let here = directory.path();
    let run =
        |client: QemuImg<LocalExecutor>, convert: &Convert| runtime().block_on(client.into_async().convert(convert));
    let kind = |result: Result<_, Error>| result.map(|_: qemu_exec::Outcome| ()).unwrap_err().kind();

    let second = Some(Duration::from_secs(1));
    let before = Instant::now();
    assert_eq!(kind(run(client().data_timeout(second), &slow_copy(here, "b"))), ErrorKind::TimedOut);
    assert!(before.elapsed() >= Duration::from_secs(1) && before.elapsed() < Duration::from_secs(20));

    let script = "#!/bin/sh\nprintf '    (1.00/100%%)\\r'\nsleep 600\n";
    let stalls = QemuImg::new(LocalExecutor::with_program(executable(here, script))).stall_timeout(second);
    assert_eq!(kind(run(stalls, &copy(here, "b"))), ErrorKind::Stalled);
    fs::remove_file(here.join("qemu-img")).unwrap();

    let token = CancelToken::new().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            wait_for("it writes", || is_writing(here, "b"));
            token.cancel();
        });
        assert_eq!(kind(run(client().cancel(token.clone()), &slow_copy(here, "b"))), ErrorKind::Cancelled);
    });
    assert_eq!(kind(run(client(), &copy(here, "no/b"))), ErrorKind::NotFound);
    assert_eq!(names(here), ["a"]);
}

/// As in a test that lets the runtime's time fly.
#[test]
fn the_clock_is_that_of_the_machine() {
    let directory = with_source();
    let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let client = client().data_timeout(Some(Duration::from_secs(3600))).into_async();
    runtime.block_on(client.convert(&copy(directory.path(), "b"))).unwrap();
}

#[test]
fn progress_is_told_and_a_listener_may_panic() {
    let directory = with_source();
    let here = directory.path();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let push = Arc::clone(&seen);
    let listening = client().on_progress(move |progress: Progress| push.lock().unwrap().push(progress.percent()));
    runtime().block_on(listening.into_async().convert(&copy(here, "b"))).unwrap();
    let seen = seen.lock().unwrap();
    assert!(seen.is_sorted() && seen.last() == Some(&100.0), "{seen:?}");
    fs::remove_file(here.join("b")).unwrap();

    let panics = client().on_progress(|_| panic!("the listener")).into_async();
    let result = catch_unwind(AssertUnwindSafe(|| runtime().block_on(panics.convert(&slow_copy(here, "b")))));
    assert_eq!(result.unwrap_err().downcast_ref(), Some(&"the listener"));
    assert_eq!(names(here), ["a"]);
    wait_for("it is gone", || processes_about(here).is_empty());
}

/// Every method, against the one that is not awaited.
#[test]
fn every_call_does_what_it_does_without_a_runtime() {
    let directory = with_source();
    let here = directory.path();
    let (a, b) = (here.join("a"), here.join("b"));
    let checked = || client().checks(Checks::all()).wait_for_locks(Duration::from_secs(1));
    let (client, blocking) = (checked().into_async(), checked());
    runtime().block_on(async {
        client.convert(&Convert::new(Source::raw(&a), Target::new(&b, Qcow2::new()))).await.unwrap();
        let top = here.join("top");
        client.create(&Create::overlay(&top, Qcow2::new(), Backing::new(&b, Format::Qcow2))).await.unwrap();
        client
            .bitmap(&Bitmap::new(Source::qcow2(&top), "bits", BitmapAction::Add { granularity: None }))
            .await
            .unwrap();
        client.resize(&Resize::new(Source::qcow2(&top), ResizeTo::GrowTo(ByteSize::mib(2)))).await.unwrap();
        client.amend(&Amend::qcow2(Source::qcow2(&top), Qcow2Amend::new().lazy_refcounts(true))).await.unwrap();
        client.snapshot(&Snapshot::create(Source::qcow2(&top), "s")).await.unwrap();
        let chain = client.backing_chain(&Info::new(Source::qcow2(&top))).await.unwrap();
        assert_eq!(chain, blocking.backing_chain(&Info::new(Source::qcow2(&top))).unwrap());
        client.bench(&Bench::new(Source::qcow2(&top)).count(1)).await.unwrap();
        client.commit(&Commit::new(Source::qcow2(&top))).await.unwrap();
        client.rebase(&Rebase::flatten(Source::qcow2(&top))).await.unwrap();
        client.dd(&Dd::new(Source::qcow2(&b), here.join("c"), Format::Raw)).await.unwrap();
        assert!(client.qemu_version().await.unwrap() == blocking.qemu_version().unwrap());

        let info = Info::new(Source::qcow2(&b));
        assert_eq!(client.info(&info).await.unwrap(), blocking.info(&info).unwrap());
        let check = Check::new(Source::qcow2(&b));
        assert_eq!(client.check(&check).await.unwrap(), blocking.check(&check).unwrap());
        let map = Map::new(Source::qcow2(&b));
        assert_eq!(client.map(&map).await.unwrap(), blocking.map(&map).unwrap());
        let parts = client.read_map(&map, |extents| extents.count()).await.unwrap();
        assert_eq!(parts, blocking.map(&map).unwrap().len());
        let digest = client.digest(&Source::qcow2(&b)).await.unwrap();
        assert_eq!(digest, blocking.digest(&Source::qcow2(&b)).unwrap());
        let measure = Measure::image(Source::qcow2(&b), Raw::new());
        assert_eq!(client.measure(&measure).await.unwrap(), blocking.measure(&measure).unwrap());
        let compare = Compare::new(Source::raw(&a), Source::qcow2(&b));
        assert_eq!(client.compare(&compare).await.unwrap(), blocking.compare(&compare).unwrap());

        let upload = Inspected::new(open_image(&a).unwrap(), &Policy::untrusted()).unwrap();
        client.import(&upload, Target::new(here.join("imported"), Qcow2::new())).await.unwrap();
    });
    let compare = Compare::new(Source::raw(&a), Source::qcow2(here.join("imported")));
    assert!(blocking.compare(&compare).unwrap().is_identical());
}

#[test]
fn through_sudo() {
    let directory = with_source();
    let here = directory.path();
    let client = QemuImg::new(sudo()).data_timeout(Some(Duration::from_secs(60))).into_async();
    runtime().block_on(client.convert(&copy(here, "b"))).unwrap();
    assert!(fs::read(here.join("b")).unwrap() == content());
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let slow = slow_copy(here, "c");
    let mut future = Box::pin(client.convert(&slow));
    // Not to be taken for one of the programs in front of qemu-img.
    let writes = || here.join("c").exists() || is_writing(here, "c");
    runtime.block_on(until(&mut future, writes));
    drop(future);
    wait_for("it is gone", || processes_about(here).is_empty());
    assert!(!here.join(".c.partial").exists());
}

/// What runs no process needs no runtime.
#[test]
fn the_fake_and_a_dry_run_answer_at_once() {
    let fake = QemuImg::new(FakeExecutor::new()).into_async();
    let dry = QemuImg::new(DryRunExecutor::default()).into_async();
    let create = Create::new("/vm/a", Qcow2::new(), ByteSize::gib(1));
    let boxed: Box<dyn AsyncExecutor> = Box::new(FakeExecutor::new());
    let boxed = AsyncQemuImg::new(boxed);
    runtime().block_on(async {
        fake.create(&create).await.unwrap();
        boxed.create(&create).await.unwrap();
        let info = fake.info(&Info::new(Source::qcow2("/vm/a"))).await.unwrap();
        assert_eq!(info.virtual_size, 1 << 30);
        dry.create(&create).await.unwrap();
        assert_eq!(dry.executor().plans().len(), 1);
    });
}

#[test]
fn without_a_runtime_there_is_an_error() {
    let executor = local();
    let invocation = Info::new(Source::raw("/a")).invocation().unwrap();
    let mut future = executor.run_async(Request::new(&invocation));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.as_mut().poll(&mut context) {
        std::task::Poll::Ready(Err(error)) => assert_eq!(error.kind(), ErrorKind::CouldNotStart, "{error}"),
        other => panic!("{other:?}"),
    }
}

/// They can go to any thread.
#[test]
fn clients_and_their_futures_are_send() {
    const fn shared<T: Send + Sync>() {}
    const {
        shared::<QemuImg<LocalExecutor>>();
        shared::<AsyncQemuImg<LocalExecutor>>();
        shared::<QemuImg<Box<dyn qemu_exec::Executor>>>();
        shared::<Semaphore>();
    }
    fn sent<T: Send>(_: &T) {}
    let client = client().into_async();
    let convert = Convert::new(Source::raw("/a"), Target::new("/b", Raw::new()));
    sent(&client.convert(&convert));
    sent(&client.read_map(&Map::new(Source::raw("/a")), |extents| extents.count()));
    sent(&client.digest(&Source::raw("/a")));
    sent(&client.info(&Info::new(Source::raw("/a"))));
    fn import(client: &AsyncQemuImg<LocalExecutor>, image: &Inspected, target: Target) {
        sent(&client.import(image, target));
    }
    let _ = import;
}
