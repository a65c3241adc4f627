//! Maps of real images, and maps of any length.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::io::{BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use proptest::prelude::*;
use qemu_cmd::{Map, Source};
use qemu_exec::{DryRunExecutor, ErrorKind, QemuImg};
use qemu_info::{Error, ExtentsExt as _, MapExtent, MapExtents};
use serde_json::{Value, json};
use tests::property::tries;
use tests::{bare, client, content, scratch};

const KIB: u64 = 1 << 10;

fn succeed(line: &[&str]) -> Vec<u8> {
    let output = bare(line);
    assert!(output.status.success(), "{line:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn map(format: &str, path: &Path) -> Vec<MapExtent> {
    MapExtent::all_from_json(&succeed(&["map", "--output=json", "-f", format, path.to_str().unwrap()])).unwrap()
}

fn all<T>(items: impl Iterator<Item = Result<T, Error>>) -> Vec<T> {
    items.map(Result::unwrap).collect()
}

/// A sparse raw file of 1 MiB with data from here to there, in KiB.
fn sparse(path: &Path, ranges: &[(u64, u64)]) {
    use std::os::unix::fs::FileExt as _;
    let file = fs::File::create(path).unwrap();
    file.set_len(1 << 20).unwrap();
    for (start, end) in ranges {
        let length = usize::try_from((end - start) * KIB).unwrap();
        file.write_all_at(&content()[..length], start * KIB).unwrap();
    }
}

#[test]
fn a_raw_image_has_data_and_holes() {
    let directory = scratch();
    let raw = directory.path().join("raw");
    sparse(&raw, &[(0, 64), (512, 640)]);
    let map = map("raw", &raw);
    assert_eq!(all(map.iter().copied().map(Ok).allocated()), [0..64 * KIB, 512 * KIB..640 * KIB]);
    assert_eq!(all(map.iter().copied().map(Ok).holes()), [64 * KIB..512 * KIB, 640 * KIB..1024 * KIB]);
    assert!(map.iter().all(|extent| extent.offset == Some(extent.start) && extent.zero != extent.data));

    fs::write(&raw, b"").unwrap();
    let empty = self::map("raw", &raw);
    assert_eq!((empty.len(), empty[0].length, empty[0].data, empty[0].zero), (1, 0, false, false));
    assert_eq!(all(empty.into_iter().map(Ok).holes()), []);
}

#[test]
fn compressed_clusters_have_no_offset() {
    let directory = scratch();
    let (raw, packed) = (directory.path().join("raw"), directory.path().join("packed"));
    let mut bytes = vec![0; 1 << 20];
    bytes[..128 << 10].fill(7);
    fs::write(&raw, bytes).unwrap();
    succeed(&["convert", "-c", "-f", "raw", "-O", "qcow2", raw.to_str().unwrap(), packed.to_str().unwrap()]);
    let map = map("qcow2", &packed);
    assert_eq!(all(map.iter().copied().map(Ok).allocated()), Vec::from_iter(Some(0..128 * KIB)));
    for extent in map {
        assert_eq!(extent.offset, None);
        assert_eq!(extent.compressed.unwrap_or(extent.data), extent.data, "{extent:?}");
        assert_eq!(extent.present.unwrap_or(extent.data), extent.data, "{extent:?}");
    }
}

#[test]
fn a_chain_is_seen_through() {
    let directory = scratch();
    let file = |name: &str| directory.path().join(name);
    let text = |name: &str| file(name).to_str().unwrap().to_owned();
    sparse(&file("base"), &[(0, 256)]);
    // The overlay gets what is not so in the base: some of it, and zeros where the base has data.
    sparse(&file("wanted"), &[(0, 64), (128, 256), (512, 576)]);
    succeed(&["create", "-q", "-f", "qcow2", "-b", &text("base"), "-F", "raw", &text("top")]);
    succeed(&["create", "-q", "-f", "qcow2", "-b", &text("wanted"), "-F", "raw", &text("moved")]);
    succeed(&["rebase", "-f", "qcow2", "-F", "raw", "-b", &text("base"), &text("moved")]);
    let map = map("qcow2", &file("moved"));
    let allocated = [0..256, 512..576].map(|range| range.start * KIB..range.end * KIB);
    assert_eq!(all(map.iter().copied().map(Ok).allocated()), allocated);
    let depths = all(map.iter().copied().map(Ok).by_depth());
    assert_eq!(depths[..2], [(0..64 * KIB, 1), (64 * KIB..256 * KIB, 0)]);
    let of_data = all(map.iter().copied().map(Ok).runs(|extent| (extent.data, extent.depth)));
    assert!(of_data.contains(&(512 * KIB..576 * KIB, (true, 0))), "{of_data:?}");
    let through = self::map("qcow2", &file("top"));
    let base: Vec<_> =
        through.iter().filter(|extent| extent.data).map(|extent| (extent.range(), extent.depth)).collect();
    assert_eq!(base, [(0..256 * KIB, 1)]);
}

#[test]
fn a_map_that_fails_is_incomplete() {
    let directory = scratch();
    let (raw, image) = (directory.path().join("raw"), directory.path().join("image"));
    sparse(&raw, &[(0, 64)]);
    succeed(&["convert", "-m", "1", "-f", "raw", "-O", "qcow2", raw.to_str().unwrap(), image.to_str().unwrap()]);
    // The cluster of the L2 table cannot be read.
    let node = format!(
        "driver=qcow2,file.driver=blkdebug,file.inject-error.0.event=none,file.inject-error.0.sector=512,\
         file.image.driver=file,file.image.filename={}",
        image.display()
    );
    let output = bare(["map", "--output=json", "--image-opts", &node]);
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), b"[".as_slice()));
    assert!(matches!(MapExtent::all_from_json(&output.stdout), Err(Error::Incomplete { .. })));
    let text = succeed(&["map", "-f", "qcow2", image.to_str().unwrap()]);
    assert!(matches!(MapExtent::all_from_json(&text), Err(Error::Malformed { .. })));
}

