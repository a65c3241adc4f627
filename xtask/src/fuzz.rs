//! `cargo xtask fuzz`: inputs that nobody thought of, for each parser.
//!
//! libFuzzer is part of a crate, and the compiler's instrumentation is in every toolchain, so this needs neither a
//! nightly one nor `cargo-fuzz`.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::install;
use crate::run::{self, Error};

/// A target, and where its seeds are, from `tests/`, besides those of its own in `fuzz/corpus/`.
struct Target {
    name: &'static str,
    seeds: &'static [&'static str],
}

const fn target(name: &'static str, seeds: &'static [&'static str]) -> Target {
    Target { name, seeds }
}

const TARGETS: &[Target] = &[
    target("qcow2", &["fuzz/corpus/qcow2"]),
    target("qcow", &["fuzz/corpus/qcow"]),
    target("luks", &["fuzz/corpus/luks"]),
    target("vmdk", &["fuzz/corpus/vmdk"]),
    target("vdi", &["fuzz/corpus/vdi"]),
    target("vhdx", &["fuzz/corpus/vhdx"]),
    target("vpc", &["fuzz/corpus/vpc"]),
    target("qed", &["fuzz/corpus/qed"]),
    target("parallels", &["fuzz/corpus/parallels"]),
    target("bochs", &["fuzz/corpus/bochs"]),
    target("cloop", &["fuzz/corpus/cloop"]),
    target("dmg", &["fuzz/corpus/dmg"]),
    target("disc", &["fuzz/corpus/disc"]),
    target("partitions", &["fuzz/corpus/partitions"]),
    target(
        "stream",
        &[
            "fuzz/corpus/qcow2",
            "fuzz/corpus/luks",
            "fuzz/corpus/vmdk",
            "fuzz/corpus/vhdx",
            "fuzz/corpus/vpc",
            "fuzz/corpus/dmg",
            "fuzz/corpus/disc",
            "fuzz/corpus/partitions",
        ],
    ),
    target("info", &["samples/info"]),
    target("chain", &["samples/info"]),
    target("check", &["samples/check"]),
    target("map", &["samples/map"]),
    target("measure", &["samples/measure"]),
    target("compare", &["fuzz/corpus/compare"]),
    target("snapshot_list", &["fuzz/corpus/snapshot_list"]),
    target("argv", &["fuzz/corpus/argv", "argv"]),
];

/// What `cargo-fuzz` passes, without the sanitizer that only a nightly compiler has.
const FLAGS: &[&str] = &[
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

/// The longest input in bytes: a parser whose time grows with its square is noticed.
const LONGEST: u32 = 16 << 10;

/// What to run.
#[derive(Debug, PartialEq, Eq)]
struct Options {
    /// One target, or all.
    target: Option<String>,
    /// For how long each.
    seconds: u32,
}

/// Builds the targets and runs them one after the other, until an input fails.
pub(crate) fn command(args: Vec<OsString>) -> Result<(), Error> {
    let options = parse(args)?;
    install::ensure(&["c++"])?;
    let host = host()?;
    // A directory of its own: with these flags, everything is built anew.
    let work = run::target_directory()?.join("fuzz");
    run::run(&mut build(&host, &work))?;
    let program = work.join(&host).join("release/fuzz");
    for target in TARGETS.iter().filter(|target| options.target.as_deref().is_none_or(|name| name == target.name)) {
        let corpus = work.join("corpus").join(target.name);
        let crashes = work.join("crashes").join(target.name);
        for directory in [&corpus, &crashes] {
            fs::create_dir_all(directory)
                .map_err(|error| Error::Other(format!("cannot make `{}`: {error}", directory.display())))?;
        }
        let mut fuzz = fuzz(&program, target, options.seconds);
        // What was found stays, and is where the next run goes on from.
        fuzz.arg(format!("-artifact_prefix={}/", crashes.display())).arg(corpus);
        run::run(fuzz.args(target.seeds.iter().map(|seeds| tests().join(seeds))))?;
    }
    Ok(())
}

/// Reads the arguments of `cargo xtask fuzz`.
fn parse(args: Vec<OsString>) -> Result<Options, Error> {
    let mut options = Options { target: None, seconds: 10 };
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        let arg = arg.to_string_lossy();
        if arg == "--seconds" {
            let value = args.next().unwrap_or_default();
            let seconds = value.to_str().and_then(|value| value.parse().ok()).filter(|seconds| *seconds > 0);
            let wrong = || Error::Usage(format!("`--seconds` takes a number of them, not `{}`", value.display()));
            options.seconds = seconds.ok_or_else(wrong)?;
        } else if options.target.is_none() && TARGETS.iter().any(|target| target.name == arg) {
            options.target = Some(arg.into_owned());
        } else {
            let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
            return Err(Error::Usage(format!("`{arg}` is not one target of {}", names.join(", "))));
        }
    }
    Ok(options)
}

/// The directory `tests`, beside ours.
fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("tests")
}

