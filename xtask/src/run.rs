//! Running a command: show it first, and say what became of it if it failed.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

/// Why a developer command did not do its work.
#[derive(Debug)]
pub(crate) enum Error {
    /// The arguments make no sense; the usage follows.
    Usage(String),
    /// A program could not be started.
    Start { command: String, source: io::Error },
    /// A program ran and failed.
    Failed { command: String, status: ExitStatus },
    /// A step of `ci` failed.
    Step { name: &'static str, source: Box<Error> },
    /// Anything else, said in full.
    Other(String),
}

impl Error {
    /// The exit code that tells a caller the same: a program's own where there is one, as a shell
    /// would give it.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Start { .. } => 127,
            Self::Failed { status, .. } => {
                let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
                code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
            }
            Self::Step { source, .. } => source.exit_code(),
            Self::Other(_) => 1,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(message) | Self::Other(message) => f.write_str(message),
            Self::Start { command, source } => write!(f, "cannot start `{command}`: {source}"),
            Self::Failed { command, status } => write!(f, "`{command}` failed: {status}"),
            Self::Step { name, source } => write!(f, "step `{name}`: {source}"),
        }
    }
}

/// Shows a command as a shell would take it, runs it on our own stdin, stdout and stderr, and fails
/// if it does.
pub(crate) fn run(command: &mut Command) -> Result<(), Error> {
    let line = line(command);
    eprintln!("$ {line}");
    match prepare(command).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Error::Failed { command: line, status }),
        Err(source) => Err(Error::Start { command: line, source }),
    }
}

/// The stdout of a command that is no more than a question, so it is not shown.
pub(crate) fn output(command: &mut Command) -> Result<String, Error> {
    let line = line(command);
    match prepare(command).stdin(Stdio::null()).stderr(Stdio::inherit()).output() {
        Ok(output) if output.status.success() => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        Ok(output) => Err(Error::Failed { command: line, status: output.status }),
        Err(source) => Err(Error::Start { command: line, source }),
    }
}

/// Whether a command runs and succeeds, with nothing to see of it.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    let command = prepare(command).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// The cargo that runs us, so that `cargo +nightly xtask` stays on nightly.
pub(crate) fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Where cargo builds.
pub(crate) fn target_directory() -> Result<PathBuf, Error> {
    let manifest = output(cargo().args(["locate-project", "--workspace", "--message-format=plain"]))?;
    let root = Path::new(manifest.trim()).parent().map(Path::to_owned).unwrap_or_default();
    Ok(root.join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into())))
}

/// Where a program of that name is, if it is installed.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    env::split_paths(&search_path()).map(|directory| directory.join(name)).find(|path| is_executable(path))
}

/// Whether a path leads to a file that may be executed by someone.
pub(crate) fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// Gives a command the search path that `find_program` uses, or it would not find what that has
/// found.
fn prepare(command: &mut Command) -> &mut Command {
    command.env("PATH", search_path())
}

/// `PATH`, and after it the directories of `mkfs.ext4` and `losetup`, which Debian leaves out of a
/// user's own.
fn search_path() -> OsString {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut directories: Vec<PathBuf> = env::split_paths(&path).filter(|path| !path.as_os_str().is_empty()).collect();
    for directory in ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from) {
        if !directories.contains(&directory) {
            directories.push(directory);
        }
    }
    // Joining fails only for a directory with a colon in its name, and ours came from splitting at
    // colons.
    env::join_paths(directories).unwrap_or(path)
}

/// A command as one types it: what it adds to the environment, the program's name, its arguments.
pub(crate) fn line(command: &Command) -> String {
    let environment = command.get_envs().filter_map(|(name, value)| {
        let value = value.filter(|_| name != "PATH")?;
        Some(format!("{}={}", name.display(), quote(value)))
    });
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    environment.chain([quote(program)]).chain(command.get_args().map(quote)).collect::<Vec<_>>().join(" ")
}

/// A word for a POSIX shell.
fn quote(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_can_be_pasted_into_a_shell() {
        let mut command = Command::new("/opt/rust/bin/cargo");
        command.args(["doc", "--no-deps", "it's", ""]).env("RUSTDOCFLAGS", "-D warnings").env("PATH", "/bin");
        assert_eq!(line(&command), r"RUSTDOCFLAGS='-D warnings' cargo doc --no-deps 'it'\''s' ''");
    }

    #[test]
    fn exit_codes_are_passed_on() {
        let failed = |status| Error::Failed { command: String::new(), status: ExitStatus::from_raw(status) };
        assert_eq!(failed(3 << 8).exit_code(), 3);
        assert_eq!(failed(9).exit_code(), 137, "killed");
        assert_eq!(Error::Step { name: "test", source: Box::new(failed(101 << 8)) }.exit_code(), 101);
        assert_eq!(Error::Usage(String::new()).exit_code(), 2);
    }

    #[test]
    fn sbin_is_searched_too() {
        let directories: Vec<PathBuf> = env::split_paths(&search_path()).collect();
        assert!(directories.contains(&PathBuf::from("/usr/sbin")), "{directories:?}");
    }
}
