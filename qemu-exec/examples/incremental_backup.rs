//! Backs up a qcow2 disk: all of it at first, and then only what the guest has written since.
//!
//! `cargo run -p qemu-exec --example incremental_backup -- DISK.qcow2 DIRECTORY`, whenever the guest is off. It makes
//! `DIRECTORY/0.qcow2`, then `1.qcow2`, …, each of which is based on the one before and is, with what is below it, the
//! disk of that day. `restore` is an ordinary convert of any of them.
//!
//! A dirty bitmap in the disk, `since-N`, says which parts were written since backup N: whatever opens the disk to write
//! keeps it up. qemu-img cannot read a bitmap, but an NBD server can show it: `qemu-nbd -B` exports disk and bitmap, and
//! to the key `x-dirty-bitmap` of the client the clean parts are data, and the dirty ones are none. That `x-` stands for
//! "may change"; it is the same from 5.2 to 11.1. Of each dirty part a convert copies a window.
//!
//! The order makes it safe to be killed anywhere, and to be run again:
//!
//! 1. a new bitmap begins to record, while the old one still does
//! 2. the dirty parts are copied to a file under another name, flushed, and that is renamed
//! 3. only then the old bitmap goes
//!
//! A guest that was killed leaves bitmaps that know nothing of its last writes, and are marked so: there is no increment
//! then. Remove them (`qemu-img bitmap --remove`), and begin another directory with a full backup. Beside a guest that
//! runs, do the same by QMP (`block-dirty-bitmap-add`, `nbd-server-start`, `blockdev-backup`).

use std::error::Error;
use std::fs::{self, File};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use qemu_exec::cmd::{
    Backing, Bitmap, BitmapAction, Convert, Create, Format, Info, KeyVal, Location, Map, Nbd, Qcow2, Source, Target,
};
use qemu_exec::info::FormatSpecific;
use qemu_exec::{ErrorKind, Executor, LocalExecutor, QemuImg};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args_os().skip(1);
    let (Some(disk), Some(directory)) = (args.next(), args.next()) else {
        return Err("usage: incremental_backup DISK.qcow2 DIRECTORY".into());
    };
    let (backup, copied) = back_up(&QemuImg::new(LocalExecutor::new()), disk.as_ref(), directory.as_ref())?;
    println!("{}: {copied} bytes copied", backup.display());
    Ok(())
}

/// Makes the next backup, and says how much of the disk it holds.
pub(crate) fn back_up<E: Executor>(
    qemu_img: &QemuImg<E>,
    disk: &Path,
    directory: &Path,
) -> Result<(PathBuf, u64), Box<dyn Error>> {
    let file = |number: u32| directory.join(format!("{number}.qcow2"));
    let number = (0..).find(|number| !file(*number).exists()).ok_or("too many backups")?;
    let source = || Source::qcow2(disk);
    let bitmap = |number: u32, action| Bitmap::new(source(), format!("since-{number}"), action);
    let remove = |number: u32| match qemu_img.bitmap(&bitmap(number, BitmapAction::Remove)) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    if let Some(previous) = number.checked_sub(1) {
        is_complete(qemu_img, disk, &format!("since-{previous}"))?;
    }
    // One that an interrupted backup left has recorded what that was to copy, too.
    remove(number)?;
    qemu_img.bitmap(&bitmap(number, BitmapAction::Add { granularity: None }))?;
    let Some(previous) = number.checked_sub(1) else {
        qemu_img.convert(&Convert::new(source(), Target::new(file(0), Qcow2::new())))?;
        return Ok((file(0), fs::metadata(file(0))?.len()));
    };

    let (unfinished, finished) = (directory.join("unfinished.qcow2"), file(number));
    let _ = fs::remove_file(&unfinished);
    let below = Backing::new(format!("./{previous}.qcow2"), Format::Qcow2);
    qemu_img.create(&Create::overlay(&unfinished, Qcow2::new(), below))?;
    let copied = copy_dirty(qemu_img, disk, &format!("since-{previous}"), &unfinished)?;
    File::open(&unfinished)?.sync_all()?;
    fs::rename(&unfinished, &finished)?;
    File::open(directory)?.sync_all()?;
    remove(previous)?;
    Ok((finished, copied))
}

/// Whether the bitmap has recorded every write: an error says why not.
fn is_complete<E: Executor>(qemu_img: &QemuImg<E>, disk: &Path, bitmap: &str) -> Result<(), Box<dyn Error>> {
    let info = qemu_img.info(&Info::new(Source::qcow2(disk)))?;
    let Some(FormatSpecific::Qcow2(qcow2)) = info.format_specific else {
        return Err("the disk is no qcow2 image".into());
    };
    match qcow2.bitmaps.iter().flatten().find(|other| other.name == bitmap) {
        None => Err(format!("there is no bitmap `{bitmap}`: is this the directory of another disk?").into()),
        Some(bitmap) if bitmap.is_in_use() => Err("the guest runs, or was killed: no bitmap knows its writes".into()),
        Some(bitmap) if !bitmap.is_enabled() => Err("somebody has switched the bitmap off".into()),
        Some(_) => Ok(()),
    }
}

/// Copies what the bitmap says is dirty to the same place in an overlay.
fn copy_dirty<E: Executor>(
    qemu_img: &QemuImg<E>,
    disk: &Path,
    bitmap: &str,
    overlay: &Path,
) -> Result<u64, Box<dyn Error>> {
    let server = Server::start(disk, bitmap)?;
    let export = || Source::raw(Nbd::unix(server.socket()));
    let dirty_bitmap = KeyVal::new()
        .with("driver", "nbd")
        .with("server.type", "unix")
        .with("server.path", server.socket())
        .with("x-dirty-bitmap", format!("qemu:dirty-bitmap:{bitmap}"));
    let extents = qemu_img.map(&Map::new(Source::raw(Location::from_node(dirty_bitmap))))?;
    let content = KeyVal::new().with("driver", "qcow2").with("file.driver", "file").with("file.filename", overlay);
    let mut copied = 0;
    for dirty in extents.iter().filter(|extent| !extent.data && extent.length > 0) {
        let window =
            |image: Source| image.option("offset", dirty.start.to_string()).option("size", dirty.length.to_string());
        let target = Target::existing(window(Source::raw(Location::from_node(content.clone()))));
        qemu_img.convert(&Convert::new(window(export()), target))?;
        copied += dirty.length;
    }
    Ok(copied)
}

/// A qemu-nbd that exports a disk, read-only, with a bitmap, on a socket in a directory that is only ours.
struct Server {
    child: Child,
    directory: tempfile::TempDir,
}

impl Server {
    fn start(disk: &Path, bitmap: &str) -> Result<Self, Box<dyn Error>> {
        let directory = tempfile::tempdir()?;
        let mut command = Command::new("qemu-nbd");
        command.args(["--read-only", "--persistent", "--shared=4", "--format=qcow2", "--bitmap", bitmap, "--socket"]);
        // A colon in the name of a disk would make a place elsewhere of it, unless the name is absolute.
        let disk = std::path::absolute(disk)?;
        let child = command.arg(directory.path().join("nbd")).arg("--").arg(disk).spawn()?;
        let mut server = Self { child, directory };
        let begin = Instant::now();
        // The socket is there before anybody listens.
        while UnixStream::connect(server.socket()).is_err() {
            if let Some(status) = server.child.try_wait()? {
                return Err(format!("qemu-nbd: {status}").into());
            }
            if begin.elapsed() > Duration::from_secs(30) {
                return Err("qemu-nbd does not listen".into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(server)
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("nbd")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
