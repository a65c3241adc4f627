//! What each argument of a command line does, from the option table.

mod parts;

use std::ffi::{OsStr, OsString};

use crate::command_line::{Given, Meaning, Piece};
use crate::option_table::OperandSpec;
use crate::redact::redact;
use crate::{Arg, Availability, CommandLine, Subcommand};

/// Arguments that belong together, and what they do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explained {
    /// The arguments, without secrets: an object has a placeholder for its passphrase, and an address for its
    /// password.
    pub args: Vec<OsString>,
    /// What they do.
    pub meaning: String,
    /// What is in the list that they are: create options, the properties of an object, or the keys of a node, one each.
    pub parts: Vec<Explained>,
}

impl CommandLine {
    /// What each of its arguments does, in order, beginning with the subcommand.
    ///
    /// ```
    /// use qemu_cmd::CommandLine;
    /// let line = CommandLine::parse(["info", "-Uf", "qcow2", "disk.qcow2"].map(Into::into))?;
    /// let explained = line.explain();
    /// assert_eq!(explained[1].args, ["-Uf", "qcow2"]);
    /// assert!(explained[1].meaning.starts_with("-U: opens images even while another process writes them; -f: "));
    /// assert_eq!(explained[2].meaning, "FILE: the image to describe");
    /// # Ok::<(), qemu_cmd::ParseError>(())
    /// ```
    #[must_use]
    pub fn explain(&self) -> Vec<Explained> {
        let subcommand = self.subcommand();
        let mut explained = vec![Explained {
            args: vec![subcommand.as_str().into()],
            meaning: subcommand.summary().to_owned(),
            parts: Vec::new(),
        }];
        if let Some(mode) = self.added_cache() {
            explained.push(Explained {
                args: vec!["-t".into(), mode.as_str().into()],
                meaning: "the target's cache mode; added".to_owned(),
                parts: Vec::new(),
            });
        }
        let mut operands = 0;
        for piece in &self.pieces {
            let args = shown(piece);
            let (meaning, parts) = match &piece.meaning {
                Meaning::Options(options) => {
                    let parts = |given| self.parts_of_option(given, args.last().map(OsString::as_os_str));
                    (self.of_options(options), options.iter().flat_map(parts).collect())
                }
                Meaning::Operand(operand) => {
                    operands += 1;
                    self.of_operand(operand, operands - 1)
                }
                Meaning::Help => ("prints help, and does nothing else".to_owned(), Vec::new()),
                Meaning::Terminator => {
                    ("ends the options: what follows is an operand, even with a dash".to_owned(), Vec::new())
                }
            };
            explained.push(Explained { args, meaning, parts });
        }
        explained
    }

    fn of_options(&self, options: &[Given]) -> String {
        let one = |given: &Given| {
            let spelled = given.spelled();
            let since = match given.name.map_or(given.spec.availability, |name| name.availability) {
                _ if !given.spec.availability.is_always() => format!(" ({})", since(given.spec.availability)),
                name if !name.is_always() => format!(" ({spelled} {})", since(name)),
                _ => String::new(),
            };
            (spelled, format!("{}{since}", given.spec.doc))
        };
        // With several in an argument it is said which is meant.
        let mut all: Vec<(String, String)> = options.iter().map(one).collect();
        match (all.pop(), all.is_empty()) {
            (Some((_, only)), true) => only,
            (Some(last), false) => {
                all.push(last);
                all.into_iter().map(|(spelled, doc)| format!("{spelled}: {doc}")).collect::<Vec<_>>().join("; ")
            }
            (None, _) => String::new(),
        }
    }

    fn of_operand(&self, operand: &OsStr, at: usize) -> (String, Vec<Explained>) {
        let specs = self.subcommand().operands();
        let is_last = at + 1 == self.operands().count();
        let spec = match self.subcommand() {
            Subcommand::Dd => specs.iter().find(|spec| same_name(spec, operand)),
            Subcommand::Convert => {
                if is_last && at > 0 {
                    specs.last()
                } else {
                    specs.first()
                }
            }
            _ => specs.get(at),
        };
        let Some(spec) = spec else { return ("one operand too many".to_owned(), Vec::new()) };
        let is_target = self.subcommand() == Subcommand::Convert && spec.name == "TARGET";
        let is_node = self.has(if is_target { "target-image-opts" } else { "image-opts" });
        let is_image = matches!(spec.name, "FILE" | "FILE1" | "FILE2" | "SOURCE" | "TARGET" | "if=INPUT");
        let doc = if is_target && self.has("n") { "the image to write into" } else { spec.doc };
        let name = spec.name.split('=').next().unwrap_or_default();
        let node = if is_node && is_image { ", as a key=value node" } else { "" };
        let parts = if is_image { self.parts_of_operand(operand, is_node) } else { Vec::new() };
        (format!("{name}: {doc}{node}"), parts)
    }
}

