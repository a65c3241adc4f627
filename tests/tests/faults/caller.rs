//! The caller is killed, at any moment: no qemu-img lives on, no half image has the name, and no passphrase is in a file.
//!
//! The caller is this program once more. Moments are drawn from a seed, which is printed, and can be given as
//! `FAULTS_SEED`; and those that are too short to be met by chance are given by strace(1), at a system call.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use qemu_cmd::{ByteSize, Convert, Raw, Secret, Source, Target};
use qemu_exec::{Executor, Publish, QemuImg, remove_leftovers};
use rustix::process::Signal;
use tempfile::TempDir;
use tests::processes::{processes_about, signal, wait_until};
use tests::traces::{Needles, Places, Sight, locked};
use tests::{content, local, long, names, scratch, sudo};

/// Who is the caller, and where.
const DIRECTORY: &str = "FAULTS_CALLER_DIRECTORY";
/// How many KiB it copies in a second.
const RATE: &str = "FAULTS_CALLER_RATE";
/// So that the name is there before long; and so that who lives on is seen to.
const QUICK: u64 = 8 << 10;
const SLOW: u64 = 32;
/// How long it may take by the clock, which is not to be what ends it.
const TIMEOUT: Duration = Duration::from_secs(60);
/// How long what the caller has started may live on: sudo is not quick to be told.
const SOON: Duration = Duration::from_secs(5);

const OLD: &[u8] = b"what was there";

/// How many callers are killed.
fn callers() -> usize {
    if long() { 200 } else { 8 }
}

#[test]
fn of_a_local_qemu_img() {
    run("caller::of_a_local_qemu_img", local());
}

#[test]
fn of_a_sudo() {
    run("caller::of_a_sudo", sudo());
}

fn run(test: &'static str, executor: impl Executor) {
    if let Some(directory) = std::env::var_os(DIRECTORY) {
        // Here this is the caller.
        let mut passphrase = String::new();
        std::io::stdin().read_to_string(&mut passphrase).unwrap();
        let path = |name: &str| Path::new(&directory).join(name);
        let source = Source::luks(path("a"), Secret::new(passphrase).unwrap());
        let convert = Convert::new(source, Target::new(path("b"), Raw::new()));
        let rate = ByteSize::kib(std::env::var(RATE).unwrap().parse().unwrap());
        let client = QemuImg::new(executor).data_timeout(Some(TIMEOUT));
        client.publish(Publish::new().replace(true)).convert(&convert.rate(rate)).unwrap();
        return;
    }
    assert!(rustix::process::geteuid().is_root(), "this test must be run by root: for others, sudo writes in place");
    let callers = Callers::new(test);
    callers.are_killed_at_random();
    if !callers.by_sudo() {
        callers.are_killed_at_system_calls();
    }
    callers.have_left_no_secret();
}

struct Callers {
    test: &'static str,
    directory: TempDir,
    needles: Needles,
    places: Places,
}

/// What `b` is when the caller is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum B {
    Old,
    New,
}

impl Callers {
    fn new(test: &'static str) -> Self {
        let (image, passphrase) = locked();
        let directory = scratch();
        fs::write(directory.path().join("a"), image).unwrap();
        let places = Places::remember(directory.path());
        Self { test, directory, needles: Needles::new([&**passphrase]), places }
    }

