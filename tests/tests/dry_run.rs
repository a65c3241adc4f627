//! A dry run equals the real run: what `qimg --dry-run=json` shows as `launch` is held against what the kernel
//! reports for the running processes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use qemu_cmd::{Info, Source};
use qemu_exec::{ErrorKind, Executor, LocalExecutor, Request, SudoExecutor};
use tests::{PASSPHRASE, executable, qemu_img, scratch};

const QIMG: &str = env!("CARGO_BIN_EXE_qimg-under-test");

/// A process as the kernel reports it.
#[derive(Debug)]
struct Process {
    args: Vec<String>,
    env: BTreeMap<String, String>,
    limits: String,
    fds: BTreeMap<String, String>,
}

fn strings(path: String) -> Option<Vec<String>> {
    let bytes = fs::read(path).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    Some(text.split_terminator('\0').map(str::to_owned).collect())
}

/// Every process but this one that has `marker` in an argument.
fn processes(marker: &str) -> Vec<Process> {
    let own = std::process::id();
    let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| *pid != own)
        .filter_map(|pid| {
            let args = strings(format!("/proc/{pid}/cmdline"))?;
            args.iter().any(|arg| arg.contains(marker)).then_some(())?;
            // It is empty while the process becomes another program.
            let pairs = strings(format!("/proc/{pid}/environ")).filter(|pairs| !pairs.is_empty())?;
            let env = pairs.iter().filter_map(|pair| pair.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned()));
            let limits = fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
            let fds = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.filter_map(|entry| {
                let entry = entry.ok()?;
                let target = entry.path().read_link().ok()?.to_str()?.to_owned();
                Some((entry.file_name().into_string().ok()?, target))
            });
            Some(Process { args, env: env.collect(), limits, fds: fds.collect() })
        })
        .collect()
}

/// The argument with what is random in it taken out.
fn without_random(arg: &str) -> String {
    arg.split_once(",iv=").map_or(arg, |(before, _)| before).to_owned()
}

fn masked(args: &[String]) -> Vec<String> {
    args.iter().map(|arg| without_random(arg)).collect()
}

struct Plan {
    argv: Vec<String>,
    launch: Vec<String>,
    env: BTreeMap<String, String>,
    limits: BTreeMap<String, (u64, u64)>,
    fds: Vec<String>,
}

/// What /proc calls the limits.
const LIMITS: [(&str, &str); 6] = [
    ("cpu", "Max cpu time"),
    ("as", "Max address space"),
    ("fsize", "Max file size"),
    ("nofile", "Max open files"),
    ("core", "Max core file size"),
    ("nproc", "Max processes"),
];

fn plan(own: &[&str], command: &[&str]) -> Plan {
    let output = Command::new(QIMG).args(own).arg("--dry-run=json").args(command).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let list = |name: &str| json[name].as_array().unwrap().iter().map(|s| s.as_str().unwrap().to_owned()).collect();
    let env = json["env"].as_object().unwrap().iter().map(|(k, v)| (k.clone(), v.as_str().unwrap().to_owned()));
    let limits = json["limits"].as_object().unwrap().iter();
    let limits = limits.map(|(k, v)| (k.clone(), (v["soft"].as_u64().unwrap(), v["hard"].as_u64().unwrap())));
    let fds = json["fds"].as_object().unwrap().keys().cloned().collect();
    Plan { argv: list("argv"), launch: list("launch"), env: env.collect(), limits: limits.collect(), fds }
}

