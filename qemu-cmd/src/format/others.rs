//! The formats of other programs, and of qemu's past.

use super::options::{options, words};
use super::{CreateOptions, Format};
use crate::{ByteSize, Error, rules};

words! {
    /// How a new VMDK image is laid out in files.
    VmdkSubformat {
        /// one file that grows. qemu's default.
        MonolithicSparse = "monolithicSparse",
        /// a descriptor and one file of the full size.
        MonolithicFlat = "monolithicFlat",
        /// a descriptor and files of at most 2 GB that grow.
        TwoGbMaxExtentSparse = "twoGbMaxExtentSparse",
        /// a descriptor and files of at most 2 GB, of the full size.
        TwoGbMaxExtentFlat = "twoGbMaxExtentFlat",
        /// one file to be read as a stream; its data is compressed.
        StreamOptimized = "streamOptimized",
    }
}

words! {
    /// The virtual disk adapter that a new VMDK image names.
    VmdkAdapter {
        /// qemu's default.
        Ide = "ide",
        /// LSI Logic.
        LsiLogic = "lsilogic",
        /// BusLogic.
        BusLogic = "buslogic",
        /// as in ESX before version 3.
        LegacyEsx = "legacyESX",
    }
}

options! {
    /// A new VMDK image (VMware).
    Vmdk {
        /// The layout. Default: `monolithicSparse`.
        subformat: VmdkSubformat = "subformat",
        /// The adapter. Default: `ide`.
        adapter_type: VmdkAdapter = "adapter_type",
        /// Whether it is of version 6. Default: off. Excludes `hwversion`.
        compat6: bool = "compat6",
        /// The virtual hardware version. Default: 4.
        hwversion: String as &str = "hwversion",
        /// The version of VMware's guest tools (since 6.2). Default: 2147483647.
        toolsversion: String as &str = "toolsversion",
        /// Whether grains of zeros are marked instead of stored. Default: off. Not for flat layouts.
        zeroed_grain: bool = "zeroed_grain",
    }
}

impl Vmdk {
    pub(super) fn options(&self) -> Result<CreateOptions, Error> {
        if self.compat6 == Some(true) && self.hwversion.is_some() {
            return Err(Error::Options("compat6 and hwversion of vmdk exclude each other: drop one of the two"));
        }
        let flat = matches!(self.subformat, Some(VmdkSubformat::MonolithicFlat | VmdkSubformat::TwoGbMaxExtentFlat));
        if flat && self.zeroed_grain == Some(true) {
            return Err(Error::Options("a flat vmdk has no grains that could be zeroed: drop zeroed_grain"));
        }
        Ok(CreateOptions {
            stream_optimized: self.subformat == Some(VmdkSubformat::StreamOptimized),
            ..CreateOptions::of(self.pairs()?)
        })
    }
}

options! {
    /// A new VDI image (VirtualBox).
    Vdi {
        /// Whether all blocks are allocated. Default: off.
        preallocated: bool = "static",
    }
}

impl Vdi {
    pub(super) fn options(&self) -> Result<CreateOptions, Error> {
        Ok(CreateOptions::of(self.pairs()?))
    }
}

words! {
    /// How a new VHD or VHDX image grows.
    VhdSubformat {
        /// with the data. qemu's default.
        Dynamic = "dynamic",
        /// not at all: it has its full size.
        Fixed = "fixed",
    }
}

options! {
    /// A new VHD image (Virtual PC, Azure).
    ///
    /// Without [`force_size`](Self::force_size) its size is rounded up to a geometry of cylinders, heads and
    /// sectors.
    Vpc {
        /// Whether it grows. Default: `dynamic`.
        subformat: VhdSubformat = "subformat",
        /// Whether the size is kept as asked for, as Azure needs it. Default: off.
        force_size: bool = "force_size",
    }
}

impl Vpc {
    pub(super) fn options(&self) -> Result<CreateOptions, Error> {
        Ok(CreateOptions::of(self.pairs()?))
    }

