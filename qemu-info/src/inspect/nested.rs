//! What should be ciphertext and is not.

use super::Code;
use super::ImageFormat;
use super::bytes::{Bytes, Stop};
use super::report::Report;

/// Enough for each of the magics.
const FIRST: usize = 1024;

/// Where a magic stands, the magic, and whose it is. All are long enough that ciphertext does not have them by chance.
const MAGICS: &[(usize, &[u8], ImageFormat)] = &[
    (0, b"QFI\xfb", ImageFormat::Qcow2),
    (0, b"LUKS\xba\xbe", ImageFormat::Luks),
    (0, b"QED\0", ImageFormat::Qed),
    (0, b"KDMV", ImageFormat::Vmdk),
    (0, b"COWD", ImageFormat::Vmdk),
    (0, b"# Disk DescriptorFile", ImageFormat::Vmdk),
    (0, b"vhdxfile", ImageFormat::Vhdx),
    (0, b"conectix", ImageFormat::Vpc),
    (0x40, b"\x7f\x10\xda\xbe", ImageFormat::Vdi),
    (0, b"WithoutFreeSpace", ImageFormat::Parallels),
    (0, b"WithouFreSpacExt", ImageFormat::Parallels),
    (0, b"Bochs Virtual HD Image", ImageFormat::Bochs),
    (512, b"EFI PART", ImageFormat::Gpt),
];

/// Looks at where the payload of an encrypted image starts, which the field at `field` says.
pub(super) fn look(bytes: &mut impl Bytes, payload: u64, field: u64, report: &mut Report<'_>) -> Result<(), Stop> {
    let first = bytes.at(payload, FIRST)?;
    let matches =
        |&&(at, magic, _): &&(usize, &[u8], ImageFormat)| first.get(at..).is_some_and(|at| at.starts_with(magic));
    if let Some((_, _, format)) = MAGICS.iter().find(matches) {
        let message = format!("its payload at {payload} should be ciphertext, and starts like {format}");
        report.find(Code::NestedFormat, field, message);
    }
    Ok(())
}
