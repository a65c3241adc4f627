//! The guarded way in, for images from strangers.

use std::fs::{self, File};
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use qemu_cmd::{ByteSize, CacheMode, Convert, Format, Key, Location, NewImage, Source, Target};
use qemu_info::inspect::{ImageFormat, Inspected, Inspection, Policy, Verdict, inspect_file};

use super::QemuImg;
use super::flow::{Flow, Runs};
use crate::waiting::now;
use crate::{Error, ErrorKind, Executor, Limits, Outcome, open_image};

/// The inspected file as qemu-img sees it: its descriptor 3.
const HANDED: &str = "/dev/fd/3";

/// How an image is [imported](QemuImg::import): into which new image, and with what key.
#[derive(Clone, Debug)]
#[must_use]
pub struct Import {
    convert: Convert,
    key: Option<Key>,
    result: Option<Policy>,
}

impl Import {
    /// Into `target`, which must be a new image.
    pub fn new(target: Target) -> Self {
        Self::like(Convert::new(Source::raw(HANDED), target))
    }

    /// As `convert` says, but for its sources: the inspected image takes their place.
    pub fn like(convert: Convert) -> Self {
        Self { convert, key: None, result: None }
    }

    /// The key of an image that is encrypted.
    pub fn key(mut self, key: impl Into<Key>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// What the result may be. Default: the format of the target, and nothing that [`Policy::untrusted`] refuses. Of a
    /// raw target that is a disk with or without a partition table, or an optical disc: a disk that begins like an
    /// image of another format would be taken for one by whoever lets qemu guess.
    pub fn result_policy(mut self, policy: Policy) -> Self {
        self.result = Some(policy);
        self
    }

    fn result_policy_for(&self, image: &NewImage) -> Policy {
        let policy = || Policy::untrusted().max_virtual_size(u64::MAX).hybrid_discs(true);
        self.result.clone().unwrap_or_else(|| match image.format().as_str().parse() {
            Ok(ImageFormat::Raw) | Err(_) => policy().formats([ImageFormat::Raw, ImageFormat::Iso]),
            Ok(format) => policy().claimed(format),
        })
    }
}

impl From<Target> for Import {
    fn from(target: Target) -> Self {
        Self::new(target)
    }
}

impl<E: Executor> QemuImg<E> {
    /// Converts an image that was inspected, so that what was inspected is what is used, and nothing else.
    ///
    /// * The very file that was inspected is handed over, open, as a descriptor: another one under its name changes
    ///   nothing. Keep others from writing into it meanwhile.
    /// * Its format is the one that was found, and the backing file that it may name is cut off. An image whose data
    ///   lies in other files is [`Refused`](ErrorKind::Refused), though the policy may grant it.
    /// * A damaged image, which qemu-img reads as zeros with an exit status of 0, is
    ///   [`SourceCorrupt`](ErrorKind::SourceCorrupt); an encrypted one without its key is
    ///   [`KeyNeeded`](ErrorKind::KeyNeeded), and one with the encryption before LUKS
    ///   [`KeyUnverifiable`](ErrorKind::KeyUnverifiable).
    /// * Unless the client has limits and a timeout for data, it runs under 1 GiB of address space, 256 open files, no
    ///   core file, and an hour by the clock.
    /// * The result is inspected before it has its name, and refused as [`Untrusted`](ErrorKind::Untrusted) if it is
    ///   not what [`Import::result_policy`] says: then it is removed.
    ///
    /// It needs an executor that can hand over a file, which [`LocalExecutor`](crate::LocalExecutor) is unless it is
    /// [portable](crate::LocalExecutor::portable).
    ///
    /// ```no_run
    /// use qemu_exec::cmd::{Raw, Target};
    /// use qemu_exec::info::inspect::{ImageFormat, Inspected, Policy};
    /// use qemu_exec::{LocalExecutor, QemuImg, open_image};
    ///
    /// let policy = Policy::untrusted().claimed(ImageFormat::Qcow2);
    /// let image = Inspected::new(open_image("upload")?, &policy)?;
    /// QemuImg::new(LocalExecutor::new()).import(&image, Target::new("disk.raw", Raw::new()))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those above, those of [`convert`](Self::convert), and [`Refused`](ErrorKind::Refused) for an existing target, a
    /// backing file of the new image that does not fit, or an executor that cannot do it. What is said of the image calls
    /// it by the name of its file, or `/dev/fd/3` if that has none (any more).
    pub fn import(&self, image: &Inspected, import: impl Into<Import>) -> Result<Outcome, Error> {
        now(self.flow().import(image, import.into()))
    }
}

impl<R: Runs> Flow<'_, R> {
    pub(super) async fn import(&self, image: &Inspected, import: Import) -> Result<Outcome, Error> {
        let refused = |why: &str| Error::new(ErrorKind::Refused).message(why);
        if self.runs.is_elsewhere() {
            return Err(refused("an open file cannot be handed over to another place: import here"));
        }
        let Some(new) = import.convert.target().new_image() else {
            return Err(refused("an import makes a new image: give a new target"));
        };
        if !image.inspection().is_self_contained() {
            return Err(refused("its data lies in other files, which nobody inspected: an import takes one file"));
        }
        if import.key.is_none() && image.inspection().format() == ImageFormat::Luks {
            let name = name_of(image.file());
            let shown = name.as_ref().map_or("the image".to_owned(), |name| format!("`{}`", name.display()));
            let error = Error::new(ErrorKind::KeyNeeded).message(format!("{shown} is encrypted and needs its key"));
            return Err(match name {
                Some(name) => error.path(&name),
                None => error,
            });
        }
        let policy = import.result_policy_for(new);
        let source = source(image.inspection(), import.key.clone())
            .ok_or_else(|| refused("qemu-img cannot read images of this format"))?;
        let mut convert = import.convert.clone().with_source(source);
        // The probe of a pipe or a device says nothing of a file that is written beside the target.
        if convert.chosen_target_cache().is_none() && !matches!(convert.target().location(), Location::File(_)) {
            convert = convert.target_cache(CacheMode::Writeback);
        }
        let mut data = self.data;
        if data.limits.is_none() {
            data.limits = Limits::none().address_space(ByteSize::gib(1)).open_files(256).core(ByteSize::bytes(0));
        }
        data.timeout = data.timeout.or(Some(Duration::from_secs(3600)));
        let checks = self.checks.source(true);
        let guarded = Flow { data, checks, handed: Some(image.file()), ..self.clone() };
        guarded.convert_if(&convert, Some(&policy)).await.map_err(|error| match name_of(image.file()) {
            Some(name) => error.calling(Path::new(HANDED), &name),
            None => error,
        })
    }
}

