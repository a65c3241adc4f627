//! How qemu-img reads arguments, by the options of 5.2, the oldest that is supported, and three that came later: written
//! from its manual, not from the library.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use qemu_cmd::{Invocation, Location, PROTOCOLS};

use super::{Checked, Command, argv};

/// Every option that qemu-img 5.2 has, and `--skip-broken-bitmaps`, `info -t` and `--limits`: its name, and whether it takes a value.
const OPTIONS: &[(&str, &str, &str)] = &[
    (
        "convert",
        "-U -C -W -c -n -p -q --bitmaps --force-share --image-opts --salvage --skip-broken-bitmaps --target-image-opts --target-is-zero",
        "-B -O -S -T -f -l -m -o -r -t --object",
    ),
    ("create", "-q -u", "-F -b -f -o --object"),
    ("info", "-U --backing-chain --force-share --image-opts --limits", "-f -t --object --output"),
];

/// What a node has beside its file and what is below it.
const NODE_KEYS: &[&str] = &[
    "driver",
    "key-secret",
    "encrypt.key-secret",
    "backing",
    "discard",
    "detect-zeroes",
    "cache.no-flush",
    "auto-read-only",
    "offset",
    "size",
    "lazy-refcounts",
    "overlap-check",
    "pass-discard-request",
    "l2-cache-size",
    "cache-clean-interval",
];

/// A command line as qemu-img 5.2 reads it.
struct Line {
    subcommand: String,
    options: Vec<(String, Option<OsString>)>,
    operands: Vec<OsString>,
}

impl Line {
    fn read(argv: &[OsString]) -> Result<Self, String> {
        let mut args = argv.iter();
        let subcommand = args.next().ok_or("no subcommand")?.to_str().ok_or("subcommand")?.to_owned();
        let (_, flags, valued) =
            OPTIONS.iter().find(|(name, ..)| *name == subcommand).ok_or(format!("subcommand {subcommand}"))?;
        let mut line = Self { subcommand, options: Vec::new(), operands: Vec::new() };
        while let Some(arg) = args.next() {
            let is_one_of = |list: &str, name: &str| list.split(' ').any(|known| known == name);
            match arg.to_str().and_then(|text| text.split_once('=')) {
                Some((name, value)) if name.starts_with("--") && is_one_of(valued, name) => {
                    line.options.push((name.to_owned(), Some(value.into())));
                }
                _ if !arg.as_bytes().starts_with(b"-") => line.operands.push(arg.clone()),
                _ => {
                    let name = arg.to_str().ok_or(format!("unknown option {arg:?}"))?;
                    let value = if is_one_of(valued, name) {
                        Some(args.next().ok_or(format!("no value of {name}"))?.clone())
                    } else if is_one_of(flags, name) {
                        None
                    } else {
                        return Err(format!("unknown option {name}"));
                    };
                    line.options.push((name.to_owned(), value));
                }
            }
        }
        Ok(line)
    }

    fn has(&self, name: &str) -> bool {
        self.options.iter().any(|(option, _)| option == name)
    }

    fn value(&self, name: &str) -> Option<&OsStr> {
        self.options.iter().rev().find(|(option, _)| option == name)?.1.as_deref()
    }
}

/// A `key=value,…` list as qemu reads it: the value ends at a comma that no second one follows.
fn unescape(list: &OsStr) -> Vec<(String, OsString)> {
    let mut rest = list.as_bytes();
    let mut pairs = Vec::new();
    while !rest.is_empty() {
        let equals = rest.iter().position(|&byte| byte == b'=').expect("a key has a value");
        let key = String::from_utf8(rest[..equals].to_vec()).expect("a key is a word");
        rest = &rest[equals + 1..];
        let mut value = Vec::new();
        while let Some((&byte, tail)) = rest.split_first() {
            rest = tail;
            if byte == b',' {
                match rest.split_first() {
                    Some((b',', tail)) => rest = tail,
                    _ => break,
                }
            }
            value.push(byte);
        }
        pairs.push((key, OsString::from_vec(value)));
    }
    pairs
}

/// A path that names this file, and that qemu-img takes for a path.
fn check_path(name: &OsStr, path: &Path) -> Checked {
    let bytes = name.as_bytes();
    // The folders themselves are no images, but no options or protocols either.
    let safe = [&b"/"[..], b"./", b"../"].iter().any(|start| bytes.starts_with(start)) || name == "." || name == "..";
    prop_assert!(safe, "{:?} is not safe", name);
    let same = name == path || bytes.strip_prefix(b"./") == Some(path.as_os_str().as_bytes());
    prop_assert!(same, "{name:?} is not {path:?}");
    Ok(())
}

/// An operand, or a backing file, given by its plain name.
fn check_plain(name: &OsStr, location: &Location) -> Checked {
    match location.path() {
        Some(path) => check_path(name, path),
        None => {
            let is_protocol = |known: &&str| name.as_bytes().starts_with(format!("{known}:").as_bytes());
            prop_assert!(PROTOCOLS.iter().any(is_protocol) && !name.as_bytes().starts_with(b"json:"), "{:?}", name);
            prop_assert_eq!(location, &Location::protocol(name).unwrap());
            Ok(())
        }
    }
}

