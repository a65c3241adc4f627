//! The digest of what a guest sees, held against `sha256sum` of the same content in raw format.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use qemu_cmd::{Backing, ByteSize, Convert, Create, Format, Qcow2, Raw, Source, Target};
use qemu_exec::{Checks, ContentDigest, DryRunExecutor, ErrorKind, LocalExecutor, Progress, QemuImg};
use tests::{Kind, PASSPHRASE, client, content, local, names, qemu_img, scratch, write_fixture};

/// What `sha256sum` says of a file.
fn sha256sum(path: &Path) -> ContentDigest {
    let output = Command::new("sha256sum").arg(path).output().unwrap();
    String::from_utf8(output.stdout).unwrap().split(' ').next().unwrap().trim_start_matches('\\').parse().unwrap()
}

#[test]
fn the_same_content_has_the_same_digest_in_any_format() {
    let directory = scratch();
    let path = |name: &str| directory.path().join(name);
    std::fs::write(path("raw"), content()).unwrap();
    let wanted = sha256sum(&path("raw"));
    for kind in Kind::ALL {
        write_fixture(kind, &path("image"));
        assert_eq!(client().digest(&kind.source(&path("image"))).unwrap(), wanted, "{kind:?}");
    }
    // Compressed, and with what lies below it.
    let raw = Source::raw(path("raw"));
    client().convert(&Convert::new(raw.clone(), Target::new(path("c"), Qcow2::new())).compress(true)).unwrap();
    assert_eq!(client().digest(&Source::qcow2(path("c"))).unwrap(), wanted);
    client().create(&Create::overlay(path("d"), Qcow2::new(), Backing::new(path("c"), Format::Qcow2))).unwrap();
    assert_eq!(client().digest(&Source::qcow2(path("d"))).unwrap(), wanted);
    // One bit.
    let mut other = content();
    other[777_777] ^= 4;
    std::fs::write(path("raw"), other).unwrap();
    assert_ne!(client().digest(&raw).unwrap(), wanted);
    assert_eq!(client().digest(&raw).unwrap(), sha256sum(&path("raw")));
}

/// Nothing at all, a size that is not one of blocks, holes at the start and the end, data behind many zeros.
#[test]
fn every_byte_counts_and_so_does_the_length() {
    let directory = scratch();
    let path = directory.path().join("a");
    for (size, data) in
        [(0, vec![]), (512, vec![]), (512, vec![0]), (1, vec![0]), (70_001, vec![69_999]), (6 << 20, vec![5, 3 << 20])]
    {
        let file = std::fs::File::create(&path).unwrap();
        file.set_len(size).unwrap();
        for at in &data {
            file.write_all_at(b"!", *at).unwrap();
        }
        let digest = client().digest(&Source::raw(&path)).unwrap();
        let whole = size.next_multiple_of(512);
        file.set_len(whole).unwrap();
        assert_eq!(digest, sha256sum(&path), "{size} {data:?}: a guest sees whole sectors");
    }
}

#[test]
fn zeros_are_not_read_and_content_is_not_kept() {
    let directory = scratch();
    let path = directory.path().join("a");
    client().create(&Create::new(&path, Qcow2::new(), ByteSize::mib(256))).unwrap();
    let started = Instant::now();
    let digest = client().digest(&Source::qcow2(&path)).unwrap();
    // Of 256 MiB of zeros, as anybody can calculate.
    let known = "a6d72ac7690f53be6ae46ba88506bd97302a093f7108472bd9efc3cefda06484";
    assert_eq!(digest.to_string(), known, "after {:?}", started.elapsed());
    assert_eq!(names(directory.path()), ["a"]);
}

#[test]
fn what_fails_is_told_as_elsewhere() {
    let directory = scratch();
    let path = directory.path().join("a");
    let kind = |source: Source| client().digest(&source).unwrap_err().kind();
    assert_eq!(kind(Source::raw(&path)), ErrorKind::NotFound);
    write_fixture(Kind::Luks, &path);
    assert_eq!(kind(Source::qcow2(&path)), ErrorKind::WrongFormat);
    let wrong = qemu_cmd::Secret::new(format!("not {PASSPHRASE}")).unwrap();
    assert_eq!(kind(Source::luks(&path, wrong)), ErrorKind::WrongPassphrase);
    let portable = QemuImg::new(LocalExecutor::with_program(qemu_img()).portable());
    assert_eq!(portable.digest(&Kind::Luks.source(&path)).unwrap_err().kind(), ErrorKind::Refused);
    let dry = QemuImg::new(DryRunExecutor::new(local()));
    assert_eq!(dry.digest(&Kind::Luks.source(&path)).unwrap_err().kind(), ErrorKind::NotRun);
    let plans = dry.executor().plans();
    assert_eq!(plans.iter().map(|plan| plan.argv[1].to_str().unwrap()).collect::<Vec<_>>(), ["info", "convert"]);
}

