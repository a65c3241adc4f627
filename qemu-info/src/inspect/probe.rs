//! Which formats an image is valid as.

use super::bytes::{Bytes, Integers as _, Stop};
use super::report::Report;
use super::{Code, ImageFormat, luks, qcow, qcow2};

/// Enough for every magic that stands at or near the start.
const FIRST: usize = 1024;

type Parser<B> = fn(&mut B, &mut Report<'_>) -> Result<(), Stop>;

/// Finds out what the image is, and has each format's parser report about it.
pub(super) fn examine<B: Bytes>(bytes: &mut B, report: &mut Report<'_>) -> Result<(), Stop> {
    let first = bytes.at(0, FIRST)?.to_vec();
    for (format, parser) in by_magic::<B>(&first) {
        report.formats.push(format);
        several(report);
        parsed(parser(bytes, report))?;
    }
    // TODO: discs, footers, partition tables
    if report.formats.is_empty() {
        let size = bytes.size()?;
        report.size(size.next_multiple_of(512), 0);
    }
    Ok(())
}

fn by_magic<B: Bytes>(first: &[u8]) -> impl Iterator<Item = (ImageFormat, Parser<B>)> {
    let version = first.be32(4);
    let qcow = first.starts_with(b"QFI\xfb");
    let luks = first.starts_with(luks::MAGIC);
    let luks2 = first.be16(6) == 2;
    let table: [(bool, ImageFormat, Parser<B>); 4] = [
        (qcow && version != 1, ImageFormat::Qcow2, qcow2::parse),
        (qcow && version == 1, ImageFormat::Qcow, qcow::parse),
        (luks && !luks2, ImageFormat::Luks, luks::parse),
        (luks && luks2, ImageFormat::Luks2, luks::parse),
    ];
    table.into_iter().filter(|(matches, ..)| *matches).map(|(_, format, parser)| (format, parser))
}

/// A parser that found its format broken has said so, and the image may be valid as another.
fn parsed(result: Result<(), Stop>) -> Result<(), Stop> {
    match result {
        Err(Stop::Broken) => Ok(()),
        other => other,
    }
}

fn several(report: &mut Report<'_>) {
    if let [first, .., last] = report.formats[..] {
        report.find(Code::SeveralFormats, 0, format!("it is valid as {last} as well as {first}"));
    }
}
