//! Reading a map of 1 Mi extents while qemu-img prints it, against qemu-img alone.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use qemu_cmd::{Map, Source};
use tests::{client, qemu_img, scratch};

use crate::measure::{Effort, Figure, Limit, Race, Value, timed};

const CLUSTER: u64 = 64 << 10;
const EXTENTS: u64 = 1 << 20;

/// A qcow2 image every other cluster of which is allocated, all in one and the same place.
fn image(path: &Path) {
    let tables = EXTENTS / (CLUSTER / 8);
    let (l1, l2, data) = (3 * CLUSTER, 4 * CLUSTER, (4 + tables) * CLUSTER);
    let mut header = vec![0; 104];
    header[..8].copy_from_slice(b"QFI\xfb\0\0\0\x03");
    let mut put = |at: usize, value: u64, length: usize| {
        header[at..at + length].copy_from_slice(&value.to_be_bytes()[8 - length..]);
    };
    for (at, value, length) in [
        (20, 16, 4),                // the bits of a cluster
        (24, EXTENTS * CLUSTER, 8), // virtual size
        (36, tables, 4),            // L1 entries
        (40, l1, 8),
        (48, CLUSTER, 8), // reference counts
        (56, 1, 4),
        (96, 4, 4),
        (100, 104, 4),
    ] {
        put(at, value, length);
    }
    let file = File::create(path).unwrap();
    file.set_len(data + CLUSTER).unwrap();
    file.write_all_at(&header, 0).unwrap();
    const COPIED: u64 = 1 << 63;
    let bytes = |entries: &mut dyn Iterator<Item = u64>| entries.flat_map(u64::to_be_bytes).collect::<Vec<u8>>();
    file.write_all_at(&bytes(&mut (0..tables).map(|table| (l2 + table * CLUSTER) | COPIED)), l1).unwrap();
    let entry = |index: u64| if index.is_multiple_of(2) { data | COPIED } else { 0 };
    file.write_all_at(&bytes(&mut (0..EXTENTS).map(entry)), l2).unwrap();
}

fn map(path: &Path) -> Command {
    let mut command = Command::new(qemu_img());
    command.args(["map", "--output=json", "-f", "qcow2"]).arg(path);
    command
}

/// The most memory that this process has had since [`forget_peak`], in MiB.
fn peak() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
}

fn forget_peak() {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
}

pub(crate) fn figures(effort: Effort) -> Vec<Figure> {
    let directory = scratch();
    let path = directory.path().join("image");
    image(&path);
    let mut peaks = Vec::new();
    let mut figures = Race::against("qemu-img alone, to /dev/null", || {
        timed(|| assert!(map(&path).stdout(Stdio::null()).status().unwrap().success()))
    })
    .with("read a map of 1 Mi extents", Limit::Ratio(1.05), || {
        forget_peak();
        let time = timed(|| {
            let map = Map::new(Source::qcow2(&path));
            let extents = client().read_map(&map, |extents| extents.map(Result::unwrap).count());
            assert_eq!(extents.unwrap() as u64, EXTENTS);
        });
        peaks.push(peak());
        time
    })
    .run(effort.rounds(60));
    let most = peaks.into_iter().fold(0.0, f64::max);
    let rounds = figures[0].rounds;
    figures.push(Figure {
        name: "memory of this process meanwhile".into(),
        yardstick: "",
        value: Value::Memory(most),
        limit: Limit::Mebibytes(20.0),
        rounds,
    });
    figures
}
