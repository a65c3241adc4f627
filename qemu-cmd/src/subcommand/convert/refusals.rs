//! What a convert is refused for.

use super::Convert;
use crate::format::{CreateOptions, Preallocation};
use crate::image::TargetKind;
use crate::{Error, Format, rules};

impl Convert {
    /// What is wrong with the options together, whatever the target.
    pub(super) fn check(&self) -> Result<(), Error> {
        for source in self.sources() {
            source.check_openable()?;
            self.target.check_is_not(source)?;
        }
        if let Some(coroutines) = self.coroutines {
            rules::check_coroutines(coroutines)?;
        }
        if let Some(size) = self.sparse_size {
            rules::check_sparse_size(size)?;
        }
        rules::check_signed(&[self.rate])?;
        rules::check_qcow2(self.source.format().filter(|_| self.bitmaps), "bitmaps")?;
        rules::check_qcow2(self.target.format().filter(|_| self.bitmaps), "bitmaps")?;
        rules::check_qcow2(self.source.format().filter(|_| self.snapshot.is_some()), "internal snapshots")?;
        let refuse = |wrong: bool, reason| if wrong { Err(Error::Options(reason)) } else { Ok(()) };
        let several = !self.more_sources.is_empty();
        let existing = matches!(self.target.0, TargetKind::Existing(_));
        let storage_copies =
            "the storage can only copy as it is: copy_offload excludes compression, a sparse size and salvage";
        refuse(self.copy_offload && (self.compress || self.sparse_size.is_some() || self.salvage), storage_copies)?;
        refuse(several && self.snapshot.is_some(), "a snapshot is one of one source: give one source")?;
        refuse(several && self.bitmaps, "bitmaps are copied from one source: give one source")?;
        refuse(several && self.backing.is_some(), "an image with a backing file has one source: give one source")?;
        refuse(
            self.target_is_zero && !existing,
            "target_is_zero is for an existing target: a new one is known to be zero",
        )?;
        refuse(existing && self.backing.is_some(), "an existing target keeps its backing file: drop the backing")?;
        refuse(self.skip_broken_bitmaps && !self.bitmaps, "skip_broken_bitmaps needs bitmaps")
    }

    /// What is wrong with the target, or the options of a new one.
    pub(super) fn check_target(&self) -> Result<Option<CreateOptions>, Error> {
        let (format, encrypted, options) = match &self.target.0 {
            TargetKind::New { location, image } => {
                let options = image.options()?;
                rules::check_creatable(location, image.format(), &options.pairs)?;
                (image.format(), options.key.is_some(), Some(options))
            }
            TargetKind::Existing(image) => {
                image.check_openable()?;
                let format = image.format().ok_or(Error::Options(
                    "an existing target needs its format: a probed one lets its content choose",
                ))?;
                (format, image.has_key(), None)
            }
        };
        if let Some(backing) = &self.backing {
            rules::check_backing(format)?;
            rules::check_not_own_backing(self.target.location(), backing)?;
            rules::check_backing_opens(backing)?;
            if options.as_ref().is_some_and(|options| options.data_file_raw) {
                return Err(Error::Options(
                    "a raw data file holds all there is: drop data_file_raw or the backing file",
                ));
            }
        }
        if self.compress {
            // LUKS first: its reason is the format, as qemu-img says too.
            let encrypted = encrypted && format != Format::Luks;
            let given = options.as_ref();
            let preallocated =
                given.and_then(|options| options.preallocation).is_some_and(|mode| mode != Preallocation::Off);
            rules::check_compression(format.as_str(), encrypted, preallocated)?;
            if format == Format::Vmdk && given.is_some_and(|options| !options.stream_optimized) {
                return Err(Error::Options("only a stream-optimized vmdk is compressed: choose that subformat"));
            }
            if given.is_some_and(|options| options.data_file) {
                return Err(Error::Options("an image with a data file cannot be compressed: drop one of the two"));
            }
        }
        Ok(options)
    }
}
