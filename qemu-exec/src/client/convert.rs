//! `convert`, whose target gets a cache mode.

use std::io;
use std::path::Path;

use qemu_cmd::{CacheMode, Convert, Location};
use qemu_info::inspect::Policy;

use super::QemuImg;
use super::flow::{Flow, Runs};
use super::new_file::Acceptance;
use crate::waiting::now;
use crate::{Error, ErrorKind, Executor, Outcome, direct_io_works, safe_cache_mode};

impl<E: Executor> QemuImg<E> {
    /// Converts an image.
    ///
    /// Where the command leaves the target's cache mode open, it is `none` if O_DIRECT works there and
    /// `writeback` if not or if nobody can tell from here, so that the data is on disk when this returns. Warnings are in the outcome's standard
    /// error.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] or [`ErrorKind::Unsupported`] before anything runs, or whatever kind the failure is.
    pub fn convert(&self, convert: &Convert) -> Result<Outcome, Error> {
        now(self.flow().convert(convert))
    }
}

impl<R: Runs> Flow<'_, R> {
    pub(super) async fn convert(&self, convert: &Convert) -> Result<Outcome, Error> {
        self.convert_if(convert, None).await
    }

    /// The same, if what was written is acceptable to the policy.
    pub(super) async fn convert_if(&self, convert: &Convert, policy: Option<&Policy>) -> Result<Outcome, Error> {
        self.enter(&convert.invocation()?).await?;
        let convert = &self.watched(&self.with_target_cache(convert).await?, Convert::progress);
        self.check_before(convert).await?;
        let acceptance = Acceptance::Converted(convert, policy);
        let Some(image) = convert.target().new_image() else {
            let outcome = self.run(&convert.invocation()?, self.data).await?;
            self.accept(acceptance, convert.target().location()).await?;
            return Ok(outcome);
        };
        let spell = |place: &Location| convert.clone().target_at(place.clone()).invocation();
        self.make(convert.target().location(), image.can_be_renamed(), spell, acceptance).await
    }

    /// The command with a cache mode that is durable, if it leaves that open.
    async fn with_target_cache(&self, convert: &Convert) -> Result<Convert, Error> {
        let invocation = convert.invocation()?;
        if convert.chosen_target_cache().is_some() {
            return Ok(convert.clone());
        }
        // Refusals come first: the probe writes to the directory.
        self.check_version(&invocation).await?;
        let target = convert.target().location();
        if convert.target().new_image().is_some() {
            self.refuse_existing(target).await.map_err(|error| error.about(&invocation))?;
        }
        if self.runs.is_elsewhere() {
            return Ok(convert.clone().target_cache(CacheMode::Writeback));
        }
        let (target, directory) = (target.clone(), self.client.probe_directory.clone());
        let mode = self.blocking(move || target_cache(&target, directory.as_deref())).await;
        Ok(convert.clone().target_cache(mode.map_err(|error| error.about(&invocation))?))
    }
}

fn target_cache(target: &Location, probe_directory: Option<&Path>) -> Result<CacheMode, Error> {
    let mode = match probe_directory {
        None => safe_cache_mode(target),
        // A file in it: a directory that is not there must not be taken for a file of the one above.
        Some(directory) => direct_io_works(&directory.join("image"))
            .map(|works| if works { CacheMode::None } else { CacheMode::Writeback }),
    };
    mode.map_err(|source| {
        let full = source.kind() == io::ErrorKind::StorageFull;
        Error::new(if full { ErrorKind::NoSpace } else { ErrorKind::CouldNotStart })
            .message("the target's directory could not be probed for O_DIRECT")
            .because(source)
    })
}
