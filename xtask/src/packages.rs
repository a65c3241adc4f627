//! The programs that the demo and the tests run, the packages they come in, and the command lines
//! that install those.

use crate::run::{self, Error};

/// A program that something here needs.
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    pub(crate) why: &'static str,
    packages: Packages,
}

/// The package of a tool for each package manager.
struct Packages {
    apt: &'static str,
    dnf: Option<&'static str>,
    zypper: Option<&'static str>,
    pacman: Option<&'static str>,
    apk: Option<&'static str>,
    /// Homebrew refuses to run as root and so has no `sudo` of its own.
    brew: Option<&'static str>,
}

/// A package of the same name for all of them.
const fn everywhere(name: &'static str) -> Packages {
    let others = Some(name);
    Packages { apt: name, dnf: others, zypper: others, pacman: others, apk: others, brew: others }
}

/// A package that only Debian and its likes have.
const fn only_apt(name: &'static str) -> Packages {
    Packages { apt: name, dnf: None, zypper: None, pacman: None, apk: None, brew: None }
}

/// Everything that the tests run; the demo makes do with the first three.
pub(crate) const TOOLS: &[Tool] = &[
    Tool {
        name: "qemu-img",
        why: "every image is made, converted and read with it",
        packages: Packages {
            apt: "qemu-utils",
            zypper: Some("qemu-tools"),
            brew: Some("qemu"),
            ..everywhere("qemu-img")
        },
    },
    Tool {
        name: "prlimit",
        why: "sets the memory and CPU limits that qemu-img runs under",
        packages: everywhere("util-linux"),
    },
    Tool {
        name: "mkfs.ext4",
        why: "puts a file system with files on a raw disk, as root or not",
        packages: everywhere("e2fsprogs"),
    },
    Tool {
        name: "sudo",
        why: "the sudo executor is tested by running qemu-img as another user",
        packages: Packages { brew: None, ..everywhere("sudo") },
    },
    Tool {
        name: "timeout",
        why: "bounds a wrapped command in time, and each test that may hang",
        packages: everywhere("coreutils"),
    },
    Tool {
        name: "mount",
        why: "a small tmpfs is how a test gets a full disk",
        packages: Packages { apt: "mount", ..everywhere("util-linux") },
    },
    Tool {
        name: "losetup",
        why: "a loop device is how a test gets a block device to convert to",
        packages: Packages { apt: "mount", ..everywhere("util-linux") },
    },
    Tool {
        name: "strace",
        why: "shows the system calls of a conversion, such as those that flush to disk",
        packages: everywhere("strace"),
    },
    Tool {
        name: "qemu-nbd",
        why: "serves an image for the tests of NBD",
        packages: Packages {
            apt: "qemu-utils",
            zypper: Some("qemu-tools"),
            brew: Some("qemu"),
            ..everywhere("qemu-img")
        },
    },
    Tool {
        name: "qemu-io",
        why: "writes to an image as a guest does, in the tests of the examples",
        packages: Packages {
            apt: "qemu-utils",
            zypper: Some("qemu-tools"),
            brew: Some("qemu"),
            ..everywhere("qemu-img")
        },
    },
    Tool {
        name: "sshd",
        why: "serves an image for the tests of SSH",
        packages: Packages {
            pacman: Some("openssh"),
            zypper: Some("openssh"),
            brew: Some("openssh"),
            ..everywhere("openssh-server")
        },
    },
    Tool {
        name: "ssh-agent",
        why: "holds the key that the tests of SSH log in with",
        packages: Packages {
            apt: "openssh-client",
            dnf: Some("openssh-clients"),
            apk: Some("openssh-client-default"),
            ..everywhere("openssh")
        },
    },
    Tool { name: "podman", why: "runs qemu-img in a container", packages: everywhere("podman") },
    Tool {
        name: "runc",
        why: "makes those containers, also where control groups of both versions are mounted",
        packages: Packages { brew: None, ..everywhere("runc") },
    },
    Tool {
        name: "systemd-run",
        why: "runs qemu-img as a service",
        packages: Packages { apk: None, brew: None, ..everywhere("systemd") },
    },
    Tool {
        name: "dbus-daemon",
        why: "carries what systemd-run asks of systemd",
        packages: Packages { dnf: Some("dbus-daemon"), zypper: Some("dbus-1-daemon"), ..everywhere("dbus") },
    },
    Tool {
        name: LINUX,
        why: "boots a systemd where there is none, as in a container",
        packages: only_apt("user-mode-linux"),
    },
];

