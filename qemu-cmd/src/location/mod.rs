//! Where an image's bytes live, and how each place is safely spelled.
//!
//! A place has two spellings. Its **node** is a list of keys, each with its value as it is: it can say
//! everything, and nothing in a value is ever parsed. Its **plain name** is one word that qemu takes apart
//! again: it is used where every supported version reads the same place out of it, and otherwise there is none.

mod blk_filters;
mod builder;
mod gluster;
mod iscsi;
mod layers;
mod nbd;
mod nfs;
mod null_co;
mod open_node;
mod parse;
mod path;
mod protocol;
mod rbd;
mod ssh;
mod uri;
mod url;
mod vvfat;

pub use blk_filters::{BLKDEBUG_EVENTS, Blkdebug, Blkverify, InjectError};
pub use gluster::{Gluster, GlusterServer};
pub use iscsi::{Iscsi, IscsiHeaderDigest, IscsiTransport};
pub use layers::{Throttle, Window};
pub use nbd::{Nbd, NbdServer};
pub use nfs::Nfs;
pub use null_co::NullCo;
pub use open_node::OpenNode;
pub(crate) use parse::is_too_deep;
pub use protocol::PROTOCOLS;
pub use rbd::{Rbd, RbdAuth};
pub use ssh::{HostKeyCheck, HostKeyHash, Ssh};
pub use url::Url;
pub use vvfat::{FatType, Vvfat};

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

use crate::redact::redact;
use crate::{Error, KeyVal};

/// Where the bytes of an image live.
///
/// A `&str`, `String`, path or `OsString` becomes a [`File`](Self::File), whatever it looks like: a file
/// called `nbd:x` or `-f` is that file. Each of the other places has a type of its own, which becomes a location
/// wherever one is asked for:
///
/// ```
/// use qemu_cmd::{Info, Nbd, Source};
///
/// let disk = Nbd::tcp("backup.example", 10810).export("vm 7/sda");
/// let info = Info::new(Source::raw(disk)).invocation()?;
/// assert_eq!(
///     info.to_string(),
///     "qemu-img info nbd://backup.example:10810/vm%207/sda --force-share --output=json -f raw"
/// );
/// # Ok::<(), qemu_cmd::Error>(())
/// ```
///
/// What needs a password takes the id of a `secret` object. A name or a node that somebody wrote with a password in it
/// is kept as it is, as a [`Protocol`](Self::Protocol) or a [`Node`](Self::Node), so that it can be replaced; a command
/// refuses it, and what is printed, `Debug` included, has `***` in its place.
#[derive(Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Location {
    /// A regular file.
    File(PathBuf),
    /// A block device, or another host device: qemu's `file` driver refuses those as a node.
    HostDevice(PathBuf),
    /// A name with a protocol that has no type of its own here: see [`Location::protocol`].
    Protocol(OsString),
    /// An export of an NBD server.
    Nbd(Box<Nbd>),
    /// An image in a Ceph cluster.
    Rbd(Box<Rbd>),
    /// A file behind an HTTP or FTP URL, which can only be read.
    Url(Box<Url>),
    /// A file on an SSH server, by SFTP.
    Ssh(Box<Ssh>),
    /// A logical unit of an iSCSI target.
    Iscsi(Box<Iscsi>),
    /// A file on an NFS server, without a mount.
    Nfs(Box<Nfs>),
    /// A file in a GlusterFS volume.
    Gluster(Box<Gluster>),
    /// A directory of this machine, shown as a FAT disk.
    Vvfat(Box<Vvfat>),
    /// No place at all: a disk that forgets what is written.
    NullCo(NullCo),
    /// A part of another place.
    Window(Window),
    /// Another place, with its speed limited.
    Throttle(Throttle),
    /// Another place, with errors injected.
    Blkdebug(Box<Blkdebug>),
    /// Two places that must hold the same.
    Blkverify(Blkverify),
    /// Any other driver, by its keys: see [`Location::from_node`].
    Node(OpenNode),
}

/// How a driver's place is spelled, and read.
trait Driver: Sized {
    /// The protocol node, `driver` first.
    fn node(&self) -> Result<KeyVal, Error>;

    /// The place of a node of this driver. What is left out or misread shows when the result is spelled again.
    fn read(node: &KeyVal) -> Option<Self>;

    /// The plain name, if there is one that every supported version reads as this place.
    fn plain_name(&self) -> Result<Option<OsString>, Error> {
        self.node().map(|_| None)
    }
}

impl Location {
    /// A place that qemu reaches by a protocol, given by its plain name, such as `sheepdog:image`.
    ///
    /// A name that has a type of its own becomes that, as by [`from_plain_name`](Self::from_plain_name); another goes
    /// to qemu as it is, and has no node.
    ///
    /// # Errors
    /// [`Error::NotAProtocol`] if the name does not start with one of [`PROTOCOLS`]; `json:` nodes and `file:`
    /// names are none. [`Error::SecretInLocation`] if it holds a password.
    pub fn protocol(name: impl Into<OsString>) -> Result<Self, Error> {
        let name = name.into();
        protocol::check(&name)?;
        Ok(Self::from_plain_name(&name))
    }

