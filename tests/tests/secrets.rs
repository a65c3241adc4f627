//! A passphrase is nowhere while a conversion runs, nor after it: no argument, no environment, no file, no log.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt::{Debug, Write as _};
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use qemu_cmd::{CommandLine, Convert, LuksImage, Qcow2, Raw, Secret, Source, Target};
use qemu_exec::{DryRunExecutor, ErrorKind, Executor, QemuImg, Request, SudoExecutor};
use tests::{bare, client, content, local, qemu_img, quick_luks, scratch, sudo};

/// Nothing else on the machine holds it by chance.
fn random_passphrase() -> String {
    let mut bytes = [0; 48];
    File::open("/dev/urandom").unwrap().read_exact(&mut bytes).unwrap();
    STANDARD.encode(bytes)
}

/// A LUKS volume with [`content`], and its passphrase.
fn locked() -> &'static (Vec<u8>, String) {
    static IMAGE: OnceLock<(Vec<u8>, String)> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let directory = scratch();
        let (raw, image, passphrase) = (directory.path().join("a"), directory.path().join("b"), random_passphrase());
        fs::write(&raw, content()).unwrap();
        let target = Target::new(&image, LuksImage::new(quick_luks(&passphrase)));
        client().convert(&Convert::new(Source::raw(&raw), target)).unwrap();
        (fs::read(image).unwrap(), passphrase)
    })
}

/// What must not be found.
struct Needles(Vec<Vec<u8>>);

impl Needles {
    fn new<'a>(passphrases: impl IntoIterator<Item = &'a str>) -> Self {
        // The end of base64 depends on what follows.
        let both = |text: &str| [text.to_owned(), STANDARD.encode(text).trim_end_matches('=').to_owned()];
        Self(passphrases.into_iter().flat_map(both).map(String::into_bytes).collect())
    }

    fn are_in(&self, bytes: &[u8]) -> bool {
        self.0.iter().any(|needle| contains(bytes, needle))
    }

    fn assert_not_in(&self, text: &str) {
        assert!(!text.is_empty());
        assert!(!self.are_in(text.as_bytes()), "{text}");
    }
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    let first = needle[0];
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| *byte == first) {
        if rest[at..].starts_with(needle) {
            return true;
        }
        rest = &rest[at + 1..];
    }
    false
}

/// What a look at the whole machine brought to light.
#[derive(Debug, Default)]
struct Sight {
    /// Where a needle was.
    found: BTreeSet<String>,
    /// How many times the arguments and the environment of the qemu-img that works in our directory were read.
    qemu_img: usize,
}

/// Reads all arguments and environments, over and over, while something happens; then the files that are new.
fn watch<T>(directory: &Path, needles: &Needles, happening: impl FnOnce() -> T) -> (T, Sight) {
    let places = Places::remember(directory);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut sight = Sight::default();
            while !over.load(Ordering::Relaxed) {
                look_at_processes(directory, needles, &mut sight);
                places.look(needles, &mut sight);
            }
            sight
        });
        // The watcher must end also if this panics.
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(happening));
        over.store(true, Ordering::Relaxed);
        let mut sight = watcher.join().unwrap();
        places.look_everywhere(needles, &mut sight);
        (result.unwrap_or_else(|panic| std::panic::resume_unwind(panic)), sight)
    })
}

