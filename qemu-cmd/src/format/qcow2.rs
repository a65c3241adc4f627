use super::{CreateOptions, Preallocation};
use crate::secret::SecretId;
use crate::{ByteSize, Error, Luks, rules};

/// The version of a new qcow2 image (`compat`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compat {
    /// `0.10`: version 2, for software from before 2012.
    V0_10,
    /// `1.1`: version 3. qemu's default.
    V1_1,
}

/// How compressed clusters of a new qcow2 image are compressed (`compression_type`, since 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CompressionType {
    /// `zlib`, qemu's default.
    Zlib,
    /// `zstd`: faster; needs `compat=1.1`, and qemu 5.1 to read.
    Zstd,
}

/// A new qcow2 image.
///
/// Options that are not given are left to qemu-img, whose defaults are named here.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Qcow2 {
    encryption: Option<Luks>,
    compat: Option<Compat>,
    cluster_size: Option<ByteSize>,
    preallocation: Option<Preallocation>,
    lazy_refcounts: Option<bool>,
    refcount_bits: Option<u8>,
    extended_l2: Option<bool>,
    compression_type: Option<CompressionType>,
}

impl Qcow2 {
    /// A qcow2 image with no options given.
    pub const fn new() -> Self {
        Self {
            encryption: None,
            compat: None,
            cluster_size: None,
            preallocation: None,
            lazy_refcounts: None,
            refcount_bits: None,
            extended_l2: None,
            compression_type: None,
        }
    }

    /// Encrypts the data with LUKS. Default: none.
    #[doc(alias = "encrypt.format")]
    pub fn encryption(mut self, luks: Luks) -> Self {
        self.encryption = Some(luks);
        self
    }

    /// The version. Default: `1.1`.
    pub const fn compat(mut self, compat: Compat) -> Self {
        self.compat = Some(compat);
        self
    }

    /// The cluster size: a power of two from 512 bytes to 2 MiB. Default: 64 KiB.
    pub const fn cluster_size(mut self, size: ByteSize) -> Self {
        self.cluster_size = Some(size);
        self
    }

    /// How much to allocate in advance. Default: `off`.
    pub const fn preallocation(mut self, preallocation: Preallocation) -> Self {
        self.preallocation = Some(preallocation);
        self
    }

    /// Whether refcount updates are postponed. Default: off. Needs `compat=1.1`.
    pub const fn lazy_refcounts(mut self, on: bool) -> Self {
        self.lazy_refcounts = Some(on);
        self
    }

    /// The width of a refcount in bits: a power of two up to 64. Default: 16; others need `compat=1.1`.
    pub const fn refcount_bits(mut self, bits: u8) -> Self {
        self.refcount_bits = Some(bits);
        self
    }

    /// Whether L2 entries are extended with subclusters (since 5.2). Default: off. Needs `compat=1.1` and
    /// clusters of at least 16 KiB.
    pub const fn extended_l2(mut self, on: bool) -> Self {
        self.extended_l2 = Some(on);
        self
    }

    /// How compressed clusters are compressed. Default: `zlib`.
    pub const fn compression_type(mut self, compression: CompressionType) -> Self {
        self.compression_type = Some(compression);
        self
    }

    const fn clusters(&self) -> ByteSize {
        match self.cluster_size {
            Some(size) => size,
            None => ByteSize::kib(64),
        }
    }

    fn has_extended_l2(&self) -> bool {
        self.extended_l2 == Some(true)
    }

    pub(super) fn options(&self) -> Result<CreateOptions, Error> {
        self.check()?;
        let mut pairs = Vec::new();
        let mut push = |key: &str, value: String| pairs.push((key.to_owned(), value));
        let on_off = |on: bool| if on { "on" } else { "off" }.to_owned();
        let mut secret = None;
        if let Some(luks) = &self.encryption {
            let id = SecretId::target();
            push("encrypt.key-secret", id.to_string());
            push("encrypt.format", "luks".to_owned());
            for (key, value) in luks.options()? {
                push(&format!("encrypt.{key}"), value);
            }
            secret = Some((id, luks.passphrase().clone()));
        }
        if let Some(compat) = self.compat {
            push("compat", if compat == Compat::V0_10 { "0.10" } else { "1.1" }.to_owned());
        }
        if let Some(size) = self.cluster_size {
            push("cluster_size", size.to_string());
        }
        if let Some(mode) = self.preallocation {
            push("preallocation", mode.as_str().to_owned());
        }
        if let Some(on) = self.lazy_refcounts {
            push("lazy_refcounts", on_off(on));
        }
        if let Some(bits) = self.refcount_bits {
            push("refcount_bits", bits.to_string());
        }
        if let Some(on) = self.extended_l2 {
            push("extended_l2", on_off(on));
        }
        if let Some(compression) = self.compression_type {
            push("compression_type", if compression == CompressionType::Zstd { "zstd" } else { "zlib" }.to_owned());
        }
        Ok(CreateOptions { pairs, secret, preallocation: self.preallocation, extended_l2: self.has_extended_l2() })
    }

    fn check(&self) -> Result<(), Error> {
        let clusters = self.clusters();
        if !clusters.as_u64().is_power_of_two() || clusters < ByteSize::bytes(512) || clusters > ByteSize::mib(2) {
            return Err(Error::ClusterSize { size: clusters });
        }
        if self.has_extended_l2() && clusters < ByteSize::kib(16) {
            return Err(Error::ExtendedL2Clusters { size: clusters });
        }
        if let Some(bits) = self.refcount_bits
            && (!bits.is_power_of_two() || bits > 64)
        {
            return Err(Error::RefcountBits { bits });
        }
        if self.compat == Some(Compat::V0_10) {
            let needs_v3 = [
                ("lazy_refcounts", self.lazy_refcounts == Some(true)),
                ("refcount_bits", self.refcount_bits.is_some_and(|bits| bits != 16)),
                ("extended_l2", self.has_extended_l2()),
                ("compression_type", self.compression_type == Some(CompressionType::Zstd)),
            ];
            if let Some((option, _)) = needs_v3.into_iter().find(|(_, given)| *given) {
                return Err(Error::NeedsCompat11 { option });
            }
        }
        Ok(())
    }

    pub(super) fn check_size(&self, size: ByteSize) -> Result<(), Error> {
        rules::check_sectors(size)?;
        // The L1 table is at most 32 MiB of 8-byte entries, each for one L2 table of one cluster.
        let entry = if self.has_extended_l2() { 16 } else { 8 };
        let clusters = self.clusters().as_u64();
        let max = ByteSize::bytes((32 << 20) / 8 * (clusters / entry) * clusters);
        if size > max { Err(Error::SizeTooLarge { size, max }) } else { Ok(()) }
    }
}
