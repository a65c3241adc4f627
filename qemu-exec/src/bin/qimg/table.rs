//! `qimg options`: the option table, one spelling a line, for people with `grep` and for programs.

use qemu_exec::cmd::{Availability, OptionSpec, Subcommand};

/// The columns: subcommand, the option's name here, spelling, `arg` or `flag`, and the versions since which it exists,
/// since which it does outside Debian, and since which it does not; `-` for none.
pub(crate) fn text() -> String {
    let mut text = String::new();
    for subcommand in Subcommand::ALL {
        for spec in subcommand.options() {
            for (spelled, availability) in spellings(spec) {
                let Availability { since, elsewhere, removed, .. } = availability;
                let or_none =
                    |version: Option<_>| version.map_or_else(|| "-".to_owned(), |version| format!("{version}"));
                let kind = if spec.value.is_some() { "arg" } else { "flag" };
                text.push_str(&format!(
                    "{}\t{}\t{spelled}\t{kind}\t{since}\t{}\t{}\n",
                    subcommand.as_str(),
                    spec.key(),
                    or_none(elsewhere),
                    or_none(removed),
                ));
            }
        }
    }
    text
}

/// Every spelling of an option, and when it can be used.
pub(crate) fn spellings(spec: &OptionSpec) -> Vec<(String, Availability)> {
    let letter = spec.short.map(|letter| (format!("-{letter}"), spec.availability));
    let names = spec.names.iter().map(|name| (name.spelled(), spec.availability.and(name.availability)));
    letter.into_iter().chain(names).collect()
}

/// The spellings that are offered: what only an old version had is not.
pub(crate) fn offered(spec: &OptionSpec) -> Vec<String> {
    let lasting = spellings(spec).into_iter().filter(|(_, availability)| availability.removed.is_none());
    lasting.map(|(spelled, _)| spelled).collect()
}
