//! What it costs to run `qemu-img info`, against the least that it can cost: `posix_spawn` in C.
//!
//! Each is timed in the process that makes it, from the first pipe to the end of output and child.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Duration;

use qemu_cmd::{ByteSize, Create, Info, Object, Qcow2, Secret, SecretId, Source};
use qemu_exec::{Executor as _, Limits, LocalExecutor, Request};
use tests::{client, local, scratch};

use crate::measure::{Effort, Figure, Limit, Race, timed};

/// How many run at once, where many do.
const MANY: usize = 32;

/// The program in C.
struct Yardstick {
    child: Child,
    ask: ChildStdin,
    answer: BufReader<ChildStdout>,
}

impl Yardstick {
    fn new(directory: &Path, gib: usize, count: usize, command: &[OsString]) -> Self {
        let (source, program) = (directory.join("yardstick.c"), directory.join("yardstick"));
        if !program.exists() {
            std::fs::write(&source, include_str!("yardstick.c")).unwrap();
            let compiled = Command::new("cc").args(["-O2", "-w", "-o"]).arg(&program).arg(&source).status();
            assert!(compiled.expect("a C compiler is installed").success());
        }
        let mut yardstick = Command::new(program);
        yardstick.args([gib, count].map(|number| number.to_string())).args(command);
        let mut child = yardstick.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
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

fn run(executor: &LocalExecutor, request: &Request<'_>) {
    let outcome = executor.run(request.clone()).unwrap();
    assert!(outcome.success(), "{outcome:?}");
}

/// The same by the standard library. To run something in the child before the program, as one must to set limits
/// there, it forks; as it does to become a user, which needs no unsafe code here.
fn by_std(command: &[OsString], forks: bool) {
    let mut std = Command::new(&command[0]);
    std.args(&command[1..]).env_clear().env("LC_ALL", "C").env("LANG", "C").process_group(0).stdin(Stdio::null());
    if forks {
        std.uid(rustix::process::getuid().as_raw());
    }
    assert!(std.output().unwrap().status.success());
}

pub(crate) fn figures(effort: Effort) -> Vec<Figure> {
    race(0, Limit::Ratio(1.05), effort.rounds(400), effort.rounds(100))
}

/// From a process that has touched 4 GiB.
pub(crate) fn from_a_large_parent(effort: Effort) -> Vec<Figure> {
    let ballast = vec![1_u8; 4 << 30];
    let figures = race(4, Limit::Ratio(1.3), effort.rounds(50), 0);
    std::hint::black_box(&ballast);
    figures
}

fn race(gib: usize, limit: Limit, rounds: usize, rounds_of_many: usize) -> Vec<Figure> {
    let directory = scratch();
    let image = directory.path().join("image");
    client().create(&Create::new(&image, Qcow2::new(), ByteSize::gib(1))).unwrap();
    let info = |source: Source| Info::new(source).invocation().unwrap();
    let plain = info(Source::qcow2(&image));
    // Nobody uses the key of an image that is not encrypted, but it is delivered.
    let key = Object::secret(SecretId::new("s").unwrap(), Secret::new("x").unwrap());
    let secret = info(Source::qcow2(&image).object(key));
    let (native, portable) = (local(), local().portable());
    let bounded =
        |invocation| Request::new(invocation).limits(Limits::metadata()).timeout(Some(Duration::from_secs(60)));
    let launch = native.plan(&Request::new(&plain)).unwrap().launch;
    let command: Vec<OsString> = [launch.program.into_os_string()].into_iter().chain(launch.args).collect();

    let from = if gib > 0 { format!(", from {gib} GiB") } else { String::new() };
    let mut yardstick = Yardstick::new(directory.path(), gib, 1, &command);
    let mut figures = Race::against("posix_spawn in C", || yardstick.run())
        .with(format!("info without limits{from}"), limit, || timed(|| run(&native, &Request::new(&plain))))
        .with(format!("info under limits{from}"), limit, || timed(|| run(&native, &bounded(&plain))))
        .with(format!("info under limits, a secret{from}"), limit, || timed(|| run(&native, &bounded(&secret))))
        .with(format!("portable, by prlimit(1){from}"), Limit::None, || timed(|| run(&portable, &bounded(&plain))))
        .with(format!("std Command{from}"), Limit::None, || timed(|| by_std(&command, false)))
        .with(format!("std Command that forks{from}"), Limit::None, || timed(|| by_std(&command, true)))
        .run(rounds);
    if rounds_of_many > 0 {
        let mut yardstick = Yardstick::new(directory.path(), gib, MANY, &command);
        let request = bounded(&plain);
        let many = Race::against("posix_spawn in C, 32 at once", || yardstick.run())
            .with(format!("info under limits, {MANY} at once"), Limit::Ratio(1.05), || {
                timed(|| {
                    thread::scope(|scope| {
                        for _ in 0..MANY {
                            scope.spawn(|| run(&native, &request));
                        }
                    });
                })
            })
            .run(rounds_of_many);
        figures.extend(many);
    }
    figures
}
