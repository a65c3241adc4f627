//! Finding programs.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rustix::fs::{Access, access};

use crate::{Error, ErrorKind};

/// A program that is looked up once, when it is first needed.
#[derive(Debug)]
pub(crate) struct Program {
    name: PathBuf,
    found: OnceLock<PathBuf>,
}

impl Program {
    /// A path is of today's working directory, whenever it is looked up.
    pub(crate) fn new(name: impl Into<PathBuf>) -> Self {
        let name = name.into();
        let is_path = name.components().count() > 1 || name.starts_with(".");
        let name = if is_path { std::path::absolute(&name).unwrap_or(name) } else { name };
        Self { name, found: OnceLock::new() }
    }

    /// The absolute path.
    pub(crate) fn resolve(&self) -> Result<&Path, Error> {
        if self.found.get().is_none() {
            let path = find(&self.name).ok_or_else(|| missing(&self.name))?;
            // Another thread may have been faster, with the same result.
            let _ = self.found.set(path);
        }
        Ok(self.path())
    }

    /// The absolute path, or the bare name of a program that is not here.
    pub(crate) fn path(&self) -> &Path {
        self.found.get().unwrap_or(&self.name)
    }
}

fn find(name: &Path) -> Option<PathBuf> {
    let executable = |path: &PathBuf| path.is_file() && access(path, Access::EXEC_OK).is_ok();
    if name.components().count() > 1 || name.has_root() {
        return std::path::absolute(name).ok().filter(executable);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    // A service may have no PATH, and a user's may lack the directories of system programs.
    let standard = ["/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    let directories = std::env::split_paths(&path).filter(|directory| directory.is_absolute()).chain(standard);
    directories.map(|directory| directory.join(name)).find(executable)
}

fn missing(name: &Path) -> Error {
    let hint = if name.components().count() > 1 || name.has_root() {
        format!(
            "there is no executable file `{}`: give another path, or a name that is looked up in PATH",
            name.display()
        )
    } else {
        let program = name.as_os_str();
        let package = os_ids().iter().find_map(|id| package(program, id)).or_else(|| package(program, ""));
        match package {
            Some(package) => format!("`{}` was not found: install the package {package}", name.display()),
            None => format!("`{}` was not found", name.display()),
        }
    };
    Error::new(ErrorKind::ProgramMissing).message(hint).path(name)
}

/// The package of a program, by the `ID` of os-release(5).
fn package(program: &OsStr, id: &str) -> Option<&'static str> {
    Some(match (program.to_str()?, id) {
        ("qemu-img", "debian" | "ubuntu") => "qemu-utils",
        ("qemu-img", "fedora" | "rhel" | "centos" | "arch" | "alpine") => "qemu-img",
        ("qemu-img", "suse" | "opensuse") => "qemu-tools",
        ("qemu-img", "") => "qemu-utils (Debian, Ubuntu), qemu-img (Fedora, Arch, Alpine) or qemu-tools (SUSE)",
        ("prlimit", _) => "util-linux",
        ("timeout" | "env", _) => "coreutils",
        ("sudo", _) => "sudo",
        _ => return None,
    })
}

/// `ID` and `ID_LIKE` of os-release(5).
fn os_ids() -> Vec<String> {
    let text = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let values = ["ID=", "ID_LIKE="].into_iter().filter_map(|key| text.lines().find_map(|line| line.strip_prefix(key)));
    values.flat_map(|value| value.trim_matches('"').split_whitespace()).map(str::to_owned).collect()
}
