//! For fish.

use super::{Choice, first, offered, quoted};
use crate::own::Takes;

pub(super) fn script() -> String {
    let all = offered();
    let names: Vec<_> = all.iter().map(|offered| offered.name).collect();
    let mut text = format!(
        "# fish completion for qimg\n\nset -l subcommands {}\nset -l first \"not __fish_seen_subcommand_from $subcommands\"\n",
        names.join(" "),
    );
    for option in first() {
        text.push_str(&line("$first", &option));
    }
    for offered in &all {
        text.push_str(&format!("complete -c qimg -n $first -f -a {} -d {}\n", offered.name, quoted(offered.doc)));
    }
    for offered in &all {
        let seen = format!("'__fish_seen_subcommand_from {}'", offered.name);
        match offered.operands {
            Takes::OneOf(words) => text.push_str(&format!("complete -c qimg -n {seen} -f -a '{}'\n", words.join(" "))),
            Takes::Nothing => text.push_str(&format!("complete -c qimg -n {seen} -f\n")),
            Takes::Directory => {
                text.push_str(&format!("complete -c qimg -n {seen} -f -a '(__fish_complete_directories)'\n"));
            }
            _ => {}
        }
        for option in &offered.options {
            text.push_str(&line(&seen, option));
        }
    }
    text
}

fn line(condition: &str, option: &Choice) -> String {
    let mut line = format!("complete -c qimg -n {condition}");
    for spelled in &option.spelled {
        match spelled.strip_prefix("--") {
            Some(long) => line.push_str(&format!(" -l {long}")),
            None => line.push_str(&format!(" -s {}", spelled.trim_start_matches('-'))),
        }
    }
    if let Some(value) = &option.value {
        line.push_str(match (value.takes, value.words.is_empty()) {
            (_, false) if value.optional => " -f",
            (_, false) => " -x",
            (Takes::File | Takes::Directory, _) => " -r",
            (Takes::User, _) => " -f -a '(__fish_complete_users)'",
            _ => " -x",
        });
        if !value.words.is_empty() {
            line.push_str(&format!(" -a '{}'", value.words.join(" ")));
        }
    }
    line.push_str(&format!(" -d {}\n", quoted(option.doc)));
    line
}
