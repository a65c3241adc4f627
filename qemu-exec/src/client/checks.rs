//! What is looked at before and after a convert, where its exit status says too little.

use qemu_cmd::{
    ByteSize, Check, Compare, Convert, Format, Info, Location, Measure, NewImage, NullCo, Qcow2, Raw, Source,
};
use qemu_info::{CheckVerdict, Encryption, FormatSpecific};

use super::flow::{Flow, Runs};
#[cfg(feature = "digest")]
use crate::ContentDigest;
use crate::{Error, ErrorKind};

/// What a client looks at before and after it [converts](super::QemuImg::convert). Default: nothing, since each costs a process,
/// and some cost reading an image once more.
///
/// In a dry run each is shown, and passes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Checks {
    space: bool,
    source: bool,
    zero_target: bool,
    verify: bool,
    #[cfg(feature = "digest")]
    digest: Option<ContentDigest>,
}

impl Checks {
    /// Nothing.
    pub const fn none() -> Self {
        Self {
            space: false,
            source: false,
            zero_target: false,
            verify: false,
            #[cfg(feature = "digest")]
            digest: None,
        }
    }

    /// Everything that needs no more to be known.
    pub const fn all() -> Self {
        Self::none().space(true).source(true).zero_target(true).verify(true)
    }

    /// Whether the file system of a new image must have the space that `measure` says it needs, or else it is
    /// [`SpaceMissing`](ErrorKind::SpaceMissing). It costs reading the source's tables.
    ///
    /// It is an estimate, in both ways: zeros that the source stores are counted though a convert leaves them out, the
    /// file system may compress, and others may write to it. Not measured are compressed images, those with a backing file, and formats other than raw, qcow2 and LUKS; an
    /// encrypted one is measured without its header. Nor is anything where the files are
    /// [elsewhere](crate::Executor::is_elsewhere).
    pub const fn space(mut self, on: bool) -> Self {
        self.space = on;
        self
    }

    /// Whether the sources must be sound, or else they are [`SourceCorrupt`](ErrorKind::SourceCorrupt): of a qcow2 image
    /// whose tables point nowhere qemu-img reads zeros, and exits with 0. It costs a `check` of each source that has
    /// tables, and an `info`; the images below it are not looked at.
    ///
    /// A source with the encryption before LUKS is [`KeyUnverifiable`](ErrorKind::KeyUnverifiable): with a wrong key
    /// qemu-img reads rubbish, and exits with 0.
    pub const fn source(mut self, on: bool) -> Self {
        self.source = on;
        self
    }

    /// Whether a target that is [promised](Convert::target_is_zero) to read as zeros must do so, or else it is
    /// [`TargetNotZero`](ErrorKind::TargetNotZero). It costs reading what the target does not know to be zero, which of
    /// a block device is all of it.
    pub const fn zero_target(mut self, on: bool) -> Self {
        self.zero_target = on;
        self
    }

    /// Whether the target must hold what the source does, or else [`ContentDiffers`](ErrorKind::ContentDiffers), and a
    /// new image does not get its name. It costs reading both. Not for several sources, nor for a snapshot, which
    /// `compare` cannot read: those are [refused](ErrorKind::Refused).
    pub const fn verify(mut self, on: bool) -> Self {
        self.verify = on;
        self
    }

    /// What the guest's content of the target must have as its [digest](super::QemuImg::digest), or else
    /// [`ContentDiffers`](ErrorKind::ContentDiffers), and a new image does not get its name. It costs reading the target,
    /// and needs an executor that can hand over a socket, which [`LocalExecutor`](crate::LocalExecutor) is unless it is
    /// [portable](crate::LocalExecutor::portable): with another one, use [`verify`](Self::verify). It is for any number of
    /// sources, and for snapshots.
    #[cfg(feature = "digest")]
    pub const fn digest(mut self, digest: ContentDigest) -> Self {
        self.digest = Some(digest);
        self
    }
}