/// The listener is called by the thread that runs qemu-img, whose death must not leave the other one waiting.
#[test]
fn a_panic_leaves_nobody_waiting() {
    let directory = scratch();
    let path = directory.path().join("a");
    write_fixture(Kind::Raw, &path);
    let panics = client().on_progress(|progress: Progress| panic!("at {progress}"));
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| panics.digest(&Source::raw(&path)))).unwrap_err();
}

#[test]
fn a_copy_without_the_known_digest_gets_no_name() {
    let directory = scratch();
    let path = |name: &str| directory.path().join(name);
    write_fixture(Kind::Qcow2, &path("a"));
    let right = client().digest(&Source::qcow2(path("a"))).unwrap();
    let convert = Convert::new(Source::qcow2(path("a")), Target::new(path("b"), Raw::new()));
    let wrong = ContentDigest::from_bytes([7; 32]);
    let error = client().checks(Checks::none().digest(wrong)).convert(&convert).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ContentDiffers);
    let text = format!("`{}` has the digest {right}, and not {wrong}", path("b").display());
    assert_eq!(error.to_string(), text);
    assert_eq!(names(directory.path()), ["a"]);
    client().checks(Checks::none().digest(right)).convert(&convert).unwrap();
    assert_eq!(sha256sum(&path("b")), right);
}

#[test]
fn qimg_prints_it_as_sha256sum_does() {
    let directory = scratch();
    let path = |name: &str| directory.path().join(name);
    std::fs::write(path("raw"), content()).unwrap();
    std::fs::write(path("a\nb\\c"), content()).unwrap();
    write_fixture(Kind::Qcow2Luks, &path("luks"));
    std::fs::write(path("key"), PASSPHRASE).unwrap();
    let run =
        |program: &str, args: &[&str]| Command::new(program).args(args).current_dir(directory.path()).output().unwrap();
    let qimg = |args: &[&str]| {
        let qemu_img = qemu_img();
        let front = ["--qemu-img", qemu_img.to_str().unwrap(), "digest"];
        run(env!("CARGO_BIN_EXE_qimg-under-test"), &[&front, args].concat())
    };
    for name in ["raw", "./a\nb\\c"] {
        assert_eq!(qimg(&["-f", "raw", name]).stdout, run("sha256sum", &[name]).stdout, "{name}");
    }
    // To a terminal, a name says nothing.
    std::fs::write(path("\u{1b}[31m"), content()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_qimg-under-test"));
    command.current_dir(directory.path()).arg("--qemu-img").arg(qemu_img()).args(["digest", "-f", "raw", "\u{1b}[31m"]);
    let (status, seen) = tests::terminal::on_terminal(&mut command, 100);
    assert!(status.success() && seen.ends_with("  \\u{1b}[31m\n"), "{seen:?}");
    let key =
        ["--object", "secret,id=s,file=key", "--image-opts", "driver=qcow2,file.filename=luks,encrypt.key-secret=s"];
    let digest = sha256sum(&path("raw")).to_string();
    assert!(String::from_utf8_lossy(&qimg(&key).stdout).starts_with(&digest));
    let status = |args: &[&str]| qimg(args).status.code();
    assert_eq!(status(&["-f", "raw", "--check", &digest, "raw"]), Some(0));
    assert_eq!(status(&["-f", "raw", &format!("--check={}", "0".repeat(64)), "raw"]), Some(1));
    assert_eq!(status(&["-f", "raw", "--check", "0", "raw"]), Some(2));
    assert_eq!(status(&["-f", "raw", "gone"]), Some(1));
    for refused in [&[][..], &["-U", "-f", "raw", "raw"], &["-l", "512", "-f", "raw", "raw"]] {
        assert_eq!(status(refused), Some(2), "{refused:?}");
    }
}
