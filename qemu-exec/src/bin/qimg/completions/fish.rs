//! For fish.

use qemu_exec::cmd::{OptionSpec, Subcommand, ValueKind};

use super::{choices, inspect_choices, quoted};
use crate::own::{COMMANDS, INSPECT, OPTIONS};
use crate::table::offered;

pub(super) fn script() -> String {
    let about: Vec<_> = COMMANDS.iter().map(|(name, ..)| *name).collect();
    let mut text = format!(
        "# fish completion for qimg\n\nset -l subcommands {} {}\nset -l first \"not __fish_seen_subcommand_from $subcommands\"\n",
        Subcommand::NAMES.join(" "),
        about.join(" "),
    );
    for own in OPTIONS {
        let letter = own.short.map_or_else(String::new, |letter| format!(" -s {letter}"));
        let value = match own.long {
            "dry-run" => " -a 'shell json'",
            "qemu-img" => " -r",
            _ if own.has_separate_value() => " -x",
            _ => "",
        };
        text.push_str(&format!("complete -c qimg -n $first{letter} -l {}{value} -d {}\n", own.long, quoted(own.doc)));
    }
    let about = COMMANDS.iter().map(|(name, _, doc)| (*name, *doc));
    for (name, doc) in Subcommand::ALL.iter().map(|sub| (sub.as_str(), sub.summary())).chain(about) {
        text.push_str(&format!("complete -c qimg -n $first -f -a {name} -d {}\n", quoted(doc)));
    }
    text.push_str("complete -c qimg -n '__fish_seen_subcommand_from completions' -f -a 'bash zsh fish'\n");
    for own in INSPECT {
        let choices = inspect_choices(own).join(" ");
        let value = match own.value {
            None => String::new(),
            Some(_) if choices.is_empty() => " -x".to_owned(),
            Some(_) => format!(" -x -a '{choices}'"),
        };
        let seen = "'__fish_seen_subcommand_from inspect'";
        text.push_str(&format!("complete -c qimg -n {seen} -l {}{value} -d {}\n", own.long, quoted(own.doc)));
    }
    for subcommand in Subcommand::ALL {
        for spec in subcommand.options() {
            text.push_str(&option(subcommand.as_str(), spec));
        }
    }
    text
}

fn option(subcommand: &str, spec: &OptionSpec) -> String {
    let mut line = format!("complete -c qimg -n '__fish_seen_subcommand_from {subcommand}'");
    for spelled in offered(spec) {
        match spelled.strip_prefix("--") {
            Some(long) => line.push_str(&format!(" -l {long}")),
            None => line.push_str(&format!(" -s {}", spelled.trim_start_matches('-'))),
        }
    }
    let choices = choices(spec);
    match spec.value.map(|value| value.kind) {
        None => {}
        Some(ValueKind::Image) => line.push_str(" -r"),
        Some(_) if choices.is_empty() => line.push_str(" -x"),
        Some(_) => line.push_str(&format!(" -x -a '{}'", choices.join(" "))),
    }
    line.push_str(&format!(" -d {}\n", quoted(spec.doc)));
    line
}
