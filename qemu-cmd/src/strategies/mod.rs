//! Strategies for property tests: random values of every type that a user builds (feature `proptest`).
//!
//! Each is as hostile as its type allows, and says in its documentation what a command refuses of it. What is
//! refused is worth testing too, so [`convert()`], [`create()`] and [`info()`] come with both; most are accepted.
//!
//! ```
//! use proptest::prelude::*;
//! use qemu_cmd::strategies::{SECRET_MARK, convert};
//!
//! // In a test of code that logs the commands it runs:
//! fn the_log_is_one_line_without_a_passphrase() {
//!     proptest!(|(convert in convert())| {
//!         let line = match convert.invocation() {
//!             Ok(invocation) => format!("running {invocation}"),
//!             Err(refusal) => format!("refused: {refusal}"),
//!         };
//!         prop_assert!(!line.contains(SECRET_MARK), "{line}");
//!         prop_assert!(!line.contains('\n'), "{line}");
//!     });
//! }
//! # the_log_is_one_line_without_a_passphrase();
//! ```

mod subcommands;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::{BoxedStrategy, Just, Strategy, any, prop_oneof};
use proptest::sample::select;

pub use subcommands::{
    amend, bench, bitmap, check, command, commit, compare, dd, map, measure, rebase, resize, snapshot, source_snapshot,
};

use crate::os::{Unit, from_units};
use crate::{
    Backing, ByteSize, CacheMode, CipherAlg, CipherMode, Compat, CompressionType, Convert, Create, Format, HashAlg,
    Info, IvgenAlg, KeyVal, Location, Luks, LuksImage, NewImage, PROTOCOLS, Preallocation, Qcow2, Raw,
    RawPreallocation, Secret, SecretId, Source, SourceForm, Target,
};

/// Stands in every generated [`secret()`] and in no other generated value: output that holds it, or a good part
/// of it, has leaked a passphrase.
pub const SECRET_MARK: &str = "Vq7ZpX2mK9tRw4Ld";

/// File names that mean something to qemu-img, to a shell, or to code that splits arguments.
pub const HOSTILE_NAMES: &[&str] = &[
    "a",
    "-",
    "--",
    "-f",
    "--help",
    "--object=secret,id=x,data=y",
    "a,b",
    ",",
    ",,",
    "a,driver=raw",
    "a=b",
    "a b",
    " ",
    "a\nb",
    "\t",
    "\u{7f}",
    "it's",
    "\"a\"",
    "a\\b",
    "%41",
    "%s",
    "$HOME",
    "`id`",
    "*",
    "~",
    "#",
    "é",
    "\u{1f4be}",
    "\u{fffd}",
    ".",
    "..",
    "...",
    ".a",
    "a:b",
    ":",
    "c:\\a",
    "file:x",
    "fat:x",
    "fat:rw:/tmp",
    "nbd:x",
    "nbd://host/x",
    "rbd:pool/image",
    "host_device:x",
    "json:{}",
    "json:{\"driver\":\"raw\",\"file.filename\":\"/etc/passwd\"}",
    "driver=raw,file.filename=x",
    "help",
    "?",
    "a/b",
    "a/../b",
];

/// A passphrase: [`SECRET_MARK`], random letters and digits, and some characters that code trips over.
///
/// It does not shrink, so that a smaller one cannot stand in another value by chance. The empty passphrase, which
/// qemu-img takes too, is not generated: it would be found in any output.
pub fn secret() -> BoxedStrategy<Secret> {
    const EDGE: &str = "[,=:\\-'\"%\\\\ \n\t\\u{e9}]{0,3}";
    (EDGE, "[A-Za-z0-9]{12}", EDGE)
        .prop_filter_map("a passphrase", |(head, random, tail)| {
            Secret::new(format!("{head}{SECRET_MARK}{random}{tail}")).ok()
        })
        .no_shrink()
        .boxed()
}

/// The id of a secret.
pub fn secret_id() -> BoxedStrategy<SecretId> {
    "[A-Za-z][A-Za-z0-9._-]{0,12}".prop_filter_map("an id", |id| SecretId::new(id).ok()).boxed()
}