/// A kernel that runs as a program. It is not needed where systemd runs.
pub(crate) const LINUX: &str = "linux.uml";

/// What fuzzing and measuring need besides.
pub(crate) const COMPILERS: &[Tool] = &[
    Tool {
        name: "c++",
        why: "builds libFuzzer, which drives the fuzz targets",
        packages: Packages {
            apt: "g++",
            dnf: Some("gcc-c++"),
            zypper: Some("gcc-c++"),
            pacman: Some("gcc"),
            apk: Some("g++"),
            brew: Some("gcc"),
        },
    },
    Tool { name: "cc", why: "builds the program in C that spawning is measured against", packages: everywhere("gcc") },
];

/// A package manager that we know how to drive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manager {
    Apt,
    Dnf,
    Zypper,
    Pacman,
    Apk,
    Brew,
}

impl Manager {
    /// All of them; the first that is installed is used, so Homebrew comes after the system's own.
    pub(crate) const ALL: [Self; 6] = [Self::Apt, Self::Dnf, Self::Zypper, Self::Pacman, Self::Apk, Self::Brew];

    /// The one that this system has, if we know it.
    pub(crate) fn of_this_system() -> Option<Self> {
        Self::ALL.into_iter().find(|manager| run::find_program(manager.program()).is_some())
    }

    /// The program to look for.
    pub(crate) fn program(self) -> &'static str {
        match self {
            Self::Apt => "apt-get",
            Self::Dnf => "dnf",
            Self::Zypper => "zypper",
            Self::Pacman => "pacman",
            Self::Apk => "apk",
            Self::Brew => "brew",
        }
    }

    /// The package that a tool comes in.
    fn package(self, tool: &Tool) -> Option<&'static str> {
        let packages = &tool.packages;
        match self {
            Self::Apt => Some(packages.apt),
            Self::Dnf => packages.dnf,
            Self::Zypper => packages.zypper,
            Self::Pacman => packages.pacman,
            Self::Apk => packages.apk,
            Self::Brew => packages.brew,
        }
    }

    /// What must run first on a fresh system, where there are no package lists yet.
    fn refresh(self) -> Option<&'static [&'static str]> {
        // The others fetch their lists when they install. Not so pacman, where fetching them
        // without upgrading the whole system breaks it in the end, and such an upgrade is not ours
        // to start.
        (self == Self::Apt).then_some(&["apt-get", "update"])
    }

    /// What installs packages with no questions asked.
    fn install(self) -> &'static [&'static str] {
        match self {
            // `env` because sudo drops the variable from our own environment; the lock because a
            // fresh Ubuntu spends its first minutes on automatic upgrades.
            Self::Apt => &[
                "env",
                "DEBIAN_FRONTEND=noninteractive",
                "apt-get",
                "-o",
                "DPkg::Lock::Timeout=300",
                "install",
                "-y",
                "--no-install-recommends",
                "--no-remove",
            ],
            Self::Dnf => &["dnf", "install", "-y"],
            Self::Zypper => &["zypper", "--non-interactive", "install", "--no-recommends"],
            Self::Pacman => &["pacman", "-S", "--needed", "--noconfirm"],
            Self::Apk => &["apk", "add", "--no-cache"],
            Self::Brew => &["brew", "install"],
        }
    }
}

/// How we come by the right to install packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Privilege {
    /// As we are: root already, or a package manager that wants none.
    Direct,
    /// Through sudo, which may ask for a password on the terminal.
    SudoAsks,
    /// Through sudo that must not ask, as nobody is there to answer.
    SudoSilent,
}

