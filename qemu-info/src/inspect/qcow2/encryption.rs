//! The LUKS header within, and whether the first cluster is ciphertext.

use super::super::bytes::{Bytes, Stop};
use super::super::report::Report;
use super::super::{Code, ImageEncryption, luks, nested};
use super::features;
use super::header::Header;

/// The offset in an entry of an L1 or L2 table.
const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;
const COMPRESSED: u64 = 1 << 62;
const ZERO: u64 = 1 << 0;

/// `within` is where the LUKS header is, its length, and where that stands.
pub(super) fn look(
    bytes: &mut impl Bytes,
    header: &Header,
    within: Option<(u64, u64, u64)>,
    report: &mut Report<'_>,
) -> Result<(), Stop> {
    match header.crypt_method {
        1 => report.facts.encryption = Some(ImageEncryption::Aes),
        2 => report.facts.encryption = Some(ImageEncryption::Luks { cipher: None }),
        _ => return Ok(()),
    }
    if let Some((start, length, field)) = within {
        let payload = luks::header(bytes, start, report)?;
        if payload > length {
            let message =
                format!("its LUKS header says that it is {payload} bytes long, and qcow2's that it is {length}");
            report.find(Code::Malformed, field + 8, message);
        }
    }
    // Another file's first cluster is not ours to read.
    if header.incompatible & features::DATA_FILE == 0 && header.l1.count > 0 {
        first_cluster(bytes, header, report)?;
    }
    Ok(())
}

fn first_cluster(bytes: &mut impl Bytes, header: &Header, report: &mut Report<'_>) -> Result<(), Stop> {
    let mut entry = |start: u64| bytes.array::<8>(start).map(|entry| entry.map_or(0, u64::from_be_bytes));
    let table = entry(header.l1.start)? & OFFSET;
    if table == 0 {
        return Ok(());
    }
    let cluster = entry(table)?;
    // Where clusters have subclusters, zeros are marked in another word, and qemu does not look at this bit.
    let zero = if header.incompatible & features::EXTENDED_L2 == 0 { ZERO } else { 0 };
    if cluster & (COMPRESSED | zero) == 0 && cluster & OFFSET != 0 {
        nested::look(bytes, cluster & OFFSET, table, report)?;
    }
    Ok(())
}
