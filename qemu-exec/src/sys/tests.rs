use std::io::{Read as _, Write as _, pipe};
use std::os::fd::AsFd as _;

use qemu_cmd::{CommandLine, Invocation};

use super::*;
use crate::{Executor as _, LocalExecutor, Output, Request};

/// Runs a line of shell with these limits and descriptors after standard error.
fn shell(line: &CStr, limits: &[(Resource, Rlimit)], more: &[BorrowedFd<'_>]) -> Result<String, Failure> {
    let null = std::fs::File::open("/dev/null").unwrap();
    let (mut read, write) = pipe().unwrap();
    let descriptors: Vec<_> = [null.as_fd(), write.as_fd(), write.as_fd()].iter().chain(more).copied().collect();
    let args = [c"sh".to_owned(), c"-c".to_owned(), line.to_owned()];
    let program = Program {
        path: c"/bin/sh",
        args: &args,
        env: &[],
        directory: Some(c"/"),
        cgroup: None,
        limits,
        descriptors: &descriptors,
    };
    let result = spawn(&program);
    drop(descriptors);
    drop(write);
    let (pid, _pidfd) = result?;
    let mut text = String::new();
    read.read_to_string(&mut text).unwrap();
    retry_on_intr(|| waitpid(Some(pid), WaitOptions::empty())).unwrap();
    Ok(text)
}

/// Runs it in a thread that has a table of descriptors to itself.
fn with_own_descriptors<T: Send>(act: impl FnOnce() -> T + Send) -> T {
    let thread = || {
        // SAFETY: it takes a copy of the table of this thread, and nothing that it shares with others changes.
        assert_eq!(unsafe { libc::unshare(libc::CLONE_FILES) }, 0);
        act()
    };
    std::thread::scope(|scope| scope.spawn(thread).join().unwrap())
}

fn close(fd: c_int) {
    // SAFETY: the table is the thread's own, in which nothing owns the streams.
    unsafe { libc::close(fd) };
}

/// The memory files, pipes and `/dev/null` that are opened get the numbers of the streams then.
#[test]
fn a_parent_without_streams() {
    let line = ["info", "--object", "secret,id=a,data=one", "--object", "secret,id=b,data=two", "x"];
    let invocation: Invocation = CommandLine::parse(line.map(Into::into)).unwrap().invocation().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("qemu-img");
    let script = "#!/bin/sh\ncat <&3; cat <&4; readlink /proc/self/fd/0; echo end >&2\n";
    // Another process writes it, so that no child of this one has it open for writing.
    let write = r#"printf %s "$1" > "$2"; chmod 755 "$2""#;
    let mut writer = std::process::Command::new("sh");
    assert!(writer.args(["-c", write, "sh", script]).arg(&program).status().unwrap().success());
    for closed in [&[0][..], &[1], &[2], &[0, 1], &[0, 2], &[1, 2], &[0, 1, 2]] {
        for output in [Output::Captured, Output::Forwarded] {
            let executor = LocalExecutor::with_program(&program);
            let request = Request::new(&invocation).output(output).inherit_stdin(true);
            let outcome = with_own_descriptors(|| {
                // What is not closed here goes nowhere, rather than to whoever reads the output of the tests.
                let null = std::fs::File::options().read(true).write(true).open("/dev/null").unwrap();
                for fd in 0..3 {
                    // SAFETY: as for `close`.
                    unsafe { libc::dup2(null.as_raw_fd(), fd) };
                }
                closed.iter().copied().for_each(close);
                executor.run(request).unwrap()
            });
            assert!(outcome.success(), "{closed:?}: {outcome:?}");
            let expected = if output == Output::Captured { "onetwo/dev/null\n" } else { "" };
            assert_eq!(String::from_utf8(outcome.stdout).unwrap(), expected, "{closed:?}");
            assert_eq!(outcome.stderr, b"end\n", "{closed:?}");
        }
    }
}

#[test]
fn descriptors_may_change_places() {
    let text = with_own_descriptors(|| {
        (0..8).for_each(close);
        let files = ["zero", "one", "two", "three"].map(|text| {
            let (read, mut write) = pipe().unwrap();
            write.write_all(text.as_bytes()).unwrap();
            read
        });
        let [zero, one, two, three] = files.each_ref().map(|file| file.as_fd());
        assert!(zero.as_raw_fd() < 3);
        shell(c"cat <&3; cat <&4; cat <&5; cat <&6; ls -C /proc/$$/fd", &[], &[three, zero, two, one])
    });
    assert_eq!(text.unwrap(), "threezerotwoone0  1  2  3  4  5  6\n");
}

#[test]
fn a_failed_step_is_told_and_leaves_nothing() {
    let both = |limit| Rlimit { current: Some(limit), maximum: Some(limit) };
    // The second one is more than the kernel gives to anybody (fs.nr_open).
    let limits = [(Resource::Cpu, both(100)), (Resource::Nofile, both(1 << 40))];
    let failure = shell(c"echo", &limits, &[]).unwrap_err();
    assert_eq!(failure, Failure { step: Step::Limit(Resource::Nofile), errno: Errno::PERM });
    // A descriptor that is none.
    // SAFETY: nobody owns or uses it.
    let none = unsafe { BorrowedFd::borrow_raw(c_int::MAX) };
    let failure = shell(c"echo", &[], &[none]).unwrap_err();
    assert_eq!(failure, Failure { step: Step::Descriptors, errno: Errno::BADF });
    assert_eq!(shell(c"ulimit -t", &[(Resource::Cpu, both(100))], &[]).unwrap(), "100\n");
}

#[test]
fn the_signals_of_the_parent_stay_as_they_are() {
    let before = set_signal_mask(1);
    let during = shell(c"echo", &[], &[]).map(|_| set_signal_mask(before));
    assert_eq!(during, Ok(1));
}