/// A node: each key once, and the path of a file as it went in.
fn check_node(pairs: &[(String, OsString)], location: &Location) -> Checked {
    let get = |key: &str| pairs.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_os_str());
    for (index, (key, _)) in pairs.iter().enumerate() {
        let below = ["file.", "backing.", "header."].iter().any(|start| key.starts_with(start));
        prop_assert!(below || NODE_KEYS.contains(&&**key), "stray {key}");
        prop_assert!(pairs[..index].iter().all(|(other, _)| other != key), "{key} twice");
    }
    let Some(path) = location.path() else {
        prop_assert!(get("file.driver").is_some() || get("file.filename").is_some());
        return Ok(());
    };
    let driver = if matches!(location, Location::HostDevice(_)) { "host_device" } else { "file" };
    prop_assert_eq!(get("file.driver"), Some(OsStr::new(driver)));
    check_path(get("file.filename").expect("a file name"), path)
}

fn check_operand(operand: &OsStr, image_opts: bool, location: &Location) -> Checked {
    if image_opts {
        return check_node(&unescape(operand), location);
    }
    let Some(json) = operand.as_bytes().strip_prefix(b"json:") else { return check_plain(operand, location) };
    let json: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(json).expect("JSON");
    let text = |value: &serde_json::Value| OsString::from(value.as_str().unwrap_or_default());
    let pairs: Vec<_> = json.iter().map(|(key, value)| (key.clone(), text(value))).collect();
    check_node(&pairs, location)
}

/// Everything that is known of the arguments of an accepted command.
pub(crate) fn check_arguments(command: &Command, invocation: &Invocation) -> Checked {
    let line = Line::read(&argv(invocation)).map_err(TestCaseError::fail)?;
    let (subcommand, operands) = match command {
        Command::Convert(convert) => ("convert", 1 + convert.sources().count()..=1 + convert.sources().count()),
        Command::Create(_) => ("create", 1..=2),
        Command::Info(_) => ("info", 1..=1),
    };
    prop_assert_eq!(&line.subcommand, subcommand);
    prop_assert!(operands.contains(&line.operands.len()), "{:?}", line.operands);
    let source_opts = line.has("--image-opts");
    match command {
        Command::Convert(convert) => {
            let target_opts = line.has("--target-image-opts");
            for (operand, source) in line.operands.iter().zip(convert.sources()) {
                check_operand(operand, source_opts, source.location())?;
            }
            check_operand(line.operands.last().expect("a target"), target_opts, convert.target().location())?;
            prop_assert!(!(source_opts && line.has("-f")), "-f with --image-opts");
            prop_assert!(target_opts != line.has("-O"), "-O or a node");
            prop_assert!(line.has("-n") || !target_opts, "--target-image-opts without -n");
            prop_assert!(!(line.has("-n") && line.has("-o")), "-n with -o");
            let plain = |operand: &OsString| !operand.as_bytes().starts_with(b"json:");
            let given = line.operands[..line.operands.len() - 1].iter().any(plain) && !source_opts;
            let probed = convert.source().format().is_none();
            prop_assert!(!given || probed != line.has("-f"), "a name without its format");
        }
        Command::Create(_) => {
            check_plain(&line.operands[0], &invocation.writes()[0])?;
            if let (Some(backing), false) = (line.value("-b"), line.has("-u")) {
                check_plain(backing, &invocation.reads()[0])?;
            }
            prop_assert!(line.has("-b") || !line.has("-F"));
        }
        Command::Info(info) => {
            check_operand(&line.operands[0], source_opts, info.source().location())?;
            prop_assert!(!(source_opts && line.has("-f")), "-f with --image-opts");
            prop_assert!(line.value("--output").is_none_or(|output| output == "json"));
        }
    }
    // Each key that is defined is used, and the other way round.
    let objects = line.options.iter().filter(|(name, _)| name == "--object").filter_map(|(_, value)| value.as_deref());
    // A key in a file is an object too, but no secret that is delivered.
    let delivered = |object: &&OsStr| object.as_bytes().ends_with(b"file=/dev/fd/3");
    let defined = objects.filter(delivered).count();
    let args = argv(invocation);
    let stands = |text: String| args.iter().any(|arg| arg.to_string_lossy().contains(&text));
    let used = |id: &str| stands(format!("-secret={id}")) || stands(format!(",passwordid={id}"));
    let used_in_json = |id: &str| stands(format!("-secret\":\"{id}\""));
    prop_assert_eq!(defined, invocation.secrets().len());
    for (id, _) in invocation.secrets() {
        prop_assert!(used(id.as_str()) || used_in_json(id.as_str()), "{id} is not used");
    }
    Ok(())
}
