//! The header extensions.

use super::super::bytes::{Bytes, Integers as _, Stop};
use super::super::report::Report;
use super::super::{Code, Name, limits};
use super::bitmaps::Bitmaps;
use super::features;
use super::header::{CRYPT_METHOD, Header, Table};

const END: u32 = 0;
const BACKING_FORMAT: u32 = 0xe279_2aca;
const FEATURE_NAMES: u32 = 0x6803_f857;
const LUKS: u32 = 0x0537_be77;
const BITMAPS: u32 = 0x2385_2875;
const DATA_FILE: u32 = 0x4441_5441;
const KNOWN: [u32; 5] = [BACKING_FORMAT, FEATURE_NAMES, LUKS, BITMAPS, DATA_FILE];

/// What the extensions point at.
#[derive(Default)]
pub(super) struct Extensions {
    /// The LUKS header: where it is, its length, and where that stands.
    pub(super) luks: Option<(u64, u64, u64)>,
    pub(super) bitmaps: Option<Bitmaps>,
}

/// One extension: its type, and where its data is.
struct Extension {
    kind: u32,
    start: u64,
    length: u64,
}

pub(super) fn read(bytes: &mut impl Bytes, header: &Header, report: &mut Report<'_>) -> Result<Extensions, Stop> {
    let mut found = Extensions::default();
    let end = header.extensions_end();
    let mut next = header.length;
    while next < end {
        let Some(head) = bytes.array::<8>(next)? else {
            report.find(Code::Truncated, next, "it ends within its header extensions");
            return Err(Stop::Broken);
        };
        let extension = Extension { kind: head.be32(0), start: next + 8, length: head.be32(4).into() };
        if extension.start + extension.length > end {
            report.find(Code::Malformed, next, "a header extension is larger than the space for it");
            return Err(Stop::Broken);
        }
        if extension.kind == END {
            break;
        }
        if report.facts.header_extensions.len() >= limits::HEADER_EXTENSIONS {
            let message = format!("it has more than {} header extensions", limits::HEADER_EXTENSIONS);
            report.find(Code::TableTooLarge, next, message);
            return Err(Stop::Broken);
        }
        if KNOWN.contains(&extension.kind) && report.facts.header_extensions.contains(&extension.kind) {
            report.find(Code::Malformed, next, format!("it has the header extension {:#010x} twice", extension.kind));
        }
        report.facts.header_extensions.push(extension.kind);
        found.take(&extension, bytes, header, report)?;
        next = extension.start + extension.length.next_multiple_of(8);
    }
    if header.incompatible & features::DATA_FILE != 0 {
        report.facts.data_file.get_or_insert_with(|| Name::new(b""));
    }
    if header.crypt_method == 2 && found.luks.is_none() {
        report.find(Code::Malformed, CRYPT_METHOD, "it is encrypted with LUKS, and has no LUKS header");
    }
    Ok(found)
}

impl Extensions {
    fn take(
        &mut self,
        extension: &Extension,
        bytes: &mut impl Bytes,
        header: &Header,
        report: &mut Report<'_>,
    ) -> Result<(), Stop> {
        let at = extension.start - 8;
        match extension.kind {
            BACKING_FORMAT => {
                let name = name(extension, 15, bytes, report)?;
                report.facts.backing_format = Some(name);
            }
            DATA_FILE => {
                if header.incompatible & features::DATA_FILE == 0 {
                    report.find(Code::DataFile, at, "it names a data file, though it does not say that it has one");
                }
                let name = name(extension, limits::NAME, bytes, report)?;
                report.facts.data_file = Some(name);
            }
            LUKS => self.luks = luks(extension, bytes, header, report)?,
            BITMAPS => self.bitmaps = bitmaps(extension, bytes, header, report)?,
            _ => {}
        }
        Ok(())
    }
}

fn name(extension: &Extension, longest: usize, bytes: &mut impl Bytes, report: &mut Report<'_>) -> Result<Name, Stop> {
    if extension.length > longest as u64 {
        let message = format!("a name in its header is {} bytes long, more than {longest}", extension.length);
        report.find(Code::Malformed, extension.start - 8, message);
    }
    let length = usize::try_from(extension.length).unwrap_or(longest).min(longest);
    Ok(Name::terminated(bytes.at(extension.start, length)?))
}

/// The data of an extension that has a fixed size.
fn fixed<const N: usize>(
    extension: &Extension,
    bytes: &mut impl Bytes,
    report: &mut Report<'_>,
) -> Result<[u8; N], Stop> {
    let data = if extension.length == N as u64 { bytes.array::<N>(extension.start)? } else { None };
    data.ok_or_else(|| {
        let Extension { kind, length, .. } = extension;
        let message = format!("the header extension {kind:#010x} of {length} bytes should have {N}");
        report.find(Code::Malformed, extension.start - 8, message);
        Stop::Broken
    })
}

fn luks(
    extension: &Extension,
    bytes: &mut impl Bytes,
    header: &Header,
    report: &mut Report<'_>,
) -> Result<Option<(u64, u64, u64)>, Stop> {
    let data = fixed::<16>(extension, bytes, report)?;
    if header.crypt_method != 2 {
        let message = "it has a LUKS header, and is not encrypted with LUKS";
        report.find(Code::Malformed, extension.start - 8, message);
        return Ok(None);
    }
    let start = data.be64(0);
    super::placed("LUKS header", start, header.cluster_size, extension.start, report);
    Ok(Some((start, data.be64(8), extension.start)))
}

fn bitmaps(
    extension: &Extension,
    bytes: &mut impl Bytes,
    header: &Header,
    report: &mut Report<'_>,
) -> Result<Option<Bitmaps>, Stop> {
    let data = fixed::<24>(extension, bytes, report)?;
    // Whoever wrote last did not know bitmaps, so qemu drops them unseen.
    if header.autoclear & features::BITMAPS == 0 {
        return Ok(None);
    }
    let (count, reserved, size, start) = (data.be32(0), data.be32(4), data.be64(8), data.be64(16));
    report.facts.bitmaps = Some(count);
    if reserved != 0 {
        report.find(Code::Malformed, extension.start + 4, "a reserved field of its bitmaps extension is not zero");
    }
    if count == 0 || size == 0 {
        report.find(Code::Malformed, extension.start, "it has a directory of bitmaps without any");
    }
    if count > limits::BITMAPS {
        let message = format!("it has {count} bitmaps, more than {}", limits::BITMAPS);
        report.find(Code::TableTooLarge, extension.start, message);
    }
    super::bounded("directory of bitmaps", size, limits::BITMAP_DIRECTORY, extension.start + 8, report);
    super::placed("directory of bitmaps", start, header.cluster_size, extension.start + 16, report);
    Ok(Some(Bitmaps { directory: Table { start, count }, size, field: extension.start + 16 }))
}
