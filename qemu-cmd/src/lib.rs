//! A side-effect-free, typed model of `qemu-img` commands.
//!
//! A command is a value: build it, and [`invocation()`](Convert::invocation) yields the exact argument
//! list plus the secrets that must exist before it runs. Nothing here opens a file or starts a process;
//! running an [`Invocation`] is what the crate `qemu-exec` is for.
//!
//! What qemu-img always rejects, or accepts and gets silently wrong, is refused with an [`Error`] that
//! names the reason and the way out. The same value always gives the same bytes.
//!
//! ```
//! use qemu_cmd::{CacheMode, Convert, Luks, Qcow2, Secret, Source, Target};
//!
//! let passphrase = Secret::new("correct horse battery staple")?;
//! let convert = Convert::new(
//!     Source::raw("disk.img"),
//!     Target::new("/srv/disk,1.qcow2", Qcow2::new().encryption(Luks::new(passphrase))),
//! )
//! .target_cache(CacheMode::None);
//!
//! let invocation = convert.invocation()?;
//! assert_eq!(
//!     invocation.to_string(),
//!     "qemu-img convert -t none -O qcow2 -f raw --object 'secret,id=sec1,file=<sec1>' \
//!      -o encrypt.key-secret=sec1 -o encrypt.format=luks -o encrypt.cipher-alg=aes-256 \
//!      -o encrypt.cipher-mode=xts -o encrypt.hash-alg=sha256 -o encrypt.iter-time=2000 \
//!      -o encrypt.ivgen-alg=plain64 -o encrypt.ivgen-hash-alg=sha256 \
//!      ./disk.img /srv/disk,1.qcow2"
//! );
//! # Ok::<(), qemu_cmd::Error>(())
//! ```
//!
//! * **what to read and write**: [`Source`], [`Target`], [`Backing`], at a [`Location`], in a [`Format`]
//! * **what a new image is like**: [`NewImage`] of [`Raw`], [`Qcow2`], [`LuksImage`] or another format; [`Luks`]
//! * **what to do**: [`Amend`], [`Bench`], [`Bitmap`], [`Check`], [`Commit`], [`Compare`], [`Convert`], [`Create`],
//!   [`Dd`], [`Info`], [`Map`], [`Measure`], [`Rebase`], [`Resize`], [`Snapshot`]; any of them: [`Command`]
//! * **what comes out**: [`Invocation`], made of [`Arg`]s
//! * **a command line somebody wrote**: [`CommandLine`], what it [needs](Feature) and [means](Explained), what
//!   is [risky](LintRule) about it, and [`Command::parse`]

#![forbid(unsafe_code)]

mod cache;
mod command_line;
mod encryption;
mod error;
mod explain;
mod format;
mod image;
mod invocation;
mod keyval;
mod lint;
mod location;
mod option_table;
mod os;
mod parse;
mod redact;
mod requires;
mod rules;
mod secret;
mod size;
#[cfg(feature = "proptest")]
pub mod strategies;
mod subcommand;
mod version;
mod wipe;

pub use cache::CacheMode;
pub use command_line::{CommandLine, SecretObject, SecretValue};
pub use encryption::{CipherAlg, CipherMode, HashAlg, IvgenAlg, Luks};
pub use error::{Error, ParseError, ParseErrorKind};
pub use explain::Explained;
pub use format::{
    Compat, CompressionType, Format, LuksImage, NewImage, Parallels, Preallocation, Qcow, Qcow2, Qed, Raw,
    RawPreallocation, Vdi, VhdSubformat, Vhdx, Vmdk, VmdkAdapter, VmdkSubformat, Vpc,
};
pub use image::{Backing, Object, Source, SourceForm, Target};
pub use invocation::{Arg, Invocation, OutputKind, shell_quote};
pub use keyval::KeyVal;
pub use lint::{Context as LintContext, Finding, Rule as LintRule, Severity};
pub use location::{
    BLKDEBUG_EVENTS, Blkdebug, Blkverify, FatType, Gluster, GlusterServer, HostKeyCheck, HostKeyHash, InjectError,
    Iscsi, IscsiHeaderDigest, IscsiTransport, Location, Nbd, NbdServer, Nfs, NullCo, OpenNode, PROTOCOLS, Rbd, RbdAuth,
    Ssh, Throttle, Url, Vvfat, Window,
};
pub use option_table::{Because, OperandSpec, OptionSpec, Spelling, Subcommand, ValueKind, ValueSpec};
pub use parse::Command;
pub use requires::{Feature, Unsupported};
pub use secret::{Key, Secret, SecretId};
pub use size::ByteSize;
pub use subcommand::{
    Amend, Bench, BenchAio, Bitmap, BitmapAction, Check, Commit, Compare, Convert, Create, Dd, Info, KeyslotChange,
    Map, Measure, Qcow2Amend, Rebase, Repair, Resize, ResizeTo, Snapshot, SnapshotAction, SourceSnapshot,
};
pub use version::{Availability, ParseVersionError, QemuVersion};
