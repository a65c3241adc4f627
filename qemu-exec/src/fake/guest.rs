//! What a guest and its host do to images while no qemu-img runs.

use std::path::Path;

use super::FakeExecutor;
use super::disk::{BLOCK, Layer, is_zero, patched};
use super::fault::{Fault, Result};
use super::files::{Files, Image, Named, path_of};
use super::line::utf8;
use crate::Error;

impl FakeExecutor {
    /// Puts a raw image there, in place of what there was. Its size is rounded up to 512 bytes.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) if the name is not UTF-8.
    pub fn put_raw(&self, path: impl AsRef<Path>, content: &[u8]) -> std::result::Result<(), Error> {
        let path = path.as_ref();
        let named = named(path).map_err(Fault::error)?;
        let mut disk = Layer::new((content.len() as u64).next_multiple_of(512));
        for (index, bytes) in (0..).zip(content.chunks(BLOCK as usize)) {
            if !is_zero(bytes) {
                disk.write(index, patched(&[0; BLOCK as usize], 0, bytes));
            }
        }
        self.state().files.0.insert(named.path(), Image { disk, qcow2: None });
        Ok(())
    }

    /// Writes as a guest does, whose disk this image is.
    ///
    /// # Errors
    /// The image or one below it is [not there](crate::ErrorKind::NotFound) or not of its format, or ends before.
    pub fn write(&self, path: impl AsRef<Path>, offset: u64, data: &[u8]) -> std::result::Result<(), Error> {
        named(path.as_ref())
            .and_then(|image| write(&mut self.state().files, &image, offset, data))
            .map_err(Fault::error)
    }

    /// Reads as a guest does, whose disk this image is: what lies behind its end is left out.
    ///
    /// # Errors
    /// The image or one below it is [not there](crate::ErrorKind::NotFound) or not of its format.
    pub fn read(&self, path: impl AsRef<Path>, offset: u64, length: u64) -> std::result::Result<Vec<u8>, Error> {
        named(path.as_ref()).and_then(|image| read(&self.state().files, &image, offset, length)).map_err(Fault::error)
    }

    /// Whether there is an image.
    #[must_use]
    pub fn exists(&self, path: impl AsRef<Path>) -> bool {
        self.state().files.0.contains_key(&path_of(path.as_ref()))
    }

    /// Removes an image. Whether there was one.
    pub fn remove(&self, path: impl AsRef<Path>) -> bool {
        self.state().files.0.remove(&path_of(path.as_ref())).is_some()
    }
}

fn named(path: &Path) -> Result<Named> {
    Ok(Named { name: utf8(path.as_os_str())?.to_owned(), format: None })
}

/// With the format that it has, whatever is in it.
fn chain(files: &Files, image: &Named) -> Result<Vec<Named>> {
    let format = files.0.get(&image.path()).map(Image::format);
    files.chain(&Named { format, ..image.clone() })
}

fn write(files: &mut Files, image: &Named, offset: u64, data: &[u8]) -> Result<()> {
    let chain = chain(files, image)?;
    let size = files.stack(&chain)?.size();
    if offset.checked_add(data.len() as u64).is_none_or(|end| end > size) {
        return Err(Fault::Failed(format!("`{}` ends at byte {size}", image.name)));
    }
    let mut rest = data;
    let mut offset = offset;
    while !rest.is_empty() {
        let (index, at) = (offset / BLOCK, (offset % BLOCK) as usize);
        let (part, after) = rest.split_at_checked(BLOCK as usize - at).unwrap_or((rest, &[]));
        let bytes = patched(&files.stack(&chain)?.bytes(index), at, part);
        files.at_mut(&image.path())?.disk.write(index, bytes);
        offset += part.len() as u64;
        rest = after;
    }
    Ok(())
}

fn read(files: &Files, image: &Named, offset: u64, length: u64) -> Result<Vec<u8>> {
    let chain = chain(files, image)?;
    let disk = files.stack(&chain)?;
    let end = offset.saturating_add(length).min(disk.size());
    let mut content = Vec::new();
    for index in offset / BLOCK..end.div_ceil(BLOCK) {
        let start = index * BLOCK;
        let within = |at: u64| (at.saturating_sub(start)).min(BLOCK) as usize;
        content.extend_from_slice(disk.bytes(index).get(within(offset)..within(end)).unwrap_or_default());
    }
    Ok(content)
}
