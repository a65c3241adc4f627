//! New images, which have their name when they are complete.

use qemu_cmd::{Invocation, Location};

use super::QemuImg;
use crate::publish::refuse_existing;
use crate::{Error, ErrorKind, Executor, Outcome, Staging};

impl<E: Executor> QemuImg<E> {
    /// Runs a command that makes an image, which `spell` spells for any place; `check` looks at it before it has its
    /// name.
    pub(super) fn make(
        &self,
        target: &Location,
        can_be_renamed: bool,
        spell: impl Fn(&Location) -> Result<Invocation, qemu_cmd::Error>,
        check: impl Fn(&Location) -> Result<(), Error>,
    ) -> Result<Outcome, Error> {
        let invocation = spell(target)?;
        self.patiently(|| {
            let about = |error: Error| error.about(&invocation);
            let place = if can_be_renamed && !self.executor.is_elsewhere() {
                Staging::place(target, self.publish).map_err(about)?
            } else {
                self.refuse_existing(target).map_err(about)?;
                None
            };
            let (Some(path), Some(destination)) = (place, target.path()) else {
                let outcome = self.run_once(&invocation, self.data, None)?;
                check(target)?;
                return Ok(outcome);
            };
            let partial = Location::File(path.clone());
            let staging = Staging::new(spell(&partial)?, path, destination, self.publish);
            let outcome = self.run_once(&invocation, self.data, Some(&staging))?;
            check(if staging.has_begun() { &partial } else { target })?;
            staging.publish().map_err(about)?;
            Ok(outcome)
        })
    }

    /// Refuses a new image in place of another one, or of what nobody can see from here, unless that may be replaced.
    pub(super) fn refuse_existing(&self, target: &Location) -> Result<(), Error> {
        if !self.executor.is_elsewhere() {
            return refuse_existing(target, self.publish);
        }
        if self.publish.replaces() || !matches!(target, Location::File(_)) {
            return Ok(());
        }
        let message = format!("`{target}` is elsewhere and may exist: allow it to be replaced");
        Err(Error::new(ErrorKind::Refused).message(message))
    }
}
