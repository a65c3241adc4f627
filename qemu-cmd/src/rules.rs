//! Combinations that qemu-img always refuses or gets silently wrong, for the typed commands and for command
//! lines that somebody wrote.

use crate::{ByteSize, Error};

/// Whether compressed data can be written to such an image.
pub(crate) fn check_compression(format: &str, encrypted: bool, preallocated: bool) -> Result<(), Error> {
    if matches!(format, "raw" | "luks" | "vdi" | "vhdx" | "vpc" | "qed") {
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