/// JSON of any kind, as a later version might add it to an entry.
fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        r#"[]\[{}",:]*"#.prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |value| {
        prop_oneof![
            prop::collection::vec(value.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((any::<String>(), value), 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn any_entry() -> impl Strategy<Value = Value> {
    let numbers = (any::<u64>(), any::<u64>(), any::<u64>(), any::<Option<u64>>());
    let flags = (any::<bool>(), any::<bool>(), any::<Option<bool>>(), any::<Option<bool>>());
    let added = prop::collection::vec((r#"x[]\[{}" a-z]{0,8}"#, any_value()), 0..3);
    (numbers, flags, added).prop_map(|((start, length, depth, offset), (zero, data, present, compressed), added)| {
        let mut entry = json!({"start": start, "length": length, "depth": depth, "zero": zero, "data": data});
        let optional = [("offset", offset.map(Value::from)), ("present", present.map(Value::from))];
        for (name, value) in optional.into_iter().chain([("compressed", compressed.map(Value::from))]) {
            entry.as_object_mut().unwrap().extend(value.map(|value| (name.to_owned(), value)));
        }
        entry.as_object_mut().unwrap().extend(added);
        entry
    })
}

fn streamed(json: &[u8], capacity: usize) -> Result<Vec<MapExtent>, Error> {
    MapExtents::new(BufReader::with_capacity(capacity, json)).collect()
}

proptest! {
    #![proptest_config(tries(128))]

    /// What is well-formed is read as serde_json reads it, whatever the reader's buffer; no part of it is.
    #[test]
    fn a_stream_is_the_whole(
        entries in prop::collection::vec(any_entry(), 0..4),
        pretty: bool,
        capacity in 1..200_usize,
    ) {
        let json = if pretty { serde_json::to_vec_pretty(&entries) } else { serde_json::to_vec(&entries) }.unwrap();
        let whole: Vec<MapExtent> = serde_json::from_slice(&json).unwrap();
        prop_assert_eq!(streamed(&json, capacity).unwrap(), whole);
        prop_assert!(matches!(streamed(b"", capacity), Err(Error::Empty)));
        for end in 1..json.len() {
            let cut = streamed(&json[..end], capacity);
            prop_assert!(matches!(cut, Err(Error::Incomplete { .. })), "{}: {:?}", end, cut);
        }
    }

    /// What is changed in one byte is read as serde_json reads it, or not at all.
    #[test]
    fn a_damaged_stream_is_read_no_further(
        entries in prop::collection::vec(any_entry(), 1..3),
        at: prop::sample::Index,
        byte in prop_oneof![any::<u8>(), prop::sample::select(br#"[]{}",:\0 "#.as_slice())],
    ) {
        let mut json = serde_json::to_vec(&entries).unwrap();
        *at.get_mut(&mut json) = byte;
        match (streamed(&json, 16), serde_json::from_slice::<Vec<MapExtent>>(&json)) {
            (Ok(streamed), Ok(whole)) => prop_assert_eq!(streamed, whole),
            (streamed, whole) => prop_assert!(streamed.is_err() && whole.is_err(), "{:?} {:?}", streamed, whole),
        }
    }

    /// Anything at all is a map or an error.
    #[test]
    fn nothing_panics(json in prop::collection::vec(prop::sample::select(br#"[]{}",:\0 "#.as_slice()), 0..64)) {
        let streamed = streamed(&json, 3);
        prop_assert_eq!(streamed.is_ok(), serde_json::from_slice::<Vec<MapExtent>>(&json).is_ok());
    }
}

/// The most memory that this process has had, in KiB.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// The memory is that of a process of its own, which is this test again: it takes as much for a long map as for a
/// short one. In a `Vec`, the long one would be more than is allowed.
#[test]
fn a_long_map_takes_no_more_memory() {
    const CHILD: &str = "TESTS_MAP_FROM_STDIN";
    const LONG: u64 = 448 << 10;
    assert!(LONG * u64::try_from(size_of::<MapExtent>()).unwrap() > 20 << 20);
    if std::env::var_os(CHILD).is_some() {
        let map = MapExtents::new(BufReader::new(std::io::stdin().lock()));
        println!("{CHILD} {} {}", map.map(Result::unwrap).count(), peak());
        return;
    }
    let peak_of = |extents: u64| -> u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_long_map_takes_no_more_memory", "--nocapture"])
            .env(CHILD, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = std::io::BufWriter::new(child.stdin.take().unwrap());
        stdin.write_all(b"[").unwrap();
        for index in 0..extents {
            let entry: &[u8] =
                br#"{ "start": 65536, "length": 65536, "depth": 0, "present": true, "zero": false, "data": true}"#;
            stdin.write_all(entry).unwrap();
            stdin.write_all(if index + 1 == extents { b"]\n" } else { b",\n" }).unwrap();
        }
        stdin.into_inner().unwrap();
        let output = child.wait_with_output().unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        let (_, numbers) = stdout.split_once(CHILD).unwrap_or_else(|| panic!("{stdout}"));
        let numbers: Vec<u64> = numbers.split_whitespace().take(2).map(|number| number.parse().unwrap()).collect();
        assert_eq!(numbers[0], extents);
        numbers[1]
    };
    let (short, long) = (peak_of(1), peak_of(LONG));
    assert!(long < 20 << 10, "{long} KiB");
    assert!(long < short + 1024, "{long} KiB, and {short} KiB for one extent");
}

#[test]
fn a_map_is_read_while_it_is_printed() {
    let directory = scratch();
    let raw = directory.path().join("raw");
    sparse(&raw, &[(0, 64), (512, 640)]);
    let map = Map::new(Source::raw(&raw));
    let whole = client().map(&map).unwrap();
    let read = client().read_map(&map, |extents| extents.collect::<Result<Vec<_>, _>>().unwrap()).unwrap();
    assert_eq!(read, whole);
    // What is left over is nobody's.
    let first = client().read_map(&map, |extents| extents.next().unwrap().unwrap()).unwrap();
    assert_eq!(first, whole[0]);

    let missing = Map::new(Source::raw(directory.path().join("missing")));
    let error = client().read_map(&missing, |extents| extents.count()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.stderr().contains("No such file"), "{error}");
    let dry = QemuImg::new(DryRunExecutor::new(tests::local()));
    assert_eq!(dry.read_map(&map, |extents| extents.count()).unwrap_err().kind(), ErrorKind::NotRun);
    let panicked = std::panic::catch_unwind(|| client().read_map(&map, |_| -> u8 { panic!("on purpose") }));
    assert!(panicked.is_err());
}
