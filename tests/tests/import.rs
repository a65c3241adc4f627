//! The guarded way in: what is refused does not reach qemu-img, what is accepted comes out as it went in, and no file
//! but the image is opened, whatever the image says.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Output};

use qemu_cmd::{Convert, LuksImage, NewImage, Parallels, Qcow, Qcow2, Qed, Raw, Source, Target};
use qemu_cmd::{Vdi, Vhdx, Vmdk, Vpc};
use qemu_exec::{ErrorKind, Import, LocalExecutor, Publish, QemuImg, open_image};
use qemu_info::inspect::{Code, Inspected, Policy};
use tests::hostile::{self, plain, tricks};
use tests::{
    Kind, client, content, executable, fifo, guest_content, local, names, passphrase, qemu_img, quick_luks, scratch,
    sudo, write_fixture,
};

fn inspected(path: &Path, policy: &Policy) -> Inspected {
    Inspected::new(open_image(path).unwrap(), policy).unwrap()
}

fn raw(directory: &Path) -> Target {
    Target::new(directory.join("disk"), Raw::new())
}

#[test]
fn every_format_comes_out_as_it_went_in() {
    let directory = scratch();
    let here = directory.path();
    fs::write(here.join("source"), content()).unwrap();
    let formats: [NewImage; 9] = [
        Raw::new().into(),
        Qcow2::new().into(),
        Qcow::new().into(),
        Qed::new().into(),
        Vmdk::new().into(),
        Vdi::new().into(),
        Vhdx::new().into(),
        Vpc::new().into(),
        Parallels::new().into(),
    ];
    for format in formats {
        let name = format.format().as_str();
        let path = here.join(name);
        let made = client().convert(&Convert::new(Source::raw(here.join("source")), Target::new(&path, format)));
        if let Err(error) = made {
            // Debian built 5.2 without Parallels.
            assert!(name == "parallels" && error.stderr().contains("Unknown file format"), "{name}: {error}");
            continue;
        }
        client().import(&inspected(&path, &Policy::untrusted()), raw(here)).unwrap();
        let disk = fs::read(here.join("disk")).unwrap();
        assert!(disk.starts_with(&content()) && disk[content().len()..].iter().all(|byte| *byte == 0), "{name}");
    }
}

#[test]
fn encrypted_images_need_their_key_and_can_be_made() {
    let directory = scratch();
    for kind in [Kind::Luks, Kind::Qcow2Luks] {
        let path = directory.path().join("image");
        write_fixture(kind, &path);
        let image = inspected(&path, &Policy::untrusted());
        let import = || Import::new(raw(directory.path()));
        let error = client().import(&image, import()).unwrap_err();
        assert_eq!((error.kind(), error.subject()), (ErrorKind::KeyNeeded, Some(&*path)), "{kind:?}");
        let said = format!("{error} {}", error.stderr());
        assert!(said.contains(path.to_str().unwrap()) && !said.contains("/dev/fd/"), "{said}");
        client().import(&image, import().key(passphrase())).unwrap();
        assert_eq!(fs::read(directory.path().join("disk")).unwrap(), content(), "{kind:?}");
    }
    // Two keys, each a descriptor behind the image's.
    let image = inspected(&directory.path().join("image"), &Policy::untrusted());
    let encrypted = directory.path().join("encrypted");
    let import = Import::new(Target::new(&encrypted, LuksImage::new(quick_luks(tests::PASSPHRASE)))).key(passphrase());
    client().import(&image, import).unwrap();
    assert_eq!(guest_content(Kind::Luks, &encrypted), content());
}

#[test]
fn what_was_inspected_is_what_is_used() {
    let directory = scratch();
    let path = directory.path().join("image");
    write_fixture(Kind::Qcow2, &path);
    let image = inspected(&path, &Policy::untrusted());
    // Somebody puts another image in its place.
    fs::write(directory.path().join("other"), vec![b'x'; 1 << 20]).unwrap();
    fs::rename(directory.path().join("other"), &path).unwrap();
    client().import(&image, raw(directory.path())).unwrap();
    assert_eq!(fs::read(directory.path().join("disk")).unwrap(), content());
}

#[test]
fn a_damaged_image_is_no_disk_of_zeros() {
    let directory = scratch();
    let path = directory.path().join("image");
    write_fixture(Kind::Qcow2, &path);
    let mut bytes = fs::read(&path).unwrap();
    // The first L1 entry points behind the end of the file.
    let l1 = usize::try_from(u64::from_be_bytes(bytes[40..48].try_into().unwrap())).unwrap();
    bytes[l1..l1 + 8].copy_from_slice(&(0x8000_0000_4000_0000_u64).to_be_bytes());
    fs::write(&path, bytes).unwrap();
    let convert = Convert::new(Source::qcow2(&path), Target::new(directory.path().join("zeros"), Raw::new()));
    client().convert(&convert).unwrap();
    assert!(fs::read(directory.path().join("zeros")).unwrap().iter().all(|byte| *byte == 0), "qemu-img now minds");
    let error = client().import(&inspected(&path, &Policy::untrusted()), raw(directory.path())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SourceCorrupt);
    assert!(!directory.path().join("disk").exists());
}

