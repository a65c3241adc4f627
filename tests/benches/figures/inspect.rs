//! What inspection costs, against opening the file and reading its first 64 KiB, which it cannot do without.

use std::fs::File;
use std::hint::black_box;
use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use qemu_info::inspect::{Inspected, Policy};
use tests::{bare, scratch};

use crate::measure::{Effort, Figure, Limit, Race, timed};

/// Each format with the microseconds that are allowed; the headers of the last two lie in several places.
const FORMATS: &[(&str, u64)] = &[
    ("qcow2", 10),
    ("luks", 10),
    ("vdi", 10),
    ("vpc", 10),
    ("qed", 10),
    ("parallels", 10),
    ("vmdk", 30),
    ("vhdx", 30),
];

fn read(path: &Path) -> usize {
    let mut buffer = [0; 64 << 10];
    File::open(path).and_then(|mut file| file.read(&mut buffer)).unwrap()
}

pub(crate) fn figures(effort: Effort) -> Vec<Figure> {
    let directory = scratch();
    let figures = FORMATS.iter().flat_map(|(format, micros)| {
        let path = directory.path().join(format);
        let text = path.to_str().unwrap();
        let key = ["--object", "secret,id=key,data=key", "-o", "key-secret=key,iter-time=10"];
        let options = if *format == "luks" { &key[..] } else { &[] };
        let line = [&["create", "-q", "-f", format], options, &[text, "1G"]].concat();
        assert!(bare(line).status.success(), "{format}");
        let inspected = || Inspected::new(File::open(black_box(&path)).unwrap(), &Policy::untrusted()).unwrap();
        Race::against("open and read 64 KiB", || timed(|| read(black_box(&path))))
            .with(format!("inspect {format}"), Limit::Time(Duration::from_micros(*micros)), || timed(inspected))
            .run(effort.rounds(2000))
    });
    figures.collect()
}
