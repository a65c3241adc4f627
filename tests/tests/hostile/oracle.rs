//! What the real qemu-img says of an image, with its hands tied.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use qemu_info::inspect::{ImageFormat, Inspection, Name, Policy, Verdict};
use serde_json::Value;
use tempfile::TempDir;
use tests::hostile::image::Image;
use tests::{bare, long, qemu_img, scratch};

use crate::limits::fits;
use crate::{inspected, streamed};

/// Runs qemu-img with a gibibyte of addresses, ten seconds of CPU time and twenty of any.
pub(crate) fn bounded<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Output {
    bounded_for(20, args)
}

/// The same with so many seconds; then it ends with status 124.
pub(crate) fn bounded_for<S: AsRef<OsStr>>(seconds: u32, args: impl IntoIterator<Item = S>) -> Output {
    let mut command = Command::new("timeout");
    command.args(["-k", "1", &seconds.to_string(), "prlimit", "--as=1073741824", "--cpu=10", "--core=0"]);
    command.arg(qemu_img()).args(args).env("LC_ALL", "C").env("MALLOC_ARENA_MAX", "1");
    command.output().expect("timeout is installed")
}

/// Whether this qemu-img has a driver for the format. Some are built without the one for Parallels.
pub(crate) fn can_open(format: ImageFormat) -> bool {
    static FORMATS: OnceLock<String> = OnceLock::new();
    let help = FORMATS.get_or_init(|| String::from_utf8(bare(["--help"]).stdout).unwrap());
    let has = format.driver().is_some_and(|driver| help.split_whitespace().any(|word| word == driver));
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

/// Holds what inspection says of images that it accepts against what qemu-img says: of one in `every`, or of all.
pub(crate) struct Judge {
    path: PathBuf,
    every: usize,
    directory: TempDir,
    wrong: Vec<String>,
    /// How many were accepted.
    pub(crate) accepted: usize,
    /// How many were refused.
    pub(crate) refused: usize,
}

impl Judge {
    pub(crate) fn new(every: usize) -> Self {
        let directory = scratch();
        let path = directory.path().join("image");
        let every = if long() { 1 } else { every };
        Self { path, every, directory, wrong: Vec::new(), accepted: 0, refused: 0 }
    }

    /// Inspects an image, and says whether it is accepted.
    pub(crate) fn accepts(&mut self, what: impl FnOnce() -> String, image: &Image, policy: &Policy) -> bool {
        let found = inspected(image, policy);
        if (self.accepted + self.refused).is_multiple_of(self.every) {
            streamed(image, policy, &found);
        }
        // A process of its own takes longer than all of the above.
        if (self.accepted + self.refused).is_multiple_of(20 * self.every) {
            image.write(&self.path);
            assert!(fits(&self.path), "it takes more than 16 MiB");
        }
        if found.verdict() == Verdict::Refuse {
            self.refused += 1;
            return false;
        }
        self.accepted += 1;
        if self.accepted.is_multiple_of(self.every) && can_open(found.format()) {
            image.write(&self.path);
            let differences = match info(&self.path, found.format()) {
                Ok(info) => differences(&found, &info),
                // Its list of chunks is not looked at, and may be no list.
                Err(why) if found.format() == ImageFormat::Dmg && why.ends_with("Invalid argument") => Vec::new(),
                Err(why) => vec![why],
            };
            if !differences.is_empty() {
                self.wrong.push(format!("{}: {}", what(), differences.join(", ")));
            }
        }
        true
    }

    /// Fails if there was a difference.
    pub(crate) fn close(self) {
        assert!(self.accepted >= self.every, "qemu-img was never asked");
        assert!(self.wrong.is_empty(), "{:#?}", self.wrong);
        drop(self.directory);
    }
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
