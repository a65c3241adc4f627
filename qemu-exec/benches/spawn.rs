//! What it costs to run a program with this crate, beside the least that it can cost: `posix_spawn` in C.
//!
//! `cargo bench -p qemu-exec --bench spawn -- [--rounds N] [--gib N] [PROGRAM]`
//!
//! The runs of all ways are interleaved, so that what else the machine does is the same for all. Each is timed in the
//! process that makes it, from the first pipe to the end of output and child; what is shown are medians. With `--gib`
//! both processes have touched that much memory. PROGRAM is run as `PROGRAM info …`: `qemu-img` unless given.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use qemu_exec::cmd::{ByteSize, Create, Info, Invocation, Object, Qcow2, Secret, SecretId, Source};
use qemu_exec::{Executor, Limits, LocalExecutor, QemuImg, Request};

/// Runs its arguments once for each line of input, and prints how many nanoseconds that took.
const YARDSTICK: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char *env[] = { "LC_ALL=C", "LANG=C", NULL };

static void run(char **argv)
{
    static char buffer[65536];
    int out[2], err[2], status;
    pid_t pid;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    if (pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC))
        abort();
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    posix_spawn_file_actions_adddup2(&actions, err[1], 2);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    if (posix_spawn(&pid, argv[0], &actions, &attributes, argv, env))
        abort();
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    close(out[1]);
    close(err[1]);
    struct pollfd fds[2] = { { out[0], POLLIN, 0 }, { err[0], POLLIN, 0 } };
    while (fds[0].fd >= 0 || fds[1].fd >= 0) {
        poll(fds, 2, -1);
        for (int i = 0; i < 2; i++)
            if (fds[i].revents && read(fds[i].fd, buffer, sizeof buffer) <= 0) {
                close(fds[i].fd);
                fds[i].fd = -1;
                fds[i].revents = 0;
            }
    }
    if (waitpid(pid, &status, 0) != pid || status != 0)
        abort();
}

int main(int argc, char **argv)
{
    size_t ballast = (size_t)atoi(argv[1]) << 30;
    char *memory = malloc(ballast + 1);
    if (memory == NULL)
        abort();
    memset(memory, 1, ballast + 1);
    while (getchar() == '\n') {
        struct timespec before, after;
        clock_gettime(CLOCK_MONOTONIC, &before);
        run(argv + 2);
        clock_gettime(CLOCK_MONOTONIC, &after);
        printf("%lld\n", (after.tv_sec - before.tv_sec) * 1000000000LL + (after.tv_nsec - before.tv_nsec));
        fflush(stdout);
    }
    return memory[ballast] != 1;
}
"#;

struct Yardstick {
    child: Child,
    ask: ChildStdin,
    answer: BufReader<ChildStdout>,
}

impl Yardstick {
    fn new(directory: &Path, gib: usize, command: &[OsString]) -> Self {
        let (source, program) = (directory.join("yardstick.c"), directory.join("yardstick"));
        std::fs::write(&source, YARDSTICK).unwrap();
        let compiled = Command::new("cc").args(["-O2", "-w", "-o"]).arg(&program).arg(&source).status();
        assert!(compiled.expect("a C compiler is installed").success());
        let mut command_line = Command::new(program);
        command_line.arg(gib.to_string()).args(command).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command_line.spawn().unwrap();
        let (ask, answer) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, ask, answer }
    }

    fn run(&mut self) -> Duration {
        self.ask.write_all(b"\n").unwrap();
        let mut line = String::new();
        self.answer.read_line(&mut line).unwrap();
        Duration::from_nanos(line.trim().parse().expect("the yardstick works"))
    }
}

impl Drop for Yardstick {
    fn drop(&mut self) {
        let _ = self.child.kill().and_then(|()| self.child.wait());
    }
}

fn timed(executor: &LocalExecutor, request: &Request<'_>) -> Duration {
    let started = Instant::now();
    let outcome = executor.run(request.clone()).unwrap();
    let time = started.elapsed();
    assert!(outcome.success(), "{outcome:?}");
    time
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn main() {
    let (mut rounds, mut gib, mut program) = (300, 0, PathBuf::from("qemu-img"));
    let mut args = std::env::args_os().skip(1);
    while let Some(arg) = args.next() {
        let mut number = || args.next().and_then(|value| value.to_str()?.parse().ok()).expect("a number");
        match arg.to_str() {
            // What cargo itself adds.
            Some("--bench") => {}
            Some("--rounds") => rounds = number(),
            Some("--gib") => gib = number(),
            _ => program = arg.into(),
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("image");
    let create = Create::new(&image, Qcow2::new(), ByteSize::gib(1));
    QemuImg::new(LocalExecutor::new()).create(&create).unwrap();
    let info = |source: Source| Info::new(source).invocation().unwrap();
    let plain: Invocation = info(Source::qcow2(&image));
    let key = Secret::new("x").unwrap();
    // Nobody uses the key of an image that is not encrypted, but it is delivered.
    let secret = info(Source::qcow2(&image).object(Object::secret(SecretId::new("s").unwrap(), key)));
    let (native, portable) = (LocalExecutor::with_program(&program), LocalExecutor::with_program(&program).portable());
    let bounded =
        |invocation| Request::new(invocation).limits(Limits::metadata()).timeout(Some(Duration::from_secs(60)));
    let ways = [
        ("native, no limits", &native, Request::new(&plain)),
        ("native, limits", &native, bounded(&plain)),
        ("native, limits, a secret", &native, bounded(&secret)),
        ("portable, no limits", &portable, Request::new(&plain)),
        ("portable, limits", &portable, bounded(&plain)),
    ];

    let launch = native.plan(&Request::new(&plain)).unwrap().launch;
    let command: Vec<OsString> = [launch.program.into_os_string()].into_iter().chain(launch.args).collect();
    let mut yardstick = Yardstick::new(directory.path(), gib, &command);
    let ballast = vec![1_u8; gib << 30];
    let mut least = Vec::new();
    let mut times = ways.each_ref().map(|_| Vec::new());
    for _ in 0..rounds {
        least.push(yardstick.run());
        for ((_, executor, request), times) in ways.iter().zip(&mut times) {
            times.push(timed(executor, request));
        }
    }
    std::hint::black_box(&ballast);

    let least = median(&mut least);
    println!("{} from {gib} GiB, {rounds} rounds", program.display());
    println!("{:<28} {:>9.3} ms  1.00", "posix_spawn in C", least.as_secs_f64() * 1e3);
    for ((name, ..), mut times) in ways.iter().zip(times) {
        let time = median(&mut times);
        println!("{name:<28} {:>9.3} ms  {:.2}", time.as_secs_f64() * 1e3, time.as_secs_f64() / least.as_secs_f64());
    }
}
