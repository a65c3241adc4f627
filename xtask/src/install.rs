//! Installing what is missing, or saying how a person can.

use std::env;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::process::Command;

use crate::packages::{COMPILERS, LINUX, Manager, Privilege, TOOLS, Tool, by_hand, command_lines, packages};
use crate::run::{self, Error};

/// Makes sure that the tools of these names are installed, and says before it installs any. A
/// `QEMU_IMG` in the environment stands in for `qemu-img`.
pub(crate) fn ensure(names: &[&str]) -> Result<(), Error> {
    let own_qemu_img = qemu_img_override()?;
    let wanted = TOOLS.iter().chain(COMPILERS).filter(|tool| names.contains(&tool.name));
    let systemd_runs = Path::new("/run/systemd/system").exists();
    let stands_in = |tool: &Tool| (own_qemu_img && tool.name == "qemu-img") || (systemd_runs && tool.name == LINUX);
    let missing: Vec<&Tool> =
        wanted.filter(|tool| !stands_in(tool) && run::find_program(tool.name).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    for tool in &missing {
        eprintln!("missing: `{}`: {}", tool.name, tool.why);
    }
    install(&missing)?;
    let still_missing: Vec<&Tool> = missing.into_iter().filter(|tool| run::find_program(tool.name).is_none()).collect();
    if still_missing.is_empty() {
        return Ok(());
    }
    Err(Error::Other(format!(
        "the packages are installed, yet {} cannot be found; install by hand and see that `PATH` leads there",
        listed(&still_missing)
    )))
}

/// Whether the user brings an own `qemu-img`; a wrong one is an error here rather than in every
/// test.
fn qemu_img_override() -> Result<bool, Error> {
    let Some(path) = env::var_os("QEMU_IMG").filter(|path| !path.is_empty()) else {
        return Ok(false);
    };
    let path = Path::new(&path);
    // Tests run in the directory of their package, where a relative path would lead elsewhere.
    if path.is_absolute() && run::is_executable(path) {
        return Ok(true);
    }
    Err(Error::Other(format!(
        "`QEMU_IMG={}` is not the absolute path of a program; correct it, or unset it to use the system's qemu-img",
        path.display()
    )))
}

/// Installs the packages of these tools, or says what a person can run instead.
fn install(missing: &[&Tool]) -> Result<(), Error> {
    let Some(manager) = Manager::of_this_system() else {
        return Err(no_manager(missing));
    };
    let packages = packages(manager, missing)?;
    let privilege = privilege(manager).map_err(|(reason, privilege)| {
        let line = by_hand(manager, privilege, &packages);
        Error::Other(format!("cannot install {}: {reason}: {line}", listed(missing)))
    })?;
    let by_hand = by_hand(manager, privilege, &packages);
    eprintln!("installing {} with {}: {by_hand}", packages.join(", "), manager.program());

    let (refresh, install) = command_lines(manager, privilege, &packages);
    if let Some(refresh) = refresh
        && let Err(error) = run::run(&mut command(&refresh))
    {
        // One unreachable third-party source is enough to fail it, and the lists that are there
        // often suffice.
        eprintln!("warning: {error}; going on with the package lists as they are");
    }
    run::run(&mut command(&install)).map_err(|error| {
        Error::Other(format!(
            "cannot install {}: {error}; run by hand, with the right to install: {by_hand}",
            listed(missing)
        ))
    })
}

/// How we may install with this package manager, or why we may not, with how a person may.
fn privilege(manager: Manager) -> Result<Privilege, (&'static str, Privilege)> {
    if manager == Manager::Brew || is_root() {
        Ok(Privilege::Direct)
    } else if run::find_program("sudo").is_none() {
        Err(("you are not root and there is no `sudo`; run as root", Privilege::Direct))
    } else if io::stdin().is_terminal() {
        Ok(Privilege::SudoAsks)
    } else if run::succeeds(Command::new("sudo").args(["-n", "true"])) {
        Ok(Privilege::SudoSilent)
    } else {
        let reason = "`sudo` wants a password and nobody is at a terminal to ask; run on one";
        Err((reason, Privilege::SudoAsks))
    }
}

/// Whether we are root, as `id` says: std has no call for it.
pub(crate) fn is_root() -> bool {
    run::output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}

/// A command from its words.
fn command(words: &[&str]) -> Command {
    let mut words = words.iter();
    let mut command = Command::new(words.next().unwrap_or(&""));
    command.args(words);
    command
}

/// What to say where no package manager is known.
fn no_manager(missing: &[&Tool]) -> Error {
    let managers: Vec<&str> = Manager::ALL.into_iter().map(Manager::program).collect();
    let names = packages(Manager::Apt, missing).unwrap_or_default();
    Error::Other(format!(
        "cannot install {}: no package manager that we know is here ({}); install by hand (Debian has them as: {})",
        listed(missing),
        managers.join(", "),
        names.join(", ")
    ))
}

/// The names of tools, in backticks.
fn listed(tools: &[&Tool]) -> String {
    tools.iter().map(|tool| format!("`{}`", tool.name)).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_manager_everything_missing_is_named() {
        let missing = TOOLS.iter().filter(|tool| ["qemu-img", "mount", "losetup"].contains(&tool.name));
        let message = no_manager(&missing.collect::<Vec<_>>()).to_string();
        assert!(message.contains("`qemu-img`, `mount`, `losetup`"), "{message}");
        assert!(message.contains("qemu-utils, mount)"), "{message}");
    }
}
