//! What a command line needs of qemu-img, and since when that exists.

use std::fmt;

use crate::command_line::{Given, Meaning};
use crate::{Availability, CommandLine, Invocation, KeyVal, QemuVersion, Subcommand};

/// Something that not every version of qemu-img has.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Feature {
    /// What it is, as in `rebase -c`.
    pub name: String,
    /// The first version that has it.
    pub since: QemuVersion,
    /// The first version that has it outside Debian, where that is another one.
    pub elsewhere: Option<QemuVersion>,
    /// The first version that has it no more.
    pub removed: Option<QemuVersion>,
}

/// A command needs a feature that a version has not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{feature}, this is {version}")]
#[non_exhaustive]
pub struct Unsupported {
    /// What is needed.
    pub feature: Feature,
    /// The version that does not have it.
    pub version: QemuVersion,
}

/// Create options that are newer than qemu 5.0.
const CREATE_OPTIONS: &[(&str, QemuVersion)] = &[
    ("compression_type", QemuVersion::new(5, 1, 0)),
    ("extended_l2", QemuVersion::new(5, 2, 0)),
    ("toolsversion", QemuVersion::new(6, 2, 0)),
    ("detached-header", QemuVersion::new(9, 0, 0)),
    ("keep_data_file", QemuVersion::new(11, 0, 0)),
];

impl Feature {
    fn new(name: impl Into<String>, availability: Availability) -> Self {
        let Availability { since, elsewhere, removed } = availability;
        Self { name: name.into(), since, elsewhere, removed }
    }

    fn since(name: impl Into<String>, version: QemuVersion) -> Self {
        Self::new(name, Availability::since(version))
    }

    /// Whether a build of that version has it.
    #[must_use]
    pub fn in_version(&self, version: QemuVersion) -> bool {
        let Self { since, elsewhere, removed, .. } = *self;
        Availability { since, elsewhere, removed }.in_version(version)
    }

    /// Whether every supported version has it.
    #[must_use]
    pub fn is_always(&self) -> bool {
        self.removed.is_none() && self.in_version(QemuVersion::OLDEST)
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` needs qemu-img {}", self.name, self.since)?;
        match (self.elsewhere, self.removed) {
            (_, Some(removed)) => write!(f, ", before {removed}"),
            (Some(elsewhere), None) => write!(f, " ({elsewhere} outside Debian)"),
            (None, None) => Ok(()),
        }
    }
}

impl Invocation {
    /// What it needs that 5.2, the oldest supported version, lacks, as [`CommandLine::requires`] tells it.
    ///
    /// ```
    /// use qemu_cmd::{Rebase, Source};
    /// let rebase = Rebase::flatten(Source::qcow2("/a")).compress(true).invocation()?;
    /// assert_eq!(rebase.requires()[0].to_string(), "`rebase -c` needs qemu-img 8.2");
    /// # Ok::<(), qemu_cmd::Error>(())
    /// ```
    #[must_use]
    pub fn requires(&self) -> Vec<Feature> {
        let args = self.argv(|id| format!("secret,id={id},file=").into());
        // What is not a command line asks for the version, which every one can tell.
        CommandLine::parse(args).map(|line| line.requires()).unwrap_or_default()
    }

    /// What it needs that this version lacks, as [`CommandLine::unsupported`] tells it.
    #[must_use]
    pub fn unsupported(&self, version: QemuVersion) -> Option<Unsupported> {
        lacking(self.requires(), version)
    }
}

fn lacking(features: Vec<Feature>, version: QemuVersion) -> Option<Unsupported> {
    let feature = features.into_iter().find(|feature| !feature.in_version(version))?;
    Some(Unsupported { feature, version })
}

impl CommandLine {
    /// What it needs that 5.2, the oldest supported version, lacks, and the create options that are not much older.
    ///
    /// ```
    /// use qemu_cmd::CommandLine;
    /// let line = CommandLine::parse(["rebase", "-c", "-b", "", "disk.qcow2"].map(Into::into))?;
    /// let [feature] = line.requires().try_into().unwrap();
    /// assert_eq!(feature.to_string(), "`rebase -c` needs qemu-img 8.2");
    /// let refusal = line.unsupported("7.2".parse().unwrap()).unwrap();
    /// assert_eq!(refusal.to_string(), "`rebase -c` needs qemu-img 8.2, this is 7.2");
    /// # Ok::<(), qemu_cmd::ParseError>(())
    /// ```
    #[must_use]
    pub fn requires(&self) -> Vec<Feature> {
        let mut features: Vec<Feature> = self.given().filter_map(|given| self.of_option(given)).collect();
        for (key, _) in self.create_options().iter() {
            if let Some((_, since)) = CREATE_OPTIONS.iter().find(|(option, _)| *option == key) {
                features.push(Feature::since(format!("-o {key}"), *since));
            }
        }
        if self.has_json_object() {
            features.push(Feature::since("an object as JSON", QemuVersion::new(6, 0, 0)));
        }
        if self.nodes().iter().any(has_detached_header) {
            features.push(Feature::since("a detached LUKS header", QemuVersion::new(9, 0, 0)));
        }
        features.extend(self.of_resize());
        features.extend(self.of_probed_backing());
        let mut seen: Vec<Feature> = Vec::new();
        for feature in features {
            if !seen.contains(&feature) {
                seen.push(feature);
            }
        }
        seen
    }

