//! Why a command is refused before anything runs.

use std::path::PathBuf;

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
    #[error("secret id `{id}` must start with a letter and hold only letters, digits, `-`, `.` and `_`")]
    SecretId {
        /// The id as given.
        id: String,
    },
    /// A text is not a size.
    #[error("`{text}` is not a size: write a whole number with an optional suffix b, k, M, G, T, P or E")]
    Size {
        /// The text as given.
        text: String,
    },
    /// A text is not the name of an image format that can be modelled.
    #[error("`{name}` is not an image format")]
    UnknownFormat {
        /// The name as given.
        name: String,
    },
    /// A path is empty.
    #[error("an image path must not be empty")]
    PathEmpty,
    /// A path holds a NUL byte, which no argument can carry.
    #[error("path `{}` holds a NUL byte, which no argument can carry", path.display())]
    PathNul {
        /// The path as given.
        path: PathBuf,
    },
    /// A path is not UTF-8, and the chosen form is JSON.
    #[error("path `{}` is not UTF-8, which a `json:` node cannot carry: use the image-opts form", path.display())]
    PathNotUtf8 {
        /// The path as given.
        path: PathBuf,
    },
    /// The name of a backing file is longer than an image header can store.
    #[error("backing file name `{}` has {length} bytes, and an image stores at most 1023: use a shorter or relative one", path.display())]
    BackingNameTooLong {
        /// The path as given.
        path: PathBuf,
        /// Its length in bytes.
        length: usize,
    },
    /// A name does not start with one of qemu's protocols.
    #[error(
        "`{name}` does not start with a protocol that qemu knows, such as `rbd:` or `nbd://`: give a file as a path"
    )]
    NotAProtocol {
        /// The name as given.
        name: String,
    },
    /// A location can only be given by its plain name, not as a node.
    #[error("`{name}` can only be given by its plain name, and a key or a node form needs a file or a device")]
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
    #[error("`{name}` is a luks image: give its key")]
    LuksNeedsKey {
        /// The location's name.
        name: String,
    },
    /// The target's format cannot hold compressed data.
    #[error("compression is not supported for format `{format}`: convert to qcow2, or drop the compression")]
    CompressionUnsupported {
        /// The target's format.
        format: String,
    },
    /// Compression into an encrypted image. With a new image qemu-img refuses it; with an existing one it
    /// exits with 0 and writes the data **compressed but not encrypted**.
    #[error(
        "compression and encryption exclude each other: into an existing image qemu-img would write the data in the clear; drop one of the two"
    )]
    CompressionWithEncryption,
    /// Compression into a preallocated image.
    #[error("compression and preallocation exclude each other: drop one of the two")]
    CompressionWithPreallocation,
    /// A qcow2 size that is not a multiple of 512, which qemu-img would silently round up.
    #[error("a qcow2 size must be a multiple of 512 bytes, and {size} is not: take {below} or {above}")]
    SizeNotSectors {
        /// The size as given.
        size: ByteSize,
        /// The multiple of 512 below.
        below: ByteSize,
        /// The multiple of 512 above.
        above: ByteSize,
    },
    /// A size beyond what the format, or qemu, can hold.
    #[error("{size} bytes are more than the image can hold with these options, which is {max}")]
    SizeTooLarge {
        /// The size as given.
        size: ByteSize,
        /// The largest size.
        max: ByteSize,
    },
    /// A new image has neither a size nor a backing file to take it from.
    #[error("a new image needs a size: give one, or a backing file that is opened to take it from")]
    SizeMissing,
    /// A qcow2 cluster size that is not a power of two between 512 bytes and 2 MiB.
    #[error("qcow2 cluster size {size} must be a power of two between 512 and 2097152")]
    ClusterSize {
        /// The size as given.
        size: ByteSize,
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
    #[error("{given} coroutines: qemu-img takes 1 to 16")]
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
    /// Source and target are the same file.
    #[error("source and target are both `{name}`: convert would overwrite what it reads")]
    SameFile {
        /// The location's name.
        name: String,
    },
    /// Options that exclude each other, or one that needs another.
    #[error("{0}")]
    Options(&'static str),
}

/// An argument list that is not a qemu-img command line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// There is no subcommand.
    #[error("no subcommand: write one of {}", crate::Subcommand::NAMES.join(", "))]
    NoSubcommand,
    /// The first argument is not a subcommand that is modelled.
    #[error("`{name}` is not a subcommand: write one of {}", crate::Subcommand::NAMES.join(", "))]
    UnknownSubcommand {
        /// The argument.
        name: String,
    },
    /// The subcommand has no such option.
    #[error("`{subcommand}` has no option `{option}`")]
    UnknownOption {
        /// The subcommand.
        subcommand: &'static str,
        /// The option as written.
        option: String,
        /// Its place in the argument list, from 0.
        at: usize,
    },
    /// A long option is a prefix of more than one.
    #[error("option `{option}` could be {}", candidates.join(" or "))]
    AmbiguousOption {
        /// The option as written.
        option: String,
        /// What it could mean.
        candidates: Vec<String>,
        /// Its place in the argument list, from 0.
        at: usize,
    },
    /// An option that takes a value ends the argument list.
    #[error("option `{option}` needs a value")]
    MissingValue {
        /// The option as written.
        option: String,
        /// Its place in the argument list, from 0.
        at: usize,
    },
    /// A long option that takes no value has one.
    #[error("option `{option}` takes no value")]
    UnexpectedValue {
        /// The option as written.
        option: String,
        /// Its place in the argument list, from 0.
        at: usize,
    },
    /// Too few or too many operands.
    #[error("`{subcommand}` needs {needs}, and {given} were given")]
    Operands {
        /// The subcommand.
        subcommand: &'static str,
        /// What it needs.
        needs: &'static str,
        /// How many there are.
        given: usize,
    },
    /// An `--object` that is not well-formed.
    #[error("`--object` at argument {at}: {reason}")]
    Object {
        /// Its place in the argument list, from 0.
        at: usize,
        /// What is wrong, without its value.
        reason: String,
    },
    /// The combination is one that qemu-img always refuses.
    #[error(transparent)]
    Refused(#[from] Error),
}
