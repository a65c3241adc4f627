//! Every kind of place: what is spelled can be read again, and the real qemu-img reads the content behind it.
//!
//! What can be served on this machine is served; of the others it is known that qemu-img understands the arguments.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "locations/servers.rs"]
mod servers;
#[path = "locations/spelling.rs"]
mod spelling;
#[path = "locations/understood.rs"]
mod understood;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Output;

use qemu_cmd::{
    Blkdebug, Blkverify, ByteSize, Command, Compare, Convert, Error, FatType, HostKeyCheck, HostKeyHash, Info,
    InjectError, Location, Nbd, NullCo, Object, QemuVersion, Raw, Secret, SecretId, Source, SourceForm, Ssh, Target,
    Throttle, Url, Vvfat, Window,
};
use qemu_exec::{ErrorKind, QemuImg};
use servers::{Http, nbd_tcp, nbd_unix};
use tempfile::TempDir;
use tests::machine::LoopDevice;
use tests::sshd::Sshd;
use tests::{argv, content, local, qemu_img, scratch, sudo, version};

const FORMS: [Option<SourceForm>; 3] = [None, Some(SourceForm::ImageOpts), Some(SourceForm::Json)];

/// Runs the qemu-img under test, by which no proxy is used.
fn run(args: &[OsString], agent: Option<&Path>) -> Output {
    let mut command = std::process::Command::new(qemu_img());
    command.args(args).env("LC_ALL", "C").env_remove("SSH_AUTH_SOCK");
    for name in ["http_proxy", "https_proxy", "ftp_proxy", "all_proxy"] {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
    if let Some(socket) = agent {
        command.env("SSH_AUTH_SOCK", socket);
    }
    command.output().expect("qemu-img is installed: cargo xtask test installs it")
}

/// What qemu-img says.
fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Whether the qemu-img under test lacks the driver of this name, which the place needs. If so, it says that in every
/// form, and that is what the error says, too.
///
/// Some drivers come in a package of their own, in the same version: `qemu-block-extra` on Debian and Ubuntu. With it
/// `cargo xtask versions` runs these tests.
fn lacks_driver(name: &str, place: impl Into<Location>) -> bool {
    let module = if name == "http" { "curl" } else { name };
    let says = [
        format!("Unable to load module {module}."),
        format!("Unknown protocol '{name}'"),
        format!("Unknown driver '{name}'"),
    ];
    let is_said = |text: &str| says.iter().any(|lack| text.contains(lack));
    let output = run(&["info".into(), format!("{name}://127.0.0.1:1/").into()], None);
    assert!(!output.status.success());
    if !is_said(&said(&output)) {
        return false;
    }
    let place = place.into();
    for form in FORMS {
        let source = form.into_iter().fold(Source::raw(place.clone()), Source::form);
        let error = QemuImg::new(local()).info(&Info::new(source)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{form:?}: {error}");
        assert!(is_said(error.stderr()), "{form:?}: {error}");
    }
    true
}

/// How to read a place.
#[derive(Default)]
struct Reader<'a> {
    /// Objects that the place names.
    objects: Vec<Object>,
    agent: Option<&'a Path>,
}

impl Reader<'_> {
    /// Converts the place to a raw file, and gives that.
    fn convert(&self, place: &Location, form: Option<SourceForm>) -> (Output, Vec<u8>) {
        let directory = scratch();
        let copy = directory.path().join("copy");
        let source = Source::raw(place.clone());
        let source = form.into_iter().fold(source, Source::form);
        let source = self.objects.iter().cloned().fold(source, Source::object);
        let args = argv(&Convert::new(source, Target::new(&copy, Raw::new())).invocation().unwrap());
        parses_back(&args);
        (run(&args, self.agent), std::fs::read(copy).unwrap_or_default())
    }

    /// Checks that the place reads as `wanted`, in every form.
    fn check(&self, place: impl Into<Location>, wanted: &[u8]) {
        let place = place.into();
        for form in FORMS {
            let (output, read) = self.convert(&place, form);
            assert!(output.status.success(), "{place:?} as {form:?}: {}", said(&output));
            assert!(read == wanted, "{place:?} as {form:?} reads as something else");
        }
    }

    /// Checks that reading the place fails, and what is said.
    fn check_fails(&self, place: impl Into<Location>, wanted: &str) {
        let place = place.into();
        for form in FORMS {
            let (output, _) = self.convert(&place, form);
            let text = said(&output);
            assert!(!output.status.success() && text.contains(wanted), "{place:?} as {form:?}: {text}");
        }
    }
}

/// The command has types, with its objects: its arguments read back are a command of the same arguments.
fn parses_back(args: &[OsString]) {
    let command = Command::parse(args.iter().cloned()).unwrap();
    let secrets = command.invocation().unwrap();
    let count = |args: &[OsString]| args.iter().filter(|arg| *arg == "--object").count();
    assert_eq!(count(&secrets.argv(|id| format!("secret,id={id},file=-").into())), count(args), "{args:?}");
}

fn id(id: &str) -> SecretId {
    SecretId::new(id).unwrap()
}

