//! The harness itself: it finds nothing wrong with the qemu-img under test, and something with each that lies.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::os::unix::fs::FileExt as _;
use std::path::Path;

use qemu_exec::{Error, Executor, LocalExecutor, Outcome, Plan, Request};
use tests::harness::{Image, OPERATIONS, Options, Report, Verdict, run};
use tests::{executable, local, qemu_img, scratch, which};

/// Images of these formats, not encrypted. `cargo xtask harness` takes all, and generated commands too, as `generated.rs` does.
fn options(formats: &[&str]) -> Options {
    let is_quick = |image: &Image| !image.encrypted && formats.contains(&image.format.as_str());
    Options { images: Image::ALL.into_iter().filter(is_quick).collect(), cases: 0, ..Options::default() }
}

/// What it says of a qemu-img that is a shell script: `$real` is the true one, and `$last` its last argument.
fn of_script(formats: &[&str], body: &str) -> Report {
    let directory = scratch();
    let real = which(qemu_img());
    let script = format!("#!/bin/sh\nreal='{}'\nfor last; do :; done\n{body}\n", real.display());
    let program = executable(directory.path(), &script);
    run(|_| LocalExecutor::with_program(&program), &options(formats)).unwrap()
}

/// The operations, of any image, with which something is wrong.
fn wrong(report: &Report) -> Vec<&'static str> {
    let wrong = |cell: &&tests::harness::Cell| matches!(cell.verdict, Verdict::Wrong(_));
    let mut wrong: Vec<_> = report.cells.iter().filter(wrong).map(|cell| cell.operation).collect();
    wrong.sort_unstable();
    wrong.dedup();
    wrong
}

#[test]
fn nothing_is_wrong_with_the_qemu_img_under_test() {
    let report = run(|directory| local().current_dir(directory), &options(&["raw", "qcow2", "vmdk"])).unwrap();
    assert_eq!(report.wrong(), 0, "{report}");
    assert_eq!(report.cells.len(), 3 * OPERATIONS.len());
    let accepted = report.cells.iter().filter(|cell| cell.verdict == Verdict::Accepted).count();
    assert!(accepted > 40, "{report}");
    let json = report.to_json();
    assert_eq!(json["wrong"], 0);
    assert_eq!(json["cells"].as_array().unwrap().len(), report.cells.len());
    assert!(report.to_string().lines().last().unwrap().contains(" 0 wrong; "), "{report}");
}

#[test]
fn a_byte_that_is_lost_is_seen() {
    let report = of_script(
        &["raw", "qcow2"],
        "\"$real\" \"$@\" || exit\n[ \"$1\" != convert ] || [ ! -f \"$last\" ] || printf X | \
         dd of=\"$last\" bs=1 seek=1000000 conv=notrunc status=none",
    );
    // Where an image has its last 48 KiB is its own affair: of a raw one it is known.
    let raw = |cell: &tests::harness::Cell| cell.image.format.as_str() == "raw" || cell.operation == "read";
    let seen = report.cells.iter().filter(|cell| raw(cell) && matches!(cell.verdict, Verdict::Wrong(_)));
    let seen: Vec<_> = seen.map(|cell| cell.operation).collect();
    assert!(seen.contains(&"write") && seen.iter().filter(|operation| **operation == "read").count() == 2, "{report}");
    assert!(report.to_string().contains("WRONG  read of qcow2: the content differs at 1000000"), "{report}");
}

#[test]
fn what_is_not_done_is_seen_whatever_the_exit_status_says() {
    let idle = of_script(
        &["qcow2"],
        "case $1 in convert|create|resize|commit|rebase|bitmap|snapshot|amend|dd) exit 0;; esac\nexec \"$real\" \"$@\"",
    );
    let mutating =
        ["amend", "bitmap", "commit", "compress", "create", "dd", "overlay", "read", "rebase", "resize", "snapshot"];
    for operation in mutating.into_iter().chain(["update", "write"]) {
        assert!(wrong(&idle).contains(&operation), "{operation} was not done\n{idle}");
    }
    // One that fails at everything has refused nothing.
    let broken = of_script(&["qcow2"], "[ \"$1\" != --version ] || exec \"$real\" --version\nexit 1");
    assert!(broken.cells.iter().all(|cell| cell.verdict != Verdict::Accepted), "{broken}");
    assert!(broken.wrong() > 15, "{broken}");
}

/// An executor of somebody else's, which has a mistake.
struct Forgetful(LocalExecutor);

impl Executor for Forgetful {
    fn plan(&self, request: &Request<'_>) -> Result<Plan, Error> {
        self.0.plan(request)
    }

    fn run<'a>(&self, request: Request<'a>) -> Result<Outcome, Error> {
        let written = request.launched().writes().first().and_then(|place| place.path()).map(Path::to_owned);
        let subcommand = request.invocation.subcommand().to_owned();
        let outcome = self.0.run(request)?;
        if subcommand == "resize"
            && let Some(path) = written
        {
            std::fs::File::options().write(true).open(path).unwrap().write_all_at(&[0; 4096], 512 << 10).unwrap();
        }
        Ok(outcome)
    }
}

#[test]
fn an_executor_of_somebody_else_can_be_tried() {
    let report = run(|_| Forgetful(local()), &options(&["qcow2"])).unwrap();
    assert_eq!(wrong(&report), ["resize"], "{report}");
}
