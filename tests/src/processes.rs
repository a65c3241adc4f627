//! Processes: those that a test starts and waits for, and what else runs on the machine.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, getpid, kill_process};

use crate::machine::as_root;

/// What to say where a program is missing.
pub fn needs<T>(result: std::io::Result<T>, program: &str, package: &str) -> T {
    result.unwrap_or_else(|error| panic!("cannot run `{program}`: {error}: install the package {package}"))
}

/// Whether it became so within a minute, which nothing here takes on a machine that is not busy.
pub fn wait_until(mut is_so: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        if is_so() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The same, and fails if it did not.
pub fn wait_for(what: &str, is_so: impl FnMut() -> bool) {
    assert!(wait_until(is_so), "it never came to this: {what}");
}

/// A process that ends with this value.
pub struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    /// Starts it, and waits until it is ready; `None` if it ends before.
    pub fn start(command: &mut Command, package: &str, ready: impl Fn() -> bool) -> Option<Self> {
        let program = command.get_program().to_string_lossy().into_owned();
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = Self(needs(command.spawn(), &program, package));
        let up = wait_until(|| ready() || process.0.try_wait().unwrap().is_some());
        let alive = process.0.try_wait().unwrap().is_none();
        (up && alive).then_some(process)
    }
}

/// Starts what listens on a TCP port of its own. Somebody else may take the port in between, so it tries again.
pub fn on_some_port(start: impl Fn(u16) -> Option<Process>) -> (Process, u16) {
    for _ in 0..5 {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        if let Some(process) = start(port) {
            return (process, port);
        }
    }
    panic!("the server does not start");
}

/// The arguments of a process, its program first; none if it is gone.
#[must_use]
pub fn arguments(pid: Pid) -> Vec<Vec<u8>> {
    let line = std::fs::read(format!("/proc/{}/cmdline", pid.as_raw_pid())).unwrap_or_default();
    if line.is_empty() {
        return Vec::new();
    }
    line.strip_suffix(&[0]).unwrap_or(&line).split(|byte| *byte == 0).map(<[u8]>::to_vec).collect()
}

/// Every process but this one of whose arguments one is so.
fn processes(is_so: impl Fn(&[u8]) -> bool) -> Vec<Pid> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?));
    pids.filter(|pid| *pid != getpid() && arguments(*pid).iter().any(|argument| is_so(argument))).collect()
}

/// The processes that have this path in one of their arguments, but for this one.
#[must_use]
pub fn processes_about(path: &Path) -> Vec<Pid> {
    let needle = path.as_os_str().as_encoded_bytes();
    processes(|argument| argument.windows(needle.len()).any(|window| window == needle))
}

/// Whether a process has this for one of its arguments.
#[must_use]
pub fn is_running(word: &Path) -> bool {
    !processes(|argument| argument == word.as_os_str().as_encoded_bytes()).is_empty()
}

/// Of those, the one that has no other of them as a child: not what stands in front of it, such as sudo.
#[must_use]
pub fn innermost(processes: &[Pid]) -> Option<Pid> {
    let parent = |pid: &Pid| {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_pid())).ok()?;
        // The name before it may hold anything.
        stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok().and_then(Pid::from_raw)
    };
    let parents: Vec<Pid> = processes.iter().filter_map(parent).collect();
    processes.iter().copied().find(|pid| !parents.contains(pid))
}

/// Sends a signal to a process of any user.
pub fn signal(pid: Pid, signal: Signal) {
    if kill_process(pid, signal).is_err() {
        as_root(["kill".to_owned(), format!("-{}", signal.as_raw()), pid.as_raw_pid().to_string()]);
    }
}

/// Fails unless what a test runs of this program once more was one test, which passed: of a name that is none,
/// no test at all is a success.
pub fn assert_passed(output: &std::process::Output) {
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("test result: ok. 1 passed"), "{said}");
}
