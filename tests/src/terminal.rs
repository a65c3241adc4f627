//! A program on a terminal, as a person runs it.

use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::{Command, ExitStatus};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// Runs a command whose standard streams are a terminal of so many columns. Returns how it ended, and what came to be
/// on the terminal, with line ends as in files.
pub fn on_terminal(command: &mut Command, columns: u16) -> (ExitStatus, String) {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap();
    let path = Path::new(std::ffi::OsStr::from_bytes(name.as_bytes()));
    let theirs = OpenOptions::new().read(true).write(true).open(path).unwrap();
    tcsetwinsize(&theirs, Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    command.stdin(theirs.try_clone().unwrap()).stdout(theirs.try_clone().unwrap()).stderr(theirs);
    command.env("TERM", "xterm-256color");
    let mut child = command.spawn().unwrap();
    // The command keeps its own copies of the terminal; without ours, the end of the child is that of what we read.
    command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let (mut ours, mut seen, mut piece) = (File::from(ours), Vec::new(), [0; 4096]);
    // A terminal that nobody has open any more is an error to read (EIO).
    while let Ok(count @ 1..) = ours.read(&mut piece) {
        seen.extend_from_slice(&piece[..count]);
    }
    let status = child.wait().unwrap();
    (status, String::from_utf8_lossy(&seen).replace("\r\n", "\n"))
}
