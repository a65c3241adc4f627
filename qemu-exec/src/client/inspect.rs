//! Commands that answer a question, with the answer as a type.

use qemu_cmd::{Compare, Info, Invocation, Map, Measure};
use qemu_info::{BackingChain, Check, Comparison, ImageInfo, MapExtent, Measurement};

use super::{Bounds, QemuImg, not_understood};
use crate::classify::classify;
use crate::{End, Error, Executor, Outcome, ploop_image};

impl<E: Executor> QemuImg<E> {
    /// Describes an image. A directory that is a ploop image stands for the image in it.
    ///
    /// # Errors
    /// Whatever kind the failure is; [`ErrorKind::OutputNotUnderstood`](crate::ErrorKind::OutputNotUnderstood) if the
    /// output is not what `info` prints.
    pub fn info(&self, info: &Info) -> Result<ImageInfo, Error> {
        let invocation = self.image_of(info).backing_chain(false).invocation()?;
        self.ask(&invocation, self.metadata, ImageInfo::from_json)
    }

    /// Describes an image and every image below it, top first. **Opens whatever the images name** as backing
    /// files.
    ///
    /// # Errors
    /// As [`info`](Self::info).
    pub fn backing_chain(&self, info: &Info) -> Result<BackingChain, Error> {
        let invocation = self.image_of(info).backing_chain(true).invocation()?;
        self.ask(&invocation, self.metadata, BackingChain::from_json)
    }

    /// Checks an image, and repairs it if the command says so. What is wrong with it is in the answer, and no error.
    ///
    /// # Errors
    /// The check could not be made, or as [`info`](Self::info).
    pub fn check(&self, check: &qemu_cmd::Check) -> Result<Check, Error> {
        self.judge(&check.invocation()?, |exit, outcome| Check::from_output(exit, &outcome.stdout))
    }

    /// Compares two images. That they differ is an answer, and no error.
    ///
    /// # Errors
    /// They could not be compared, or as [`info`](Self::info).
    pub fn compare(&self, compare: &Compare) -> Result<Comparison, Error> {
        self.judge(&self.watched(compare, Compare::progress).invocation()?, |exit, outcome| {
            Comparison::from_output(exit, &outcome.stdout, &outcome.stderr)
        })
    }

    /// Says which parts of an image hold data, in which image of its chain: up to four million parts. For more, or in
    /// constant memory, read what `qemu-img map` prints with [`MapExtents`](qemu_info::MapExtents).
    ///
    /// # Errors
    /// As [`info`](Self::info).
    pub fn map(&self, map: &Map) -> Result<Vec<MapExtent>, Error> {
        let bounds = Bounds { output: 512 << 20, ..self.data };
        self.ask(&map.invocation()?, bounds, MapExtent::all_from_json)
    }

    /// Says how much space an image would need, by its size or by another image.
    ///
    /// # Errors
    /// As [`info`](Self::info).
    pub fn measure(&self, measure: &Measure) -> Result<Measurement, Error> {
        self.ask(&measure.invocation()?, self.data, Measurement::from_json)
    }

    /// Runs a command whose exit status is part of its answer.
    fn judge<T>(
        &self,
        invocation: &Invocation,
        read: impl FnOnce(i32, &Outcome) -> Result<T, qemu_info::Error>,
    ) -> Result<T, Error> {
        let outcome = self.attempt(invocation, self.data, None)?;
        let failure = |outcome| classify(outcome, invocation, &self.data.limits);
        let End::Exited(exit) = outcome.end else { return Err(failure(&outcome)) };
        read(exit, &outcome).map_err(|error| match error {
            qemu_info::Error::Failed { .. } => failure(&outcome),
            source => not_understood(&outcome, invocation, source),
        })
    }

    fn image_of(&self, info: &Info) -> Info {
        let path = info.source().location().path().filter(|_| !self.executor.is_elsewhere());
        match path.and_then(ploop_image) {
            Some(image) => info.clone().with_source(info.source().clone().at(image)),
            None => info.clone(),
        }
    }
}
