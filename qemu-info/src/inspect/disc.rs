//! Optical discs. Source: ECMA-119 for ISO 9660, ECMA-167 for UDF.

use super::bytes::{Bytes, Stop};

/// Where the descriptors start, one in each sector of a disc.
const DESCRIPTORS: u64 = 32 << 10;
const SECTOR: usize = 2048;
/// How many sectors are looked at. Real discs have fewer than ten descriptors.
const SECTORS: usize = 16;

/// Which file systems the disc has, if it is one.
pub(super) fn find(bytes: &mut impl Bytes) -> Result<Option<&'static str>, Stop> {
    let area = bytes.at(DESCRIPTORS, SECTORS * SECTOR)?;
    let identifiers = || area.chunks(SECTOR).filter_map(|sector| sector.get(1..6));
    let iso = identifiers().any(|identifier| identifier == b"CD001");
    let udf = identifiers().any(|identifier| identifier == b"NSR02" || identifier == b"NSR03");
    Ok(match (iso, udf) {
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

    fn disc(identifiers: &[&[u8; 5]]) -> Option<&'static str> {
        let mut image = vec![0; 32 << 10];
        for identifier in identifiers {
            let start = image.len();
            image.resize(start + 2048, 0);
            image[start + 1..start + 6].copy_from_slice(*identifier);
        }
        super::find(&mut Seekable::new(Cursor::new(image))).unwrap()
    }

    #[test]
    fn file_systems_are_told_by_their_descriptors() {
        assert_eq!(disc(&[b"CD001", b"CD001"]), Some("iso9660"));
        assert_eq!(disc(&[b"BEA01", b"NSR02", b"TEA01"]), Some("udf"));
        assert_eq!(disc(&[b"CD001", b"CD001", b"BEA01", b"NSR03", b"TEA01"]), Some("iso9660+udf"));
        assert_eq!(disc(&[b"BEA01", b"BOOT2", b"TEA01"]), None);
        assert_eq!(disc(&[]), None);
    }

    #[test]
    fn a_descriptor_that_is_cut_off_counts() {
        let mut image = vec![0; 32 << 10];
        image.extend(b"\x01CD001");
        assert_eq!(super::find(&mut Seekable::new(Cursor::new(image))).unwrap(), Some("iso9660"));
    }
}
