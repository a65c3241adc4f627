//! Images with the encryption that came before LUKS: no command makes one any more, but a key reads it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::path::PathBuf;

use qemu_cmd::{Backing, Convert, Create, Format, Info, Qcow2, Raw, Secret, Source, Target};
use qemu_exec::{Checks, ErrorKind, info::Encryption};
use tempfile::TempDir;
use tests::{PASSPHRASE, bare, client, content, passphrase, read, scratch};

/// An image of this format, encrypted with the passphrase, as only qemu-img itself can be told to make it.
fn encrypted(format: Format) -> (TempDir, PathBuf) {
    let directory = scratch();
    let file = |name: &str| directory.path().join(name).into_os_string().into_string().unwrap();
    std::fs::write(file("raw"), content()).unwrap();
    std::fs::write(file("key"), PASSPHRASE).unwrap();
    let (object, options) = (format!("secret,id=k,file={}", file("key")), "encrypt.format=aes,encrypt.key-secret=k");
    let (raw, image) = (file("raw"), file("image"));
    let output =
        bare(["convert", "-f", "raw", "-O", format.as_str(), "--object", &object, "-o", options, &raw, &image]);
    assert!(output.status.success(), "{output:?}");
    let path = directory.path().join("image");
    assert!(!contains(&std::fs::read(&path).unwrap(), &content()[..64]), "it is not encrypted");
    (directory, path)
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

const FORMATS: [Format; 2] = [Format::Qcow2, Format::Qcow];

#[test]
fn a_key_reads_it() {
    for format in FORMATS {
        let (_directory, path) = encrypted(format);
        let source = || Source::new(&path, format).key(passphrase());
        assert!(read(source()).unwrap() == content(), "{format}");
        for info in [Source::new(&path, format), source()].map(|source| client().info(&Info::new(source)).unwrap()) {
            assert_eq!((info.virtual_size, info.encrypted), (1 << 20, Some(true)), "{format}");
            assert_eq!(info.encryption(), Encryption::LegacyAes, "{format}");
        }
    }
}

/// Nothing in the image tells a right key from a wrong one.
#[test]
fn another_key_reads_something_else() {
    for format in FORMATS {
        let (_directory, path) = encrypted(format);
        let error = read(Source::new(&path, format)).unwrap_err();
        assert_eq!((error.kind(), error.subject()), (ErrorKind::KeyNeeded, Some(&*path)), "{error}");
        let other = read(Source::new(&path, format).key(Secret::new("not it").unwrap())).unwrap();
        assert!(other.len() == content().len() && other[..4096] != content()[..4096], "{format}");
    }
}

#[test]
fn a_key_that_cannot_be_told_from_another_is_not_used() {
    for format in FORMATS {
        let (_directory, path) = encrypted(format);
        let new = path.with_file_name("new");
        let convert = Convert::new(Source::new(&path, format).key(passphrase()), Target::new(&new, Raw::new()));
        let error = client().checks(Checks::none().source(true)).convert(&convert).unwrap_err();
        assert_eq!((error.kind(), error.subject()), (ErrorKind::KeyUnverifiable, Some(&*path)), "{error}");
        assert!(!new.exists());
    }
}

#[test]
fn it_is_a_layer_of_a_chain_with_a_key_of_its_own() {
    let (directory, base) = encrypted(Format::Qcow2);
    let top = directory.path().join("top");
    let create = Create::overlay(&top, Qcow2::new(), Backing::new(&base, Format::Qcow2));
    client().create(&create.size(qemu_cmd::ByteSize::mib(1)).backing_unchecked(true)).unwrap();
    assert!(read(Source::qcow2(&top).backing(Source::qcow2(&base).key(passphrase()))).unwrap() == content());
}

/// The way out of it; there are no key slots that could be changed.
#[test]
fn it_becomes_luks_by_a_convert() {
    let (directory, path) = encrypted(Format::Qcow2);
    let source = || Source::qcow2(&path).key(passphrase());
    let (object, node) = (format!("secret,id=k,file={}", directory.path().join("key").display()), path.display());
    let change = "encrypt.state=inactive,encrypt.keyslot=0";
    let node = format!("driver=qcow2,file.filename={node},encrypt.key-secret=k");
    let output = bare(["amend", "--object", &object, "-o", change, "--image-opts", &node]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(read(source()).unwrap() == content());

    let luks = directory.path().join("luks");
    let target = Target::new(&luks, Qcow2::new().encryption(tests::quick_luks("new")));
    client().convert(&Convert::new(source(), target)).unwrap();
    assert!(read(Source::qcow2(&luks).key(Secret::new("new").unwrap())).unwrap() == content());
    let info = client().info(&Info::new(Source::qcow2(&luks))).unwrap();
    assert!(matches!(info.encryption(), Encryption::Luks(_)));
}