    pub(super) fn check_size(&self, size: ByteSize) -> Result<(), Error> {
        if self.force_size == Some(true) {
            return rules::check_sectors(Format::Vpc, size);
        }
        Ok(())
    }
}

options! {
    /// A new VHDX image (Hyper-V).
    Vhdx {
        /// Whether it grows. Default: `dynamic`.
        subformat: VhdSubformat = "subformat",
        /// The block size: 0 to let qemu-img choose by the image's size, or a power of two from 1 MiB to 256 MiB.
        /// Default: 0.
        block_size: ByteSize = "block_size",
        /// The size of the log: a multiple of 1 MiB, less than 4 GiB. Default: 1 MiB.
        log_size: ByteSize = "log_size",
        /// Whether new blocks are marked as zero instead of not present. Default: on, and qemu's help advises against
        /// off in a convert to a dynamic image.
        block_state_zero: bool = "block_state_zero",
    }
}

impl Vhdx {
    pub(super) fn options(&self) -> Result<CreateOptions, Error> {
        if let Some(size) = self.block_size.filter(|size| *size != ByteSize::bytes(0)) {
            // qemu-img takes others without a word, and uses the nearest that it can.
            rules::check_power_of_two("vhdx block size", size, ByteSize::mib(1), ByteSize::mib(256))?;
        }
        if let Some(size) = self.log_size {
            rules::check_multiple("vhdx log size", size, ByteSize::mib(1), ByteSize::mib(4095))?;
        }
        Ok(CreateOptions::of(self.pairs()?))
    }
}

options! {
    /// A new QED image, which nothing new should use.
    Qed {
        /// The cluster size: a power of two from 4 KiB to 64 MiB. Default: 64 KiB.
        cluster_size: ByteSize = "cluster_size",
        /// The size of an L1 or L2 table: 2, 4, 8 or 16 clusters. Default: 4. With 1, which it takes too, qemu-img makes an
        /// image that it cannot open.
        table_size: u8 = "table_size",
    }
}

impl Qed {
    pub(super) fn options(&self) -> Result<CreateOptions, Error> {
        if let Some(size) = self.cluster_size {
            rules::check_power_of_two("qed cluster size", size, ByteSize::kib(4), ByteSize::mib(64))?;
        }
        if let Some(clusters) = self.table_size {
            let size = ByteSize::bytes(u64::from(clusters));
            rules::check_power_of_two("qed table size", size, ByteSize::bytes(2), ByteSize::bytes(16))?;
        }
        // Qemu computes the largest size in 64 bits; where that overflows, it takes no size at all.
        let clusters = self.cluster_size.unwrap_or(ByteSize::kib(64)).as_u64();
        let entries = clusters * u64::from(self.table_size.unwrap_or(4)) / 8;
        if entries.checked_mul(entries).and_then(|tables| tables.checked_mul(clusters)).is_none() {
            return Err(Error::Options(
                "these clusters and tables of qed are too large for any image: make one smaller",
            ));
        }
        Ok(CreateOptions::of(self.pairs()?))
    }
}

options! {
    /// A new Parallels image (not in every build of 5.2).
    Parallels {
        /// The cluster size: a multiple of 512. Default: 1 MiB.
        cluster_size: ByteSize = "cluster_size",
    }
}

impl Parallels {
    pub(super) fn options(&self) -> Result<CreateOptions, Error> {
        if let Some(size) = self.cluster_size {
            rules::check_multiple("parallels cluster size", size, ByteSize::bytes(512), ByteSize::gib(1))?;
        }
        Ok(CreateOptions::of(self.pairs()?))
    }
}

options! {
    /// A new qcow image of version 1, which nothing new should use. Its encryption is broken by design, and not
    /// offered.
    Qcow {}
}

impl Qcow {
    pub(super) fn options(&self) -> Result<CreateOptions, Error> {
        Ok(CreateOptions::of(self.pairs()?))
    }

    pub(super) fn check_size(&self, size: ByteSize) -> Result<(), Error> {
        if size == ByteSize::bytes(0) {
            Err(Error::Options("a qcow image cannot be empty: give a size above 0"))
        } else {
            Ok(())
        }
    }
}