/// Runs the command for real, and compares the processes with the plan until all of them have been seen.
fn check(own: &[&str], command: &[&str], marker: &Path, limits: &[(&str, &str)]) {
    let qemu_img = qemu_img();
    let mut options = vec!["--qemu-img", qemu_img.to_str().unwrap()];
    options.extend(own);
    let plan = plan(&options, command);
    assert_eq!(plan.argv[0], "qemu-img");
    let program = plan.launch.len() - plan.argv.len();
    let inner = masked(&plan.launch[program + 1..]);
    assert_eq!(inner, masked(&plan.argv[1..]), "launch must end in the modelled command");

    let mut child =
        Command::new(QIMG).args(&options).args(command).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    let wrapped = program > 0 && plan.launch[0].ends_with("sudo");
    let (mut saw_inner, mut saw_outer) = (false, !wrapped);
    while !(saw_inner && saw_outer) {
        assert!(Instant::now() < deadline, "{:?} was not seen: {:?}", plan.launch, processes(marker.to_str().unwrap()));
        for process in processes(marker.to_str().unwrap()) {
            let args = masked(&process.args);
            saw_outer |= args == masked(&plan.launch);
            // Some qemu-img are scripts that start the real one: the arguments are the same. What stands in front of
            // it has them too, before it becomes qemu-img.
            let in_front = ["sudo", "timeout", "env", "prlimit", "qimg-under-test"];
            let is_qemu_img = args.ends_with(&inner)
                && !process.args.iter().any(|arg| in_front.iter().any(|name| Path::new(arg).ends_with(name)));
            if !is_qemu_img {
                continue;
            }
            saw_inner = true;
            if wrapped {
                for (name, value) in &plan.env {
                    assert_eq!(process.env.get(name), Some(value), "{name}");
                }
            } else {
                let mut env = process.env.clone();
                // A shell, and the script that it runs, add some of their own.
                if qemu_img != OsStr::new("qemu-img") {
                    env.retain(|name, _| plan.env.contains_key(name));
                }
                assert_eq!(env, plan.env);
                for (name, (soft, hard)) in &plan.limits {
                    let (_, title) = LIMITS.iter().find(|(short, _)| short == name).unwrap();
                    let line = process.limits.lines().find(|line| line.starts_with(title)).unwrap();
                    let values: Vec<&str> = line[title.len()..].split_whitespace().take(2).collect();
                    assert_eq!(values, [soft.to_string(), hard.to_string()], "{line}");
                }
                for fd in &plan.fds {
                    let target = process.fds.get(fd).map(String::as_str);
                    assert_eq!(target, Some("/memfd:secret (deleted)"), "{fd}: {process:?}");
                }
                assert_eq!(process.fds["0"], "/dev/null");
            }
            for (name, value) in limits {
                let line = process.limits.lines().find(|line| line.starts_with(name)).unwrap();
                assert!(line[name.len()..].trim_start().starts_with(value), "{line}");
            }
        }
        if child.try_wait().unwrap().is_some() && !(saw_inner && saw_outer) {
            panic!("it ended before it was seen: {:?} {:?}", plan.launch, child.wait_with_output());
        }
    }
    // timeout(1) forgets its child if it is told to end in the moment in which it has made it.
    std::thread::sleep(Duration::from_millis(200));
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM).unwrap();
    child.wait().unwrap();
}

/// `info` of a FIFO waits for ever, which is long enough to look at it.
fn info(own: &[&str], limits: &[(&str, &str)]) {
    let directory = scratch();
    let fifo = directory.path().join("fifo, with a comma");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o666.into(), 0).unwrap();
    let path = fifo.to_str().unwrap();
    check(own, &["info", path, "--force-share", "--output=json", "-f", "raw"], &fifo, limits);
    check(own, &["info", "-f", "raw", "--", path], &fifo, limits);
}

#[test]
fn local() {
    info(&[], &[("Max cpu time", "30 "), ("Max address space", "1073741824")]);
}

#[test]
fn local_without_limits() {
    info(&["--limit-cpu=none", "--limit-memory=none", "--timeout=none"], &[]);
}

#[test]
fn local_with_limits() {
    let own = ["--limit-cpu=7", "--limit-memory=512M", "--timeout=100"];
    info(&own, &[("Max cpu time", "7 "), ("Max address space", "536870912")]);
}

#[test]
fn through_sudo() {
    let own = ["--sudo", "--limit-cpu=7", "--limit-memory=512M", "--timeout=100.5"];
    info(&own, &[("Max cpu time", "7 "), ("Max address space", "536870912")]);
}

#[test]
fn through_sudo_to_another_user() {
    info(&["--sudo=nobody"], &[("Max cpu time", "30 "), ("Max address space", "1073741824")]);
}

#[test]
fn with_variables_of_the_caller() {
    // The last of one name counts; what is said of LC_ALL replaces what qimg says of it.
    let own = ["--env=CEPH_ARGS=--id a b", "--env", "QIMG_TEST=a", "--env=QIMG_TEST=b='c", "--env=LC_ALL=C.UTF-8"];
    let plan = plan(&own, &["info", "/a"]);
    assert_eq!(
        plan.env.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>(),
        ["CEPH_ARGS=--id a b", "LANG=C", "LC_ALL=C.UTF-8", "MALLOC_ARENA_MAX=1", "QIMG_TEST=b='c"],
    );
    info(&own, &[("Max cpu time", "30 ")]);
    for sudo in ["--sudo", "--sudo=nobody"] {
        info(&[&own[..], &[sudo]].concat(), &[("Max cpu time", "30 ")]);
    }
}

#[test]
fn a_variable_without_a_value_is_the_callers_own() {
    let home = std::env::var("HOME").expect("HOME is set");
    assert_eq!(plan(&["--env=HOME"], &["info", "/a"]).env.get("HOME"), Some(&home));
    assert_eq!(plan(&["--env=QIMG_TEST_IS_NOT_SET"], &["info", "/a"]).env.get("QIMG_TEST_IS_NOT_SET"), None);
    assert_eq!(plan(&[], &["info", "/a"]).env.get("HOME"), None, "nothing is passed on unasked");
}

