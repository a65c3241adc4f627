//! Names that start with a protocol, and secrets in them.

use std::ffi::OsStr;

use super::rbd;
use crate::Error;

/// The protocols that a plain name can start with (`NAME:…`), of every supported version and every build of it.
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
    "io_uring",
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
    "nvme-io_uring",
    "quorum",
    "rbd",
    "sheepdog",
    "sheepdog+tcp",
    "sheepdog+unix",
    "ssh",
    "virtio-blk-vfio-pci",
    "virtio-blk-vhost-user",
    "virtio-blk-vhost-vdpa",
    "vxhs",
];

/// Whether qemu-img takes the name for one of a protocol, and whether it may be shown.
pub(super) fn check(name: &OsStr) -> Result<(), Error> {
    let text = name.to_string_lossy();
    if let Some(refusal) = secret_in(&text) {
        return Err(refusal);
    }
    let protocol = text.split_once(':').map(|(protocol, _)| protocol).filter(|protocol| PROTOCOLS.contains(protocol));
    match protocol {
        None | Some("json" | "file") => {}
        Some(_) if text.contains('\0') => {}
        Some(_) => return Ok(()),
    }
    Err(Error::NotAProtocol { name: text.into_owned() })
}

/// The refusal of a name that holds a secret, which every user of the machine could read in the process list.
pub(super) fn secret_in(name: &str) -> Option<Error> {
    let refused = |what: &str, instead| Some(Error::SecretInLocation { what: what.to_owned(), instead });
    // Filters name another place behind their own protocol, so every URL in the name is looked at.
    for (at, _) in name.match_indices("://") {
        let (before, after) = (name.get(..at).unwrap_or_default(), name.get(at + 3..).unwrap_or_default());
        let authority = after.split(['/', '?', '#']).next().unwrap_or_default();
        let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
        if before.ends_with("iscsi") || before.ends_with("iser") {
            if user.contains(['%', ':']) || after.contains("target_password=") {
                return refused("iscsi URL", "give the user and the id of a secret object with `Iscsi::chap`");
            }
        } else if user.contains(':') {
            return refused("URL", "give the user as `username` and the id of a secret object as `password-secret`");
        }
    }
    if name.strip_prefix("rbd:").is_some_and(rbd::has_key) {
        return refused("rbd name", "give the id of a secret object with `Rbd::key_secret`");
    }
    None
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::{Error, Location};

    #[test]
    fn protocols_are_named() {
        let name = Location::protocol("rbd:p/i").unwrap().plain_name().unwrap();
        assert_eq!(name.as_deref(), Some("rbd:p/i".as_ref()));
        for bad in ["/a", "a", "file:a", "json:{}", "-f", "zzz:a", "nbd", "nbd:\0"] {
            assert!(Location::protocol(bad).is_err(), "{bad}");
            assert!(Location::Protocol(bad.into()).plain_name().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_name_with_a_password_is_refused_and_not_shown() {
        for name in [
            "https://me:hunter2@host/x",
            "ssh://me:hunter2@host/x",
            "iscsi://me%hunter2@host/iqn.a:b/0",
            "iscsi://host/iqn.a:b/0?target_user=me&target_password=hunter2",
            "blkdebug:/c:http://me:hunter2@host/x",
            "rbd:pool/image:id=me:key=hunter2",
        ] {
            let location = Location::Protocol(name.into());
            for refusal in [Location::protocol(name).err(), location.plain_name().err(), location.node().err()] {
                let refusal = refusal.unwrap();
                assert!(matches!(refusal, Error::SecretInLocation { .. }), "{refusal:?}");
                assert!(!format!("{refusal}{refusal:?}").contains("hunter2"), "{refusal}");
            }
            assert!(!location.display_name().contains("hunter2"));
        }
        for name in ["https://me@host/x:y@z", "http://host:80/?a=b:c@d", "rbd:pool/image:id=key", "nbd:host:80"] {
            assert!(Location::protocol(name).is_ok(), "{name}");
        }
    }
}
