//! What `qimg --help` prints, and `--help` behind one of its commands.

use qemu_exec::cmd::Subcommand;

use super::{ADDED, COMMANDS, Command, EXIT_STATUS, OPTIONS, Own};

/// How wide it is.
const WIDTH: usize = 100;

pub(crate) fn text() -> String {
    let mut text = String::from(
        "usage: qimg [OPTION…] SUBCOMMAND [qemu-img's own options and operands]\n\n\
         Runs qemu-img as asked, with secrets kept off its command line and its cache\n\
         set so that a converted image is on disk when qimg returns.\n\n",
    );
    options(&mut text, OPTIONS);
    text.push_str("\nsubcommands, as qemu-img has them:\n\n");
    for subcommand in Subcommand::ALL {
        text.push_str(&format!("  {:<10}{}\n", subcommand.as_str(), subcommand.summary()));
    }
    text.push_str("\nof qimg itself:\n\n");
    for command in COMMANDS {
        for (args, doc) in command.uses {
            text.push_str(&format!("  {}\n", format!("{} {args}", command.name).trim_end()));
            paragraph(&mut text, 6, "", doc);
        }
    }
    for command in COMMANDS.iter().filter(|command| !command.options.is_empty()) {
        text.push_str(&format!("\noptions of {}:\n\n", command.name));
        options(&mut text, command.options);
        paragraph(&mut text, 2, "", command.note);
    }
    for (subcommand, added) in ADDED {
        text.push_str(&format!("\noptions of {} beside qemu-img's:\n\n", subcommand.as_str()));
        options(&mut text, added);
    }
    text.push('\n');
    paragraph(&mut text, 0, "exit status: ", EXIT_STATUS);
    text
}

/// The same about one command.
pub(crate) fn of(command: &Command) -> String {
    let mut text = String::new();
    for (index, (args, doc)) in command.uses.iter().enumerate() {
        let usage = if index == 0 { "usage:" } else { "   or:" };
        text.push_str(&format!("{usage} {}\n", format!("qimg {} {args}", command.name).trim_end()));
        paragraph(&mut text, 4, "", doc);
    }
    if !command.options.is_empty() {
        text.push('\n');
        options(&mut text, command.options);
    }
    if !command.note.is_empty() {
        text.push('\n');
        paragraph(&mut text, 0, "", command.note);
    }
    text
}

fn options(text: &mut String, options: &[Own]) {
    for own in options {
        paragraph(text, 28, &format!("  {:<26}", own.spelled()), own.doc);
    }
}

/// Words in lines that are not too long, the first behind `tag`, the others indented.
fn paragraph(text: &mut String, indent: usize, tag: &str, words: &str) {
    if words.is_empty() {
        return;
    }
    let indent = " ".repeat(indent);
    let mut line = if tag.is_empty() { indent.clone() } else { tag.to_owned() };
    if tag.chars().count() > indent.len() && !indent.is_empty() {
        text.push_str(&format!("{}\n", line.trim_end()));
        line.clone_from(&indent);
    }
    for word in words.split_whitespace() {
        if line.chars().count() + word.chars().count() > WIDTH && !line.trim().is_empty() {
            text.push_str(&format!("{}\n", line.trim_end()));
            line.clone_from(&indent);
        }
        line.push_str(word);
        line.push(' ');
    }
    text.push_str(&format!("{}\n", line.trim_end()));
}
