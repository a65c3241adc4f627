//! Many children at once, from a process that is busy: each is what it was asked to be, and nothing is left of it.
//!
//! A test of its own process, since it counts descriptors and children. 1,000 of them; with `QEMU_TESTS_LONG=1` 20,000.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use qemu_cmd::{ByteSize, CommandLine, Invocation};
use qemu_exec::{Executor as _, Limits, LocalExecutor, Request};
use rustix::process::{Signal, WaitOptions, getpid, kill_process, waitpid};
use tests::{Report, long, reporter, scratch};

const THREADS: usize = 16;

fn children() -> usize {
    if long() { 20_000 } else { 1_000 }
}

/// A command with up to three secrets.
fn invocation(n: usize) -> Invocation {
    let objects = (0..n % 4).flat_map(|k| ["--object".to_owned(), format!("secret,id=s{k},data=secret {k} of {n}")]);
    let line = ["info".to_owned()].into_iter().chain(objects).chain(["image".to_owned()]);
    CommandLine::parse(line.map(Into::into)).unwrap().invocation().unwrap()
}

fn limits(n: usize) -> Limits {
    let n = n as u64;
    let limits = Limits::none().cpu(Duration::from_secs(100 + n)).open_files(100 + n % 50);
    match n % 3 {
        0 => limits,
        1 => limits.address_space(ByteSize::mib(512 + n)),
        _ => limits.file_size(ByteSize::kib(n)),
    }
}

fn check(report: &Report, n: usize) {
    let secrets = n % 4;
    assert_eq!(
        report.fds.keys().copied().collect::<Vec<_>>(),
        (0..3 + secrets as u32).collect::<Vec<_>>(),
        "{report:?}"
    );
    assert_eq!(report.fds[&0], "/dev/null");
    assert!(report.fds[&1].starts_with("pipe:") && report.fds[&2].starts_with("pipe:"), "{report:?}");
    assert_eq!(report.secrets, (0..secrets).map(|k| format!("secret {k} of {n}")).collect::<Vec<_>>());

    let mut environment = vec!["LC_ALL=C", "LANG=C"];
    if n % 3 == 1 {
        environment.push("MALLOC_ARENA_MAX=1");
    }
    assert_eq!(report.environment, environment);

    for signals in ["SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt"] {
        assert_eq!(report.status(signals), "0000000000000000", "{signals}");
    }

    assert_eq!(report.limit("Max open files"), [(100 + n % 50).to_string(), (100 + n % 50).to_string()]);
    assert_eq!(report.limit("Max cpu time"), [(100 + n).to_string(), (101 + n).to_string()]);
    let unlimited = ["unlimited"; 2].map(str::to_owned);
    let bytes = |on: bool, bytes: usize| if on { [(); 2].map(|()| bytes.to_string()) } else { unlimited.clone() };
    assert_eq!(report.limit("Max address space"), bytes(n % 3 == 1, (512 + n) << 20));
    assert_eq!(report.limit("Max file size"), bytes(n % 3 == 2, n << 10));
    let mut ours = vec!["Max open files", "Max cpu time", "Max address space", "Max file size"];
    if secrets > 0 {
        assert_eq!(report.limit("Max core file size"), ["0", "0"]);
        ours.push("Max core file size");
    }
    // All others are those of the parent, which has kept its own.
    let parent = fs::read_to_string("/proc/self/limits").unwrap();
    let other = |line: &&str| !ours.iter().any(|title| line.starts_with(title));
    assert_eq!(report.other_limits(&ours), parent.lines().filter(other).collect::<Vec<_>>());
}

