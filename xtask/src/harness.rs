//! `cargo xtask harness`: what a qemu-img accepts, refuses and gets wrong.

use std::ffi::OsString;
use std::process::Command;

use crate::install;
use crate::run::{self, Error};

/// Installs what is missing, and runs the harness.
pub(crate) fn command(args: Vec<OsString>) -> Result<(), Error> {
    install::ensure(&["qemu-img"])?;
    run::run(&mut cargo_run(args))
}

/// The command that runs it.
fn cargo_run(args: Vec<OsString>) -> Command {
    let mut command = run::cargo();
    command.args(["run", "--quiet", "--package", "tests", "--bin", "harness", "--"]).args(args);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_those_of_the_program() {
        let line = run::line(&cargo_run(vec!["--qemu-img".into(), "/opt/qemu-img".into()]));
        assert_eq!(line, "cargo run --quiet --package tests --bin harness -- --qemu-img /opt/qemu-img");
    }
}
