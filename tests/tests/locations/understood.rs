//! Places that cannot be served here: qemu-img understands the arguments, and fails only where it would connect. And
//! what the model refuses of a place, which qemu-img refuses too.

use std::time::Duration;

use qemu_cmd::{
    BLKDEBUG_EVENTS, Blkdebug, Convert, Error, Gluster, GlusterServer, HostKeyCheck, Info, InjectError, Iscsi,
    IscsiHeaderDigest, IscsiTransport, Location, Nfs, NullCo, Object, QemuVersion, Raw, Rbd, RbdAuth, Secret, SecretId,
    Source, Ssh, Target, Throttle, Vvfat, Window,
};
use qemu_cmd::{ByteSize, Nbd};
use tests::bare;

use super::{FORMS, image, run};

/// What qemu-img says of arguments that it does not understand.
const NOT_UNDERSTOOD: &[&str] = &[
    "Invalid parameter",
    "invalid parameter value",
    "expects",
    "doesn't support the option",
    "is unexpected",
    "is missing",
    "Invalid U",
    "invalid U",
    "Failed to parse",
    "host_key_check setting",
    "Need all of",
    "No valid URL",
    "unrecognized option",
    "Try 'qemu-img",
    "usage",
];

fn check_understood(place: impl Into<Location>) {
    let place = place.into();
    for form in FORMS {
        let source = form.into_iter().fold(Source::raw(place.clone()), Source::form);
        let source = source.object(Object::secret(key(), Secret::new("x").unwrap()));
        let args = Info::new(source).invocation().unwrap().argv(|id| format!("secret,id={id},data=x").into());
        let output = run(&args, None);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {text}");
        let complaint = NOT_UNDERSTOOD.iter().find(|complaint| text.contains(**complaint));
        assert!(complaint.is_none(), "{args:?}: {text}");
    }
}

fn key() -> SecretId {
    SecretId::new("key").unwrap()
}

#[test]
fn rbd() {
    // A configuration that is missing ends it at once, after everything has been read.
    let rbd = || Rbd::new("pool", "image").conf("/nonexistent/a:b");
    check_understood(rbd());
    check_understood(Rbd::new("p o:o\\l@", "i,m:age\\").snapshot("s:n").user("u=1").conf("/nonexistent"));
    check_understood(rbd().namespace("n"));
    let full = rbd().namespace("n").snapshot("s").user("u").key_secret(key());
    let full = full.auth_client_required(RbdAuth::Cephx).auth_client_required(RbdAuth::None);
    check_understood(full.server("127.0.0.1", 1).server("::1", 1));
}

#[test]
fn iscsi() {
    let iscsi = || Iscsi::new("127.0.0.1", "iqn.2001-04.com.example:a_b").port(1);
    check_understood(iscsi());
    check_understood(iscsi().lun(255));
    check_understood(Iscsi::new("::1", "iqn.2001-04.com.example:a").port(1));
    check_understood(iscsi().transport(IscsiTransport::Iser));
    let full = iscsi().chap("me", key()).initiator_name("iqn.2001-04.com.example:me");
    check_understood(full.header_digest(IscsiHeaderDigest::Crc32cNone).timeout(Duration::from_secs(2)));
}

#[test]
fn nfs() {
    check_understood(Nfs::new("127.0.0.1", "/no such,export/a?b#c&d=é"));
    check_understood(Nfs::new("127.0.0.1", "export/file"));
    let full = Nfs::new("127.0.0.1", "/export/a").user(1).group(2).tcp_syn_count(1);
    check_understood(full.readahead_size(ByteSize::kib(64)).page_cache_size(4).debug(1));
}

#[test]
fn gluster() {
    let server = || GlusterServer::Tcp { host: "127.0.0.1".to_owned(), port: 1 };
    check_understood(Gluster::new(server(), "no volume", "a/b c?d#e"));
    let full = Gluster::new(server(), "volume", "/a").server(GlusterServer::Unix { path: "/nonexistent".into() });
    check_understood(full.debug(0).logfile("/dev/null"));
}

#[test]
fn ssh() {
    for check in [HostKeyCheck::None, HostKeyCheck::KnownHosts] {
        let ssh = || Ssh::new("127.0.0.1", "/a b?c#d").port(1).host_key_check(check.clone());
        check_understood(ssh());
        check_understood(ssh().user("me@home %"));
    }
    check_understood(Ssh::new("::1", "relative/file").port(1));
}

