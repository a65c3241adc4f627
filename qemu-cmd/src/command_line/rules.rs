//! What is particular to a subcommand.

use std::ffi::OsStr;

use super::images::node;
use super::values::{is_size, name_and_value, whole_number, wrong};
use super::{CommandLine, KeyVal};
use crate::option_table::ValueKind;
use crate::{ByteSize, Error, Format, Location, ParseError, Subcommand, rules};

type Checked = Result<(), ParseError>;

/// The formats that have no backing files.
const NO_BACKING: &[&str] = &["raw", "luks", "vdi", "vhdx", "vpc", "parallels"];
/// The formats whose size is not measured.
const NOT_MEASURED: &[&str] = &["vdi", "vmdk", "vhdx", "vpc", "qed", "qcow", "parallels"];
/// The formats whose options cannot be changed.
const NOT_AMENDED: &[&str] =
    &["raw", "vdi", "vmdk", "vhdx", "vpc", "qed", "qcow", "parallels", "bochs", "cloop", "dmg"];

pub(super) fn check(line: &CommandLine) -> Checked {
    match line.subcommand {
        Subcommand::Amend => check_amend(line),
        Subcommand::Bench => check_bench(line),
        Subcommand::Bitmap => check_bitmap(line),
        Subcommand::Convert => check_convert(line),
        Subcommand::Create => check_create(line),
        Subcommand::Dd => check_dd(line),
        Subcommand::Measure => check_measure(line),
        Subcommand::Rebase => check_rebase(line),
        Subcommand::Resize => check_resize(line),
        _ => Ok(()),
    }?;
    check_sharing(line)?;
    check_not_same(line)
}

/// `-o help` lists options instead of doing anything.
pub(super) fn asks_for_option_help(line: &CommandLine) -> bool {
    let takes_it = match line.subcommand {
        Subcommand::Convert | Subcommand::Create => true,
        Subcommand::Amend => line.has("f") || line.operands().count() == 1,
        _ => false,
    };
    takes_it && line.create_options().iter().any(|(key, _)| matches!(key, "help" | "?"))
}

/// Whether `--remove-all` is the only action, which then takes no bitmap.
pub(super) fn removes_all_bitmaps_only(line: &CommandLine) -> bool {
    let others = ["add", "remove", "clear", "enable", "disable", "merge"];
    line.has("remove-all") && !others.iter().any(|action| line.has(action))
}

