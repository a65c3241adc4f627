//! Encrypts a disk: into a new image that has its name only once it is whole, on disk, and known to hold the same.
//!
//! `cargo run -p qemu-exec --example encrypt -- DISK TARGET.qcow2`, with the passphrase as a line on standard input.
//! It goes from this process's memory to qemu-img's through a sealed memory file: no argument, no environment variable
//! and no file on a disk holds it.

use std::error::Error;
use std::io::{BufRead as _, stdin};
use std::path::Path;

use qemu_exec::cmd::{Convert, Info, Luks, Qcow2, Secret, Source, Target};
use qemu_exec::info::Encryption;
use qemu_exec::{Checks, ErrorKind, Executor, LocalExecutor, QemuImg};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args_os().skip(1);
    let (Some(disk), Some(target)) = (args.next(), args.next()) else {
        return Err("usage: encrypt DISK TARGET.qcow2, with the passphrase on standard input".into());
    };
    let passphrase = stdin().lock().lines().next().ok_or("no passphrase")??;
    let luks = Luks::new(Secret::new(passphrase)?);
    // A raw disk is raw whatever its content looks like: its format is not guessed.
    match encrypt(LocalExecutor::new(), Source::raw(disk), target.as_ref(), luks) {
        Ok(size) => println!("{size} bytes are encrypted"),
        // What a caller can act on has a kind of its own; the rest is a message for people.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err("choose another name: it is taken".into()),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// Encrypts the disk, and says how large it is.
pub(crate) fn encrypt<E: Executor>(
    executor: E,
    disk: Source,
    target: &Path,
    luks: Luks,
) -> Result<u64, qemu_exec::Error> {
    // Nobody but the owner reads the image. There must be room, a source that is damaged is no source, and the two are
    // compared before the new one has its name.
    let checks = Checks::none().space(true).source(true).verify(true);
    let qemu_img = QemuImg::new(executor).checks(checks).publish(qemu_exec::Publish::new().mode(0o600));
    qemu_img.convert(&Convert::new(disk, Target::new(target, Qcow2::new().encryption(luks))))?;

    let info = qemu_img.info(&Info::new(Source::qcow2(target)))?;
    match info.encryption() {
        Encryption::Luks(_) => Ok(info.virtual_size),
        other => Err(qemu_exec::Error::new(ErrorKind::Failed).message(format!("it is not encrypted: {other:?}"))),
    }
}
