//! `measure`: how large an image would be.

use qemu_cmd::{ByteSize, Format};
use qemu_info::Measurement;
use serde_json::json;

use super::answers::document;
use super::disk::{BLOCK, Block};
use super::fault::{Fault, Result};
use super::files::{Bitmap, Files, Image, Qcow2};
use super::inside::snapshot_to_load;
use super::line::{Line, read};
use super::make::new_image;

/// What is measured.
struct Subject {
    size: u64,
    /// How many bytes it has in blocks that hold data.
    data: u64,
    /// Of a source that can have bitmaps.
    bitmaps: Option<Vec<Bitmap>>,
}

pub(super) fn measure(files: &Files, line: &Line) -> Result<Vec<u8>> {
    line.wants_json()?;
    let subject = match line.value("size")? {
        Some(size) => Subject { size: read::<ByteSize>(size)?.as_u64(), data: 0, bitmaps: None },
        None => subject(files, line)?,
    };
    let format = line.format("O")?.unwrap_or(Format::Raw);
    let Some(target) = new_image(format, line.create_options(), subject.size, None)?.qcow2 else {
        let size = subject.size.next_multiple_of(512);
        return document!(Measurement, json!({ "required": size, "fully-allocated": size }));
    };
    if target.preallocated || (target.cluster_size != BLOCK && subject.data > 0) {
        return Err(Fault::not_modelled("what an image with preallocation or clusters of other than 64 KiB takes"));
    }
    let rounded = subject.size.next_multiple_of(target.cluster_size);
    let full = rounded + tables(rounded, &target);
    let mut measured = json!({ "required": full - rounded + subject.data, "fully-allocated": full });
    if let Some(members) = measured.as_object_mut().filter(|_| subject.bitmaps.is_some()) {
        let bitmaps = subject.bitmaps.unwrap_or_default();
        members.insert("bitmaps".to_owned(), of_bitmaps(&bitmaps, subject.size, target.cluster_size).into());
    }
    document!(Measurement, measured)
}

fn subject(files: &Files, line: &Line) -> Result<Subject> {
    let chain = files.chain(&line.image()?)?;
    let mut disk = files.stack(&chain)?;
    let top = chain.first().map(|top| files.image(top)).transpose()?;
    if let (Some(wanted), Some(first)) = (line.value("l")?, disk.0.first_mut()) {
        let snapshots = top.and_then(|top| top.qcow2.as_ref()).map_or(&[][..], |qcow2| &qcow2.snapshots);
        *first = &snapshot_to_load(snapshots, wanted)?.disk;
    }
    for named in &chain {
        files.image(named)?.check_layout()?;
    }
    let is_data = |index: &u64| matches!(disk.find(*index).block, Some(Block::Data(_)));
    let data = disk.indices().iter().filter(|index| is_data(index)).count() as u64 * BLOCK;
    Ok(Subject { size: disk.size(), data, bitmaps: top.and_then(Image::bitmaps).map(<[Bitmap]>::to_vec) })
}

/// The header and tables of an image with so many bytes of data: L1 and L2 tables, and reference counts of everything,
/// themselves included.
fn tables(data: u64, qcow2: &Qcow2) -> u64 {
    let cluster = qcow2.cluster_size;
    let entry = if qcow2.extended_l2 { 16 } else { 8 };
    let l2 = (data / cluster).next_multiple_of(cluster / entry) * entry;
    let l1 = (l2 / cluster).next_multiple_of(cluster / 8) * 8;
    let others = cluster + l1 + l2;
    let clusters = (others + data) / cluster;
    let counts_in_a_block = cluster * 8 / u64::from(qcow2.refcount_bits);
    let (mut blocks, mut table) = (0, 0);
    loop {
        let total = clusters + blocks + table;
        blocks = total.div_ceil(counts_in_a_block);
        table = blocks.div_ceil(cluster / 8);
        if total == clusters + blocks + table {
            return others + (blocks + table) * cluster;
        }
    }
}

/// Each bitmap's bits and the table of their clusters, and one directory of all.
fn of_bitmaps(bitmaps: &[Bitmap], size: u64, cluster: u64) -> u64 {
    // The fixed part of an entry of the directory, and entries of 8 bytes.
    const ENTRY: u64 = 24;
    let mut directory = 0;
    let mut total = 0;
    for bitmap in bitmaps {
        let clusters = size.div_ceil(bitmap.granularity).div_ceil(8).div_ceil(cluster);
        total += clusters * cluster + (clusters * 8).next_multiple_of(cluster);
        directory += (ENTRY + bitmap.name.len() as u64).next_multiple_of(8);
    }
    total + directory.next_multiple_of(cluster)
}
