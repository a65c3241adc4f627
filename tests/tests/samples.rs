//! Real output of `qemu-img info --output=json`, read and written again.
//!
//! `samples/info/NAME.vVERSIONS.json` is what qemu-img of these versions printed; versions that printed
//! the same share a file. With `--backing-chain` it is an array, otherwise an object. The images of
//! `crafted-…` were changed byte by byte so that qemu-img prints negative numbers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::Path;

use qemu_info::{BackingChain, Encryption, ImageInfo};
use serde_json::Value;

/// Raise these with every sample that is added, so that a sample cannot get lost unnoticed.
const IMAGES: usize = 105;
const CHAINS: usize = 65;

/// Every sample: its name, its bytes, and what a reader without types makes of it.
fn samples() -> Vec<(String, Vec<u8>, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/info");
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
