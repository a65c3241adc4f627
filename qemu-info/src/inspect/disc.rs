//! Optical discs. Source: ECMA-119 for ISO 9660, ECMA-167 for UDF.

use super::bytes::{Bytes, Stop};

/// Where the descriptors start, one in each sector of a disc.
const DESCRIPTORS: u64 = 32 << 10;
const SECTOR: usize = 2048;
/// How many sectors are looked at. Real discs have fewer than ten descriptors.
const SECTORS: usize = 16;

/// What a descriptor may call itself.
const IDENTIFIERS: [&[u8; 5]; 7] = [b"CD001", b"BEA01", b"NSR02", b"NSR03", b"BOOT2", b"CDW02", b"TEA01"];

/// Which file systems the disc has, if it is one. One descriptor is enough, wherever it stands; `among_data`, only one
/// to which others lead from the first sector, as programs that mount a disc seek them.
pub(super) fn find(bytes: &mut impl Bytes, among_data: bool) -> Result<Option<&'static str>, Stop> {
    let area = bytes.at(DESCRIPTORS, SECTORS * SECTOR)?;
    let all = area.chunks(SECTOR).filter_map(|sector| sector.get(1..6));
    let found = all.take_while(|found| !among_data || IDENTIFIERS.iter().any(|known| *found == *known));
    let has = |wanted: &[&[u8; 5]]| found.clone().any(|found| wanted.iter().any(|wanted| found == *wanted));
    Ok(match (has(&[b"CD001"]), has(&[b"NSR02", b"NSR03"])) {
        (true, true) => Some("iso9660+udf"),
        (true, false) => Some("iso9660"),
        (false, true) => Some("udf"),
        (false, false) => None,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use std::io::Cursor;

    use crate::inspect::seek::Seekable;

    fn disc(identifiers: &[&[u8; 5]], among_data: bool) -> Option<&'static str> {
        let mut image = vec![0; 32 << 10];
        for identifier in identifiers {
            let start = image.len();
            image.resize(start + 2048, 0);
            image[start + 1..start + 6].copy_from_slice(*identifier);
        }
        super::find(&mut Seekable::new(Cursor::new(image)), among_data).unwrap()
    }

    #[test]
    fn file_systems_are_told_by_their_descriptors() {
        for among_data in [false, true] {
            for (identifiers, expected) in [
                (&[b"CD001", b"CD001"][..], Some("iso9660")),
                (&[b"BEA01", b"NSR02", b"TEA01"], Some("udf")),
                (&[b"CD001", b"CD001", b"BEA01", b"NSR03", b"TEA01"], Some("iso9660+udf")),
                (&[b"BEA01", b"BOOT2", b"TEA01"], None),
                (&[], None),
            ] {
                assert_eq!(disc(identifiers, among_data), expected, "{identifiers:?}");
            }
        }
    }

    #[test]
    fn among_data_descriptors_stand_one_behind_the_other() {
        let stray = [b"\0\0\0\0\0", b"CD001", b"CD001"];
        assert_eq!(disc(&stray, false), Some("iso9660"));
        assert_eq!(disc(&stray, true), None);
    }

    #[test]
    fn a_descriptor_that_is_cut_off_counts() {
        let mut image = vec![0; 32 << 10];
        image.extend(b"\x01CD001");
        assert_eq!(super::find(&mut Seekable::new(Cursor::new(image)), true).unwrap(), Some("iso9660"));
    }
}
