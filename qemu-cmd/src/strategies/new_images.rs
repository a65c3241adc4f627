//! Images to be made, of every format that can be made.

use proptest::prelude::{BoxedStrategy, Just, Strategy, any, prop_oneof};

use super::World;
use super::parts::{of, with};
use super::words::{
    cipher_alg, cipher_mode, compat, compression_type, hash_alg, ivgen_alg, preallocation, raw_preallocation,
    vhd_subformat, vmdk_adapter, vmdk_subformat,
};
use crate::{
    ByteSize, CipherMode, Compat, HashAlg, Luks, LuksImage, NewImage, Parallels, Qcow, Qcow2, Qed, Raw, Vdi, Vhdx,
    Vmdk, Vpc,
};

/// Mostly a power of two in this range.
fn power(shift: std::ops::Range<u32>) -> BoxedStrategy<ByteSize> {
    prop_oneof![8 => shift.prop_map(|shift| ByteSize::bytes(1 << shift)), 1 => super::byte_size()].boxed()
}

/// A VDI image.
pub fn vdi() -> BoxedStrategy<Vdi> {
    of(any::<bool>()).prop_map(|all| with(Vdi::new(), all, Vdi::preallocated)).boxed()
}

/// A VHD image. Its size is rounded, or refused as in [`World::qcow2`] where it is to be kept.
pub fn vpc() -> BoxedStrategy<Vpc> {
    (of(vhd_subformat()), of(any::<bool>()))
        .prop_map(|(subformat, force)| with(with(Vpc::new(), subformat, Vpc::subformat), force, Vpc::force_size))
        .boxed()
}

/// A VHDX image. Refused are blocks that are no power of two, and logs that are not of whole MiB.
pub fn vhdx() -> BoxedStrategy<Vhdx> {
    let blocks = prop_oneof![1 => Just(ByteSize::bytes(0)), 6 => power(20..29)];
    let log = prop_oneof![8 => (1..8_u64).prop_map(ByteSize::mib), 1 => super::byte_size()];
    (of(vhd_subformat()), of(blocks), of(log), of(any::<bool>()))
        .prop_map(|(subformat, blocks, log, zero)| {
            let image = with(with(Vhdx::new(), subformat, Vhdx::subformat), blocks, Vhdx::block_size);
            with(with(image, log, Vhdx::log_size), zero, Vhdx::block_state_zero)
        })
        .boxed()
}

/// A QED image. Refused are sizes that are no power of two, and tables that are too large for any image.
pub fn qed() -> BoxedStrategy<Qed> {
    let table = prop_oneof![8 => (1..5_u8).prop_map(|shift| 1 << shift), 1 => any::<u8>()];
    (of(power(12..27)), of(table))
        .prop_map(|(clusters, table)| with(with(Qed::new(), clusters, Qed::cluster_size), table, Qed::table_size))
        .boxed()
}

/// A Parallels image. Refused are clusters that are no multiple of 512.
pub fn parallels() -> BoxedStrategy<Parallels> {
    of(power(9..24)).prop_map(|clusters| with(Parallels::new(), clusters, Parallels::cluster_size)).boxed()
}

/// A VMDK image. Refused is `compat6` with a hardware version, and zeroed grains in a flat layout.
pub fn vmdk() -> BoxedStrategy<Vmdk> {
    let versions = (of("[1-9][0-9]?"), of("[1-9][0-9]{0,8}"));
    (of(vmdk_subformat()), of(vmdk_adapter()), of(any::<bool>()), versions, of(any::<bool>()))
        .prop_map(|(subformat, adapter, compat6, (hardware, tools), zeroed)| {
            let image = with(with(Vmdk::new(), subformat, Vmdk::subformat), adapter, Vmdk::adapter_type);
            let image = with(image, compat6, Vmdk::compat6);
            let image = with(image, hardware.as_deref(), Vmdk::hwversion);
            let image = with(image, tools.as_deref(), Vmdk::toolsversion);
            with(image, zeroed, Vmdk::zeroed_grain)
        })
        .boxed()
}

impl World {
    /// LUKS encryption with any cipher, mode, hash, generator and time.
    ///
    /// About a quarter is refused when a command is built: `cast5` with `xts`, 192-bit ciphers without it, `essiv`
    /// with a hash of the wrong length, and times that are no whole milliseconds.
    pub fn luks(&self) -> BoxedStrategy<Luks> {
        let mode = prop_oneof![Just(CipherMode::Xts), cipher_mode()];
        let ivgen_hash = prop_oneof![Just(HashAlg::Sha256), hash_alg()];
        (self.key(), cipher_alg(), mode, hash_alg(), self.time.clone(), ivgen_alg(), ivgen_hash)
            .prop_map(|(key, cipher, mode, hash, time, ivgen, ivgen_hash)| {
                let luks = Luks::new(key).cipher(cipher).mode(mode).hash(hash);
                luks.iter_time(time).ivgen(ivgen).ivgen_hash(ivgen_hash)
            })
            .boxed()
    }

