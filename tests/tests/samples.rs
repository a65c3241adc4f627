//! Real output of `qemu-img … --output=json`, read and written again.
//!
//! `samples/COMMAND/NAME.vVERSIONS.json` is what qemu-img of these versions printed; versions that printed
//! the same share a file. `info --backing-chain` and `map` print an array, otherwise it is an object. The images of
//! `crafted-…` were changed byte by byte so that qemu-img prints negative numbers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fmt::Debug;
use std::fs;
use std::path::Path;

use qemu_info::{
    BackingChain, Check, CheckReport, CheckVerdict, Encryption, Error, ExtentsExt as _, ImageInfo, MapExtent,
    Measurement,
};
use serde::Serialize;
use serde_json::Value;

/// Raise these with every sample that is added, so that a sample cannot get lost unnoticed.
const IMAGES: usize = 105;
const CHAINS: usize = 65;
const CHECKS: usize = 24;
const MAPS: usize = 115;
const MEASUREMENTS: usize = 34;

/// Every sample of `info`.
fn samples() -> Vec<(String, Vec<u8>, Value)> {
    samples_of("info")
}

/// Every sample of a command: its name, its bytes, and what a reader without types makes of it.
fn samples_of(command: &str) -> Vec<(String, Vec<u8>, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples").join(command);
    let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    entries
        .map(|entry| {
            let path = entry.unwrap().path();
            let json = fs::read(&path).unwrap();
            let value = serde_json::from_slice(&json).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            (path.file_name().unwrap().to_string_lossy().into_owned(), json, value)
        })
        .collect()
}

/// Every image of every sample, be it alone or in a chain.
fn images() -> Vec<(String, ImageInfo)> {
    let mut images = Vec::new();
    for (name, json, value) in samples() {
        if value.is_array() {
            let chain = BackingChain::from_json(&json).unwrap_or_else(|e| panic!("{name}: {e:?}"));
            images.extend(chain.into_iter().map(|image| (name.clone(), image)));
        } else {
            let image = ImageInfo::from_json(&json).unwrap_or_else(|e| panic!("{name}: {e:?}"));
            images.push((name, image));
        }
    }
    images
}

#[test]
fn no_sample_is_missing() {
    let (chains, images): (Vec<_>, Vec<_>) = samples().into_iter().partition(|(_, _, value)| value.is_array());
    assert_eq!((images.len(), chains.len()), (IMAGES, CHAINS), "images and chains in samples/info");
    for (command, count) in [("check", CHECKS), ("map", MAPS), ("measure", MEASUREMENTS)] {
        assert_eq!(samples_of(command).len(), count, "samples/{command}");
    }
}

#[test]
fn nothing_is_lost() {
    for (name, json, value) in samples() {
        let written = if value.is_array() {
            let chain = BackingChain::from_json(&json).unwrap_or_else(|e| panic!("{name}: {e:?}"));
            assert_eq!(chain.layers().count(), chain.depth(), "{name}");
            let written = serde_json::to_vec(&chain).unwrap();
            assert_eq!(BackingChain::from_json(&written).unwrap(), chain, "{name}");
            written
        } else {
            let image = ImageInfo::from_json(&json).unwrap_or_else(|e| panic!("{name}: {e:?}"));
            let written = serde_json::to_vec(&image).unwrap();
            assert_eq!(ImageInfo::from_json(&written).unwrap(), image, "{name}");
            written
        };
        assert_eq!(serde_json::from_slice::<Value>(&written).unwrap(), value, "{name}");
    }
}

/// Every sample of `command` is the same after it was read and written, and no part of it is taken for all of it.
fn round_trip<T: Serialize + PartialEq + Debug>(command: &str, read: impl Fn(&[u8]) -> Result<T, Error>) {
    for (name, json, value) in samples_of(command) {
        let typed = read(&json).unwrap_or_else(|e| panic!("{name}: {e:?}"));
        let written = serde_json::to_vec(&typed).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&written).unwrap(), value, "{name}");
        assert_eq!(read(&written).unwrap(), typed, "{name}");
        for end in 1..json.trim_ascii_end().len() {
            let cut = read(json.get(..end).unwrap());
            assert!(matches!(cut, Err(Error::Incomplete { .. })), "{name}: {end}: {cut:?}");
        }
    }
}

#[test]
fn nothing_of_check_map_and_measure_is_lost() {
    round_trip("check", CheckReport::from_json);
    round_trip("map", MapExtent::all_from_json);
    round_trip("measure", Measurement::from_json);
}

#[test]
fn a_check_is_worth_its_exit_status() {
    for (name, json, value) in samples_of("check") {
        let verdict = CheckReport::from_json(&json).unwrap().verdict();
        let expected = match name.split('.').next() {
            Some("leak") => CheckVerdict::Leaking,
            Some("badl1" | "corrupt") => CheckVerdict::Corrupt,
            _ => CheckVerdict::Clean,
        };
        assert_eq!(verdict, expected, "{name}: {value}");
        assert!(Check::from_output(expected.exit_status(), &json).unwrap().report().is_some(), "{name}");
    }
}

#[test]
fn a_map_has_no_gaps() {
    for (name, json, _) in samples_of("map") {
        let map = MapExtent::all_from_json(&json).unwrap();
        let (first, last) = (map.first().unwrap(), map.last().unwrap());
        let whole: Vec<_> = map.iter().copied().map(Ok).runs(|_| ()).map(Result::unwrap).collect();
        let expected = Some((first.start..last.range().end, ())).filter(|(range, ())| !range.is_empty());
        assert_eq!(whole, Vec::from_iter(expected), "{name}");
        let bytes = |range: std::ops::Range<u64>| range.end - range.start;
        let sum: u64 = map.iter().copied().map(Ok).allocated().map(|range| bytes(range.unwrap())).sum();
        let holes: u64 = map.iter().copied().map(Ok).holes().map(|range| bytes(range.unwrap())).sum();
        assert_eq!(sum + holes, last.range().end - first.start, "{name}");
    }
}

#[test]
fn an_image_is_not_a_chain_and_a_chain_is_not_an_image() {
    for (name, json, value) in samples() {
        let error = if value.is_array() {
            ImageInfo::from_json(&json).map(drop)
        } else {
            BackingChain::from_json(&json).map(drop)
        };
        assert!(matches!(error, Err(qemu_info::Error::Unexpected { .. })), "{name}: {error:?}");
    }
}

#[test]
fn every_name_is_known() {
    for (name, image) in images() {
        let debug = format!("{image:?}");
        assert!(!debug.contains("Other("), "{name}: {debug}");
    }
}

#[test]
fn encryption_agrees_with_the_flag() {
    for (name, image) in images() {
        let encrypted = image.encryption() != Encryption::None;
        assert_eq!(encrypted, image.encrypted == Some(true), "{name}");
        assert_ne!(image.encryption(), Encryption::Other, "{name}");
    }
}
