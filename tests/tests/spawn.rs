//! How a child starts, and why it does not; and that it does not outlive its parent.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::error::Error as _;
use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use qemu_cmd::{ByteSize, CommandLine, Info, Invocation, Source};
use qemu_exec::{Error, ErrorKind, Executor as _, Limits, LocalExecutor, Request};
use rustix::process::{Pid, Resource, Signal, getrlimit, kill_process};
use tests::processes::{assert_passed, processes_about, wait_until};
use tests::{Report, executable, fifo, qemu_img, reporter, scratch};

fn info(path: impl AsRef<Path>) -> Invocation {
    Info::new(Source::raw(path.as_ref())).invocation().unwrap()
}

fn report(executor: &LocalExecutor, request: Request<'_>) -> Report {
    let outcome = executor.run(request).unwrap();
    assert!(outcome.success(), "{outcome:?}");
    Report::parse(&outcome.stdout)
}

/// Why it did not start: the kind, what it is about, and what the kernel said.
fn failure(executor: &LocalExecutor, invocation: &Invocation) -> (ErrorKind, String, io::ErrorKind) {
    let error: Error = executor.run(Request::new(invocation)).unwrap_err();
    let source = error.source().unwrap().downcast_ref::<io::Error>().unwrap().kind();
    assert!(error.command().starts_with("qemu-img info "), "{error:?}");
    (error.kind(), error.to_string(), source)
}

#[test]
fn each_step_that_fails_is_named() {
    let directory = scratch();
    let path = executable(directory.path(), "#!/bin/sh\n");
    let executor = LocalExecutor::with_program(&path);
    assert!(executor.run(Request::new(&info("/a"))).unwrap().success());
    let shown = path.display();
    let unable = (ErrorKind::CouldNotStart, format!("`{shown}` could not be executed"));
    let because = |source| (unable.0, unable.1.clone(), source);

    let long = format!("/{}", "a".repeat(200 << 10));
    assert_eq!(failure(&executor, &info(long)), because(io::ErrorKind::ArgumentListTooLong));

    for (place, source) in [("/nonexistent", io::ErrorKind::NotFound), ("/dev/null", io::ErrorKind::NotADirectory)] {
        let elsewhere = LocalExecutor::with_program(&path).current_dir(place);
        let message = format!("the working directory `{place}` could not be entered");
        assert_eq!(failure(&elsewhere, &info("/a")), (ErrorKind::CouldNotStart, message, source));
        let error = elsewhere.run(Request::new(&info("/a"))).unwrap_err();
        assert_eq!(error.subject(), Some(Path::new(place)));
    }

    // It was looked up when it was still a program.
    let script = |content: &str| assert_eq!(executable(directory.path(), content), path);
    script("#!/nonexistent/interpreter\n");
    assert_eq!(failure(&executor, &info("/a")), because(io::ErrorKind::NotFound));
    script("this is no program");
    let (kind, message, _) = failure(&executor, &info("/a"));
    assert_eq!((kind, message), unable);
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    assert_eq!(failure(&executor, &info("/a")), because(io::ErrorKind::PermissionDenied));
    fs::remove_file(&path).unwrap();
    let missing = (ErrorKind::ProgramMissing, format!("there is no `{shown}`"), io::ErrorKind::NotFound);
    assert_eq!(failure(&executor, &info("/a")), missing);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn a_limit_above_ones_own_is_ones_own() {
    let directory = scratch();
    let executor = LocalExecutor::with_program(reporter(directory.path()));
    let invocation = info("/a");
    let limits = Limits::none().open_files(u64::MAX - 1).file_size(ByteSize::bytes(u64::MAX - 1));
    let report = report(&executor, Request::new(&invocation).limits(limits));
    let own = getrlimit(Resource::Nofile).maximum.unwrap().to_string();
    assert_eq!(report.limit("Max open files"), [own.as_str(); 2]);
}

#[test]
fn it_runs_where_it_is_told_to() {
    let directory = scratch();
    let program = executable(directory.path(), "#!/bin/sh\npwd\n");
    let place = directory.path().join("a place, with a comma");
    fs::create_dir(&place).unwrap();
    for executor in [LocalExecutor::with_program(&program), LocalExecutor::with_program(&program).portable()] {
        let executor = executor.current_dir(&place);
        let invocation = info("/a");
        let request = Request::new(&invocation).limits(Limits::metadata());
        let outcome = executor.run(request.clone()).unwrap();
        let said = String::from_utf8(outcome.stdout).unwrap();
        assert_eq!(Path::new(said.trim_end()), place);
        // And so does what a shell is shown.
        let line = executor.plan(&request).unwrap().launch.to_string();
        let output = Command::new("sh").args(["-c", &line]).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), said, "{line}");
    }
}

