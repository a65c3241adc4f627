//! What is particular to a subcommand.

use std::ffi::OsStr;

use super::images::node;
use super::values::{is_size, name_and_value, whole_number, wrong};
use super::{CommandLine, KeyVal};
use crate::option_table::ValueKind;
use crate::{ByteSize, Error, Location, Subcommand, rules};

type Checked = Result<(), Error>;

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
        Subcommand::Resize => check_resize(line),
        _ => Ok(()),
    }?;
    check_sharing(line)
}

/// `-o help` lists options instead of doing anything.
pub(super) fn asks_for_option_help(line: &CommandLine) -> bool {
    let takes_it = match line.subcommand {
        Subcommand::Convert | Subcommand::Create => true,
        Subcommand::Amend => line.has("f") || line.operands().count() == 1,
        _ => false,
    };
    takes_it && ["help", "?"].iter().any(|word| line.create_option(word).is_some())
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
    let images = match line.subcommand {
        Subcommand::Dd => line.dd_operand("if").into_iter().collect(),
        Subcommand::Convert => line.operands().rev().skip(1).map(OsStr::to_owned).collect(),
        _ => line.operands().map(OsStr::to_owned).collect::<Vec<_>>(),
    };
    if images.iter().any(|node| refuses(node)) {
        return Err(Error::Options("-U and force-share=off in a node contradict each other: drop one of the two"));
    }
    Ok(())
}

fn check_amend(line: &CommandLine) -> Checked {
    match format_among(line, "f", NOT_AMENDED) {
        Some(_) => Err(Error::Options("the options of this format cannot be changed: only those of qcow2 and luks")),
        None => Ok(()),
    }
}

fn check_bench(line: &CommandLine) -> Checked {
    let int_max = ByteSize::bytes(0x7fff_ffff);
    if ["s", "S"].iter().filter_map(|option| line.value(option)).filter_map(size).any(|size| size > int_max) {
        return Err(Error::Options("a request, and a step, has at most 2147483647 bytes"));
    }
    let depth = line.value("d").map_or(Some(64), whole_number);
    let interval = line.value("flush-interval").and_then(whole_number);
    if let (Some(depth), Some(interval)) = (depth, interval)
        && interval > 0
        && interval < depth
    {
        return Err(Error::Options(
            "the flush interval must not be smaller than the depth, which is 64 unless -d is given",
        ));
    }
    Ok(())
}

fn check_bitmap(line: &CommandLine) -> Checked {
    if let Some(granularity) = line.value("g").and_then(size)
        && granularity > ByteSize::bytes(0)
    {
        let (min, max) = (ByteSize::bytes(512), ByteSize::gib(2));
        rules::check_power_of_two("bitmap granularity", granularity, min, max)?;
    }
    match line.operands().nth(1) {
        Some(name) if name.is_empty() => Err(Error::BitmapName { name: String::new() }),
        _ => Ok(()),
    }
}

fn check_convert(line: &CommandLine) -> Checked {
    let has_backing = line.backing_name().is_some();
    if line.operands().count() > 2 {
        if line.has("l") {
            return Err(Error::Options("-l needs a single source: an image made of several has no snapshots"));
        }
        if line.has("bitmaps") {
            return Err(Error::Options("--bitmaps needs a single source: bitmaps of several cannot be joined"));
        }
        if has_backing {
            return Err(Error::Options("-B needs a single source: an image made of several has no backing file"));
        }
    }
    if line.has("F") && !has_backing && !line.has("n") {
        return Err(Error::Options("-F needs -B: there is no backing file that has this format"));
    }
    if has_backing && !line.has("n") {
        let default = Some("raw").filter(|_| !line.has("O"));
        if let Some(format) = format_among(line, "O", NO_BACKING).or(default) {
            return Err(Error::BackingUnsupported { format });
        }
    }
    if let Some(coroutines) = line.value("m").and_then(OsStr::to_str).and_then(|text| text.parse().ok()) {
        rules::check_coroutines(coroutines)?;
    }
    if let Some(size) = line.value("S").and_then(size) {
        rules::check_sparse_size(size)?;
    }
    if line.has("c") { check_compression(line, &line.create_options()) } else { Ok(()) }
}

/// 5.2 overwrites a raw image while it reads it; later ones fail to lock it. dd has no lock at all.
pub(super) fn check_not_same(reads: &[Location], writes: &[Location]) -> Checked {
    let is_written = |source: &&Location| writes.iter().any(|target| source.is_same(target));
    match reads.iter().find(is_written).and_then(Location::path) {
        Some(path) => Err(Error::SameFile { name: path.to_string_lossy().into_owned() }),
        None => Ok(()),
    }
}

