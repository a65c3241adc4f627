//! `convert`, whose target gets a cache mode.

use std::io;

use qemu_cmd::{CacheMode, Convert, Location};

use super::QemuImg;
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
        self.convert_if(convert, |_| Ok(()))
    }

    /// The same, if what was written is acceptable.
    pub(super) fn convert_if(
        &self,
        convert: &Convert,
        acceptable: impl Fn(&Location) -> Result<(), Error>,
    ) -> Result<Outcome, Error> {
        let convert = &self.watched(&self.with_target_cache(convert)?, Convert::progress);
        self.check_before(convert)?;
        let check = |place: &Location| self.check_after(convert, place).and_then(|()| acceptable(place));
        let Some(image) = convert.target().new_image() else {
            let outcome = self.run(&convert.invocation()?, self.data)?;
            check(convert.target().location())?;
            return Ok(outcome);
        };
        let spell = |place: &Location| convert.clone().target_at(place.clone()).invocation();
        self.make(convert.target().location(), image.can_be_renamed(), spell, check)
    }

    /// The command with a cache mode that is durable, if it leaves that open.
    fn with_target_cache(&self, convert: &Convert) -> Result<Convert, Error> {
        let invocation = convert.invocation()?;
        if convert.chosen_target_cache().is_some() {
            return Ok(convert.clone());
        }
        // Refusals come first: the probe writes to the directory.
        self.check_version(&invocation)?;
        if convert.target().new_image().is_some() {
            self.refuse_existing(convert.target().location()).map_err(|error| error.about(&invocation))?;
        }
        let mode = self.target_cache(convert).map_err(|source| {
            let full = source.kind() == io::ErrorKind::StorageFull;
            Error::new(if full { ErrorKind::NoSpace } else { ErrorKind::CouldNotStart })
                .message("the target's directory could not be probed for O_DIRECT")
                .about(&invocation)
                .because(source)
        })?;
        Ok(convert.clone().target_cache(mode))
    }

    fn target_cache(&self, convert: &Convert) -> io::Result<CacheMode> {
        match &self.probe_directory {
            _ if self.executor.is_elsewhere() => Ok(CacheMode::Writeback),
            None => safe_cache_mode(convert.target().location()),
            // A file in it: a directory that is not there must not be taken for a file of the one above.
            Some(directory) if direct_io_works(&directory.join("image"))? => Ok(CacheMode::None),
            Some(_) => Ok(CacheMode::Writeback),
        }
    }
}
