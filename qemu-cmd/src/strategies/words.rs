//! Types that are one of a few words.

use proptest::prelude::{BoxedStrategy, Strategy};
use proptest::sample::select;

use crate::{
    BenchAio, CacheMode, CipherAlg, CipherMode, Compat, CompressionType, FatType, Format, HashAlg, HostKeyHash,
    IscsiHeaderDigest, IscsiTransport, IvgenAlg, Preallocation, RawPreallocation, RbdAuth, Repair, SourceForm,
    Subcommand, VhdSubformat, VmdkAdapter, VmdkSubformat,
};

macro_rules! words {
    ($($(#[doc = $doc:literal])+ $name:ident: $type:ty = $all:expr;)+) => {
        $($(#[doc = $doc])+
        pub fn $name() -> BoxedStrategy<$type> {
            select(&$all[..]).boxed()
        })+
    };
}

words! {
    /// A cache mode.
    cache_mode: CacheMode = CacheMode::ALL;
    /// A format, also one that can only be read.
    format: Format = Format::ALL;
    /// A form of a source.
    source_form: SourceForm = [SourceForm::Plain, SourceForm::ImageOpts, SourceForm::Json];
    /// A subcommand.
    subcommand: Subcommand = Subcommand::ALL;
    /// A cipher.
    cipher_alg: CipherAlg = CipherAlg::ALL;
    /// A cipher mode.
    cipher_mode: CipherMode = CipherMode::ALL;
    /// A hash.
    hash_alg: HashAlg = HashAlg::ALL;
    /// A generator of initialization vectors.
    ivgen_alg: IvgenAlg = IvgenAlg::ALL;
    /// A preallocation mode.
    preallocation: Preallocation = Preallocation::ALL;
    /// A preallocation mode of a raw image.
    raw_preallocation: RawPreallocation = RawPreallocation::ALL;
    /// A version of qcow2.
    compat: Compat = Compat::ALL;
    /// A compression of qcow2.
    compression_type: CompressionType = CompressionType::ALL;
    /// A layout of VMDK.
    vmdk_subformat: VmdkSubformat = VmdkSubformat::ALL;
    /// A disk adapter of VMDK.
    vmdk_adapter: VmdkAdapter = VmdkAdapter::ALL;
    /// How a VHD or VHDX grows.
    vhd_subformat: VhdSubformat = VhdSubformat::ALL;
    /// What a check repairs.
    repair: Repair = [Repair::Leaks, Repair::All];
    /// How the host does asynchronous I/O.
    bench_aio: BenchAio = BenchAio::ALL;
    /// How a Ceph client proves who it is.
    rbd_auth: RbdAuth = [RbdAuth::Cephx, RbdAuth::None];
    /// What carries iSCSI.
    iscsi_transport: IscsiTransport = [IscsiTransport::Tcp, IscsiTransport::Iser];
    /// Which digests iSCSI has.
    iscsi_header_digest: IscsiHeaderDigest = [
        IscsiHeaderDigest::Crc32c, IscsiHeaderDigest::None, IscsiHeaderDigest::Crc32cNone,
        IscsiHeaderDigest::NoneCrc32c
    ];
    /// A hash of an SSH host key.
    host_key_hash: HostKeyHash = [HostKeyHash::Md5, HostKeyHash::Sha1, HostKeyHash::Sha256];
    /// A width of FAT.
    fat_type: FatType = [FatType::Fat12, FatType::Fat16, FatType::Fat32];
}