/// A path: relative or absolute, short or long, most of them hostile, some not UTF-8.
///
/// Rarely it is empty or holds a NUL byte, which every command refuses.
pub fn path() -> BoxedStrategy<PathBuf> {
    let folder = select(&["", "", "/", "./", "../", "a/", "/srv/a b/", "//", "a,b/", "nbd:/"][..]);
    let name = prop_oneof![
        8 => select(HOSTILE_NAMES).prop_map(OsString::from),
        3 => vec(select(HOSTILE_NAMES), 2..5).prop_map(|names| names.concat().into()),
        3 => "[ -~]{1,20}".prop_map_into(),
        2 => "[^\\u{0}]{1,12}".prop_map_into(),
        1 => (1..7_usize).prop_map(|depth| vec!["x".repeat(255); depth].join("/").into()),
        2 => vec(1..=Unit::MAX, 0..12).prop_map(|mut units| {
            // On Unix a byte that never occurs in UTF-8.
            units.push(Unit::MAX);
            from_units(units)
        }),
    ];
    let sound = (folder, name).prop_map(|(folder, name)| {
        let mut path = OsString::from(folder);
        path.push(name);
        PathBuf::from(path)
    });
    prop_oneof![60 => sound, 1 => Just(PathBuf::new()), 1 => Just(PathBuf::from("a\0b"))].boxed()
}

/// A location: a file, a host device or a name with a protocol. The last is refused with a key or as a node.
pub fn location() -> BoxedStrategy<Location> {
    let protocols: Vec<&str> = PROTOCOLS.iter().copied().filter(|name| !matches!(*name, "json" | "file")).collect();
    let name = (select(protocols), prop_oneof![Just("pool/image".to_owned()), "[ -~]{0,20}"]);
    prop_oneof![
        10 => path().prop_map(Location::from),
        2 => "[a-z][a-z0-9,=: ]{0,8}".prop_map(|name| Location::HostDevice(PathBuf::from("/dev/").join(name))),
        1 => name.prop_filter_map("a protocol", |(name, rest)| Location::protocol(format!("{name}:{rest}")).ok()),
    ]
    .boxed()
}

/// A size: a multiple of 512 that fits every image, or rarely any number, which for a new image may be refused.
pub fn byte_size() -> BoxedStrategy<ByteSize> {
    prop_oneof![
        8 => (0..1_u64 << 20).prop_map(|sectors| ByteSize::bytes(sectors * 512)),
        1 => any::<u64>().prop_map(ByteSize::bytes),
    ]
    .boxed()
}

/// A list of pairs, whose values may be any bytes.
pub fn key_val() -> BoxedStrategy<KeyVal> {
    vec(("[a-z][a-z._-]{0,8}", path()), 0..5)
        .prop_map(|pairs| pairs.into_iter().fold(KeyVal::new(), |list, (key, value)| list.with(key, value)))
        .boxed()
}

/// A cache mode.
pub fn cache_mode() -> BoxedStrategy<CacheMode> {
    use CacheMode::{Directsync, None, Unsafe, Writeback, Writethrough};
    select(&[None, Writeback, Writethrough, Directsync, Unsafe][..]).boxed()
}

/// A format.
pub fn format() -> BoxedStrategy<Format> {
    select(Format::ALL).boxed()
}

/// A cipher.
pub fn cipher_alg() -> BoxedStrategy<CipherAlg> {
    select(CipherAlg::ALL).boxed()
}

/// A cipher mode.
pub fn cipher_mode() -> BoxedStrategy<CipherMode> {
    select(CipherMode::ALL).boxed()
}

/// A hash.
pub fn hash_alg() -> BoxedStrategy<HashAlg> {
    select(HashAlg::ALL).boxed()
}

/// A generator of initialization vectors.
pub fn ivgen_alg() -> BoxedStrategy<IvgenAlg> {
    select(IvgenAlg::ALL).boxed()
}

/// A preallocation mode.
pub fn preallocation() -> BoxedStrategy<Preallocation> {
    use Preallocation::{Falloc, Full, Metadata, Off};
    select(&[Off, Metadata, Falloc, Full][..]).boxed()
}

/// A preallocation mode of a raw image.
pub fn raw_preallocation() -> BoxedStrategy<RawPreallocation> {
    use RawPreallocation::{Falloc, Full, Off};
    select(&[Off, Falloc, Full][..]).boxed()
}

/// A form of a source.
pub fn source_form() -> BoxedStrategy<SourceForm> {
    use SourceForm::{ImageOpts, Json, Plain};
    select(&[Plain, ImageOpts, Json][..]).boxed()
}

