//! qcow2, versions 2 and 3. Source: `docs/interop/qcow2.rst` of qemu, and what `qcow2_do_open` refuses.

use super::bytes::{Bytes, Integers as _, Stop};
use super::report::Report;
use super::{Code, Features, ImageEncryption, Name, limits};

const DIRTY: u64 = 1 << 0;
const CORRUPT: u64 = 1 << 1;
const DATA_FILE: u64 = 1 << 2;
/// Dirty, corrupt, external data file, compression type, extended L2 entries.
const KNOWN_INCOMPATIBLE: u64 = 0x1f;

pub(super) fn parse(bytes: &mut impl Bytes, report: &mut Report<'_>) -> Result<(), Stop> {
    let header = bytes.at(0, 112)?.to_vec();
    let version = header.be32(4);
    report.facts.version = Some(version);
    if !matches!(version, 2 | 3) {
        report.find(Code::Unsupported, 4, format!("version {version} of qcow2 is not one that qemu can open"));
        return Err(Stop::Broken);
    }
    let _ = (limits::NAME, DIRTY, CORRUPT, DATA_FILE, KNOWN_INCOMPATIBLE);
    let _: Option<(Features, ImageEncryption, Name)> = None;
    Ok(())
}
