//! What qimg has beside qemu-img's subcommands: its own options, which stand before the subcommand, and its commands
//! about commands.

use qemu_exec::cmd::Subcommand;

/// An option of qimg.
pub(crate) struct Own {
    /// The letter, if it has one.
    pub(crate) short: Option<char>,
    pub(crate) long: &'static str,
    /// What its value is called; in brackets if it can be left out.
    pub(crate) value: Option<&'static str>,
    pub(crate) doc: &'static str,
}

pub(crate) const OPTIONS: &[Own] = &[
    own("dry-run", Some("[shell|json]"), "show what would run, and run nothing"),
    own("sudo", Some("[USER]"), "run through sudo -n, as root or as USER"),
    own("limit-cpu", Some("SECONDS"), "CPU time; for info 30 unless given; `none` for no limit"),
    own("limit-memory", Some("BYTES"), "address space; for info 1G unless given; `none` for no limit"),
    own("timeout", Some("SECONDS"), "time by the clock; for info 60 unless given; `none` for no limit"),
    own("env", Some("NAME[=VALUE]"), "an environment variable for qemu-img; without a value, the caller's"),
    own("qemu-img", Some("PATH"), "another qemu-img"),
    Own { short: Some('h'), ..own("help", None, "this text; after a subcommand, qemu-img's") },
    Own { short: Some('V'), ..own("version", None, "the version of qimg") },
];

/// The commands about commands: name, arguments, and what they do.
pub(crate) const COMMANDS: &[(&str, &str, &str)] = &[
    ("explain", "[--output=human|json] -- qemu-img …", "tells what each argument of a command line does"),
    (
        "lint",
        "[--output=human|json] -- qemu-img …",
        "tells what is risky about a command line run here and now; exit status 1 if anything is",
    ),
    ("lint", "[--output=human|json] -", "the same for every qemu-img of a shell script on standard input"),
    (
        "inspect",
        "[OPTION…] FILE…|-",
        "tells from the bytes alone what images are and refer to, and whether to refuse them",
    ),
    (
        "import",
        "SRC DST [OPTION…]",
        "converts an image from a stranger, with the target's options of convert, if inspection accepts it",
    ),
    (
        "clean",
        "[--dry-run] DIR…",
        "removes the unfinished images (.NAME.partial) in a directory that nobody is writing any more",
    ),
    ("options", "", "prints every option of every subcommand, and since when it exists"),
    ("completions", "bash|zsh|fish", "prints completions for a shell"),
    ("man", "", "prints a manual page"),
];

/// The options of `qimg inspect`.
pub(crate) const INSPECT: &[Own] = &[
    own("output", Some("human|json"), "a table, or a JSON object for each file on a line of its own"),
    own("claimed", Some("FORMAT"), "what the images are said to be; anything else is refused"),
    own("max-virtual-size", Some("SIZE"), "refuse images of a larger virtual size; 16T unless given"),
    own("grant", Some("CODE"), "do not refuse an image for this; can be given more than once"),
    own("hybrid", None, "accept optical discs with a partition table"),
];

/// The options of `qimg import`, beside those of `convert`.
pub(crate) const IMPORT: &[Own] = &[
    own("max-virtual-size", Some("SIZE"), "refuse an image of a larger virtual size; 16T unless given"),
    own("grant", Some("CODE"), "do not refuse the image for this; can be given more than once"),
    own("hybrid", None, "accept an optical disc with a partition table"),
    own("key-file", Some("FILE"), "the passphrase of an encrypted image"),
    own("replace", None, "replace what has the target's name"),
];

/// What qimg exits with, and when.
pub(crate) const EXIT_STATUS: &str =
    "qemu-img's own; 2 if qimg refused; 124 if the timeout passed; 128 + N if signal N ended qemu-img";

const fn own(long: &'static str, value: Option<&'static str>, doc: &'static str) -> Own {
    Own { short: None, long, value, doc }
}

impl Own {
    /// Whether its value is an argument of its own.
    pub(crate) fn has_separate_value(&self) -> bool {
        self.value.is_some_and(|value| !value.starts_with('['))
    }

    /// `-h, --help`, `--sudo[=USER]`, `--timeout SECONDS`.
    pub(crate) fn spelled(&self) -> String {
        let letter = self.short.map_or_else(String::new, |letter| format!("-{letter}, "));
        let value = match self.value {
            Some(value) => match value.strip_prefix('[') {
                Some(optional) => format!("[={optional}"),
                None => format!(" {value}"),
            },
            None => String::new(),
        };
        format!("{letter}--{}{value}", self.long)
    }
}

/// What `qimg --help` prints.
pub(crate) fn usage() -> String {
    let mut text = String::from(
        "usage: qimg [OPTION…] SUBCOMMAND [qemu-img's own options and operands]\n\n\
         Runs qemu-img as asked, with secrets kept off its command line and its cache\n\
         set so that a converted image is on disk when qimg returns.\n\n",
    );
    for own in OPTIONS {
        text.push_str(&format!("  {:<24}{}\n", own.spelled(), own.doc));
    }
    text.push_str("\nsubcommands, as qemu-img has them:\n\n");
    for subcommand in Subcommand::ALL {
        text.push_str(&format!("  {:<10}{}\n", subcommand.as_str(), subcommand.summary()));
    }
    text.push_str("\nof qimg itself:\n\n");
    for (name, args, doc) in COMMANDS {
        text.push_str(&format!("  {}\n      {doc}\n", format!("{name} {args}").trim_end()));
    }
    text.push_str("\noptions of inspect, which exits with 1 if it refuses an image, 2 if it cannot read one:\n\n");
    for own in INSPECT {
        text.push_str(&format!("  {:<26}{}\n", own.spelled(), own.doc));
    }
    text.push_str("\noptions of import, which takes those of convert too: -f is what the image is said to be;\nit exits with 1 if it refuses:\n\n");
    for own in IMPORT {
        text.push_str(&format!("  {:<26}{}\n", own.spelled(), own.doc));
    }
    text.push_str(&format!("\nexit status: {}\n", EXIT_STATUS.replace("124", "\n124").replace("; \n", ";\n")));
    text
}