impl Privilege {
    /// What goes before a command.
    fn prefix(self) -> &'static [&'static str] {
        match self {
            Self::Direct => &[],
            Self::SudoAsks => &["sudo"],
            Self::SudoSilent => &["sudo", "-n"],
        }
    }
}

/// The packages of these tools, each once.
pub(crate) fn packages(manager: Manager, tools: &[&Tool]) -> Result<Vec<&'static str>, Error> {
    let mut packages = Vec::new();
    for tool in tools {
        let package = manager.package(tool).ok_or_else(|| {
            Error::Other(format!(
                "`{}` is missing and {} has no package of it; install it by hand",
                tool.name,
                manager.program()
            ))
        })?;
        if !packages.contains(&package) {
            packages.push(package);
        }
    }
    Ok(packages)
}

/// The command lines that install these packages: what refreshes the package lists, if anything
/// must, and what installs.
pub(crate) fn command_lines(
    manager: Manager,
    privilege: Privilege,
    packages: &[&'static str],
) -> (Option<Vec<&'static str>>, Vec<&'static str>) {
    let prefix = privilege.prefix();
    let refresh = manager.refresh().map(|words| [prefix, words].concat());
    (refresh, [prefix, manager.install(), packages].concat())
}

/// The same on one line, to paste into a shell.
pub(crate) fn by_hand(manager: Manager, privilege: Privilege, packages: &[&'static str]) -> String {
    let (refresh, install) = command_lines(manager, privilege, packages);
    let lines: Vec<String> = refresh.into_iter().chain([install]).map(|words| words.join(" ")).collect();
    format!("`{}`", lines.join(" && "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tools(names: &[&str]) -> Vec<&'static Tool> {
        TOOLS.iter().filter(|tool| names.contains(&tool.name)).collect()
    }

    #[test]
    fn every_manager_has_a_package_for_every_tool() {
        for tool in TOOLS.iter().chain(COMPILERS) {
            assert!(!tool.why.is_empty(), "{}", tool.name);
            for manager in Manager::ALL {
                match manager.package(tool) {
                    Some(package) => assert!(!package.is_empty(), "{} {manager:?}", tool.name),
                    None => {
                        let systemd = ["systemd-run", LINUX].contains(&tool.name);
                        let brew = manager == Manager::Brew && ["sudo", "runc"].contains(&tool.name);
                        assert!(brew || (systemd && manager != Manager::Apt), "{} {manager:?}", tool.name);
                    }
                }
            }
        }
    }

    #[test]
    fn a_package_of_two_tools_is_installed_once() {
        assert_eq!(
            packages(Manager::Dnf, &tools(&["prlimit", "mount", "strace"])).ok(),
            Some(vec!["util-linux", "strace"])
        );
        assert_eq!(packages(Manager::Apt, &tools(&["mount", "losetup"])).ok(), Some(vec!["mount"]));
    }

    #[test]
    fn a_tool_without_a_package_is_named() {
        let error = packages(Manager::Brew, &tools(&["sudo"])).map_err(|error| error.to_string());
        assert_eq!(error, Err("`sudo` is missing and brew has no package of it; install it by hand".to_owned()));
    }

    #[test]
    fn command_lines_per_manager() {
        let line = |manager, privilege| {
            by_hand(manager, privilege, &packages(manager, &tools(&["qemu-img"])).unwrap_or_default())
        };
        assert_eq!(
            line(Manager::Apt, Privilege::SudoSilent),
            "`sudo -n apt-get update && sudo -n env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 \
             install -y --no-install-recommends --no-remove qemu-utils`"
        );
        assert_eq!(line(Manager::Dnf, Privilege::Direct), "`dnf install -y qemu-img`");
        assert_eq!(
            line(Manager::Zypper, Privilege::SudoAsks),
            "`sudo zypper --non-interactive install --no-recommends qemu-tools`"
        );
        assert_eq!(line(Manager::Pacman, Privilege::SudoAsks), "`sudo pacman -S --needed --noconfirm qemu-img`");
        assert_eq!(line(Manager::Apk, Privilege::Direct), "`apk add --no-cache qemu-img`");
        assert_eq!(line(Manager::Brew, Privilege::Direct), "`brew install qemu`");
    }
}
