//! Generated commands of every subcommand: each may fail, for there may be no such snapshot or no such server, but none
//! is called in a wrong way, and none dies.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use qemu_cmd::{ByteSize, CommandLine, LintRule, QemuVersion, Subcommand};
use qemu_exec::{End, Executor, Limits, Request};

use super::scene::Scene;
use super::verdict::Verdict;

/// What became of the commands of a subcommand.
#[derive(Clone, Debug)]
pub struct Generated {
    /// The subcommand.
    pub subcommand: Subcommand,
    /// How many came to which end.
    pub verdicts: BTreeMap<&'static str, usize>,
    /// What was wrong, with the command.
    pub wrong: Vec<String>,
}

/// Runs commands of every subcommand.
pub(super) fn run_all<E: Executor>(
    make: impl Fn(&Path) -> E,
    version: Option<QemuVersion>,
    cases: usize,
    seed: u64,
) -> Vec<Generated> {
    let scene = Scene::lay_out();
    let executor = make(&scene.now(""));
    Subcommand::ALL.iter().map(|subcommand| run(&scene, &executor, version, *subcommand, cases, seed)).collect()
}

/// Runs accepted commands of a subcommand, in the directory of the scene: so many, and more if none of them succeeds.
pub fn run<E: Executor>(
    scene: &Scene,
    executor: &E,
    version: Option<QemuVersion>,
    subcommand: Subcommand,
    cases: usize,
    seed: u64,
) -> Generated {
    let mut runner = TestRunner::new(Config { rng_seed: RngSeed::Fixed(seed), ..Config::default() });
    let strategy = scene.world().command_of(subcommand);
    let mut verdicts: BTreeMap<&'static str, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    // Few may succeed, as a snapshot that is there is rarely named, but some must.
    let is_enough = |verdicts: &BTreeMap<&str, usize>| {
        let all = verdicts.values().sum::<usize>();
        all >= cases && (verdicts.contains_key("succeeded") || all >= 20 * cases)
    };
    while !is_enough(&verdicts) {
        let command = strategy.new_tree(&mut runner).unwrap().current();
        let Ok(invocation) = command.invocation() else { continue };
        scene.set();
        let line = CommandLine::parse(crate::argv(&invocation)).unwrap();
        let limits = Limits::none().file_size(ByteSize::mib(64)).core(ByteSize::bytes(0));
        let request = Request::new(&invocation).limits(limits).timeout(Some(Duration::from_secs(4)));
        let outcome = executor.run(request);
        let lack = version.and_then(|version| line.unsupported(version));
        let verdict = match (&outcome, lack) {
            (Err(error), _) => Verdict::Wrong(format!("it did not start: {error}")),
            (Ok(outcome), None) => Verdict::of(outcome, probes(&line)),
            (Ok(outcome), Some(_))
                if matches!(outcome.end, End::Exited(_))
                    && outcome.clone().ok(&invocation, &Limits::none()).is_err() =>
            {
                Verdict::Unsupported
            }
            (Ok(_), Some(lack)) => Verdict::Wrong(format!("{lack}, but it ran")),
        };
        if let Verdict::Wrong(why) = &verdict {
            let said = outcome.as_ref().map(|outcome| String::from_utf8_lossy(&outcome.stderr)).unwrap_or_default();
            wrong.push(format!("{why}: {invocation}\n{said}"));
        }
        *verdicts.entry(verdict.name()).or_insert(0) += 1;
    }
    if !verdicts.contains_key("succeeded") {
        wrong.push(format!("none of the commands of {} succeeds", subcommand.as_str()));
    }
    Generated { subcommand, verdicts, wrong }
}

/// Whether the content of an image chooses its format.
fn probes(line: &CommandLine) -> bool {
    line.lint().iter().any(|finding| finding.code == LintRule::FORMAT_PROBED.code)
}
