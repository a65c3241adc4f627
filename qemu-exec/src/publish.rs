//! A new image has its name only when it is complete and durable.

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use qemu_cmd::{Invocation, Location};
use rustix::fs::{FileType, FlockOperation, Mode, OFlags, RawMode, fcntl_lock};
use rustix::io::Errno;

use crate::partial::{Partial, open_directory, partial_name};
use crate::waiting::Waiting;
use crate::{Error, ErrorKind};

/// How a new image appears under its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Publish {
    replace: bool,
    mode: Option<RawMode>,
}

impl Publish {
    /// It replaces nothing, and has the mode that qemu-img would give it: 0644 less the umask.
    pub const fn new() -> Self {
        Self { replace: false, mode: None }
    }

    pub(crate) const fn replaces(self) -> bool {
        self.replace
    }

    /// Whether what has this name is replaced. Default: no, which is an
    /// [`AlreadyExists`](ErrorKind::AlreadyExists).
    ///
    /// It is replaced at once, by another file with the same mode and owner; other links to the old one, extended
    /// attributes and ACLs stay with the old one. A symbolic link is replaced, and not followed. What another process
    /// has locked as an image is not replaced.
    pub const fn replace(mut self, on: bool) -> Self {
        self.replace = on;
        self
    }

    /// The permission bits, which the file has before there is any content in it, whatever the umask. Default: those of
    /// the file that is replaced, or as [`new`](Self::new) says. The owner must be able to read and write it.
    pub const fn mode(mut self, mode: u32) -> Self {
        self.mode = Some(mode & 0o7777);
        self
    }
}

/// A new image on its way: a [`Request`](crate::Request) that carries one writes to a file beside the destination,
/// called `.NAME.partial`, and whoever made the request gives that file its name when all is done.
///
/// The file is made when an executor [begins](Self::begin), and goes when this is dropped, so that one that runs nothing
/// leaves nothing.
#[derive(Debug)]
pub struct Staging {
    invocation: Invocation,
    image: Arc<Unfinished>,
}

/// What a staging shares with whoever makes its file.
#[derive(Debug)]
struct Unfinished {
    destination: PathBuf,
    path: PathBuf,
    publish: Publish,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    NotBegun,
    Begun(Partial),
    /// Nobody wants it any more.
    Over,
}

impl Staging {
    /// Where an image for this place is written; `None` if it is written in place: a device, a pipe, what the kernel
    /// shows under `/proc`, and what is no file.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`], or [`ErrorKind::Locked`] if what would be replaced is in use.
    pub(crate) fn place(location: &Location, publish: Publish) -> Result<Option<PathBuf>, Error> {
        let Some((path, name)) = replaceable(location) else { return Ok(None) };
        refuse_existing(location, publish)?;
        match path.symlink_metadata() {
            // qemu-img says best that it cannot write a directory.
            Ok(meta) if meta.is_dir() => return Ok(None),
            Ok(meta) if meta.is_file() => refuse_locked(path)?,
            _ => {}
        }
        Ok(Some(path.with_file_name(partial_name(name))))
    }

    /// Writes with `invocation`, whose target is at `path`, what becomes `destination`.
    pub(crate) fn new(invocation: Invocation, path: PathBuf, destination: &Path, publish: Publish) -> Self {
        let (destination, state) = (destination.to_owned(), Mutex::new(State::NotBegun));
        Self { invocation, image: Arc::new(Unfinished { destination, path, publish, state }) }
    }

    /// The command with the unfinished file as its target.
    pub const fn invocation(&self) -> &Invocation {
        &self.invocation
    }

