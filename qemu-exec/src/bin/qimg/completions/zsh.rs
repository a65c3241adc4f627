//! For zsh.

use super::{Choice, first, offered, quoted};
use crate::own::Takes;

pub(super) fn script() -> String {
    let mut text =
        String::from("#compdef qimg\n\n_qimg() {\n    local curcontext=$curcontext state line\n    _arguments -C \\\n");
    for spec in first().iter().flat_map(|option| specs(option, "")) {
        text.push_str(&format!("        {} \\\n", quoted(&spec)));
    }
    text.push_str("        '1:subcommand:->subcommand' '*::argument:->argument' && return\n    case $state in\n");
    text.push_str("    subcommand)\n        local -a subcommands=(\n");
    let all = offered();
    for offered in &all {
        text.push_str(&format!("            {}\n", quoted(&format!("{}:{}", offered.name, offered.doc))));
    }
    text.push_str("        )\n        _describe subcommand subcommands ;;\n    argument)\n        case $words[1] in\n");
    for offered in &all {
        text.push_str(&format!("        {})\n            _arguments -s", offered.name));
        for spec in offered.options.iter().flat_map(|option| specs(option, "*")) {
            text.push_str(&format!(" \\\n                {}", quoted(&spec)));
        }
        let operands = action(offered.operands, &offered.operands.words());
        if offered.operands != Takes::Nothing {
            text.push_str(&format!(" \\\n                {}", quoted(&format!("*:argument:{operands}"))));
        }
        text.push_str(" ;;\n");
    }
    text.push_str("        esac ;;\n    esac\n}\n\n_qimg \"$@\"\n");
    text
}

/// One specification a spelling; `again` is `*` where an option may be repeated.
fn specs(option: &Choice, again: &str) -> Vec<String> {
    let doc = escaped(option.doc);
    let spec = |spelled: &String| match &option.value {
        None => format!("{again}{spelled}[{doc}]"),
        Some(value) => {
            // The value stands behind the explanation, the sign in front of it.
            let sign = match (spelled.starts_with("--"), value.optional) {
                (true, true) => "=-",
                (true, false) => "=",
                (false, _) => "+",
            };
            let optional = if value.optional { ":" } else { "" };
            let action = action(value.takes, &value.words);
            format!("{again}{spelled}{sign}[{doc}]:{optional}{}:{action}", escaped(value.name))
        }
    };
    option.spelled.iter().map(spec).collect()
}

fn action(takes: Takes, words: &[&str]) -> String {
    match takes {
        _ if !words.is_empty() => format!("({})", words.join(" ")),
        Takes::File | Takes::CommandLine => "_files".to_owned(),
        Takes::Directory => "_files -/".to_owned(),
        Takes::User => "_users".to_owned(),
        _ => String::new(),
    }
}

/// What would end an explanation, or begin something in it.
fn escaped(doc: &str) -> String {
    doc.replace('\\', r"\\").replace('[', r"\[").replace(']', r"\]").replace(':', r"\:").replace('`', "")
}
