//! What the client decides by itself: the cache mode of a target, and which image a directory stands for.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::ffi::OsString;
use std::path::Path;

use qemu_cmd::{CacheMode, Convert, Info, Qcow2, Source, Target};
use qemu_exec::{DryRunExecutor, ErrorKind, QemuImg, direct_io_works};
use tests::{Kind, client, local, scratch, write_fixture};

/// The cache mode that a convert into this directory gets.
fn mode(directory: &Path, probe: Option<&Path>, chosen: Option<CacheMode>) -> OsString {
    let mut client = QemuImg::new(DryRunExecutor::new(local()));
    if let Some(probe) = probe {
        client = client.probe_directory(probe);
    }
    let mut convert = Convert::new(Source::raw("/a"), Target::new(directory.join("b"), Qcow2::new()));
    if let Some(chosen) = chosen {
        convert = convert.target_cache(chosen);
    }
    client.convert(&convert).unwrap();
    let argv = client.executor().plans().remove(0).argv;
    assert_eq!(argv[2], "-t");
    argv[3].clone()
}

#[test]
fn the_cache_mode_is_what_the_target_can_do() {
    let directory = scratch();
    let here = directory.path();
    let wanted = if direct_io_works(here).unwrap() { "none" } else { "writeback" };
    assert_eq!(mode(here, None, None), wanted);
    // Where nothing can be probed there is no O_DIRECT, and the directory that is asked can be another.
    let gone = here.join("gone");
    assert_eq!(mode(&gone, None, None), "writeback");
    assert_eq!(mode(here, Some(&gone), None), "writeback");
    assert_eq!(mode(&gone, Some(here), None), wanted);
    assert_eq!(mode(here, None, Some(CacheMode::Directsync)), "directsync");
    assert_eq!(std::fs::read_dir(here).unwrap().count(), 0, "the probe left something behind");
}

#[test]
fn a_ploop_directory_stands_for_the_image_in_it() {
    let directory = scratch();
    let ploop = directory.path().join("disk");
    std::fs::create_dir(&ploop).unwrap();
    write_fixture(Kind::Qcow2, &ploop.join("root.hds"));
    let info = || client().info(&Info::new(Source::qcow2(&ploop)));
    // Without its descriptor it is a directory, which is no image.
    assert_eq!(info().unwrap_err().kind(), ErrorKind::Failed);
    std::fs::write(ploop.join("DiskDescriptor.xml"), "<Parallels_disk_image/>").unwrap();
    let info = info().unwrap();
    assert_eq!((info.filename.as_str(), info.virtual_size), (ploop.join("root.hds").to_str().unwrap(), 1 << 20));
}
