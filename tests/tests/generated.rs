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

use std::hash::{BuildHasher as _, Hasher as _};

use proptest::test_runner::{Config, RngSeed};
use qemu_cmd::Subcommand;
use qemu_exec::QemuImg;
use tests::harness::generated;
use tests::harness::scene::Scene;
use tests::local;

/// Runs accepted commands of a subcommand.
fn run(subcommand: Subcommand) {
    let is_long = std::env::var_os("QEMU_TESTS_LONG").is_some();
    let seed = match Config::default().rng_seed {
        RngSeed::Fixed(seed) => seed,
        RngSeed::Random if !is_long => 1,
        RngSeed::Random => std::hash::RandomState::new().build_hasher().finish(),
    };
    let scene = Scene::lay_out();
    let executor = local().current_dir(scene.now(""));
    let version = QemuImg::new(&executor).qemu_version().unwrap();
    let found = generated::run(&scene, &executor, version, subcommand, if is_long { 150 } else { 12 }, seed);
    let (name, wrong, verdicts) = (subcommand.as_str(), found.wrong, found.verdicts);
    assert!(
        wrong.is_empty(),
        "{}\n{verdicts:?}\nto repeat it: PROPTEST_RNG_SEED={seed}, test {name}",
        wrong.join("\n")
    );
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
