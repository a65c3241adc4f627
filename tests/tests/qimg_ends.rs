//! How `qimg` ends when qemu-img does not end by itself: timeouts, limits, and signals to either of them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tests::machine::need_sudo;
use tests::processes::{arguments, processes_about, wait_until};
use tests::{fifo, qimg, scratch};

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The line that qimg adds to what qemu-img said.
fn own_line(output: &Output) -> String {
    let text = stderr(output);
    let lines: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("qimg: ")).collect();
    assert_eq!(lines.len(), 1, "{text:?}");
    lines[0].to_owned()
}

/// The processes whose command line holds this path.
fn processes_with(path: &Path) -> Vec<(Pid, Vec<Vec<u8>>)> {
    let lines = processes_about(path).into_iter().map(|pid| (pid, arguments(pid)));
    lines.filter(|(_, line)| !line.is_empty()).collect()
}

/// qemu-img itself, once it runs: neither qimg nor what stands in front of qemu-img.
fn qemu_img_with(path: &Path) -> Pid {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        for (pid, line) in processes_with(path) {
            let name = |arg: &[u8]| arg.rsplit(|byte| *byte == b'/').next().unwrap_or_default().to_vec();
            let wrapper =
                [&b"qimg-under-test"[..], b"sudo", b"env", b"timeout", b"prlimit"].contains(&&*name(&line[0]));
            let runs = line.windows(2).any(|pair| name(&pair[0]).starts_with(b"qemu-img") && pair[1] == b"convert");
            // A shell in front of it becomes it.
            if runs && !wrapper && !name(&line[0]).ends_with(b"sh") {
                return pid;
            }
        }
        assert!(Instant::now() < deadline, "qemu-img did not start");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn assert_nothing_left(path: &Path) {
    // The shell behind sudo may be on its way.
    let _ = wait_until(|| processes_with(path).is_empty());
    let left: Vec<String> =
        processes_with(path).iter().map(|(_, line)| String::from_utf8_lossy(&line.join(&b' ')).into_owned()).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// A conversion that would take a quarter of an hour, in a directory of its own, and is running.
struct Long {
    directory: tempfile::TempDir,
    child: Child,
    qemu_img: Pid,
}

impl Long {
    fn start(given: Command) -> Self {
        let directory = scratch();
        // Whoever runs the tests in the background, or by nohup(1), has it ignore what is sent here.
        let mut command = Command::new("env");
        command.arg("--default-signal").arg(given.get_program()).args(given.get_args());
        command.envs(given.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let (from, to) = (directory.path().join("a"), directory.path().join("b"));
        File::create(&from).unwrap().set_len(64 << 20).unwrap();
        command.args("convert -m 1 -S 0 -r 64k -f raw -O raw".split(' ')).arg(&from).arg(&to);
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let qemu_img = qemu_img_with(directory.path());
        // timeout(1) forgets its child if it is told to end in the moment in which it has made it.
        std::thread::sleep(Duration::from_millis(200));
        Self { directory, child, qemu_img }
    }

    fn signal_qimg(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for the end, which must come soon and leave no process behind.
    fn end(self) -> Output {
        let started = Instant::now();
        let output = self.child.wait_with_output().unwrap();
        assert!(started.elapsed() < Duration::from_secs(4), "it took {:?} to end", started.elapsed());
        assert_nothing_left(self.directory.path());
        output
    }
}

#[test]
fn a_signal_to_qimg_ends_qemu_img_too() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let long = Long::start(qimg!());
        long.signal_qimg(signal);
        let output = long.end();
        assert_eq!(output.status.code(), Some(code), "{signal:?}: {output:?}");
        assert!(output.stderr.is_empty(), "{signal:?}: {output:?}");
    }
}

#[test]
fn a_signal_to_qimg_ends_qemu_img_of_another_user_too() {
    need_sudo();
    for (sudo, signal, code) in [("--sudo", Signal::INT, 130), ("--sudo=nobody", Signal::TERM, 143)] {
        let mut command = qimg!();
        // With everything that can stand between the two.
        command.args([sudo, "--timeout=100", "--limit-cpu=100", "--limit-memory=4G"]);
        let long = Long::start(command);
        long.signal_qimg(signal);
        let output = long.end();
        assert_eq!(output.status.code(), Some(code), "{sudo} {signal:?}: {output:?}");
    }
}

/// What nohup(1) does: qemu-img would go on.
#[test]
fn a_signal_that_was_ignored_stays_ignored() {
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' HUP; exec \"$@\"", "sh"]).arg(qimg!().get_program()).args(qimg!().get_args());
    let mut long = Long::start(command);
    long.signal_qimg(Signal::HUP);
    std::thread::sleep(Duration::from_millis(300));
    let alive = long.child.try_wait().unwrap().is_none();
    if alive {
        long.signal_qimg(Signal::TERM);
    }
    let output = long.end();
    assert!(alive, "it ended: {output:?}");
    assert_eq!(output.status.code(), Some(143), "{output:?}");
}

#[test]
fn it_is_told_how_qemu_img_ended_though_what_started_it_is_told_of_no_child() {
    let mut command = Command::new("env");
    command.arg("--ignore-signal=CHLD").arg(qimg!().get_program()).args(qimg!().get_args());
    let output = command.args(["measure", "-O", "raw", "--size", "1M"]).output().unwrap();
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""));
}

#[test]
fn a_signal_that_kills_qemu_img_is_told() {
    for signal in [Signal::KILL, Signal::TERM, Signal::SEGV] {
        let long = Long::start(qimg!());
        kill_process(long.qemu_img, signal).unwrap();
        let output = long.end();
        assert_eq!(output.status.code(), Some(128 + signal.as_raw()), "{output:?}");
        let said = own_line(&output);
        assert!(said.contains(&format!("signal {}", signal.as_raw())), "{said}");
    }
}

