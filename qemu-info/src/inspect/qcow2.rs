//! qcow2, versions 2 and 3. Source: `docs/interop/qcow2.rst` of qemu, and what `qcow2_do_open` refuses.

mod bitmaps;
mod encryption;
mod extensions;
mod features;
mod header;
mod snapshots;
#[cfg(test)]
mod tests;

use super::bytes::{Bytes, Stop};
use super::report::Report;
use super::{Code, limits};
use header::Header;

/// A part of the image, and where it is said that it is one.
struct Region {
    what: &'static str,
    start: u64,
    length: u64,
    field: u64,
}

/// What needs less of the image comes first, so that in a stream the verdict comes as soon as it can.
pub(super) fn parse(bytes: &mut impl Bytes, report: &mut Report<'_>) -> Result<(), Stop> {
    let header = Header::read(bytes, report)?;
    let extensions = extensions::read(bytes, &header, report)?;
    header.backing_name(bytes, report)?;

    let snapshots = snapshots::length(&header);
    let bitmaps = extensions.bitmaps.filter(|bitmaps| bitmaps.can_be_read());
    bytes.keep(header.snapshots.start, snapshots);
    if let Some(bitmaps) = &bitmaps {
        bytes.keep(bitmaps.directory.start, bitmaps.length());
    }

    encryption::look(bytes, &header, extensions.luks, report)?;
    let mut regions = header.regions();
    if snapshots != 0 {
        snapshots::read(bytes, &header, report, &mut regions)?;
    }
    if let Some(bitmaps) = &bitmaps {
        bitmaps::read(bytes, &header, bitmaps, report, &mut regions)?;
    }

    let size = bytes.size()?;
    let outside = |region: &&Region| region.start.checked_add(region.length).is_none_or(|end| end > size);
    // Of an image that was cut off, nearly everything lies outside.
    if let Some(Region { what, start, length, field }) = regions.iter().filter(|region| region.length > 0).find(outside)
    {
        report.inside(what, (*start, *length), size, *field);
    }
    Ok(())
}

/// What qemu asks of every table, even an empty one: it starts with a cluster, where a file can have one, and (which
/// it does not ask) not with the header's.
fn placed(what: &str, start: u64, cluster_size: u64, field: u64, report: &mut Report<'_>) {
    if !start.is_multiple_of(cluster_size) || start == 0 || start > limits::OFFSET {
        report.find(
            Code::Malformed,
            field,
            format!("its {what} cannot start at {start}, with clusters of {cluster_size}"),
        );
    }
}

/// Whether a table may be so large; if not, a finding.
fn bounded(what: &str, bytes: u64, most: u64, field: u64, report: &mut Report<'_>) -> bool {
    if bytes > most {
        report.find(Code::TableTooLarge, field, format!("its {what} is {bytes} bytes large, more than {most}"));
    }
    bytes <= most
}
