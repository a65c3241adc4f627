//! What is risky about a command line that qemu-img would take.

use std::ffi::OsStr;
use std::fmt;

use crate::{CommandLine, Error, KeyVal, Location, SecretValue, Subcommand};

/// How bad it can get.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// It can go wrong.
    Warning,
    /// Data or a secret can be lost, or a stranger decides what is opened.
    Danger,
}

impl Severity {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Danger => "danger",
        }
    }
}

/// Something that is risky about a command line.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// A name that does not change.
    pub code: &'static str,
    /// How bad it can get.
    pub severity: Severity,
    /// The reason, in one sentence.
    pub message: String,
    /// What to write instead.
    pub instead: &'static str,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}; {}", self.severity.as_str(), self.code, self.message, self.instead)
    }
}

/// What is always so about an option: its subcommand, its name, and the finding.
const OF_OPTIONS: &[(Subcommand, &str, &str, Severity, &str, &str)] = {
    use Severity::{Danger, Note, Warning};
    use Subcommand::{Amend, Commit, Compare, Convert, Dd, Info, Resize};
    const SHARED: &str = "an image that is written meanwhile is read in a state it never had";
    const STOP: &str = "stop the writer, or leave -U out to be told that there is one";
    &[
        (Convert, "U", "shared-read", Warning, SHARED, STOP),
        (Dd, "U", "shared-read", Warning, SHARED, STOP),
        (Compare, "U", "shared-read", Note, SHARED, STOP),
        (
            Convert,
            "salvage",
            "salvage",
            Warning,
            "what cannot be read becomes zeros, with exit 0",
            "read the warnings on standard error",
        ),
        (
            Convert,
            "target-is-zero",
            "target-is-zero",
            Warning,
            "nothing checks that the target reads as zeros",
            "look at it with map first, or leave it out",
        ),
        (
            Info,
            "b",
            "chain-followed",
            Warning,
            "whatever the images name as backing files is opened",
            "leave it out for an image from a stranger",
        ),
        (
            Amend,
            "force",
            "forced",
            Danger,
            "with --force the last key slot can be erased, and the data with it",
            "leave --force out",
        ),
        (
            Resize,
            "shrink",
            "shrinks",
            Warning,
            "what lies beyond the new end is lost",
            "make the file system smaller first, and keep a copy",
        ),
        (
            Commit,
            "b",
            "commits-past-images",
            Warning,
            "the images between this one and the base are no longer valid",
            "delete them afterwards",
        ),
    ]
};

impl CommandLine {
    /// What is risky about it, the worst first. An empty list is no promise.
    ///
    /// ```
    /// use qemu_cmd::CommandLine;
    /// let line = CommandLine::parse(["resize", "disk.img", "20G"].map(Into::into))?;
    /// assert_eq!(line.lint()[0].code, "format-probed");
    /// # Ok::<(), qemu_cmd::ParseError>(())
    /// ```
    #[must_use]
    pub fn lint(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        if self.asks_for_help() {
            return findings;
        }
        let mut add = |code, severity, message: &str, instead| {
            let finding = Finding { code, severity, message: message.to_owned(), instead };
            if !findings.contains(&finding) {
                findings.push(finding);
            }
        };
        if let Err(refusal) = self.invocation() {
            add("refused", Severity::Danger, &refusal.to_string(), "qemu-img rejects it, or gets it silently wrong");
        }
        self.lint_secrets(&mut add);
        self.lint_formats(&mut add);
        self.lint_lists(&mut add);
        self.lint_names(&mut add);
        for (subcommand, option, code, severity, message, instead) in OF_OPTIONS {
            if *subcommand == self.subcommand() && self.has(option) {
                add(code, *severity, message, instead);
            }
        }
        if self.subcommand() == Subcommand::Rebase && self.has("u") {
            self.lint_unsafe_rebase(&mut add);
        }
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        findings
    }

