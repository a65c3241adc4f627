//! VMware's format. Source: what `vmdk_open` of qemu reads and refuses.

mod descriptor;

use super::bytes::{Bytes, Integers as _, Stop};
use super::report::Report;
use super::{Code, Name, limits};
use descriptor::Descriptor;

const SPARSE: &[u8] = b"KDMV";
/// The sparse extents of ESX: the old ones, which qemu opens only as part of an image, and the new ones.
const COWD: &[u8] = b"COWD";
const SE_SPARSE: &[u8] = &0xcafe_babe_u64.to_le_bytes();

/// Where qemu reads the embedded descriptor, wherever the header says that it is, and how much of it.
const EMBEDDED: (u64, usize) = (512, 20 * 512);
/// The footer of a stream, between the markers that announce it and end the stream.
const FOOTER: usize = 3 * 512;
/// The grain directory's place, if the footer knows it.
const AT_END: u64 = u64::MAX;

const REDUNDANT: u32 = 1 << 1;
const GRAIN_SECTORS: u64 = 1 << 21;
const TABLE_ENTRIES: u32 = 512;

pub(super) fn matches(first: &[u8]) -> bool {
    first.starts_with(SPARSE) || first.starts_with(COWD) || first.starts_with(SE_SPARSE) || descriptor::is_one(first)
}

pub(super) fn parse(bytes: &mut impl Bytes, report: &mut Report<'_>) -> Result<(), Stop> {
    let header = bytes.at(0, 512)?.to_vec();
    if header.starts_with(COWD) || header.starts_with(SE_SPARSE) {
        return Err(report.broken(Code::UnusualVmdk, 0, "it is an extent of an ESX server's image, not an image"));
    }
    if !header.starts_with(SPARSE) {
        return text(bytes, report, 0);
    }
    // An image without a capacity is described by its descriptor alone.
    let descriptor_at = limits::in_sectors(header.le64(28));
    if header.le64(12) == 0 && header.le64(28) != 0 {
        let Some(at) = descriptor_at else {
            return Err(report.broken(Code::Malformed, 28, "its descriptor starts behind every file's end"));
        };
        report.find(Code::ExternalExtent, 12, "it has no capacity of its own: its descriptor lists the extents");
        return text(bytes, report, at);
    }
    let (at, length) = EMBEDDED;
    embedded(bytes, report, at, length, true)?;
    // Others go by the header.
    let said = usize::try_from(header.le64(36)).unwrap_or(usize::MAX).saturating_mul(512);
    if let Some(other) = descriptor_at.filter(|other| *other != 0 && (*other != at || said > length)) {
        embedded(bytes, report, other, said.min(descriptor::LONGEST), false)?;
    }
    sparse(bytes, report, header)
}

/// A sparse image in one file.
fn sparse(bytes: &mut impl Bytes, report: &mut Report<'_>, first: Vec<u8>) -> Result<(), Stop> {
    let (mut header, mut base) = (first.clone(), 0);
    if header.le64(56) == AT_END {
        let end = bytes.sectors_end()?;
        let start = end.saturating_sub(FOOTER as u64);
        let footer = bytes.at(start, FOOTER)?.to_vec();
        let marker = |at: usize| (footer.le32(at + 8), footer.le32(at + 12));
        base = start + 512;
        header = footer.get(512..1024).unwrap_or_default().to_vec();
        if !header.starts_with(SPARSE) || marker(0) != (0, 3) || marker(1024) != (0, 0) || footer.le64(1024) != 0 {
            return Err(report.broken(
                Code::Malformed,
                56,
                "its footer, which says where its grains are, is not valid",
            ));
        }
        // Whoever reads from front to back goes by the header, and must see the same disk.
        let shape = |header: &[u8]| (header.le64(12), header.le64(20), header.le32(44), header.le16(77));
        if shape(&header) != shape(&first) {
            report.find(Code::Malformed, base + 12, "its footer says something else than its header");
        }
    }
    let version = header.le32(4);
    report.facts.version = Some(version);
    if version > 3 {
        let message = format!("version {version} of VMDK is not one that qemu can open");
        return Err(report.broken(Code::Unsupported, base + 4, message));
    }
    let compressed = header.le16(77) == 1;
    report.facts.subformat = Some(if compressed { "streamOptimized" } else { "monolithicSparse" }.into());
    let (grain, entries) = (header.le64(20), header.le32(44));
    if grain == 0 || grain > GRAIN_SECTORS {
        return Err(report.broken(Code::Malformed, base + 20, format!("its grains have {grain} sectors")));
    }
    if entries == 0 || entries > TABLE_ENTRIES {
        return Err(report.broken(Code::Malformed, base + 44, format!("its grain tables have {entries} entries")));
    }
    report.facts.cluster_size = Some(grain * limits::SECTOR);
    if compressed {
        // It is read and unpacked whole, in three times as much memory. qemu counts that in 32 bits, and aborts.
        report.table("compressed grain", grain * limits::SECTOR, base + 20);
    }
    let capacity = header.le64(12);
    let Some(size) = limits::in_sectors(capacity) else {
        return Err(report.broken(Code::Malformed, base + 12, format!("its virtual size is {capacity} sectors")));
    };
    report.size(size, base + 12);

    let tables = capacity.div_ceil(grain * u64::from(entries));
    report.facts.table_entries = Some(tables);
    report.table("grain directory", tables * 4, base + 12);
    let end = bytes.sectors_end()?;
    let redundant = (header.le32(8) & REDUNDANT != 0).then_some(("redundant grain directory", 48));
    for (what, field) in [Some(("grain directory", 56)), redundant].into_iter().flatten() {
        let start = header.le64(field).saturating_mul(limits::SECTOR);
        report.inside(what, (start, tables * 4), end, base + field as u64);
    }
    report.inside("overhead", (0, header.le64(64).saturating_mul(limits::SECTOR)), end, base + 64);
    Ok(())
}

