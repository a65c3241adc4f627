//! The machine: what commands through sudo, secrets, limits and control groups need of it.

use std::fs;
use std::path::{Path, PathBuf};

use qemu_exec::{ErrorKind, QemuImg, SudoExecutor};
use rustix::fs::{Access, access};
use rustix::process::{Resource, getrlimit};
use serde_json::json;

use super::{Found, State};
use crate::term::size;

pub(super) fn look(qemu_img: &Path) -> Vec<Found> {
    vec![proc(), sudo(qemu_img), limits(), cgroups()]
}

/// What a secret or an open image is handed over by.
fn proc() -> Found {
    match fs::metadata("/proc/self/fd") {
        Ok(_) => {
            Found::new("proc", State::Good, "/proc is mounted: images and secrets can be handed over by descriptor")
        }
        Err(error) => Found::new("proc", State::Bad, format!("/proc/self/fd: {error}"))
            .remedy("mount it: `mount -t proc proc /proc`; import and secrets need it"),
    }
}

fn sudo(qemu_img: &Path) -> Found {
    match QemuImg::new(SudoExecutor::with_program(qemu_img)).qemu_version() {
        Ok(_) => Found::new("sudo", State::Good, "qemu-img runs through sudo -n as root"),
        Err(error) if error.kind() == ErrorKind::ProgramMissing => {
            let found = Found::new("sudo", State::Note, crate::one_line(&error));
            let is_sudo = error.subject().is_some_and(|program| program.ends_with("sudo"));
            if is_sudo { found.remedy("only `qimg --sudo` needs it: install sudo") } else { found }
        }
        Err(error) => Found::new("sudo", State::Note, crate::one_line(&error))
            .remedy("only `qimg --sudo` needs it: a rule with NOPASSWD in sudoers(5), or `sudo -v` before"),
    }
}

/// Limits of our own that qemu-img inherits.
fn limits() -> Found {
    let own = |resource| getrlimit(resource).current;
    let of = [
        ("address space", "-v", own(Resource::As), 1 << 30, true),
        ("file size", "-f", own(Resource::Fsize), u64::MAX, true),
        ("open files", "-n", own(Resource::Nofile), 64, false),
        ("processes", "-u", own(Resource::Nproc), 64, false),
    ];
    let text = |value: u64, bytes: bool| if bytes { size(value) } else { value.to_string() };
    let values = json!({"address_space": of[0].2, "file_size": of[1].2, "open_files": of[2].2, "processes": of[3].2});
    let low = of.iter().filter_map(|(name, option, value, least, bytes)| {
        let value = (*value).filter(|value| value < least)?;
        Some((format!("{name} {}", text(value, *bytes)), *option))
    });
    let (low, options): (Vec<_>, Vec<_>) = low.unzip();
    if low.is_empty() {
        return Found::new("limits", State::Good, "none of ours is in qemu-img's way").values(values);
    }
    Found::new("limits", State::Note, format!("ours are low, and qemu-img inherits them: {}", low.join(", ")))
        .remedy(format!("raise them where the shell or the service sets them (ulimit {})", options.join(" ")))
        .values(values)
}

/// Whether groups of our own can be made, in which what runs is bounded by what it really uses.
fn cgroups() -> Found {
    let delegate = "only control groups need it: run in `systemd-run --user --scope -p Delegate=yes …`, or a service with Delegate=yes";
    let Some(mount) = mount_of_cgroup2() else {
        return Found::new("cgroups", State::Note, "version 2 is not mounted here")
            .remedy("only control groups need it: boot with systemd.unified_cgroup_hierarchy=1, or mount cgroup2")
            .values(json!({"mounted": false, "delegated": false}));
    };
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own = own.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default().to_owned();
    let group = if own.is_empty() { mount } else { mount.join(own) };
    let controllers = fs::read_to_string(group.join("cgroup.controllers")).unwrap_or_default();
    let controllers: Vec<&str> = controllers.split_whitespace().collect();
    let writable = |path: &Path| access(path, Access::WRITE_OK).is_ok();
    let delegated = writable(&group) && writable(&group.join("cgroup.subtree_control"));
    let values =
        json!({"mounted": true, "group": group.to_string_lossy(), "delegated": delegated, "controllers": controllers});
    let named = group.display();
    match (delegated, controllers.contains(&"memory")) {
        (true, true) => Found::new("cgroups", State::Good, format!("{named} is ours, with {}", controllers.join(" "))),
        (true, false) => Found::new("cgroups", State::Note, format!("{named} is ours, without memory")).remedy(
            "only control groups need it: enable memory in the group above, or boot with \
             systemd.unified_cgroup_hierarchy=1",
        ),
        (false, _) => Found::new("cgroups", State::Note, format!("{named} is not ours")).remedy(delegate),
    }
    .values(values)
}

/// Where the file system of control groups is.
fn mount_of_cgroup2() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let place = |line: &str| {
        let mut words = line.split(' ').skip(1);
        let place = words.next()?.to_owned();
        (words.next() == Some("cgroup2")).then(|| PathBuf::from(place))
    };
    mounts.lines().find_map(place)
}
