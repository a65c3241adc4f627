//! Why a command is refused before anything runs.

mod parse;

use std::ffi::OsStr;
use std::path::PathBuf;

pub use parse::{ParseError, ParseErrorKind};

use crate::redact::redact;
use crate::{ByteSize, CipherAlg, CipherMode, HashAlg};

/// A command that is refused, because qemu-img always rejects it or gets it silently wrong.
///
/// Each message names the value, the reason, and the way out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A passphrase holds bytes that are not UTF-8: qemu-img cannot take it in any encoding.
    #[error("a passphrase must be UTF-8: qemu-img takes no other bytes, not even base64-encoded")]
    PassphraseNotUtf8,
    /// A passphrase holds a NUL byte.
    #[error("a passphrase must not hold a NUL byte: qemu-img takes none, not even base64-encoded")]
    PassphraseNul,
    /// The id of a secret is not one that qemu-img takes.
    #[error("secret id `{}` must start with a letter and hold only letters, digits, `-`, `.` and `_`", one_line(id))]
    SecretId {
        /// The id as given.
        id: String,
    },
    /// Two objects of a command would have this id, which may be that of an image's key.
    #[error("object id `{}` is that of another object or key: give the object another one", one_line(id))]
    ObjectIdTaken {
        /// The id.
        id: String,
    },
    /// A location names an object that its source does not carry, and qemu-img knows no other.
    #[error("no object has the id `{}` that the location names: add it to the source", one_line(id))]
    ObjectMissing {
        /// The id as the location names it.
        id: String,
    },
    /// A text is not a size.
    #[error("`{}` is not a size: write a whole number with an optional suffix b, k, M, G, T, P or E", one_line(text))]
    Size {
        /// The text as given.
        text: String,
    },
    /// A text is not the name of an image format that can be modelled.
    #[error("`{}` is not an image format", one_line(name))]
    UnknownFormat {
        /// The name as given.
        name: String,
    },
    /// A path is empty.
    #[error("an image path must not be empty")]
    PathEmpty,
    /// A path holds a NUL byte, which no argument can carry.
    #[error("path `{}` holds a NUL byte, which no argument can carry", one_line(path))]
    PathNul {
        /// The path as given.
        path: PathBuf,
    },
    /// A path is not UTF-8, and the chosen form is JSON. qemu counts the noncharacters of Unicode, such as U+FFFF,
    /// as not UTF-8 there.
    #[error(
        "path `{}` is not UTF-8 as qemu reads it, which a `json:` node cannot carry: use the image-opts form",
        one_line(path)
    )]
    PathNotUtf8 {
        /// The path as given.
        path: PathBuf,
    },
    /// The name of a backing file is longer than an image header can store.
    #[error(
        "backing file name `{}` has {length} bytes, and an image stores at most 1023: use a shorter or relative one",
        one_line(path)
    )]
    BackingNameTooLong {
        /// The path as given.
        path: PathBuf,
        /// Its length in bytes.
        length: usize,
    },
    /// A name does not start with one of qemu's protocols.
    #[error(
        "`{}` does not start with a protocol that qemu knows, such as `rbd:` or `nbd://`: give a file as a path",
        one_line(name)
    )]
    NotAProtocol {
        /// The name as given.
        name: String,
    },
    /// A location can only be given by its plain name, not as a node.
    #[error(
        "`{}` can only be given by its plain name, and a key or a node form needs a file or a device",
        one_line(name)
    )]
    LocationHasNoNode {
        /// The location's name.
        name: String,
    },
    /// A key was given for an image in a format that has no encryption.
    #[error(
        "a key was given for an image of format `{format}`, which has no encryption: drop the key, or give the format as luks or qcow2"
    )]
    KeyForPlainFormat {
        /// The image's format.
        format: &'static str,
    },
    /// A key was given for an image in the plain form, which cannot carry it.
    #[error("an image that needs a key cannot be given by its plain name: leave the form to be chosen")]
    KeyInPlainForm,
    /// A `luks` image that is read or written needs a key.
    #[error("`{}` is a luks image: give its key", one_line(name))]
    LuksNeedsKey {
        /// The location's name.
        name: String,
    },
    /// The target's format cannot hold compressed data.
    #[error(
        "compression is not supported for format `{}`: convert to qcow2, or drop the compression",
        one_line(format)
    )]
    CompressionUnsupported {
        /// The target's format.
        format: String,
    },
    /// Compression into an encrypted image. With a new image qemu-img refuses it; with an existing one, also in a
    /// rebase, it exits with 0 and writes the data **compressed but not encrypted**.
    #[error(
        "compression and encryption exclude each other: into an existing image qemu-img would write the data in the clear; drop one of the two"
    )]
    CompressionWithEncryption,
    /// Compression into a preallocated image.
    #[error("compression and preallocation exclude each other: drop one of the two")]
    CompressionWithPreallocation,
    /// A size that is not a multiple of 512, of a format where qemu-img would silently round it up.
    #[error("a {format} size must be a multiple of 512 bytes, and {size} is not: take {below} or {above}")]
    SizeNotSectors {
        /// The format.
        format: &'static str,
        /// The size as given.
        size: ByteSize,
        /// The multiple of 512 below.
        below: ByteSize,
        /// The multiple of 512 above.
        above: ByteSize,
    },
    /// A size beyond what the format, or qemu, can hold.
    #[error("size {size} is more than the image can hold with these options, which is {max}")]
    SizeTooLarge {
        /// The size as given.
        size: ByteSize,
        /// The largest size.
        max: ByteSize,
    },
    /// A new image has neither a size nor a backing file to take it from.
    #[error("a new image needs a size: give one, or a backing file that is opened to take it from")]
    SizeMissing,
    /// A size that must be a power of two within bounds.
    #[error("{what} {size} must be a power of two from {min} to {max}")]
    PowerOfTwo {
        /// What the size is of.
        what: &'static str,
        /// The size as given.
        size: ByteSize,
        /// The smallest.
        min: ByteSize,
        /// The largest.
        max: ByteSize,
    },
    /// A size that must be a multiple of a unit.
    #[error("{what} {size} must be a multiple of {unit}, from {unit} to {max}")]
    Multiple {
        /// What the size is of.
        what: &'static str,
        /// The size as given.
        size: ByteSize,
        /// The unit.
        unit: ByteSize,
        /// The largest.
        max: ByteSize,
    },
    /// An option that has a method of its own was given by name too.
    #[error("option `{key}` has a method of its own: use that")]
    OptionGivenTwice {
        /// The option.
        key: String,
    },
    /// An option, a property or a type was given by a name that would be something else, or more, in a list.
    #[error("`{}` is not the name of an option: that is a word without `=` and `,`", one_line(name))]
    OptionName {
        /// The name as given.
        name: String,
    },
    /// An option of a qcow2 data file without one.
    #[error("data_file_raw and keep_data_file need a data file: give one, or drop them")]
    DataFileMissing,
    /// A key slot that no LUKS volume has.
    #[error("key slot {slot} does not exist: a LUKS volume has the slots 0 to 7")]
    Keyslot {
        /// The slot as given.
        slot: u8,
    },
    /// The name of a bitmap is not one that qemu-img takes as an operand.
    #[error("bitmap name `{}` must have from 1 to 1023 bytes and not start with `-`", one_line(name))]
    BitmapName {
        /// The name as given.
        name: String,
    },
    /// A format whose size qemu-img cannot measure.
    #[error("the size of a {format} image cannot be measured: only of raw, qcow2 and luks")]
    MeasureUnsupported {
        /// The format.
        format: &'static str,
    },
    /// A format that has no backing files.
    #[error("a {format} image cannot have a backing file: use qcow2")]
    BackingUnsupported {
        /// The format.
        format: &'static str,
    },
    /// Extended L2 entries need clusters of at least 16 KiB.
    #[error("extended L2 entries need clusters of at least 16384 bytes, and {size} is smaller")]
    ExtendedL2Clusters {
        /// The cluster size.
        size: ByteSize,
    },
    /// A qcow2 refcount width that is not a power of two up to 64.
    #[error("qcow2 refcount width {bits} must be a power of two up to 64 bits")]
    RefcountBits {
        /// The width as given.
        bits: u8,
    },
    /// A qcow2 option that needs `compat=1.1`.
    #[error("qcow2 option `{option}` needs compat 1.1, and 0.10 was chosen")]
    NeedsCompat11 {
        /// The option's name.
        option: &'static str,
    },
    /// Preallocation of an image with a backing file needs extended L2 entries.
    #[error(
        "an image with a backing file can only be preallocated with extended L2 entries: turn them on, or the preallocation off"
    )]
    PreallocationWithBacking,
    /// A cipher mode that does not work with the cipher.
    #[error("cipher `{}` does not work in mode `{}`: {why}", cipher.as_str(), mode.as_str())]
    CipherMode {
        /// The cipher.
        cipher: CipherAlg,
        /// The mode.
        mode: CipherMode,
        /// What happens, and the way out.
        why: &'static str,
    },
    /// `essiv` uses the hash of the key as a key, and the cipher has no key of that size.
    #[error("ivgen-hash `{}` does not work with essiv and cipher `{}`: its digest must be as long as a key of that cipher; use {}", hash.as_str(), cipher.as_str(), if *cipher == CipherAlg::Cast5_128 { "md5" } else { "sha256" })]
    EssivHash {
        /// The cipher.
        cipher: CipherAlg,
        /// The hash.
        hash: HashAlg,
    },
    /// An iteration time that is no whole number of milliseconds from 1 to 4294967295.
    #[error("iteration time {given} must be a whole number of milliseconds from 1 to 4294967295")]
    IterTime {
        /// The time as given.
        given: String,
    },
    /// A number of coroutines outside 1 to 16.
    #[error("number of coroutines {given} must be from 1 to 16")]
    Coroutines {
        /// The number as given.
        given: u8,
    },
    /// A sparse size that qemu-img does not take.
    #[error("sparse size {size} must be a multiple of 512 up to 16777216, or 0 for full allocation")]
    SparseSize {
        /// The size as given.
        size: ByteSize,
    },
    /// A subcommand that opens no backing files is given one.
    #[error("{subcommand} opens no backing file, and takes none instead: drop the backing image")]
    BackingOverrideUnused {
        /// The subcommand.
        subcommand: &'static str,
    },
    /// An operation that a format does not have.
    #[error("format `{format}` has no {what}")]
    FormatHasNo {
        /// The format.
        format: &'static str,
        /// What it does not have, and what does.
        what: &'static str,
    },
    /// A new image is to be at a kind of place that cannot have it, or not so.
    #[error("a place of kind `{}` has no {what}", one_line(driver))]
    PlaceHasNo {
        /// What its name starts with.
        driver: String,
        /// What it cannot have, and what can.
        what: &'static str,
    },
    /// Source and target are the same file.
    #[error("source and target are both `{}`: the command would overwrite what it reads", one_line(name))]
    SameFile {
        /// The location's name.
        name: String,
    },
    /// Options that exclude each other, or one that needs another.
    #[error("{0}")]
    Options(&'static str),
    /// A part of a location is empty.
    #[error("the `{}` of a {driver} location must not be empty", one_line(part))]
    LocationPartEmpty {
        /// The driver.
        driver: &'static str,
        /// The part, by the name of its key.
        part: String,
    },
    /// A part of a location holds a NUL byte.
    #[error("the `{}` of a {driver} location holds a NUL byte, which no argument can carry", one_line(part))]
    LocationPartNul {
        /// The driver.
        driver: &'static str,
        /// The part, by the name of its key.
        part: String,
    },
    /// A part of a location is one that qemu never takes, or gets silently wrong.
    #[error("the `{}` of a {driver} location cannot be `{}`: {reason}", one_line(part), one_line(given))]
    LocationPart {
        /// The driver.
        driver: &'static str,
        /// The part, by the name of its key.
        part: String,
        /// What was given.
        given: String,
        /// What it must be.
        reason: &'static str,
    },
    /// A location has no plain name, where only a plain name can stand.
    #[error(
        "`{}` has no plain name that every version reads alike, and only a plain name can stand here: create the image first, and take it as an existing one",
        one_line(name)
    )]
    LocationNeedsNode {
        /// The location, as a node.
        name: String,
    },
    /// A location, or an object that it names, holds a secret, which every user of the machine could read in the
    /// process list.
    #[error("the {} holds a secret, which would show in the process list: {instead}", one_line(what))]
    SecretInLocation {
        /// What holds it, without its value.
        what: String,
        /// What to do instead.
        instead: &'static str,
    },
}

/// A name as it stands in a message: whatever it holds, the message stays one line and shows no password.
fn one_line(name: impl AsRef<OsStr>) -> String {
    let mut line = String::new();
    for c in redact(name.as_ref()).to_string_lossy().chars() {
        if c.is_control() { line.extend(c.escape_default()) } else { line.push(c) }
    }
    line
}
