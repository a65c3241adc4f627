//! What is left of a passphrase in the caller's memory, when all that held it has been dropped: nothing.
//!
//! The caller is this program once more, which is looked at from outside: its memory, and a core file of it. What it is
//! given it reads without leaving copies of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use qemu_cmd::{ByteSize, CommandLine, Convert, Create, Luks, LuksImage, Raw, Secret, Source, Target};
use qemu_exec::fake::FakeExecutor;
use qemu_exec::{
    ContainerExecutor, DryRunExecutor, End, ErrorKind, Executor, MockExecutor, Outcome, Publish, QemuImg, Request,
};
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, setrlimit};
use tests::processes::{innermost, processes_about, signal, wait_until};
use tests::sshd::Sshd;
use tests::traces::{Needles, locked};
use tests::{executable, local, qemu_img, scratch, sudo};

const ROLE: &str = "SECRET_MEMORY_ROLE";
/// As long as a random passphrase is.
const LENGTH: usize = 128;

/// Reads what the parent has written, into one piece of memory that is handed on.
fn given(prefix: &str, suffix: &str) -> Vec<u8> {
    let mut bytes = vec![b'?'; prefix.len() + LENGTH + suffix.len()];
    bytes[..prefix.len()].copy_from_slice(prefix.as_bytes());
    let end = prefix.len() + LENGTH;
    bytes[end..].copy_from_slice(suffix.as_bytes());
    let mut at = prefix.len();
    while at < end {
        // Not by std, which has a buffer.
        at += rustix::io::read(std::io::stdin().as_fd(), &mut bytes[at..end]).unwrap();
    }
    bytes
}

fn passphrase() -> Secret {
    Secret::new(given("", "")).unwrap()
}

/// Converts what the passphrase opens, and fails at what it does not.
fn convert(executor: impl Executor, here: &Path) {
    let client = QemuImg::new(executor).publish(Publish::new().replace(true));
    let to_raw = |secret| Convert::new(Source::luks(here.join("a"), secret), Target::new(here.join("b"), Raw::new()));
    let secret = passphrase();
    let _shown = format!("{secret:?} {:?}", to_raw(secret.clone()));
    client.convert(&to_raw(secret)).unwrap();
    let mut wrong = given("not ", "");
    let error = client.convert(&to_raw(Secret::new(std::mem::take(&mut wrong)).unwrap())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WrongPassphrase);
    let _shown = format!("{error} {error:?}");
}

/// The same where nothing is run.
fn pretend(executor: impl Executor) {
    let create = Create::new("/new", LuksImage::new(Luks::new(passphrase())), ByteSize::mib(1));
    let client = QemuImg::new(executor).publish(Publish::new().replace(true));
    let _shown = format!("{create:?} {:?}", client.create(&create));
    let invocation = create.invocation().unwrap();
    let _shown = format!("{invocation} {invocation:?} {:?}", client.executor().plan(&Request::new(&invocation)));
}

fn line(prefix: &str, suffix: &str) -> [OsString; 6] {
    let object = OsString::from_vec(given(prefix, suffix));
    let node = "driver=luks,key-secret=s,file.filename=/a";
    ["info".into(), "--object".into(), object, "--output=json".into(), "--image-opts".into(), node.into()]
}

/// What somebody wrote, which is read in every way, whether it can be or not.
fn parse(prefix: &str, suffix: &str) {
    if let Ok(parsed) = CommandLine::parse(line(prefix, suffix)) {
        let invocation = parsed.invocation().unwrap();
        let _shown = format!("{parsed:?} {invocation} {invocation:?} {:?}", parsed.lint());
    }
    let _shown = format!("{:?}", qemu_cmd::Command::parse(line(prefix, suffix)));
}

