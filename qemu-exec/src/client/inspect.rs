//! Commands that answer a question, with the answer as a type.

use qemu_cmd::{Compare, Info, Invocation, Map, Measure};
use qemu_info::{BackingChain, Check, Comparison, ImageInfo, MapExtent, Measurement};

use super::flow::{Flow, Runs, not_understood};
use super::{Bounds, QemuImg};
use crate::classify::classify;
use crate::waiting::now;
use crate::{End, Error, Executor, Outcome, ploop_image};

impl<E: Executor> QemuImg<E> {
    /// Describes an image. A directory that is a ploop image stands for the image in it.
    ///
    /// # Errors
    /// Whatever kind the failure is; [`ErrorKind::OutputNotUnderstood`](crate::ErrorKind::OutputNotUnderstood) if the
    /// output is not what `info` prints.
    pub fn info(&self, info: &Info) -> Result<ImageInfo, Error> {
        now(self.flow().info(info))
    }

    /// Describes an image and every image below it, top first. **Opens whatever the images name** as backing
    /// files.
    ///
    /// # Errors
    /// As [`info`](Self::info).
    pub fn backing_chain(&self, info: &Info) -> Result<BackingChain, Error> {
        now(self.flow().backing_chain(info))
    }

    /// Checks an image, and repairs it if the command says so. What is wrong with it is in the answer, and no error.
    ///
    /// # Errors
    /// The check could not be made, or as [`info`](Self::info).
    pub fn check(&self, check: &qemu_cmd::Check) -> Result<Check, Error> {
        now(self.flow().check(check))
    }

    /// Compares two images. That they differ is an answer, and no error.
    ///
    /// # Errors
    /// They could not be compared, or as [`info`](Self::info).
    pub fn compare(&self, compare: &Compare) -> Result<Comparison, Error> {
        now(self.flow().compare(compare))
    }

    /// Says which parts of an image hold data, in which image of its chain: up to four million parts. See
    /// [`read_map`](Self::read_map) for more, or to take no memory for them.
    ///
    /// # Errors
    /// As [`info`](Self::info).
    pub fn map(&self, map: &Map) -> Result<Vec<MapExtent>, Error> {
        now(self.flow().map(map))
    }

    /// Says how much space an image would need, by its size or by another image.
    ///
    /// # Errors
    /// As [`info`](Self::info).
    pub fn measure(&self, measure: &Measure) -> Result<Measurement, Error> {
        now(self.flow().measure(measure))
    }
}

impl<R: Runs> Flow<'_, R> {
    pub(super) async fn info(&self, info: &Info) -> Result<ImageInfo, Error> {
        let invocation = self.image_of(info).await?.backing_chain(false).invocation()?;
        self.ask(&invocation, self.client.metadata, ImageInfo::from_json).await
    }

    pub(super) async fn backing_chain(&self, info: &Info) -> Result<BackingChain, Error> {
        let invocation = self.image_of(info).await?.backing_chain(true).invocation()?;
        self.ask(&invocation, self.client.metadata, BackingChain::from_json).await
    }

    pub(super) async fn check(&self, check: &qemu_cmd::Check) -> Result<Check, Error> {
        self.judge(&check.invocation()?, |exit, outcome| Check::from_output(exit, &outcome.stdout)).await
    }

    pub(super) async fn compare(&self, compare: &Compare) -> Result<Comparison, Error> {
        self.judge(&self.watched(compare, Compare::progress).invocation()?, |exit, outcome| {
            Comparison::from_output(exit, &outcome.stdout, &outcome.stderr)
        })
        .await
    }

    pub(super) async fn map(&self, map: &Map) -> Result<Vec<MapExtent>, Error> {
        let bounds = Bounds { output: 512 << 20, ..self.data };
        self.ask(&map.invocation()?, bounds, MapExtent::all_from_json).await
    }

    pub(super) async fn measure(&self, measure: &Measure) -> Result<Measurement, Error> {
        self.ask(&measure.invocation()?, self.data, Measurement::from_json).await
    }

    /// Runs a command whose exit status is part of its answer.
    async fn judge<T>(
        &self,
        invocation: &Invocation,
        read: impl FnOnce(i32, &Outcome) -> Result<T, qemu_info::Error> + Send,
    ) -> Result<T, Error> {
        self.check_version(invocation).await?;
        let outcome = self.attempt(invocation, self.data, None).await?;
        let failure = |outcome| classify(outcome, invocation, &self.data.limits);
        let End::Exited(exit) = outcome.end else { return Err(failure(&outcome)) };
        read(exit, &outcome).map_err(|error| match error {
            qemu_info::Error::Failed { .. } => failure(&outcome),
            source => not_understood(&outcome, invocation, source),
        })
    }

    async fn image_of(&self, info: &Info) -> Result<Info, Error> {
        match info.source().location().path() {
            Some(path) if !self.runs.is_elsewhere() => {
                let path = path.to_owned();
                let image = self.blocking(move || Ok(ploop_image(&path))).await?;
                Ok(image
                    .map_or_else(|| info.clone(), |image| info.clone().with_source(info.source().clone().at(image))))
            }
            _ => Ok(info.clone()),
        }
    }
}
