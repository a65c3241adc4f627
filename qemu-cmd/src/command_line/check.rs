//! What qemu-img would always reject in a command line, or get silently wrong.

use std::ffi::OsStr;

use super::CommandLine;
use crate::{ByteSize, Error, KeyVal, ParseError, Subcommand, rules};

pub(super) fn check(line: &CommandLine) -> Result<(), ParseError> {
    match line.subcommand {
        Subcommand::Convert => check_convert(line),
        Subcommand::Create => check_create(line),
        Subcommand::Info => {
            operands(line, 1..=1, "one image")?;
            excludes(line, "f", "image-opts", "-f and --image-opts exclude each other: write driver=FMT in the node")
        }
    }
}

fn operands(line: &CommandLine, range: std::ops::RangeInclusive<usize>, needs: &'static str) -> Result<(), ParseError> {
    let given = line.operands().count();
    if range.contains(&given) {
        return Ok(());
    }
    Err(ParseError::Operands { subcommand: line.subcommand.as_str(), needs, given })
}

fn excludes(line: &CommandLine, a: &str, b: &str, reason: &'static str) -> Result<(), ParseError> {
    if line.has(a) && line.has(b) { Err(Error::Options(reason).into()) } else { Ok(()) }
}

fn needs(line: &CommandLine, option: &str, other: &str, reason: &'static str) -> Result<(), ParseError> {
    if line.has(option) && !line.has(other) { Err(Error::Options(reason).into()) } else { Ok(()) }
}

fn check_convert(line: &CommandLine) -> Result<(), ParseError> {
    // `-o help` lists options instead of converting.
    if asks_for_option_help(line) {
        return Ok(());
    }
    operands(line, 2..=usize::MAX, "a source and a target")?;
    excludes(line, "f", "image-opts", "-f and --image-opts exclude each other: write driver=FMT in the node")?;
    excludes(line, "n", "o", "-n and -o exclude each other: an existing target keeps its options")?;
    excludes(
        line,
        "O",
        "target-image-opts",
        "-O and --target-image-opts exclude each other: write driver=FMT in the node",
    )?;
    excludes(line, "C", "c", "-C and -c exclude each other: the storage cannot compress")?;
    excludes(line, "C", "S", "-C and -S exclude each other: the storage looks for no zeros")?;
    excludes(line, "C", "salvage", "-C and --salvage exclude each other")?;
    needs(line, "target-image-opts", "n", "--target-image-opts needs -n: the target must exist")?;
    needs(line, "target-is-zero", "n", "--target-is-zero needs -n: a new target is known to be zero")?;
    needs(line, "skip-broken-bitmaps", "bitmaps", "--skip-broken-bitmaps needs --bitmaps")?;
    if let Some(coroutines) = line.value("m").and_then(OsStr::to_str).and_then(|text| text.parse().ok()) {
        rules::check_coroutines(coroutines)?;
    }
    if let Some(size) = line.value("S").and_then(size) {
        rules::check_sparse_size(size)?;
    }
    if line.has("c") {
        check_compression(line)?;
    }
    Ok(())
}

fn check_compression(line: &CommandLine) -> Result<(), ParseError> {
    let node = match line.operands().next_back() {
        Some(target) if line.has("target-image-opts") => KeyVal::parse(target),
        _ => KeyVal::new(),
    };
    let options = line.create_options();
    let given = |list: &KeyVal, key: &str| list.get(key).map(|value| value.to_string_lossy().into_owned());
    let format = match line.value("O") {
        Some(format) => format.to_string_lossy().into_owned(),
        None if line.has("target-image-opts") => given(&node, "driver").unwrap_or_default(),
        None => "raw".to_owned(),
    };
    let encrypted = options.get("encrypt.format").is_some()
        || options.get("encrypt.key-secret").is_some()
        || given(&options, "encryption").is_some_and(|value| matches!(&*value, "on" | "yes" | "true" | "y"))
        || node.iter().any(|(key, _)| key.ends_with("key-secret"));
    let preallocated = given(&options, "preallocation").is_some_and(|mode| mode != "off");
    Ok(rules::check_compression(&format, encrypted, preallocated)?)
}

fn check_create(line: &CommandLine) -> Result<(), ParseError> {
    if asks_for_option_help(line) {
        return Ok(());
    }
    operands(line, 1..=2, "a file and a size")?;
    let options = line.create_options();
    let has_backing = line.has("b") || options.get("backing_file").is_some();
    if (line.has("F") || line.has("B")) && !has_backing {
        return Err(Error::Options("-F needs -b: there is no backing file that has this format").into());
    }
    let operand = line.operands().nth(1);
    if operand.is_some() && options.get("size").is_some() {
        return Err(Error::Options("the size is given twice: as an operand and as -o size=").into());
    }
    let given = operand.or(options.get("size"));
    if given.is_none() && (!has_backing || line.has("u")) {
        return Err(Error::SizeMissing.into());
    }
    if line.value("f").is_some_and(|format| format == "qcow2")
        && let Some(size) = given.and_then(size)
    {
        rules::check_sectors(size)?;
    }
    Ok(())
}

fn asks_for_option_help(line: &CommandLine) -> bool {
    line.create_options().iter().any(|(key, _)| matches!(key, "help" | "?"))
}

/// The size, if it is one that every version reads the same way.
fn size(text: &OsStr) -> Option<ByteSize> {
    text.to_str()?.parse().ok()
}
