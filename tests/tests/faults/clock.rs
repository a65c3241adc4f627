//! The clock on the wall jumps, by years, to and fro: no deadline comes early, late or never.
//!
//! To set the clock of the machine would disturb everybody. So it is a library that stands between this program, run once
//! more, and its libc, which is what std asks for the time.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use qemu_cmd::{ByteSize, Convert, Info, Raw, Source, Target};
use qemu_exec::{Error, ErrorKind, QemuImg};
use rustix::process::Signal;
use tests::machine::Writer;
use tests::processes::{assert_passed, innermost, processes_about, signal, wait_until};
use tests::{Kind, fifo, local, scratch, sudo, write_fixture};

const JUMPS: &str = r#"
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long jump(void)
{
    static unsigned calls;
    return (__atomic_fetch_add(&calls, 1, __ATOMIC_RELAXED) & 1 ? 1 : -1) * 1000000000L;
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
    int result = syscall(SYS_clock_gettime, clock, time);
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE || clock == CLOCK_TAI)
        time->tv_sec += jump();
    return result;
}

int gettimeofday(struct timeval *time, void *zone)
{
    int result = syscall(SYS_gettimeofday, time, zone);
    time->tv_sec += jump();
    return result;
}

time_t time(time_t *out)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out)
        *out = now.tv_sec;
    return now.tv_sec;
}
"#;

fn library(directory: &Path) -> PathBuf {
    let (source, library) = (directory.join("jumps.c"), directory.join("jumps.so"));
    std::fs::write(&source, JUMPS).unwrap();
    let output = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-w", "-o"]).arg(&library).arg(&source).output();
    let output = output.expect("this test needs a C compiler: install gcc, and the headers of libc");
    assert!(output.status.success(), "{output:?}");
    library
}

const HALF: Duration = Duration::from_millis(500);

/// Fails unless it took half a second, and not much more.
fn half_a_second(act: impl FnOnce() -> Result<(), Error>) -> ErrorKind {
    let started = Instant::now();
    let error = act().expect_err("it comes to no end by itself");
    let took = started.elapsed();
    assert!(took >= HALF && took < HALF * 10, "{error}: after {took:?}");
    error.kind()
}

#[test]
fn deadlines_do_not_depend_on_the_wall_clock() {
    const ROLE: &str = "FAULTS_CLOCK_JUMPS";
    if std::env::var_os(ROLE).is_none() {
        let directory = scratch();
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["clock::deadlines_do_not_depend_on_the_wall_clock", "--exact"])
            .env(ROLE, "1")
            .env("LD_PRELOAD", library(directory.path()))
            .output()
            .unwrap();
        assert_passed(&output);
        return;
    }
    // Here the clock jumps.
    let [a, b] = [SystemTime::now(), SystemTime::now()];
    let apart = a.duration_since(b).unwrap_or_else(|error| error.duration());
    assert!(apart > Duration::from_secs(1 << 30), "the clock does not jump: {a:?} {b:?}");

    let directory = scratch();
    let path = |name: &str| directory.path().join(name);
    let fifo = fifo(directory.path());
    let info = Info::new(Source::raw(&fifo));
    let kind = half_a_second(|| QemuImg::new(local()).metadata_timeout(Some(HALF)).info(&info).map(drop));
    assert_eq!(kind, ErrorKind::TimedOut);
    let kind = half_a_second(|| QemuImg::new(sudo()).metadata_timeout(Some(HALF)).info(&info).map(drop));
    assert_eq!(kind, ErrorKind::TimedOut);

    write_fixture(Kind::Qcow2, &path("used"));
    let to = |name: &str| Target::new(path(name), Raw::new());
    let writer = Writer::of(&path("used"));
    let used = Convert::new(Source::qcow2(path("used")), to("b"));
    let kind = half_a_second(|| QemuImg::new(local()).wait_for_locks(HALF).convert(&used).map(drop));
    assert_eq!(kind, ErrorKind::Locked);
    drop(writer);

    // What has time is not ended, whoever keeps the clock.
    write_fixture(Kind::Raw, &path("a"));
    let slow = |name: &str| Convert::new(Source::raw(path("a")), to(name)).rate(ByteSize::kib(768));
    QemuImg::new(local()).data_timeout(Some(HALF * 60)).convert(&slow("c")).unwrap();
    QemuImg::new(sudo()).data_timeout(Some(HALF * 60)).convert(&slow("d")).unwrap();
    let stalling = QemuImg::new(local()).stall_timeout(Some(HALF * 4));
    std::thread::scope(|scope| {
        let held = scope.spawn(|| stalling.convert(&slow("e").rate(ByteSize::kib(128))).unwrap_err());
        assert!(wait_until(|| path(".e.partial").metadata().is_ok_and(|meta| meta.len() > 0)));
        std::thread::sleep(HALF);
        let stopped = Instant::now();
        signal(innermost(&processes_about(&path(".e.partial"))).unwrap(), Signal::STOP);
        assert_eq!(held.join().unwrap().kind(), ErrorKind::Stalled);
        let took = stopped.elapsed();
        assert!(took > HALF && took < HALF * 20, "{took:?}");
    });
}
