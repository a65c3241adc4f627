//! Random places, with hostile names in every part.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::time::Duration;

use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::select;
use qemu_cmd::{
    BLKDEBUG_EVENTS, Blkdebug, Blkverify, ByteSize, FatType, Gluster, GlusterServer, HostKeyCheck, HostKeyHash,
    InjectError, Iscsi, IscsiHeaderDigest, IscsiTransport, KeyVal, Location, Nbd, NbdServer, Nfs, NullCo, Rbd, RbdAuth,
    SecretId, Ssh, Throttle, Url, Vvfat, Window,
};

const HOSTILE: &[&str] = &[
    "a,b",
    ",",
    ",,",
    "a:b",
    ":",
    "a/b",
    "/",
    "//",
    "a b",
    " ",
    "%",
    "%41",
    "%00",
    "@",
    "u:p@h",
    "é",
    "\u{1f4be}",
    "\\",
    "\\:",
    "a\\",
    "'",
    "\"",
    "-",
    "-f",
    "--help",
    "a=b",
    "=",
    "?",
    "a?b=c",
    "#",
    "&",
    "+",
    ";",
    "[",
    "]",
    "[::1]",
    "::1",
    "fe80::1%eth0",
    "10.0.0.1",
    "~",
    "..",
    "\n",
    "\t",
    "\u{7f}",
    "json:{}",
    "file:x",
    "exportname=x",
    ":exportname=",
    "unix:",
    "://",
    "nbd://h/e",
    "on",
    "off",
    "0",
    "007",
    "-1",
    "help",
    "\u{fdd0}",
    "",
    "a\0b",
];

/// A part of a name.
pub(crate) fn text() -> BoxedStrategy<String> {
    prop_oneof![4 => "[a-z][a-z0-9.-]{0,8}", 3 => select(HOSTILE).prop_map(String::from), 1 => "[ -~]{1,12}", 1 => "\\PC{1,6}"]
        .boxed()
}

/// A path, which may hold any bytes.
fn path() -> BoxedStrategy<OsString> {
    let bytes = vec(any::<u8>(), 1..8).prop_map(OsString::from_vec);
    let path = |text: String| format!("/{text}").into();
    prop_oneof![4 => text().prop_map(path), 2 => text().prop_map(OsString::from), 1 => bytes].boxed()
}

fn port() -> BoxedStrategy<u16> {
    prop_oneof![4 => any::<u16>(), 1 => select(&[0, 1, 22, 3260, 10809, 24007, 65535][..])].boxed()
}

fn size() -> BoxedStrategy<ByteSize> {
    let sectors = (0..1_u64 << 30).prop_map(|sectors| ByteSize::bytes(sectors * 512));
    prop_oneof![8 => sectors, 1 => any::<u64>().prop_map(ByteSize::bytes)].boxed()
}

fn seconds() -> BoxedStrategy<Duration> {
    prop_oneof![8 => (0..20_000_u64).prop_map(Duration::from_secs), 1 => any::<Duration>()].boxed()
}

fn id() -> BoxedStrategy<SecretId> {
    "[A-Za-z][A-Za-z0-9._-]{0,6}".prop_map(|id| SecretId::new(id).unwrap()).boxed()
}

/// A part that is mostly absent: with many parts few places would have a plain name.
fn of<S: Strategy>(part: S) -> impl Strategy<Value = Option<S::Value>> {
    weighted(0.2, part)
}

/// Mostly the name of a host.
fn host() -> BoxedStrategy<String> {
    prop_oneof![3 => "[a-z][a-z0-9.-]{0,8}", 1 => select(&["::1", "10.0.0.1"][..]).prop_map(String::from), 1 => text()]
        .boxed()
}

/// Gives a part if there is one.
fn with<T, V>(place: T, value: Option<V>, set: impl Fn(T, V) -> T) -> T {
    match value {
        Some(value) => set(place, value),
        None => place,
    }
}

fn nbd() -> impl Strategy<Value = Location> {
    let server = prop_oneof![
        (host(), port()).prop_map(|(host, port)| NbdServer::Tcp { host, port }),
        path().prop_map(|path| NbdServer::Unix { path: path.into() }),
    ];
    (server, of(text()), of(text()), of(text())).prop_map(|(server, export, creds, hostname)| {
        let nbd = with(Nbd::new(server), export, Nbd::export);
        with(with(nbd, creds, Nbd::tls_creds), hostname, Nbd::tls_hostname).into()
    })
}