fn check(place: impl Into<Location>, wanted: &[u8]) {
    Reader::default().check(place, wanted);
}

/// A directory with a raw image of this name.
fn image(name: &str) -> (TempDir, PathBuf) {
    let directory = scratch();
    let path = directory.path().join(name);
    std::fs::write(&path, content()).unwrap();
    (directory, path)
}

#[test]
fn files() {
    let (_directory, path) = image("a,b=c nbd:é\\\"");
    check(path.as_path(), &content());
}

#[test]
fn host_devices() {
    let (_directory, path) = image("image");
    let device = LoopDevice::over(&path);
    for form in FORMS {
        let directory = scratch();
        let copy = directory.path().join("copy");
        let source = form.into_iter().fold(Source::raw(Location::HostDevice(device.path().to_owned())), Source::form);
        QemuImg::new(sudo()).convert(&Convert::new(source, Target::new(&copy, Raw::new()))).unwrap();
        assert!(std::fs::read(copy).unwrap() == content(), "{form:?}");
    }
}

#[test]
fn nbd_over_tcp() {
    let (_directory, path) = image("image");
    for export in ["", "disk", "a b,c:d/é%41@?&=\"\\#[]+;~'", "/slashed"] {
        let (_server, port) = nbd_tcp(&path, &["-x", export]);
        let nbd = Nbd::tcp("127.0.0.1", port);
        check(if export.is_empty() { nbd } else { nbd.export(export) }, &content());
    }
}

#[test]
fn nbd_over_a_unix_socket() {
    let (directory, path) = image("image");
    for (socket, export) in [("s", "disk"), ("a b,c:d%41?&=\"é+#", "x/y z"), ("a b,c:d?=\"é+#;~@[]", "%41&=")] {
        let socket = directory.path().join(socket);
        let _server = nbd_unix(&path, &socket, &["-x", export]);
        check(Nbd::unix(&socket).export(export), &content());
    }
}

#[test]
fn nbd_with_tls() {
    let (_directory, path) = image("image");
    let keys = scratch();
    std::fs::write(keys.path().join("keys.psk"), format!("qemu:{}\n", "0123456789abcdef".repeat(4))).unwrap();
    let object = |endpoint: &str| format!("tls-creds-psk,id=tls0,dir={},endpoint={endpoint}", keys.path().display());
    let server = object("server");
    let client = Object::tls_creds_psk(id("tls0"), keys.path(), "qemu");
    let (_server, port) = nbd_tcp(&path, &["--object", &server, "--tls-creds", "tls0", "-x", "disk"]);
    let nbd = Nbd::tcp("127.0.0.1", port).export("disk");
    Reader { objects: vec![client], ..Reader::default() }.check(nbd.clone().tls_creds("tls0"), &content());
    Reader::default().check_fails(nbd, "TLS");
}

#[test]
fn http() {
    let server = Http::serve("/a%20b,c?d=e&f=g:h@i", content(), &[]);
    let url = Url::new(format!("http://127.0.0.1:{}/a%20b,c?d=e&f=g:h@i", server.port)).unwrap();
    if lacks_driver("http", url.clone()) {
        return;
    }
    check(url.clone(), &content());
    let seconds = std::time::Duration::from_secs;
    check(url.clone().readahead(ByteSize::kib(64)).timeout(seconds(10_000)).sslverify(false), &content());
    check(Window::new(url, ByteSize::kib(64)).size(ByteSize::kib(4)), &content()[64 << 10..68 << 10]);
    let other = Url::new(format!("http://127.0.0.1:{}/other", server.port)).unwrap();
    Reader::default().check_fails(other, "404");
}

#[test]
fn http_with_a_password_and_cookies() {
    // `me:hunter,2` in base64.
    let wanted = &["Authorization: Basic bWU6aHVudGVyLDI=", "Cookie: a=b; c=d"];
    let server = Http::serve("/", content(), wanted);
    let url = Url::new(format!("http://127.0.0.1:{}/", server.port)).unwrap();
    if lacks_driver("http", url.clone()) {
        return;
    }
    let secret = |name, word: &str| Object::secret(id(name), Secret::new(word).unwrap());
    let objects = vec![secret("word", "hunter,2"), secret("jar", "a=b; c=d")];
    let reader = Reader { objects, ..Reader::default() };
    let full = url.clone().username("me").password_secret(id("word")).cookie_secret(id("jar"));
    reader.check(full.clone(), &content());
    let reader = Reader { objects: reader.objects[..1].to_vec(), ..Reader::default() };
    reader.check_fails(full.cookie_secret(id("word")), "401");
    Reader::default().check_fails(url, "401");
}

#[test]
fn ssh() {
    let (_directory, path) = image("a b,c:d%41?&=\"é+#");
    let server = Sshd::start();
    let reader = Reader { agent: Some(&server.agent_socket), ..Reader::default() };
    let ssh = |check| Ssh::new("127.0.0.1", &path).port(server.port).user(&server.user).host_key_check(check);
    if lacks_driver("ssh", ssh(HostKeyCheck::None)) {
        return;
    }
    reader.check(ssh(HostKeyCheck::None), &content());
    reader.check(ssh(server.fingerprint(HostKeyHash::Md5)), &content());
    let sha256 = ssh(server.fingerprint(HostKeyHash::Sha256));
    if version() >= QemuVersion::new(6, 1, 0) {
        reader.check(sha256, &content());
    } else {
        reader.check_fails(sha256, "sha256");
    }
    let wrong = HostKeyCheck::Hash { hash_type: HostKeyHash::Md5, hash: "00".repeat(16) };
    reader.check_fails(ssh(wrong), "does not match");
}

