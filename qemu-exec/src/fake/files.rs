//! The images that there are, and opening them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use qemu_cmd::Format;
use qemu_info::resolve_backing_name;

use super::disk::{BLOCK, Block, Layer, Stack, ZEROS};
use super::fault::{Fault, Result};

/// An image file.
#[derive(Clone, Debug)]
pub(super) struct Image {
    pub(super) disk: Layer,
    /// What a raw image has not.
    pub(super) qcow2: Option<Qcow2>,
}

/// What a qcow2 image is besides its disk.
#[derive(Clone, Debug)]
pub(super) struct Qcow2 {
    /// Version 3, `compat=1.1`.
    pub(super) v3: bool,
    pub(super) lazy_refcounts: bool,
    pub(super) refcount_bits: u8,
    pub(super) cluster_size: u64,
    pub(super) extended_l2: bool,
    pub(super) zstd: bool,
    pub(super) backing: Option<Backing>,
    pub(super) snapshots: Vec<Snapshot>,
    pub(super) bitmaps: Vec<Bitmap>,
    /// Whether space was allocated in advance, so that not only the content says what is allocated.
    pub(super) preallocated: bool,
}

/// A backing file as an image names it.
#[derive(Clone, Debug)]
pub(super) struct Backing {
    pub(super) name: String,
    pub(super) format: Format,
}

#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) disk: Layer,
}

#[derive(Clone, Debug)]
pub(super) struct Bitmap {
    pub(super) name: String,
    pub(super) granularity: u64,
    pub(super) enabled: bool,
}

impl Image {
    /// A raw image, of which qemu allocates the first block.
    pub(super) fn raw(size: u64) -> Self {
        let mut disk = Layer::new(size);
        if size > 0 {
            disk.write(0, ZEROS.clone());
        }
        Self { disk, qcow2: None }
    }

    pub(super) fn format(&self) -> Format {
        if self.qcow2.is_some() { Format::Qcow2 } else { Format::Raw }
    }

    /// Its bitmaps, if it is one that can have any.
    pub(super) fn bitmaps(&self) -> Option<&[Bitmap]> {
        self.qcow2.as_ref().filter(|qcow2| qcow2.v3).map(|qcow2| qcow2.bitmaps.as_slice())
    }

    /// Writes zeros to a whole block, as the format can.
    pub(super) fn zero(&mut self, index: u64, on_backing: bool) {
        match &self.qcow2 {
            Some(qcow2) if qcow2.v3 => _ = self.disk.blocks.insert(index, Block::Zero),
            Some(_) if on_backing => self.disk.write(index, ZEROS.clone()),
            _ => _ = self.disk.blocks.remove(&index),
        }
    }

    /// Whether its blocks are those of the model, so that their number means something.
    pub(super) fn check_layout(&self) -> Result<()> {
        let strange = |qcow2: &Qcow2| qcow2.preallocated || qcow2.extended_l2 || qcow2.cluster_size != BLOCK;
        if self.qcow2.as_ref().is_some_and(strange) {
            return Err(Fault::not_modelled(
                "what is allocated in an image with preallocation, extended L2 entries or clusters of other than 64 KiB",
            ));
        }
        Ok(())
    }
}

/// An image as a command names it.
#[derive(Clone, Debug)]
pub(super) struct Named {
    pub(super) name: String,
    /// `None` if it is to be found out.
    pub(super) format: Option<Format>,
}

impl Named {
    pub(super) fn path(&self) -> PathBuf {
        path_of(self.name.as_ref())
    }
}

/// The one path of a file; links and `..` are not followed.
pub(super) fn path_of(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

#[derive(Clone, Debug, Default)]
pub(super) struct Files(pub(super) BTreeMap<PathBuf, Image>);

impl Files {
    /// One image, without the images below it.
    pub(super) fn image(&self, named: &Named) -> Result<&Image> {
        let image = self.0.get(&named.path()).ok_or_else(|| Fault::NotFound(named.name.clone()))?;
        match named.format {
            None if image.qcow2.is_none() && begins_with_data(&image.disk) => {
                Err(Fault::not_modelled("what qemu-img takes a raw image for whose first block holds data"))
            }
            Some(Format::Raw) if image.qcow2.is_some() => Err(Fault::not_modelled("the bytes of a qcow2 file")),
            Some(Format::Qcow2) if image.qcow2.is_none() => Err(Fault::WrongFormat(named.name.clone())),
            None | Some(Format::Raw | Format::Qcow2) => Ok(image),
            Some(format) => Err(Fault::not_modelled(format!("the format `{format}`"))),
        }
    }

    pub(super) fn image_mut(&mut self, named: &Named) -> Result<&mut Image> {
        self.image(named)?;
        self.at_mut(&named.path())
    }

    pub(super) fn at_mut(&mut self, path: &Path) -> Result<&mut Image> {
        self.0.get_mut(path).ok_or_else(|| Fault::NotFound(path.display().to_string()))
    }

    /// The same for a qcow2 image.
    pub(super) fn qcow2_mut(
        &mut self,
        named: &Named,
        else_say: impl FnOnce() -> String,
    ) -> Result<(&mut Layer, &mut Qcow2)> {
        let image = self.image_mut(named)?;
        let Image { disk, qcow2: Some(qcow2) } = image else { return Err(Fault::Failed(else_say())) };
        Ok((disk, qcow2))
    }

    /// The image and all images below it, top first.
    pub(super) fn chain(&self, named: &Named) -> Result<Vec<Named>> {
        let mut chain: Vec<Named> = Vec::new();
        let mut next = Some(named.clone());
        while let Some(named) = next {
            if chain.iter().any(|above| above.path() == named.path()) {
                return Err(Fault::not_modelled("a backing chain that comes back to itself"));
            }
            let image = self.image(&named)?;
            next = image
                .qcow2
                .as_ref()
                .and_then(|qcow2| qcow2.backing.as_ref())
                .map(|backing| below(&named, backing))
                .transpose()?;
            chain.push(named);
        }
        Ok(chain)
    }

    /// Their disks.
    pub(super) fn stack(&self, chain: &[Named]) -> Result<Stack<'_>> {
        chain.iter().map(|named| Ok(&self.image(named)?.disk)).collect::<Result<_>>().map(Stack)
    }
}

/// The backing file of an image that was opened as `overlay`.
pub(super) fn below(overlay: &Named, backing: &Backing) -> Result<Named> {
    let no_folder = |_| Fault::not_modelled("a backing file relative to no folder");
    let name = resolve_backing_name(&overlay.name, &backing.name).map_err(no_folder)?.unwrap_or_default();
    check_name(&name)?;
    Ok(Named { name, format: Some(backing.format) })
}

/// Refuses what is not the path of a file.
pub(super) fn check_name(name: &str) -> Result<()> {
    match qemu_cmd::Location::from_plain_name(name.as_ref()) {
        qemu_cmd::Location::File(_) => Ok(()),
        _ => Err(Fault::not_modelled("an image that is not in a file")),
    }
}

fn begins_with_data(disk: &Layer) -> bool {
    let first = disk.blocks.get(&0);
    matches!(first, Some(Block::Data(bytes)) if bytes.iter().take(4096).any(|byte| *byte != 0))
}
