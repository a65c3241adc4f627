//! `cargo xtask bench`: every figure that this project claims, measured beside its yardstick.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use crate::install;
use crate::run::{self, Error};

/// Installs what is missing, and measures.
pub(crate) fn command(args: Vec<OsString>) -> Result<(), Error> {
    install::ensure(&["qemu-img", "cc"])?;
    run::run(&mut cargo_bench(args))
}

/// The command that measures.
fn cargo_bench(args: Vec<OsString>) -> Command {
    let mut command = run::cargo();
    command.args(["bench", "--package", "tests", "--bench", "figures", "--"]);
    for arg in args {
        let saves = arg == "--save";
        command.arg(arg);
        if saves {
            command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("docs/bench"));
        }
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_has_a_place() {
        let line = run::line(&cargo_bench(vec!["map".into(), "--save".into()]));
        assert!(line.starts_with("cargo bench --package tests --bench figures -- map --save /"), "{line}");
        assert!(line.ends_with("/docs/bench"), "{line}");
    }
}
