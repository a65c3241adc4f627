//! The keys of the lists that options take: create options, objects and nodes. What a format's type has a method for is
//! documented there, and only there.

use crate::subcommand::Qcow2Amend;
use crate::{Parallels, Qcow2, Qed, Raw, Subcommand, Vdi, Vhdx, Vmdk, Vpc};

/// A key of a list, and what it does.
pub(crate) struct KeySpec {
    /// With `N` for the number of an item.
    pub(crate) name: &'static str,
    pub(crate) doc: &'static str,
}

type Keys = &'static [KeySpec];

const fn key(name: &'static str, doc: &'static str) -> KeySpec {
    KeySpec { name, doc }
}

const SIZE: Keys = &[key("size", "the virtual size")];

const BACKING: Keys = &[key("backing_file", "the backing file"), key("backing_fmt", "the backing file's format")];

const OLD_ENCRYPTION: Keys = &[
    key("encryption", "encrypts with AES in a way that is broken by design; default off"),
    key("encrypt.format", "how the data is encrypted: luks, or aes, which is broken by design; default not"),
    key("encrypt.key-secret", "the id of the object with the passphrase"),
];

/// In qcow2, they have `encrypt.` in front.
const LUKS: Keys = &[
    key("key-secret", "the id of the object with the passphrase"),
    key("cipher-alg", "the cipher; default aes-256"),
    key("cipher-mode", "the cipher's mode; default xts"),
    key("hash-alg", "the hash of the key derivation; default sha256"),
    key("iter-time", "how many milliseconds the key derivation takes; default 2000"),
    key("ivgen-alg", "the generator of initialization vectors; default plain64"),
    key("ivgen-hash-alg", "the hash of the generator, which only essiv uses; default sha256"),
];

const LUKS_IMAGE: Keys = &[key("detached-header", "makes a file of the header only; default off")];

/// In qcow2, they have `encrypt.` in front too.
const KEYSLOTS: Keys = &[
    key("state", "active for a passphrase that is added, inactive for one that is erased"),
    key("new-secret", "the id of the object with the passphrase to add"),
    key("old-secret", "the id of the object with a passphrase: the slots that it opens are changed"),
    key("keyslot", "the slot to change, from 0 to 7; default any"),
    key("iter-time", "how many milliseconds the key derivation takes; default 2000"),
];

/// What a key of `-o` does; `None` if the format has no such option, and nothing is known of other formats.
pub(crate) fn create_option(subcommand: Subcommand, format: &str, name: &str) -> Option<&'static str> {
    let in_qcow2 = name.strip_prefix("encrypt.").unwrap_or_default();
    if subcommand == Subcommand::Amend {
        return match format {
            "luks" => find(&[KEYSLOTS], name),
            "qcow2" => find(&[Qcow2Amend::KEYS, BACKING, SIZE], name).or_else(|| find(&[KEYSLOTS], in_qcow2)),
            _ => None,
        };
    }
    let of_format = match format {
        "qcow2" => find(&[Qcow2::KEYS, OLD_ENCRYPTION, BACKING, SIZE], name).or_else(|| find(&[LUKS], in_qcow2)),
        "luks" => find(&[LUKS, LUKS_IMAGE, SIZE], name),
        "vmdk" => find(&[Vmdk::KEYS, BACKING, SIZE], name),
        "vdi" => find(&[Vdi::KEYS, SIZE], name),
        "vpc" => find(&[Vpc::KEYS, SIZE], name),
        "vhdx" => find(&[Vhdx::KEYS, SIZE], name),
        "qed" => find(&[Qed::KEYS, BACKING, SIZE], name),
        "parallels" => find(&[Parallels::KEYS, SIZE], name),
        "qcow" => find(&[OLD_ENCRYPTION, BACKING, SIZE], name),
        "raw" => find(&[SIZE], name),
        _ => return None,
    };
    // What the format does not know is one of the file that it makes, as of a raw image.
    of_format.or_else(|| find(&[Raw::KEYS], name))
}

fn find(lists: &[Keys], name: &str) -> Option<&'static str> {
    let known = |key: &str| key.split('.').eq(name.split('.').map(|part| if is_number(part) { "N" } else { part }));
    lists.iter().flat_map(|list| list.iter()).find(|spec| known(spec.name)).map(|spec| spec.doc.trim())
}

