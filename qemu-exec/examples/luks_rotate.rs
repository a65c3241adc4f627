//! Changes the passphrase of an encrypted image, without a moment in which none opens it.
//!
//! `cargo run -p qemu-exec --example luks_rotate -- IMAGE luks|qcow2`, with the old passphrase and the new one as two
//! lines on standard input. The guest may be running or not: an image in use is refused as locked.
//!
//! A LUKS volume has eight key slots, each of which holds the one master key, encrypted under a passphrase. The order is
//! what makes it safe:
//!
//! 1. add the new passphrase in a free slot; the old one is not touched
//! 2. flush, and prove that the new one opens the image
//! 3. erase the old one, with the new one as the key, and flush
//! 4. prove that the old one opens it no more
//!
//! Killed anywhere, at least one of the two opens the image, and the same call goes on from there: it looks what each of
//! them opens before it does anything. It never forces: without `force`, qemu-img does not erase the last slot, so that
//! even the same passphrase given twice ends with an error, and with the image as it was.
//!
//! The master key stays the same: who has copied that, or the header with its old slots, still reads the data. Only a
//! convert to a new image changes it. To be safe from a sector that is torn by a power cut, keep a copy of the header
//! until step 4, and then destroy it.

use std::error::Error;
use std::fs::File;
use std::io::{BufRead as _, stdin};
use std::path::Path;
use std::time::Duration;

use qemu_exec::cmd::{Amend, ByteSize, Format, KeyslotChange, Map, Secret, Source};
use qemu_exec::{ErrorKind, Executor, LocalExecutor, QemuImg};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args_os().skip(1);
    let (Some(image), Some(format)) = (args.next(), args.next().and_then(|format| format.into_string().ok())) else {
        return Err("usage: luks_rotate IMAGE luks|qcow2, with both passphrases on standard input".into());
    };
    let mut lines = stdin().lock().lines();
    let mut passphrase =
        || -> Result<Secret, Box<dyn Error>> { Ok(Secret::new(lines.next().ok_or("no passphrase")??)?) };
    let (old, new) = (passphrase()?, passphrase()?);
    // How long a guess takes whoever tries to guess the passphrase, and how long it takes to open the image.
    let added = KeyslotChange::add(new.clone()).iter_time(Duration::from_secs(2));
    rotate(&QemuImg::new(LocalExecutor::new()), image.as_ref(), format.parse()?, &old, &new, added)?;
    println!("the new passphrase opens it, and the old one does not");
    Ok(())
}

/// Makes `new`, which `added` adds, the passphrase in the place of `old`. It can be called again after whatever went
/// wrong.
pub(crate) fn rotate<E: Executor>(
    qemu_img: &QemuImg<E>,
    image: &Path,
    format: Format,
    old: &Secret,
    new: &Secret,
    added: KeyslotChange,
) -> Result<(), Box<dyn Error>> {
    let with = |key: &Secret| Source::new(image, format).key(key.clone());
    if !opens(qemu_img, with(new))? {
        qemu_img.amend(&Amend::keyslot(with(old), added))?;
        File::open(image)?.sync_all()?;
        if !opens(qemu_img, with(new))? {
            return Err("the new passphrase was added and opens nothing; the old one is still there".into());
        }
    }
    if opens(qemu_img, with(old))? {
        qemu_img.amend(&Amend::keyslot(with(new), KeyslotChange::erase(old.clone())))?;
        File::open(image)?.sync_all()?;
        if opens(qemu_img, with(old))? {
            return Err("the old passphrase still opens it".into());
        }
    }
    Ok(())
}

/// Whether the key of the image opens it: `info` would not tell, since it needs no key; `map` unlocks what it reads.
pub(crate) fn opens<E: Executor>(qemu_img: &QemuImg<E>, image: Source) -> Result<bool, qemu_exec::Error> {
    match qemu_img.map(&Map::new(image).max_length(ByteSize::bytes(512))) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::WrongPassphrase => Ok(false),
        Err(error) => Err(error),
    }
}
