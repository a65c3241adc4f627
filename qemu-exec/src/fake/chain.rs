//! `rebase` and `commit`.

use std::collections::BTreeSet;

use super::disk::{BLOCK, Block, Bytes, Stack};
use super::fault::{Fault, Result};
use super::files::{Files, Named, below, path_of};
use super::line::Line;
use super::make::{backing, set_size};

pub(super) fn rebase(files: &mut Files, line: &Line) -> Result<()> {
    let image = line.image()?;
    let name = line.value("b")?.unwrap_or_default();
    let new = if name.is_empty() { None } else { Some(backing(name, line.format("F")?)?) };
    let is_raw = files.image(&image)?.qcow2.is_none();
    if !line.has("u") {
        let old = files.chain(&image)?;
        let new = new.as_ref().map(|new| below(&image, new)).transpose()?;
        let new = new.map(|new| files.chain(&new)).transpose()?.unwrap_or_default();
        if !is_raw && new.iter().any(|other| other.path() == image.path()) {
            return Err(Fault::Locked(image.name));
        }
        if !is_raw {
            copy_what_differs(files, &old, &new)?;
        }
    }
    let Some(qcow2) = &mut files.image_mut(&image)?.qcow2 else {
        return Err(Fault::Failed(format!("Could not change the backing file to '{name}': Operation not supported")));
    };
    qcow2.backing = new;
    Ok(())
}

/// Copies into the first image of `old` what it reads from the others, where those of `new` hold something else.
fn copy_what_differs(files: &mut Files, old: &[Named], new: &[Named]) -> Result<()> {
    let Some((top, old)) = old.split_first() else { return Ok(()) };
    let image = files.image(top)?;
    let (old_disk, new_disk) = (files.stack(old)?, files.stack(new)?);
    let old_size = old_disk.size();
    let indices: BTreeSet<u64> = old_disk.indices().into_iter().chain(new_disk.indices()).collect();
    let end = image.disk.size.div_ceil(BLOCK);
    let differs =
        |index: &u64| !image.disk.blocks.contains_key(index) && old_disk.bytes(*index) != new_disk.bytes(*index);
    let copied: Vec<(u64, Bytes)> = indices
        .into_iter()
        .filter(|index| *index < end)
        .filter(differs)
        .map(|index| (index, old_disk.bytes(index)))
        .collect();
    let image = files.image_mut(top)?;
    for (index, bytes) in copied {
        if index * BLOCK >= old_size { image.zero(index, true) } else { image.disk.write(index, bytes) }
    }
    Ok(())
}

pub(super) fn commit(files: &mut Files, line: &Line) -> Result<()> {
    let chain = files.chain(&line.image()?)?;
    let base = match line.value("b")? {
        None => 1,
        Some(base) => {
            let path = path_of(base.as_ref());
            let found = chain.iter().skip(1).position(|image| image.path() == path);
            found
                .map(|index| index + 1)
                .ok_or_else(|| Fault::Failed(format!("Did not find '{base}' in the backing chain")))?
        }
    };
    let (Some((above, lower)), Some(top)) = (chain.split_at_checked(base), chain.first()) else {
        return Err(Fault::Failed("Image does not have a backing file".into()));
    };
    let Some(base) = lower.first() else {
        return Err(Fault::Failed("Image does not have a backing file".into()));
    };
    let sizes = above.iter().map(|image| Ok(files.image(image)?.disk.size)).collect::<Result<Vec<_>>>()?;
    if sizes.iter().any(|size| Some(size) != sizes.first()) {
        return Err(Fault::not_modelled("a commit through an image of another size"));
    }
    let disk = files.stack(above)?;
    let copied = changes(&disk);
    let size = disk.size();
    if files.image(base)?.disk.size < size {
        set_size(files, lower, size)?;
    }
    let image = files.image_mut(base)?;
    for (index, bytes) in copied {
        match bytes {
            Some(bytes) => image.disk.write(index, bytes),
            None => image.zero(index, lower.len() > 1),
        }
    }
    if !line.has("b") && !line.has("d") {
        files.image_mut(top)?.disk.blocks.clear();
    }
    Ok(())
}

/// What the images have themselves; `None` where that is zeros.
fn changes(disk: &Stack<'_>) -> Vec<(u64, Option<Bytes>)> {
    let own = disk.indices().into_iter().map(|index| (index, disk.find(index)));
    own.filter_map(|(index, found)| match found.block? {
        Block::Data(_) => Some((index, disk.read(index))),
        Block::Zero => Some((index, None)),
    })
    .collect()
}
