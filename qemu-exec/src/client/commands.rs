//! Commands that do something, of which there is no more to know than that it was done.

use qemu_cmd::{Amend, Bench, Bitmap, Commit, Create, Dd, Format, Location, Rebase, Resize, Snapshot};

use super::QemuImg;
use super::flow::{Flow, Runs};
use super::new_file::Acceptance;
use crate::waiting::now;
use crate::{Error, Executor, Outcome};

/// Each of these fails with [`ErrorKind::Refused`](crate::ErrorKind::Refused) or
/// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) before anything runs, or else with whatever kind the
/// failure is. qemu-img has said that it is done by an exit status of 0 and in no other way; what it prints beside
/// that is text for people. It says so also when it could not flush an image in the end: so what was written in place, to
/// a file or a device that may be read here, is flushed once more, and
/// [`InputOutput`](crate::ErrorKind::InputOutput) or [`NoSpace`](crate::ErrorKind::NoSpace) if that fails, or if qemu-img
/// complains of it.
impl<E: Executor> QemuImg<E> {
    /// Changes the options of an image, or the key slots of an encrypted one.
    pub fn amend(&self, amend: &Amend) -> Result<Outcome, Error> {
        now(self.flow().amend(amend))
    }

    /// Measures how fast an image is read, or **overwritten**. What was measured is text on standard output.
    pub fn bench(&self, bench: &Bench) -> Result<Outcome, Error> {
        now(self.flow().bench(bench))
    }

    /// Makes, changes, merges or removes a dirty bitmap. Of several actions, what was done before one failed stays.
    pub fn bitmap(&self, bitmap: &Bitmap) -> Result<Outcome, Error> {
        now(self.flow().bitmap(bitmap))
    }

    /// Writes what an overlay holds into the image below it.
    pub fn commit(&self, commit: &Commit) -> Result<Outcome, Error> {
        now(self.flow().commit(commit))
    }

    /// Makes an image.
    pub fn create(&self, create: &Create) -> Result<Outcome, Error> {
        now(self.flow().create(create))
    }

    /// Copies blocks of an image to a new one.
    pub fn dd(&self, dd: &Dd) -> Result<Outcome, Error> {
        now(self.flow().dd(dd))
    }

    /// Puts an overlay on another image, or on none.
    pub fn rebase(&self, rebase: &Rebase) -> Result<Outcome, Error> {
        now(self.flow().rebase(rebase))
    }

    /// Changes the size of an image.
    pub fn resize(&self, resize: &Resize) -> Result<Outcome, Error> {
        now(self.flow().resize(resize))
    }

    /// Makes, applies or deletes an internal snapshot; or lists them, as text on standard output, within the bounds
    /// of what only reads.
    pub fn snapshot(&self, snapshot: &Snapshot) -> Result<Outcome, Error> {
        now(self.flow().snapshot(snapshot))
    }
}

impl<R: Runs> Flow<'_, R> {
    pub(super) async fn amend(&self, amend: &Amend) -> Result<Outcome, Error> {
        self.run(&self.watched(amend, Amend::progress).invocation()?, self.data).await
    }

    pub(super) async fn bench(&self, bench: &Bench) -> Result<Outcome, Error> {
        self.run(&bench.invocation()?, self.data).await
    }

    pub(super) async fn bitmap(&self, bitmap: &Bitmap) -> Result<Outcome, Error> {
        self.run(&bitmap.invocation()?, self.data).await
    }

    pub(super) async fn commit(&self, commit: &Commit) -> Result<Outcome, Error> {
        self.run(&self.watched(commit, Commit::progress).invocation()?, self.data).await
    }

    pub(super) async fn create(&self, create: &Create) -> Result<Outcome, Error> {
        let spell = |place: &Location| create.clone().at(place.clone()).invocation();
        self.make(create.location(), create.image().can_be_renamed(), spell, Acceptance::Any).await
    }

    pub(super) async fn dd(&self, dd: &Dd) -> Result<Outcome, Error> {
        let spell = |place: &Location| dd.clone().target_at(place.clone()).invocation();
        self.make(dd.target(), dd.format() != Format::Vmdk, spell, Acceptance::Any).await
    }

    pub(super) async fn rebase(&self, rebase: &Rebase) -> Result<Outcome, Error> {
        self.run(&self.watched(rebase, Rebase::progress).invocation()?, self.data).await
    }

    pub(super) async fn resize(&self, resize: &Resize) -> Result<Outcome, Error> {
        self.run(&resize.invocation()?, self.data).await
    }

    pub(super) async fn snapshot(&self, snapshot: &Snapshot) -> Result<Outcome, Error> {
        let invocation = snapshot.invocation()?;
        let bounds = if invocation.writes().is_empty() { self.client.metadata } else { self.data };
        self.run(&invocation, bounds).await
    }
}
