//! Converting through the client, against qemu-img alone; and the fast way to compress.

use std::cell::Cell;
use std::fs;
use std::path::Path;
use std::time::Duration;

use qemu_cmd::{CacheMode, CompressionType, Convert, Qcow2, Raw, Source, Target};
use tests::{bare, client, scratch};

use crate::measure::{Effort, Figure, Limit, Race, timed};

/// What programs are made of: it can be compressed, as a system's disk can.
fn disk(path: &Path, size: usize) {
    let mut bytes = Vec::with_capacity(size);
    let mut files: Vec<_> = fs::read_dir("/usr/bin").unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for file in files.iter().filter(|file| file.is_file()).cycle() {
        bytes.extend(fs::read(file).unwrap());
        if bytes.len() >= size {
            break;
        }
    }
    bytes.truncate(size);
    fs::write(path, bytes).unwrap();
}

/// How long a convert through the client takes. Each makes a file of its own, of which nothing is in memory.
fn convert(convert: &Convert, target: &Path) -> Duration {
    let _ = fs::remove_file(target);
    timed(|| client().convert(convert).unwrap())
}

pub(crate) fn figures(effort: Effort) -> Vec<Figure> {
    let directory = scratch();
    let [source, target] = ["source", "target"].map(|name| directory.path().join(name));
    disk(&source, 192 << 20);
    let compressed = |compression| {
        let image = Target::new(&target, Qcow2::new().compression_type(compression));
        Convert::new(Source::raw(&source), image).compress(true)
    };
    let (zlib, zstd) = (compressed(CompressionType::Zlib), compressed(CompressionType::Zstd));
    let fast = Convert::to_zstd(Source::raw(&source), &target);
    let size = Cell::new(0);
    let mut figures = Race::against("compress with zlib (`-c`)", || convert(&zlib, &target))
        .with("compress with zstd", Limit::None, || convert(&zstd, &target))
        .with("compress by `Convert::to_zstd`", Limit::None, || {
            let time = convert(&fast, &target);
            size.set(fs::metadata(&target).unwrap().len());
            time
        })
        .run(effort.rounds(5));

    let plain = Convert::new(Source::raw(&source), Target::new(&target, Raw::new())).target_cache(CacheMode::None);
    figures.extend(
        Race::against("qemu-img convert -t none", || {
            let _ = fs::remove_file(&target);
            timed(|| {
                let [source, target] = [&source, &target].map(|path| path.to_str().unwrap());
                let line = ["convert", "-t", "none", "-O", "raw", "-f", "raw", source, target];
                assert!(bare(line).status.success());
            })
        })
        .with("published when complete and on disk", Limit::None, || convert(&plain, &target))
        .run(effort.rounds(21)),
    );
    figures
}
