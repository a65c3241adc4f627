//! `qimg clean`: removes what killed callers have left behind.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::prelude::*;
use qemu_exec::remove_leftovers;

use crate::{Error, own};

/// Removes them, and says which; names are quoted as a shell takes them.
pub(crate) fn text(args: impl Iterator<Item = OsString>) -> Result<String, Error> {
    let mut parser = lexopt::Parser::from_args(args);
    let (mut dry_run, mut directories) = (false, Vec::new());
    while let Some(arg) = parser.next()? {
        match arg {
            Long("dry-run") => dry_run = true,
            Value(directory) => directories.push(PathBuf::from(directory)),
            other => return Err(own::unexpected(other, "clean")),
        }
    }
    if directories.is_empty() {
        return Err("clean takes the directories to clean".into());
    }
    let said = if dry_run { "would remove" } else { "removed" };
    let mut text = String::new();
    for directory in directories {
        let removed = remove_leftovers(&directory, dry_run)
            .map_err(|error| format!("`{}` could not be cleaned: {error}", directory.display()))?;
        for path in removed {
            text.push_str(&format!("{said} {}\n", qemu_exec::cmd::shell_quote(path.as_os_str())));
        }
    }
    Ok(text)
}
