//! A systemd for the tests: that of this machine, or else one that boots in a Linux of its own.
//!
//! In a container there is no systemd, and often no control groups of version 2 that could be had. User-mode Linux is a
//! kernel that runs as a program and has the files of this machine, for reading, as its own: it boots in seconds, and
//! what runs in it is what is installed here.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::processes::needs;
use crate::{qemu_img, scratch, which};

/// Says to a test that it runs in a service to which a control group was delegated.
const INSIDE: &str = "QEMU_TESTS_INSIDE";
/// What is printed at the end of a test that passed.
const PASSED: &str = "qemu-tests: passed";

/// Runs `act`, which is what the test of this name does, in a service of systemd that has a control group to itself.
///
/// # Panics
/// If `act` does.
pub fn in_a_service(test: &str, act: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        act();
        println!("{PASSED}");
        return;
    }
    let (output, what) = if Path::new("/run/systemd/system").exists() {
        (needs(as_service(test).output(), "systemd-run", "systemd"), "a service")
    } else {
        (booted(test), "a Linux of its own")
    };
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(said.lines().any(|line| line.ends_with(PASSED)), "in {what}:\n{said}");
    print!("{said}");
}

/// The control group that was delegated to this service, with this process out of the way in a group below it.
#[must_use]
pub fn delegated() -> std::path::PathBuf {
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap();
    let own = own.lines().find_map(|line| line.strip_prefix("0::/")).unwrap();
    let group = Path::new("/sys/fs/cgroup").join(own);
    if group.ends_with("tests") {
        return group.parent().unwrap().to_owned();
    }
    std::fs::create_dir_all(group.join("tests")).unwrap();
    std::fs::write(group.join("tests/cgroup.procs"), std::process::id().to_string()).unwrap();
    group
}

/// This program, running one test.
fn this(test: &str) -> Vec<OsString> {
    let exe = std::env::current_exe().unwrap();
    [exe.into(), "--exact".into(), test.into(), "--nocapture".into()].into()
}

fn as_service(test: &str) -> Command {
    let root = rustix::process::geteuid().is_root();
    let mut command = Command::new(if root { "systemd-run" } else { "sudo" });
    if !root {
        command.args(["-n", "systemd-run"]);
    }
    command.args(["--pipe", "--wait", "--collect", "--quiet", "--property=Delegate=yes"]);
    let temporary = std::env::temp_dir();
    for variable in [
        format!("{INSIDE}=1"),
        format!("QEMU_IMG={}", which(qemu_img()).display()),
        format!("TMPDIR={}", temporary.display()),
    ] {
        command.arg(format!("--setenv={variable}"));
    }
    command.args(this(test)).stdin(Stdio::null());
    command
}

/// Boots, and runs the test there, which then finds a systemd.
fn booted(test: &str) -> std::process::Output {
    let directory = scratch();
    let path = |name: &str| directory.path().join(name);
    let line: Vec<_> = this(test).iter().map(|arg| qemu_cmd::shell_quote(arg).to_string()).collect();
    // No other unit is known than these, since every other one would take its time.
    let init = format!(
        "#!/bin/sh\n\
         export PATH=/usr/sbin:/usr/bin:/sbin:/bin SYSTEMD_UNIT_PATH=/run/units\n\
         mount -t proc proc /proc && mount -t sysfs sys /sys && mount -t cgroup2 cgroup2 /sys/fs/cgroup\n\
         mount -t tmpfs run /run && mkdir -m 1777 /run/units /run/tmp && cd /run/units\n\
         for target in sysinit basic shutdown sockets; do printf '[Unit]\\nDefaultDependencies=no\\n' > $target.target; done\n\
         printf '[Unit]\\nDefaultDependencies=no\\n[Socket]\\nListenStream=/run/dbus/system_bus_socket\\n' > dbus.socket\n\
         printf '[Unit]\\nDefaultDependencies=no\\nRequires=dbus.socket\\n[Service]\\nExecStart=dbus-daemon --system \
         --address=systemd: --nofork --nopidfile --systemd-activation\\n' > dbus.service\n\
         printf '[Unit]\\nDefaultDependencies=no\\nRequires=dbus.socket\\nAfter=dbus.socket\\n[Service]\\nType=oneshot\\n\
         StandardOutput=tty\\nStandardError=tty\\nTTYPath=/dev/console\\nExecStart=/bin/sh {}\\n\
         ExecStopPost=systemctl poweroff -ff\\n' > tests.service\n\
         exec /lib/systemd/systemd --unit=tests.service --show-status=no --log-level=err --log-target=console\n",
        path("test").display()
    );
    let script = format!(
        "export TMPDIR=/run/tmp QEMU_IMG={}\nexec {}\n",
        qemu_cmd::shell_quote(which(qemu_img()).as_ref()),
        line.join(" ")
    );
    std::fs::write(path("test"), script).unwrap();
    std::fs::write(path("init"), init).unwrap();
    let executable = Command::new("chmod").arg("755").arg(path("init")).status().unwrap();
    assert!(executable.success());
    // Its memory is a file, which TMPDIR puts in memory.
    let mut linux = Command::new("timeout");
    linux.args(["--kill-after=5", "180", "linux.uml", "mem=1G", "rootfstype=hostfs", "rootflags=/", "ro", "quiet"]);
    linux.arg(format!("init={}", path("init").display())).args(["con=null", "con0=null,fd:1"]);
    needs(linux.env("TMPDIR", "/dev/shm").stdin(Stdio::null()).output(), "timeout", "coreutils")
}
