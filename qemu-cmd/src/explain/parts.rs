//! What is in a list: create options, the properties of an object, the keys of a node.

use std::borrow::Cow;
use std::ffi::OsStr;

use super::Explained;
use crate::command_line::{Given, node};
use crate::option_table::{ValueKind, keys};
use crate::os::split_once;
use crate::redact::redact;
use crate::{CommandLine, KeyVal, Subcommand};

/// The keys of a node that are nodes themselves, and come before the keys of those.
const CHILDREN: &[&str] = &["file", "backing", "data-file", "header", "image", "raw", "test"];

impl CommandLine {
    /// The items of an option's list, if it has one. `shown` is its value without secrets.
    pub(super) fn parts_of_option(&self, given: &Given, shown: Option<&OsStr>) -> Vec<Explained> {
        match (given.spec.value.map(|value| value.kind), given.value.as_deref().or(shown)) {
            (Some(ValueKind::Options), Some(value)) if self.subcommand() != Subcommand::Bench => {
                self.create_options_of(value)
            }
            (Some(ValueKind::Object), Some(value)) => properties(value),
            _ => Vec::new(),
        }
    }

    fn create_options_of(&self, value: &OsStr) -> Vec<Explained> {
        let subcommand = self.subcommand();
        let option = if matches!(subcommand, Subcommand::Convert | Subcommand::Measure) { "O" } else { "f" };
        let default = if subcommand == Subcommand::Amend { "" } else { "raw" };
        let format = self.value(option).map_or_else(|| default.into(), OsStr::to_string_lossy);
        let meaning = |key: &str| match keys::create_option(subcommand, &format, key) {
            Some(doc) => in_a_sentence(doc),
            None if matches!(key, "help" | "?") => "prints the options, and does nothing else".to_owned(),
            None if format.is_empty() => "an option of a format that is not given".to_owned(),
            None if crate::Format::ALL.iter().any(|known| known.as_str() == format) => {
                format!("no option of {format} that is known here")
            }
            None => format!("an option of {format}, of which nothing is known here"),
        };
        explained(&KeyVal::parse(value), meaning)
    }

    /// The keys of an operand, if it is a node.
    pub(super) fn parts_of_operand(&self, operand: &OsStr, is_node: bool) -> Vec<Explained> {
        let value = match self.subcommand() {
            Subcommand::Dd => split_once(operand, b'=').map_or_else(|| operand.into(), |(_, value)| Cow::Owned(value)),
            _ => Cow::Borrowed(operand),
        };
        let Some(node) = node(&value, is_node) else { return Vec::new() };
        explained(&node, |key| of_node(&node, key))
    }
}

fn of_node(node: &KeyVal, key: &str) -> String {
    let (mut above, mut rest) = ("", key);
    while let Some((child, below)) = rest.split_once('.')
        && CHILDREN.contains(&child)
    {
        above = key.get(..key.len() - below.len()).unwrap_or_default();
        rest = below;
    }
    let driver = node.get(&format!("{above}driver")).map(OsStr::to_string_lossy);
    let known = match driver.as_deref() {
        Some(driver) => keys::node_key(driver, rest),
        // A place without a driver is a file, and what lies over one is probed.
        None => keys::node_key("file", rest).or_else(|| keys::node_key("qcow2", rest)),
    };
    match (known, driver) {
        (Some(doc), _) => in_a_sentence(doc),
        (None, Some(driver)) if keys::is_driver(&driver) => format!("no key of {driver} that is known here"),
        (None, Some(driver)) => format!("a key of {driver}, of which nothing is known here"),
        (None, None) => "a key of a node without a driver".to_owned(),
    }
}

fn properties(value: &OsStr) -> Vec<Explained> {
    let json = value.to_str().filter(|text| text.starts_with('{')).and_then(KeyVal::from_json);
    let list = json.unwrap_or_else(|| KeyVal::parse_implied(value, Some("qom-type")));
    let kind = list.get("qom-type").map(OsStr::to_string_lossy).unwrap_or_default().into_owned();
    explained(&list, |key| match keys::property(&kind, key) {
        Some(doc) => in_a_sentence(doc),
        None => format!("no property of {kind} that is known here"),
    })
}

/// Each pair and what it means.
fn explained(list: &KeyVal, meaning: impl Fn(&str) -> String) -> Vec<Explained> {
    let pairs = list.render_each().zip(list.iter());
    pairs
        .map(|(pair, (key, _))| Explained { args: vec![redact(&pair)], meaning: meaning(key), parts: Vec::new() })
        .collect()
}