    fn extent_size_hint(&self) -> BoxedStrategy<ByteSize> {
        prop_oneof![Just(ByteSize::bytes(0)), self.size.clone()].boxed()
    }

    /// A raw image.
    pub fn raw(&self) -> BoxedStrategy<Raw> {
        (of(raw_preallocation()), of(any::<bool>()), of(self.extent_size_hint()))
            .prop_map(|(preallocation, nocow, hint)| {
                let image = with(with(Raw::new(), preallocation, Raw::preallocation), nocow, Raw::nocow);
                with(image, hint, Raw::extent_size_hint)
            })
            .boxed()
    }

    /// A qcow2 image, encrypted or not, with any subset of the options.
    ///
    /// Some are refused when a command is built: options that need `compat=1.1` without it, clusters that are too
    /// small for extended L2 entries or no power of two, refcounts likewise, what needs a data file without one, and
    /// encryption as in [`luks`](Self::luks).
    pub fn qcow2(&self) -> BoxedStrategy<Qcow2> {
        let compat = prop_oneof![1 => Just(Compat::V0_10), 4 => compat()];
        let clusters = prop_oneof![1 => power(9..16), 4 => power(14..22)];
        let refcount_bits = prop_oneof![8 => (0..7_u32).prop_map(|shift| 1 << shift), 1 => any::<u8>()];
        let layout = (of(compat), of(clusters), of(preallocation()), of(any::<bool>()), of(refcount_bits));
        let file = self.path.clone().prop_filter_map("text", |path| path.into_os_string().into_string().ok());
        let data = of((file, of(any::<bool>()), of(any::<bool>())));
        let keep_without = of(proptest::bool::weighted(0.2));
        let rest = (
            of(any::<bool>()),
            of(compression_type()),
            data,
            keep_without,
            of(any::<bool>()),
            of(self.extent_size_hint()),
        );
        (of(self.luks()), layout, rest)
            .prop_map(|(luks, (compat, clusters, preallocation, lazy, bits), rest)| {
                let (extended, compression, data, keep, nocow, hint) = rest;
                let image = with(with(Qcow2::new(), luks, Qcow2::encryption), compat, Qcow2::compat);
                let image = with(with(image, clusters, Qcow2::cluster_size), preallocation, Qcow2::preallocation);
                let image = with(with(image, lazy, Qcow2::lazy_refcounts), bits, Qcow2::refcount_bits);
                let image = with(with(image, extended, Qcow2::extended_l2), compression, Qcow2::compression_type);
                let image = with(image, keep, Qcow2::keep_data_file);
                let image = with(image, data, |image, (file, raw, keep)| {
                    with(with(image.data_file(&file), raw, Qcow2::data_file_raw), keep, Qcow2::keep_data_file)
                });
                with(with(image, nocow, Qcow2::nocow), hint, Qcow2::extent_size_hint)
            })
            .boxed()
    }

    /// A LUKS volume. Its encryption may be refused as in [`luks`](Self::luks).
    pub fn luks_image(&self) -> BoxedStrategy<LuksImage> {
        (self.luks(), of(preallocation()), of(any::<bool>()))
            .prop_map(|(luks, mode, detached)| {
                let image = with(LuksImage::new(luks), mode, LuksImage::preallocation);
                with(image, detached, LuksImage::detached_header)
            })
            .boxed()
    }

    /// An image to be made, of any format.
    pub fn new_image(&self) -> BoxedStrategy<NewImage> {
        prop_oneof![
            4 => self.raw().prop_map(NewImage::from),
            8 => self.qcow2().prop_map(NewImage::from),
            2 => self.luks_image().prop_map(NewImage::from),
            1 => vmdk().prop_map(NewImage::from),
            1 => vdi().prop_map(NewImage::from),
            1 => vpc().prop_map(NewImage::from),
            1 => vhdx().prop_map(NewImage::from),
            1 => qed().prop_map(NewImage::from),
            1 => parallels().prop_map(NewImage::from),
            1 => Just(NewImage::from(Qcow::new())),
        ]
        .boxed()
    }
}