const RUNTIME: &str = r#"#!/bin/sh
while [ "${1#--entrypoint=}" = "$1" ]; do shift; done
program=${1#--entrypoint=}
shift 2
exec "$program" "$@"
"#;

type Role = fn(&Path);

/// What a caller does, in a directory with an image `a`.
const ROLES: &[(&str, Role)] = &[
    ("LocalExecutor", |here| convert(local(), here)),
    ("LocalExecutor::portable", |here| convert(local().portable(), here)),
    ("SudoExecutor", |here| convert(sudo(), here)),
    ("SudoExecutor::user", |here| convert(sudo().user("nobody"), here)),
    ("SshExecutor", |here| convert(Sshd::start().executor(), here)),
    ("ContainerExecutor", |here| {
        convert(ContainerExecutor::new(executable(here, RUNTIME), "image").qemu_img(qemu_img()), here);
    }),
    ("FakeExecutor", |_| pretend(FakeExecutor::new())),
    ("DryRunExecutor", |_| pretend(DryRunExecutor::new(sudo()))),
    ("MockExecutor", |_| {
        let mut mock = MockExecutor::new();
        mock.expect_run().returning(|_| Ok(Outcome::new(End::Exited(1), "", "qemu-img: no\n")));
        mock.expect_plan().returning(|request| local().plan(request));
        pretend(mock);
    }),
    ("a line", |_| parse("secret,id=s,data=", "")),
    ("a line with more behind it", |_| parse("secret,data=", ",id=s,format=raw")),
    ("a line in JSON", |_| parse(r#"{"qom-type": "secret", "id": "s", "data": ""#, r#""}"#)),
    ("a line with base64", |_| parse("secret,id=s,format=base64,data=", "")),
    ("a line without an id", |_| parse("secret,data=", "")),
    ("a line with a bad id", |_| parse("secret,id=0,data=", "")),
    ("a line with a file, too", |_| parse("secret,id=s,file=f,data=", "")),
    ("a line that is not base64", |_| parse("secret,id=s,format=base64,data=", "?")),
    ("a line with a comma", |_| parse("secret,id=s,data=,,", ",,")),
    ("a line with an attached value", |_| {
        let object = OsString::from_vec(given("--object=secret,id=s,data=", ""));
        let _shown = format!("{:?}", CommandLine::parse(["info".into(), object, "a".into()]).unwrap());
    }),
    ("a line with an unknown option before it", |_| {
        let object = OsString::from_vec(given("secret,id=s,data=", ""));
        let line = ["info".into(), "--bogus".into(), "--object".into(), object];
        let _shown = format!("{:?}", CommandLine::parse(line).unwrap_err());
    }),
    ("a line with an unknown option behind it", |_| {
        let object = OsString::from_vec(given("secret,id=s,data=", ""));
        let line = ["info".into(), "--object".into(), object, "--bogus".into()];
        let _shown = format!("{:?}", CommandLine::parse(line).unwrap_err());
    }),
    ("a line with an option that is misspelt", |_| {
        let object = OsString::from_vec(given("--objct=secret,id=s,data=", ""));
        let _shown = format!("{:?}", CommandLine::parse(["info".into(), object, "a".into()]).unwrap_err());
    }),
    ("a line with a value too much", |_| {
        let object = OsString::from_vec(given("--image-opts=secret,id=s,data=", ""));
        let _shown = format!("{:?}", CommandLine::parse(["info".into(), object, "a".into()]).unwrap_err());
    }),
    ("a line in half JSON", |_| parse(r#"{"qom-type": "secret", "id": "s", "data": ""#, "")),
    ("a line with another object", |_| parse("secret,id=t,data=", ",file=f")),
];

#[test]
fn nothing_is_left_of_a_passphrase() {
    if let Some(role) = std::env::var_os(ROLE) {
        let (_, act) = ROLES.iter().find(|(name, _)| *name == role).unwrap();
        act(&std::env::current_dir().unwrap());
        done();
    }
    let left: Vec<_> = ROLES
        .iter()
        .filter_map(|(role, _)| {
            let found = Caller::start(role, "nothing_is_left_of_a_passphrase").look();
            (!found.is_empty()).then(|| format!("{role}: {found:?}"))
        })
        .collect();
    assert!(left.is_empty(), "a passphrase is left:\n{}", left.join("\n"));
}

/// That all of this can fail: what is not wiped is found.
#[test]
fn what_is_left_is_found() {
    if std::env::var_os(ROLE).is_some() {
        drop(given("secret,id=s,qom-type=x,data=", ""));
        done();
    }
    let found = Caller::start("", "what_is_left_is_found").look();
    assert!(found.contains(&"memory".to_owned()), "{found:?}");
    assert!(!cores_are_files() || found.contains(&"core".to_owned()), "{found:?}");
}

/// Says so, and stays as it is until it is killed.
fn done() -> ! {
    rustix::io::write(std::io::stdout().as_fd(), b"\ndone\n").unwrap();
    loop {
        std::thread::park();
    }
}

/// Whether the kernel writes core files into the directory of who has crashed.
fn cores_are_files() -> bool {
    std::fs::read_to_string("/proc/sys/kernel/core_pattern").is_ok_and(|pattern| !pattern.starts_with(['|', '/', '@']))
}

/// Makes a core file of whatever size that may have.
fn with_cores() {
    setrlimit(Resource::Core, Rlimit { current: None, maximum: None }).unwrap();
}

struct Caller {
    child: Child,
    directory: tempfile::TempDir,
    passphrase: String,
}

impl Caller {
    fn start(role: &str, test: &str) -> Self {
        with_cores();
        let (image, passphrase) = locked();
        let directory = scratch();
        std::fs::write(directory.path().join("a"), image).unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([test, "--exact"])
            .env(ROLE, role)
            // All of the heap is in one place, which cannot be taken for a stack.
            .env("MALLOC_ARENA_MAX", "1")
            .current_dir(directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // As often as it may want it.
        child.stdin.take().unwrap().write_all(passphrase.repeat(4).as_bytes()).unwrap();
        Self { child, directory, passphrase: passphrase.clone() }
    }

    /// Where the passphrase is when it is done.
    fn look(mut self) -> Vec<String> {
        let stdout = BufReader::new(self.child.stdout.take().unwrap());
        if !stdout.lines().map_while(Result::ok).any(|line| line == "done") {
            let mut said = String::new();
            self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            panic!("it failed: {said}");
        }
        // In parts, since who frees memory writes to its beginning.
        let parts = [&self.passphrase[..80], &self.passphrase[48..]];
        let base64 = STANDARD.encode(&self.passphrase);
        let needles = Needles::new(parts.into_iter().chain([&base64[64..144]]));
        let pid = Pid::from_child(&self.child);
        let mut found = Vec::new();
        if memory(pid).iter().any(|piece| needles.are_in(piece)) {
            found.push("memory".to_owned());
        }
        kill_process(pid, Signal::ABORT).unwrap();
        self.child.wait().unwrap();
        let cores = cores(self.directory.path());
        assert!(!cores_are_files() || cores.len() == 1, "there is no core file");
        // That has the stacks, too: only the whole passphrase counts.
        let whole = Needles::new([&*self.passphrase]);
        let core = |core: &PathBuf| whole.are_in(&std::fs::read(core).unwrap());
        if cores.iter().any(core) {
            found.push("core".to_owned());
        }
        found
    }
}

fn cores(directory: &Path) -> Vec<PathBuf> {
    let names = tests::names(directory).into_iter();
    names.filter(|name| name.to_string_lossy().starts_with("core")).map(|name| directory.join(name)).collect()
}

/// All that a process may write to, but for the stacks: what the registers held is saved there now and then, and stays
/// until something else is.
fn memory(pid: Pid) -> Vec<Vec<u8>> {
    let file = |name: &str| format!("/proc/{}/{name}", pid.as_raw_pid());
    let memory = File::open(file("mem")).unwrap();
    let maps = std::fs::read_to_string(file("maps")).unwrap();
    let lines: Vec<&str> = maps.lines().collect();
    // A thread's stack has a page before it that may not be touched.
    let is_stack = |at: usize| lines[at].ends_with("[stack]") || (at > 0 && lines[at - 1].contains(" ---p "));
    let writable = (0..lines.len()).filter(|at| lines[*at].contains(" rw") && !is_stack(*at));
    let pieces: Vec<_> = writable
        .filter_map(|at| {
            let (from, to) = lines[at].split_once(' ').unwrap().0.split_once('-').unwrap();
            let [from, to] = [from, to].map(|address| u64::from_str_radix(address, 16).unwrap());
            let mut piece = vec![0; usize::try_from(to - from).unwrap()];
            memory.read_exact_at(&mut piece, from).ok().map(|()| piece)
        })
        .collect();
    assert!(pieces.len() > 3 && maps.contains("[heap]"), "{maps}");
    pieces
}

/// Its memory holds the passphrase.
#[test]
fn a_qemu_img_that_crashes_leaves_no_core() {
    with_cores();
    let (image, passphrase) = locked();
    let secret = || Secret::new(passphrase.as_str()).unwrap();
    type Named = (&'static str, Box<dyn Executor>);
    let executors: [Named; 3] =
        [("local", Box::new(local())), ("portable", Box::new(local().portable())), ("sudo", Box::new(sudo()))];
    for (name, executor) in executors {
        let directory = scratch();
        let path = |name: &str| directory.path().join(name);
        std::fs::write(path("a"), image).unwrap();
        let slow = Convert::new(Source::luks(path("a"), secret()), Target::new(path("b"), Raw::new()));
        let slow = slow.rate(ByteSize::kib(32));
        std::thread::scope(|scope| {
            let client = QemuImg::new(executor);
            let running = scope.spawn(move || client.convert(&slow).unwrap_err().kind());
            let written = path(".b.partial");
            assert!(wait_until(|| written.metadata().is_ok_and(|meta| meta.len() > 0)), "{name}");
            signal(innermost(&processes_about(&written)).unwrap(), Signal::SEGV);
            assert_eq!(running.join().unwrap(), ErrorKind::Killed(11), "{name}");
        });
        let cores = [cores(Path::new(".")), cores(directory.path())].concat();
        assert!(cores.is_empty(), "{name}: {cores:?}");
    }
}