/// In which versions it exists, in words.
fn since(availability: Availability) -> String {
    let Availability { since, elsewhere, removed } = availability;
    match (elsewhere, removed) {
        (_, Some(removed)) => format!("since {since}, before {removed}"),
        (Some(elsewhere), None) => format!("since {since} in Debian, elsewhere since {elsewhere}"),
        (None, None) => format!("since {since}"),
    }
}

/// Whether both are `if=…`.
fn same_name(spec: &OperandSpec, operand: &OsStr) -> bool {
    let name = spec.name.split_inclusive('=').next().unwrap_or_default();
    operand.as_encoded_bytes().starts_with(name.as_bytes())
}

fn shown(piece: &Piece) -> Vec<OsString> {
    let show = |arg: &Arg| match arg {
        Arg::Text(text) => redact(text),
        Arg::Secret(id) => format!("secret,id={id},file=<{id}>").into(),
    };
    piece.args.iter().map(show).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn explain(args: &[&str]) -> Vec<(String, String)> {
        let line = CommandLine::parse(args.iter().map(Into::into)).unwrap();
        let text = |args: Vec<OsString>| args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect::<Vec<_>>();
        line.explain().into_iter().map(|explained| (text(explained.args).join(" "), explained.meaning)).collect()
    }

    #[test]
    fn every_argument_is_there_once_and_in_order() {
        let args = ["convert", "-cpO", "qcow2", "--object", "secret,id=k,file=/k", "a", "-n", "--", "-b", "c"];
        let explained = explain(&args);
        let all: Vec<&str> = explained.iter().flat_map(|(args, _)| args.split(' ')).collect();
        assert_eq!(all, args);
        assert!(explained.iter().all(|(_, meaning)| !meaning.is_empty()));
        assert!(explained[3].1.starts_with("SOURCE: "), "{explained:?}");
        assert_eq!(explained[7].1, "TARGET: the image to write into");
    }

    #[test]
    fn secrets_are_not_shown() {
        let explained = explain(&["info", "--object", "secret,id=k,data=hunter2", "https://me:hunter2@host/a@b"]);
        assert_eq!(explained[1].0, "--object secret,id=k,file=<k>");
        assert_eq!(explained[2].0, "https://me:***@host/a@b");
        assert!(!format!("{explained:?}").contains("hunter2"));
    }

    #[test]
    fn operands_are_told_apart() {
        let dd = explain(&["dd", "of=b", "bs=1M", "if=a"]);
        assert!(dd[1].1.starts_with("of: the image to create"), "{dd:?}");
        assert!(dd[3].1.starts_with("if: the image to read"), "{dd:?}");
        let resize = explain(&["resize", "--shrink", "a", "-1G"]);
        assert!(resize[3].1.starts_with("SIZE: "), "{resize:?}");
        let node = explain(&["info", "--image-opts", "driver=qcow2,file.filename=a", "b"]);
        assert_eq!(node[2].1, "FILE: the image to describe, as a key=value node");
        assert_eq!(node[3].1, "one operand too many");
    }

    #[test]
    fn what_is_new_is_said() {
        assert!(explain(&["rebase", "-c", "-b", "", "a"])[1].1.ends_with(" (since 8.2)"));
        assert!(explain(&["convert", "--no-c", "a", "b"])[1].1.ends_with(" (--no-create since 10.1)"));
        let quiet = " (--quiet since 10.0 in Debian, elsewhere since 10.1)";
        assert!(explain(&["convert", "--quiet", "a", "b"])[1].1.ends_with(quiet));
        assert!(explain(&["info", "-b", "a"])[1].1.ends_with(" (-b since 10.0, before 10.1)"));
    }
}
