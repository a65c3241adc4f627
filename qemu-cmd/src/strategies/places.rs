//! Places of every kind.

use proptest::collection::vec;
use proptest::prelude::{BoxedStrategy, Just, Strategy, any, prop_oneof};
use proptest::sample::select;

use super::World;
use super::names::{object_id, port, remote_path, seconds, secret_id, text};
use super::parts::{half, of, with};
use super::words::{fat_type, host_key_hash, iscsi_header_digest, iscsi_transport, rbd_auth};
use crate::{
    BLKDEBUG_EVENTS, Blkdebug, Blkverify, ByteSize, Gluster, GlusterServer, HostKeyCheck, HostKeyHash, InjectError,
    Iscsi, KeyVal, Location, Nbd, NbdServer, Nfs, NullCo, PROTOCOLS, Rbd, Ssh, Throttle, Url, Vvfat, Window,
};

/// A name with a protocol: one that has no type of its own, or becomes that.
pub(super) fn protocol() -> BoxedStrategy<Location> {
    let protocols: Vec<&str> = PROTOCOLS.iter().copied().filter(|name| !matches!(*name, "json" | "file")).collect();
    let rest = prop_oneof![Just("pool/image".to_owned()), "[ -~]{0,20}"];
    (select(protocols), rest)
        .prop_filter_map("a protocol", |(name, rest)| Location::protocol(format!("{name}:{rest}")).ok())
        .boxed()
}

/// Keys that may be those of a node.
pub fn node_keys() -> BoxedStrategy<KeyVal> {
    const DRIVERS: &[&str] =
        &["file", "nbd", "rbd", "http", "ssh", "iscsi", "nfs", "gluster", "vvfat", "null-co", "raw", "nvme", "quorum"];
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
        "password-secret",
        "tls-creds",
        "file.cookie",
        "node-name",
        "x,y",
        "",
    ];
    let value = select(&["inet", "unix", "file", "0", "512", "1"][..]).prop_map(String::from);
    let pairs = vec((select(KEYS), prop_oneof![text(), value]), 0..6);
    (of(select(DRIVERS)), pairs)
        .prop_map(|(driver, pairs)| {
            let node = with(KeyVal::new(), driver, |node, driver| node.with("driver", driver));
            pairs.into_iter().fold(node, |node, (key, value)| node.with(key, value))
        })
        .boxed()
}

/// A node by its keys, of which qemu may know nothing.
pub(super) fn open_node() -> BoxedStrategy<Location> {
    node_keys().prop_map(Location::from_node).boxed()
}

/// Which host key is taken.
pub fn host_key_check() -> BoxedStrategy<HostKeyCheck> {
    prop_oneof![
        Just(HostKeyCheck::None),
        Just(HostKeyCheck::KnownHosts),
        "[0-9a-f]{32}".prop_map(|hash| HostKeyCheck::Hash { hash_type: HostKeyHash::Md5, hash }),
        "([0-9a-f]{2}:){20}".prop_map(|hash| HostKeyCheck::Hash { hash_type: HostKeyHash::Sha1, hash }),
        "[0-9A-F]{64}".prop_map(|hash| HostKeyCheck::Hash { hash_type: HostKeyHash::Sha256, hash }),
        (host_key_hash(), text()).prop_map(|(hash_type, hash)| HostKeyCheck::Hash { hash_type, hash }),
    ]
    .boxed()
}

/// An error to be injected.
pub fn inject_error() -> BoxedStrategy<InjectError> {
    (select(BLKDEBUG_EVENTS), of(any::<u16>()), of(any::<u32>()), of(any::<bool>()), of(any::<bool>()))
        .prop_map(|(event, errno, sector, once, now)| {
            let error = with(with(InjectError::new(event), errno, InjectError::errno), sector, InjectError::sector);
            with(with(error, once, InjectError::once), now, InjectError::immediately)
        })
        .boxed()
}

impl World {
    /// Where an image may be.
    pub fn location(&self) -> BoxedStrategy<Location> {
        self.place.clone()
    }