    /// The unfinished file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.image.path
    }

    /// Makes the file, empty, locked and with its owner and mode, if it is not there; then
    /// [`invocation`](Self::invocation) can be run.
    ///
    /// # Errors
    /// [`ErrorKind::Locked`] if another is writing this image, or whatever keeps the file from being made.
    pub fn begin(&self) -> Result<(), Error> {
        self.image.begin()
    }

    /// The same, for who may not stand still for so long.
    pub(crate) async fn begin_by<W: Waiting>(&self, waiting: W) -> Result<(), Error> {
        let image = Arc::clone(&self.image);
        waiting.blocking(move || image.begin()).await?
    }

    /// Whether an executor has begun.
    pub(crate) fn has_begun(&self) -> bool {
        matches!(*self.image.state(), State::Begun(_))
    }

    /// The unfinished file, if an executor has begun: whoever has it decides when what is in it is freed.
    pub(crate) fn file(&self) -> Option<OwnedFd> {
        match self.image.state.try_lock().as_deref() {
            Ok(State::Begun(partial)) => partial.file().try_clone().ok(),
            // While it is being made, there is nothing in it.
            _ => None,
        }
    }

    /// Gives the file its name, if an executor has begun.
    pub(crate) fn publish(self) -> Result<(), Error> {
        let state = std::mem::replace(&mut *self.image.state(), State::Over);
        if let State::Begun(partial) = state { self.image.publish(&partial) } else { Ok(()) }
    }

    /// What was said of the unfinished file, said of the image.
    pub(crate) fn rename_in(&self, text: Vec<u8>) -> Vec<u8> {
        let Unfinished { path, destination, .. } = &*self.image;
        replace(text, path.as_os_str().as_bytes(), destination.as_os_str().as_bytes())
    }
}

impl Drop for Staging {
    /// A file that is just being made elsewhere goes as soon as it is there. That is waited for, but for a moment only:
    /// a server may never answer.
    fn drop(&mut self) {
        const PATIENCE: Duration = Duration::from_millis(20);
        let end = Instant::now() + PATIENCE;
        loop {
            match self.image.state.try_lock() {
                Ok(mut state) => *state = State::Over,
                Err(TryLockError::WouldBlock) if Instant::now() < end => {
                    std::thread::sleep(Duration::from_millis(1));
                    continue;
                }
                Err(_) => {}
            }
            return;
        }
    }
}

impl Unfinished {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self) -> Result<(), Error> {
        let mut state = self.state();
        match &*state {
            State::Begun(partial) if partial.is_there() => return Ok(()),
            State::Over => return Err(self.error(Errno::CANCELED, "is not wanted any more")),
            _ => *state = State::NotBegun,
        }
        let made = self.make().map_err(|errno| self.error(errno, "could not be begun"))?;
        let in_use = || {
            let message = format!("{} is being written already", self.quoted());
            Error::new(ErrorKind::Locked).message(message).path(&self.destination)
        };
        *state = State::Begun(made.ok_or_else(in_use)?);
        Ok(())
    }

    fn make(&self) -> rustix::io::Result<Option<Partial>> {
        let parent = match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let name = |path: &Path| path.file_name().map(OsStr::to_owned).unwrap_or_default();
        // Without a mode it is the umask that takes bits off, as it does for qemu-img.
        let narrow = if self.publish.mode.is_some() { 0o600 } else { 0o644 };
        let directory = open_directory(parent)?;
        let Some(partial) = Partial::create(directory, name(&self.path), Mode::from_raw_mode(narrow))? else {
            return Ok(None);
        };
        let old = partial.stat_of(&self.name()).ok().filter(|_| self.publish.replace);
        let old = old.filter(|old| FileType::from_raw_mode(old.st_mode) == FileType::RegularFile);
        if let Some(old) = &old {
            let new = rustix::fs::fstat(partial.file())?;
            let changed = |old: u32, new: u32| (old != new).then_some(old);
            let owner = changed(old.st_uid, new.st_uid).map(rustix::fs::Uid::from_raw);
            let group = changed(old.st_gid, new.st_gid).map(rustix::fs::Gid::from_raw);
            if owner.is_some() || group.is_some() {
                rustix::fs::fchown(partial.file(), owner, group)?;
            }
        }
        if let Some(mode) = self.publish.mode.or(old.map(|old| old.st_mode & 0o7777)) {
            rustix::fs::fchmod(partial.file(), Mode::from_raw_mode(mode))?;
        }
        Ok(Some(partial))
    }

    fn publish(&self, partial: &Partial) -> Result<(), Error> {
        if !partial.is_there() {
            return Err(self.error(Errno::NOENT, "was taken away while it was written"));
        }
        if partial.is_untouched().unwrap_or_default() {
            let message = format!("nothing was written to {}, though qemu-img says that it is done", self.quoted());
            return Err(Error::new(ErrorKind::NotPublished).message(message).path(&self.destination));
        }
        if self.publish.replace {
            refuse_locked(&self.destination)?;
        }
        partial.publish(&self.name(), self.publish.replace).map_err(|errno| match errno {
            Errno::EXIST => already_exists(&self.destination),
            errno if partial.is_there() => self.error(errno, "could not be given its name"),
            errno => self.error(errno, "has its name, and may lose it when the machine fails"),
        })
    }

    fn name(&self) -> OsString {
        self.destination.file_name().map(OsStr::to_owned).unwrap_or_default()
    }

    fn error(&self, errno: Errno, what: &str) -> Error {
        let kind = match errno {
            Errno::NOENT | Errno::NOTDIR => ErrorKind::NotFound,
            Errno::ACCESS | Errno::PERM | Errno::ROFS => ErrorKind::PermissionDenied,
            Errno::NOSPC | Errno::DQUOT => ErrorKind::NoSpace,
            _ => ErrorKind::NotPublished,
        };
        let message = format!("{} {what}", self.quoted());
        Error::new(kind).message(message).path(&self.destination).because(std::io::Error::from(errno))
    }

    fn quoted(&self) -> String {
        format!("`{}`", self.destination.display())
    }
}