/// The format of that option, if it is one of these.
fn format_among(line: &CommandLine, option: &str, formats: &[&'static str]) -> Option<&'static str> {
    let given = line.value(option)?;
    formats.iter().copied().find(|format| *format == given)
}

/// The size, if it is one that every version reads the same way.
fn size(text: &OsStr) -> Option<ByteSize> {
    text.to_str()?.parse().ok()
}

fn check_sharing(line: &CommandLine) -> Checked {
    // `-U` of rebase is for the backing file, which is no node.
    if !line.has("U") || !line.has("image-opts") || line.subcommand == Subcommand::Rebase {
        return Ok(());
    }
    let refuses = |node: &OsStr| {
        KeyVal::parse(node)
            .get("force-share")
            .is_some_and(|value| ["off", "no", "n", "false"].iter().any(|off| *off == value))
    };
    let reason = Error::Options("-U and force-share=off in a node contradict each other: drop one of the two");
    if line.subcommand == Subcommand::Dd {
        return match line.dd_operand("if") {
            Some(node) if refuses(&node) => Err(line.at_dd_operand("if", reason)),
            _ => Ok(()),
        };
    }
    let targets = usize::from(line.subcommand == Subcommand::Convert);
    let sources = line.operands().count().saturating_sub(targets);
    match line.operands().take(sources).position(refuses) {
        Some(index) => Err(line.at_operand(index, ParseError::from(reason).of_key("force-share"))),
        None => Ok(()),
    }
}

fn check_amend(line: &CommandLine) -> Checked {
    match format_among(line, "f", NOT_AMENDED) {
        Some(_) => {
            let reason = "the options of this format cannot be changed: only those of qcow2 and luks";
            Err(line.at_value("f", Error::Options(reason)))
        }
        None => Ok(()),
    }
}

fn check_bench(line: &CommandLine) -> Checked {
    let is_too_large = |value: &OsStr| size(value).is_some_and(|size| size > ByteSize::bytes(0x7fff_ffff));
    for option in ["s", "S"] {
        if let Some(value) = line.values(option).find(|value| is_too_large(value)) {
            let reason = "a request, and a step, has at most 2147483647 bytes";
            return Err(line.at_value(option, ParseError::value(format!("-{option}"), value, reason)));
        }
    }
    let depth = line.value("d").map_or(Some(64), whole_number);
    let interval = line.value("flush-interval").and_then(whole_number);
    if let (Some(depth), Some(interval)) = (depth, interval)
        && interval > 0
        && interval < depth
    {
        let reason = "the flush interval must not be smaller than the depth, which is 64 unless -d is given";
        return Err(line.at_value("flush-interval", Error::Options(reason)));
    }
    Ok(())
}

fn check_bitmap(line: &CommandLine) -> Checked {
    if let Some(granularity) = line.value("g").and_then(size)
        && granularity > ByteSize::bytes(0)
    {
        let (min, max) = (ByteSize::bytes(512), ByteSize::gib(2));
        rules::check_power_of_two("bitmap granularity", granularity, min, max)
            .map_err(|error| line.at_value("g", error))?;
    }
    match line.operands().nth(1) {
        Some(name) if name.is_empty() => Err(line.at_operand(1, Error::BitmapName { name: String::new() })),
        _ => Ok(()),
    }
}

fn check_convert(line: &CommandLine) -> Checked {
    let has_backing = line.backing_name().is_some();
    if line.operands().count() > 2 {
        if line.has("l") {
            return Err(line.at_option(
                "l",
                Error::Options("-l needs a single source: an image made of several has no snapshots"),
            ));
        }
        if line.has("bitmaps") {
            return Err(line.at_option(
                "bitmaps",
                Error::Options("--bitmaps needs a single source: bitmaps of several cannot be joined"),
            ));
        }
        if has_backing {
            return Err(at_backing(
                line,
                Error::Options("-B needs a single source: an image made of several has no backing file"),
            ));
        }
    }
    if !line.has("n") {
        check_backing_format(line, "-F needs -B: there is no backing file that has this format")?;
    }
    if has_backing && !line.has("n") {
        let default = Some("raw").filter(|_| !line.has("O"));
        if let Some(format) = format_among(line, "O", NO_BACKING).or(default) {
            return Err(at_backing(line, Error::BackingUnsupported { format }));
        }
        check_not_own_backing(line)?;
    }
    if let Some(coroutines) = line.value("m").and_then(OsStr::to_str).and_then(|text| text.parse().ok()) {
        rules::check_coroutines(coroutines).map_err(|error| line.at_value("m", error))?;
    }
    if let Some(size) = line.value("S").and_then(size) {
        rules::check_sparse_size(size).map_err(|error| line.at_value("S", error))?;
    }
    if line.has("c") { check_compression(line).map_err(|error| line.at_option("c", error)) } else { Ok(()) }
}

/// 5.2 overwrites a raw image while it reads it; later ones fail to lock it. dd has no lock at all.
fn check_not_same(line: &CommandLine) -> Checked {
    if !matches!(line.subcommand, Subcommand::Convert | Subcommand::Dd) {
        return Ok(());
    }
    let (reads, writes) = (line.sources(), line.writes());
    let is_written = |source: &&Location| writes.iter().any(|target| source.is_same(target));
    let Some(path) = reads.iter().find(is_written).and_then(Location::path) else { return Ok(()) };
    let error = Error::SameFile { name: path.to_string_lossy().into_owned() };
    Err(match line.subcommand {
        Subcommand::Dd => line.at_dd_operand("of", error),
        _ => line.at_operand(line.operands().count() - 1, error),
    })
}

/// The format of a backing file needs one.
fn check_backing_format(line: &CommandLine, missing: &'static str) -> Checked {
    if line.backing_name().is_some() {
        return Ok(());
    }
    if line.has("F") {
        return Err(line.at_option("F", Error::Options(missing)));
    }
    if line.create_options().get("backing_fmt").is_some() {
        let reason = "backing_fmt needs backing_file: there is no backing file that has this format";
        return Err(line.at_create_option("backing_fmt", Error::Options(reason)));
    }
    Ok(())
}

/// An image would take its content from where it was itself, and every version exits with 0.
fn check_not_own_backing(line: &CommandLine) -> Checked {
    let Some(image) = line.target() else { return Ok(()) };
    if line.backing_name().is_some_and(OsStr::is_empty) {
        // None at all.
        return Ok(());
    }
    match line.backing_of(&image) {
        Some(backing) if backing.is_same(&image) => {
            Err(at_backing(line, Error::SameFile { name: image.display_name() }))
        }
        _ => Ok(()),
    }
}

/// The error, about the backing file that an image is given.
fn at_backing(line: &CommandLine, error: impl Into<ParseError>) -> ParseError {
    let option = if line.subcommand == Subcommand::Convert { "B" } else { "b" };
    if line.has(option) { line.at_value(option, error) } else { line.at_create_option("backing_file", error) }
}

fn check_compression(line: &CommandLine) -> Result<(), Error> {
    let options = line.create_options();
    let node = line.operands().next_back().and_then(|target| node(target, line.has("target-image-opts")));
    let node = node.unwrap_or_default();
    let given = |list: &KeyVal, key: &str| list.get(key).map(|value| value.to_string_lossy().into_owned());
    let format = match line.value("O") {
        Some(format) => format.to_string_lossy().into_owned(),
        None if line.has("target-image-opts") => given(&node, "driver").unwrap_or_default(),
        None => "raw".to_owned(),
    };
    let encrypted = options.get("encrypt.format").is_some()
        || options.get("encrypt.key-secret").is_some()
        || given(options, "encryption").is_some_and(|value| matches!(&*value, "on" | "yes" | "true" | "y"))
        || ["key-secret", "encrypt.key-secret"].iter().any(|key| node.get(key).is_some());
    let preallocated = given(options, "preallocation").is_some_and(|mode| mode != "off");
    rules::check_compression(&format, encrypted, preallocated)
}

fn check_create(line: &CommandLine) -> Checked {
    let (options, backing) = (line.create_options(), line.backing_name());
    check_backing_format(line, "-F needs -b: there is no backing file that has this format")?;
    if let Some(backing) = backing {
        if backing.is_empty() {
            let reason = "leave it out for an image without a backing file";
            let given = if line.has("b") { "-b" } else { "backing_file" };
            return Err(at_backing(line, ParseError::value(given, backing, reason)));
        }
        if line.operands().next() == Some(backing) {
            return Err(at_backing(line, Error::SameFile { name: backing.to_string_lossy().into_owned() }));
        }
        check_not_own_backing(line)?;
        let default = Some("raw").filter(|_| !line.has("f"));
        if let Some(format) = format_among(line, "f", NO_BACKING).or(default) {
            return Err(at_backing(line, Error::BackingUnsupported { format }));
        }
    }
    let operand = line.operands().nth(1);
    if operand.is_some() && options.get("size").is_some() {
        let reason = "the size is given twice: as an operand and as -o size=";
        return Err(line.at_operand(1, Error::Options(reason)));
    }
    let Some(given) = operand.or(options.get("size")) else {
        let is_header = options.get("detached-header").is_some_and(|value| value != "off");
        let has_size = is_header || (backing.is_some() && !line.has("u"));
        return if has_size { Ok(()) } else { Err(Error::SizeMissing.into()) };
    };
    let wrong = wrong(ValueKind::Size, given).map(|reason| ParseError::value("size", given, reason));
    let sectors = match size(given) {
        Some(size) if line.value("f").is_some_and(|format| format == "qcow2") => {
            rules::check_sectors(Format::Qcow2, size)
        }
        _ => Ok(()),
    };
    match wrong.map_or(sectors.map_err(ParseError::from), Err) {
        Err(error) if operand.is_some() => Err(line.at_operand(1, error)),
        Err(error) => Err(line.at_create_option("size", error)),
        Ok(()) => Ok(()),
    }
}

fn check_dd(line: &CommandLine) -> Checked {
    const NAMES: &[&str] = &["if", "of", "bs", "count", "skip"];
    let is_known = |operand: &OsStr| name_and_value(operand).is_some_and(|(name, _)| NAMES.contains(&&*name));
    if let Some(unknown) = line.operands().position(|operand| !is_known(operand)) {
        let reason = Error::Options("an operand of dd is one of if=, of=, bs=, count= and skip=");
        return Err(line.at_operand(unknown, reason));
    }
    if line.dd_operand("if").is_none() || line.dd_operand("of").is_none() {
        return Err(Error::Options("dd needs both if= and of=").into());
    }
    for name in ["bs", "count", "skip"] {
        let Some(value) = line.dd_operand(name) else { continue };
        let is_block = |size: ByteSize| (1..=0x7fff_ffff).contains(&size.as_u64());
        let reason = wrong(ValueKind::Size, &value).or_else(|| {
            let is_wrong = name == "bs" && size(&value).is_some_and(|size| !is_block(size));
            is_wrong.then_some("a block of dd must have from 1 to 2147483647 bytes")
        });
        if let Some(reason) = reason {
            return Err(line.at_dd_operand(name, ParseError::value(name, &value, reason)));
        }
    }
    Ok(())
}

fn check_measure(line: &CommandLine) -> Checked {
    let has_image = line.operands().next().is_some();
    if has_image == line.has("size") {
        let reason = Error::Options("measure needs either an image or --size, not both");
        return Err(line.at_operand(0, reason));
    }
    match format_among(line, "O", NOT_MEASURED) {
        Some(format) => Err(line.at_value("O", Error::MeasureUnsupported { format })),
        None => Ok(()),
    }
}

fn check_rebase(line: &CommandLine) -> Checked {
    let has_key = |node: &KeyVal| node.get("encrypt.key-secret").is_some();
    if line.has("c") && line.nodes().iter().any(has_key) {
        return Err(line.at_option("c", Error::CompressionWithEncryption));
    }
    check_not_own_backing(line)
}

fn check_resize(line: &CommandLine) -> Checked {
    let Some(operand) = line.operands().nth(1) else { return Ok(()) };
    let text = operand.to_string_lossy();
    let sign = text.chars().next().filter(|c| matches!(c, '+' | '-'));
    let number = if sign.is_some() { text.get(1..).unwrap_or_default() } else { &text };
    let refuse = |error: ParseError| Err(line.at_operand(1, error));
    if !is_size(number.as_ref()) {
        return refuse(ParseError::value("size", operand, "the size of a resize is like 10G, +1G or -1G"));
    }
    let zero = number.parse() == Ok(ByteSize::bytes(0));
    match sign {
        None if zero => refuse(ParseError::value("size", operand, "an image is not resized to 0 bytes")),
        Some('-') if line.value("preallocation").is_some_and(|mode| mode != "off") => {
            let reason = "space is allocated in advance only when an image grows: drop the preallocation";
            Err(line.at_value("preallocation", Error::Options(reason)))
        }
        Some('-') if !zero && !line.has("shrink") => {
            refuse(Error::Options("an image shrinks only with --shrink: what is beyond its new end is lost").into())
        }
        _ => Ok(()),
    }
}