/// LUKS encryption with any cipher, mode, hash, generator and time.
///
/// About a quarter is refused when a command is built: `cast5` with `xts`, 192-bit ciphers without it, `essiv` with
/// a hash of the wrong length, and times that are no whole milliseconds.
pub fn luks() -> BoxedStrategy<Luks> {
    let mode = prop_oneof![Just(CipherMode::Xts), cipher_mode()];
    let ivgen_hash = prop_oneof![Just(HashAlg::Sha256), hash_alg()];
    let time = prop_oneof![
        20 => any::<u32>().prop_map(|ms| Duration::from_millis(ms.into())),
        1 => any::<(u64, u32)>().prop_map(|(seconds, nanos)| Duration::new(seconds / 2, nanos)),
    ];
    (secret(), cipher_alg(), mode, hash_alg(), time, ivgen_alg(), ivgen_hash)
        .prop_map(|(secret, cipher, mode, hash, time, ivgen, ivgen_hash)| {
            let luks = Luks::new(secret).cipher(cipher).mode(mode).hash(hash);
            luks.iter_time(time).ivgen(ivgen).ivgen_hash(ivgen_hash)
        })
        .boxed()
}

/// A raw image.
pub fn raw() -> BoxedStrategy<Raw> {
    weighted(0.3, raw_preallocation())
        .prop_map(|preallocation| preallocation.into_iter().fold(Raw::new(), Raw::preallocation))
        .boxed()
}

/// A qcow2 image, encrypted or not, with any subset of the options.
///
/// Some are refused when a command is built: options that need `compat=1.1` without it, clusters that are too small
/// for extended L2 entries or no power of two, refcounts likewise, and encryption as in [`luks()`].
pub fn qcow2() -> BoxedStrategy<Qcow2> {
    let compat = prop_oneof![1 => Just(Compat::V0_10), 4 => Just(Compat::V1_1)];
    let clusters = prop_oneof![
        1 => (9..16_u32).prop_map(|shift| ByteSize::bytes(1 << shift)),
        4 => (14..22_u32).prop_map(|shift| ByteSize::bytes(1 << shift)),
        1 => byte_size(),
    ];
    let refcount_bits = prop_oneof![8 => (0..7_u32).prop_map(|shift| 1 << shift), 1 => any::<u8>()];
    let compression = select(&[CompressionType::Zlib, CompressionType::Zstd][..]);
    (
        weighted(0.3, luks()),
        weighted(0.3, compat),
        weighted(0.3, clusters),
        weighted(0.3, preallocation()),
        weighted(0.2, any::<bool>()),
        weighted(0.2, refcount_bits),
        weighted(0.2, any::<bool>()),
        weighted(0.2, compression),
    )
        .prop_map(|(luks, compat, clusters, preallocation, lazy, bits, extended, compression)| {
            let image = luks.into_iter().fold(Qcow2::new(), Qcow2::encryption);
            let image = compat.into_iter().fold(image, Qcow2::compat);
            let image = clusters.into_iter().fold(image, Qcow2::cluster_size);
            let image = preallocation.into_iter().fold(image, Qcow2::preallocation);
            let image = lazy.into_iter().fold(image, Qcow2::lazy_refcounts);
            let image = bits.into_iter().fold(image, Qcow2::refcount_bits);
            let image = extended.into_iter().fold(image, Qcow2::extended_l2);
            compression.into_iter().fold(image, Qcow2::compression_type)
        })
        .boxed()
}

/// A LUKS volume. Its encryption may be refused as in [`luks()`].
pub fn luks_image() -> BoxedStrategy<LuksImage> {
    (luks(), weighted(0.3, preallocation()))
        .prop_map(|(luks, mode)| mode.into_iter().fold(LuksImage::new(luks), LuksImage::preallocation))
        .boxed()
}

/// An image to be made, of any format.
pub fn new_image() -> BoxedStrategy<NewImage> {
    prop_oneof![
        1 => raw().prop_map(NewImage::from),
        2 => qcow2().prop_map(NewImage::from),
        1 => luks_image().prop_map(NewImage::from),
    ]
    .boxed()
}