#[test]
fn what_a_shell_is_shown_sets_the_same_variables() {
    for name in ["QIMG_TEST", "QIMG-TEST", "1QIMG"] {
        let value = "a 'b' $c";
        let shown = Command::new(QIMG)
            .args(["--env", &format!("{name}={value}"), "--qemu-img", "env", "--dry-run", "info", "a"])
            .output()
            .unwrap();
        let line = String::from_utf8(shown.stdout).unwrap();
        // In place of qemu-img: what prints the environment, and nothing after it.
        let (line, _) = line.rsplit_once(" info").unwrap();
        let output = Command::new("sh").args(["-c", line]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.lines().any(|line| line == format!("{name}={value}")), "{line}: {text}");
    }
}

#[test]
fn what_cannot_be_a_variable_is_refused() {
    for own in [&["--dry-run"][..], &["--sudo", "--dry-run"], &["--sudo"], &[]] {
        let output = Command::new(QIMG).arg("--env==x").args(own).args(["info", "/a"]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(said, "qimg: `` cannot be the name of an environment variable\n");
    }
    let run = |name: &str, value: &str| {
        let invocation = Info::new(Source::raw("/a")).invocation().unwrap();
        let (local, sudo) = (tests::local().env(name, value), tests::sudo().env(name, value));
        let errors = [&local as &dyn Executor, &sudo].map(|executor| executor.run(Request::new(&invocation)));
        errors.map(|error| error.unwrap_err()).map(|error| (error.kind(), error.to_string()))
    };
    for (name, value, message) in [
        ("a=b", "c", "`a=b` cannot be the name of an environment variable"),
        ("a\0b", "c", "`a\\0b` cannot be the name of an environment variable"),
        ("a", "b\0c", "the environment variable `a` cannot hold a NUL"),
    ] {
        assert_eq!(run(name, value), [(); 2].map(|()| (ErrorKind::Refused, message.to_owned())));
    }
}

/// To env(1), a program with a `=` in its path is one more variable, and the next word is the program: `convert`, which
/// is on many machines, as root.
#[test]
fn a_program_may_have_an_equals_sign_in_its_path() {
    let directory = scratch();
    let inside = directory.path().join("a=b");
    fs::create_dir(&inside).unwrap();
    let program = executable(&inside, "#!/bin/sh\necho \"it is $0\"; pwd; tr '\\0' '\\n' </proc/$$/environ");
    let invocation = Info::new(Source::raw("/a")).invocation().unwrap();
    let request = Request::new(&invocation);
    let sudo = SudoExecutor::with_program(&program).env("-S", "x y").env("--help", "");
    let outcome = sudo.run(request.clone()).unwrap();
    let said = String::from_utf8(outcome.stdout).unwrap();
    for line in [&format!("it is {}", program.display()), "LC_ALL=C", "-S=x y", "--help="] {
        assert!(said.lines().any(|said| said == line), "{line}: {said} {:?}", outcome.stderr);
    }
    // A line for a shell enters the directory by the same env(1).
    let plan = LocalExecutor::with_program(&program).current_dir(directory.path()).plan(&request).unwrap();
    let output = Command::new("sh").args(["-c", &plan.launch.to_string()]).output().unwrap();
    let expected = format!("it is {}\n{}\n", program.display(), directory.path().display());
    assert!(output.stdout.starts_with(expected.as_bytes()), "{}: {output:?}", plan.launch);
}

/// Making a LUKS volume takes longer than a second, which is long enough to look at it.
fn convert(own: &[&str], source_key: bool) {
    let directory = scratch();
    let (a, b) = (directory.path().join("a"), directory.path().join("b"));
    let kind = if source_key { tests::Kind::Luks } else { tests::Kind::Raw };
    tests::write_fixture(kind, &a);
    let key = format!("secret,id=a,data={}", PASSPHRASE.replace(',', ",,"));
    let node = format!("driver=luks,file.filename={},key-secret=a", a.display());
    let mut command =
        vec!["convert", "-O", "luks", "--object", "secret,id=b,data=x", "-o", "key-secret=b,iter-time=5000"];
    if source_key {
        command.extend(["--object", &key, "--image-opts", &node]);
    } else {
        command.extend(["-f", "raw", a.to_str().unwrap()]);
    }
    command.push(b.to_str().unwrap());
    // A core file would hold the secrets.
    check(own, &command, &b, &[("Max core file size", "0 ")]);
}

#[test]
fn one_secret() {
    convert(&[], false);
    convert(&["--sudo"], false);
}

#[test]
fn two_secrets() {
    convert(&[], true);
    convert(&["--sudo=nobody", "--timeout=100"], true);
}
