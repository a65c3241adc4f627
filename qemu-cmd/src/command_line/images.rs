//! Which images a command line reads and writes.

use std::ffi::OsStr;

use super::CommandLine;
use crate::{KeyVal, Location, Subcommand};

impl CommandLine {
    /// The first image that is written.
    #[must_use]
    pub fn target(&self) -> Option<Location> {
        self.writes().into_iter().next()
    }

    /// The images that it is told to read. What is changed in place is read too. A backing file is there by the name
    /// that was given, which is relative to the image's directory.
    #[must_use]
    pub fn reads(&self) -> Vec<Location> {
        let other = match self.subcommand {
            // Of a new image, unless it is not opened.
            Subcommand::Convert | Subcommand::Create if !self.has("u") && !self.has("n") => self.backing_name(),
            Subcommand::Rebase if !self.has("u") => self.backing_name(),
            Subcommand::Bitmap => self.value("b"),
            _ => None,
        };
        let other = other.filter(|name| !name.is_empty()).map(Location::from_plain_name);
        self.sources().into_iter().chain(other).collect()
    }

    /// The same without the second images that options name.
    pub(super) fn sources(&self) -> Vec<Location> {
        let opts = self.has("image-opts");
        if self.subcommand == Subcommand::Dd {
            return self.dd_operand("if").iter().flat_map(|name| locations(name, opts)).collect();
        }
        let (mut operands, mut below): (Vec<&OsStr>, _) = (self.operands().collect(), Vec::new());
        match self.subcommand {
            Subcommand::Convert => {
                let target = operands.pop().filter(|_| self.has("target-image-opts"));
                below.extend(target.into_iter().flat_map(|name| locations(name, true).into_iter().skip(1)));
            }
            Subcommand::Create => operands.clear(),
            Subcommand::Bitmap | Subcommand::Resize => operands.truncate(1),
            _ => {}
        }
        operands.into_iter().flat_map(|name| locations(name, opts)).chain(below).collect()
    }

    /// The images that it is told to write.
    #[must_use]
    pub fn writes(&self) -> Vec<Location> {
        let opts = self.has("image-opts");
        let first = || self.operands().next().map(|name| location(name, opts));
        let any = |options: &[&str]| options.iter().any(|option| self.has(option));
        let target = match self.subcommand {
            Subcommand::Convert => {
                self.operands().next_back().map(|name| location(name, self.has("target-image-opts")))
            }
            Subcommand::Create => self.operands().next().map(Location::from_plain_name),
            Subcommand::Dd => self.dd_operand("of").map(|name| Location::from_plain_name(&name)),
            Subcommand::Amend | Subcommand::Bitmap | Subcommand::Rebase | Subcommand::Resize => first(),
            Subcommand::Commit => {
                // The base is where the data goes.
                let base = self.value("b").map(Location::from_plain_name).or_else(|| self.given_below());
                return first().into_iter().chain(base).collect();
            }
            Subcommand::Bench if self.has("w") => first(),
            Subcommand::Check if self.has("r") => first(),
            Subcommand::Snapshot if any(&["c", "a", "d"]) => first(),
            _ => None,
        };
        target.into_iter().collect()
    }

    /// The image that the first operand, a node, has below it instead of the backing file that it names.
    fn given_below(&self) -> Option<Location> {
        let below = node(self.operands().next()?, self.has("image-opts"))?.below("backing.");
        (!below.is_empty()).then(|| bottom(&below))
    }

    /// The operands that are nodes, in either syntax.
    pub(crate) fn nodes(&self) -> Vec<KeyVal> {
        let opts = self.has("image-opts");
        let mut operands: Vec<&OsStr> = self.operands().collect();
        let mut target = None;
        match self.subcommand {
            Subcommand::Dd => return self.dd_operand("if").and_then(|name| node(&name, opts)).into_iter().collect(),
            Subcommand::Bitmap | Subcommand::Resize => operands.truncate(1),
            Subcommand::Convert => {
                target = operands.pop().and_then(|name| node(name, self.has("target-image-opts")));
            }
            _ => {}
        }
        operands.into_iter().filter_map(|name| node(name, opts)).chain(target).collect()
    }

    /// The name of the backing file that an image is given: empty for none.
    pub(crate) fn backing_name(&self) -> Option<&OsStr> {
        let option = if self.subcommand == Subcommand::Convert { "B" } else { "b" };
        self.value(option).or_else(|| self.create_options().get("backing_file"))
    }