/// What else a process does meanwhile.
fn noise(over: &Arc<AtomicBool>) -> Vec<std::thread::JoinHandle<()>> {
    let kinds: [fn(); 3] = [
        || drop((0..100).map(|n| vec![n as u8; n * 64]).collect::<Vec<_>>()),
        // Open without O_CLOEXEC, so that a child has it unless somebody sees to that.
        || {
            let open = || rustix::fs::open("/dev/null", rustix::fs::OFlags::RDONLY, 0.into()).unwrap();
            drop([(); 8].map(|()| open()));
        },
        || {
            for signal in [Signal::ALARM, Signal::USR1, Signal::CHILD] {
                kill_process(getpid(), signal).unwrap();
            }
            std::thread::sleep(Duration::from_micros(200));
        },
    ];
    let start = |act: fn()| {
        let over = Arc::clone(over);
        std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                act();
            }
        })
    };
    kinds.map(start).into()
}

fn descriptors() -> Vec<String> {
    let link = |entry: io::Result<fs::DirEntry>| fs::read_link(entry.unwrap().path()).ok();
    let mut all: Vec<String> =
        fs::read_dir("/proc/self/fd").unwrap().filter_map(link).map(|path| path.display().to_string()).collect();
    all.sort();
    all
}

fn mappings() -> usize {
    fs::read_to_string("/proc/self/maps").unwrap().lines().count()
}

fn own_status(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    u64::from_str_radix(status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim(), 16).unwrap()
}

#[test]
fn children_are_what_was_asked_for() {
    let directory = scratch();
    let executor = Arc::new(LocalExecutor::with_program(reporter(directory.path())));
    let taken = Arc::new(AtomicUsize::new(0));
    for signal in [signal_hook::consts::SIGALRM, signal_hook::consts::SIGUSR1, signal_hook::consts::SIGCHLD] {
        let taken = Arc::clone(&taken);
        signal_hook::flag::register_usize(signal, taken, signal as usize).unwrap();
    }
    // What a child must not have from us.
    let pipe = 1 << (Signal::PIPE.as_raw() - 1);
    assert!(own_status("SigIgn:") & pipe != 0, "a Rust program ignores it");
    assert!(own_status("SigCgt:") != 0);
    let _open = [(); 20].map(|()| rustix::fs::open("/dev/null", rustix::fs::OFlags::RDONLY, 0.into()).unwrap());
    let before = descriptors();
    let mapped = mappings();
    let own_limits = fs::read_to_string("/proc/self/limits").unwrap();

    let over = Arc::new(AtomicBool::new(false));
    let noise = noise(&over);
    let next = Arc::new(AtomicUsize::new(0));
    let (done, all_done) = mpsc::channel();
    let workers = [(); THREADS].map(|()| {
        let (executor, next, done) = (Arc::clone(&executor), Arc::clone(&next), done.clone());
        std::thread::spawn(move || {
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= children() {
                    break;
                }
                let invocation = invocation(n);
                let request = Request::new(&invocation).limits(limits(n)).timeout(Some(Duration::from_secs(100)));
                let outcome = executor.run(request).unwrap();
                assert!(outcome.success(), "{n}: {outcome:?}");
                check(&Report::parse(&outcome.stdout), n);
                done.send(()).unwrap();
            }
        })
    });
    drop(done);
    let finished = (0..).map_while(|_| match all_done.recv_timeout(Duration::from_secs(120)) {
        Ok(()) => Some(()),
        Err(mpsc::RecvTimeoutError::Disconnected) => None,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("no child has ended for two minutes"),
    });
    let finished = finished.count();
    workers.into_iter().for_each(|worker| worker.join().unwrap());
    over.store(true, Ordering::Relaxed);
    noise.into_iter().for_each(|thread| thread.join().unwrap());

    assert_eq!(finished, children());
    assert_ne!(taken.load(Ordering::Relaxed), 0, "no signal was taken");
    assert_eq!(descriptors(), before);
    assert_eq!(fs::read_to_string("/proc/self/limits").unwrap(), own_limits);
    // Threads leave some behind, but not one a child.
    assert!(mappings() < mapped + 500, "{} mappings have become {}", mapped, mappings());
    let zombie = waitpid(None, WaitOptions::NOHANG);
    assert!(matches!(zombie, Err(rustix::io::Errno::CHILD)), "{zombie:?}");
}