fn rbd() -> impl Strategy<Value = Location> {
    let names = (text(), of(text()), text(), of(text()));
    let auth = vec(select(&[RbdAuth::Cephx, RbdAuth::None][..]), 0..3);
    let rest = (of(path()), of(text()), auth, of(id()), vec((host(), port()), 0..3));
    let plain = prop_oneof![Just(true), Just(false)];
    (names, rest, plain).prop_map(|((pool, namespace, image, snapshot), (conf, user, auth, key, servers), plain)| {
        let rbd = with(Rbd::new(pool, image), namespace, Rbd::namespace);
        let rbd = with(with(with(rbd, snapshot, Rbd::snapshot), conf, Rbd::conf), user, Rbd::user);
        if plain {
            return rbd.into();
        }
        let rbd = auth.into_iter().fold(with(rbd, key, Rbd::key_secret), Rbd::auth_client_required);
        servers.into_iter().fold(rbd, |rbd, (host, port)| rbd.server(host, port)).into()
    })
}

fn url() -> impl Strategy<Value = Location> {
    let scheme = select(&["http", "https", "ftp", "ftps"][..]);
    let url = (scheme, host(), text()).prop_map(|(scheme, host, path)| format!("{scheme}://{host}/{path}"));
    let url = url.prop_filter_map("a URL", |url| Url::new(url).ok());
    let transfer = (of(size()), of(any::<bool>()), of(seconds()));
    let rest = (of(text()), of(id()), of(text()), of(id()), of(id()));
    (url, of(transfer), of(rest)).prop_map(|(url, transfer, rest)| {
        let url = with(url, transfer, |url, (readahead, verify, timeout)| {
            let url = with(with(url, readahead, Url::readahead), verify, Url::sslverify);
            with(url, timeout, Url::timeout)
        });
        let url = with(url, rest, |url, (user, password, proxy_user, proxy_password, cookie)| {
            let url = with(with(url, user, Url::username), password, Url::password_secret);
            let url = with(with(url, proxy_user, Url::proxy_username), proxy_password, Url::proxy_password_secret);
            with(url, cookie, Url::cookie_secret)
        });
        url.into()
    })
}

fn ssh() -> impl Strategy<Value = Location> {
    let hash = prop_oneof![
        "[0-9a-f]{32}".prop_map(|hash| HostKeyCheck::Hash { hash_type: HostKeyHash::Md5, hash }),
        "([0-9a-f]{2}:){20}".prop_map(|hash| HostKeyCheck::Hash { hash_type: HostKeyHash::Sha1, hash }),
        "[0-9A-F]{64}".prop_map(|hash| HostKeyCheck::Hash { hash_type: HostKeyHash::Sha256, hash }),
        text().prop_map(|hash| HostKeyCheck::Hash { hash_type: HostKeyHash::Md5, hash }),
    ];
    let check = prop_oneof![Just(HostKeyCheck::None), Just(HostKeyCheck::KnownHosts), hash];
    (host(), path(), of(port()), of(text()), of(check)).prop_map(|(host, path, port, user, check)| {
        let ssh = with(with(Ssh::new(host, path), port, Ssh::port), user, Ssh::user);
        with(ssh, check, Ssh::host_key_check).into()
    })
}

fn iscsi() -> impl Strategy<Value = Location> {
    use IscsiHeaderDigest::{Crc32c, Crc32cNone, None, NoneCrc32c};
    let digest = select(&[Crc32c, None, Crc32cNone, NoneCrc32c][..]);
    let rest = (of((text(), id())), of(text()), of(digest), of(seconds()));
    let target = prop_oneof![text(), "iqn\\.2001-04\\.com:[a-z0-9.:_-]{0,10}"];
    (host(), of(port()), target, any::<u16>(), any::<bool>(), of(rest)).prop_map(
        |(host, port, target, lun, iser, rest)| {
            let iscsi = with(Iscsi::new(host, target).lun(lun), port, Iscsi::port);
            let iscsi = if iser { iscsi.transport(IscsiTransport::Iser) } else { iscsi };
            let iscsi = with(iscsi, rest, |iscsi, (chap, name, digest, timeout)| {
                let iscsi = with(iscsi, chap, |iscsi, (user, id)| iscsi.chap(user, id));
                with(with(iscsi, name, Iscsi::initiator_name), digest, Iscsi::header_digest)
                    .timeout(timeout.unwrap_or_default())
            });
            iscsi.into()
        },
    )
}

fn nfs() -> impl Strategy<Value = Location> {
    let numbers = (of(any::<u32>()), of(any::<u32>()), of(any::<u32>()), of(size()), of(any::<u32>()), of(any::<u8>()));
    (host(), path(), text(), numbers).prop_map(|(host, mut path, file, (user, group, count, ahead, pages, debug))| {
        path.push("/");
        path.push(file);
        let nfs = with(with(Nfs::new(host, path), user, Nfs::user), group, Nfs::group);
        let nfs = with(with(nfs, count, Nfs::tcp_syn_count), ahead, Nfs::readahead_size);
        with(with(nfs, pages, Nfs::page_cache_size), debug, Nfs::debug).into()
    })
}

