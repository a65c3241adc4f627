//! `create` and `resize`, and the images that are made.

use qemu_cmd::{ByteSize, Format, KeyVal};

use super::disk::{BLOCK, Layer, Stack, ZEROS, patched};
use super::fault::{Fault, Result};
use super::files::{Backing, Files, Image, Named, Qcow2, below};
use super::line::{Line, read, utf8};

/// How many blocks one command may come to without data in them: 64 GiB.
const MAX_BLOCKS: u64 = 1 << 20;

pub(super) fn create(files: &mut Files, line: &Line) -> Result<()> {
    let target = target(line.operand(0)?)?;
    let backing = match line.value("b")? {
        Some(name) => Some(backing(name, line.format("F")?)?),
        None => None,
    };
    let mut size = line.operands()?.get(1).map(|size| read::<ByteSize>(size)).transpose()?.map(ByteSize::as_u64);
    if let Some(backing) = backing.as_ref().filter(|_| !line.has("u")) {
        if backing.name == target.name {
            return Err(Fault::Failed("Trying to create an image with the same filename as the backing file".into()));
        }
        let chain = files.chain(&below(&target, backing)?)?;
        size = size.or(Some(files.stack(&chain)?.size()));
    }
    let size = size.ok_or_else(|| Fault::Failed("Image creation needs a size parameter".into()))?;
    let image = new_image(line.format("f")?.unwrap_or(Format::Raw), line.create_options(), size, backing)?;
    files.0.insert(target.path(), image);
    Ok(())
}

/// The name of an image to be made.
pub(super) fn target(name: &str) -> Result<Named> {
    super::line::named(name, None, false)
}

/// A backing file, by the name and format that an image gets.
pub(super) fn backing(name: &str, format: Option<Format>) -> Result<Backing> {
    let format = format.ok_or_else(|| Fault::Failed("Backing file specified without backing format".into()))?;
    check_format(format)?;
    Ok(Backing { name: name.to_owned(), format })
}

fn check_format(format: Format) -> Result<()> {
    match format {
        Format::Raw | Format::Qcow2 => Ok(()),
        other => Err(Fault::not_modelled(format!("the format `{other}`"))),
    }
}

/// An image without data.
pub(super) fn new_image(format: Format, options: &KeyVal, size: u64, mut backing: Option<Backing>) -> Result<Image> {
    check_format(format)?;
    let mut qcow2 = Qcow2 {
        v3: true,
        lazy_refcounts: false,
        refcount_bits: 16,
        cluster_size: BLOCK,
        extended_l2: false,
        zstd: false,
        backing: None,
        snapshots: Vec::new(),
        bitmaps: Vec::new(),
        preallocated: false,
    };
    let mut backing_name = None;
    for (key, value) in options.iter() {
        let value = utf8(value)?;
        match (key, value) {
            ("nocow" | "extent_size_hint", _) | ("preallocation", "off") => {}
            // The space of a raw image is no part of the model but for its holes.
            ("preallocation", _) if format == Format::Qcow2 => qcow2.preallocated = true,
            ("compat", _) => qcow2.v3 = value == "1.1",
            ("lazy_refcounts", _) => qcow2.lazy_refcounts = value == "on",
            ("refcount_bits", _) => qcow2.refcount_bits = read(value)?,
            ("cluster_size", _) => qcow2.cluster_size = read::<ByteSize>(value)?.as_u64(),
            ("extended_l2", _) => qcow2.extended_l2 = value == "on",
            ("compression_type", _) => qcow2.zstd = value == "zstd",
            ("backing_file", _) => backing_name = Some(value),
            ("backing_fmt", _) => {}
            _ => return Err(Fault::not_modelled(format!("the create option `{key}`"))),
        }
    }
    if let Some(name) = backing_name {
        let format = options.get("backing_fmt").map(utf8).transpose()?.map(read).transpose()?;
        backing = Some(self::backing(name, format)?);
    }
    if format == Format::Raw {
        return Ok(Image::raw(size.next_multiple_of(512)));
    }
    Ok(Image { disk: Layer::new(size), qcow2: Some(Qcow2 { backing, ..qcow2 }) })
}

