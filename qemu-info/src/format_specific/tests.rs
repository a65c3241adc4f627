#![allow(clippy::unwrap_used, clippy::panic)]

use serde_json::json;

use super::*;
use crate::{Encryption, ImageInfo};

fn info(format_specific: &Value) -> Result<ImageInfo, serde_json::Error> {
    serde_json::from_value(json!({
        "filename": "a", "format": "x", "virtual-size": 512, "format-specific": format_specific,
    }))
}

/// Reads, checks that nothing gets lost, and gives what was read.
fn kept(format_specific: &Value) -> ImageInfo {
    let info = info(format_specific).unwrap();
    assert_eq!(serde_json::to_value(&info.format_specific).unwrap(), *format_specific);
    info
}

fn luks(cipher: &str) -> Value {
    json!({
        "cipher-alg": cipher, "cipher-mode": "xts", "ivgen-alg": "essiv", "ivgen-hash-alg": "sha256",
        "hash-alg": "sha512", "detached-header": false, "payload-offset": 2_068_480, "master-key-iters": 1000,
        "uuid": "3a8cd278-2b97-46d1-9e23-5a2c2b2f3254",
        "slots": [
            { "active": true, "iters": 1000, "stripes": 4000, "key-offset": 4096 },
            { "active": false, "key-offset": 262_144 },
        ],
    })
}

fn qcow2(encrypt: Value) -> Value {
    json!({ "type": "qcow2", "data": {
        "compat": "0.10", "compression-type": "zlib", "refcount-bits": 16, "encrypt": encrypt,
    }})
}

#[test]
fn an_unknown_type_is_kept() {
    let info = kept(&json!({ "type": "zfs", "data": { "pool": "tank", "copies": [1, null] } }));
    let Some(FormatSpecific::Other(other)) = &info.format_specific else { panic!("{info:?}") };
    assert_eq!(other.kind, "zfs");
    assert_eq!(other.data, json!({ "pool": "tank", "copies": [1, null] }));

    kept(&json!({ "type": "bare" }));
}

#[test]
fn a_known_type_with_other_data_is_an_error() {
    let error = info(&json!({ "type": "qcow2", "data": { "compat": "1.1" } })).unwrap_err();
    assert!(error.to_string().contains("format-specific data of `qcow2`: missing field"), "{error}");
    assert!(info(&json!({ "type": "luks" })).is_err());
    assert!(info(&json!({ "data": {} })).is_err());
}

#[test]
fn qcow2_with_old_aes() {
    assert_eq!(kept(&qcow2(json!({ "format": "aes" }))).encryption(), Encryption::LegacyAes);
}

#[test]
fn qcow2_with_luks() {
    let mut encrypt = luks("aes-256");
    encrypt.as_object_mut().unwrap().insert("format".to_owned(), json!("luks"));
    let info = kept(&qcow2(encrypt));
    let Encryption::Luks(luks) = info.encryption() else { panic!("{info:?}") };
    assert_eq!(luks.cipher_alg, CipherAlg::Aes256);
    assert_eq!(luks.slots.iter().filter(|slot| slot.active).count(), 1);
}

#[test]
fn qcow2_with_an_unknown_encryption_is_kept_and_not_plain() {
    let info = kept(&qcow2(json!({ "format": "luks3", "argon": true })));
    assert_eq!(info.encryption(), Encryption::Other);
}

#[test]
fn qcow2_with_malformed_encryption_is_an_error() {
    for encrypt in [json!({}), json!({ "format": 1 }), json!({ "format": "luks" }), json!("luks")] {
        assert!(info(&qcow2(encrypt.clone())).is_err(), "{encrypt}");
    }
}

#[test]
fn an_unknown_algorithm_is_kept() {
    let info = kept(&json!({ "type": "luks", "data": luks("camellia-256") }));
    let Encryption::Luks(luks) = info.encryption() else { panic!("{info:?}") };
    assert_eq!(luks.cipher_alg, CipherAlg::Other("camellia-256".to_owned()));
    assert_eq!(luks.ivgen_hash_alg, Some(HashAlg::Sha256));
}

#[test]
fn vmdk_extents() {
    let info = kept(&json!({ "type": "vmdk", "data": {
        "create-type": "monolithicFlat", "cid": 4_294_967_295_u32, "parent-cid": 4_294_967_295_u32, "extents": [
            { "filename": "a", "format": "", "virtual-size": 4_194_304, "cluster-size": 65536, "compressed": true },
            { "filename": "b", "format": "FLAT", "virtual-size": -512 },
        ],
    }}));
    let Some(FormatSpecific::Vmdk(vmdk)) = &info.format_specific else { panic!("{info:?}") };
    assert_eq!(vmdk.cid, u32::MAX);
    assert_eq!(vmdk.extents.last().unwrap().virtual_size, -512);
}

#[test]
fn rbd_and_file() {
    let rbd = kept(&json!({ "type": "rbd", "data": { "encryption-format": "luks2" } }));
    assert_eq!(rbd.encryption(), Encryption::Other);
    assert_eq!(kept(&json!({ "type": "rbd", "data": {} })).encryption(), Encryption::None);

    let file = kept(&json!({ "type": "file", "data": { "extent-size-hint": 1_048_576 } }));
    let Some(FormatSpecific::File(file)) = &file.format_specific else { panic!("{file:?}") };
    assert_eq!(file.extent_size_hint, Some(1 << 20));
    kept(&json!({ "type": "file", "data": {} }));
}

/// No version prints one, but what is kept as it came is kept to the last digit.
#[test]
fn a_number_of_an_unknown_kind_is_read_again_as_the_same() {
    let text = r#"{"filename":"a","format":"x","virtual-size":512,"format-specific":{"type":"new","data":{"rate":
        43889288888888888888888888888888888888888888888888888888888888888888888888888888888888888888888888888888880}}}"#;
    let info = ImageInfo::from_json(text.as_bytes()).unwrap();
    assert_eq!(ImageInfo::from_json(&serde_json::to_vec(&info).unwrap()).unwrap(), info);
}
