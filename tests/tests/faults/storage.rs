//! The places where images lie fail.
//!
//! An error of the disk itself comes from the kernel where that needs no device mapper, which is not everywhere: of a
//! loop device whose file has become shorter, or cannot grow. Where it does, it comes from qemu's blkdebug.

use std::fs;
use std::path::Path;

use qemu_cmd::{
    Backing, Blkdebug, ByteSize, CacheMode, Convert, Create, Dd, Format, InjectError, Location, Qcow2, Raw, Rebase,
    Source, Target,
};
use qemu_exec::Error;
use tests::content;
use tests::machine::LoopDevice;

use crate::scene::Scene;

pub fn full(scene: &Scene) -> Result<(), Error> {
    scene.mount("256k");
    scene.client().convert(&scene.copy()).map(drop)
}

/// The device promises more than the file system below it has.
pub fn full_below(scene: &Scene) -> Result<(), Error> {
    thin_device(scene, CacheMode::None)
}

/// The same, which is found out only when the data is flushed.
pub fn full_below_later(scene: &Scene) -> Result<(), Error> {
    thin_device(scene, CacheMode::Writeback)
}

/// The same, for a new image on the device.
pub fn full_below_a_new_image(scene: &Scene) -> Result<(), Error> {
    on_thin_device(scene, "256k", |device| {
        let target = Target::new(device, Raw::new());
        let convert = Convert::new(Source::raw(scene.file("a")), target).target_cache(CacheMode::Writeback);
        scene.client().convert(&convert).map(drop)
    })
}

/// The same, for a copy of which qemu-img says nothing at all.
pub fn full_below_dd(scene: &Scene) -> Result<(), Error> {
    on_thin_device(scene, "256k", |device| {
        let dd = Dd::new(Source::raw(scene.file("a")), device, Format::Raw).block_size(ByteSize::mib(1));
        scene.client().dd(&dd).map(drop)
    })
}

/// The same, for an overlay that was to stand alone.
pub fn full_below_rebase(scene: &Scene) -> Result<(), Error> {
    on_thin_device(scene, "700k", |device| {
        let base = Backing::new(scene.file("a"), Format::Raw);
        scene
            .client()
            .create(&Create::overlay(device, Qcow2::new(), base))
            .expect("there is room for an empty overlay");
        scene.client().rebase(&Rebase::flatten(Source::qcow2(device))).map(drop)
    })
}

/// A flush fails where nobody but qemu-img is told of it, which says so, and exits with 0.
pub fn unflushed(scene: &Scene) -> Result<(), Error> {
    let overlay = scene.file("overlay");
    let base = Backing::new(scene.file("a"), Format::Raw);
    scene.client().create(&Create::overlay(&overlay, Qcow2::new(), base)).expect("an overlay can be made");
    let failing = Blkdebug::new(overlay).inject_error(InjectError::new("flush_to_disk"));
    scene.client().rebase(&Rebase::flatten(Source::qcow2(failing))).map(drop)
}

fn thin_device(scene: &Scene, mode: CacheMode) -> Result<(), Error> {
    on_thin_device(scene, "256k", |device| {
        let target = Target::existing(Source::raw(device));
        let convert = Convert::new(Source::raw(scene.file("a")), target).target_cache(mode);
        scene.client().convert(&convert).map(drop)
    })
}

/// Does something on a device of 2 MiB, of which there are only so many on a disk.
fn on_thin_device(scene: &Scene, size: &str, act: impl FnOnce(&Path) -> Result<(), Error>) -> Result<(), Error> {
    scene.mount(size);
    let thin = scene.place().join("thin");
    fs::File::create(&thin).unwrap().set_len(2 << 20).unwrap();
    let device = LoopDevice::over(&thin);
    let result = act(device.path());
    drop(device);
    fs::remove_file(thin).unwrap();
    result
}

fn failing(path: impl Into<Location>) -> Source {
    Source::raw(Blkdebug::new(path).inject_error(InjectError::new("none")))
}

pub fn unreadable(scene: &Scene) -> Result<(), Error> {
    scene.client().convert(&scene.convert(failing(scene.file("a")))).map(drop)
}

pub fn short_device(scene: &Scene) -> Result<(), Error> {
    let short = scene.file("short");
    fs::write(&short, content()).unwrap();
    let device = LoopDevice::over(&short);
    fs::OpenOptions::new().write(true).open(&short).unwrap().set_len(64 << 10).unwrap();
    scene.client().convert(&scene.convert(Source::raw(device.path()))).map(drop)
}

/// An existing image, which is not given another file.
pub fn unwritable(scene: &Scene) -> Result<(), Error> {
    let c = scene.file("c");
    fs::write(&c, vec![0; 1 << 20]).unwrap();
    tests::machine::as_root(["chmod".as_ref(), "666".as_ref(), c.as_os_str()]);
    let convert = Convert::new(Source::raw(scene.file("a")), Target::existing(failing(c)));
    scene.client().convert(&convert).map(drop)
}

pub fn read_only(scene: &Scene) -> Result<(), Error> {
    scene.mount("4m");
    scene.make_read_only();
    scene.client().convert(&scene.copy()).map(drop)
}

pub fn no_directory(scene: &Scene) -> Result<(), Error> {
    scene.moved_to(scene.file("nowhere"));
    scene.client().convert(&scene.copy()).map(drop)
}

pub fn removed_directory(scene: &Scene) -> Result<(), Error> {
    scene.meanwhile(&scene.client(), true, |_| fs::remove_dir_all(scene.place()).unwrap())
}

/// The directory is what it was, and so the image comes into it.
pub fn renamed_directory(scene: &Scene) -> Result<(), Error> {
    let elsewhere = scene.file("elsewhere");
    let result = scene.meanwhile(&scene.client(), true, |_| fs::rename(scene.place(), &elsewhere).unwrap());
    scene.moved_to(elsewhere);
    result
}

/// Lazily, as one that is in use must be: to those who are at it, it is there until they are done.
pub fn unmounted(scene: &Scene) -> Result<(), Error> {
    scene.mount("4m");
    scene.meanwhile(&scene.client(), true, |_| scene.unmount())
}

pub fn removed_file(scene: &Scene) -> Result<(), Error> {
    scene.meanwhile(&scene.client(), true, |_| fs::remove_file(scene.place().join(".b.partial")).unwrap())
}
