//! What the real qemu-img says of an image, with its hands tied.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::OnceLock;

use qemu_info::inspect::{ImageFormat, Inspection, Name};
use serde_json::Value;
use tests::{bare, qemu_img};

/// A tool that is always there bounds what it may use: a gibibyte, and ten seconds.
pub(crate) fn bounded<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>) -> Output {
    let bounds = ["-k", "1", "20", "prlimit", "--as=1073741824", "--cpu=10", "--core=0"];
    let mut command = Command::new("timeout");
    command.args(bounds).arg(qemu_img()).args(args).env("LC_ALL", "C").env("MALLOC_ARENA_MAX", "1");
    command.output().expect("timeout is installed")
}

/// Whether this qemu-img has a driver for the format. Some are built without the one for Parallels.
pub(crate) fn can_open(format: ImageFormat) -> bool {
    static FORMATS: OnceLock<String> = OnceLock::new();
    let help = FORMATS.get_or_init(|| String::from_utf8(bare(["--help"]).stdout).unwrap());
    let (_, formats) = help.split_once("Supported formats:").unwrap();
    let has = format.driver().is_some_and(|driver| formats.split_whitespace().any(|name| name == driver));
    assert!(has || matches!(format, ImageFormat::Parallels | ImageFormat::Luks2), "no driver for {format}");
    has
}

/// What `qemu-img info` says, or why it does not.
pub(crate) fn info(path: &Path, format: ImageFormat) -> Result<Value, String> {
    let driver = format.driver().ok_or("there is no driver for it")?;
    let output = bounded(["info", "--output=json", "-f", driver, path.to_str().unwrap()]);
    if !output.status.success() {
        return Err(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim_end()));
    }
    Ok(serde_json::from_slice(&output.stdout).unwrap())
}

/// In what inspection and qemu-img differ about an image.
pub(crate) fn differences(found: &Inspection, info: &Value) -> Vec<String> {
    let facts = found.facts();
    let text = |name: &Option<Name>| name.as_ref().map_or(Value::Null, |name| name.to_string().into());
    let number = |number: Option<u64>| number.map_or(Value::Null, Value::from);
    let data = &info["format-specific"]["data"];
    let mut pairs = vec![
        ("virtual size", number(found.virtual_size()), &info["virtual-size"]),
        ("backing file", text(&facts.backing_file), &info["backing-filename"]),
        ("backing format", text(&facts.backing_format), &info["backing-filename-format"]),
        ("encrypted", facts.encryption.is_some().into(), &info["encrypted"]),
    ];
    if found.format() == ImageFormat::Qcow2 {
        pairs.push(("dirty", facts.dirty.into(), &info["dirty-flag"]));
        pairs.push(("corrupt", facts.corrupt.into(), &data["corrupt"]));
        pairs.push(("data file", text(&facts.data_file), &data["data-file"]));
    }
    if !info["cluster-size"].is_null() {
        pairs.push(("cluster size", number(facts.cluster_size), &info["cluster-size"]));
    }
    // What is false may be left out.
    let same = |ours: &Value, theirs: &Value| ours == theirs || (*ours == Value::Bool(false) && theirs.is_null());
    let differs = |(what, ours, theirs): (&str, Value, &Value)| {
        (!same(&ours, theirs)).then(|| format!("{what}: {ours}, and qemu-img says {theirs}"))
    };
    pairs.into_iter().filter_map(differs).collect()
}
