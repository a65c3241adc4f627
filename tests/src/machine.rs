//! What a test asks of the machine: a file system of its own, an image that is in use, a look at the processes.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::sshd::wait_until;

/// Runs a command as root, and gives what it printed.
pub fn as_root<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>) -> String {
    let output = Command::new("sudo").arg("-n").args(args).stdin(Stdio::null()).output();
    let output = output.expect("this test needs sudo: cargo xtask test installs it");
    assert!(output.status.success(), "this test needs root, or sudo that asks for no password: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// A file system in memory, which everybody may write to, and which goes away with this.
#[derive(Debug)]
pub struct SmallFileSystem(PathBuf);

impl SmallFileSystem {
    /// Mounts it on a directory that is there.
    #[must_use]
    pub fn mount(directory: &Path, size: &str) -> Self {
        let options = format!("size={size},mode=0777");
        as_root([
            "mount".as_ref(),
            "-t".as_ref(),
            "tmpfs".as_ref(),
            "-o".as_ref(),
            options.as_ref(),
            "small".as_ref(),
            directory.as_os_str(),
        ]);
        Self(directory.to_owned())
    }

    /// Takes away the right to write to it, from everybody.
    pub fn make_read_only(&self) {
        as_root(["mount".as_ref(), "-o".as_ref(), "remount,ro".as_ref(), self.0.as_os_str()]);
    }
}

impl Drop for SmallFileSystem {
    fn drop(&mut self) {
        // What still has a file open there keeps it, and its name is free.
        as_root(["umount".as_ref(), "--lazy".as_ref(), self.0.as_os_str()]);
    }
}

/// A block device over a file, which goes away with this.
#[derive(Debug)]
pub struct LoopDevice(PathBuf);

impl LoopDevice {
    /// Makes one, that everybody may use.
    #[must_use]
    pub fn over(file: &Path) -> Self {
        let device = as_root(["losetup".as_ref(), "--find".as_ref(), "--show".as_ref(), file.as_os_str()]);
        as_root(["chmod", "666", &device]);
        Self(device.into())
    }

    /// Its name.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for LoopDevice {
    fn drop(&mut self) {
        as_root(["losetup".as_ref(), "--detach".as_ref(), self.0.as_os_str()]);
    }
}

/// A qemu-img that writes to a qcow2 image for as long as this lives.
#[derive(Debug)]
pub struct Writer(Child);

impl Writer {
    /// Starts it, and waits until the image is locked.
    #[must_use]
    pub fn of(image: &Path) -> Self {
        let mut bench = Command::new(crate::qemu_img());
        bench.args(["bench", "-w", "-c", "2000000000", "-f", "qcow2"]).arg(image).stdout(Stdio::null());
        let writer = Self(bench.spawn().expect("qemu-img is installed: cargo xtask test installs it"));
        let inode = format!(":{} ", image.metadata().unwrap().ino());
        let locked = wait_until(|| std::fs::read_to_string("/proc/locks").unwrap().contains(&inode));
        assert!(locked, "the image was never locked");
        writer
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The processes that have this path in one of their arguments, but for this one.
#[must_use]
pub fn processes_about(path: &Path) -> Vec<Pid> {
    let needle = path.as_os_str().as_encoded_bytes();
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?));
    pids.filter(|pid| {
        let arguments = std::fs::read(format!("/proc/{}/cmdline", pid.as_raw_pid())).unwrap_or_default();
        *pid != rustix::process::getpid() && arguments.windows(needle.len()).any(|window| window == needle)
    })
    .collect()
}

/// Of those, the one that has no other of them as a child: not what stands in front of it, such as sudo.
#[must_use]
pub fn innermost(processes: &[Pid]) -> Option<Pid> {
    let parent = |pid: &Pid| {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_pid())).ok()?;
        // The name before it may hold anything.
        stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok().and_then(Pid::from_raw)
    };
    let parents: Vec<Pid> = processes.iter().filter_map(parent).collect();
    processes.iter().copied().find(|pid| !parents.contains(pid))
}

/// Sends a signal to a process of any user.
pub fn signal(pid: Pid, signal: Signal) {
    if kill_process(pid, signal).is_err() {
        as_root(["kill".to_owned(), format!("-{}", signal.as_raw()), pid.as_raw_pid().to_string()]);
    }
}
