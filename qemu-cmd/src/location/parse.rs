//! Locations out of what somebody wrote.

use std::ffi::OsStr;
use std::path::Path;

use super::{
    Blkdebug, Blkverify, Driver, Gluster, Iscsi, Location, Nbd, Nfs, NullCo, OpenNode, Rbd, Ssh, Throttle, Url, Vvfat,
    Window, path,
};
use crate::KeyVal;
use crate::os::{ascii, units};

/// Nodes may lie over each other this deep to be understood; deeper ones are kept as they are. No sensible chain
/// comes near, and a hostile one must not exhaust the stack.
const MAX_DEPTH: usize = 64;

/// Whether something in the node lies deeper than that.
pub(crate) fn is_too_deep(node: &KeyVal) -> bool {
    node.iter().any(|(key, _)| key.matches('.').count() > MAX_DEPTH)
}

impl Location {
    /// The location of a protocol node, given by its flat keys (without the `file.` that an image puts in front).
    ///
    /// Where a type of its own says exactly the same, whatever the order of the keys, you get that; otherwise the
    /// keys are kept as a [`Node`](Self::Node), `driver` first and then in order, and the last of several equal ones,
    /// which is the one that counts. The inverse of how a location is spelled as a node.
    ///
    /// ```
    /// use qemu_cmd::{KeyVal, Location, Nbd};
    /// let node = KeyVal::parse("server.host=h,server.port=1,server.type=inet,driver=nbd".as_ref());
    /// assert_eq!(Location::from_node(node), Nbd::tcp("h", 1).into());
    /// ```
    #[must_use]
    pub fn from_node(node: KeyVal) -> Self {
        let is_plain = node.iter().all(|(key, _)| matches!(key, "driver" | "filename"));
        if let (true, Some(name)) = (is_plain, node.get("filename")) {
            // A relative name is spelled with `./`, which is no other file.
            match node.get("driver").map(OsStr::to_str) {
                // Without a driver qemu takes what the file is for, and nothing in the name for a protocol.
                None => return path::of_name(name),
                Some(Some("file")) => return Self::File(path::bare(Path::new(name))),
                Some(Some("host_device")) => return Self::HostDevice(path::bare(Path::new(name))),
                _ => {}
            }
        }
        let node = OpenNode::new(&node);
        let keys = node.options();
        let typed = if is_too_deep(keys) { None } else { read(keys) };
        typed.filter(|place| place.node().is_ok_and(|again| same(&again, keys))).unwrap_or(Self::Node(node))
    }

    /// The location that qemu-img understands by a plain name on its command line: with a `:` before the first
    /// `/` it is a protocol, otherwise a file.
    ///
    /// A protocol becomes the type of its own if every supported version of qemu reads that out of the name, and
    /// nothing is lost; otherwise it is kept as it is, as a [`Protocol`](Self::Protocol). `fat:` names are kept: a
    /// directory of this machine is never opened by a [`Vvfat`] that nobody asked for.
    #[must_use]
    pub fn from_plain_name(name: &OsStr) -> Self {
        let (colon, slash) = (ascii(b':'), ascii(b'/'));
        let stop = units(name).iter().copied().find(|&unit| unit == colon || unit == slash);
        if stop != Some(colon) {
            return path::of_name(name);
        }
        let Some(text) = name.to_str() else { return Self::Protocol(name.to_owned()) };
        if let Some(path) = text.strip_prefix("file:") {
            return Self::File(path::bare(Path::new(path)));
        }
        // A type that has no plain name would be spelled in another way than it was written.
        let typed = read_name(text).filter(|place| place.plain_name().is_ok_and(|again| again.is_some()));
        typed.unwrap_or_else(|| Self::Protocol(name.to_owned()))
    }
}

fn read(node: &KeyVal) -> Option<Location> {
    match node.get("driver")?.to_str()? {
        "nbd" => Nbd::read(node).map(Into::into),
        "rbd" => Rbd::read(node).map(Into::into),
        "http" | "https" | "ftp" | "ftps" => Url::read(node).map(Into::into),
        "ssh" => Ssh::read(node).map(Into::into),
        "iscsi" => Iscsi::read(node).map(Into::into),
        "nfs" => Nfs::read(node).map(Into::into),
        "gluster" => Gluster::read(node).map(Into::into),
        "vvfat" => Vvfat::read(node).map(Into::into),
        "null-co" => NullCo::read(node).map(Into::into),
        "raw" => Window::read(node).map(Into::into),
        "throttle" => Throttle::read(node).map(Into::into),
        "blkdebug" => Blkdebug::read(node).map(Into::into),
        "blkverify" => Blkverify::read(node).map(Into::into),
        _ => None,
    }
}