    /// Where qemu-img looks for the backing file of that image.
    pub(super) fn backing_of(&self, image: &Location) -> Option<Location> {
        let name = self.backing_name()?;
        let place = Location::from_plain_name(name);
        Some(if is_from_here(name) { place } else { place.beside(image) })
    }
}

/// Whether the name of a backing file is looked for where a program happens to run, not beside the image.
pub(crate) fn is_from_here(backing: &OsStr) -> bool {
    backing.as_encoded_bytes().strip_prefix(b"file:").is_some_and(|path| !path.starts_with(b"/"))
}

/// What an operand names.
fn location(name: &OsStr, image_opts: bool) -> Location {
    locations(name, image_opts).into_iter().next().unwrap_or_else(|| Location::from_plain_name(name))
}

/// What an operand names.
fn locations(name: &OsStr, image_opts: bool) -> Vec<Location> {
    node(name, image_opts).map_or_else(|| vec![Location::from_plain_name(name)], |node| places(&node))
}

/// What a node names: the place at the bottom of it, and the files of the nodes that it overrides, such as the backing
/// file.
pub(crate) fn places(node: &KeyVal) -> Vec<Location> {
    let is_other =
        |key: &str| key.ends_with(".filename") && key.split('.').any(|part| !matches!(part, "file" | "filename"));
    let others = node.iter().filter(|(key, _)| is_other(key)).map(|(key, value)| {
        let driver = format!("{}driver", key.strip_suffix("filename").unwrap_or_default());
        file(node.get(&driver), value)
    });
    std::iter::once(bottom(node)).chain(others).collect()
}

/// The keys of an operand that is a node, in either syntax.
pub(crate) fn node(operand: &OsStr, image_opts: bool) -> Option<KeyVal> {
    if image_opts { Some(KeyVal::parse(operand)) } else { KeyVal::from_json(operand.to_str()?.strip_prefix("json:")?) }
}

/// The place that a node comes down to, under a format and what else lies over it.
fn bottom(node: &KeyVal) -> Location {
    let mut prefix = String::new();
    let is_below =
        |prefix: &str| node.iter().any(|(key, _)| key.strip_prefix(prefix).is_some_and(|key| key.starts_with("file.")));
    while is_below(&prefix) {
        prefix.push_str("file.");
    }
    let get = |key: &str| node.get(&[&prefix, key].concat());
    match get("filename") {
        Some(name) => file(get("driver"), name),
        None => Location::from_node(node.below(&prefix)),
    }
}

/// The place of a `filename`, which is a file also if it looks like a protocol.
fn file(driver: Option<&OsStr>, name: &OsStr) -> Location {
    match driver.and_then(OsStr::to_str) {
        Some("host_device" | "host_cdrom") => Location::HostDevice(name.into()),
        _ => Location::from(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_name_the_file_at_their_bottom() {
        let file = |path: &str| Location::from(path);
        let device = Location::HostDevice("/dev/vg/a".into());
        let named = |text: &str| Location::from_plain_name(text.as_ref());
        let keys = |text: &str| Location::from_node(KeyVal::parse(text.as_ref()));
        for (node, wanted) in [
            ("driver=qcow2,file.driver=file,file.filename=/a,,b", vec![file("/a,b")]),
            ("driver=raw,file.driver=host_device,file.filename=/dev/vg/a", vec![device.clone()]),
            ("file.filename=/a", vec![file("/a")]),
            ("driver=qcow2,file.filename=nbd://h/e", vec![file("nbd://h/e")]),
            (
                "driver=qcow2,backing.driver=raw,backing.file.filename=/base,file.filename=/a",
                vec![file("/a"), file("/base")],
            ),
            ("driver=raw,offset=512,file.driver=raw,file.file.filename=/a", vec![file("/a")]),
            ("driver=nbd,host=h,export=e", vec![keys("driver=nbd,host=h,export=e")]),
        ] {
            assert_eq!(locations(node.as_ref(), true), wanted, "{node}");
        }
        for (name, wanted) in [
            (r#"json:{"driver":"qcow2","file":{"driver":"file","filename":"/a,b"}}"#, vec![file("/a,b")]),
            (r#"json:{"file.driver":"host_device","file.filename":"/dev/vg/a"}"#, vec![device]),
            (r#"json:{"driver":"nbd","path":"/s"}"#, vec![keys("driver=nbd,path=/s")]),
            ("json:{", vec![named("json:{")]),
            ("driver=qcow2", vec![file("driver=qcow2")]),
        ] {
            assert_eq!(locations(name.as_ref(), false), wanted, "{name}");
        }
    }
}