/// What an open file is called, if it has a name.
fn name_of(file: &File) -> Option<PathBuf> {
    let name = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()?;
    (!name.as_os_str().as_bytes().ends_with(b" (deleted)")).then_some(name)
}

/// The image as a source; `None` if qemu-img has no driver for it.
fn source(inspection: &Inspection, key: Option<Key>) -> Option<Source> {
    let format = inspection.format().driver()?.parse().ok()?;
    let source = Source::new(Location::File(HANDED.into()), format);
    let source = match format {
        Format::Qcow2 | Format::Qcow | Format::Qed | Format::Vmdk => source.without_backing(),
        _ => source,
    };
    Some(match key {
        Some(key) => source.key(key),
        None => source,
    })
}

pub(super) fn inspect_result(path: &Path, policy: &Policy) -> Result<(), Error> {
    let inspected = open_image(path).and_then(|file| inspect_file(&file, policy));
    let inspection = inspected.map_err(|source| {
        Error::new(ErrorKind::Failed).message("the result could not be inspected").path(path).because(source)
    })?;
    match inspection.verdict() {
        Verdict::Accept => Ok(()),
        Verdict::Refuse => {
            let reasons: Vec<_> = inspection.findings().iter().map(ToString::to_string).collect();
            let message = format!("the result is not acceptable: {}", reasons.join("; "));
            Err(Error::new(ErrorKind::Untrusted).message(message))
        }
    }
}