    fn lint_secrets(&self, add: &mut impl FnMut(&'static str, Severity, &str, &'static str)) {
        if self.secret_objects().iter().any(|object| matches!(object.value, SecretValue::Data(_))) {
            let message = "a secret in the arguments can be read by every user of the machine";
            add("secret-in-arguments", Severity::Danger, message, "give it as file=/dev/stdin, or run it with qimg");
        }
        let holds_password = |place: &Location| matches!(place.plain_name(), Err(Error::SecretInLocation { .. }));
        if self.reads().iter().chain(&self.writes()).any(holds_password) {
            let message = "a password in the name of an image can be read by every user of the machine";
            add("password-in-name", Severity::Danger, message, "define a secret object, and name its id in a node");
        }
        let options = self.create_options();
        let aes =
            options.get("encrypt.format").is_some_and(|format| format == "aes") || options.get("encryption").is_some();
        if aes {
            let message = "the old encryption of qcow2 is broken by design, and a wrong key reads garbage with exit 0";
            add("broken-encryption", Severity::Danger, message, "write encrypt.format=luks");
        }
    }

    fn lint_formats(&self, add: &mut impl FnMut(&'static str, Severity, &str, &'static str)) {
        let probed = |operand: Option<&OsStr>, format: &str| {
            let Some(operand) = operand else { return false };
            if self.has("image-opts") {
                return KeyVal::parse(operand).get("driver").is_none();
            }
            !self.has(format) && !operand.as_encoded_bytes().starts_with(b"json:")
        };
        let first = self.operands().next();
        let probes = match self.subcommand() {
            Subcommand::Create => false,
            Subcommand::Compare => probed(first, "f") || probed(self.operands().nth(1), "F"),
            Subcommand::Measure if self.has("s") => false,
            Subcommand::Dd => probed(self.dd_operand("if").as_deref(), "f"),
            _ => probed(first, "f"),
        };
        if probes {
            let severity = if self.subcommand() == Subcommand::Info { Severity::Warning } else { Severity::Danger };
            let message = "without a format the image's content chooses one, and with it what else is opened";
            add("format-probed", severity, message, "give the format with -f, or driver= in a node");
        }
        if self.subcommand() == Subcommand::Convert {
            if !self.has("t") {
                let message = "the default cache mode is unsafe: it ends before the data is on disk";
                add(
                    "cache-unsafe",
                    Severity::Warning,
                    message,
                    "write -t none, or -t writeback where there is no O_DIRECT",
                );
            }
            if self.has("n") && !self.has("O") && !self.has("target-image-opts") {
                let message = "an existing target without a format is written as raw, over its own format";
                add("target-format-missing", Severity::Danger, message, "give the target's format with -O");
            }
        }
        let options = self.create_options();
        let (name, format) = match self.subcommand() {
            Subcommand::Create | Subcommand::Rebase => ("b", self.has("F") || self.has("B")),
            Subcommand::Convert => ("B", self.has("F")),
            _ => return,
        };
        let backing = self.value(name).or(options.get("backing_file")).filter(|backing| !backing.is_empty());
        if backing.is_some() && !format && options.get("backing_fmt").is_none() {
            let message = "without its format the content of the backing file chooses one; since 6.1 it is required";
            add("backing-format-missing", Severity::Danger, message, "give it with -F");
        }
    }

    fn lint_unsafe_rebase(&self, add: &mut impl FnMut(&'static str, Severity, &str, &'static str)) {
        if self.value("b").is_none_or(OsStr::is_empty) {
            let message =
                "the backing file is dropped and nothing copied: what the image took from there reads as zeros";
            add("backing-dropped", Severity::Danger, message, "leave -u out, to copy it first");
        } else {
            let message =
                "only the name changes: if the new backing file differs, the image is corrupt and no check finds it";
            add(
                "rebase-unchecked",
                Severity::Warning,
                message,
                "leave -u out, unless the content is known to be the same",
            );
        }
    }

