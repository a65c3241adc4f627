//! `convert`.

use qemu_cmd::Format;

use super::disk::{BLOCK, Block, Bytes, Stack, ZEROS, is_zero, patched};
use super::fault::{Fault, Result};
use super::files::{Bitmap, Files, Image, Named};
use super::line::{Line, named};
use super::make::{all_blocks, new_image, target};

/// A block of the source: data, zeros, or left to the backing file that source and target share.
enum Part {
    Data(Bytes),
    Zeros,
    Shared,
}

pub(super) fn convert(files: &mut Files, line: &Line) -> Result<()> {
    let operands = line.operands()?;
    let [source, to] = operands.as_slice() else {
        return Err(Fault::not_modelled("a convert of several sources"));
    };
    let chain = files.chain(&line.image_at(source)?)?;
    let (size, parts, bitmaps) = source_parts(files, &chain, line)?;
    let exists = line.has("n");
    let to = if exists { named(to, line.format("O")?, line.has("target-image-opts"))? } else { target(to)? };
    if exists && line.has("c") {
        return Err(Fault::not_modelled("compression into an image that exists"));
    }
    if exists {
        files.chain(&to)?;
    }
    if let Some(used) = chain.iter().find(|image| image.path() == to.path()) {
        return Err(Fault::Locked(used.name.clone()));
    }
    if exists {
        let image = files.image(&to)?;
        if bitmaps.is_some() {
            bitmaps_of(image)?;
        }
        if image.disk.size < size {
            return Err(Fault::Failed("output file is smaller than input file".into()));
        }
        overwrite(files, &to, size, parts, line.has("target-is-zero"))?;
    } else {
        let image = new_image(line.format("O")?.unwrap_or(Format::Raw), line.create_options(), size, None)?;
        files.0.insert(to.path(), image);
        // The new image is opened, and with it what it names as its backing file.
        files.chain(&to)?;
        let image = files.at_mut(&to.path())?;
        if bitmaps.is_some() {
            bitmaps_of(image)?;
        }
        for (index, part) in parts {
            match part {
                Part::Data(bytes) => image.disk.write(index, bytes),
                Part::Zeros => image.zero(index, true),
                Part::Shared => {}
            }
        }
    }
    let image = files.at_mut(&to.path())?;
    if let (Some(qcow2), Some(bitmaps)) = (&mut image.qcow2, bitmaps) {
        for bitmap in bitmaps {
            if qcow2.bitmaps.iter().any(|other| other.name == bitmap.name) {
                return Err(Fault::Failed(format!(
                    "Failed to create bitmap {0}: Bitmap already exists: {0}",
                    bitmap.name
                )));
            }
            qcow2.bitmaps.push(bitmap);
        }
    }
    Ok(())
}

type Parts = Vec<(u64, Part)>;

/// The size of the source, its blocks in order, without those of a new image that are zeros anyway, and its bitmaps.
fn source_parts(files: &Files, chain: &[Named], line: &Line) -> Result<(u64, Parts, Option<Vec<Bitmap>>)> {
    let mut disk = files.stack(chain)?;
    let top = chain.first().map(|top| files.image(top)).transpose()?;
    let qcow2 = top.and_then(|top| top.qcow2.as_ref());
    if let Some(wanted) = line.value("l")? {
        let snapshots = qcow2.map_or(&[][..], |qcow2| &qcow2.snapshots);
        let found = super::inside::snapshot_to_load(snapshots, wanted)?;
        if let Some(top) = disk.0.first_mut() {
            *top = &found.disk;
        }
    }
    let bitmaps = line.has("bitmaps").then(|| top.map_or_else(|| Ok(&[][..]), bitmaps_of)).transpose()?;
    let shares = line.create_options().get("backing_file").is_some();
    let full = match line.number("S")? {
        None => false,
        Some(0) => true,
        Some(size) if size <= BLOCK => false,
        Some(_) => return Err(Fault::not_modelled("a sparse size above 64 KiB")),
    };
    let every = line.has("n") || full;
    let indices: Vec<u64> = if every { all_blocks(&disk)?.collect() } else { disk.indices().into_iter().collect() };
    let part = |index| {
        let part = part(&disk, index, shares);
        match part {
            Part::Zeros if full => Part::Data(ZEROS.clone()),
            Part::Data(bytes) if !full && is_zero(&bytes) => Part::Zeros,
            part => part,
        }
    };
    let parts = indices.into_iter().map(|index| (index, part(index)));
    let parts = parts.filter(|(_, part)| every || shares || !matches!(part, Part::Zeros)).collect();
    Ok((disk.size(), parts, bitmaps.map(<[Bitmap]>::to_vec)))
}

fn part(disk: &Stack<'_>, index: u64, shares: bool) -> Part {
    let found = disk.find(index);
    if shares && (found.depth > 0 || (found.block.is_none() && disk.0.len() > 1)) {
        return Part::Shared;
    }
    match (found.block, disk.read(index)) {
        (Some(Block::Data(_)), Some(bytes)) => Part::Data(bytes),
        _ => Part::Zeros,
    }
}

/// Writes into an image that exists: also the zeros, unless it is known to have them.
fn overwrite(files: &mut Files, to: &Named, size: u64, parts: Parts, known_zero: bool) -> Result<()> {
    let chain = files.chain(to)?;
    let disk = files.stack(&chain)?;
    if known_zero && parts.iter().any(|(index, _)| !is_zero(&disk.bytes(*index))) {
        return Err(Fault::not_modelled("a target that is said to be zero and is not"));
    }
    for (index, part) in parts {
        let length = usize::try_from((size - index * BLOCK).min(BLOCK)).unwrap_or_default();
        let partly = (length as u64) < BLOCK && size < files.image(to)?.disk.size;
        let old = partly.then(|| files.stack(&chain).map(|disk| disk.bytes(index))).transpose()?;
        let image = files.image_mut(to)?;
        match (part, old) {
            (Part::Zeros, _) if known_zero => {}
            (Part::Zeros, None) => image.zero(index, chain.len() > 1),
            (Part::Zeros, Some(old)) => {
                image.disk.write(index, patched(&old, 0, ZEROS.get(..length).unwrap_or_default()));
            }
            (Part::Data(bytes), None) => image.disk.write(index, bytes),
            (Part::Data(bytes), Some(old)) => {
                image.disk.write(index, patched(&old, 0, bytes.get(..length).unwrap_or_default()));
            }
            (Part::Shared, _) => {}
        }
    }
    Ok(())
}

fn bitmaps_of(image: &Image) -> Result<&[Bitmap]> {
    let refusal = || Fault::Failed(format!("Format driver '{}' does not support bitmaps", image.format()));
    image.bitmaps().ok_or_else(refusal)
}
