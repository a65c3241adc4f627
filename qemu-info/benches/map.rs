//! What it costs to read a long map, piece by piece: 1 Mi extents, for which qemu-img 10.0 itself takes four seconds of
//! processor time.

#![allow(clippy::expect_used)]

use divan::Bencher;
use divan::counter::BytesCount;
use qemu_info::{ExtentsExt as _, MapExtents};

const EXTENTS: u64 = 1 << 20;

fn main() {
    divan::main();
}

/// Every other cluster of 64 KiB holds data.
fn map() -> Vec<u8> {
    let entry = |index: u64| {
        let (start, data) = (index * 65536, index.is_multiple_of(2));
        let place = if data { format!(", \"offset\": {}", start / 2 + 327_680) } else { String::new() };
        format!(
            "{{ \"start\": {start}, \"length\": 65536, \"depth\": 0, \"present\": {data}, \"zero\": {}, \"data\": {data}, \
             \"compressed\": false{place}}}",
            !data
        )
    };
    format!("[{}]\n", (0..EXTENTS).map(entry).collect::<Vec<_>>().join(",\n")).into_bytes()
}

#[divan::bench(sample_count = 10, sample_size = 1)]
fn extents(bencher: Bencher<'_, '_>) {
    let map = map();
    bencher.counter(BytesCount::of_slice(&map)).bench_local(|| {
        let read = MapExtents::new(map.as_slice()).filter(Result::is_ok).count();
        assert_eq!(read as u64, EXTENTS);
    });
}

#[divan::bench(sample_count = 10, sample_size = 1)]
fn allocated(bencher: Bencher<'_, '_>) {
    let map = map();
    bencher.counter(BytesCount::of_slice(&map)).bench_local(|| {
        let ranges = MapExtents::new(map.as_slice()).allocated().filter(Result::is_ok).count();
        assert_eq!(ranges as u64, EXTENTS / 2);
    });
}
