//! `cargo xtask ci`: what must hold before a change lands, one step after the other.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::process::Command;
use std::time::Instant;

use crate::run::{self, Error};
use crate::{crates, test};

/// How many crates from elsewhere the three libraries may need together, with no feature enabled.
const CRATE_BUDGET: usize = 30;

/// One thing that must hold.
struct Step {
    name: &'static str,
    action: Action,
}

/// How a step is checked.
enum Action {
    /// By `cargo` with these arguments.
    Cargo(&'static [&'static str]),
    /// By `cargo` with these arguments, where rustdoc takes a warning for an error.
    CargoDoc(&'static [&'static str]),
    /// By another of our own commands.
    Xtask(&'static str, fn(Vec<OsString>) -> Result<(), Error>),
    /// By code here.
    Check(fn() -> Result<(), Error>),
}

/// All steps, the tests last as they take longest.
const STEPS: &[Step] = &[
    Step { name: "components", action: Action::Check(ensure_components) },
    Step { name: "format", action: Action::Cargo(&["fmt", "--all", "--check"]) },
    Step {
        name: "clippy",
        action: Action::Cargo(&["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"]),
    },
    Step { name: "packages", action: Action::Check(crates::check) },
    Step { name: "docs", action: Action::CargoDoc(&["doc", "--workspace", "--no-deps", "--all-features"]) },
    Step { name: "crate budget", action: Action::Check(check_crate_budget) },
    Step { name: "test", action: Action::Xtask("test", test::command) },
];

/// Runs every step and stops at the first that fails.
pub(crate) fn command(args: &[OsString]) -> Result<(), Error> {
    if let Some(arg) = args.first() {
        return Err(Error::Usage(format!("`ci` takes no argument, so what is `{}`?", arg.display())));
    }
    let start = Instant::now();
    for step in STEPS {
        eprintln!("\n== {}", step.name);
        let step_start = Instant::now();
        step.check().map_err(|error| Error::Step { name: step.name, source: Box::new(error) })?;
        eprintln!("== {}: ok in {:.1} s", step.name, step_start.elapsed().as_secs_f64());
    }
    eprintln!("\nall {} steps passed in {:.1} s", STEPS.len(), start.elapsed().as_secs_f64());
    Ok(())
}

impl Step {
    /// Checks that it holds.
    fn check(&self) -> Result<(), Error> {
        match self.action {
            Action::Cargo(args) => run::run(run::cargo().args(args)),
            Action::CargoDoc(args) => run::run(run::cargo().args(args).env("RUSTDOCFLAGS", "-D warnings")),
            Action::Xtask(name, command) => {
                eprintln!("$ cargo xtask {name}");
                command(Vec::new())
            }
            Action::Check(check) => check(),
        }
    }
}

/// Makes sure that `cargo fmt` and `cargo clippy` work, which a minimal toolchain or a
/// distribution's comes without.
fn ensure_components() -> Result<(), Error> {
    for (subcommand, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        let works = || run::succeeds(run::cargo().args([subcommand, "--version"]));
        if works() {
            continue;
        }
        if let Some(rustup) = run::find_program("rustup") {
            run::run(Command::new(rustup).args(["component", "add", component]))?;
        }
        if !works() {
            return Err(Error::Other(format!(
                "`cargo {subcommand}` does not work; run `rustup component add {component}`, or install \
                 the package that your distribution has for it ({component} or rust-{component})"
            )));
        }
    }
    Ok(())
}

/// Checks that the libraries stay light for those who depend on them.
fn check_crate_budget() -> Result<(), Error> {
    // qemu-exec depends on the other two.
    let mut tree = run::cargo();
    tree.args(["tree", "-p", "qemu-exec", "--no-default-features", "-e", "normal,build", "--prefix", "none"]);
    eprintln!("$ {}", run::line(&tree));
    let tree = run::output(&mut tree)?;
    let crates = external_crates(&tree);
    eprintln!("{} external crates, {CRATE_BUDGET} allowed", crates.len());
    if crates.is_empty() || crates.len() > CRATE_BUDGET {
        let crates: Vec<&str> = crates.into_iter().collect();
        return Err(Error::Other(format!(
            "{} crates from elsewhere where 1 to {CRATE_BUDGET} are expected; drop one or put it behind a feature: {}",
            crates.len(),
            crates.join(", ")
        )));
    }
    Ok(())
}

/// The crates, each with its version, that `cargo tree --prefix none` lists with no path, so which
/// are not our own.
fn external_crates(tree: &str) -> BTreeSet<&str> {
    let lines = tree.lines().map(str::trim).filter(|line| !line.is_empty() && !line.contains(" (/"));
    lines.map(|line| line.split(" (").next().unwrap_or(line)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_are_counted_once_and_ours_not_at_all() {
        let tree = "qemu-exec v0.1.0 (/src/qemu-exec)\nserde v1.0.1\nserde_derive v1.0.1 (proc-macro)\n\n\
                    qemu-cmd v0.1.0 (/src/qemu-cmd)\nserde v1.0.1 (*)\nsyn v1.0.0\nsyn v2.0.0\n\
                    qemu-info v0.1.0 (/src/my (own)/qemu-info) (*)\n";
        let crates: Vec<&str> = external_crates(tree).into_iter().collect();
        assert_eq!(crates, ["serde v1.0.1", "serde_derive v1.0.1", "syn v1.0.0", "syn v2.0.0"]);
    }

    #[test]
    fn no_two_steps_share_a_name() {
        let names: BTreeSet<&str> = STEPS.iter().map(|step| step.name).collect();
        assert_eq!(names.len(), STEPS.len());
    }
}
