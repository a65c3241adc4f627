//! Directories of this machine as FAT disks.

use std::path::PathBuf;

use super::Driver;
use super::builder::{self, Builder, parts};
use crate::{Error, KeyVal};

/// The width of the entries of a FAT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FatType {
    /// 12 bits.
    Fat12,
    /// 16 bits.
    Fat16,
    /// 32 bits, of which qemu says that it was never tested.
    Fat32,
}

impl FatType {
    const ALL: [Self; 3] = [Self::Fat12, Self::Fat16, Self::Fat32];

    const fn bits(self) -> u8 {
        match self {
            Self::Fat12 => 12,
            Self::Fat16 => 16,
            Self::Fat32 => 32,
        }
    }
}

/// A directory of this machine, shown as a FAT disk.
///
/// It has no plain name here: `fat:DIR` means something else for some directories. The node has the keys `driver`,
/// `dir`, `fat-type`, `floppy`, `label`, `rw`.
///
/// Refused are an empty directory and a label of more than 11 bytes. Source: QAPI type `BlockdevOptionsVVFAT`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct Vvfat {
    dir: PathBuf,
    fat_type: Option<FatType>,
    floppy: Option<bool>,
    label: Option<String>,
    rw: Option<bool>,
}

impl Vvfat {
    /// A disk that shows **every file in `dir`**, and in the directories below, to whoever gets the image.
    #[doc(alias = "dir")]
    #[doc(alias = "fat")]
    pub fn exposing_host_directory(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), fat_type: None, floppy: None, label: None, rw: None }
    }

    parts! {
        /// The width of the FAT's entries. Default: 16, for a floppy 12.
        #[doc(alias = "fat-type")]
        copy fat_type: FatType;
        /// Whether it is a floppy disk of 2.88 MiB (1.44 MiB with 12 bits) rather than a hard disk with a partition.
        /// Default: no.
        copy floppy: bool;
        /// The label of the volume, of at most 11 bytes. Default: `QEMU VVFAT`.
        text label: String;
        /// Whether what is written to the disk **changes the directory**; only for an existing target. Default: no.
        /// qemu does not promise that it works.
        copy rw: bool;
    }
}

impl Driver for Vvfat {
    fn node(&self) -> Result<KeyVal, Error> {
        const LABEL_MAX: usize = 11;
        let node = Builder::new("vvfat").text("dir", &self.dir)?;
        if let Some(label) = self.label.as_ref().filter(|label| label.len() > LABEL_MAX) {
            return Err(node.refusal("label", label, "a label has at most 11 bytes"));
        }
        let node = node.number("fat-type", self.fat_type.map(FatType::bits)).switch("floppy", self.floppy);
        Ok(node.optional("label", self.label.as_ref())?.switch("rw", self.rw).done())
    }

    fn read(node: &KeyVal) -> Option<Self> {
        let bits: Option<u8> = builder::value(node, "fat-type");
        Some(Self {
            dir: node.get("dir")?.into(),
            fat_type: FatType::ALL.into_iter().find(|kind| Some(kind.bits()) == bits),
            floppy: builder::switch(node, "floppy"),
            label: builder::value(node, "label"),
            rw: builder::switch(node, "rw"),
        })
    }
}