/// A source: of a known format or probed, with or without a key, in any form.
///
/// Some are refused when a command is built: a key for a format that has none or in the plain form, LUKS without a
/// key, a path that is not UTF-8 as JSON, and a protocol with a key or as a node.
pub fn source() -> BoxedStrategy<Source> {
    let plain = (location(), format().prop_filter("a format without a key", |format| *format != Format::Luks))
        .prop_map(|(location, format)| Source::new(location, format));
    let with_key = (location(), secret(), 0..4_u8).prop_map(|(location, key, kind)| match kind {
        0 => Source::luks(location, key),
        1 => Source::qcow2(location).key(key),
        2 => Source::probing(location).key(key),
        _ => Source::probing(location).qcow2_key(key),
    });
    let anything =
        (location(), format(), weighted(0.5, secret()), source_form()).prop_map(|(location, format, key, form)| {
            key.into_iter().fold(Source::new(location, format), Source::key).form(form)
        });
    let probed = location().prop_map(Source::probing);
    let node = select(&[SourceForm::ImageOpts, SourceForm::Json][..]);
    let image = prop_oneof![4 => plain, 4 => with_key, 1 => probed];
    let in_form = (image, weighted(0.3, node)).prop_map(|(image, form)| form.into_iter().fold(image, Source::form));
    prop_oneof![8 => in_form, 1 => anything].boxed()
}

/// A target: mostly a new image, else an existing one, which is refused where it is probed.
pub fn target() -> BoxedStrategy<Target> {
    prop_oneof![
        4 => (location(), new_image()).prop_map(|(location, image)| Target::new(location, image)),
        1 => source().prop_map(Target::existing),
    ]
    .boxed()
}

/// A backing file. A name of more than 1023 bytes is refused.
pub fn backing() -> BoxedStrategy<Backing> {
    (location(), format()).prop_map(|(location, format)| Backing::new(location, format)).boxed()
}

/// A convert of any [`source()`] to any [`target()`] with any options; about half are accepted.
///
/// Besides what those say, it is refused with compression into an image that cannot hold it, sparse sizes that are
/// no multiple of 512 or too large, and more than 16 coroutines or none.
pub fn convert() -> BoxedStrategy<Convert> {
    let sparse_size = prop_oneof![
        8 => (0..=32768_u64).prop_map(|sectors| ByteSize::bytes(sectors * 512)),
        1 => byte_size(),
    ];
    let coroutines = prop_oneof![8 => 1..=16_u8, 1 => any::<u8>()];
    let caches = (weighted(0.5, cache_mode()), weighted(0.5, cache_mode()));
    let flags = (weighted(0.1, Just(true)), any::<[bool; 4]>());
    (source(), target(), caches, weighted(0.2, sparse_size), weighted(0.2, coroutines), flags)
        .prop_map(|(source, target, (to, from), sparse, coroutines, (compress, [order, share, progress, quiet]))| {
            let convert = Convert::new(source, target).compress(compress.is_some()).out_of_order(order);
            let convert = convert.force_share(share).progress(progress).quiet(quiet);
            let convert = to.into_iter().fold(convert, Convert::target_cache);
            let convert = from.into_iter().fold(convert, Convert::source_cache);
            let convert = sparse.into_iter().fold(convert, Convert::sparse_size);
            coroutines.into_iter().fold(convert, Convert::coroutines)
        })
        .boxed()
}

/// A create: of a new image, or of an overlay that may lack the size it needs.
///
/// Refused are sizes that the format cannot hold, and preallocated overlays without extended L2 entries.
pub fn create() -> BoxedStrategy<Create> {
    let new =
        (location(), new_image(), byte_size()).prop_map(|(location, image, size)| Create::new(location, image, size));
    let overlay = (location(), qcow2(), backing(), weighted(0.5, byte_size()), weighted(0.3, Just(true)));
    let overlay = overlay.prop_map(|(location, image, backing, size, unchecked)| {
        let create = Create::overlay(location, image, backing).backing_unchecked(unchecked.is_some());
        size.into_iter().fold(create, Create::size)
    });
    (prop_oneof![new, overlay], any::<bool>()).prop_map(|(create, quiet)| create.quiet(quiet)).boxed()
}

/// An info about any [`source()`].
pub fn info() -> BoxedStrategy<Info> {
    (source(), any::<(bool, bool)>())
        .prop_map(|(source, (share, chain))| Info::new(source).force_share(share).backing_chain(chain))
        .boxed()
}
