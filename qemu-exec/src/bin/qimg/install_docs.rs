//! `qimg install-docs`: the manual page and the completions, where shells and man(1) look for them.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use lexopt::prelude::*;
use qemu_exec::cmd::shell_quote;

use crate::{Error, completions, man, own};

/// Where each file goes below a directory such as `/usr/local/share`, by what makes it.
const FILES: &[(&str, &str)] = &[
    ("man", "man/man1/qimg.1"),
    ("bash", "bash-completion/completions/qimg"),
    ("zsh", "zsh/site-functions/_qimg"),
    ("fish", "fish/vendor_completions.d/qimg.fish"),
];

/// Writes them, and says where; names are quoted as a shell takes them.
pub(crate) fn text(args: impl Iterator<Item = OsString>) -> Result<String, Error> {
    let mut parser = lexopt::Parser::from_args(args);
    let (mut prefix, mut user, mut dry_run) = (None, false, false);
    while let Some(arg) = parser.next()? {
        match arg {
            Long("prefix") => prefix = Some(PathBuf::from(parser.value()?)),
            Long("user") => user = true,
            Long("dry-run") => dry_run = true,
            other => return Err(own::unexpected(other, "install-docs")),
        }
    }
    let share = match prefix {
        Some(_) if user => return Err("install-docs takes --prefix or --user, and not both".into()),
        Some(prefix) => prefix.join("share"),
        None if !user && rustix::process::geteuid().is_root() => PathBuf::from("/usr/local/share"),
        None => data_home()?,
    };
    let mut text = String::new();
    for (kind, place) in FILES {
        let path = share.join(place);
        let content = completions::script(kind).unwrap_or_else(man::text);
        if !dry_run {
            write(&path, &content).map_err(|error| format!("`{}` could not be written: {error}", path.display()))?;
        }
        let said = if dry_run { "would write" } else { "wrote" };
        text.push_str(&format!("{said} {}\n", shell_quote(path.as_os_str())));
    }
    if !share.starts_with("/usr") {
        let functions = shell_quote(share.join("zsh/site-functions").as_os_str());
        text.push_str(&format!(
            "zsh finds its file with this in .zshrc, before compinit: fpath=({functions} $fpath)\n"
        ));
    }
    Ok(text)
}

/// A user's own `share`.
fn data_home() -> Result<PathBuf, Error> {
    let set = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || set("HOME").map(|home| home.join(".local/share"));
    set("XDG_DATA_HOME").or_else(home).ok_or_else(|| "there is no HOME: say where with --prefix DIR".into())
}

/// A reader sees the old file or the new one.
fn write(path: &Path, content: &str) -> std::io::Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let new = path.with_extension(format!("new-{}", std::process::id()));
    fs::write(&new, content)?;
    fs::rename(&new, path).inspect_err(|_| drop(fs::remove_file(&new)))
}