fn is_number(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit())
}

const OF_OBJECTS: Keys = &[key("qom-type", "what the object is"), key("id", "what other options call it")];

const OBJECTS: &[(&[&str], Keys)] = &[
    (
        &["secret", "tls-creds-x509", "tls-creds-psk", "tls-creds-anon"],
        &[key("loaded", "whether it is read at once, before 6.1; it is always")],
    ),
    (
        &["secret"],
        &[
            key("file", "the file that holds the secret; a newline at its end belongs to it"),
            key("data", "the secret itself"),
            key("format", "how the secret is written: raw or base64; default raw"),
            key("keyid", "the id of the object that it is encrypted under"),
            key("iv", "the initialization vector that it is encrypted with, in base64"),
        ],
    ),
    (&["secret_keyring"], &[key("serial", "the number of the key in the kernel's keyring")]),
    // They have `x-` or, in JSON, `limits.` in front.
    (
        &["throttle-group"],
        &[
            key("bps-total", "bytes a second at most"),
            key("bps-total-max", "bytes a second at most, in a burst"),
            key("bps-total-max-length", "how many seconds a burst of bytes may last"),
            key("bps-read", "bytes read a second at most"),
            key("bps-read-max", "bytes read a second at most, in a burst"),
            key("bps-read-max-length", "how many seconds a burst of bytes read may last"),
            key("bps-write", "bytes written a second at most"),
            key("bps-write-max", "bytes written a second at most, in a burst"),
            key("bps-write-max-length", "how many seconds a burst of bytes written may last"),
            key("iops-total", "requests a second at most"),
            key("iops-total-max", "requests a second at most, in a burst"),
            key("iops-total-max-length", "how many seconds a burst of requests may last"),
            key("iops-read", "requests to read a second at most"),
            key("iops-read-max", "requests to read a second at most, in a burst"),
            key("iops-read-max-length", "how many seconds a burst of requests to read may last"),
            key("iops-write", "requests to write a second at most"),
            key("iops-write-max", "requests to write a second at most, in a burst"),
            key("iops-write-max-length", "how many seconds a burst of requests to write may last"),
            key("iops-size", "the bytes for which a request counts once"),
            key("limits", "the limits, as JSON"),
        ],
    ),
    (
        &["tls-creds-x509", "tls-creds-psk", "tls-creds-anon"],
        &[
            key("dir", "the directory with the credentials"),
            key("endpoint", "which side this is: client or server; default client"),
            key("verify-peer", "whether the other side must prove who it is; default on"),
            key("priority", "the ciphers that are offered, as GnuTLS writes them"),
        ],
    ),
    (
        &["tls-creds-x509"],
        &[
            key("passwordid", "the id of the object with the passphrase of the private key"),
            key("sanity-check", "whether the certificates are looked at before they are used; default on"),
        ],
    ),
    (&["tls-creds-psk"], &[key("username", "whose key is used; default qemu")]),
];

/// What a property of an object does.
pub(crate) fn property(kind: &str, name: &str) -> Option<&'static str> {
    let limit = ["x-", "limits."].into_iter().find_map(|prefix| name.strip_prefix(prefix));
    find(&[OF_OBJECTS], name).or_else(|| find(&of(OBJECTS, kind), limit.unwrap_or(name)))
}

fn of(table: &[(&[&str], Keys)], kind: &str) -> Vec<Keys> {
    table.iter().filter(|(kinds, _)| kinds.contains(&kind)).map(|(_, keys)| *keys).collect()
}

const OF_NODES: Keys = &[
    key("driver", "the node's format or protocol"),
    key("node-name", "what the node is called"),
    key("read-only", "whether it is never written; default off"),
    key("auto-read-only", "whether it is opened for writing only when something is written; default off"),
    key("force-share", "whether it is read even while another process writes it; default off"),
    key("discard", "what becomes of discarded data: ignore or unmap; default ignore"),
    key("detect-zeroes", "whether zeros that are written become a hole: off, on or unmap; default off"),
    key("cache.direct", "whether the page cache is bypassed; default off"),
    key("cache.no-flush", "whether flushes are left out; default off"),
];

const FILE: Keys = &[key("file", "the name of the node that it lies over, or that node as JSON")];

