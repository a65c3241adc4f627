//! Tries something out on a disk: a guest works on an overlay, and what it did is kept or thrown away.
//!
//! `cargo run -p qemu-exec --example overlay_commit -- begin|keep|discard BASE.qcow2 OVERLAY.qcow2`
//!
//! While the overlay is there, nothing may write to the base, and nothing but `keep` does. A `keep` that is interrupted
//! is repeated: the overlay is removed only when the base has everything. Until then the base is neither the old disk nor
//! the new one, so any **other** overlay of the same base is damaged by a commit; there must be none.

use std::error::Error;
use std::fs;
use std::path::Path;

use qemu_exec::cmd::{Backing, Check, Commit, Create, Format, Info, Qcow2, Source};
use qemu_exec::info::{CheckReport, CheckVerdict};
use qemu_exec::{ErrorKind, Executor, LocalExecutor, QemuImg};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    let [what, base, overlay] = args.as_slice() else {
        return Err("usage: overlay_commit begin|keep|discard BASE.qcow2 OVERLAY.qcow2".into());
    };
    let qemu_img = QemuImg::new(LocalExecutor::new());
    match what.to_str() {
        Some("begin") => begin(&qemu_img, base.as_ref(), overlay.as_ref())?,
        Some("keep") => keep(&qemu_img, base.as_ref(), overlay.as_ref())?,
        Some("discard") => fs::remove_file(overlay)?,
        _ => return Err("what: begin, keep or discard?".into()),
    }
    Ok(())
}

/// Makes an overlay, on which the guest can be started.
pub(crate) fn begin<E: Executor>(qemu_img: &QemuImg<E>, base: &Path, overlay: &Path) -> Result<(), qemu_exec::Error> {
    // The name is stored as it is given, and a relative one is relative to the overlay: an absolute one cannot be
    // mistaken. The format of the base is stored, too, or else its content would choose it.
    let base = fs::canonicalize(base).map_err(|error| {
        qemu_exec::Error::new(ErrorKind::NotFound).message("the base cannot be found").because(error)
    })?;
    qemu_img.create(&Create::overlay(overlay, Qcow2::new(), Backing::new(base, Format::Qcow2)))?;
    Ok(())
}

/// Writes what the guest did to the base. The guest must be off: while it runs, the overlay is
/// [`Locked`](ErrorKind::Locked).
pub(crate) fn keep<E: Executor>(qemu_img: &QemuImg<E>, base: &Path, overlay: &Path) -> Result<(), Box<dyn Error>> {
    // The guest may have been killed, and the overlay names its base: is that still ours?
    let chain = qemu_img.backing_chain(&Info::new(Source::qcow2(overlay)))?;
    let below = chain.layers().nth(1).ok_or("the overlay has no base")?;
    if fs::canonicalize(&below.filename)? != fs::canonicalize(base)? {
        return Err(format!("the overlay is based on `{}`", below.filename).into());
    }
    // Of a damaged overlay qemu-img would read zeros, and write those to the base.
    let check = qemu_img.check(&Check::new(Source::qcow2(overlay)))?;
    match check.report().map(CheckReport::verdict) {
        Some(CheckVerdict::Clean | CheckVerdict::Leaking) => {}
        other => return Err(format!("the overlay is damaged: {other:?}").into()),
    }
    // Without `drop_overlay`, the overlay would be emptied afterwards, which is work for nothing: it goes.
    qemu_img.commit(&Commit::new(Source::qcow2(overlay)).drop_overlay(true))?;
    // qemu-img has flushed what it wrote when it closed the base; the name goes after that.
    fs::File::open(base)?.sync_all()?;
    fs::remove_file(overlay)?;
    Ok(())
}