fn look_at_processes(directory: &Path, needles: &Needles, sight: &mut Sight) {
    for process in fs::read_dir("/proc").unwrap().flatten() {
        if !process.file_name().as_bytes()[0].is_ascii_digit() {
            continue;
        }
        // A process may end at any time.
        let Ok(arguments) = fs::read(process.path().join("cmdline")) else { continue };
        let name = |what: &str| format!("{what} of {}", String::from_utf8_lossy(&arguments).replace('\0', " "));
        if needles.are_in(&arguments) {
            sight.found.insert(name("arguments"));
        }
        let ours = contains(&arguments, directory.as_os_str().as_bytes());
        let environment = match fs::read(process.path().join("environ")) {
            Ok(environment) => environment,
            // It is another user's, and matters only if it is ours.
            Err(_) if ours => {
                let file = process.path().join("environ");
                Command::new("sudo").args(["-n", "cat"]).arg(file).stdin(Stdio::null()).output().unwrap().stdout
            }
            Err(_) => continue,
        };
        if needles.are_in(&environment) {
            sight.found.insert(name("environment"));
        }
        let words: Vec<&[u8]> = arguments.split(|byte| *byte == 0).collect();
        let base = |word: &[u8]| word.rsplit(|byte| *byte == b'/').next().unwrap_or_default().to_vec();
        let wrapper = [&b"sudo"[..], b"env", b"prlimit", b"timeout", b"sh"].contains(&&*base(words[0]));
        let subcommand = words
            .windows(2)
            .any(|pair| base(pair[0]).starts_with(b"qemu-img") && [&b"convert"[..], b"create"].contains(&pair[1]));
        if ours && subcommand && !wrapper && !environment.is_empty() {
            sight.qemu_img += 1;
        }
    }
}

/// The directories in which somebody might put a secret, and what was there before.
struct Places {
    scratch: PathBuf,
    started: SystemTime,
    temporary: Vec<(PathBuf, BTreeSet<OsString>)>,
}

impl Places {
    fn remember(scratch: &Path) -> Self {
        let mut directories = vec![std::env::temp_dir(), "/tmp".into(), "/var/tmp".into(), "/dev/shm".into()];
        directories.sort();
        directories.dedup();
        let names = |directory: PathBuf| {
            let names = entries(&directory).iter().map(|path| path.file_name().unwrap().to_owned()).collect();
            (directory, names)
        };
        Self {
            scratch: scratch.to_owned(),
            started: SystemTime::now(),
            temporary: directories.into_iter().map(names).collect(),
        }
    }

    fn new_ones(&self) -> impl Iterator<Item = PathBuf> {
        self.temporary.iter().flat_map(|(directory, before)| {
            entries(directory).into_iter().filter(|path| !before.contains(path.file_name().unwrap()))
        })
    }

    /// New temporary files, which may be gone soon.
    fn look(&self, needles: &Needles, sight: &mut Sight) {
        self.new_ones().for_each(|path| look_at_file(&path, needles, sight));
    }

    fn look_everywhere(&self, needles: &Needles, sight: &mut Sight) {
        look_below(&self.scratch, 9, needles, sight);
        self.new_ones().for_each(|path| look_below(&path, 3, needles, sight));
        // Where the kernel would have put the memory of a process that crashed.
        let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
        if !pattern.starts_with('|') {
            let cores = std::path::absolute(pattern.trim()).unwrap();
            for path in entries(cores.parent().unwrap()) {
                if path.symlink_metadata().and_then(|meta| meta.modified()).is_ok_and(|time| time >= self.started) {
                    look_at_file(&path, needles, sight);
                }
            }
        }
    }
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).map(|entries| entries.flatten().map(|entry| entry.path()).collect()).unwrap_or_default()
}

fn look_below(path: &Path, depth: usize, needles: &Needles, sight: &mut Sight) {
    if depth > 0 && path.symlink_metadata().is_ok_and(|meta| meta.is_dir()) {
        entries(path).iter().for_each(|path| look_below(path, depth - 1, needles, sight));
    } else {
        look_at_file(path, needles, sight);
    }
}

fn look_at_file(path: &Path, needles: &Needles, sight: &mut Sight) {
    // Others make files here too, and large ones that take longer to read than a conversion takes are not ours.
    if path.symlink_metadata().is_ok_and(|meta| meta.is_file() && meta.len() <= 32 << 20)
        && fs::read(path).is_ok_and(|bytes| needles.are_in(&bytes))
    {
        sight.found.insert(format!("file {}", path.display()));
    }
}

