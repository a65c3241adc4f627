#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::io::{self, BufReader, Read};

use super::*;

const MAP: &str = r#" [{ "start": 0, "length": 4096, "depth": 1, "present": true, "zero": false, "data": true, "compressed": false, "offset": 18446744073709551615},
{"new":{"a":["}]\\\"{",null,{}]},"start":4096,"length":8192,"depth":0,"zero":true,"data":false} ]
"#;

fn read(json: &str) -> Result<Vec<MapExtent>, Error> {
    MapExtent::all_from_json(json.as_bytes())
}

#[test]
fn entries_are_exact() {
    let map = read(MAP).unwrap();
    assert_eq!(map, serde_json::from_str::<Vec<MapExtent>>(MAP).unwrap());
    let [first, second] = map[..] else { unreachable!() };
    assert_eq!((first.range(), first.depth, first.offset), (0..4096, 1, Some(u64::MAX)));
    assert_eq!((first.present, first.compressed), (Some(true), Some(false)));
    assert_eq!((second.range(), second.zero, second.data), (4096..12288, true, false));
    assert_eq!((second.present, second.compressed, second.offset), (None, None, None));
    assert_eq!(read(" [ ] ").unwrap(), []);
}

#[test]
fn the_size_of_the_readers_buffer_does_not_matter() {
    for capacity in 1..MAP.len() {
        let reader = BufReader::with_capacity(capacity, MAP.as_bytes());
        let map: Result<Vec<_>, _> = MapExtents::new(reader).collect();
        assert_eq!(map.unwrap(), read(MAP).unwrap(), "{capacity}");
    }
}

#[test]
fn every_cut_is_noticed() {
    let end = MAP.trim_end().len();
    for cut in 0..end {
        let error = read(&MAP[..cut]);
        if MAP[..cut].trim().is_empty() {
            assert!(matches!(error, Err(Error::Empty)), "{cut}: {error:?}");
        } else {
            assert!(matches!(error, Err(Error::Incomplete { .. })), "{cut}: {error:?}");
        }
    }
}

#[test]
fn an_error_ends_the_iterator() {
    let mut extents = MapExtents::new(&MAP.as_bytes()[..200]);
    assert!(extents.next().unwrap().is_ok());
    let error = extents.next().unwrap().unwrap_err();
    assert!(std::error::Error::source(&error).unwrap().to_string() == "entry 2: cut short", "{error:?}");
    assert!(extents.next().is_none());
    assert!(extents.next().is_none());
}

#[test]
fn what_is_not_json() {
    for json in ["Offset          Length\n", "[}", "[,", "[]]", "[] {", "[{]", "[{}}]", "]", "\u{feff}[]"] {
        let error = read(json);
        let unexpected = json == "[{}}]"; // the entry comes first, and has no fields
        assert!(matches!(error, Err(Error::Malformed { .. })) != unexpected, "{json}: {error:?}");
    }
    let entry = MAP.trim().trim_matches(['[', ']']).split('\n').next().unwrap().trim_end_matches(',');
    for json in [format!("[{entry}{entry}]"), format!("[{entry},]"), format!("[{entry}];"), format!("[{entry};")] {
        let error = read(&json);
        assert!(matches!(error, Err(Error::Malformed { .. })), "{json}: {error:?}");
    }
}

#[test]
fn what_is_not_a_map() {
    for json in ["{}", "1", "\"a\"", "null", "[1]", "[[]]", "[\"a\"]", "[true]", "[{}]", r#"[{"start":-1}]"#] {
        let error = read(json);
        assert!(matches!(error, Err(Error::Unexpected { .. })), "{json}: {error:?}");
    }
    let array = read("[[0,4096,0,null,false,true,null,null]]");
    assert!(matches!(array, Err(Error::Unexpected { .. })), "serde would take an array for an entry: {array:?}");
}

#[test]
fn an_entry_has_a_limit() {
    let padded = |padding: usize| MAP.replace("null", &format!("\"{}\"", "x".repeat(padding)));
    let entry = MAP.trim().trim_matches(['[', ']']).trim().split('\n').nth(1).unwrap().len() - "null".len() + 2;
    assert_eq!(read(&padded(MAX_ENTRY - entry)).unwrap().len(), 2);
    assert!(matches!(read(&padded(MAX_ENTRY - entry + 1)), Err(Error::Malformed { .. })));
    // Nesting takes none of the stack, so the limit of an entry is its limit, too.
    for (open, close) in [("{\"a\":", "}"), ("[", "]")] {
        let nested = |depth: usize| MAP.replace("null", &[&open.repeat(depth), "0", &close.repeat(depth)].concat());
        assert_eq!(read(&nested(10_000)).unwrap().len(), 2);
        assert!(matches!(read(&nested(40_000)), Err(Error::Malformed { .. })));
    }
}

#[test]
fn the_readers_errors_come_through() {
    struct Fails(ErrorKind, usize);
    impl Read for Fails {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            self.1 = self.1.checked_sub(1).ok_or(ErrorKind::NotFound)?;
            Err(self.0.into())
        }
    }
    // An interrupted read is repeated; the next error is not.
    for (kind, times) in [(ErrorKind::Interrupted, 3), (ErrorKind::NotFound, 1)] {
        let mut extents = MapExtents::new(BufReader::new(MAP.as_bytes().chain(Fails(kind, times))));
        assert!(extents.next().unwrap().is_ok());
        assert!(extents.next().unwrap().is_ok());
        let Some(Err(Error::Io { source })) = extents.next() else { unreachable!() };
        assert_eq!(source.kind(), ErrorKind::NotFound);
        assert!(extents.next().is_none());
    }
}

/// What is to the letter as qemu prints it is not read by serde_json; whatever is changed about it is, or comes to the same.
#[test]
fn the_quick_way_comes_to_the_same() {
    let entry = MAP.trim().trim_matches('[').split(",\n").next().unwrap();
    assert_eq!(quick::entry(&entry.as_bytes()[1..]).unwrap().1, entry.len() - 1);
    let number = "18446744073709551615";
    let others = ["018", "18446744073709551616", "1.0", "1e3", "-1", "", "9", "0", "00", "1 "];
    let mut texts: Vec<Vec<u8>> = others.iter().map(|other| entry.replace(number, other).into_bytes()).collect();
    for at in 0..entry.len() {
        for byte in *b"0 9,}{\":t\\" {
            let mut text = entry.as_bytes().to_vec();
            text[at] = byte;
            texts.push(text.clone());
            text[at] = entry.as_bytes()[at];
            text.insert(at, byte);
            texts.push(text);
        }
    }
    for text in texts {
        let array = [b"[", &*text, b"]"].concat();
        let read = MapExtent::all_from_json(&array).ok();
        let strict = serde_json::from_slice::<Vec<MapExtent>>(&array).ok();
        assert_eq!(read, strict, "{}", String::from_utf8_lossy(&text));
    }
}
