use super::options::{options, words};
use super::{CreateOptions, Format, Preallocation};
use crate::secret::SecretId;
use crate::{ByteSize, Error, KeyVal, Luks, PROTOCOLS, rules};

words! {
    /// The version of a new qcow2 image (`compat`).
    Compat {
        /// version 2, for software from before 2012.
        V0_10 = "0.10" | "v2",
        /// version 3. qemu's default.
        V1_1 = "1.1" | "v3",
    }
}

words! {
    /// How compressed clusters of a new qcow2 image are compressed (`compression_type`, since 5.1).
    CompressionType {
        /// qemu's default.
        Zlib = "zlib",
        /// faster; needs `compat=1.1`, and qemu 5.1 to read.
        Zstd = "zstd",
    }
}

options! {
    /// A new qcow2 image.
    ///
    /// Options that are not given are left to qemu-img, whose defaults are named here.
    Qcow2 with {
        /// Encrypts the data with LUKS. Default: none.
        #[doc(alias = "encrypt.format")]
        encryption: Luks,
    } {
        /// The version. Default: `1.1`.
        compat: Compat = "compat",
        /// The cluster size: a power of two from 512 bytes to 2 MiB. Default: 64 KiB.
        cluster_size: ByteSize = "cluster_size",
        /// How much to allocate in advance. Default: `off`.
        preallocation: Preallocation = "preallocation",
        /// Whether refcount updates are postponed. Default: off. Needs `compat=1.1`.
        lazy_refcounts: bool = "lazy_refcounts",
        /// The width of a refcount in bits: a power of two up to 64. Default: 16; others need `compat=1.1`.
        refcount_bits: u8 = "refcount_bits",
        /// Whether L2 entries are extended with subclusters (since 5.2). Default: off. Needs `compat=1.1` and
        /// clusters of at least 16 KiB.
        extended_l2: bool = "extended_l2",
        /// How compressed clusters are compressed. Default: `zlib`.
        compression_type: CompressionType = "compression_type",
        /// A file of its own for the data, which is made anew. The image stores the name as it is given; unlike that of
        /// a backing file, a relative one is **looked for from where whoever opens the image runs**, not beside the
        /// image. Needs `compat=1.1`, and excludes compression.
        data_file: String as &str = "data_file",
        /// Whether the data file stays readable as a raw image. Default: off. Needs a data file.
        data_file_raw: bool = "data_file_raw",
        /// Whether the data file exists already and is not overwritten (11.0). Default: off. Needs a data file.
        keep_data_file: bool = "keep_data_file",
        /// Whether copy-on-write is switched off for the file, on btrfs. Default: no.
        nocow: bool = "nocow",
        /// By how much the file system extends the file, on XFS and the like; 0 leaves it to the file system.
        /// Default: 1 MiB.
        extent_size_hint: ByteSize = "extent_size_hint",
    }
}

impl Qcow2 {
    fn clusters(&self) -> ByteSize {
        self.cluster_size.unwrap_or(ByteSize::kib(64))
    }

    pub(super) const fn has_data_file(&self) -> bool {
        self.data_file.is_some()
    }

    pub(super) const fn is_encrypted(&self) -> bool {
        self.encryption.is_some()
    }

    fn has_extended_l2(&self) -> bool {
        self.extended_l2 == Some(true)
    }

    pub(super) fn options(&self) -> Result<CreateOptions, Error> {
        self.check()?;
        let mut pairs = KeyVal::new();
        let mut secret = None;
        if let Some(luks) = &self.encryption {
            let id = SecretId::target();
            pairs.push("encrypt.key-secret", id.as_str());
            pairs.push("encrypt.format", "luks");
            for (key, value) in luks.options()? {
                pairs.push(["encrypt.", key].concat(), value);
            }
            secret = Some((id, luks.key().clone()));
        }
        for (key, value) in self.pairs()?.iter() {
            pairs.push(key, value);
        }
        Ok(CreateOptions {
            key: secret,
            preallocation: self.preallocation,
            extended_l2: self.has_extended_l2(),
            data_file: self.data_file.is_some(),
            data_file_raw: self.data_file_raw == Some(true),
            ..CreateOptions::of(pairs)
        })
    }

    fn check(&self) -> Result<(), Error> {
        let clusters = self.clusters();
        rules::check_power_of_two("qcow2 cluster size", clusters, ByteSize::bytes(512), ByteSize::mib(2))?;
        if self.has_extended_l2() && clusters < ByteSize::kib(16) {
            return Err(Error::ExtendedL2Clusters { size: clusters });
        }
        if let Some(bits) = self.refcount_bits {
            rules::check_refcount_bits(bits)?;
        }
        let start = self.data_file.as_deref().and_then(|name| name.split('/').next()?.split_once(':'));
        if start.is_some_and(|(protocol, _)| !PROTOCOLS.contains(&protocol)) {
            return Err(Error::Options(
                "qemu takes a data file with a `:` for a protocol: put `./` in front of its name",
            ));
        }
        if self.data_file.is_none() && (self.data_file_raw == Some(true) || self.keep_data_file == Some(true)) {
            return Err(Error::DataFileMissing);
        }
        if self.compat == Some(Compat::V0_10) {
            let needs_v3 = [
                ("lazy_refcounts", self.lazy_refcounts == Some(true)),
                ("refcount_bits", self.refcount_bits.is_some_and(|bits| bits != 16)),
                ("extended_l2", self.has_extended_l2()),
                ("compression_type", self.compression_type == Some(CompressionType::Zstd)),
                ("data_file", self.data_file.is_some()),
            ];
            if let Some((option, _)) = needs_v3.into_iter().find(|(_, given)| *given) {
                return Err(Error::NeedsCompat11 { option });
            }
        }
        Ok(())
    }

    pub(super) fn check_size(&self, size: ByteSize) -> Result<(), Error> {
        rules::check_sectors(Format::Qcow2, size)?;
        // The L1 table is at most 32 MiB of 8-byte entries, each for one L2 table of one cluster.
        let entry = if self.has_extended_l2() { 16 } else { 8 };
        let clusters = self.clusters().as_u64();
        let max = ByteSize::bytes((32 << 20) / 8 * (clusters / entry) * clusters);
        if size > max { Err(Error::SizeTooLarge { size, max }) } else { Ok(()) }
    }
}