/// Converts with one secret and with two, looks everywhere, and opens what came out.
fn leaves_no_trace<E: Executor + Debug>(executor: E) {
    let directory = scratch();
    let path = |name: &str| directory.path().join(name);
    fs::write(path("raw"), content()).unwrap();
    let (image, old) = locked();
    fs::write(path("luks"), image).unwrap();
    let (one, two) = (random_passphrase(), random_passphrase());
    let encrypted = Qcow2::new().encryption(quick_luks(&one));
    let luks = LuksImage::new(quick_luks(&two));
    let converts = [
        (Convert::new(Source::raw(path("raw")), Target::new(path("one"), encrypted)), Needles::new([&*one])),
        (
            Convert::new(Source::luks(path("luks"), Secret::new(&**old).unwrap()), Target::new(path("two"), luks)),
            Needles::new([old, &*two]),
        ),
    ];
    let client = QemuImg::new(executor);
    for (convert, needles) in &converts {
        says_nothing(convert, client.executor(), needles);
        let (result, sight) = watch(directory.path(), needles, || client.convert(convert));
        result.unwrap_or_else(|error| panic!("{error:?}"));
        assert!(sight.found.is_empty(), "{:#?}", sight.found);
        assert!(sight.qemu_img >= 10, "qemu-img was seen {} times only", sight.qemu_img);
    }
    // It opens, by the bare qemu-img and with the passphrase in its arguments, now that nobody watches.
    for (name, driver, key, passphrase) in
        [("one", "qcow2", "encrypt.key-secret", &one), ("two", "luks", "key-secret", &two)]
    {
        let node = format!("driver={driver},{key}=s,file.filename={}", path(name).display());
        let object = format!("secret,id=s,data={passphrase}");
        let opened = path("opened");
        let line = ["convert", "--object", &object, "--image-opts", &node, "-O", "raw", opened.to_str().unwrap()];
        let output = bare(line);
        assert!(output.status.success(), "{name}: {output:?}");
        assert!(fs::read(opened).unwrap() == content(), "{name}");
    }
}

/// Nothing that is printed on the way to the process holds a passphrase.
fn says_nothing<E: Executor + Debug>(convert: &Convert, executor: &E, needles: &Needles) {
    let invocation = convert.invocation().unwrap();
    let request = Request::new(&invocation);
    let plan = executor.plan(&request).unwrap();
    let dry = QemuImg::new(DryRunExecutor::new(executor));
    dry.convert(convert).unwrap();
    let mut text = String::new();
    write!(text, "{convert:?} {convert:#?} {invocation:?} {invocation:#?} {invocation} {request:?}").unwrap();
    write!(text, "{plan:?} {plan:#?} {:?} {} {executor:?} {dry:?}", plan.launch, plan.launch).unwrap();
    for (id, secret) in invocation.secrets() {
        write!(text, "{id} {secret:?}").unwrap();
    }
    assert!(text.contains("sec1") && text.contains("qemu-img"), "{text}");
    needles.assert_not_in(&text);
}

#[test]
fn locally() {
    leaves_no_trace(local());
}

#[test]
fn locally_on_standard_input() {
    leaves_no_trace(local().portable());
}

#[test]
fn through_sudo_to_root() {
    need_sudo();
    leaves_no_trace(sudo());
}

#[test]
fn through_sudo_to_another_user() {
    need_sudo();
    leaves_no_trace(SudoExecutor::with_program(qemu_img()).user("nobody"));
}

fn need_sudo() {
    let able = Command::new("sudo").args(["-n", "true"]).output().is_ok_and(|output| output.status.success());
    assert!(able, "this test needs sudo that asks for no password: install sudo, and allow `sudo -n` or run as root");
}