    fn by_sudo(&self) -> bool {
        self.test.ends_with("sudo")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Starts one, that converts `a` to `b`.
    fn start(&self, mut command: Command, rate: u64) -> Child {
        fs::write(self.path("b"), OLD).unwrap();
        command.arg(std::env::current_exe().unwrap()).args([self.test, "--exact"]);
        let command = command.env(DIRECTORY, self.directory.path()).env(RATE, rate.to_string()).stdin(Stdio::piped());
        let mut caller = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut stdin = caller.stdin.take().unwrap();
        // One that is killed early does not read it.
        let _ = stdin.write_all(locked().1.as_bytes());
        caller
    }

    /// What is left after the caller is gone, and that it is what may be left.
    fn look(&self, when: &str) -> B {
        if self.by_sudo() {
            // A sudo that was being started has not got its arguments yet.
            std::thread::sleep(Duration::from_millis(300));
        }
        let soon = Instant::now() + SOON;
        while !processes_about(self.directory.path()).is_empty() && Instant::now() < soon {
            std::thread::sleep(Duration::from_millis(5));
        }
        let gone = processes_about(self.directory.path()).is_empty();
        processes_about(self.directory.path()).iter().for_each(|pid| signal(*pid, Signal::KILL));
        assert!(gone, "{when}: a process lives on");
        let b = fs::read(self.path("b")).unwrap();
        assert!(b == OLD || b == content(), "{when}: half an image of {} bytes has the name", b.len());
        let mut sight = Sight::default();
        self.places.look(&self.needles, &mut sight);
        assert!(sight.found.is_empty(), "{when}: {:?}", sight.found);
        // An unfinished file may be left, which nobody holds: a child that was being started does so for a moment.
        let is_clean = || {
            remove_leftovers(self.directory.path(), false).unwrap();
            names(self.directory.path()) == ["a", "b"]
        };
        assert!(wait_until(is_clean), "{when}: {:?}", names(self.directory.path()));
        if b == OLD { B::Old } else { B::New }
    }

    fn are_killed_at_random(&self) {
        let whole = (0..3).map(|_| {
            let started = Instant::now();
            assert!(self.start(Command::new("env"), QUICK).wait().unwrap().success());
            let took = started.elapsed();
            assert_eq!(self.look("alive"), B::New);
            took
        });
        let whole = whole.min().unwrap();
        let mut random = Random::new();
        let (mut before, mut during, mut after) = (0, 0, 0);
        for n in 0..callers() {
            // One in three at the end, where the name is given, and one in three far from it.
            let part = if n % 3 == 0 { 0.9 + 0.2 * random.part() } else { random.part() };
            let mut caller = self.start(Command::new("env"), if n % 3 == 1 { SLOW } else { QUICK });
            std::thread::sleep(whole.mul_f64(part));
            let ran = !processes_about(&self.path(".b.partial")).is_empty();
            caller.kill().unwrap();
            caller.wait().unwrap();
            match self.look(&format!("caller {n} of seed {}, after {:.3} of {whole:?}", random.seed, part)) {
                B::New => after += 1,
                B::Old if ran => during += 1,
                B::Old => before += 1,
            }
        }
        println!(
            "{}: of {} callers, {during} were killed while qemu-img ran, {before} before or after that, and {after} when \
             the image had its name; seed {}",
            self.test,
            callers(),
            random.seed
        );
        assert!(during > 0, "no caller was killed while qemu-img ran");
    }

    /// Each is killed as it makes this system call for the nth time, and the call is not made.
    fn are_killed_at_system_calls(&self) {
        for (call, nth, expected) in [
            ("flock", 1, B::Old),
            ("memfd_create", 1, B::Old),
            ("poll", 1, B::Old),
            ("wait4", 1, B::Old),
            ("fsync", 1, B::Old),
            ("renameat", 1, B::Old),
            // That of the directory.
            ("fsync", 2, B::New),
        ] {
            let mut strace = Command::new("strace");
            strace.args(["-f", "-o", "/dev/null", "-e"]).arg(format!("trace={call}"));
            strace.arg("-e").arg(format!("inject={call}:signal=SIGKILL:when={nth}"));
            let status = self.start(strace, QUICK).wait().unwrap();
            assert!(!status.success(), "{call} {nth}: it was not killed");
            assert_eq!(self.look(&format!("at {call} {nth}")), expected, "{call} {nth}");
        }
    }

    fn have_left_no_secret(&self) {
        let mut sight = Sight::default();
        self.places.look_everywhere(&self.needles, &mut sight);
        assert!(sight.found.is_empty(), "{:?}", sight.found);
    }
}

/// Numbers from a seed (xorshift).
struct Random {
    seed: u64,
    state: u64,
}

impl Random {
    fn new() -> Self {
        let given = std::env::var("FAULTS_SEED").ok().map(|seed| seed.parse().expect("FAULTS_SEED is a number"));
        let now = || SystemTime::UNIX_EPOCH.elapsed().unwrap_or(Duration::ZERO).as_micros() as u64;
        let seed = given.unwrap_or_else(now);
        Self { seed, state: seed | 1 }
    }

    /// From 0 to 1.
    fn part(&mut self) -> f64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 11) as f64 / (1_u64 << 53) as f64
    }
}
