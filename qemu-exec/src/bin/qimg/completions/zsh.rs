//! For zsh.

use qemu_exec::cmd::{OptionSpec, Subcommand, ValueKind};

use super::{choices, inspect_choices, quoted};
use crate::own::{COMMANDS, INSPECT, OPTIONS, Own};
use crate::table::offered;

pub(super) fn script() -> String {
    let mut text =
        String::from("#compdef qimg\n\n_qimg() {\n    local curcontext=$curcontext state line\n    _arguments -C \\\n");
    for own in OPTIONS {
        for spec in own_specs(own) {
            text.push_str(&format!("        {} \\\n", quoted(&spec)));
        }
    }
    text.push_str("        '1:subcommand:->subcommand' '*::argument:->argument' && return\n    case $state in\n");
    text.push_str("    subcommand)\n        local -a subcommands=(\n");
    let about = COMMANDS.iter().map(|(name, _, doc)| (*name, *doc));
    for (name, doc) in Subcommand::ALL.iter().map(|sub| (sub.as_str(), sub.summary())).chain(about) {
        text.push_str(&format!("            {}\n", quoted(&format!("{name}:{doc}"))));
    }
    text.push_str("        )\n        _describe subcommand subcommands ;;\n    argument)\n        case $words[1] in\n");
    text.push_str("        completions) _values shell bash zsh fish ;;\n");
    text.push_str("        inspect)\n            _arguments -s \\\n");
    for own in INSPECT {
        let choices = inspect_choices(own).join(" ");
        let action = if choices.is_empty() { choices } else { format!("({choices})") };
        let value = own.value.map_or_else(String::new, |value| format!(":{value}:{action}"));
        let sign = if value.is_empty() { "" } else { "=" };
        let spec = format!("*--{}{sign}[{}]{value}", own.long, escaped(own.doc));
        text.push_str(&format!("                {} \\\n", quoted(&spec)));
    }
    text.push_str("                '*:file:_files' ;;\n");
    for subcommand in Subcommand::ALL {
        text.push_str(&format!("        {})\n            _arguments -s \\\n", subcommand.as_str()));
        for spec in subcommand.options() {
            for option in offered(spec) {
                text.push_str(&format!("                {} \\\n", quoted(&option_spec(spec, &option))));
            }
        }
        text.push_str("                '*:file:_files' ;;\n");
    }
    text.push_str("        esac ;;\n    esac\n}\n\n_qimg \"$@\"\n");
    text
}

fn own_specs(own: &Own) -> Vec<String> {
    let doc = escaped(own.doc);
    let value = match own.long {
        "dry-run" => "=-::form:(shell json)",
        "sudo" => "=-::user:_users",
        "qemu-img" => "=:program:_files",
        _ if own.has_separate_value() => "=:value:",
        _ => "",
    };
    // The value stands behind the explanation, the `=` in front of it.
    let (sign, action) = value.split_once(':').map_or(("", String::new()), |(sign, rest)| (sign, format!(":{rest}")));
    let letter = own.short.map(|letter| format!("-{letter}[{doc}]"));
    letter.into_iter().chain([format!("--{}{sign}[{doc}]{action}", own.long)]).collect()
}

fn option_spec(spec: &OptionSpec, option: &str) -> String {
    let doc = escaped(spec.doc);
    let Some(value) = spec.value else { return format!("*{option}[{doc}]") };
    let sign = if option.starts_with("--") { "=" } else { "+" };
    let choices = choices(spec);
    let action = match value.kind {
        _ if !choices.is_empty() => format!("({})", choices.join(" ")),
        ValueKind::Image => "_files".to_owned(),
        _ => String::new(),
    };
    format!("*{option}{sign}[{doc}]:{}:{action}", value.name)
}

/// What would end an explanation, or begin something in it.
fn escaped(doc: &str) -> String {
    doc.replace('\\', r"\\").replace('[', r"\[").replace(']', r"\]").replace(':', r"\:").replace('`', "")
}