/// The descriptor in a sparse image. qemu takes the parent's name from it, and nothing else.
fn embedded(
    bytes: &mut impl Bytes,
    report: &mut Report<'_>,
    at: u64,
    length: usize,
    decides: bool,
) -> Result<(), Stop> {
    let text = bytes.at(at, length)?.to_vec();
    let descriptor = Descriptor::new(&text);
    if descriptor.is_empty() && !decides {
        return Ok(());
    }
    parent(report, &descriptor, at)?;
    let create_type = descriptor.text("createType").flatten().map(Name::new);
    if let Some(other) = create_type.filter(|name| !is_usual(name)) {
        let offset = at + descriptor.position("createType").unwrap_or_default() as u64;
        report.find(Code::UnusualVmdk, offset, format!("its create type is `{other}`"));
    }
    let extents = descriptor.extents();
    // A sparse image lists itself, under the name that it had when it was made.
    let itself = |index: usize, kind: &str, file: &Name| {
        index == 0 && kind == "SPARSE" && !file.as_bytes().iter().any(|byte| matches!(byte, b'/' | b'\\'))
    };
    let external = extents.iter().enumerate().find_map(|(index, (position, extent))| {
        let file = extent.file.as_ref().filter(|file| !itself(index, &extent.kind, file))?;
        Some((*position, format!("its descriptor names the file `{file}` as an extent")))
    });
    if let Some((position, message)) = external {
        report.find(Code::ExternalExtent, at + position as u64, message);
    }
    if decides {
        report.facts.extents = extents.into_iter().map(|(_, extent)| extent).collect();
    }
    Ok(())
}

fn is_usual(create_type: &Name) -> bool {
    matches!(create_type.as_bytes(), b"monolithicSparse" | b"streamOptimized")
}

/// A descriptor on its own: the disk lies in the files that it names.
fn text(bytes: &mut impl Bytes, report: &mut Report<'_>, at: u64) -> Result<(), Stop> {
    let text = bytes.at(at, descriptor::LONGEST + 1)?.to_vec();
    let descriptor = Descriptor::new(&text);
    let create_type = descriptor.text("createType").flatten().map(Name::new);
    let offset = at + descriptor.position("createType").unwrap_or_default() as u64;
    match create_type {
        Some(name) => {
            report.find(Code::UnusualVmdk, offset, format!("its create type is `{name}`, and it is a text"));
            report.facts.subformat = Some(name.to_string());
        }
        None => report.find(Code::Malformed, at, "its descriptor has no create type"),
    }
    let extents = descriptor.extents();
    if let Some((position, file)) = extents.iter().find_map(|(at, extent)| Some((*at, extent.file.as_ref()?))) {
        report.find(Code::ExternalExtent, at + position as u64, format!("it names the file `{file}` as an extent"));
    }
    let opened = extents.iter().filter(|(_, extent)| extent.file.is_some() && extent.access == "RW");
    let size = opened.fold(0, |size: u64, (_, extent)| size.saturating_add(extent.size));
    report.facts.extents = extents.into_iter().map(|(_, extent)| extent).collect();
    report.size(size, at);
    if descriptor.length() > descriptor::LONGEST {
        let message = format!("its descriptor is longer than {} bytes", descriptor::LONGEST);
        return Err(report.broken(Code::TableTooLarge, at, message));
    }
    parent(report, &descriptor, at)
}

/// The parent, by its name or its content's number. qemu refuses a descriptor that says neither number.
fn parent(report: &mut Report<'_>, descriptor: &Descriptor<'_>, at: u64) -> Result<(), Stop> {
    let offset = |key: &str| at + descriptor.position(key).unwrap_or_default() as u64;
    match descriptor.text("parentFileNameHint") {
        Some(Some(name)) => {
            let name = Name::new(name);
            report.find(Code::BackingFile, offset("parentFileNameHint"), format!("it is the child of `{name}`"));
            report.facts.backing_file = Some(name);
            report.facts.backing_format = Some(Name::new(b"vmdk"));
        }
        Some(None) => {
            let offset = offset("parentFileNameHint");
            return Err(report.broken(Code::Malformed, offset, "the name of its parent has no end"));
        }
        None => {}
    }
    if descriptor.number("CID").is_none() {
        return Err(report.broken(Code::Malformed, offset("CID"), "its descriptor has no CID"));
    }
    match descriptor.number("parentCID") {
        None => Err(report.broken(Code::Malformed, offset("parentCID"), "its descriptor has no parentCID")),
        Some(number) if number != u32::MAX && report.facts.backing_file.is_none() => {
            let message = format!("it is the child of an image with the CID {number:08x}");
            report.find(Code::BackingFile, offset("parentCID"), message);
            Ok(())
        }
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests;
