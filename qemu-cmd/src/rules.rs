//! Combinations that qemu-img always refuses or gets silently wrong, for the typed commands and for command
//! lines that somebody wrote.

use crate::{ByteSize, Error, Format};

/// Whether compressed data can be written to such an image.
pub(crate) fn check_compression(format: &str, encrypted: bool, preallocated: bool) -> Result<(), Error> {
    if matches!(format, "raw" | "luks" | "vdi" | "vhdx" | "vpc" | "qed" | "parallels") {
        return Err(Error::CompressionUnsupported { format: format.to_owned() });
    }
    if encrypted {
        return Err(Error::CompressionWithEncryption);
    }
    if preallocated {
        return Err(Error::CompressionWithPreallocation);
    }
    Ok(())
}

/// Whether such an image can have a backing file.
pub(crate) fn check_backing(format: Format) -> Result<(), Error> {
    match format {
        Format::Qcow2 | Format::Qed | Format::Qcow | Format::Vmdk => Ok(()),
        _ => Err(Error::BackingUnsupported { format: format.as_str() }),
    }
}

/// Qemu reads the sizes of options as signed numbers.
pub(crate) fn check_signed(sizes: &[Option<ByteSize>]) -> Result<(), Error> {
    let max = ByteSize::bytes(i64::MAX.unsigned_abs());
    match sizes.iter().flatten().find(|size| **size > max) {
        Some(size) => Err(Error::SizeTooLarge { size: *size, max }),
        None => Ok(()),
    }
}

pub(crate) fn check_power_of_two(
    what: &'static str,
    size: ByteSize,
    min: ByteSize,
    max: ByteSize,
) -> Result<(), Error> {
    if size.as_u64().is_power_of_two() && size >= min && size <= max {
        return Ok(());
    }
    Err(Error::PowerOfTwo { what, size, min, max })
}

pub(crate) fn check_multiple(what: &'static str, size: ByteSize, unit: ByteSize, max: ByteSize) -> Result<(), Error> {
    if size >= unit && size.as_u64().is_multiple_of(unit.as_u64()) && size <= max {
        return Ok(());
    }
    Err(Error::Multiple { what, size, unit, max })
}

pub(crate) fn check_refcount_bits(bits: u8) -> Result<(), Error> {
    if bits.is_power_of_two() && bits <= 64 { Ok(()) } else { Err(Error::RefcountBits { bits }) }
}

pub(crate) fn check_coroutines(coroutines: u8) -> Result<(), Error> {
    if (1..=16).contains(&coroutines) { Ok(()) } else { Err(Error::Coroutines { given: coroutines }) }
}

pub(crate) fn check_sparse_size(size: ByteSize) -> Result<(), Error> {
    if size.as_u64().is_multiple_of(512) && size <= ByteSize::mib(16) {
        Ok(())
    } else {
        Err(Error::SparseSize { size })
    }
}

/// qemu-img rounds other qcow2 sizes up without a word.
pub(crate) fn check_sectors(size: ByteSize) -> Result<(), Error> {
    let below = size.as_u64() / 512 * 512;
    if below == size.as_u64() {
        return Ok(());
    }
    Err(Error::SizeNotSectors {
        size,
        below: ByteSize::bytes(below),
        above: ByteSize::bytes(below.saturating_add(512)),
    })
}
