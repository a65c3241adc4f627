//! A directory for images: whether it can be written, past the page cache too, and what room there is.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use qemu_exec::{direct_io_works, remove_leftovers};
use rustix::fs::{Access, access, statvfs};
use serde_json::{Value, json};

use super::{Found, State};
use crate::term::size;

/// File systems that are gone with the power.
const IN_MEMORY: &[&str] = &["tmpfs", "ramfs"];

/// Below this it is said that there is little room.
const LITTLE: u64 = 1 << 30;

pub(super) fn look(directory: &Path) -> Vec<Found> {
    let shown = directory.display();
    let whole = match fs::canonicalize(directory) {
        Ok(whole) if whole.is_dir() => whole,
        Ok(_) => return vec![Found::new("directory", State::Bad, format!("{shown} is not a directory"))],
        Err(error) => {
            let missing = Found::new("directory", State::Bad, format!("{shown}: {error}"));
            return vec![missing.remedy("name the directory that images are to be in")];
        }
    };
    let kind = file_system(&whole).unwrap_or_else(|| "unknown".to_owned());
    let mut found = vec![space(&whole, &kind)];
    if access(&whole, Access::WRITE_OK | Access::EXEC_OK).is_err() {
        let not = Found::new("write", State::Note, format!("{} cannot be written by us", whole.display()));
        found.push(
            not.remedy("images are made there with `qimg --sudo`, or by its owner").values(json!({"writable": false})),
        );
        return found;
    }
    found.push(direct(&whole, &kind));
    found.extend(leftovers(&whole));
    found
}

fn space(directory: &Path, kind: &str) -> Found {
    let shown = directory.display();
    let (free, all) = match statvfs(directory) {
        Ok(stat) => (stat.f_bavail.saturating_mul(stat.f_frsize), stat.f_blocks.saturating_mul(stat.f_frsize)),
        Err(error) => return Found::new("directory", State::Note, format!("{shown} ({kind}): {error}")),
    };
    let values = json!({"path": directory.to_string_lossy(), "file_system": kind, "free": free, "size": all});
    let found = Found::new("directory", State::Good, format!("{shown} ({kind}): {} of {} free", size(free), size(all)));
    let found = found.values(values);
    if IN_MEMORY.contains(&kind) {
        Found { state: State::Note, ..found }
            .remedy("images there take memory, and are gone after a restart: name another")
    } else if free < LITTLE {
        Found { state: State::Note, ..found }
            .remedy("make room, or name another; `qemu-img measure` says what an image needs")
    } else {
        found
    }
}

fn direct(directory: &Path, kind: &str) -> Found {
    let values = |works: Value| json!({"direct_io": works});
    match direct_io_works(directory) {
        Ok(true) => Found::new("O_DIRECT", State::Good, "works: converts are written past the page cache (-t none)")
            .values(values(true.into())),
        Ok(false) => Found::new("O_DIRECT", State::Note, format!("does not work on {kind}"))
            .remedy("nothing is to be done: -t writeback is used, and is on disk as surely when qimg returns")
            .values(values(false.into())),
        Err(error) => Found::new("O_DIRECT", State::Bad, format!("a test file could not be written: {error}"))
            .remedy("make room, or name another directory")
            .values(values(Value::Null)),
    }
}

/// What killed commands have left.
fn leftovers(directory: &Path) -> Option<Found> {
    let left = remove_leftovers(directory, true).ok().filter(|left| !left.is_empty())?;
    let taken: u64 = left.iter().filter_map(|path| path.metadata().ok()).map(|meta| meta.blocks() * 512).sum();
    let text = format!(
        "{} unfinished image{} of killed commands, {}",
        left.len(),
        if left.len() == 1 { "" } else { "s" },
        size(taken)
    );
    let found = Found::new("leftovers", State::Note, text).values(json!({"count": left.len(), "bytes": taken}));
    Some(found.remedy(format!("`qimg clean {}` removes them", qemu_exec::cmd::shell_quote(directory.as_os_str()))))
}

/// The kind of file system that a path is on: that of the longest mount point that it is below.
fn file_system(path: &Path) -> Option<String> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let mounts = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        // What would separate words is written in octal.
        let place = words.next()?.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\");
        path.starts_with(&place).then(|| (place.len(), words.next().unwrap_or_default().to_owned()))
    });
    // Of two at one place, the later one is seen.
    mounts.max_by_key(|(length, _)| *length).map(|(_, kind)| kind)
}
