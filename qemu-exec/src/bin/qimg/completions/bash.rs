//! For bash, without its completion library.

use qemu_exec::cmd::Subcommand;

use super::{choices, inspect_choices};
use crate::own::{COMMANDS, INSPECT, OPTIONS};
use crate::table::offered;

pub(super) fn script() -> String {
    let names = Subcommand::NAMES.join("|");
    let with_value: Vec<_> =
        OPTIONS.iter().filter(|own| own.has_separate_value()).map(|own| format!("--{}", own.long)).collect();
    let commands: Vec<_> = COMMANDS.iter().map(|(name, ..)| *name).collect();
    let own: Vec<_> = OPTIONS.iter().map(|own| format!("--{}", own.long)).collect();
    let words = [own.join(" "), Subcommand::NAMES.join(" "), commands.join(" ")].join(" ");
    let mut values = String::new();
    let mut options = String::new();
    for subcommand in Subcommand::ALL {
        let name = subcommand.as_str();
        let mut all = vec!["--help".to_owned()];
        for spec in subcommand.options() {
            let choices = choices(spec).join(" ");
            let spelled = offered(spec);
            if !choices.is_empty() {
                let patterns: Vec<_> = spelled.iter().map(|option| format!("{name}:{option}")).collect();
                values.push_str(&format!("        {}) words=\"{choices}\" ;;\n", patterns.join("|")));
            }
            all.extend(spelled);
        }
        options.push_str(&format!("            {name}) words=\"{}\" ;;\n", all.join(" ")));
    }
    for own in INSPECT {
        let choices = inspect_choices(own).join(" ");
        if !choices.is_empty() {
            values.push_str(&format!("        inspect:--{}) words=\"{choices}\" ;;\n", own.long));
        }
    }
    let inspect: Vec<_> = INSPECT.iter().map(|own| format!("--{}", own.long)).collect();
    options.push_str(&format!("            inspect) words=\"{}\" ;;\n", inspect.join(" ")));
    format!(
        r#"# bash completion for qimg

_qimg() {{
    local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD-1]}} sub= words= i
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${{COMP_WORDS[i]}} in
        {names}|inspect) sub=${{COMP_WORDS[i]}}; break ;;
        {with_value}) [[ ${{COMP_WORDS[i+1]}} == = ]] && ((i++)); ((i++)) ;;
        esac
    done
    # bash splits --option=value in three.
    [[ $cur == = ]] && cur=
    [[ $prev == = ]] && prev=${{COMP_WORDS[COMP_CWORD-2]}}
    case $sub:$prev in
{values}    esac
    if [[ -z $words && -z $sub ]]; then
        case $prev in
        --dry-run) words="shell json" ;;
        completions) words="bash zsh fish" ;;
        --sudo|{with_value}|man|options|explain) ;;
        *) words="{words}" ;;
        esac
    elif [[ -z $words && $cur == -* ]]; then
        case $sub in
{options}        esac
    fi
    # With nothing to offer, files are.
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
}}

complete -o default -F _qimg qimg
"#,
        with_value = with_value.join("|"),
    )
}
