//! Commands that answer a question, with the answer as a type.

use qemu_cmd::Info;
use qemu_info::{BackingChain, ImageInfo};

use super::QemuImg;
use crate::{Error, Executor, ploop_image};

impl<E: Executor> QemuImg<E> {
    /// Describes an image. A directory that is a ploop image stands for the image in it.
    ///
    /// # Errors
    /// Whatever kind the failure is; [`ErrorKind::OutputNotUnderstood`](crate::ErrorKind::OutputNotUnderstood) if the
    /// output is not what `info` prints.
    pub fn info(&self, info: &Info) -> Result<ImageInfo, Error> {
        let invocation = image_of(info).backing_chain(false).invocation()?;
        self.ask(&invocation, self.metadata, ImageInfo::from_json)
    }

    /// Describes an image and every image below it, top first. **Opens whatever the images name** as backing
    /// files.
    ///
    /// # Errors
    /// As [`info`](Self::info).
    pub fn backing_chain(&self, info: &Info) -> Result<BackingChain, Error> {
        let invocation = image_of(info).backing_chain(true).invocation()?;
        self.ask(&invocation, self.metadata, BackingChain::from_json)
    }
}

fn image_of(info: &Info) -> Info {
    let ploop = info.source().location().path().and_then(ploop_image);
    match ploop {
        Some(image) => info.clone().with_source(info.source().clone().at(image)),
        None => info.clone(),
    }
}