    /// A place of a kind that has a type of its own, also over others.
    pub(super) fn typed(&self) -> BoxedStrategy<Location> {
        let device = "[a-z][a-z0-9,=: ]{0,8}".prop_map(|name| format!("/dev/no such directory/{name}"));
        let leaf = prop_oneof![
            1 => self.nbd().prop_map(Location::from),
            1 => self.rbd().prop_map(Location::from),
            1 => self.url().prop_map(Location::from),
            1 => self.ssh().prop_map(Location::from),
            1 => self.iscsi().prop_map(Location::from),
            1 => self.nfs().prop_map(Location::from),
            1 => self.gluster().prop_map(Location::from),
            1 => self.vvfat().prop_map(Location::from),
            1 => self.null_co().prop_map(Location::from),
            3 => self.path.clone().prop_map(Location::from),
            1 => device.prop_map(|path| Location::HostDevice(path.into())),
        ];
        let leaf = leaf.boxed();
        let world = self.clone();
        let layered = leaf.clone().prop_recursive(3, 6, 2, move |below| {
            let world = world.clone().places(below);
            prop_oneof![
                world.window().prop_map(Location::from),
                world.throttle().prop_map(Location::from),
                world.blkdebug().prop_map(Location::from),
                world.blkverify().prop_map(Location::from),
            ]
        });
        prop_oneof![4 => leaf, 1 => layered].boxed()
    }

    /// An NBD server.
    pub fn nbd_server(&self) -> BoxedStrategy<NbdServer> {
        let tcp = (self.host.clone(), port()).prop_map(|(host, port)| NbdServer::Tcp { host, port });
        prop_oneof![tcp, self.path.clone().prop_map(|path| NbdServer::Unix { path })].boxed()
    }

    /// An NBD export.
    pub fn nbd(&self) -> BoxedStrategy<Nbd> {
        (self.nbd_server(), of(text()), of(object_id()), of(text()))
            .prop_map(|(server, export, creds, hostname)| {
                let nbd = with(Nbd::new(server), export, Nbd::export);
                with(with(nbd, creds, Nbd::tls_creds), hostname, Nbd::tls_hostname)
            })
            .boxed()
    }

    /// An image in a Ceph cluster; with nothing but names as often as not, for only such have a plain name.
    pub fn rbd(&self) -> BoxedStrategy<Rbd> {
        let names = (text(), of(text()), text(), of(text()), of(self.path.clone()), of(text()));
        let rest = (vec(rbd_auth(), 0..3), of(secret_id()), vec((self.host.clone(), port()), 0..3));
        (names, half(rest))
            .prop_map(|((pool, namespace, image, snapshot, conf, user), rest)| {
                let rbd = with(with(Rbd::new(pool, image), namespace, Rbd::namespace), snapshot, Rbd::snapshot);
                let rbd = with(with(rbd, conf, Rbd::conf), user, Rbd::user);
                with(rbd, rest, |rbd, (auth, key, servers)| {
                    let rbd = auth.into_iter().fold(with(rbd, key, Rbd::key_secret), Rbd::auth_client_required);
                    servers.into_iter().fold(rbd, |rbd, (host, port)| rbd.server(host, port))
                })
            })
            .boxed()
    }

    /// A URL.
    pub fn url(&self) -> BoxedStrategy<Url> {
        let scheme = select(&["http", "https", "ftp", "ftps"][..]);
        let url = (scheme, self.host.clone(), text())
            .prop_filter_map("a URL", |(scheme, host, path)| Url::new(format!("{scheme}://{host}/{path}")).ok());
        let transfer = (of(self.size.clone()), of(any::<bool>()), of(seconds()));
        let rest = (of(text()), of(secret_id()), of(text()), of(secret_id()), of(secret_id()));
        (url, of(transfer), of(rest))
            .prop_map(|(url, transfer, rest)| {
                let url = with(url, transfer, |url, (readahead, verify, timeout)| {
                    let url = with(with(url, readahead, Url::readahead), verify, Url::sslverify);
                    with(url, timeout, Url::timeout)
                });
                with(url, rest, |url, (user, password, proxy_user, proxy_password, cookie)| {
                    let url = with(with(url, user, Url::username), password, Url::password_secret);
                    let url = with(url, proxy_user, Url::proxy_username);
                    let url = with(url, proxy_password, Url::proxy_password_secret);
                    with(url, cookie, Url::cookie_secret)
                })
            })
            .boxed()
    }

    /// A file on an SSH server.
    pub fn ssh(&self) -> BoxedStrategy<Ssh> {
        (self.host.clone(), remote_path(), of(port()), of(text()), of(host_key_check()))
            .prop_map(|(host, path, port, user, check)| {
                let ssh = with(with(Ssh::new(host, path), port, Ssh::port), user, Ssh::user);
                with(ssh, check, Ssh::host_key_check)
            })
            .boxed()
    }