    /// What it needs that this version lacks; the first of several. It errs on the side of running: whether a build
    /// is Debian's cannot be told from its number.
    #[must_use]
    pub fn unsupported(&self, version: QemuVersion) -> Option<Unsupported> {
        lacking(self.requires(), version)
    }

    fn of_option(&self, given: &Given) -> Option<Feature> {
        let mut availability = given.spec.availability;
        let mut spelled = given.spec.spelled();
        if let Some(name) = given.name {
            spelled = name.spelled();
            availability = availability.and(name.availability);
        }
        let name = format!("{} {spelled}", self.subcommand().as_str());
        (!availability.is_always()).then(|| Feature::new(name, availability))
    }

    fn has_json_object(&self) -> bool {
        // A secret that was taken out was rendered anew, so it does not count.
        self.values("object").any(|object| object.as_encoded_bytes().starts_with(b"{"))
    }

    /// Since 6.1 a backing file is given with its format.
    fn of_probed_backing(&self) -> Option<Feature> {
        let name = match self.subcommand() {
            Subcommand::Create | Subcommand::Convert | Subcommand::Rebase => self.backing_name(),
            _ => None,
        };
        let probed = name.is_some_and(|name| !name.is_empty())
            && !self.has("F")
            && self.create_options().get("backing_fmt").is_none();
        probed.then(|| {
            let removed = Some(QemuVersion::new(6, 1, 0));
            Feature::new("a backing file without its format", Availability { removed, ..Availability::ALWAYS })
        })
    }