pub(super) fn resize(files: &mut Files, line: &Line) -> Result<()> {
    let named = line.image()?;
    let chain = files.chain(&named)?;
    let old = files.image(&named)?.disk.size;
    let wanted = line.operand(1)?;
    let bytes = read::<ByteSize>(wanted.trim_start_matches(['+', '-']))?.as_u64();
    let new = match wanted.chars().next() {
        Some('+') => old.checked_add(bytes),
        Some('-') => old.checked_sub(bytes).filter(|size| *size > 0),
        _ => Some(bytes),
    };
    let new = new.ok_or_else(|| Fault::Failed("New image size must be positive".into()))?;
    if new < old && !line.has("shrink") {
        return Err(Fault::Failed("Use the --shrink option to perform a shrink operation.".into()));
    }
    if line.value("preallocation")?.is_some_and(|mode| mode != "off") {
        match &mut files.image_mut(&named)?.qcow2 {
            Some(qcow2) => qcow2.preallocated = true,
            None => return Err(Fault::not_modelled("the preallocation of a raw image that grows")),
        }
    }
    set_size(files, &chain, new)
}

/// Changes the size of the image at the top of the chain.
pub(super) fn set_size(files: &mut Files, chain: &[Named], size: u64) -> Result<()> {
    let Some((top, lower)) = chain.split_first() else { return Ok(()) };
    let below = files.stack(lower)?.size();
    let old = files.image(top)?.disk.size;
    let index = old / BLOCK;
    let at = (old % BLOCK) as usize;
    let last = files.stack(chain)?.bytes(index);
    let image = files.image_mut(top)?;
    let Some(qcow2) = &image.qcow2 else {
        let size = size.next_multiple_of(512);
        if old == 0 {
            image.disk = Image::raw(size).disk;
        }
        image.disk.cut(size);
        // What lies behind the end of a file is gone.
        let end = (size % BLOCK) as usize;
        if let Some(super::disk::Block::Data(bytes)) = image.disk.blocks.get(&(size / BLOCK)) {
            let kept = patched(bytes, end, ZEROS.get(end..).unwrap_or_default());
            image.disk.write(size / BLOCK, kept);
        }
        return Ok(());
    };
    if !size.is_multiple_of(512) {
        return Err(Fault::Failed("The new size must be a multiple of 512".into()));
    }
    if size != old && !qcow2.v3 && !qcow2.snapshots.is_empty() {
        return Err(Fault::Failed("Can't resize a v2 image which has snapshots".into()));
    }
    // What is added must not show what the backing file has there.
    let hides = size > old && below > old;
    if hides && !qcow2.v3 {
        return Err(Fault::Failed("Failed to zero out new clusters: Operation not supported".into()));
    }
    let blocks = old.div_ceil(BLOCK)..size.div_ceil(BLOCK);
    if hides && blocks.end - blocks.start > MAX_BLOCKS {
        return Err(Fault::not_modelled("growing an image by so much, over a larger one"));
    }
    image.disk.cut(size);
    if hides {
        if at > 0 {
            image.disk.write(index, patched(&last, at, ZEROS.get(at..).unwrap_or_default()));
        }
        blocks.for_each(|index| image.zero(index, true));
    }
    Ok(())
}

/// The blocks of a disk, if they are few enough to be written one by one.
pub(super) fn all_blocks(disk: &Stack<'_>) -> Result<std::ops::Range<u64>> {
    let blocks = disk.size().div_ceil(BLOCK);
    if blocks > MAX_BLOCKS {
        Err(Fault::not_modelled("writing every block of so large an image"))
    } else {
        Ok(0..blocks)
    }
}