    /// A logical unit of iSCSI.
    pub fn iscsi(&self) -> BoxedStrategy<Iscsi> {
        let target = prop_oneof![text(), "iqn\\.2001-04\\.com:[a-z0-9.:_-]{0,10}"];
        let rest = (of((text(), secret_id())), of(text()), of(iscsi_header_digest()), of(seconds()));
        (self.host.clone(), of(port()), target, any::<u16>(), iscsi_transport(), of(rest))
            .prop_map(|(host, port, target, lun, transport, rest)| {
                let iscsi = with(Iscsi::new(host, target).lun(lun), port, Iscsi::port).transport(transport);
                with(iscsi, rest, |iscsi, (chap, name, digest, timeout)| {
                    let iscsi = with(iscsi, chap, |iscsi, (user, id)| iscsi.chap(user, id));
                    let iscsi = with(iscsi, name, Iscsi::initiator_name);
                    with(with(iscsi, digest, Iscsi::header_digest), timeout, Iscsi::timeout)
                })
            })
            .boxed()
    }

    /// A file on an NFS server.
    pub fn nfs(&self) -> BoxedStrategy<Nfs> {
        let number = || of(any::<u32>());
        let numbers = (number(), number(), number(), of(self.size.clone()), number(), of(any::<u8>()));
        (self.host.clone(), remote_path(), text(), numbers)
            .prop_map(|(host, mut path, file, (user, group, count, ahead, pages, debug))| {
                path.push("/");
                path.push(file);
                let nfs = with(with(Nfs::new(host, path), user, Nfs::user), group, Nfs::group);
                let nfs = with(with(nfs, count, Nfs::tcp_syn_count), ahead, Nfs::readahead_size);
                with(with(nfs, pages, Nfs::page_cache_size), debug, Nfs::debug)
            })
            .boxed()
    }

    /// A GlusterFS server.
    pub fn gluster_server(&self) -> BoxedStrategy<GlusterServer> {
        let tcp = (self.host.clone(), port()).prop_map(|(host, port)| GlusterServer::Tcp { host, port });
        prop_oneof![tcp, self.path.clone().prop_map(|path| GlusterServer::Unix { path })].boxed()
    }

    /// A file in a GlusterFS volume.
    pub fn gluster(&self) -> BoxedStrategy<Gluster> {
        let rest = (vec(self.gluster_server(), 0..2), of(0..11_u8), of(self.path.clone()));
        (self.gluster_server(), text(), remote_path(), of(rest))
            .prop_map(|(first, volume, path, rest)| {
                with(Gluster::new(first, volume, path), rest, |gluster, (servers, debug, logfile)| {
                    let gluster = servers.into_iter().fold(gluster, Gluster::server);
                    with(with(gluster, debug, Gluster::debug), logfile, Gluster::logfile)
                })
            })
            .boxed()
    }

    /// A directory as a FAT disk.
    pub fn vvfat(&self) -> BoxedStrategy<Vvfat> {
        (self.path.clone(), of(fat_type()), of(any::<bool>()), of(text()), of(any::<bool>()))
            .prop_map(|(dir, fat, floppy, label, rw)| {
                let vvfat = with(Vvfat::exposing_host_directory(dir), fat, Vvfat::fat_type);
                with(with(with(vvfat, floppy, Vvfat::floppy), label, Vvfat::label), rw, Vvfat::rw)
            })
            .boxed()
    }

    /// A disk that forgets.
    pub fn null_co(&self) -> BoxedStrategy<NullCo> {
        (of(self.size.clone()), of(any::<bool>()))
            .prop_map(|(size, zeroes)| with(with(NullCo::new(), size, NullCo::size), zeroes, NullCo::read_zeroes))
            .boxed()
    }

    /// A part of another place.
    pub fn window(&self) -> BoxedStrategy<Window> {
        (self.location(), self.size.clone(), of(self.size.clone()))
            .prop_map(|(below, offset, size)| with(Window::new(below, offset), size, Window::size))
            .boxed()
    }

    /// A place with its speed limited.
    pub fn throttle(&self) -> BoxedStrategy<Throttle> {
        (self.location(), object_id()).prop_map(|(below, group)| Throttle::new(below, group)).boxed()
    }

    /// A place with errors injected.
    pub fn blkdebug(&self) -> BoxedStrategy<Blkdebug> {
        let align = (0..32_u32).prop_map(|bits| ByteSize::bytes(1 << bits));
        (self.location(), of(self.path.clone()), of(align), vec(inject_error(), 0..3))
            .prop_map(|(below, config, align, errors)| {
                let blkdebug = with(with(Blkdebug::new(below), config, Blkdebug::config), align, Blkdebug::align);
                errors.into_iter().fold(blkdebug, Blkdebug::inject_error)
            })
            .boxed()
    }

    /// Two places that must hold the same.
    pub fn blkverify(&self) -> BoxedStrategy<Blkverify> {
        (self.location(), self.location()).prop_map(|(raw, test)| Blkverify::new(raw, test)).boxed()
    }
}
