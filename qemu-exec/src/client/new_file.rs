//! New images, which have their name when they are complete.

use qemu_cmd::{Convert, Invocation, Location};
use qemu_info::inspect::Policy;

use super::flow::{Flow, Runs};
use super::import::inspect_result;
use crate::publish::refuse_existing;
use crate::waiting::Waiting;
use crate::{Error, ErrorKind, Outcome, Staging};

/// What is looked at before a new image has its name.
#[derive(Clone, Copy)]
pub(super) enum Acceptance<'a> {
    /// Nothing.
    Any,
    /// What the [checks](super::Checks) say, and, with a policy, the image itself.
    Converted(&'a Convert, Option<&'a Policy>),
}

/// A staging until it is published. Its file loses its name at once when this is dropped, and what is in it is freed by
/// whoever may stand still for so long.
struct Staged<W: Waiting> {
    staging: Option<Staging>,
    waiting: W,
}

impl<W: Waiting> Drop for Staged<W> {
    fn drop(&mut self) {
        let file = self.staging.as_ref().and_then(Staging::file);
        self.staging = None;
        if let Some(file) = file {
            self.waiting.leave(file);
        }
    }
}

impl<R: Runs> Flow<'_, R> {
    /// Runs a command that makes an image, which `spell` spells for any place.
    pub(super) async fn make(
        &self,
        target: &Location,
        can_be_renamed: bool,
        spell: impl Fn(&Location) -> Result<Invocation, qemu_cmd::Error> + Send + Sync,
        acceptance: Acceptance<'_>,
    ) -> Result<Outcome, Error> {
        let invocation = spell(target)?;
        let once = || async {
            self.enter(&invocation).await?;
            let made = if can_be_renamed && !self.runs.is_elsewhere() {
                let (location, publish) = (target.clone(), self.client.publish);
                self.blocking(move || Staging::place(&location, publish)).await
            } else {
                self.refuse_existing(target).await.map(|()| None)
            };
            let place = made.map_err(|error| error.about(&invocation))?;
            let (Some(path), Some(destination)) = (place, target.path()) else {
                let outcome = self.run_once(&invocation, self.data, None).await?;
                self.accept(acceptance, target).await?;
                return Ok(outcome);
            };
            let partial = Location::File(path.clone());
            let staging = Staging::new(spell(&partial)?, path, destination, self.client.publish);
            let mut staged = Staged { staging: Some(staging), waiting: self.runs.waiting() };
            let outcome = self.run_once(&invocation, self.data, staged.staging.as_ref()).await?;
            let has_begun = staged.staging.as_ref().is_some_and(Staging::has_begun);
            self.accept(acceptance, if has_begun { &partial } else { target }).await?;
            if let Some(staging) = staged.staging.take() {
                self.blocking(move || staging.publish()).await.map_err(|error| error.about(&invocation))?;
            }
            Ok(outcome)
        };
        self.patiently(once).await
    }

    /// Whether what was written at `place` may be had.
    pub(super) async fn accept(&self, acceptance: Acceptance<'_>, place: &Location) -> Result<(), Error> {
        let Acceptance::Converted(convert, policy) = acceptance else { return Ok(()) };
        self.check_after(convert, place).await?;
        match (policy, place.path()) {
            (Some(policy), Some(path)) => {
                let (path, policy) = (path.to_owned(), policy.clone());
                self.blocking(move || inspect_result(&path, &policy)).await
            }
            _ => Ok(()),
        }
    }

    /// Refuses a new image in place of another one, or of what nobody can see from here, unless that may be replaced.
    pub(super) async fn refuse_existing(&self, target: &Location) -> Result<(), Error> {
        let publish = self.client.publish;
        if !self.runs.is_elsewhere() {
            let target = target.clone();
            return self.blocking(move || refuse_existing(&target, publish)).await;
        }
        if publish.replaces() || !matches!(target, Location::File(_)) {
            return Ok(());
        }
        let message = format!("`{target}` is elsewhere and may exist: allow it to be replaced");
        Err(Error::new(ErrorKind::Refused).message(message))
    }
}
