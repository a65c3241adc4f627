//! A passphrase is nowhere while a conversion runs, nor after it: no argument, no environment, no file, no log.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::ffi::OsString;
use std::fmt::{Debug, Write as _};
use std::fs;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use qemu_cmd::{CommandLine, Convert, LuksImage, Qcow2, Raw, Secret, Source, Target};
use qemu_exec::{DryRunExecutor, ErrorKind, Executor, QemuImg, Request, SudoExecutor};
use tests::machine::need_sudo;
use tests::traces::{Needles, locked, random_passphrase, watch};
use tests::{bare, client, content, local, qemu_img, quick_luks, scratch, sudo};

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
