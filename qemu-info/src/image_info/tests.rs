#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::error::Error as _;

use super::*;
use crate::Encryption;

const RAW: &str = r#"{"filename":"a","format":"raw","virtual-size":512}"#;

/// A raw image with more fields.
fn with(fields: &str) -> Result<ImageInfo, Error> {
    ImageInfo::from_json(format!(r#"{{"filename":"a","format":"raw","virtual-size":512,{fields}}}"#).as_bytes())
}

#[test]
fn what_is_absent_stays_absent() {
    let info = ImageInfo::from_json(RAW.as_bytes()).unwrap();
    assert_eq!(info.children, None);
    assert_eq!(info.snapshots, None);
    assert_eq!(info.encrypted, None);
    assert_eq!(serde_json::to_string(&info).unwrap(), RAW);
}

#[test]
fn what_is_empty_stays_empty() {
    let info = with(r#""children":[],"snapshots":[],"encrypted":false"#).unwrap();
    assert_eq!(info.children, Some(Vec::new()));
    let value = serde_json::to_value(&info).unwrap();
    assert!(value["children"].is_array() && value["snapshots"].is_array() && value["encrypted"] == false);
}

#[test]
fn unknown_fields_are_ignored() {
    let info = with(r#""added-later":{"deep":[1,2,{"er":null}]},"dirty-flag":true"#).unwrap();
    assert_eq!(info.dirty_flag, Some(true));
}

#[test]
fn numbers_are_exact() {
    let info = with(r#""actual-size":18446744073709551615"#).unwrap();
    assert_eq!(info.actual_size, Some(u64::MAX));
    assert!(serde_json::to_string(&info).unwrap().contains("18446744073709551615"));
}

#[test]
fn numbers_of_crafted_images_can_be_negative() {
    let info = with(
        r#""cluster-size":-2147483648,"snapshots":[{"id":"1","name":"s","vm-state-size":-16,"date-sec":4294967295,
        "date-nsec":4294967295,"vm-clock-sec":18446744073,"vm-clock-nsec":709551615,"icount":-2}]"#,
    )
    .unwrap();
    assert_eq!(info.cluster_size, Some(-2_147_483_648));
    assert_eq!(info.snapshots.unwrap()[0].icount, Some(-2));
}

#[test]
fn nothing_is_empty() {
    for json in ["", "\n", " \r\n\t"] {
        assert!(matches!(ImageInfo::from_json(json.as_bytes()), Err(Error::Empty)));
    }
}

#[test]
fn cut_json_is_incomplete() {
    for end in 1..RAW.len() {
        let cut = ImageInfo::from_json(&RAW.as_bytes()[..end]);
        assert!(matches!(cut, Err(Error::Incomplete { .. })), "{end}: {cut:?}");
    }
}

#[test]
fn text_and_trailing_bytes_are_malformed() {
    for json in ["image: a\nfile format: raw\n", &format!("{RAW}{RAW}"), &format!("{RAW}]")] {
        assert!(matches!(ImageInfo::from_json(json.as_bytes()), Err(Error::Malformed { .. })), "{json}");
    }
}

#[test]
fn deep_nesting_is_refused() {
    let deep = |levels: usize| {
        let open = r#"{"filename":"a","format":"raw","virtual-size":512,"children":[{"name":"file","info":"#;
        format!("{}{RAW}{}", open.repeat(levels), "}]}".repeat(levels))
    };
    assert!(ImageInfo::from_json(deep(20).as_bytes()).is_ok());
    assert!(matches!(ImageInfo::from_json(deep(100_000).as_bytes()), Err(Error::Malformed { .. })));
}

#[test]
fn another_shape_is_unexpected() {
    for json in ["{}", "null", "7", r#"{"filename":"a","format":"raw","virtual-size":"512"}"#] {
        assert!(matches!(ImageInfo::from_json(json.as_bytes()), Err(Error::Unexpected { .. })), "{json}");
    }
}

#[test]
fn a_chain_is_not_one_image() {
    for json in [format!("[{RAW}]"), r#"["a","raw",512]"#.to_owned()] {
        let error = ImageInfo::from_json(json.as_bytes()).unwrap_err();
        assert!(matches!(error, Error::Unexpected { .. }));
        assert_eq!(error.source().unwrap().to_string(), "invalid type: sequence, expected one object");
    }
}

#[test]
fn errors_say_where() {
    let error = ImageInfo::from_json(b"{\n  \"filename\": 7\n}").unwrap_err();
    assert_eq!(error.to_string(), "unexpected JSON");
    let Error::Unexpected { source } = error else { panic!("{error}") };
    assert_eq!((source.line(), source.column()), (2, 15));
}

#[test]
fn an_image_that_says_it_is_encrypted_is_never_plain() {
    assert_eq!(ImageInfo::from_json(RAW.as_bytes()).unwrap().encryption(), Encryption::None);
    assert_eq!(with(r#""encrypted":false"#).unwrap().encryption(), Encryption::None);
    assert_eq!(with(r#""encrypted":true"#).unwrap().encryption(), Encryption::Other);
    let qcow = RAW.replace("raw", "qcow").replace('}', r#","encrypted":true}"#);
    assert_eq!(ImageInfo::from_json(qcow.as_bytes()).unwrap().encryption(), Encryption::LegacyAes);
}
