//! Asking a qemu-img whether it knows an option.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::run::{self, Error};

/// A version, as three numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version([u32; 3]);

impl Version {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.').map(|part| part.parse().ok());
        let version = [parts.next()??, parts.next()??, parts.next().unwrap_or(Some(0))?];
        parts.next().is_none().then_some(Self(version))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, micro] = self.0;
        write!(f, "{major}.{minor}.{micro}")
    }
}

/// A qemu-img.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) path: PathBuf,
    pub(super) version: Version,
    pub(super) is_debian: bool,
}

/// What it says to an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Unknown,
    Flag,
    WithValue,
}

impl Program {
    pub(super) fn new(path: PathBuf) -> Result<Self, Error> {
        let text = run::output(Command::new(&path).arg("--version"))?;
        let line = text.lines().next().unwrap_or_default();
        let number = line.strip_prefix("qemu-img version ").and_then(|rest| rest.split(' ').next());
        let version = number.and_then(Version::parse);
        let version = version.ok_or_else(|| Error::Other(format!("`{}` says it is `{line}`", path.display())))?;
        Ok(Self { path, version, is_debian: line.contains("Debian") })
    }

    /// What it prints on standard output and on standard error. Nothing is there to be read or written.
    fn says(&self, args: &[&str]) -> (String, String) {
        let mut command = Command::new(&self.path);
        let output = command.args(args).stdin(Stdio::null()).env("LC_ALL", "C").output();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        output.map(|output| (text(&output.stdout), text(&output.stderr))).unwrap_or_default()
    }

    pub(super) fn ask(&self, subcommand: &str, option: &str) -> Answer {
        let (_, mut said) = self.says(&[subcommand, option]);
        if subcommand == "resize" {
            // Up to 7.2 the last argument is the size, whatever it looks like.
            said.push_str(&self.says(&[subcommand, option, "1"]).1);
        }
        let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
        if has(&["unrecognized option", "invalid option", "is ambiguous"]) {
            Answer::Unknown
        } else if has(&["requires an argument", "missing argument"]) {
            Answer::WithValue
        } else {
            Answer::Flag
        }
    }

    /// The options that its help lists for a subcommand. Up to 7.2 there is one help for all.
    pub(super) fn listed(&self, subcommand: &str) -> BTreeSet<String> {
        let (text, _) = self.says(&[subcommand, "--help"]);
        let of_all = text.contains("\nCommand syntax:");
        let lines = text.lines().filter(|line| {
            if of_all {
                line.starts_with(&format!("  {subcommand} "))
            } else {
                line.trim_start().starts_with(['-', '[', '('])
            }
        });
        lines.flat_map(options_in).collect()
    }
}

/// The words of a line of help that are options: `-f`, `--output=ofmt`, `[--size`, `-a|-c|-d`.
fn options_in(line: &str) -> Vec<String> {
    let words = line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
    let is_option = |word: &&str| match word.strip_prefix("--") {
        Some(name) => name.len() > 1 && name.starts_with(|c: char| c.is_ascii_lowercase()),
        None => word.len() == 2 && word.starts_with('-') && !word.ends_with('-'),
    };
    words.filter(is_option).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_help() {
        let options = |line| options_in(line).join(" ");
        assert_eq!(
            options("  check [--object objectdef] [-q] [--output=ofmt] [-r [leaks | all]] filename"),
            "--object -q --output -r"
        );
        assert_eq!(options("     -l | -a|-c|-d SNAPSHOT - x --"), "-l -a -c -d");
        assert_eq!(options("  -f, --format FMT"), "-f --format");
    }

    #[test]
    fn versions() {
        assert!(Version::parse("10.0").is_some_and(|version| Version::parse("7.2.22") < Some(version)));
        assert_eq!(Version::parse("10"), None);
        assert_eq!(Version::parse("1.2.3.4"), None);
    }
}