fn gluster() -> impl Strategy<Value = Location> {
    let server = || {
        prop_oneof![
            (host(), port()).prop_map(|(host, port)| GlusterServer::Tcp { host, port }),
            path().prop_map(|path| GlusterServer::Unix { path: path.into() }),
        ]
    };
    let rest = (vec(server(), 0..2), of(0..11_u8), of(path()));
    (server(), text(), path(), of(rest)).prop_map(|(first, volume, path, rest)| {
        let gluster = with(Gluster::new(first, volume, path), rest, |gluster, (servers, debug, logfile)| {
            let gluster = servers.into_iter().fold(gluster, Gluster::server);
            with(with(gluster, debug, Gluster::debug), logfile, Gluster::logfile)
        });
        gluster.into()
    })
}

fn local() -> impl Strategy<Value = Location> {
    let fat = of(select(&[FatType::Fat12, FatType::Fat16, FatType::Fat32][..]));
    let vvfat = (path(), fat, of(any::<bool>()), of(text()), of(any::<bool>()));
    let vvfat = vvfat.prop_map(|(dir, fat, floppy, label, rw)| {
        let vvfat = with(Vvfat::exposing_host_directory(dir), fat, Vvfat::fat_type);
        with(with(with(vvfat, floppy, Vvfat::floppy), label, Vvfat::label), rw, Vvfat::rw).into()
    });
    let null = (of(size()), of(any::<bool>()))
        .prop_map(|(size, zeroes)| with(with(NullCo::new(), size, NullCo::size), zeroes, NullCo::read_zeroes).into());
    // A relative path comes back as it was spelled, so those here are spelled already.
    let absolute = |path: OsString| {
        let mut absolute = OsString::from("/");
        absolute.push(path);
        absolute
    };
    let file = path().prop_map(move |path| Location::from(absolute(path)));
    let device = text().prop_map(|name| Location::HostDevice(format!("/dev/vg/{name}").into()));
    prop_oneof![vvfat, null, file, device]
}

/// Keys that may be those of a node.
pub(crate) fn keys() -> impl Strategy<Value = KeyVal> {
    const KEYS: &[&str] = &[
        "filename",
        "url",
        "path",
        "server.type",
        "server.host",
        "server.port",
        "server.path",
        "export",
        "pool",
        "image",
        "file.driver",
        "file.filename",
        "offset",
        "size",
        "password",
        "file.cookie",
        "node-name",
        "x,y",
        "",
    ];
    let driver = select(
        &["file", "nbd", "rbd", "http", "ssh", "iscsi", "nfs", "gluster", "vvfat", "null-co", "raw", "nvme", "quorum"]
            [..],
    );
    let pair = (
        select(KEYS),
        prop_oneof![text(), select(&["inet", "unix", "file", "0", "512", "1"][..]).prop_map(String::from)],
    );
    (of(driver), vec(pair, 0..6)).prop_map(|(driver, pairs)| {
        let node = with(KeyVal::new(), driver, |node, driver| node.with("driver", driver));
        pairs.into_iter().fold(node, |node, (key, value)| node.with(key, value))
    })
}

/// Any place.
pub(crate) fn location() -> BoxedStrategy<Location> {
    let node = keys().prop_map(Location::from_node);
    let leaf = prop_oneof![nbd(), rbd(), url(), ssh(), iscsi(), nfs(), gluster(), local(), local(), node];
    let leaf = leaf.boxed();
    let layered = leaf.clone().prop_recursive(3, 6, 2, |over| {
        let error = (select(BLKDEBUG_EVENTS), of(any::<u16>()), of(any::<u32>()), of(any::<bool>()), of(any::<bool>()));
        let error = error.prop_map(|(event, errno, sector, once, now)| {
            let error = with(with(InjectError::new(event), errno, InjectError::errno), sector, InjectError::sector);
            with(with(error, once, InjectError::once), now, InjectError::immediately)
        });
        let align = (0..32_u32).prop_map(|bits| ByteSize::bytes(1 << bits));
        let blkdebug = (over.clone(), of(path()), of(align), vec(error, 0..3));
        prop_oneof![
            (over.clone(), size(), of(size()))
                .prop_map(|(over, offset, size)| { with(Window::new(over, offset), size, Window::size).into() }),
            (over.clone(), text()).prop_map(|(over, group)| Throttle::new(over, group).into()),
            blkdebug.prop_map(|(over, config, align, errors)| {
                let blkdebug = with(with(Blkdebug::new(over), config, Blkdebug::config), align, Blkdebug::align);
                errors.into_iter().fold(blkdebug, Blkdebug::inject_error).into()
            }),
            (over.clone(), over).prop_map(|(raw, test)| Blkverify::new(raw, test).into()),
        ]
    });
    prop_oneof![4 => leaf, 1 => layered].boxed()
}
