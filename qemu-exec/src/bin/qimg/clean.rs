//! `qimg clean`: removes what killed callers have left behind.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use lexopt::prelude::*;
use qemu_exec::cmd::shell_quote;
use qemu_exec::remove_leftovers;

use crate::{Error, REFUSED, complain, own};

/// What `qimg clean` was asked to do.
pub(crate) struct Clean {
    dry_run: bool,
    directories: Vec<PathBuf>,
}

pub(crate) fn parse(args: impl Iterator<Item = OsString>) -> Result<Clean, Error> {
    let mut parser = lexopt::Parser::from_args(args);
    let mut clean = Clean { dry_run: false, directories: Vec::new() };
    while let Some(arg) = parser.next()? {
        match arg {
            Long("dry-run") => clean.dry_run = true,
            Value(directory) => clean.directories.push(PathBuf::from(directory)),
            other => return Err(own::unexpected(other, "clean")),
        }
    }
    if clean.directories.is_empty() {
        return Err("clean takes the directories to clean".into());
    }
    Ok(clean)
}

impl Clean {
    /// Removes them, and says which, with names as a shell takes them; goes on when a directory cannot be cleaned.
    pub(crate) fn run(&self) -> Result<ExitCode, Error> {
        let said = if self.dry_run { "would remove" } else { "removed" };
        let mut code = ExitCode::SUCCESS;
        for directory in &self.directories {
            match remove_leftovers(directory, self.dry_run) {
                Ok(removed) => {
                    for path in removed {
                        writeln!(io::stdout(), "{said} {}", shell_quote(path.as_os_str()))?;
                    }
                }
                Err(error) => {
                    code = ExitCode::from(REFUSED);
                    let error = format!("`{}` could not be cleaned: {error}", directory.display());
                    complain(&*Error::from(error));
                }
            }
        }
        Ok(code)
    }
}