fn read_name(name: &str) -> Option<Location> {
    match name.split(':').next()? {
        "nbd" | "nbd+tcp" | "nbd+unix" => Nbd::from_name(name).map(Into::into),
        "rbd" => Rbd::from_name(name).map(Into::into),
        "http" | "https" | "ftp" | "ftps" => Url::new(name).ok().map(Into::into),
        "ssh" => Ssh::from_name(name).map(Into::into),
        "iscsi" | "iser" => Iscsi::from_name(name).map(Into::into),
        "nfs" => Nfs::from_name(name).map(Into::into),
        "gluster" | "gluster+tcp" => Gluster::from_name(name).map(Into::into),
        "null-co" => (name == "null-co://").then(|| NullCo::new().into()),
        _ => None,
    }
}

/// Whether both have the same pairs: their order means nothing to qemu, and neither has a key twice.
fn same(a: &KeyVal, b: &KeyVal) -> bool {
    let sorted = |node: &KeyVal| {
        let mut pairs: Vec<_> = node.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        pairs.sort();
        pairs
    };
    sorted(a) == sorted(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_are_read_as_qemu_reads_them() {
        assert_eq!(Location::from_plain_name("a/b:c".as_ref()), Location::from("a/b:c"));
        assert_eq!(Location::from_plain_name("file:a".as_ref()), Location::from("a"));
        let nbd = Location::from(Nbd::tcp("h", 10809));
        for name in ["nbd://h", "nbd://h/", "nbd+tcp://h:10809", "nbd:h:10809"] {
            assert_eq!(Location::from_plain_name(name.as_ref()), nbd, "{name}");
        }
        for name in [
            "nbd://h:0",
            "nbd://h/?x=y",
            "nbd://h//a",
            "nbd://h/a b",
            "nbd://u@h",
            "nbd:h:nbd",
            "nbd+unix:///a",
            "nbds://h",
            "rbd:p",
            "rbd:p/i:rbd_cache=false",
            "http://u:p@h/",
            "HTTP://h/",
            "ssh://h/a?host_key_check=maybe",
            "ssh://[::1]/a",
            "nfs://h:1/a/b",
            "nfs://h/a/b?uid=x",
            "iscsi://u@h/iqn.a:b/0",
            "iscsi://h/iqn.a:b",
            "gluster+unix:///v/p?socket=/s",
            "fat:/etc",
            "null-co://x",
        ] {
            assert_eq!(Location::from_plain_name(name.as_ref()), Location::Protocol(name.into()), "{name}");
        }
    }

    #[test]
    fn a_node_that_says_more_is_kept() {
        let node = |text: &str| Location::from_node(KeyVal::parse(text.as_ref()));
        assert_eq!(node("driver=file,filename=/a"), Location::from("/a"));
        assert_eq!(node("filename=/a,driver=file,filename=/b"), Location::from("/b"));
        assert_eq!(node("filename=nbd:a"), Location::from("nbd:a"));
        assert_eq!(node("filename=/dev/vg/a"), Location::HostDevice("/dev/vg/a".into()));
        for text in [
            "driver=file,filename=/a,locking=off",
            "filename=/a,locking=off",
            "driver=nvme,device=x,namespace=1",
            "driver=nbd,host=h",
            "driver=nbd,server.host=h,server.port=010,server.type=inet",
            "driver=null-co,read-zeroes=yes",
            "driver=http,url=https://h/",
            "driver=raw,file=node0",
        ] {
            let place = node(text);
            assert!(matches!(&place, Location::Node(_)), "{place:?}");
            assert_eq!(place.node().map(|node| node.render()), Ok(text.into()));
        }
    }

    #[test]
    fn nodes_of_any_depth_are_read() {
        let deep = |levels: usize| {
            let mut node = KeyVal::new();
            for level in 0..levels {
                let prefix = "file.".repeat(level);
                node = node.with(format!("{prefix}driver"), "raw").with(format!("{prefix}offset"), "0");
            }
            let prefix = "file.".repeat(levels);
            node.with(format!("{prefix}driver"), "file").with(format!("{prefix}filename"), "/a")
        };
        assert!(matches!(Location::from_node(deep(10)), Location::Window(_)));
        assert!(matches!(Location::from_node(deep(300)), Location::Node(_)));
    }
}