/// The documentation of a method as it stands in a list: it begins small, and ends without a full stop.
fn in_a_sentence(doc: &str) -> String {
    let doc = doc.strip_suffix('.').unwrap_or(doc).replace('`', "");
    let mut chars = doc.chars();
    let first = chars.next();
    first.map_or_else(String::new, |first| format!("{}{}", first.to_lowercase(), chars.as_str()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use crate::CommandLine;

    /// The items of the argument at that place, and what they mean.
    fn parts(args: &[&str], at: usize) -> Vec<String> {
        let line = CommandLine::parse(args.iter().map(Into::into)).unwrap();
        let explained = line.explain().into_iter().nth(at).unwrap();
        let shown = |part: super::Explained| format!("{}: {}", part.args.join("".as_ref()).display(), part.meaning);
        explained.parts.into_iter().map(shown).collect()
    }

    #[test]
    fn create_options_are_those_of_the_format() {
        let list = "compat=1.1,encrypt.key-secret=k,static=on,size=1G";
        assert_eq!(
            parts(&["create", "-qfqcow2", "-o", list, "a"], 2),
            [
                "compat=1.1: the version. Default: 1.1",
                "encrypt.key-secret=k: the id of the object with the passphrase",
                "static=on: no option of qcow2 that is known here",
                "size=1G: the virtual size",
            ]
        );
        assert_eq!(
            parts(&["convert", "-O", "vdi", "-ostatic=on", "a", "b"], 2),
            ["static=on: whether all blocks are allocated. Default: off"]
        );
        assert_eq!(parts(&["create", "-o", "nocow=on,help", "a"], 1).len(), 2);
        assert!(parts(&["amend", "-o", "compat=v3", "a"], 1).iter().all(|part| part.ends_with("that is not given")));
        assert!(
            parts(&["create", "-f", "bfs", "-o", "x=y", "a"], 2).iter().all(|part| part.contains("nothing is known"))
        );
        assert_eq!(parts(&["bench", "-o", "4096", "a"], 1), [""; 0]);
    }

    #[test]
    fn a_node_is_taken_apart_in_either_syntax() {
        let wanted = [
            "driver=qcow2: the node's format or protocol",
            "encrypt.key-secret=k: the id of the object with the passphrase",
            "file.driver=nbd: the node's format or protocol",
            "file.server.host=h: the server's name or address",
            "file.zzz=1: no key of nbd that is known here",
        ];
        let list = "driver=qcow2,encrypt.key-secret=k,file.driver=nbd,file.server.host=h,file.zzz=1";
        assert_eq!(parts(&["info", "--image-opts", list], 2), wanted);
        assert_eq!(parts(&["dd", "--image-opts", &format!("if={list}"), "of=b"], 2), wanted);
        let json = r#"json:{"driver":"qcow2","encrypt":{"key-secret":"k"},"file":{"driver":"nbd","server":{"host":"h"},"zzz":1}}"#;
        assert_eq!(parts(&["info", json], 1), wanted);
        let deep =
            "file.filename=/a,backing.file.filename=/b,backing.file.driver=file,x=y,file.file.driver=zzz,file.file.a=b";
        assert_eq!(
            parts(&["info", "--image-opts", deep], 2),
            [
                "file.filename=/a: the path",
                "backing.file.filename=/b: the path",
                "backing.file.driver=file: the node's format or protocol",
                "x=y: a key of a node without a driver",
                "file.file.driver=zzz: the node's format or protocol",
                "file.file.a=b: a key of zzz, of which nothing is known here",
            ]
        );
        assert_eq!(parts(&["info", "driver=qcow2,file.filename=/a"], 1), [""; 0], "without --image-opts it is a name");
    }

    #[test]
    fn an_object_is_taken_apart_without_its_secret() {
        assert_eq!(
            parts(&["info", "--object", "secret,id=k,data=hunter2,format=raw", "a"], 1),
            [
                "qom-type=secret: what the object is",
                "id=k: what other options call it",
                "file=<k>: the file that holds the secret; a newline at its end belongs to it",
            ]
        );
        assert_eq!(
            parts(&["info", "--object", r#"{"qom-type":"throttle-group","id":"t","limits":{"bps-total":1}}"#, "a"], 1)
                [1..2],
            ["limits.bps-total=1: bytes a second at most"]
        );
        assert_eq!(
            parts(&["info", "--object=tls-creds-x509,id=t,dir=/d,zzz=1", "a"], 1)[2..],
            ["dir=/d: the directory with the credentials", "zzz=1: no property of tls-creds-x509 that is known here"]
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_node_that_is_not_utf8_is_taken_apart_too() {
        use std::os::unix::ffi::OsStrExt as _;
        let input = std::ffi::OsStr::from_bytes(b"if=driver=raw,file.filename=\xff");
        let line = CommandLine::parse(["dd".into(), "--image-opts".into(), input.into(), "of=b".into()]).unwrap();
        let meanings: Vec<_> = line.explain()[2].parts.iter().map(|part| part.meaning.clone()).collect();
        assert_eq!(meanings, ["the node's format or protocol", "the path"]);
    }

    #[test]
    fn a_password_is_shown_nowhere() {
        for node in ["driver=iscsi,password=hunter2,,x", "driver=http,url=http://u:hunter2@h/,cookie=hunter2"] {
            let shown = parts(&["info", "--image-opts", node], 2).join(" ");
            assert!(shown.contains("***") && !shown.contains("hunter2") && !shown.contains(",x"), "{shown}");
        }
    }
}
