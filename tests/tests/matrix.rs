//! Every combination of source, target, compression, cache and path, run against the real qemu-img.
//!
//! What the model accepts must succeed, with the content the same after decryption; what it refuses must be
//! refused by qemu-img too.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

use qemu_cmd::{CacheMode, Convert, Error, Source};
use qemu_exec::ErrorKind;
use tests::{Kind, argv, bare, client, content, guest_content, qemu_img, scratch, write_fixture};

const CACHES: [CacheMode; 5] =
    [CacheMode::None, CacheMode::Writeback, CacheMode::Writethrough, CacheMode::Directsync, CacheMode::Unsafe];

/// Names that mean something else to qemu, to an option list, to JSON or to a shell.
fn hostile_names() -> Vec<OsString> {
    let mut names: Vec<OsString> = [
        "plain",
        "-f",
        "--help",
        "-",
        "a,b",
        ",",
        ",,",
        "a=b",
        "driver=raw",
        "a:b",
        "nbd:x",
        "file:x",
        "json:{}",
        "fat:x",
        "host_device:x",
        "a b",
        " ",
        "new\nline",
        "tab\t",
        "quo\"te",
        "it's",
        "back\\slash",
        "%41",
        "#",
        "*",
        "$HOME",
        "caf\u{e9}",
        "help",
        "?",
    ]
    .map(OsString::from)
    .into();
    names.push(OsString::from_vec(b"latin1-\xe9".to_vec()));
    names.push(OsString::from_vec(vec![b'n'; 255]));
    names
}

fn source(kind: Kind, probed: bool, path: &Path) -> Source {
    if probed { kind.probed_source(path) } else { kind.source(path) }
}

/// Converts from a fixture, and compares the content.
fn convert_and_compare(from: Kind, probed: bool, to: Kind, change: impl Fn(Convert) -> Convert) {
    let directory = scratch();
    let (a, b) = (directory.path().join("a"), directory.path().join("b"));
    write_fixture(from, &a);
    let convert = change(Convert::new(source(from, probed, &a), to.target(&b)));
    client().convert(&convert).unwrap_or_else(|error| panic!("{error}\n{}", error.command()));
    assert!(guest_content(to, &b) == content(), "{from:?} (probed: {probed}) to {to:?} changed the content");
}

#[test]
fn every_accepted_combination_succeeds() {
    for from in Kind::ALL {
        for probed in [false, true] {
            for to in Kind::ALL {
                if to.encrypted() {
                    // A volume takes seconds of CPU time to make: the caches take turns.
                    let cache = CACHES[(from as usize * 2 + usize::from(probed)) % CACHES.len()];
                    convert_and_compare(from, probed, to, |convert| convert.target_cache(cache));
                    continue;
                }
                for cache in CACHES {
                    convert_and_compare(from, probed, to, |convert| convert.target_cache(cache));
                }
                convert_and_compare(from, probed, to, |convert| convert);
            }
            for cache in CACHES {
                convert_and_compare(from, probed, Kind::Qcow2, |convert| convert.target_cache(cache).compress(true));
            }
        }
    }
}

#[test]
fn every_refused_combination_is_refused_by_qemu_img() {
    let directory = scratch();
    for from in Kind::ALL {
        for to in [Kind::Raw, Kind::Luks, Kind::Qcow2Luks] {
            let (a, b) = (directory.path().join("a"), directory.path().join("b"));
            write_fixture(from, &a);
            let convert = Convert::new(from.source(&a), to.target(&b)).target_cache(CacheMode::Writeback);
            let refusal = convert.clone().compress(true).invocation().unwrap_err();
            match to {
                Kind::Qcow2Luks => assert_eq!(refusal, Error::CompressionWithEncryption),
                _ => assert!(matches!(refusal, Error::CompressionUnsupported { .. }), "{refusal}"),
            }
            // The same command, with `-c` put in by hand and the secrets in the argument list.
            let mut argv = argv(&convert.invocation().unwrap());
            argv.insert(1, "-c".into());
            let output = bare(&argv);
            assert_eq!(output.status.code(), Some(1), "{from:?} to {to:?}: qemu-img took {argv:?}");
            assert!(!b.exists(), "{from:?} to {to:?}: qemu-img left something behind");
        }
    }
}

#[test]
fn a_key_for_a_raw_image_is_refused_by_qemu_img() {
    let directory = scratch();
    let (a, b) = (directory.path().join("a"), directory.path().join("b"));
    write_fixture(Kind::Raw, &a);
    let keyed = Source::raw(&a).key(tests::passphrase());
    let error = client().convert(&Convert::new(keyed, Kind::Raw.target(&b))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    let node = format!("driver=raw,file.driver=file,file.filename={},key-secret=k", a.display());
    let output =
        bare(["convert", "-O", "raw", "--object", "secret,id=k,data=x", "--image-opts", &node, b.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

#[test]
fn every_hostile_name_is_that_file() {
    let directory = scratch();
    for name in hostile_names() {
        for from in Kind::ALL {
            let (a, b) = (directory.path().join("in").join(&name), directory.path().join("out").join(&name));
            std::fs::create_dir_all(a.parent().unwrap()).unwrap();
            std::fs::create_dir_all(b.parent().unwrap()).unwrap();
            write_fixture(from, &a);
            let convert = Convert::new(from.source(&a), Kind::Qcow2.target(&b));
            client().convert(&convert).unwrap_or_else(|error| panic!("{name:?}: {error}"));
            assert!(guest_content(Kind::Qcow2, &b) == content(), "{from:?} at {name:?}");
            std::fs::remove_file(&b).unwrap();
            std::fs::remove_file(&a).unwrap();
        }
    }
}

/// Relative names, which qemu-img would take for options and protocols, in a working directory of their own.
#[test]
fn every_hostile_relative_name_is_that_file() {
    let directory = scratch();
    for name in hostile_names() {
        for from in Kind::ALL {
            write_fixture(from, &directory.path().join(&name));
            // A name of 255 bytes cannot be longer.
            let mut to = if name.len() > 200 { "short".into() } else { name.clone() };
            to.push(".out");
            let invocation =
                Convert::new(from.source(Path::new(&name)), Kind::Raw.target(Path::new(&to))).invocation().unwrap();
            let mut command = std::process::Command::new(qemu_img());
            let output = command.args(argv(&invocation)).current_dir(directory.path()).output().unwrap();
            assert!(output.status.success(), "{name:?}: {output:?}");
            assert!(std::fs::read(directory.path().join(&to)).unwrap() == content(), "{from:?} at {name:?}");
            std::fs::remove_file(directory.path().join(&to)).unwrap();
            std::fs::remove_file(directory.path().join(&name)).unwrap();
        }
    }
}
