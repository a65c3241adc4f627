//! Where an image's bytes live, and how each place is safely spelled.

use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};

use crate::Error;
use crate::os::{ascii, units};

/// The protocols that a plain name can start with (`NAME:…`), of every supported version.
pub const PROTOCOLS: &[&str] = &[
    "blkdebug",
    "blkreplay",
    "blkverify",
    "fat",
    "file",
    "ftp",
    "ftps",
    "gluster",
    "gluster+rdma",
    "gluster+tcp",
    "gluster+unix",
    "host_cdrom",
    "host_device",
    "http",
    "https",
    "iscsi",
    "iser",
    "json",
    "nbd",
    "nbd+tcp",
    "nbd+unix",
    "nfs",
    "null-aio",
    "null-co",
    "nvme",
    "quorum",
    "rbd",
    "sheepdog",
    "sheepdog+tcp",
    "sheepdog+unix",
    "ssh",
    "vxhs",
];

/// Where the bytes of an image live.
///
/// A `&str`, `String`, path or `OsString` becomes a [`File`](Self::File), whatever it looks like: a file
/// called `nbd:x` or `-f` is that file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Location {
    /// A regular file.
    File(PathBuf),
    /// A block device, or another host device: qemu's `file` driver refuses those as a node.
    HostDevice(PathBuf),
    /// A name with a protocol, such as `rbd:pool/image` or `nbd://host/export`: see [`Location::protocol`].
    Protocol(OsString),
}

impl Location {
    /// A place that qemu reaches by a protocol, given by its plain name, such as `rbd:pool/image`.
    ///
    /// # Errors
    /// [`Error::NotAProtocol`] if the name does not start with one of [`PROTOCOLS`]; `json:` nodes and `file:`
    /// names are none.
    pub fn protocol(name: impl Into<OsString>) -> Result<Self, Error> {
        let name = name.into();
        check_protocol(&name)?;
        Ok(Self::Protocol(name))
    }

    /// The location that qemu-img understands by a plain name on its command line: with a `:` before the first
    /// `/` it is a protocol, otherwise a file.
    #[must_use]
    pub fn from_plain_name(name: &OsStr) -> Self {
        let (colon, slash) = (ascii(b':'), ascii(b'/'));
        let stop = units(name).into_iter().find(|&unit| unit == colon || unit == slash);
        if stop != Some(colon) {
            return Self::File(PathBuf::from(name));
        }
        match name.to_str().and_then(|text| text.strip_prefix("file:")) {
            Some(path) => Self::File(PathBuf::from(path)),
            None => Self::Protocol(name.to_owned()),
        }
    }

    /// The path, unless it is reached by a protocol.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) | Self::HostDevice(path) => Some(path),
            Self::Protocol(_) => None,
        }
    }

    /// The name as an operand, which is neither an option nor, for a path, a protocol: a relative path gets
    /// `./` in front.
    pub(crate) fn plain_name(&self) -> Result<OsString, Error> {
        match self {
            // Checked again: the variant can be built without `protocol`, of an option for example.
            Self::Protocol(name) => check_protocol(name).map(|()| name.clone()),
            Self::File(path) | Self::HostDevice(path) => safe_path(path),
        }
    }

    /// Whether both are the same place, as far as names tell: `a` and `./a` are.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let bare = |path: &Path| path.strip_prefix(".").unwrap_or(path).to_owned();
        match (self.path(), other.path()) {
            (Some(path), Some(other)) => bare(path) == bare(other),
            _ => self == other,
        }
    }

    /// The driver and file name of the protocol node.
    pub(crate) fn node(&self) -> Result<(&'static str, OsString), Error> {
        match self {
            Self::File(path) => Ok(("file", safe_path(path)?)),
            Self::HostDevice(path) => Ok(("host_device", safe_path(path)?)),
            Self::Protocol(name) => Err(Error::LocationHasNoNode { name: name.to_string_lossy().into_owned() }),
        }
    }
}

fn check_protocol(name: &OsStr) -> Result<(), Error> {
    let text = name.to_string_lossy();
    let protocol = text.split_once(':').map(|(protocol, _)| protocol).filter(|protocol| PROTOCOLS.contains(protocol));
    match protocol {
        None | Some("json" | "file") => {}
        Some(_) if text.contains('\0') => {}
        Some(_) => return Ok(()),
    }
    Err(Error::NotAProtocol { name: text.into_owned() })
}

fn safe_path(path: &Path) -> Result<OsString, Error> {
    if path.as_os_str().is_empty() {
        return Err(Error::PathEmpty);
    }
    if units(path.as_os_str()).contains(&0) {
        return Err(Error::PathNul { path: path.to_owned() });
    }
    let safe = match path.components().next() {
        Some(Component::Normal(_)) => Path::new(".").as_os_str().to_owned(),
        _ => return Ok(path.as_os_str().to_owned()),
    };
    let mut name = safe;
    name.push("/");
    name.push(path);
    Ok(name)
}

macro_rules! file_from {
    ($($type:ty),+) => {
        $(impl From<$type> for Location {
            fn from(path: $type) -> Self {
                Self::File(PathBuf::from(path))
            }
        })+
    };
}

file_from!(&str, String, &Path, &PathBuf, PathBuf, &OsStr, OsString);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_never_an_option_or_a_protocol() {
        for (path, name) in [
            ("a", "./a"),
            ("-f", "./-f"),
            ("nbd:x", "./nbd:x"),
            ("a,b", "./a,b"),
            ("./a", "./a"),
            ("../a", "../a"),
            ("/a:b", "/a:b"),
            ("json:{}", "./json:{}"),
        ] {
            assert_eq!(Location::from(path).plain_name().unwrap(), name);
        }
        assert_eq!(Location::from("").plain_name(), Err(Error::PathEmpty));
        assert!(matches!(Location::from("a\0").plain_name(), Err(Error::PathNul { .. })));
    }

    #[test]
    fn protocols_are_named() {
        assert_eq!(Location::protocol("rbd:p/i").unwrap().plain_name().unwrap(), "rbd:p/i");
        for bad in ["/a", "a", "file:a", "json:{}", "-f", "zzz:a", "nbd", "nbd:\0"] {
            assert!(Location::protocol(bad).is_err(), "{bad}");
            assert!(Location::Protocol(bad.into()).plain_name().is_err(), "{bad}");
        }
    }

    #[test]
    fn plain_names_are_read_as_qemu_reads_them() {
        assert_eq!(Location::from_plain_name("a/b:c".as_ref()), Location::from("a/b:c"));
        assert_eq!(Location::from_plain_name("file:a".as_ref()), Location::from("a"));
        assert_eq!(Location::from_plain_name("nbd://h".as_ref()), Location::protocol("nbd://h").unwrap());
    }
}
