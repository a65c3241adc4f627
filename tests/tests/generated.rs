//! Generated commands of every subcommand, each run by the real qemu-img: it may fail, for there may be no such
//! snapshot or no such server, but it never says that it was called in a wrong way, and never dies.
//!
//! They run in a directory of their own, on images of every format, and name no host that can be reached. What a
//! version lacks, by what the model says that a command needs, it refuses.
//!
//! The same 12 commands of each subcommand are run every time, and with `QEMU_TESTS_LONG=1` 150 others each time. A
//! failure prints the command and the seed, which given in `PROPTEST_RNG_SEED` repeats it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "generated/refused.rs"]
mod refused;
#[path = "generated/scene.rs"]
mod scene;
#[path = "generated/verdict.rs"]
mod verdict;

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, Hasher as _};

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use qemu_cmd::{CommandLine, LintRule, QemuVersion, Subcommand};
use scene::Scene;
use tests::bare;
use verdict::Verdict;

fn version() -> QemuVersion {
    String::from_utf8(bare(["--version"]).stdout).unwrap().parse().unwrap()
}

/// Runs accepted commands of a subcommand.
fn run(subcommand: Subcommand) {
    let is_long = std::env::var_os("QEMU_TESTS_LONG").is_some();
    let wanted = if is_long { 150 } else { 12 };
    let seed = match Config::default().rng_seed {
        RngSeed::Fixed(seed) => seed,
        RngSeed::Random if !is_long => 1,
        RngSeed::Random => std::hash::RandomState::new().build_hasher().finish(),
    };
    let mut runner = TestRunner::new(Config { rng_seed: RngSeed::Fixed(seed), ..Config::default() });
    let scene = Scene::new();
    let strategy = scene.world().command_of(subcommand);
    let version = version();
    let mut verdicts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    // Few may succeed, as a snapshot that is there is rarely named, but some must.
    let is_enough = |verdicts: &BTreeMap<&str, usize>| {
        let all = verdicts.values().sum::<usize>();
        all >= wanted && (verdicts.contains_key("succeeded") || all >= 20 * wanted)
    };
    while !is_enough(&verdicts) {
        let command = strategy.new_tree(&mut runner).unwrap().current();
        let Ok(invocation) = command.invocation() else { continue };
        scene.set();
        let args = scene.argv(&invocation);
        let line = CommandLine::parse(args.iter().cloned()).unwrap();
        let output = scene.run(&args);
        let verdict = match line.unsupported(version) {
            None => Verdict::of(&output, probes(&line)),
            Some(_) if output.status.code().is_some_and(|code| code > 0) => Verdict::Unsupported,
            Some(lack) => Verdict::Wrong(format!("{lack}, but it ran")),
        };
        if let Verdict::Wrong(why) = &verdict {
            wrong.push(format!("{why}: {invocation}\n{}", String::from_utf8_lossy(&output.stderr)));
        }
        *verdicts.entry(verdict.name()).or_insert(0) += 1;
    }
    let name = subcommand.as_str();
    assert!(wrong.is_empty(), "{}\nto repeat it: PROPTEST_RNG_SEED={seed}, test {name}", wrong.join("\n"));
    assert!(verdicts.contains_key("succeeded"), "none of the commands of {name} succeeds: {verdicts:?}, seed {seed}");
}

/// Whether the content of an image chooses its format.
fn probes(line: &CommandLine) -> bool {
    line.lint().iter().any(|finding| finding.code == LintRule::FORMAT_PROBED.code)
}

macro_rules! each {
    ($($test:ident $subcommand:ident,)+) => {
        $(#[test]
        fn $test() {
            run(Subcommand::$subcommand);
        })+

        #[test]
        fn every_subcommand_is_here() {
            assert_eq!(Subcommand::ALL, [$(Subcommand::$subcommand),+]);
        }
    };
}

each! {
    amend Amend,
    bench Bench,
    bitmap Bitmap,
    check Check,
    commit Commit,
    compare Compare,
    convert Convert,
    create Create,
    dd Dd,
    info Info,
    map Map,
    measure Measure,
    rebase Rebase,
    resize Resize,
    snapshot Snapshot,
}