fn check_compression(line: &CommandLine, options: &KeyVal) -> Checked {
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
        || node.iter().any(|(key, _)| key.ends_with("key-secret"));
    if format == "parallels" {
        return Err(Error::CompressionUnsupported { format });
    }
    let preallocated = given(options, "preallocation").is_some_and(|mode| mode != "off");
    rules::check_compression(&format, encrypted, preallocated)
}

fn check_create(line: &CommandLine) -> Checked {
    let options = line.create_options();
    let backing = line.backing_name();
    if line.has("F") && backing.is_none() {
        return Err(Error::Options("-F needs -b: there is no backing file that has this format"));
    }
    if let Some(backing) = &backing {
        if backing.is_empty() {
            return Err(Error::Options("-b needs a name: leave it out for an image without a backing file"));
        }
        if line.operands().next() == Some(backing) {
            return Err(Error::SameFile { name: backing.to_string_lossy().into_owned() });
        }
        let default = Some("raw").filter(|_| !line.has("f"));
        if let Some(format) = format_among(line, "f", NO_BACKING).or(default) {
            return Err(Error::BackingUnsupported { format });
        }
    }
    let operand = line.operands().nth(1);
    if operand.is_some() && options.get("size").is_some() {
        return Err(Error::Options("the size is given twice: as an operand and as -o size="));
    }
    let Some(given) = operand.or(options.get("size")) else {
        let is_header = options.get("detached-header").is_some_and(|value| value != "off");
        let has_size = is_header || (backing.is_some() && !line.has("u"));
        return if has_size { Ok(()) } else { Err(Error::SizeMissing) };
    };
    if let Some(reason) = wrong(ValueKind::Size, given) {
        return Err(Error::Options(reason));
    }
    match size(given) {
        Some(size) if line.value("f").is_some_and(|format| format == "qcow2") => rules::check_sectors(size),
        _ => Ok(()),
    }
}

fn check_dd(line: &CommandLine) -> Checked {
    const NAMES: &[&str] = &["if", "of", "bs", "count", "skip"];
    let is_known = |operand: &OsStr| name_and_value(operand).is_some_and(|(name, _)| NAMES.contains(&&*name));
    if !line.operands().all(is_known) {
        return Err(Error::Options("an operand of dd is one of if=, of=, bs=, count= and skip="));
    }
    if line.dd_operand("if").is_none() || line.dd_operand("of").is_none() {
        return Err(Error::Options("dd needs both if= and of="));
    }
    for name in ["bs", "count", "skip"] {
        if let Some(reason) = line.dd_operand(name).and_then(|value| wrong(ValueKind::Size, &value)) {
            return Err(Error::Options(reason));
        }
    }
    if let Some(block) = line.dd_operand("bs").and_then(|value| size(&value))
        && !(1..=0x7fff_ffff).contains(&block.as_u64())
    {
        return Err(Error::Options("a block of dd must have from 1 to 2147483647 bytes"));
    }
    Ok(())
}

fn check_measure(line: &CommandLine) -> Checked {
    let has_image = line.operands().next().is_some();
    if has_image == line.has("size") {
        return Err(Error::Options("measure needs either an image or --size, not both"));
    }
    match format_among(line, "O", NOT_MEASURED) {
        Some(format) => Err(Error::MeasureUnsupported { format }),
        None => Ok(()),
    }
}

fn check_resize(line: &CommandLine) -> Checked {
    let Some(text) = line.operands().nth(1).and_then(OsStr::to_str) else { return Ok(()) };
    let sign = text.chars().next().filter(|c| matches!(c, '+' | '-'));
    let number = if sign.is_some() { text.get(1..).unwrap_or_default() } else { text };
    if !is_size(number.as_ref()) {
        return Err(Error::Options("the size of a resize is like 10G, +1G or -1G"));
    }
    let zero = number.parse() == Ok(ByteSize::bytes(0));
    match sign {
        None if zero => Err(Error::Options("an image is not resized to 0 bytes")),
        Some('-') if line.value("preallocation").is_some_and(|mode| mode != "off") => {
            Err(Error::Options("space is allocated in advance only when an image grows: drop the preallocation"))
        }
        Some('-') if !zero && !line.has("shrink") => {
            Err(Error::Options("an image shrinks only with --shrink: what is beyond its new end is lost"))
        }
        _ => Ok(()),
    }
}