    /// The path of a file or a host device; `None` of any other place, also of one that lies over a file.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) | Self::HostDevice(path) => Some(path),
            _ => None,
        }
    }

    /// The name as an operand, which is neither an option nor, for a path, a protocol: a relative path gets
    /// `./` in front. `None` if only a node says the same in every version.
    pub(crate) fn plain_name(&self) -> Result<Option<OsString>, Error> {
        match self {
            Self::File(path) | Self::HostDevice(path) => path::safe(path).map(Some),
            // Checked again: the variant can be built without `protocol`, of an option for example.
            Self::Protocol(name) => protocol::check(name).map(|()| Some(name.clone())),
            Self::Nbd(place) => place.plain_name(),
            Self::Rbd(place) => place.plain_name(),
            Self::Url(place) => place.plain_name(),
            Self::Ssh(place) => place.plain_name(),
            Self::Iscsi(place) => place.plain_name(),
            Self::Nfs(place) => place.plain_name(),
            Self::Gluster(place) => place.plain_name(),
            Self::Vvfat(place) => place.plain_name(),
            Self::NullCo(place) => place.plain_name(),
            Self::Window(place) => place.plain_name(),
            Self::Throttle(place) => place.plain_name(),
            Self::Blkdebug(place) => place.plain_name(),
            Self::Blkverify(place) => place.plain_name(),
            Self::Node(place) => place.plain_name(),
        }
    }

    /// The protocol node: flat keys, `driver` first, then the order in which the driver's documentation here lists
    /// them.
    pub(crate) fn node(&self) -> Result<KeyVal, Error> {
        match self {
            Self::File(path) => Ok(path::node("file", path::safe(path)?)),
            Self::HostDevice(path) => Ok(path::node("host_device", path::safe(path)?)),
            Self::Protocol(name) => {
                protocol::check(name)?;
                Err(Error::LocationHasNoNode { name: self.display_name() })
            }
            Self::Nbd(place) => place.node(),
            Self::Rbd(place) => place.node(),
            Self::Url(place) => place.node(),
            Self::Ssh(place) => place.node(),
            Self::Iscsi(place) => place.node(),
            Self::Nfs(place) => place.node(),
            Self::Gluster(place) => place.node(),
            Self::Vvfat(place) => place.node(),
            Self::NullCo(place) => place.node(),
            Self::Window(place) => place.node(),
            Self::Throttle(place) => place.node(),
            Self::Blkdebug(place) => place.node(),
            Self::Blkverify(place) => place.node(),
            Self::Node(place) => place.node(),
        }
    }

    /// Whether both are the same place, as far as names tell: `a` and `./a` are.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        fn bare(path: &Path) -> &Path {
            path.strip_prefix(".").unwrap_or(path)
        }
        match (self.path(), other.path()) {
            (Some(path), Some(other)) => bare(path) == bare(other),
            _ => self == other,
        }
    }

    /// Where qemu looks for it as the backing file of that image: a relative path is relative to the image's directory.
    pub(crate) fn beside(&self, image: &Self) -> Self {
        match (self.path(), image.path().and_then(Path::parent)) {
            (Some(path), Some(directory)) if path.is_relative() => Self::File(directory.join(path)),
            _ => self.clone(),
        }
    }

    /// The place in a message.
    pub(crate) fn display_name(&self) -> String {
        if let Some(path) = self.path() {
            return path.display().to_string();
        }
        if let Self::Protocol(name) = self {
            return redact(name).to_string_lossy().into_owned();
        }
        if let Self::Node(node) = self {
            return redact(&node.options().render()).to_string_lossy().into_owned();
        }
        let spelled = self.plain_name().ok().flatten().or_else(|| self.node().ok().map(|node| node.render()));
        spelled.unwrap_or_else(|| "a place that cannot be spelled".into()).to_string_lossy().into_owned()
    }
}

impl fmt::Display for Location {
    /// The place by its name, or else by its node, for people: bytes that are not UTF-8 are replaced, and so is a
    /// password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.display_name())
    }
}

macro_rules! debug {
    ($($variant:ident),+) => {
        impl fmt::Debug for Location {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    Self::Protocol(name) => f.debug_tuple("Protocol").field(&redact(name)).finish(),
                    $(Self::$variant(place) => f.debug_tuple(stringify!($variant)).field(place).finish(),)+
                }
            }
        }
    };
}

debug!(
    File,
    HostDevice, Nbd, Rbd, Url, Ssh, Iscsi, Nfs, Gluster, Vvfat, NullCo, Window, Throttle, Blkdebug, Blkverify, Node
);

macro_rules! file_from {
    ($($type:ty),+) => {
        $(impl From<$type> for Location {
            fn from(path: $type) -> Self {
                Self::File(path::bare(Path::new(&path)))
            }
        })+
    };
}

file_from!(&str, &String, String, &Path, &PathBuf, PathBuf, &OsStr, OsString);

macro_rules! place_from {
    ($($type:ident),+) => {
        $(impl From<$type> for Location {
            fn from(place: $type) -> Self {
                // Some are boxed, so that a file is not as large as what has most parts.
                Self::$type(place.into())
            }
        })+
    };
}

place_from!(Nbd, Rbd, Url, Ssh, Iscsi, Nfs, Gluster, Vvfat, NullCo, Window, Throttle, Blkdebug, Blkverify);
