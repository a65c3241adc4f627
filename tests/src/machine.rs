//! What a test asks of the machine: root, a file system or a device of its own, an image that is in use.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::processes::wait_for;

/// Runs a command as root, and gives what it printed.
pub fn as_root<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>) -> String {
    let output = Command::new("sudo").arg("-n").args(args).stdin(Stdio::null()).output();
    let output = output.expect("this test needs sudo: cargo xtask test installs it");
    assert!(output.status.success(), "this test needs root, or sudo that asks for no password: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// Fails unless sudo works, before a test blames something else.
pub fn need_sudo() {
    as_root(["true"]);
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
        wait_for("the image is locked", || std::fs::read_to_string("/proc/locks").unwrap().contains(&inode));
        writer
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
