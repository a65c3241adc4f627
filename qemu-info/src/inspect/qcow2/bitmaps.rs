//! The directory of persistent bitmaps. qemu loads them all when it opens an image, even to show it.

use std::collections::BTreeSet;

use super::super::bytes::{Bytes, Integers as _, Stop};
use super::super::report::Report;
use super::super::{Code, limits};
use super::header::{Header, Table};
use super::{Region, placed};

const ENTRY: usize = 24;
const IN_USE: u32 = 1 << 0;
const RESERVED: u32 = !3;
/// `BME_MAX_PHYS_SIZE`.
const LARGEST: u64 = 512 << 20;

/// What the header extension says.
#[derive(Clone, Copy)]
pub(super) struct Bitmaps {
    pub(super) directory: Table,
    /// The size of the directory in bytes.
    pub(super) size: u64,
    /// Where it stands where the directory starts.
    pub(super) field: u64,
}

impl Bitmaps {
    /// Whether the directory is none of those that were found too large.
    pub(super) const fn can_be_read(&self) -> bool {
        self.directory.count <= limits::BITMAPS && self.size <= limits::BITMAP_DIRECTORY
    }

    pub(super) fn length(&self) -> usize {
        usize::try_from(self.size).unwrap_or(limits::PIECE).min(limits::PIECE)
    }
}

pub(super) fn read(
    bytes: &mut impl Bytes,
    header: &Header,
    bitmaps: &Bitmaps,
    report: &mut Report<'_>,
    regions: &mut Vec<Region>,
) -> Result<(), Stop> {
    let start = bitmaps.directory.start;
    let directory = bytes.at(start, bitmaps.length())?;
    if directory.len() < bitmaps.length() {
        report.find(Code::Truncated, bitmaps.field, "it ends within the directory of its bitmaps");
        return Ok(());
    }
    let mut names = BTreeSet::new();
    let (mut memory, mut count, mut at) = (0_u64, 0, 0);
    while at < directory.len() {
        let offset = start.saturating_add(at as u64);
        let rest = directory.get(at..).unwrap_or_default();
        let entry = match Entry::read(rest, header) {
            Ok(entry) => entry,
            Err(wrong) => {
                report.find(Code::Malformed, offset, format!("an entry in the directory of its bitmaps {wrong}"));
                return Ok(());
            }
        };
        if !names.insert(entry.name) {
            report.find(Code::Malformed, offset, "two of its bitmaps have the same name");
        }
        placed("bitmap table", entry.table.start, header.cluster_size, offset, report);
        let length = u64::from(entry.table.count) * 8;
        regions.push(Region { what: "bitmap table", start: entry.table.start, length, field: offset });
        memory = memory.saturating_add(entry.memory);
        count += 1;
        at += entry.length;
    }
    if count != bitmaps.directory.count {
        let message = format!("the directory of its {} bitmaps has {count} entries", bitmaps.directory.count);
        report.find(Code::Malformed, bitmaps.field, message);
    }
    if memory > limits::BITMAP_MEMORY {
        let message = format!("its bitmaps take up {memory} bytes of memory, more than {}", limits::BITMAP_MEMORY);
        report.find(Code::TableTooLarge, bitmaps.field, message);
    }
    Ok(())
}

struct Entry<'a> {
    table: Table,
    name: &'a [u8],
    /// How large the bitmap itself is.
    memory: u64,
    /// How long the entry is.
    length: usize,
}

impl<'a> Entry<'a> {
    /// Reads the entry that the bytes start with, or says what is wrong with it.
    fn read(bytes: &'a [u8], header: &Header) -> Result<Self, &'static str> {
        let fixed: &[u8; ENTRY] = bytes.first_chunk().ok_or("is cut off")?;
        let table = Table { start: fixed.be64(0), count: fixed.be32(8) };
        let (flags, [kind, granularity]) = (fixed.be32(12), fixed.take(16));
        let (name, extra) = (usize::from(fixed.be16(18)), fixed.be32(20));
        if extra != 0 {
            return Err("has extra data, which qemu does not know");
        }
        let length = (ENTRY + name).next_multiple_of(8);
        let name = bytes.get(ENTRY..ENTRY + name).filter(|_| length <= bytes.len()).ok_or("is cut off")?;
        if kind != 1 || flags & RESERVED != 0 {
            return Err("is of a kind that qemu does not know");
        }
        if name.len() > limits::NAME {
            return Err("has a name of more than 1023 bytes");
        }
        if !(9..=31).contains(&granularity) {
            return Err("has a granularity that is not between 512 bytes and 2 GiB");
        }
        let stored = u64::from(table.count) * header.cluster_size;
        if stored == 0 || stored > LARGEST {
            return Err("has a table that is empty or larger than qemu allows");
        }
        let bits = header.size.div_ceil(1 << granularity);
        // It is stored as words of 64 bits. One that was in use may be from before the image was resized.
        if flags & IN_USE == 0 && u64::from(table.count) != (bits.div_ceil(64) * 8).div_ceil(header.cluster_size) {
            return Err("has a table of another size than the virtual size needs");
        }
        Ok(Self { table, name, memory: bits.div_ceil(8), length })
    }
}
