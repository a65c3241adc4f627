//! Sources that say what is read below them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::path::Path;

use qemu_cmd::{
    Backing, Bench, ByteSize, Convert, Create, Format, Key, LuksImage, Qcow2, Secret, Source, SourceForm, Target,
};
use qemu_exec::{Executor as _, Request};
use tests::{Kind, PASSPHRASE, client, content, local, passphrase, quick_luks, scratch, write_fixture};

fn read(source: Source) -> Vec<u8> {
    tests::read(source).unwrap_or_else(|error| panic!("{error}\n{}", error.command()))
}

/// An image with nothing of its own, which names `base` as its backing file.
fn overlay(path: &Path, base: &Path, format: Format) {
    client().create(&Create::overlay(path, Qcow2::new(), Backing::new(base, format))).unwrap();
}

#[test]
fn a_backing_file_is_cut_off() {
    let directory = scratch();
    let (base, top) = (directory.path().join("base"), directory.path().join("top, with a comma"));
    write_fixture(Kind::Raw, &base);
    overlay(&top, &base, Format::Raw);
    assert!(read(Source::qcow2(&top)) == content());
    for form in [None, Some(SourceForm::ImageOpts), Some(SourceForm::Json)] {
        let cut = Source::qcow2(&top).without_backing();
        let cut = if let Some(form) = form { cut.form(form) } else { cut };
        assert!(read(cut) == vec![0; 1 << 20], "{form:?}");
    }
    // It is not even opened.
    std::fs::remove_file(&base).unwrap();
    read(Source::qcow2(&top).without_backing());
}

#[test]
fn a_backing_file_is_replaced() {
    let directory = scratch();
    let (base, other, top) =
        (directory.path().join("base"), directory.path().join("other"), directory.path().join("top"));
    write_fixture(Kind::Raw, &base);
    std::fs::write(&other, vec![7; 1 << 20]).unwrap();
    overlay(&top, &base, Format::Raw);
    assert!(read(Source::qcow2(&top).backing(Source::raw(&other))) == vec![7; 1 << 20]);
}

#[test]
fn each_layer_of_a_chain_has_its_key() {
    let directory = scratch();
    let file = |name: &str| directory.path().join(name);
    let key = |text: &str| Secret::new(text).unwrap();
    write_fixture(Kind::Luks, &file("base"));
    let encrypted = |text: &str| Qcow2::new().encryption(quick_luks(text));
    let size = ByteSize::mib(1);
    let (base, middle) = (Backing::new(file("base"), Format::Luks), Backing::new(file("middle"), Format::Qcow2));
    // Unchecked: qemu 5.2 would want the keys of the images below.
    let make = |name: &str, key: &str, backing| {
        let create = Create::overlay(file(name), encrypted(key), backing).size(size).backing_unchecked(true);
        client().create(&create).unwrap();
    };
    make("middle", "two", base);
    make("top", "three", middle);
    let chain = || {
        let middle = Source::qcow2(file("middle")).key(key("two")).backing(Source::luks(file("base"), passphrase()));
        Source::qcow2(file("top")).key(key("three")).backing(middle)
    };
    assert!(read(chain()) == content());
    // Writing on top needs the keys below too.
    let invocation = Convert::new(Source::raw("/a"), Target::existing(chain())).invocation().unwrap();
    assert_eq!(invocation.secrets().len(), 3);
}

#[test]
fn a_key_is_read_from_a_file() {
    let directory = scratch();
    let file = |name: &str| directory.path().join(name);
    std::fs::write(file("key, plain"), PASSPHRASE).unwrap();
    std::fs::write(file("key64"), "Y29ycmVjdCBob3JzZSwgYmF0dGVyeSBzdGFwbGU=\n").unwrap();
    for kind in [Kind::Luks, Kind::Qcow2Luks] {
        write_fixture(kind, &file("a"));
        for (name, base64) in [("key, plain", false), ("key64", true)] {
            let key = Key::File { path: file(name), base64 };
            let source = match kind {
                Kind::Luks => Source::luks(file("a"), key),
                _ => Source::qcow2(file("a")).key(key),
            };
            assert!(read(source) == content(), "{kind:?} {name}");
        }
    }
}

/// Since 9.0; but not every release that lists the option takes it.
#[test]
fn a_header_can_be_detached() {
    let directory = scratch();
    let (header, data) = (directory.path().join("header"), directory.path().join("data"));
    let image = LuksImage::new(quick_luks("x")).detached_header(true);
    let create = Create::new(&header, image, ByteSize::mib(1)).invocation().unwrap();
    let outcome = local().run(Request::new(&create)).unwrap();
    if !outcome.success() {
        let stderr = String::from_utf8_lossy(&outcome.stderr);
        let unknown = ["Parameter 'detached-header' is unexpected", "Invalid parameter 'detached-header'"];
        assert!(unknown.iter().any(|text| stderr.contains(text)), "{stderr}");
        return;
    }
    std::fs::write(&data, vec![0; 1 << 20]).unwrap();
    let volume = || Source::luks(&data, Secret::new("x").unwrap()).header(&header);
    let raw = directory.path().join("raw");
    std::fs::write(&raw, content()).unwrap();
    client().convert(&Convert::new(Source::raw(&raw), Target::existing(volume()))).unwrap();
    assert!(read(volume()) == content());
    assert!(std::fs::read(&data).unwrap() != content(), "the data is not encrypted");
}

#[test]
fn other_options_of_a_node_are_passed_on() {
    let directory = scratch();
    let path = directory.path().join("a");
    write_fixture(Kind::Qcow2, &path);
    let tuned = || Source::qcow2(&path).option("lazy-refcounts", "on").option("file.locking", "off");
    assert!(read(tuned()) == content());
    let bench = Bench::new(tuned()).count(1).depth(1).invocation().unwrap();
    assert!(local().run(Request::new(&bench)).unwrap().success());
    assert!(Convert::new(tuned().option("driver", "raw"), Target::new("/b", Qcow2::new())).invocation().is_err());
}
