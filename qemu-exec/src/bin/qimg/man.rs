//! `qimg man`: a manual page, from the option table.

use qemu_exec::cmd::{OptionSpec, Subcommand, ValueKind};

use crate::own::{COMMANDS, EXIT_STATUS, OPTIONS, added};
use crate::table::spellings;

pub(crate) fn text() -> String {
    let mut page = Page(String::new());
    page.request(".TH", &format!("QIMG 1 \"\" \"qimg {}\"", env!("CARGO_PKG_VERSION")));
    page.section("NAME");
    page.line("qimg - run qemu-img within bounds, without secrets in sight");
    page.section("SYNOPSIS");
    page.line("qimg [OPTION…] SUBCOMMAND [qemu-img's own options and operands]");
    for (name, args) in COMMANDS.iter().flat_map(|command| command.uses.iter().map(|(args, _)| (command.name, args))) {
        page.0.push_str(".br\n");
        page.line(format!("qimg {name} {args}").trim_end());
    }
    page.section("DESCRIPTION");
    page.line(
        "Runs qemu-img as asked, with secrets kept off its command line and its cache set so that a converted image is \
         on disk when qimg returns. What qemu-img would refuse, or get wrong without a word, is refused.",
    );
    page.0.push_str(".PP\n");
    page.line(
        "Where standard output is a terminal and the line has no --output, info and check are tables, and map is a \
         drawing; everywhere else it is what qemu-img prints. What is printed as JSON by qimg itself keeps its shape: \
         see docs/qimg-json.md in the source.",
    );
    page.section("OPTIONS");
    page.line("These stand before the subcommand.");
    for own in OPTIONS {
        page.item(&own.spelled(), own.doc);
    }
    page.section("COMMANDS");
    page.line("These are qimg's own.");
    for command in COMMANDS {
        page.request(".SS", &escaped(command.name));
        for (args, doc) in command.uses {
            page.item(format!("{} {args}", command.name).trim_end(), doc);
        }
        for own in command.options {
            page.item(&own.spelled(), own.doc);
        }
        if !command.note.is_empty() {
            page.0.push_str(".PP\n");
            page.line(command.note);
        }
    }
    page.section("SUBCOMMANDS");
    page.line("The options are those of all versions of qemu-img since 5.2; newer ones say since when they exist.");
    for subcommand in Subcommand::ALL {
        page.subcommand(*subcommand);
    }
    page.section("EXIT STATUS");
    page.line(EXIT_STATUS);
    page.section("SEE ALSO");
    page.line("qemu-img(1), sudo(8), prlimit(1)");
    page.0
}

struct Page(String);

impl Page {
    fn request(&mut self, name: &str, args: &str) {
        self.0.push_str(&format!("{name} {args}\n"));
    }

    fn section(&mut self, title: &str) {
        self.request(".SH", title);
    }

    /// Text, of which nothing is taken for a request.
    fn line(&mut self, text: &str) {
        self.0.push_str(&escaped(text));
        self.0.push('\n');
    }

    /// A tagged paragraph.
    fn item(&mut self, tag: &str, text: &str) {
        self.0.push_str(".TP\n");
        self.0.push_str(&format!("\\fB{}\\fR\n", escaped(tag)));
        self.line(text);
    }

    fn subcommand(&mut self, subcommand: Subcommand) {
        let operands: Vec<_> = subcommand.operands().iter().map(operand).collect();
        self.request(".SS", &escaped(&format!("{} [OPTION…] {}", subcommand.as_str(), operands.join(" "))));
        self.line(&format!("It {}.", subcommand.summary()));
        for spec in subcommand.options() {
            self.item(&tag(spec), &doc(spec));
        }
        for own in added(subcommand) {
            self.item(&own.spelled(), &format!("{}. (qimg's own.)", own.doc));
        }
        for operand in subcommand.operands() {
            self.item(operand.name, operand.doc);
        }
    }
}

fn operand(spec: &qemu_exec::cmd::OperandSpec) -> String {
    let many = if spec.max > 1 { "…" } else { "" };
    if spec.min == 0 { format!("[{}{many}]", spec.name) } else { format!("{}{many}", spec.name) }
}

/// `-f, --format FMT`, with what only some versions have in the text.
fn tag(spec: &OptionSpec) -> String {
    let names: Vec<_> = spellings(spec).into_iter().map(|(spelled, _)| spelled).collect();
    let value = spec.value.map_or_else(String::new, |value| format!(" {}", value.name));
    format!("{}{value}", names.join(", "))
}

fn doc(spec: &OptionSpec) -> String {
    let mut text = spec.doc.to_owned();
    if let Some(ValueKind::Choice { of, .. }) = spec.value.map(|value| value.kind)
        && !of.iter().all(|choice| text.contains(choice))
    {
        text.push_str(&format!("; one of {}", of.join(", ")));
    }
    text.push('.');
    let newer = spellings(spec).into_iter().filter(|(_, availability)| !availability.is_always());
    let newer: Vec<_> = newer
        .map(|(spelled, availability)| match availability.removed {
            Some(removed) => format!("{spelled} in Debian's {} only, and not since {removed}", availability.since),
            None => format!("{spelled} since {}", availability.since),
        })
        .collect();
    if !newer.is_empty() {
        text.push_str(&format!(" ({}.)", newer.join(", ")));
    }
    text
}

fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-").replace('…', "\\&...");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}
