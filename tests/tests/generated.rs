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

use qemu_cmd::Subcommand;
use qemu_exec::QemuImg;
use tests::harness::generated;
use tests::harness::scene::Scene;
use tests::property::{given_seed, random_seed};
use tests::{local, long};

/// Runs accepted commands of a subcommand.
fn run(subcommand: Subcommand) {
    let seed = given_seed().unwrap_or_else(|| if long() { random_seed() } else { 1 });
    let scene = Scene::lay_out();
    let executor = local().current_dir(scene.now(""));
    let version = QemuImg::new(&executor).qemu_version().unwrap();
    let found = generated::run(&scene, &executor, version, subcommand, if long() { 150 } else { 12 }, seed);
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