#[test]
fn every_blkdebug_event() {
    let (_directory, path) = image("image");
    let errors = BLKDEBUG_EVENTS.iter().map(|event| InjectError::new(*event).sector(u32::MAX));
    let place = errors.fold(Blkdebug::new(path.as_path()), Blkdebug::inject_error);
    let invocation = Info::new(Source::raw(place)).invocation().unwrap();
    let output = run(&invocation.argv(|_| unreachable!("a place holds no secret")), None);
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn what_is_refused_is_refused_by_qemu_img_too() {
    let (directory, path) = image("image");
    let file = || Location::from(path.as_path());
    let (file_node, dir) = (format!("file.filename={}", path.display()), directory.path().display());
    let long = format!("/{}", "a".repeat(107));
    let cases: Vec<(Location, String)> = vec![
        (
            Window::new(file(), ByteSize::bytes(0)).size(ByteSize::bytes(1000)).into(),
            format!("driver=raw,size=1000,{file_node}"),
        ),
        (Throttle::new(file(), "1").into(), format!("driver=throttle,throttle-group=1,{file_node}")),
        (Vvfat::exposing_host_directory("").into(), "driver=vvfat,dir=".to_owned()),
        (
            Vvfat::exposing_host_directory(directory.path()).label("twelve bytes").into(),
            format!("driver=vvfat,dir={dir},label=twelve bytes"),
        ),
        (
            NullCo::new().size(ByteSize::bytes(0x7fff_ffff_ffff_fe00)).into(),
            "driver=null-co,size=9223372036854775296".to_owned(),
        ),
        (Blkdebug::new(file()).align(ByteSize::bytes(3)).into(), format!("driver=blkdebug,align=3,image.{file_node}")),
        (
            Blkdebug::new(file()).inject_error(InjectError::new("x")).into(),
            format!("driver=blkdebug,inject-error.0.event=x,image.{file_node}"),
        ),
        (Nbd::unix("").into(), "driver=nbd,server.type=unix,server.path=".to_owned()),
        (Nbd::unix(&long).into(), format!("driver=nbd,server.type=unix,server.path={long}")),
        (Nbd::tcp("", 1).into(), "driver=nbd,server.type=inet,server.host=,server.port=1".to_owned()),
        (Nbd::tcp("127.0.0.1", 0).into(), "driver=nbd,server.type=inet,server.host=127.0.0.1,server.port=0".to_owned()),
    ];
    for (place, node) in cases {
        let refusal = Info::new(Source::raw(place.clone())).invocation().unwrap_err();
        let is_of_location = matches!(refusal, Error::LocationPart { .. } | Error::LocationPartEmpty { .. });
        assert!(is_of_location, "{place:?}: {refusal:?}");
        let output = bare(["info", "--image-opts", &format!("driver=raw,{}", prefixed(&node))]);
        // 5.2 takes a null disk whose size overflows for an empty one.
        let silent = node.starts_with("driver=null-co") && tests::version() < QemuVersion::new(6, 0, 0);
        assert!(!output.status.success() || silent, "{node}: {output:?}");
    }
}

fn prefixed(node: &str) -> String {
    node.split(',').map(|pair| format!("file.{pair}")).collect::<Vec<_>>().join(",")
}

#[test]
fn a_null_disk_is_silently_rounded_up() {
    let place = NullCo::new().size(ByteSize::bytes(1000));
    assert!(Info::new(Source::raw(place)).invocation().is_err());
    let output = bare(["info", "--output=json", "--image-opts", "driver=raw,file.driver=null-co,file.size=1000"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("\"virtual-size\": 1024"), "{output:?}");
}

#[test]
fn a_new_image_needs_a_plain_name() {
    let place = Nbd::tcp("h", 1).tls_creds("tls0");
    let convert = Convert::new(Source::raw("/a"), Target::new(place.clone(), Raw::new()));
    assert!(matches!(convert.invocation(), Err(Error::LocationNeedsNode { .. })));
    let place = Source::raw(place).object(Object::tls_creds_psk(SecretId::new("tls0").unwrap(), "/keys", "me"));
    let into_existing = Convert::new(Source::raw("/a"), Target::existing(place));
    assert_eq!(
        into_existing.invocation().unwrap().to_string(),
        "qemu-img convert -n -f raw --object tls-creds-psk,id=tls0,dir=/keys,endpoint=client,username=me \
         --target-image-opts /a driver=raw,file.driver=nbd,file.server.type=inet,\
         file.server.host=h,file.server.port=1,file.tls-creds=tls0"
    );
}
