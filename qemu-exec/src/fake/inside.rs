//! What is changed inside one image: `snapshot`, `bitmap`, `amend`.

use qemu_cmd::{ByteSize, KeyVal};

use super::disk::{Block, Layer, ZEROS};
use super::fault::{Fault, Result};
use super::files::{Bitmap, Files, Named, Snapshot};
use super::line::{Line, named, read, utf8};

pub(super) fn snapshot(files: &mut Files, line: &Line) -> Result<String> {
    let image = line.image()?;
    files.chain(&image)?;
    if line.has("l") {
        let qcow2 = files.image(&image)?.qcow2.as_ref();
        return Ok(qcow2.map_or_else(String::new, |qcow2| table(&qcow2.snapshots)));
    }
    let unsupported = || "Operation not supported".to_owned();
    if let Some(name) = line.value("c")? {
        let (disk, qcow2) = files.qcow2_mut(&image, unsupported)?;
        if qcow2.refcount_bits < 16 {
            return Err(Fault::not_modelled("a snapshot of an image with reference counts of less than 16 bits"));
        }
        let id = qcow2.snapshots.iter().map(|snapshot| snapshot.id).max().unwrap_or(0) + 1;
        qcow2.snapshots.push(Snapshot { id, name: name.to_owned(), disk: disk.clone() });
    } else if let Some(name) = line.value("a")? {
        let (disk, qcow2) = files.qcow2_mut(&image, unsupported)?;
        if !qcow2.bitmaps.is_empty() {
            return Err(Fault::Failed(format!("Could not apply snapshot '{name}': Device has active dirty bitmaps")));
        }
        let found = find(&qcow2.snapshots, name).ok_or_else(|| {
            let why = "Failed to load snapshot: No such file or directory";
            Fault::Failed(format!("Could not apply snapshot '{name}': {why}"))
        })?;
        disk.clone_from(&found.disk);
    } else if let Some(name) = line.value("d")? {
        let (_, qcow2) = files.qcow2_mut(&image, unsupported)?;
        // Unlike the others, it does not know an image by its identifier.
        let found = qcow2.snapshots.iter().position(|snapshot| snapshot.name == name);
        let index =
            found.ok_or_else(|| Fault::Failed(format!("Could not delete snapshot '{name}': snapshot not found")))?;
        qcow2.snapshots.remove(index);
    }
    Ok(String::new())
}

/// The snapshot by its identifier, or else by its name.
fn find<'a>(snapshots: &'a [Snapshot], wanted: &str) -> Option<&'a Snapshot> {
    let by_id = snapshots.iter().find(|snapshot| snapshot.id.to_string() == wanted);
    by_id.or_else(|| snapshots.iter().find(|snapshot| snapshot.name == wanted))
}

/// The snapshot that `-l` names.
pub(super) fn snapshot_to_load<'a>(snapshots: &'a [Snapshot], wanted: &str) -> Result<&'a Snapshot> {
    let found = if wanted.starts_with("snapshot.") {
        let list = KeyVal::parse(wanted.as_ref());
        snapshots.iter().find(|snapshot| {
            list.get("snapshot.id").is_none_or(|id| id == snapshot.id.to_string().as_str())
                && list.get("snapshot.name").is_none_or(|name| name == snapshot.name.as_str())
        })
    } else {
        find(snapshots, wanted)
    };
    found.ok_or_else(|| Fault::Failed("Failed to load snapshot: Can't find snapshot".into()))
}

/// Every snapshot is made at the epoch, of no machine.
fn table(snapshots: &[Snapshot]) -> String {
    if snapshots.is_empty() {
        return String::new();
    }
    let head = "Snapshot list:\nID      TAG               VM_SIZE                DATE        VM_CLOCK     ICOUNT\n";
    let rows = snapshots.iter().map(|Snapshot { id, name, .. }| {
        format!("{id:<7} {name:<16}      0 B 1970-01-01 00:00:00  0000:00:00.000          0\n")
    });
    head.to_owned() + &rows.collect::<String>()
}

pub(super) fn bitmap(files: &mut Files, line: &Line) -> Result<()> {
    let image = line.image()?;
    let name = line.operand(1)?;
    let other = match line.value("b")? {
        Some(other) => Some(named(other, line.format("F")?, false)?),
        None => None,
    };
    // qemu opens a raw image for writing only once something is written, and what is below the other is not locked.
    if let Some(other) = &other {
        files.chain(other)?;
        if other.path() == image.path() && files.image(&image)?.qcow2.is_some() {
            return Err(Fault::Locked(other.name.clone()));
        }
    }
    let granularity = line.value("g")?.map(read::<ByteSize>).transpose()?.map(ByteSize::as_u64);
    const ACTIONS: [&str; 6] = ["add", "remove", "clear", "enable", "disable", "merge"];
    for (option, value) in line.given().filter(|(option, _)| ACTIONS.contains(option)) {
        let value = value.map(utf8).transpose()?;
        act(files, &image, other.as_ref(), Action { option, value, name, granularity })?;
    }
    Ok(())
}