    /// 10.0 reads the arguments of resize in another way than versions before.
    fn of_resize(&self) -> Option<Feature> {
        if self.subcommand() != Subcommand::Resize {
            return None;
        }
        let operands = self.pieces.iter().enumerate().filter(|(_, piece)| matches!(piece.meaning, Meaning::Operand(_)));
        let mut places = operands.map(|(at, _)| at);
        let (file, size) = (places.next()?, places.next()?);
        if size + 1 < self.pieces.len() {
            return Some(Feature::new("options after the size of a resize", Availability::LONG_NAMES));
        }
        let is_negative = self.operands().nth(1).is_some_and(|size| size.as_encoded_bytes().starts_with(b"-"));
        let ended = self.pieces.iter().any(|piece| matches!(piece.meaning, Meaning::Terminator));
        let removed = Some(QemuVersion::new(10, 0, 0));
        (is_negative && !ended && size != file + 1).then(|| {
            let name = "a negative size that does not follow the file of a resize";
            Feature::new(name, Availability { removed, ..Availability::ALWAYS })
        })
    }
}

/// Whether a LUKS layer of the node, the top one or one below, has its header elsewhere.
fn has_detached_header(node: &KeyVal) -> bool {
    let mut luks = node.iter().filter(|(_, value)| *value == "luks").filter_map(|(key, _)| key.strip_suffix("driver"));
    luks.any(|layer| {
        let mut own = node.iter().filter_map(|(key, _)| key.strip_prefix(layer));
        own.any(|key| key == "header" || key.starts_with("header."))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn line(text: &str) -> CommandLine {
        CommandLine::parse(text.split_whitespace().map(Into::into)).unwrap()
    }

    fn names(text: &str) -> Vec<String> {
        line(text).requires().into_iter().map(|feature| format!("{} {}", feature.name, feature.since)).collect()
    }

    #[test]
    fn what_is_needed() {
        for (text, wanted) in [
            ("convert -f raw -O qcow2 a b", vec![]),
            ("convert -B base -F qcow2 -O qcow2 a b", vec!["convert -F 6.1"]),
            ("convert -b base -F qcow2 -O qcow2 a b", vec!["convert -b 10.1", "convert -F 6.1"]),
            ("convert --bitmaps --skip-broken-bitmaps -O qcow2 a b", vec!["convert --skip-broken-bitmaps 6.1"]),
            ("convert --source-format raw a b", vec!["convert --source-format 10.0"]),
            ("convert --target-format qcow2 a b", vec!["convert --target-format 10.1"]),
            ("rebase --compress -b base -F raw a", vec!["rebase --compress 10.0"]),
            ("snapshot -f qcow2 -l a", vec!["snapshot -f 10.0"]),
            ("info -t none --limits a", vec!["info -t 10.2", "info --limits 10.2"]),
            ("info -b a", vec!["info -b 10.0"]),
            ("bitmap --remove-all a", vec!["bitmap --remove-all 11.0"]),
            ("bench -q --object throttle-group,id=t a", vec!["bench --object 10.2"]),
            (
                "create -f qcow2 -o compression_type=zstd,keep_data_file=on a 1G",
                vec!["-o compression_type 5.1", "-o keep_data_file 11.0"],
            ),
            ("create -f luks -o detached-header=on a 1G", vec!["-o detached-header 9.0"]),
            (r#"info --object {"qom-type":"throttle-group","id":"t"} a"#, vec!["an object as JSON 6.0"]),
            ("info --image-opts driver=luks,header.filename=h,file.filename=a", vec!["a detached LUKS header 9.0"]),
            ("info --image-opts driver=qcow2,file.filename=header.a", vec![]),
            (
                "info --image-opts driver=qcow2,backing.driver=luks,backing.header.filename=h",
                vec!["a detached LUKS header 9.0"],
            ),
            (r#"info json:{"driver":"luks","header":{"filename":"h"}}"#, vec!["a detached LUKS header 9.0"]),
            (r#"dd if=json:{"driver":"luks","header.filename":"h"} of=a"#, vec!["a detached LUKS header 9.0"]),
            ("convert -n --target-image-opts a driver=luks,header.filename=h", vec!["a detached LUKS header 9.0"]),
            ("map --image-opts driver=raw,file.driver=nvme,file.header.x=y,file.filename=header", vec![]),
            ("resize --shrink a -1M", vec![]),
            ("resize a 1M -q", vec!["options after the size of a resize 10.0"]),
            ("resize a --shrink -1M", vec!["a negative size that does not follow the file of a resize 5.2"]),
            ("resize --shrink a -- -1M", vec![]),
            ("resize -- a +1M", vec![]),
        ] {
            assert_eq!(names(text), wanted, "{text}");
        }
    }

    #[test]
    fn what_a_version_lacks() {
        let refusal = |text: &str, version: &str| {
            line(text).unsupported(version.parse().unwrap()).map(|refusal| refusal.to_string())
        };
        assert_eq!(refusal("snapshot -f qcow2 -l a", "10.0.2"), None);
        assert_eq!(
            refusal("snapshot -f qcow2 -l a", "7.2.22").unwrap(),
            "`snapshot -f` needs qemu-img 10.0 (10.1 outside Debian), this is 7.2.22"
        );
        assert_eq!(refusal("info -b a", "11.1").unwrap(), "`info -b` needs qemu-img 10.0, before 10.1, this is 11.1");
        assert_eq!(refusal("info a", "5.2"), None);
        for text in
            ["create -b base a", "create -u -o backing_file=base a 1M", "convert -B base a b", "rebase -u -b base a"]
        {
            let wanted = "`a backing file without its format` needs qemu-img 5.2, before 6.1, this is 7.2";
            assert_eq!(refusal(text, "7.2").as_deref(), Some(wanted), "{text}");
            assert_eq!(refusal(text, "5.2"), None, "{text}");
            assert_eq!(
                refusal(
                    &text.replace("base", "base -F raw").replace("base -F raw a 1M", "base,backing_fmt=raw a 1M"),
                    "11.1"
                ),
                None,
                "{text}"
            );
        }
        assert!(refusal("resize a --shrink -1M", "10.0").is_some());
        assert_eq!(refusal("resize a --shrink -1M", "7.2"), None);
    }
}