    /// Lists of `key=value` in which a key is given twice, or a comma has split a value.
    fn lint_lists(&self, add: &mut impl FnMut(&'static str, Severity, &str, &'static str)) {
        let mut lists = vec![self.create_options()];
        if self.has("image-opts") || self.has("target-image-opts") {
            lists.extend(self.operands().map(KeyVal::parse));
        }
        for list in lists {
            let keys: Vec<&str> = list.iter().map(|(key, _)| key).collect();
            let twice =
                keys.iter().enumerate().find(|(index, key)| keys.iter().skip(index + 1).any(|other| other == *key));
            if let Some((_, key)) = twice {
                let message = format!("`{key}` is given twice, and the last one counts without a word");
                add("key-twice", Severity::Warning, &message, "give it once");
            }
            // No key of qemu has such characters; the rest of a path does.
            let split = keys.iter().find(|key| key.contains(['/', ' ']) || key.is_empty());
            if split.is_some() {
                add("comma-splits", Severity::Danger, "a comma has split a value in two", "double the comma");
            }
        }
    }

    fn lint_names(&self, add: &mut impl FnMut(&'static str, Severity, &str, &'static str)) {
        for place in self.reads().iter().chain(&self.writes()) {
            let Location::Protocol(name) = place else { continue };
            let text = name.to_string_lossy();
            let protocol = text.split(':').next().unwrap_or_default();
            if protocol == "fat" {
                let message = "a name that starts with `fat:` is a directory of this machine, shown as a disk";
                add("name-is-directory", Severity::Danger, message, "write ./ in front, if a file is meant");
            } else if !crate::PROTOCOLS.contains(&protocol) {
                let message = format!("`{protocol}:` in a name is a protocol to qemu, which it does not have");
                add("name-is-protocol", Severity::Danger, &message, "write ./ in front, if a file is meant");
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn codes(line: &str) -> Vec<&'static str> {
        let line = CommandLine::parse(line.split(' ').map(|arg| if arg == "''" { "" } else { arg }.into())).unwrap();
        line.lint().into_iter().map(|finding| finding.code).collect()
    }

    #[test]
    fn each_finding_has_a_line_that_shows_it() {
        for (line, wanted) in [
            ("convert -f raw -t none -O qcow2 a b", &[][..]),
            ("convert -f raw -O qcow2 a b", &["cache-unsafe"]),
            ("convert -t none -O qcow2 a b", &["format-probed"]),
            ("convert -f raw -t none -O raw -c a b", &["refused"]),
            ("convert -f raw -t none -n a b", &["target-format-missing"]),
            ("convert -f raw -t none -O qcow2 -U --salvage a b", &["shared-read", "salvage"]),
            ("convert -f raw -t none -n -O raw --target-is-zero a b", &["target-is-zero"]),
            ("convert -t none -O qcow2 --image-opts driver=raw,file.filename=/a,/b c", &["comma-splits"]),
            ("convert -f raw -t none -O qcow2 -o cluster_size=4k,cluster_size=8k a b", &["key-twice"]),
            (
                "convert -f raw -t none -O luks --object secret,id=k,data=x -o key-secret=k a b",
                &["secret-in-arguments"],
            ),
            ("convert -f raw -t none -O qcow2 http://u:p@h/a b", &["password-in-name"]),
            ("convert -f raw -t none -O qcow2 fat:a b", &["name-is-directory"]),
            ("info a", &["format-probed"]),
            ("info -f raw a:b", &["name-is-protocol"]),
            ("info -f qcow2 --backing-chain a", &["chain-followed"]),
            ("info --image-opts file.filename=a", &["format-probed"]),
            ("create -f qcow2 -b base b", &["backing-format-missing"]),
            ("create -f qcow2 -b base -F raw b", &[]),
            ("create -f qcow2 -o encryption=on b 1M", &["broken-encryption"]),
            ("rebase -f qcow2 -u -b '' a", &["backing-dropped"]),
            ("rebase -f qcow2 -u -b c -F raw a", &["rebase-unchecked"]),
            ("rebase -f qcow2 -b c a", &["backing-format-missing"]),
            ("resize a 1G", &["format-probed"]),
            ("resize -f raw --shrink a 1G", &["shrinks"]),
            ("commit -f qcow2 -b base a", &["commits-past-images"]),
            ("amend -f luks --force -o state=inactive,keyslot=0 a", &["forced"]),
            ("compare -f raw a b", &["format-probed"]),
            ("measure --size 1G -O qcow2", &[]),
            ("dd -O raw if=a of=b", &["format-probed"]),
        ] {
            assert_eq!(codes(line), wanted, "{line}");
        }
    }
}