#[test]
fn the_timeout_is_124() {
    let directory = scratch();
    let fifo = fifo(directory.path());
    let new = directory.path().join("new");
    let run = |options: &[&str], line: &[&std::ffi::OsStr]| {
        let started = Instant::now();
        let output = qimg!().args(options).args(line).output().unwrap();
        assert_eq!(output.status.code(), Some(124), "{options:?}: {output:?}");
        assert!(started.elapsed() < Duration::from_secs(4), "{options:?} took {:?}", started.elapsed());
        let said = own_line(&output);
        assert!(said.contains("took too long"), "{said}");
        assert_nothing_left(directory.path());
    };
    let info = ["info".as_ref(), "-f".as_ref(), "raw".as_ref(), fifo.as_os_str()];
    run(&["--timeout=0.3"], &info);
    let convert = ["convert".as_ref(), "-f".as_ref(), "raw".as_ref(), fifo.as_os_str(), new.as_os_str()];
    run(&["--timeout", "0.3", "--limit-cpu=20"], &convert);
    need_sudo();
    run(&["--sudo", "--timeout=0.3"], &info);
    assert!(!new.exists());
}

#[test]
fn a_limit_is_named() {
    let directory = scratch();
    let (a, new) = (directory.path().join("a"), directory.path().join("new"));
    File::create(&a).unwrap().set_len(1 << 20).unwrap();
    let info = |limit: &str| qimg!().arg(limit).args(["info", "-f", "raw"]).arg(&a).output().unwrap();
    // With too little, the loader exits with 127; with a bit more, qemu-img is aborted or trapped when it starts a
    // thread. What is too little depends on the build.
    let mut codes = BTreeSet::new();
    for mib in (4..64).step_by(2) {
        let output = info(&format!("--limit-memory={mib}M"));
        let code = output.status.code().unwrap();
        codes.insert(code);
        if code != 0 {
            let said = own_line(&output);
            // What qemu-img has said of it is not said again.
            let whole = format!("the limit of {} bytes on address space was hit", mib << 20);
            assert!(said == whole || said == format!("{whole}: it said nothing"), "{output:?}");
        }
    }
    assert!(codes.is_superset(&[0, 127].into()), "{codes:?}");
    let (abort, trap) = (128 + Signal::ABORT.as_raw(), 128 + Signal::TRAP.as_raw());
    assert!(codes.contains(&abort) || codes.contains(&trap), "{codes:?}");

    // To derive a key for that long takes more than a second.
    need_sudo();
    std::thread::scope(|scope| {
        for sudo in [None, Some("--sudo")] {
            let new = new.with_extension(sudo.unwrap_or_default());
            scope.spawn(move || {
                let mut command = qimg!();
                command.args(sudo).args([
                    "--limit-cpu=1",
                    "create",
                    "-f",
                    "luks",
                    "-o",
                    "key-secret=s,iter-time=20000",
                ]);
                let output =
                    command.args(["--object", "secret,id=s,data=hunter2"]).arg(new).arg("1M").output().unwrap();
                assert_eq!(output.status.code(), Some(128 + Signal::XCPU.as_raw()), "{sudo:?}: {output:?}");
                let said = own_line(&output);
                assert!(said.contains("limit of 1 s on CPU time"), "{sudo:?}: {said}");
            });
        }
    });
}

/// As of any program in a pipeline, nothing is said of a reader that has gone.
#[test]
fn a_reader_that_has_gone_is_no_failure_to_be_told() {
    let directory = scratch();
    let path = directory.path().join("a");
    File::create(&path).unwrap().set_len(1 << 20).unwrap();
    let gone = || {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        writer
    };
    let closed = Some(128 + Signal::PIPE.as_raw());
    for (line, code) in [
        (&["man"][..], closed),
        (&["--dry-run", "info", "a"], closed),
        (&["inspect", "a"], closed),
        (&["--pretty", "info", "a"], closed),
        // qemu-img does not notice.
        (&["info", "-f", "raw", "a"], Some(0)),
    ] {
        let output = qimg!().args(line).current_dir(directory.path()).stdout(gone()).output().unwrap();
        assert_eq!(output.status.code(), code, "{line:?}: {output:?}");
        assert_eq!(stderr(&output), "", "{line:?}");
    }
}

/// Whoever reads our output may stop reading: that holds up neither the timeout nor the signals.
#[test]
fn a_reader_that_stops_reading_stops_nothing_else() {
    let directory = scratch();
    for body in ["exec yes", "exec yes >&2"] {
        let endless = tests::executable(directory.path(), &format!("#!/bin/sh\n{body}\n"));
        let start = |timeout: &str| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_qimg-under-test"));
            command.arg("--qemu-img").arg(&endless).args(["--timeout", timeout, "info", "a"]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        };
        let wait = |mut child: Child| {
            let deadline = Instant::now() + Duration::from_secs(20);
            loop {
                if let Some(status) = child.try_wait().unwrap() {
                    return status.code();
                }
                assert!(Instant::now() < deadline, "{body}: still there");
                std::thread::sleep(Duration::from_millis(20));
            }
        };
        assert_eq!(wait(start("0.5")), Some(124), "{body}");
        let child = start("100");
        std::thread::sleep(Duration::from_millis(300));
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        assert_eq!(wait(child), Some(143), "{body}");
    }
    assert!(processes_with(directory.path()).is_empty());
}
