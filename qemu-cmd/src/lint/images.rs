//! What decides what is opened: formats, names and backing files.

use std::ffi::OsStr;

use super::{Lint, Rule, Severity, is_key};
use crate::command_line::{is_from_here, node};
use crate::{KeyVal, Location, Subcommand};

impl Lint<'_> {
    pub(super) fn images(&mut self) {
        if self.is_probed() {
            let severity = if self.is(Subcommand::Info) { Severity::Warning } else { Severity::Danger };
            self.add(Rule::FORMAT_PROBED.but(severity));
        }
        let line = self.line;
        let existing = self.is(Subcommand::Convert) && line.has("n");
        self.add_if(existing && !line.has("O") && !line.has("target-image-opts"), Rule::TARGET_FORMAT_MISSING);
        let nodes = line.nodes();
        let is_vmdk = |node: &KeyVal| node.iter().any(|(key, value)| is_key(key, "driver") && value == "vmdk");
        let reads_vmdk = !self.is(Subcommand::Create) && line.values("f").any(|format| format == "vmdk");
        self.add_if(reads_vmdk || nodes.iter().any(is_vmdk), Rule::EXTENTS_FOLLOWED);
        let is_kept = |node: &KeyVal| node.iter().any(|(key, value)| is_key(key, "data-file") && value.is_empty());
        self.add_if(nodes.iter().any(is_kept), Rule::DATA_FILE_KEPT);

        let is_dash = |name: &OsStr| name == "-";
        let names_dash = match line.subcommand() {
            Subcommand::Dd => ["if", "of"].iter().filter_map(|name| line.dd_operand(name)).any(|name| is_dash(&name)),
            _ => line.operands().any(is_dash),
        };
        self.add_if(names_dash, Rule::DASH_IS_FILE);
        for place in line.reads().iter().chain(&line.writes()) {
            let Location::Protocol(name) = place else { continue };
            let name = name.to_string_lossy();
            let protocol = name.split(':').next().unwrap_or_default();
            if protocol == "fat" {
                self.add(Rule::NAME_IS_DIRECTORY);
            } else if !crate::PROTOCOLS.contains(&protocol) {
                self.add_about(&format!("{protocol}:"), Rule::NAME_IS_PROTOCOL);
            }
        }
    }

    /// Whether the content of an image chooses its format.
    fn is_probed(&self) -> bool {
        let line = self.line;
        let probed = |operand: &OsStr, format: &str, is_node: bool| {
            !line.has(format) && node(operand, is_node).is_none_or(|node| node.get("driver").is_none())
        };
        let opts = line.has("image-opts");
        let operands: Vec<&OsStr> = line.operands().collect();
        match (line.subcommand(), operands.as_slice()) {
            (Subcommand::Create, _) => false,
            (Subcommand::Compare, [one, other, ..]) => probed(one, "f", opts) || probed(other, "F", opts),
            (Subcommand::Measure, _) if line.has("s") => false,
            (Subcommand::Dd, _) => line.dd_operand("if").is_some_and(|name| probed(&name, "f", opts)),
            (Subcommand::Convert, [sources @ .., target]) => {
                // Without the option it is written as raw, which is another matter.
                let target = line.has("target-image-opts") && probed(target, "O", true);
                target || sources.iter().any(|source| probed(source, "f", opts))
            }
            (Subcommand::Bitmap, [image, ..]) => probed(image, "f", opts) || (line.has("b") && !line.has("F")),
            (_, operands) => operands.first().is_some_and(|image| probed(image, "f", opts)),
        }
    }

    pub(super) fn backing(&mut self) {
        let line = self.line;
        if !matches!(line.subcommand(), Subcommand::Create | Subcommand::Rebase | Subcommand::Convert) {
            return;
        }
        let backing = line.backing_name().filter(|backing| !backing.is_empty());
        if let Some(backing) = backing {
            if self.is(Subcommand::Convert) {
                self.add(if line.has("n") { Rule::BACKING_IGNORED } else { Rule::BACKING_ASSUMED });
            }
            let has_format = line.has("F") || line.create_options().get("backing_fmt").is_some();
            self.add_if(!has_format, Rule::BACKING_FORMAT_MISSING);
            self.add_if(is_from_here(backing), Rule::BACKING_FROM_HERE);
        }
        if self.is(Subcommand::Rebase) && line.has("u") {
            self.add(if backing.is_none() { Rule::BACKING_DROPPED } else { Rule::REBASE_UNCHECKED });
        }
    }
}