impl<R: Runs> Flow<'_, R> {
    /// What comes before anything is written.
    pub(super) async fn check_before(&self, convert: &Convert) -> Result<(), Error> {
        let checks = self.checks;
        if checks.verify && (convert.sources().count() > 1 || convert.chosen_snapshot().is_some()) {
            let message = "only one whole source can be compared with the target: switch the verification off";
            return Err(Error::new(ErrorKind::Refused).message(message).about(convert.invocation()?));
        }
        if checks.source {
            for source in convert.sources() {
                self.check_source(source, convert.shares()).await?;
            }
        }
        match convert.target().new_image() {
            Some(image) if checks.space => self.check_space(convert, image).await?,
            None if checks.zero_target && convert.promises_zero() => {
                self.check_zero(&convert.target().as_source()?).await?
            }
            _ => {}
        }
        Ok(())
    }

    async fn check_source(&self, source: &Source, share: bool) -> Result<(), Error> {
        if matches!(source.format(), Some(Format::Raw | Format::Luks)) {
            return Ok(());
        }
        let corrupt = |why: &str| damaged(ErrorKind::SourceCorrupt, source.location(), why);
        if let Some(info) = unless_dry(self.info(&Info::new(source.clone())).await)? {
            if info.encryption() == Encryption::LegacyAes {
                let why = "has the encryption before LUKS, which does not tell a wrong key from the right one";
                return Err(damaged(ErrorKind::KeyUnverifiable, source.location(), why));
            }
            if matches!(&info.format_specific, Some(FormatSpecific::Qcow2(qcow2)) if qcow2.corrupt == Some(true)) {
                return Err(corrupt("is marked as corrupt"));
            }
        }
        let check = unless_dry(self.check(&Check::new(source.clone()).force_share(share)).await)?;
        let verdict = check.as_ref().and_then(|check| check.report()).map(|report| report.verdict());
        if matches!(verdict, Some(CheckVerdict::Corrupt | CheckVerdict::Incomplete)) {
            return Err(corrupt("is damaged"));
        }
        Ok(())
    }

    async fn check_space(&self, convert: &Convert, image: &NewImage) -> Result<(), Error> {
        // Of LUKS, measure would derive a key, for seconds.
        let measured: NewImage = match image {
            NewImage::Luks(_) => Raw::new().into(),
            NewImage::Qcow2(_) if image.is_encrypted() => Qcow2::new().into(),
            NewImage::Raw(_) | NewImage::Qcow2(_) => image.clone(),
            _ => return Ok(()),
        };
        let Location::File(path) = convert.target().location() else { return Ok(()) };
        if self.runs.is_elsewhere() || convert.compresses() || convert.new_backing().is_some() {
            return Ok(());
        }
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(".".as_ref());
        // A directory that is not there is for the convert to say.
        let directory = directory.to_owned();
        let stat = self.blocking(move || Ok(rustix::fs::statvfs(&directory))).await?;
        let Ok(stat) = stat else { return Ok(()) };
        let mut needed = 0_u64;
        for source in convert.sources() {
            let mut measure = Measure::image(source.clone(), measured.clone()).force_share(convert.shares());
            if let Some(snapshot) = convert.chosen_snapshot() {
                measure = measure.snapshot(snapshot.clone());
            }
            let required = unless_dry(self.measure(&measure).await)?.map_or(0, |measurement| measurement.required);
            needed = needed.saturating_add(required);
        }
        let available = stat.f_bavail.saturating_mul(stat.f_frsize);
        if needed <= available {
            return Ok(());
        }
        let (needed, available) = (ByteSize::bytes(needed), ByteSize::bytes(available));
        let why = format!("needs {needed} bytes, and its file system has {available}");
        Err(damaged(ErrorKind::SpaceMissing { needed, available }, convert.target().location(), &why))
    }

    async fn check_zero(&self, target: &Source) -> Result<(), Error> {
        // Against a shorter image, the rest must be zeros: so against one of no size at all, everything must.
        let nothing = Source::raw(NullCo::new().size(ByteSize::bytes(0)).read_zeroes(true));
        match unless_dry(self.compare(&Compare::new(nothing, target.clone())).await)? {
            Some(comparison) if !comparison.is_identical() => {
                let why = "does not read as zeros, as was promised";
                Err(damaged(ErrorKind::TargetNotZero, target.location(), why))
            }
            _ => Ok(()),
        }
    }

    /// What comes after the target was written at `place`.
    pub(super) async fn check_after(&self, convert: &Convert, place: &Location) -> Result<(), Error> {
        #[cfg(feature = "digest")]
        if let Some(expected) = self.checks.digest {
            let target = convert.target().as_source()?.at(place.clone());
            let digest = unless_dry(self.digest(&target, false).await)?;
            if let Some(digest) = digest.filter(|digest| *digest != expected) {
                let why = format!("has the digest {digest}, and not {expected}");
                return Err(damaged(ErrorKind::ContentDiffers, convert.target().location(), &why));
            }
        }
        if !self.checks.verify {
            return Ok(());
        }
        let target = convert.target().as_source()?.at(place.clone());
        let compare = Compare::new(convert.source().clone(), target).force_share(convert.shares());
        match unless_dry(self.compare(&compare).await)? {
            Some(comparison) if !comparison.is_identical() => {
                let why = "does not hold what its source does";
                Err(damaged(ErrorKind::ContentDiffers, convert.target().location(), why))
            }
            _ => Ok(()),
        }
    }
}

/// The answer, if there is one.
pub(super) fn unless_dry<T>(answer: Result<T, Error>) -> Result<Option<T>, Error> {
    match answer {
        Err(error) if error.kind() == ErrorKind::NotRun => Ok(None),
        answer => answer.map(Some),
    }
}

fn damaged(kind: ErrorKind, location: &Location, why: &str) -> Error {
    let error = Error::new(kind).message(format!("`{location}` {why}"));
    match location.path() {
        Some(path) => error.path(path),
        None => error,
    }
}
