//! Combinations that qemu-img always refuses or gets silently wrong, for the typed commands and for command
//! lines that somebody wrote.

use crate::{Backing, ByteSize, Error, Format, KeyVal, Location, Source};

/// Whether compressed data can be written to such an image. To a qcow one it can, and then every version from 5.2 to
/// 11.1 fails at its end, without a word.
pub(crate) fn check_compression(format: &str, encrypted: bool, preallocated: bool) -> Result<(), Error> {
    if matches!(format, "raw" | "luks" | "vdi" | "vhdx" | "vpc" | "qed" | "parallels" | "qcow") {
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

/// Whether an image can have what only qcow2 has. What is probed may.
pub(crate) fn check_qcow2(format: Option<Format>, what: &'static str) -> Result<(), Error> {
    match format {
        None | Some(Format::Qcow2) => Ok(()),
        Some(format) => Err(Error::FormatHasNo { format: format.as_str(), what }),
    }
}

/// Whether a source, or what is given below it, is written: 5.2 overwrites a raw image while it reads it, and later
/// ones fail to lock it.
pub(crate) fn check_not_written<'a>(
    source: &Source,
    written: impl IntoIterator<Item = &'a Location>,
) -> Result<(), Error> {
    let mut read = source.places();
    read.extend(source.parts().cloned());
    match written.into_iter().find(|written| read.iter().any(|read| read.is_same(written))) {
        Some(location) => Err(Error::SameFile { name: location.to_string() }),
        None => Ok(()),
    }
}

/// An image is not made over its own backing file, nor given itself as one: it would take its content from where that
/// was, and every version from 5.2 to 11.1 exits with 0.
pub(crate) fn check_not_own_backing(location: &Location, backing: &Backing) -> Result<(), Error> {
    if location.is_same(&backing.location().beside(location)) {
        return Err(Error::SameFile { name: location.to_string() });
    }
    Ok(())
}

/// Whether an image can be made at such a place, with these options. Those of a place are known beside those of the
/// format, and raw has none of its own.
pub(crate) fn check_creatable(location: &Location, format: Format, options: &KeyVal) -> Result<(), Error> {
    let driver = match location {
        Location::File(_) => return Ok(()),
        Location::HostDevice(_) => "host_device".to_owned(),
        // A place without a plain name is refused where the target is spelled.
        _ => match location.plain_name()? {
            Some(name) => name.to_string_lossy().split(':').next().unwrap_or_default().to_owned(),
            None => return Ok(()),
        },
    };
    let is_never_made = matches!(
        &*driver,
        "http" | "https" | "ftp" | "ftps" | "fat" | "null-co" | "null-aio" | "blkdebug" | "blkverify"
    );
    let is_not_preallocated = format == Format::Raw && matches!(&*driver, "rbd" | "ssh" | "nfs");
    let has = |option| options.get(option).is_some();
    let what = match () {
        () if is_never_made => "images that qemu makes: take one that exists",
        () if has("nocow") => "option `nocow`: only files have it",
        () if has("extent_size_hint") => "option `extent_size_hint`: only files have it",
        () if has("preallocation") && is_not_preallocated => "option `preallocation`",
        () => return Ok(()),
    };
    Err(Error::PlaceHasNo { driver, what })
}

/// A backing file is opened by its name, and a key has no place there.
pub(crate) fn check_backing_opens(backing: &Backing) -> Result<(), Error> {
    if backing.format() == Some(Format::Luks) {
        return Err(Error::LuksNeedsKey { name: backing.location().to_string() });
    }
    Ok(())
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

/// Whether it is one key of a list, and no list.
pub(crate) fn is_key(name: &str) -> bool {
    !name.is_empty() && !name.contains(['=', ',', '\0'])
}

pub(crate) fn check_key(name: &str) -> Result<(), Error> {
    if is_key(name) { Ok(()) } else { Err(Error::OptionName { name: name.to_owned() }) }
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

/// qemu-img rounds other sizes of such an image up without a word.
pub(crate) fn check_sectors(format: Format, size: ByteSize) -> Result<(), Error> {
    let below = size.as_u64() / 512 * 512;
    if below == size.as_u64() {
        return Ok(());
    }
    Err(Error::SizeNotSectors {
        format: format.as_str(),
        size,
        below: ByteSize::bytes(below),
        above: ByteSize::bytes(below.saturating_add(512)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backing_file_is_looked_for_beside_the_image() {
        for (image, backing, is_same) in [
            ("a", "a", true),
            ("d/a", "a", true),
            ("./d/a", "./a", true),
            ("/d/a", "a", true),
            ("/d/a", "/d/a", true),
            ("d/a", "d/a", false),
            ("d/a", "/a", false),
            ("d/a", "../a", false),
        ] {
            let backing = Backing::new(backing, Format::Raw);
            assert_eq!(check_not_own_backing(&image.into(), &backing).is_err(), is_same, "{image} on {backing:?}");
        }
    }
}