struct Action<'a> {
    option: &'static str,
    value: Option<&'a str>,
    name: &'a str,
    granularity: Option<u64>,
}

fn act(files: &mut Files, image: &Named, other: Option<&Named>, action: Action<'_>) -> Result<()> {
    let Action { option, value, name, granularity } = action;
    let size_and_bitmaps = |files: &Files, named: &Named| {
        let image = files.image(named)?;
        let bitmaps = image.qcow2.as_ref().map(|qcow2| qcow2.bitmaps.clone()).unwrap_or_default();
        Ok((image.disk.size, bitmaps))
    };
    let from = size_and_bitmaps(files, other.unwrap_or(image))?;
    let failed = |why: &str| Fault::Failed(format!("Operation {option} on bitmap {name} failed: {why}"));
    let not_found = format!("Dirty bitmap '{name}' not found");
    if option != "add" && !size_and_bitmaps(files, image)?.1.iter().any(|bitmap| bitmap.name == name) {
        return Err(failed(&not_found));
    }
    let (disk, qcow2) = files.qcow2_mut(image, || "Can't store persistent bitmaps".to_owned())?;
    let index = qcow2.bitmaps.iter().position(|bitmap| bitmap.name == name);
    let existing = || index.ok_or_else(|| failed(&not_found));
    match option {
        "add" => {
            if index.is_some() {
                return Err(failed("Bitmap already exists"));
            }
            if !qcow2.v3 {
                return Err(failed("Cannot store dirty bitmaps in qcow2 v2 files"));
            }
            let granularity = granularity.unwrap_or_else(|| qcow2.cluster_size.clamp(4096, 64 << 10));
            qcow2.bitmaps.push(Bitmap { name: name.to_owned(), granularity, enabled: true });
        }
        "remove" => _ = qcow2.bitmaps.remove(existing()?),
        "clear" => _ = existing()?,
        "enable" | "disable" => {
            let index = existing()?;
            if let Some(bitmap) = qcow2.bitmaps.get_mut(index) {
                bitmap.enabled = option == "enable";
            }
        }
        "merge" => {
            existing()?;
            let (size, bitmaps) = from;
            if bitmaps.iter().all(|bitmap| Some(bitmap.name.as_str()) != value) {
                return Err(failed(&not_found));
            }
            if size != disk.size {
                return Err(failed("Bitmaps are of different sizes and can't be merged"));
            }
        }
        _ => {}
    }
    Ok(())
}

pub(super) fn amend(files: &mut Files, line: &Line) -> Result<()> {
    let image = line.image()?;
    let chain = files.chain(&image)?;
    let no_amend = || "Format driver 'raw' does not support option amendment".to_owned();
    let (disk, qcow2) = files.qcow2_mut(&image, no_amend)?;
    let options = line.create_options();
    let mut changed = qcow2.clone();
    for (key, value) in options.iter() {
        let value = utf8(value)?;
        match key {
            "compat" => changed.v3 = value == "1.1",
            "lazy_refcounts" => changed.lazy_refcounts = value == "on",
            "refcount_bits" => changed.refcount_bits = read(value)?,
            _ => return Err(Fault::not_modelled(format!("amending `{key}`"))),
        }
    }
    if changed.refcount_bits < 16 && !changed.snapshots.is_empty() {
        return Err(Fault::not_modelled("reference counts of less than 16 bits of an image with snapshots"));
    }
    if !changed.v3 {
        if qcow2.v3 && !qcow2.bitmaps.is_empty() {
            return Err(Fault::not_modelled("what becomes of the bitmaps of an image that goes back to `0.10`"));
        }
        if changed.lazy_refcounts && options.get("lazy_refcounts").is_some() {
            return Err(Fault::Failed("Lazy refcounts only supported with compatibility level 1.1 and above".into()));
        }
        if changed.refcount_bits != 16 {
            return Err(Fault::Failed("Refcount widths other than 16 bits require compatibility level 1.1".into()));
        }
        if changed.extended_l2 || changed.zstd {
            return Err(Fault::Failed("Cannot downgrade an image with incompatible features set".into()));
        }
        changed.lazy_refcounts = false;
        let on_backing = chain.len() > 1;
        let disks = changed.snapshots.iter_mut().map(|snapshot| &mut snapshot.disk);
        disks.chain([disk]).for_each(|disk| spell_zeros_out(disk, on_backing));
    }
    *qcow2 = changed;
    Ok(())
}

/// Version 2 has no clusters of zeros.
fn spell_zeros_out(disk: &mut Layer, on_backing: bool) {
    if on_backing {
        let zeros = disk.blocks.values_mut().filter(|block| matches!(block, Block::Zero));
        zeros.for_each(|block| *block = Block::Data(ZEROS.clone()));
    } else {
        disk.blocks.retain(|_, block| matches!(block, Block::Data(_)));
    }
}