const NODES: &[(&[&str], Keys)] = &[
    (&["raw", "qcow2", "luks", "qcow", "qed", "vmdk", "vdi", "vhdx", "vpc", "parallels", "throttle"], FILE),
    (
        &["qcow2", "qcow", "qed", "vmdk"],
        &[key("backing", "the backing file, in place of the one the image names; empty for none")],
    ),
    (
        &["raw"],
        &[
            key("offset", "where in the place below it begins; default 0"),
            key("size", "how much of it there is; default the rest"),
        ],
    ),
    (
        &["qcow2"],
        &[
            key("data-file", "the external data file, in place of the one the image names; it cannot be switched off"),
            key("lazy-refcounts", "whether refcount updates are postponed; default as in the image"),
            key("l2-cache-size", "bytes to keep L2 tables in"),
            key("refcount-cache-size", "bytes to keep refcounts in"),
            key("cache-size", "bytes to keep L2 tables and refcounts in"),
            key("discard-no-unref", "whether discarded clusters stay where they are; default off"),
        ],
    ),
    (
        &["qcow2", "qcow"],
        &[
            key("encrypt.format", "how the data is encrypted: luks, or aes, which is broken by design"),
            key("encrypt.key-secret", "the id of the object with the passphrase"),
        ],
    ),
    (
        &["luks"],
        &[
            key("key-secret", "the id of the object with the passphrase"),
            key("header", "the node with the header, if it is not in the image"),
        ],
    ),
    (
        &["file", "host_device", "host_cdrom"],
        &[
            key("filename", "the path"),
            key("locking", "whether the file is locked against other processes: auto, on or off; default auto"),
            key("aio", "how it is read and written: threads, native or io_uring; default threads"),
        ],
    ),
    (
        &["nbd", "ssh", "nfs"],
        &[
            key("server.type", "what kind of address the server has: inet or unix"),
            key("server.host", "the server's name or address"),
            key("server.port", "the server's port"),
            key("server.path", "the server's socket on this machine"),
            key("path", "the file on the server; of an NBD server, its socket on this machine"),
        ],
    ),
    (
        &["nbd"],
        &[
            key("export", "the export; default the server's own"),
            key("host", "the server's name or address"),
            key("port", "the server's port; default 10809"),
            key("tls-creds", "the id of the object with the credentials for TLS; default no TLS"),
            key("tls-hostname", "the name that the server's certificate must have"),
            key("reconnect-delay", "how many seconds a lost connection is waited for; default 0"),
            key("open-timeout", "how many seconds to try to connect; default 0"),
        ],
    ),
    (
        &["http", "https", "ftp", "ftps"],
        &[
            key("url", "the URL"),
            key("readahead", "how much is read beyond what is asked for; default 256 KiB"),
            key("sslverify", "whether the server's certificate must be valid; default on"),
            key("timeout", "how many seconds to wait for the server; default 5"),
            key("username", "the user to authenticate as"),
            key("password-secret", "the id of the object with the user's password"),
            key("proxy-username", "the user to authenticate as to the proxy"),
            key("proxy-password-secret", "the id of the object with the proxy user's password"),
            key("cookie", "the cookies to send, which every user of the machine can read here"),
            key("cookie-secret", "the id of the object with the cookies to send"),
        ],
    ),
    (
        &["ssh"],
        &[
            key("user", "the user to log in as"),
            key("host-key-check.mode", "how the host key is checked: known_hosts, hash or none; default known_hosts"),
            key("host-key-check.type", "what the fingerprint is a hash by: md5, sha1 or sha256"),
            key("host-key-check.hash", "the fingerprint that the host key must have"),
        ],
    ),
    (
        &["iscsi"],
        &[
            key("transport", "how it is transported: tcp or iser"),
            key("portal", "the portal: a host, and its port after a colon"),
            key("target", "the target's qualified name"),
            key("lun", "the logical unit; default 0"),
            key("user", "the user to authenticate as"),
            key("password", "the user's password, which every user of the machine can read here"),
            key("password-secret", "the id of the object with the user's password"),
            key("initiator-name", "the qualified name of this side"),
            key("header-digest", "how headers are protected against errors; default none-crc32c"),
            key("timeout", "how many seconds to wait for an answer; default for ever"),
        ],
    ),
    (
        &["nfs"],
        &[
            key("user", "the number of the user to be there"),
            key("group", "the number of the group to be there"),
            key("tcp-syn-count", "how often to try to connect"),
            key("readahead-size", "how much is read beyond what is asked for"),
            key("page-cache-size", "how much is kept in memory"),
        ],
    ),
    (
        &["gluster"],
        &[
            key("volume", "the volume"),
            key("path", "the file in the volume"),
            key("server.N.type", "what kind of address this server has: inet or unix"),
            key("server.N.host", "this server's name or address"),
            key("server.N.port", "this server's port"),
            key("server.N.path", "this server's socket on this machine"),
            key("logfile", "the file to log to"),
        ],
    ),
    (&["nfs", "gluster"], &[key("debug", "how much is logged")]),
    (
        &["rbd"],
        &[
            key("pool", "the pool"),
            key("namespace", "the namespace in the pool; default none"),
            key("image", "the image in the pool"),
            key("snapshot", "the snapshot of the image; default none"),
            key("conf", "the configuration file of Ceph; default the system's"),
            key("user", "the user to authenticate as"),
            key("key-secret", "the id of the object with the user's key"),
            key("auth-client-required.N", "a way to authenticate that is allowed"),
            key("server.N.host", "the name or address of this monitor"),
            key("server.N.port", "the port of this monitor"),
        ],
    ),
    (
        &["vvfat"],
        &[
            key("dir", "the directory of this machine that is shown as a disk"),
            key("fat-type", "the width of an entry in bits: 12, 16 or 32"),
            key("floppy", "whether it is a floppy disk; default off"),
            key("label", "the label of the disk; default QEMU VVFAT"),
            key("rw", "whether the directory is written to; default off"),
        ],
    ),
    (
        &["null-co", "null-aio"],
        &[
            key("size", "how large it is; default 1 GiB"),
            key("read-zeroes", "whether it reads as zeros, not as anything; default off"),
            key("latency-ns", "how many nanoseconds a request takes; default 0"),
        ],
    ),
    (&["throttle"], &[key("throttle-group", "the id of the object with the limits")]),
    (
        &["blkdebug"],
        &[
            key("config", "the file that says which errors are injected"),
            key("align", "what requests must be aligned to"),
            key("image", "the name of the node that it lies over"),
            key("inject-error.N.event", "what must happen for this error"),
            key("inject-error.N.errno", "which error this is; default 5"),
            key("inject-error.N.sector", "where this error is; default everywhere"),
            key("inject-error.N.once", "whether this error happens once; default off"),
            key("inject-error.N.immediately", "whether this error comes before the request; default off"),
        ],
    ),
];

