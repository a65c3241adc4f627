//! What qemu-img takes without a word: repetitions, commas, and lists that ask for help.

use super::{Lint, Rule};
use crate::KeyVal;
use crate::option_table::ValueKind;

impl Lint<'_> {
    pub(super) fn lists(&mut self) {
        let line = self.line;
        for list in self.lists_given() {
            let keys: Vec<&str> = list.iter().map(|(key, _)| key).collect();
            let repeated =
                keys.iter().enumerate().find(|(index, key)| keys.iter().skip(index + 1).any(|other| other == *key));
            if let Some((_, key)) = repeated {
                self.add_about(key, Rule::KEY_TWICE);
            }
            // No key of qemu has such characters; the rest of a path does.
            let is_split = keys.iter().any(|key| key.contains(['/', ' ']) || key.is_empty());
            self.add_if(is_split, Rule::COMMA_SPLITS);
        }
        let options = line.create_options();
        let asks = options.iter().any(|(key, value)| matches!(key, "help" | "?") && value == "on");
        self.add_if(asks && options.iter().count() > 1, Rule::HELP_NOT_DONE);

        for spec in line.subcommand().options() {
            let is_list = spec.value.is_none_or(|value| matches!(value.kind, ValueKind::Options | ValueKind::Object));
            let mut values = line.values(spec.key());
            let first = values.next();
            // Each is another source.
            let is_repeated = is_list || spec.is("merge");
            if !is_repeated && values.any(|other| Some(other) != first) {
                self.add_about(&spec.spelled(), Rule::OPTION_TWICE);
            }
        }
        self.add_if(line.has("q") && line.has("p"), Rule::QUIET_PROGRESS);
    }

    /// The create options, and the nodes.
    pub(super) fn lists_given(&self) -> Vec<KeyVal> {
        let options = Some(self.line.create_options()).filter(|list| !list.is_empty());
        options.cloned().into_iter().chain(self.line.nodes()).collect()
    }
}