/// The triple that the compiler builds for.
fn host() -> Result<String, Error> {
    let version = run::output(run::cargo().arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| Error::Other("`cargo -vV` names no host".to_owned()))
}

/// The command that builds all targets. That a target triple is given keeps the flags from what runs while building.
fn build(host: &str, work: &Path) -> Command {
    let mut command = run::cargo();
    command.args(["build", "--release", "--locked", "--target", host, "--manifest-path"]);
    command.arg(tests().join("fuzz/Cargo.toml")).arg("--target-dir").arg(work).env("RUSTFLAGS", FLAGS.join(" "));
    command
}

/// The command that runs one target.
fn fuzz(program: &Path, target: &Target, seconds: u32) -> Command {
    let mut command = Command::new(program);
    command.env("FUZZ_TARGET", target.name).arg(format!("-max_total_time={seconds}"));
    // Of the whole process, which keeps its corpus in memory; what one input may take, the target itself bounds.
    command.args([&format!("-max_len={LONGEST}"), "-timeout=10", "-rss_limit_mb=1024", "-print_final_stats=1"]);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(args: &[&str]) -> Result<Options, u8> {
        parse(args.iter().map(OsString::from).collect()).map_err(|error| error.exit_code())
    }

    #[test]
    fn arguments() {
        assert_eq!(parsed(&[]), Ok(Options { target: None, seconds: 10 }));
        let one = Options { target: Some("qcow2".to_owned()), seconds: 60 };
        assert_eq!(parsed(&["qcow2", "--seconds", "60"]), Ok(one));
        for wrong in [&["raw"][..], &["qcow2", "luks"], &["--seconds"], &["--seconds", "0"], &["--seconds", "soon"]] {
            assert_eq!(parsed(wrong), Err(2), "{wrong:?}");
        }
    }

    #[test]
    fn every_target_is_one_of_the_program_and_has_seeds() {
        let program = include_str!("../../tests/fuzz/src/main.rs");
        let (_, table) = program.split_once("TARGETS: &").unwrap_or_default();
        let names = table.lines().filter_map(|line| line.trim().strip_prefix("(\"")?.split('"').next());
        assert_eq!(names.collect::<Vec<_>>(), TARGETS.iter().map(|target| target.name).collect::<Vec<_>>());
        for seeds in TARGETS.iter().flat_map(|target| target.seeds) {
            assert!(fs::read_dir(tests().join(seeds)).is_ok_and(|mut files| files.next().is_some()), "{seeds}");
        }
    }

    #[test]
    fn the_corpus_is_small() {
        let mut whole = 0;
        for directory in fs::read_dir(tests().join("fuzz/corpus")).into_iter().flatten().flatten() {
            for file in fs::read_dir(directory.path()).into_iter().flatten().flatten() {
                let length = file.metadata().map_or(u64::MAX, |metadata| metadata.len());
                assert!(length < 4 << 10, "{}", file.path().display());
                whole += length;
            }
        }
        assert!((1..100 << 10).contains(&whole), "{whole} bytes");
    }
}
