//! What decides what is opened: formats, names and backing files.

use std::ffi::OsStr;

use super::{Lint, Rule, Severity, is_key};
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
        let nodes = self.nodes();
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
        let probed = |operand: Option<&OsStr>, format: &str| {
            let Some(operand) = operand else { return false };
            if line.has("image-opts") {
                return KeyVal::parse(operand).get("driver").is_none();
            }
            !line.has(format) && !operand.as_encoded_bytes().starts_with(b"json:")
        };
        let first = line.operands().next();
        match line.subcommand() {
            Subcommand::Create => false,
            Subcommand::Compare => probed(first, "f") || probed(line.operands().nth(1), "F"),
            Subcommand::Measure if line.has("s") => false,
            Subcommand::Dd => probed(line.dd_operand("if").as_deref(), "f"),
            _ => probed(first, "f"),
        }
    }

    pub(super) fn backing(&mut self) {
        let line = self.line;
        let options = line.create_options();
        let (name, has_format) = match line.subcommand() {
            Subcommand::Create | Subcommand::Rebase => ("b", line.has("F") || line.has("B")),
            Subcommand::Convert => ("B", line.has("F")),
            _ => return,
        };
        let backing = line.value(name).or(options.get("backing_file")).filter(|backing| !backing.is_empty());
        if let Some(backing) = backing {
            if self.is(Subcommand::Convert) {
                self.add(if line.has("n") { Rule::BACKING_IGNORED } else { Rule::BACKING_ASSUMED });
            }
            self.add_if(!has_format && options.get("backing_fmt").is_none(), Rule::BACKING_FORMAT_MISSING);
            let behind = backing.as_encoded_bytes().strip_prefix(b"file:");
            self.add_if(behind.is_some_and(|path| !path.starts_with(b"/")), Rule::BACKING_FROM_HERE);
        }
        if self.is(Subcommand::Rebase) && line.has("u") {
            self.add(if backing.is_none() { Rule::BACKING_DROPPED } else { Rule::REBASE_UNCHECKED });
        }
    }
}
