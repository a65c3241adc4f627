//! qemu-img is ended, or held up, from outside.

use std::time::Duration;

use qemu_exec::{CancelToken, Error};
use rustix::process::Signal;
use tests::processes::signal;

use crate::scene::{SOON, Scene};

pub fn killed(scene: &Scene) -> Result<(), Error> {
    scene.meanwhile(&scene.client(), false, |qemu_img| signal(qemu_img, Signal::KILL))
}

/// It has a second and a half, of which it is stopped for most.
pub fn stopped(scene: &Scene) -> Result<(), Error> {
    let client = scene.client().data_timeout(Some(Duration::from_millis(1500)));
    scene.meanwhile(&client, false, |qemu_img| signal(qemu_img, Signal::STOP))
}

pub fn stalled(scene: &Scene) -> Result<(), Error> {
    let client = scene.client().stall_timeout(SOON);
    scene.meanwhile(&client, false, |qemu_img| {
        // Its clock begins with the first report.
        std::thread::sleep(Duration::from_millis(300));
        signal(qemu_img, Signal::STOP);
    })
}

pub fn paused(scene: &Scene) -> Result<(), Error> {
    let client = scene.client().data_timeout(Some(Duration::from_secs(60)));
    scene.meanwhile(&client, true, |qemu_img| {
        signal(qemu_img, Signal::STOP);
        std::thread::sleep(Duration::from_millis(200));
        signal(qemu_img, Signal::CONT);
    })
}

pub fn cancelled(scene: &Scene) -> Result<(), Error> {
    let token = CancelToken::new().unwrap();
    let client = scene.client().cancel(token.clone());
    scene.meanwhile(&client, false, |_| token.cancel())
}
