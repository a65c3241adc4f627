//! Which formats an image is valid as.

use super::bytes::{Bytes, Integers as _, Stop};
use super::report::Report;
use super::{
    Code, ImageFormat, bochs, cloop, disc, dmg, luks, parallels, partitions, qcow, qcow2, qed, vdi, vhdx, vmdk, vpc,
};

/// Enough for every magic that stands at or near the start.
const FIRST: usize = 1024;

/// Enough for every footer, and all within what is kept of a stream.
const FOOTERS: usize = 2048;

type Parser<B> = fn(&mut B, &mut Report<'_>) -> Result<(), Stop>;

/// Finds out what the image is, and has each format's parser report about it.
///
/// The formats with a header come first, so that a stream is refused as soon as can be; then what a raw disk holds;
/// and at last what only the end can tell.
pub(super) fn examine<B: Bytes>(bytes: &mut B, report: &mut Report<'_>) -> Result<(), Stop> {
    let first = bytes.at(0, FIRST)?.to_vec();
    for (format, parser) in by_magic::<B>(&first) {
        add(report, format, |report| parser(bytes, report))?;
    }
    let content = Content::find(bytes, &first, !report.formats.is_empty())?;
    let early = !report.formats.is_empty() || content.is_hybrid();
    if early {
        content.add(report);
    }
    by_footer(bytes, report)?;
    if report.formats.is_empty() {
        content.add(report);
    }
    if report.formats.first().is_none_or(|format| format.driver() == Some("raw")) {
        let size = bytes.sectors_end()?;
        report.size(size, 0);
    } else if !early && matches!(report.formats[..], [ImageFormat::Vpc | ImageFormat::Dmg]) {
        // A disk in front of a footer: partitions are what it is there for.
        Content { table: None, ..content }.add(report);
    }
    Ok(())
}

/// The formats whose magic stands in the first bytes.
fn by_magic<B: Bytes>(first: &[u8]) -> impl Iterator<Item = (ImageFormat, Parser<B>)> {
    use ImageFormat as F;
    let version = first.be32(4);
    let qcow = first.starts_with(b"QFI\xfb");
    let luks = first.starts_with(luks::MAGIC);
    let luks2 = first.be16(6) == 2;
    let table: [(bool, F, Parser<B>); 12] = [
        (qcow && version != 1, F::Qcow2, qcow2::parse),
        (qcow && version == 1, F::Qcow, qcow::parse),
        (luks && !luks2, F::Luks, luks::parse),
        (luks && luks2, F::Luks2, luks::parse),
        (first.starts_with(qed::MAGIC), F::Qed, qed::parse),
        (vmdk::matches(first), F::Vmdk, vmdk::parse),
        (first.starts_with(vhdx::MAGIC), F::Vhdx, vhdx::parse),
        (first.starts_with(vpc::MAGIC), F::Vpc, vpc::parse),
        (first.get(vdi::SIGNATURE_AT..).is_some_and(|rest| rest.starts_with(vdi::SIGNATURE)), F::Vdi, vdi::parse),
        (parallels::matches(first), F::Parallels, parallels::parse),
        (bochs::matches(first), F::Bochs, bochs::parse),
        (first.starts_with(cloop::MAGIC), F::Cloop, cloop::parse),
    ];
    table.into_iter().filter(|(matches, ..)| *matches).map(|(_, format, parser)| (format, parser))
}

/// The formats whose magic stands in a footer: it makes no difference to qemu what is in front of it.
fn by_footer<B: Bytes>(bytes: &mut B, report: &mut Report<'_>) -> Result<(), Stop> {
    let (size, end) = (bytes.size()?, bytes.sectors_end()?);
    // All that is looked at here, so that a file is read once more and not twice.
    bytes.at(end.saturating_sub(FOOTERS as u64), FOOTERS)?;
    // qemu takes a footer that lacks its last byte too, and so counts from the end of the last sector.
    for at in [end, size].map(|end| end.saturating_sub(vpc::FOOTER)) {
        if !bytes.at(at, vpc::FOOTER as usize)?.starts_with(vpc::MAGIC) {
            continue;
        }
        if report.formats.contains(&ImageFormat::Vpc) {
            vpc::check_copy(bytes, at, report)?;
        } else {
            add(report, ImageFormat::Vpc, |report| vpc::parse_fixed(bytes, at, report))?;
        }
        break;
    }
    match dmg::find(bytes, end)? {
        Some(at) => add(report, ImageFormat::Dmg, |report| dmg::parse(bytes, at, report)),
        None => Ok(()),
    }
}

/// What a raw disk holds.
#[derive(Clone, Copy)]
struct Content {
    /// The file systems of an optical disc.
    disc: Option<&'static str>,
    /// The kind of partition table.
    table: Option<ImageFormat>,
}

impl Content {
    /// `among_data`: in front of it stands a header, so what is found can be the content of a disk within.
    fn find(bytes: &mut impl Bytes, first: &[u8], among_data: bool) -> Result<Self, Stop> {
        let disc = disc::find(bytes, among_data)?;
        // A GUID partition table has a DOS one in front of it, which protects it.
        let table = if partitions::has_gpt(bytes)? {
            Some(ImageFormat::Gpt)
        } else {
            partitions::has_mbr(first).then_some(ImageFormat::Mbr)
        };
        Ok(Self { disc, table })
    }

    const fn is_hybrid(self) -> bool {
        self.disc.is_some() && self.table.is_some()
    }

    /// Each is a format of its own.
    fn add(self, report: &mut Report<'_>) {
        if let Some(subformat) = self.disc {
            if report.formats.is_empty() {
                report.facts.subformat = Some(subformat.into());
            }
            valid_as(report, ImageFormat::Iso);
        }
        if let Some(table) = self.table {
            if report.policy().hybrid_discs && report.formats == [ImageFormat::Iso] {
                report.formats.push(table);
            } else {
                valid_as(report, table);
            }
        }
    }
}

/// Adds a format and what its parser reports. The facts are those of the first format.
fn add<'a>(
    report: &mut Report<'a>,
    format: ImageFormat,
    parse: impl FnOnce(&mut Report<'a>) -> Result<(), Stop>,
) -> Result<(), Stop> {
    valid_as(report, format);
    let result = if report.formats.len() == 1 {
        parse(report)
    } else {
        let mut other = Report::new(report.policy());
        let result = parse(&mut other);
        report.findings.append(&mut other.findings);
        result
    };
    // A parser that found its format broken has said so, and the image may be valid as another.
    match result {
        Err(Stop::Broken) => Ok(()),
        other => other,
    }
}

fn valid_as(report: &mut Report<'_>, format: ImageFormat) {
    report.formats.push(format);
    if let [first, .., last] = report.formats[..] {
        report.find(Code::SeveralFormats, 0, format!("it is valid as {last} as well as {first}"));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Cursor;

    use crate::inspect::ImageFormat::{Gpt, Iso, Mbr, Qed, Vdi};
    use crate::inspect::testing::{facts, image, patched, refused};
    use crate::inspect::{Code, ImageFormat, Policy, Verdict, inspect};

    const SIGNATURE: (usize, &[u8]) = (510, &[0x55, 0xaa]);
    const PARTITION: (usize, &[u8]) = (450, &[0x83, 0, 0, 0, 1, 0, 0, 0, 1]);
    const PROTECTIVE: (usize, &[u8]) = (450, &[0xee, 0, 0, 0, 1, 0, 0, 0, 1]);
    const DISC: (usize, &[u8]) = ((32 << 10) + 1, b"CD001");

    fn gpt(sector: usize, parts: &[(usize, &[u8])]) -> Vec<u8> {
        let header: [(usize, &[u8]); 3] = [(sector, b"EFI PART"), (sector + 12, &[92]), (sector + 24, &[1])];
        patched(&image(64 << 10, &header), parts)
    }

    #[test]
    fn a_raw_image_is_as_large_as_its_sectors() {
        for (bytes, size) in [(0, 0), (1, 512), (512, 512), (70_001, 70_144)] {
            let found = facts(&vec![0; bytes]);
            assert_eq!((found.format(), found.virtual_size()), (ImageFormat::Raw, Some(size)), "{bytes}");
            assert_eq!(found.formats(), []);
        }
    }

    #[test]
    fn partition_tables_are_one_format() {
        let disk = image(1024, &[SIGNATURE, PARTITION]);
        for (image, format) in [
            (disk, Mbr),
            (gpt(512, &[SIGNATURE, PROTECTIVE]), Gpt),
            (gpt(4096, &[SIGNATURE, PROTECTIVE]), Gpt),
            (gpt(512, &[]), Gpt),
            (gpt(512, &[(536, &[2]), SIGNATURE, PROTECTIVE]), Mbr),
        ] {
            assert_eq!(facts(&image).formats(), [format]);
            assert_eq!(refused(&image), []);
        }
    }

    #[test]
    fn a_hybrid_disc_is_accepted_by_choice() {
        let disc = image(64 << 10, &[DISC]);
        let hybrid = patched(&disc, &[SIGNATURE, PARTITION]);
        assert_eq!(facts(&disc).formats(), [Iso]);
        assert_eq!(refused(&disc), []);
        assert_eq!(refused(&hybrid), [(Code::SeveralFormats, 0)]);
        let found = inspect(Cursor::new(&hybrid), &Policy::untrusted().hybrid_discs(true)).unwrap();
        assert_eq!((found.formats(), found.verdict()), (&[Iso, Mbr][..], Verdict::Accept));
        assert_eq!(found.facts().subformat.as_deref(), Some("iso9660"));
        assert_eq!(found.virtual_size(), Some(64 << 10));
    }

    #[test]
    fn whatever_else_it_is_valid_as_is_told() {
        let mixed = image(64 << 10, &[(0, b"QED\0"), (0x40, super::vdi::SIGNATURE), DISC, SIGNATURE, PARTITION]);
        let found = facts(&mixed);
        assert_eq!(found.formats(), [Qed, Vdi, Iso, Mbr]);
        assert_eq!(found.facts().version, None, "the facts are those of the first");
        let several = refused(&mixed).into_iter().filter(|(code, _)| *code == Code::SeveralFormats).count();
        assert_eq!(several, 3);
    }
}