/// The path and name of a place where a file can appear, or be replaced by another.
fn replaceable(location: &Location) -> Option<(&Path, &OsStr)> {
    let Location::File(path) = location else { return None };
    // What these mean depends on the process, and no file could be given such a name.
    let shown = ["/dev", "/proc"].iter().any(|place| path.starts_with(place)) && !path.starts_with("/dev/shm");
    if shown || path.metadata().is_ok_and(|meta| is_device(meta.file_type())) {
        return None;
    }
    // A name with a slash behind it is that of a directory.
    let name = path.file_name()?;
    path.as_os_str().as_bytes().ends_with(name.as_bytes()).then_some((path, name))
}

/// Refuses to replace what exists, unless that is wanted.
pub(crate) fn refuse_existing(location: &Location, publish: Publish) -> Result<(), Error> {
    match replaceable(location) {
        Some((path, _)) if !publish.replace && path.symlink_metadata().is_ok() => Err(already_exists(path)),
        _ => Ok(()),
    }
}

fn already_exists(path: &Path) -> Error {
    let message = format!("`{}` exists, and is not to be replaced", path.display());
    Error::new(ErrorKind::AlreadyExists).message(message).path(path)
}

fn is_device(kind: std::fs::FileType) -> bool {
    kind.is_block_device() || kind.is_char_device() || kind.is_fifo() || kind.is_socket()
}

/// An image that a process has open is not replaced: that process would go on with one that has no name any more.
fn refuse_locked(path: &Path) -> Result<(), Error> {
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    // What cannot be opened for writing cannot be asked; whether it may be replaced is for its directory to say.
    let Ok(image) = rustix::fs::open(path, flags, Mode::empty()) else { return Ok(()) };
    // This lock meets qemu's own, and is gone when the file is closed.
    if fcntl_lock(&image, FlockOperation::NonBlockingLockExclusive) != Err(Errno::AGAIN) {
        return Ok(());
    }
    let message = format!("`{}` is in use by another process", path.display());
    Err(Error::new(ErrorKind::Locked).message(message).path(path))
}

fn replace(text: Vec<u8>, from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_slice();
    while let Some((first, tail)) = rest.split_first() {
        match rest.strip_prefix(from) {
            Some(after) if !from.is_empty() => {
                out.extend_from_slice(to);
                rest = after;
            }
            _ => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    out
}
