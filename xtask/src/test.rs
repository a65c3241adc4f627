//! `cargo xtask test`: all tests, after what they run has been installed.

use std::ffi::OsString;
use std::process::Command;

use crate::install;
use crate::packages::TOOLS;
use crate::run::{self, Error};

/// How to run the tests.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    /// Include those that take minutes.
    long: bool,
    /// What `cargo test` is given besides our own arguments.
    cargo_args: Vec<OsString>,
}

/// Installs what is missing and runs the tests of the whole workspace.
pub(crate) fn command(args: Vec<OsString>) -> Result<(), Error> {
    let options = parse(args)?;
    let names: Vec<&str> = TOOLS.iter().map(|tool| tool.name).collect();
    install::ensure(&names)?;
    if !install::is_root() && !run::succeeds(Command::new("sudo").args(["-n", "true"])) {
        eprintln!(
            "warning: you are not root and `sudo -n true` fails, so the tests that mount a small tmpfs or switch to \
             another user will fail; allow this user passwordless sudo, or run the tests as root"
        );
    }
    run::run(&mut cargo_test(&options))
}

/// Reads the arguments of `cargo xtask test`.
fn parse(args: Vec<OsString>) -> Result<Options, Error> {
    let mut options = Options::default();
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        if arg == "--long" {
            options.long = true;
        } else if arg == "--" {
            options.cargo_args = args.by_ref().collect();
        } else {
            let message = format!("no argument `{}`; put what is for `cargo test` after `--`", arg.display());
            return Err(Error::Usage(message));
        }
    }
    Ok(options)
}

/// The command that runs the tests, doctests among them. It goes on after a failure, since a run takes long.
fn cargo_test(options: &Options) -> Command {
    let mut command = run::cargo();
    command.args(["test", "--workspace", "--all-features", "--no-fail-fast"]).args(&options.cargo_args);
    if options.long {
        command.env("QEMU_TESTS_LONG", "1");
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(args: &[&str]) -> Result<String, u8> {
        let options = parse(args.iter().map(OsString::from).collect()).map_err(|error| error.exit_code())?;
        Ok(run::line(&cargo_test(&options)))
    }

    #[test]
    fn command_lines() {
        assert_eq!(line(&[]), Ok("cargo test --workspace --all-features --no-fail-fast".to_owned()));
        assert_eq!(
            line(&["--long"]),
            Ok("QEMU_TESTS_LONG=1 cargo test --workspace --all-features --no-fail-fast".to_owned())
        );
        let with_args = line(&["--", "argv", "--", "--long"]);
        assert_eq!(with_args, Ok("cargo test --workspace --all-features --no-fail-fast argv -- --long".to_owned()));
        assert_eq!(line(&["argv"]), Err(2));
    }
}