#[test]
fn errors_say_nothing() {
    let directory = scratch();
    let (a, b) = (directory.path().join("a"), directory.path().join("b"));
    fs::write(&a, &locked().0).unwrap();
    let (wrong, other) = (random_passphrase(), random_passphrase());
    let needles = Needles::new([&*wrong, &*other]);
    let source = || Source::luks(&a, Secret::new(&*wrong).unwrap());
    let two = LuksImage::new(quick_luks(&other));
    let missing = QemuImg::new(SudoExecutor::with_program("/not/there/qemu-img"));
    let to_raw = Convert::new(source(), Target::new(&b, Raw::new()));
    let errors = [
        (client().convert(&to_raw).unwrap_err(), ErrorKind::WrongPassphrase),
        // With two secrets, one of them the right one's place.
        (
            client().convert(&Convert::new(source(), Target::new(&b, two.clone()))).unwrap_err(),
            ErrorKind::WrongPassphrase,
        ),
        (
            client().convert(&Convert::new(source(), Target::new(&b, two)).compress(true)).unwrap_err(),
            ErrorKind::Refused,
        ),
        (missing.convert(&to_raw).unwrap_err(), ErrorKind::ProgramMissing),
    ];
    for (error, kind) in &errors {
        assert_eq!(error.kind(), *kind, "{error:?}");
        let mut text = format!("{error} {error:?} {error:#?} {} {}", error.command(), error.stderr());
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            write!(text, "{cause} {cause:?}").unwrap();
            source = cause.source();
        }
        needles.assert_not_in(&text);
    }

    // And what is said of a command line that somebody wrote.
    let line = |object: String| CommandLine::parse(["info", "--object", &object, "a"].map(OsString::from));
    let base64 = STANDARD.encode(&wrong);
    let json = |rest: &str| format!(r#"{{"qom-type":"secret","id":"s","data":"{wrong}"{rest}"#);
    for good in [format!("secret,id=s,data={wrong}"), format!("secret,id=s,format=base64,data={base64}"), json("}")] {
        let line = line(good).unwrap();
        let invocation = line.invocation().unwrap();
        needles.assert_not_in(&format!("{line:?} {line:#?} {invocation:?} {invocation}"));
    }
    let bad = [
        format!("secret,data={wrong}"),
        format!("secret,id=1,data={wrong}"),
        format!("secret,id=s,file=f,data={wrong}"),
        format!("secret,id=s,format=base64,data={wrong}?"),
        json(""),
        json(r#","file":"f"}"#),
    ];
    for object in bad {
        let error = line(object).unwrap_err();
        needles.assert_not_in(&format!("{error} {error:?}"));
    }
}

/// That all of this can fail: the same looks find what is not hidden.
#[test]
fn what_is_not_hidden_is_found() {
    let directory = scratch();
    let passphrase = random_passphrase();
    let needles = Needles::new([&*passphrase]);
    let object = format!("secret,id=s,data={passphrase}");
    let image = directory.path().join("image");
    let create = ["create", "-f", "luks", "--object", &object, "-o", "key-secret=s,iter-time=10"];
    let (output, sight) = watch(directory.path(), &needles, || {
        Command::new(qemu_img()).args(create).arg(&image).arg("1M").output().unwrap()
    });
    assert!(output.status.success(), "{output:?}");
    assert!(sight.qemu_img >= 10, "{sight:?}");
    assert!(sight.found.iter().any(|place| place.starts_with("arguments of ")), "{sight:?}");

    let base64 = STANDARD.encode(&passphrase);
    let temporary = || tempfile::Builder::new().prefix("qemu-tests-").tempfile().unwrap();
    let ((file, below), sight) = watch(directory.path(), &needles, || {
        let mut child = Command::new("cat").env("SECRET", &base64).stdin(Stdio::piped()).spawn().unwrap();
        let gone = temporary();
        fs::write(gone.path(), &passphrase).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(300));
        drop(child.stdin.take());
        child.wait().unwrap();
        drop(gone);
        let file = temporary();
        fs::write(file.path(), format!("key={base64}\n")).unwrap();
        let below = directory.path().join("deep/er");
        fs::create_dir_all(&below).unwrap();
        fs::write(below.join("log"), format!("with {passphrase}.")).unwrap();
        (file, below)
    });
    let found = |text: String| assert!(sight.found.contains(&text), "{text} is not in {sight:?}");
    found("environment of cat ".to_owned());
    found(format!("file {}", file.path().display()));
    found(format!("file {}", below.join("log").display()));
    assert_eq!(sight.found.iter().filter(|place| place.starts_with("file ")).count(), 3, "{sight:?}");
}