#[test]
fn nothing() {
    check(NullCo::new().size(ByteSize::mib(1)).read_zeroes(true), &vec![0; 1 << 20]);
    let (output, read) = Reader::default().convert(&NullCo::new().into(), None);
    assert!(output.status.success());
    assert_eq!(read.len(), 1 << 30);
}

#[test]
fn host_directories() {
    let (directory, _) = image("image.bin");
    for (fat, size) in [(FatType::Fat12, 1_474_560), (FatType::Fat16, 2_949_120)] {
        let disk = Vvfat::exposing_host_directory(directory.path()).floppy(true).fat_type(fat).label("a,b c");
        let (output, read) = Reader::default().convert(&disk.into(), Some(SourceForm::Json));
        assert!(output.status.success(), "{}", said(&output));
        assert_eq!(read.len(), size);
        assert!(read.windows(11).any(|name| name == b"IMAGE   BIN"));
        assert!(read.windows(512).step_by(512).any(|sector| sector == &content()[..512]));
    }
}

#[test]
fn windows() {
    let (_directory, path) = image("image");
    let window = Window::new(path.as_path(), ByteSize::bytes(1000));
    check(window.clone().size(ByteSize::kib(512)), &content()[1000..][..512 << 10]);
    let inner = Window::new(window.size(ByteSize::kib(64)), ByteSize::bytes(24)).size(ByteSize::kib(32));
    check(inner, &content()[1024..][..32 << 10]);
    check(Window::new(path.as_path(), ByteSize::kib(1020)), &content()[1020 << 10..]);
    let beyond = Window::new(path.as_path(), ByteSize::mib(2));
    Reader::default().check_fails(beyond, "cannot be greater than size");
    let (_server, port) = nbd_tcp(&path, &["-x", "disk"]);
    let over_nbd = Window::new(Nbd::tcp("127.0.0.1", port).export("disk"), ByteSize::kib(8));
    check(over_nbd, &content()[8 << 10..]);
}

#[test]
fn throttled_places() {
    let (_directory, path) = image("image");
    let throttle = Throttle::new(path.as_path(), "slow-1");
    let group = Object::throttle_group(id("slow-1")).property("x-bps-total", "4194304");
    let reader = Reader { objects: vec![group.clone()], ..Reader::default() };
    reader.check(throttle.clone(), &content());

    // Without the object it is refused, by both.
    let convert = |source| Convert::new(source, Target::new(path.with_extension("copy"), Raw::new())).invocation();
    let source = Source::raw(throttle);
    let error = Error::ObjectMissing { id: "slow-1".to_owned() };
    assert_eq!(convert(source.clone()).unwrap_err(), error);
    let mut args = convert(source.clone().object(group.clone())).unwrap().argv(|_| unreachable!());
    let at = args.iter().position(|arg| arg == "--object").unwrap();
    args.drain(at..at + 2);
    assert!(said(&run(&args, None)).contains("'slow-1' does not exist"));

    // Two images share one; two different ones cannot have one id.
    let other = group.clone().property("x-iops-total", "1000");
    let two = |second| Compare::new(source.clone().object(group.clone()), source.clone().object(second)).invocation();
    assert!(run(&two(group.clone()).unwrap().argv(|_| unreachable!()), None).status.success());
    assert_eq!(two(other.clone()).unwrap_err(), Error::ObjectIdTaken { id: "slow-1".to_owned() });
    let mut args = two(group.clone()).unwrap().argv(|_| unreachable!());
    args.splice(1..1, ["--object".into(), "throttle-group,id=slow-1,x-bps-total=4194304,x-iops-total=1000".into()]);
    assert!(said(&run(&args, None)).contains("duplicate property 'slow-1'"), "{}", said(&run(&args, None)));
}

#[test]
fn injected_errors() {
    let (_directory, path) = image("image");
    check(Blkdebug::new(path.as_path()).align(ByteSize::kib(4)), &content());
    let error = InjectError::new("none").errno(28).sector(4).once(false).immediately(true);
    Reader::default().check_fails(Blkdebug::new(path.as_path()).inject_error(error), "No space left on device");
    let once = InjectError::new("none").sector(1 << 30).once(true);
    check(Blkdebug::new(path.as_path()).inject_error(once), &content());
}

#[test]
fn places_that_must_agree() {
    let (directory, path) = image("image");
    let other = directory.path().join("other");
    let mut content = content();
    std::fs::write(&other, &content).unwrap();
    let both = Blkverify::new(path.as_path(), other.as_path());
    check(both.clone(), &content);
    content[4096] ^= 1;
    std::fs::write(&other, &content).unwrap();
    Reader::default().check_fails(both, "mismatch");
}
