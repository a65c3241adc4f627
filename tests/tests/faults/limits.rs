//! Limits of every kind.

use std::time::Duration;

use qemu_cmd::{Backing, ByteSize, Create, Format, Luks, LuksImage, Qcow2, Secret, Source};
use qemu_exec::{Error, Limits};
use tests::{Kind, write_fixture};

use crate::scene::Scene;

/// To derive its key would take minutes.
pub fn cpu(scene: &Scene) -> Result<(), Error> {
    let slow = LuksImage::new(Luks::new(Secret::new("x").unwrap()).iter_time(Duration::from_secs(1000)));
    let client = scene.client().data_limits(Limits::none().cpu(Duration::from_secs(1)));
    client.create(&Create::new(scene.b(), slow, ByteSize::mib(1))).map(drop)
}

pub fn address_space(scene: &Scene) -> Result<(), Error> {
    let client = scene.client().data_limits(Limits::none().address_space(ByteSize::mib(16)));
    client.convert(&scene.copy()).map(drop)
}

pub fn file_size(scene: &Scene) -> Result<(), Error> {
    let client = scene.client().data_limits(Limits::none().file_size(ByteSize::kib(64)));
    client.convert(&scene.copy()).map(drop)
}

/// A chain has more images than the process may open files.
pub fn open_files(scene: &Scene) -> Result<(), Error> {
    let image = |n: usize| scene.file(&format!("{n}.qcow2"));
    write_fixture(Kind::Qcow2, &image(0));
    for n in 1..16 {
        let overlay = Create::overlay(image(n), Qcow2::new(), Backing::new(image(n - 1), Format::Qcow2));
        tests::client().create(&overlay).unwrap();
    }
    let convert = scene.convert(Source::qcow2(image(15)));
    scene.client().data_limits(Limits::none().open_files(14)).convert(&convert).map(drop)
}

pub fn processes(scene: &Scene) -> Result<(), Error> {
    let client = scene.client().data_limits(Limits::none().processes(1));
    client.convert(&scene.copy()).map(drop)
}

/// More than the kernel gives to anybody (`fs.nr_open`).
pub fn impossible(scene: &Scene) -> Result<(), Error> {
    let client = scene.client().data_limits(Limits::none().open_files(1 << 40));
    client.convert(&scene.copy()).map(drop)
}
