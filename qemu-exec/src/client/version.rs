//! Which qemu-img it is, and whether that can do what is asked.

use qemu_cmd::{Feature, Invocation, QemuVersion};

use super::QemuImg;
use super::flow::{Flow, Runs};
use crate::waiting::now;
use crate::{Error, ErrorKind, Executor};

impl<E: Executor> QemuImg<E> {
    /// Takes this for the version of qemu-img, which is not asked for it then. For a build that has more than its
    /// number says, since somebody has ported it back, give a higher one.
    pub fn version(mut self, version: QemuVersion) -> Self {
        self.settings.version = Some(version).into();
        self
    }

    /// The version of qemu-img: the one that was [set](Self::version), or else what `qemu-img --version` prints, which
    /// is run once, by the same executor as everything else. `None` if that is not a version that can be understood,
    /// or the executor runs nothing: then no command is refused for its version.
    ///
    /// # Errors
    /// qemu-img could not be run, or failed. It is asked again the next time.
    pub fn qemu_version(&self) -> Result<Option<QemuVersion>, Error> {
        now(self.flow().qemu_version())
    }
}

impl<R: Runs> Flow<'_, R> {
    pub(super) async fn qemu_version(&self) -> Result<Option<QemuVersion>, Error> {
        if let Some(version) = self.client.version.get() {
            return Ok(*version);
        }
        let outcome = self.run_any_version(&QemuVersion::invocation(), self.client.metadata, None).await?;
        let version = String::from_utf8_lossy(&outcome.stdout).parse().ok();
        // Another thread may have been faster, with the same result.
        Ok(*self.client.version.get_or_init(|| version))
    }

    /// Refuses what this qemu-img lacks. To ask costs a process, so that is done only for what not every supported
    /// version has.
    pub(super) async fn check_version(&self, invocation: &Invocation) -> Result<(), Error> {
        let version = match self.client.version.get() {
            Some(version) => *version,
            None if invocation.requires().iter().all(Feature::is_always) => return Ok(()),
            None => self.qemu_version().await?,
        };
        let Some(refusal) = version.and_then(|version| invocation.unsupported(version)) else { return Ok(()) };
        let error = Error::new(ErrorKind::Unsupported).message(refusal.to_string()).about(invocation);
        Err(match invocation.writes().first().or(invocation.reads().first()).and_then(|image| image.path()) {
            Some(path) => error.path(path),
            None => error,
        })
    }
}