#[test]
fn an_image_in_an_image_does_not_come_out() {
    let directory = scratch();
    let here = directory.path();
    write_fixture(Kind::Qcow2, &here.join("inner"));
    let outer = Convert::new(Source::raw(here.join("inner")), Target::new(here.join("outer"), Qcow2::new()));
    client().convert(&outer).unwrap();
    let image = inspected(&here.join("outer"), &Policy::untrusted());
    let before = names(here);
    let error = client().import(&image, raw(here)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Untrusted, "{error}");
    assert_eq!(names(here), before);
    // In a format that says what it is, it is a disk like others; and who wants it raw can say so.
    client().import(&image, Target::new(here.join("disk"), Qcow2::new())).unwrap();
    let any = Import::new(raw(here)).result_policy(Policy::facts_only());
    client().import(&image, any).unwrap();
    assert_eq!(fs::read(here.join("disk")).unwrap()[..4], *b"QFI\xfb");
}

#[test]
fn an_executor_that_cannot_hand_it_over_refuses() {
    let directory = scratch();
    let path = directory.path().join("image");
    write_fixture(Kind::Qcow2, &path);
    let image = inspected(&path, &Policy::untrusted());
    let portable = LocalExecutor::with_program(qemu_img()).portable();
    for error in [
        QemuImg::new(portable).import(&image, raw(directory.path())).unwrap_err(),
        QemuImg::new(sudo()).import(&image, raw(directory.path())).unwrap_err(),
        client().import(&image, Target::existing(Source::raw(&path))).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    }
    // What exists stays, unless it is to be replaced.
    let strict = QemuImg::new(local()).publish(Publish::new());
    fs::write(directory.path().join("disk"), "mine").unwrap();
    assert_eq!(strict.import(&image, raw(directory.path())).unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(fs::read(directory.path().join("disk")).unwrap(), b"mine");
}

fn qimg_import(qemu_img: &Path, options: &[&str], image: &Path, target: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_qimg-under-test"));
    command.arg("--qemu-img").arg(qemu_img).args(["import", "-O", "raw"]).args(options);
    command.arg(image).arg(target).output().unwrap()
}

#[test]
fn what_is_refused_does_not_reach_qemu_img() {
    let directory = scratch();
    let here = directory.path();
    tricks::bait(here);
    let ran = here.join("ran");
    let marker = executable(here, &format!("#!/bin/sh\ntouch {}\n", ran.display()));
    let mut refused = 0;
    for image in hostile::all(here) {
        let path = image.write(here);
        let claim = image.claimed.map(|format| format!("-f{format}"));
        let options: Vec<_> = claim.as_deref().into_iter().collect();
        let output = qimg_import(&marker, &options, &path, &here.join("disk"));
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{}: {said}", image.name);
        assert!(said.contains(image.refused.0.as_str()), "{}: {said}", image.name);
        assert!(!ran.exists() && !here.join("disk").exists(), "{}", image.name);
        fs::remove_file(path).unwrap();
        refused += 1;
    }
    assert!(refused > 50, "{refused}");
    // The marker does show that it runs.
    plain::qcow2().write(&here.join("plain"));
    qimg_import(&marker, &[], &here.join("plain"), &here.join("disk"));
    assert!(ran.exists());
}

/// Each bound stays on whatever the others are.
#[test]
fn a_limit_that_is_given_takes_no_other_away() {
    let directory = scratch();
    let here = directory.path();
    fs::write(here.join("image"), content()).unwrap();
    let program = executable(here, "#!/bin/sh\necho \"$(ulimit -v) $(ulimit -t) $(ulimit -n)\" > \"$0.limits\"\n");
    for (options, limits) in [
        (&[][..], "1048576 unlimited 256\n"),
        (&["--limit-cpu=100"], "1048576 100 256\n"),
        (&["--limit-memory=2G"], "2097152 unlimited 256\n"),
        (&["--limit-memory=none", "--timeout=none"], "unlimited unlimited 256\n"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_qimg-under-test"));
        command
            .arg("--qemu-img")
            .arg(&program)
            .args(options)
            .args(["import", "-f", "raw", "-O", "raw", "image", "disk"]);
        let output = command.current_dir(here).output().unwrap();
        // It has written nothing.
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert_eq!(fs::read_to_string(program.with_extension("limits")).unwrap(), limits, "{options:?}: {output:?}");
    }
}

/// The names that were opened while an image was imported.
fn opened(here: &Path, options: &[&str], image: &Path) -> (Output, String) {
    let trace = here.join("trace");
    let output = Command::new("strace")
        .args(["-f", "-qq", "-s", "4096", "-e", "trace=open,openat,openat2,connect,execve", "-o"])
        .arg(&trace)
        .arg(env!("CARGO_BIN_EXE_qimg-under-test"))
        .arg("--qemu-img")
        .arg(qemu_img())
        .args(["import", "-O", "raw"])
        .args(options)
        .args([image, &here.join("disk")])
        .output()
        .expect("this test needs strace: cargo xtask test installs it");
    let mut text = String::new();
    File::open(&trace).unwrap().read_to_string(&mut text).unwrap();
    (output, text)
}

#[test]
fn no_other_file_is_opened() {
    let host = scratch();
    tricks::bait(host.path());
    let forbidden = [host.path().to_str().unwrap().to_owned(), "AF_INET".to_owned(), "\"/dev/zero\"".to_owned()];
    let check = |name: &str, options: &[&str], image: &Path, here: &Path| {
        let (output, trace) = opened(here, options, image);
        for forbidden in &forbidden {
            let line = trace.lines().find(|line| line.contains(forbidden));
            assert_eq!(line, None, "{name}: {}", String::from_utf8_lossy(&output.stderr));
        }
        (output, trace)
    };
    // Whatever is refused, and with a backing file granted what is cut off.
    let (mut granted, mut elsewhere) = (0, 0);
    for image in hostile::all(host.path()) {
        let directory = scratch();
        let path = image.write(directory.path());
        let claim = image.claimed.map(|format| format!("-f{format}"));
        let mut options: Vec<_> = claim.as_deref().into_iter().collect();
        check(&image.name, &options, &path, directory.path());
        if matches!(image.refused.0, Code::DataFile | Code::ExternalExtent) {
            let codes = [Code::DataFile, Code::ExternalExtent, Code::UnusualVmdk].map(|code| format!("--grant={code}"));
            let (output, _) = check(&image.name, &codes.each_ref().map(String::as_str), &path, directory.path());
            let said = String::from_utf8_lossy(&output.stderr);
            // What only its descriptor lists, no qemu opens.
            assert!(!output.status.success() || image.name == "vmdk-flat-listed", "{}", image.name);
            elsewhere += usize::from(said.contains("its data lies in other files"));
        }
        if image.refused.0 == Code::BackingFile && image.claimed.is_none() {
            options.push("--grant=backing-file");
            let (output, trace) = check(&image.name, &options, &path, directory.path());
            granted += usize::from(output.status.success() && trace.contains("\"/dev/fd/3\""));
            if let Ok(disk) = fs::read(directory.path().join("disk")) {
                assert!(!disk.starts_with(&tricks::secret()[..16]), "{} leaks", image.name);
            }
        }
    }
    assert!(granted > 3, "{granted} with a backing file came through");
    assert!(elsewhere > 10, "{elsewhere} with data elsewhere were refused for that");
    // What is accepted.
    let mut accepted = 0;
    for (name, _, image) in plain::all() {
        let directory = scratch();
        let path = directory.path().join(name);
        image.write(&path);
        accepted += usize::from(check(name, &[], &path, directory.path()).0.status.success());
    }
    assert!(accepted > 8, "{accepted} plain images came through");
}

#[test]
fn by_hand() {
    let directory = scratch();
    let here = directory.path();
    let (image, disk) = (here.join("image"), here.join("disk"));
    let run = |options: &[&str]| qimg_import(&qemu_img(), options, &image, &disk);
    write_fixture(Kind::Luks, &image);
    fs::write(here.join("key"), tests::PASSPHRASE).unwrap();
    let locked = run(&[]);
    assert_eq!(locked.status.code(), Some(1), "a LUKS volume needs its key");
    assert!(String::from_utf8_lossy(&locked.stderr).contains("is encrypted and needs its key"), "{locked:?}");
    let key = format!("--key-file={}", here.join("key").display());
    assert!(run(&[&key]).status.success());
    assert_eq!(fs::read(&disk).unwrap(), content());
    assert_eq!(run(&[&key]).status.code(), Some(1), "it exists");
    assert!(run(&[&key, "--replace"]).status.success());
    for wrong in ["-n", "-U", "--image-opts", "-lsnapshot.name=x", "--no-such-option", "--grant=nothing"] {
        let output = run(&[wrong]);
        assert_eq!(output.status.code(), Some(2), "{wrong}: {}", String::from_utf8_lossy(&output.stderr));
    }
    // A FIFO does not block it.
    let output = qimg_import(&qemu_img(), &[], &fifo(here), &here.join("other"));
    assert!(String::from_utf8_lossy(&output.stderr).contains("not-a-regular-file"));
}