/// What a key of a node of that driver does.
pub(crate) fn node_key(driver: &str, name: &str) -> Option<&'static str> {
    find(&[OF_NODES], name).or_else(|| find(&of(NODES, driver), name))
}

/// Whether something is known of nodes of that driver.
pub(crate) fn is_driver(driver: &str) -> bool {
    !of(NODES, driver).is_empty() || driver == "blkverify"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_by_what_they_belong_to() {
        let of = |format, name| create_option(Subcommand::Create, format, name);
        assert_eq!(of("qcow2", "cluster_size").map(|doc| doc.starts_with("The cluster size: ")), Some(true));
        assert_eq!(of("raw", "cluster_size"), None);
        assert_eq!(of("qcow2", "encrypt.iter-time"), of("luks", "iter-time"));
        assert_eq!(of("qcow2", "iter-time"), None);
        assert!(create_option(Subcommand::Amend, "qcow2", "encrypt.new-secret").is_some());
        assert_eq!(create_option(Subcommand::Amend, "qcow2", "cluster_size"), None);
        assert_eq!(node_key("rbd", "server.12.host"), Some("the name or address of this monitor"));
        assert_eq!(node_key("rbd", "server.x.host"), None);
        assert_eq!(property("secret", "dir"), None);
    }

    #[test]
    fn no_list_has_a_key_twice() {
        for table in [OBJECTS, NODES] {
            for kind in table.iter().flat_map(|(kinds, _)| kinds.iter()) {
                let mut names: Vec<_> = of(table, kind).into_iter().flatten().map(|spec| spec.name).collect();
                names.sort_unstable();
                let all = names.len();
                names.dedup();
                assert_eq!(names.len(), all, "{kind}");
            }
        }
    }
}
