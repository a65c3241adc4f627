//! For bash, without its completion library.

use super::{Choice, first, offered};
use crate::own::Takes;

pub(super) fn script() -> String {
    let (first, all) = (first(), offered());
    let spelled = |options: &[Choice]| -> Vec<String> {
        options.iter().flat_map(|option| &option.spelled).filter(|option| option.starts_with('-')).cloned().collect()
    };
    let values = |name: &str, options: &[Choice]| -> String {
        let listed = options.iter().filter(|option| !option.words().is_empty());
        let case = |option: &Choice| {
            let patterns: Vec<_> = option.spelled.iter().map(|option| format!("{name}:{option}")).collect();
            format!("        {}) words=\"{}\" ;;\n", patterns.join("|"), option.words().join(" "))
        };
        listed.map(case).collect()
    };
    let separate = first.iter().filter(|option| option.value.as_ref().is_some_and(|value| !value.optional));
    let with_value: Vec<_> = separate.flat_map(|option| option.spelled.clone()).collect();
    let mut cases = values("", &first);
    let (mut options, mut operands) = (String::new(), String::new());
    for offered in &all {
        let name = offered.name;
        cases.push_str(&values(name, &offered.options));
        let words = [vec!["--help".to_owned()], spelled(&offered.options)].concat().join(" ");
        options.push_str(&format!("        {name}) words=\"{words}\" ;;\n"));
        match offered.operands {
            Takes::OneOf(words) => operands.push_str(&format!("        {name}) words=\"{}\" ;;\n", words.join(" "))),
            Takes::Directory => operands.push_str(&format!("        {name}) compopt -o dirnames 2>/dev/null ;;\n")),
            _ => {}
        }
    }
    let names: Vec<_> = all.iter().map(|offered| offered.name).collect();
    let words = [spelled(&first).join(" "), names.join(" ")].join(" ");
    format!(
        r#"# bash completion for qimg

_qimg() {{
    local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD-1]}} sub= words= i
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${{COMP_WORDS[i]}} in
        {names}) sub=${{COMP_WORDS[i]}}; break ;;
        {with_value}) [[ ${{COMP_WORDS[i+1]}} == = ]] && ((i++)); ((i++)) ;;
        esac
    done
    # bash splits --option=value in three.
    [[ $cur == = ]] && cur=
    [[ $prev == = ]] && prev=${{COMP_WORDS[COMP_CWORD-2]}}
    case $sub:$prev in
{cases}        :--sudo|:{own_values}) COMPREPLY=(); return ;;
    esac
    if [[ -n $words ]]; then
        :
    elif [[ -z $sub ]]; then
        words="{words}"
    elif [[ $cur == -* ]]; then
        case $sub in
{options}        esac
    else
        case $sub in
{operands}        esac
    fi
    # With nothing to offer, files are.
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
}}

complete -o default -F _qimg qimg
"#,
        names = names.join("|"),
        with_value = with_value.join("|"),
        own_values = with_value.join("|:"),
    )
}