/// As many descriptors as there are secrets, also more than a shell could name.
#[test]
fn many_secrets() {
    let directory = scratch();
    let executor = LocalExecutor::with_program(reporter(directory.path()));
    let value = |n: usize| format!("{n}").repeat(n + 1);
    let objects = (0..100).flat_map(|n| ["--object".to_owned(), format!("secret,id=s{n},data={}", value(n))]);
    let line = ["info".to_owned()].into_iter().chain(objects).chain(["a".to_owned()]);
    let invocation = CommandLine::parse(line.map(Into::into)).unwrap().invocation().unwrap();
    // The limit counts for what qemu-img opens itself.
    for limits in [Limits::none(), Limits::none().open_files(256)] {
        let report = report(&executor, Request::new(&invocation).limits(limits));
        assert_eq!(report.secrets, (0..100).map(value).collect::<Vec<_>>());
        assert!(report.fds.values().skip(3).all(|target| target == "/memfd:secret (deleted)"), "{report:?}");
        assert_eq!(report.fds.len(), 103);
    }
}

#[test]
fn a_child_does_not_outlive_its_parent() {
    let directory = scratch();
    let fifo = fifo(directory.path());
    for options in [&["--timeout=none"][..], &["--timeout=none", "--limit-cpu=none", "--limit-memory=none"]] {
        let mut parent = Command::new(env!("CARGO_BIN_EXE_qimg-under-test"))
            .arg("--qemu-img")
            .arg(qemu_img())
            .args(options)
            .args(["info", "-f", "raw"])
            .arg(&fifo)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let started = wait_until(|| processes_about(&fifo).len() == 2);
        kill_process(Pid::from_child(&parent), Signal::KILL).unwrap();
        parent.wait().unwrap();
        let _ = wait_until(|| processes_about(&fifo).is_empty());
        let left = processes_about(&fifo);
        left.iter().for_each(|pid| kill_process(*pid, Signal::KILL).unwrap());
        assert!(started, "qemu-img did not start");
        assert!(left.is_empty(), "it lives on");
    }
}

/// Standard input is free for the image, since a secret has a descriptor of its own.
#[test]
fn qimg_takes_an_image_by_descriptor() {
    let directory = scratch();
    let image = directory.path().join("image");
    fs::write(&image, [0; 1024]).unwrap();
    let qimg = env!("CARGO_BIN_EXE_qimg-under-test");
    let line = |line: &str| {
        let mut shell = Command::new("sh");
        shell.args(["-c", line, "sh", qimg]).arg(reporter(directory.path())).arg(qemu_img()).current_dir(&directory);
        let output = shell.stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{line}: {output:?}");
        output.stdout
    };
    let object = "--object secret,id=s,data=hunter2";
    let told = line(&format!(r#"exec "$1" --qemu-img "$2" info {object} -f raw /dev/stdin <image 9</dev/null"#));
    let report = Report::parse(&told);
    assert_eq!(report.fds.keys().copied().collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert_eq!((Path::new(&report.fds[&0]), report.secrets), (&*image, vec!["hunter2".to_owned()]));

    for name in ["/dev/fd/9", "/proc/self/fd/9", "/dev/stdin"] {
        let number = if name == "/dev/stdin" { 0 } else { 9 };
        let told = line(&format!(r#"exec "$1" --qemu-img "$3" info --output=json -f raw {name} {number}<image"#));
        let info = qemu_info::ImageInfo::from_json(&told).unwrap();
        assert_eq!((info.filename.as_str(), info.virtual_size), (name, 1024));
    }
}

/// Where children are forgotten, their numbers are somebody else's before they can be waited for.
#[test]
fn nothing_is_started_whose_end_nobody_would_be_told() {
    const NAME: &str = "nothing_is_started_whose_end_nobody_would_be_told";
    const PROGRAM: &str = "SPAWN_WHERE_CHILDREN_ARE_FORGOTTEN";
    let Some(program) = std::env::var_os(PROGRAM) else {
        let directory = scratch();
        let program = executable(directory.path(), "#!/bin/sh\n>\"$0.ran\"\n");
        let mut again = Command::new("env");
        again.arg("--ignore-signal=CHLD").arg(std::env::current_exe().unwrap()).args([NAME, "--exact"]);
        let output = again.env(PROGRAM, &program).output().unwrap();
        assert_passed(&output);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "it ran");
        return;
    };
    let program = Path::new(&program);
    for executor in [LocalExecutor::with_program(program), LocalExecutor::with_program(program).portable()] {
        let error = executor.run(Request::new(&info("/a"))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CouldNotStart);
        assert!(error.to_string().contains("SIGCHLD"), "{error}");
        assert!(error.command().starts_with("qemu-img info "), "{error:?}");
    }
}
