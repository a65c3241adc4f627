//! Going down a backing chain by what the images' own bytes say: no qemu-img is run, and nothing is opened that is not
//! a file or a disk.
//!
//! Whoever made an image chose the names in it. A name that leads out of the directory of the top image is opened only
//! where that was asked for, and what is no name of a file never is. The kernel sees to the former (`RESOLVE_BENEATH`),
//! symbolic links included.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use qemu_exec::info::MAX_CHAIN_DEPTH;
use qemu_exec::info::inspect::{Inspection, Name, Policy, inspect_file};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, openat2};
use rustix::io::Errno;

/// How far names are followed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// In the directory of the top image, and below it.
    Directory,
    /// Wherever a name of a file leads.
    Anywhere,
}

/// One image of a chain.
pub(crate) struct Link {
    /// As the image above it, or the caller, names it.
    pub(crate) name: String,
    /// Where that leads, if it is the name of a file.
    pub(crate) path: Option<PathBuf>,
    /// The format that the image above it, or the caller, gives.
    pub(crate) said: Option<String>,
    pub(crate) found: Found,
    /// The other files of the image: that of its data, or those of its extents.
    pub(crate) files: Vec<Part>,
}

/// A file that holds a part of an image.
pub(crate) struct Part {
    pub(crate) role: &'static str,
    pub(crate) name: String,
    pub(crate) found: Result<Size, Trouble>,
}

#[derive(Clone, Copy)]
pub(crate) struct Size {
    pub(crate) file: u64,
    pub(crate) on_disk: u64,
}

/// What is at a name.
pub(crate) enum Found {
    Image(Box<Inspection>, Size),
    Trouble(Trouble),
}

/// Why nothing is known of an image.
pub(crate) enum Trouble {
    Missing,
    /// It is outside of this directory, and was not to be opened.
    Outside(PathBuf),
    /// The name is not that of a file.
    Protocol,
    /// It is the image of this depth again.
    Cycle(usize),
    TooDeep,
    /// It is neither a file nor a disk.
    NoFile(&'static str),
    Unreadable(io::Error),
}

/// What has been opened, and where that is.
struct Walk {
    reach: Reach,
    directory: PathBuf,
    /// What is read has these numbers.
    seen: Vec<(u64, u64)>,
}

/// Goes down from `top`, which is read as `format` if that is given.
pub(crate) fn walk(top: &Path, format: Option<&str>, reach: Reach) -> Vec<Link> {
    let absolute = std::path::absolute(top).unwrap_or_else(|_| top.to_owned());
    let directory = absolute.parent().unwrap_or(Path::new("/")).to_owned();
    let mut walk = Walk { reach, directory, seen: Vec::new() };
    let name = top.display().to_string();
    // The caller names the first, wherever that is; and a file may be called like a place that is none.
    let is_file = absolute.symlink_metadata().is_ok() || !has_protocol(top.as_os_str().as_bytes());
    let first = if is_file { Ok(absolute) } else { Err(Trouble::Protocol) };
    let mut link = walk.link(name, first, format.map(str::to_owned), Reach::Anywhere);
    let mut links = Vec::new();
    loop {
        let below = link.backing();
        let overlay = link.path.clone();
        links.push(link);
        let Some((name, said)) = below else { return links };
        let place = place(&name, beside(overlay.as_deref()));
        let shown = name.to_string();
        if links.len() == MAX_CHAIN_DEPTH {
            let found = Found::Trouble(Trouble::TooDeep);
            links.push(Link { name: shown, path: place.ok(), said, found, files: Vec::new() });
            return links;
        }
        link = walk.link(shown, place, said, reach);
    }
}

impl Link {
    /// What it is based on, and the format that it gives for that; nothing if qemu would read no such name.
    fn backing(&self) -> Option<(Name, Option<String>)> {
        let Found::Image(inspection, _) = &self.found else { return None };
        if self.mismatch().is_some() {
            return None;
        }
        let facts = inspection.facts();
        let said = facts.backing_format.as_ref().map(ToString::to_string);
        facts.backing_file.clone().filter(|name| !name.as_bytes().is_empty()).map(|name| (name, said))
    }

    /// What its bytes say that it is, if it is not read as that.
    pub(crate) fn mismatch(&self) -> Option<&'static str> {
        let (Found::Image(inspection, _), Some(said)) = (&self.found, &self.said) else { return None };
        let is = inspection.format();
        (is.driver() != Some(said.as_str())).then(|| is.as_str())
    }

    pub(crate) fn trouble(&self) -> Option<&Trouble> {
        match &self.found {
            Found::Image(..) => None,
            Found::Trouble(trouble) => Some(trouble),
        }
    }
}

/// Where a name in an image leads, by qemu's rule: into this directory, unless it is absolute or begins with a protocol.
fn place(name: &Name, directory: &Path) -> Result<PathBuf, Trouble> {
    let bytes = name.as_bytes();
    if has_protocol(bytes) {
        return match bytes.strip_prefix(b"file:").map(OsStr::from_bytes).map(Path::new) {
            Some(path) if path.is_absolute() => Ok(path.to_owned()),
            _ => Err(Trouble::Protocol),
        };
    }
    Ok(directory.join(OsStr::from_bytes(bytes)))
}

fn beside(image: Option<&Path>) -> &Path {
    image.and_then(Path::parent).unwrap_or(Path::new("/"))
}

fn has_protocol(name: &[u8]) -> bool {
    let end = name.iter().position(|byte| matches!(byte, b':' | b'/'));
    end.and_then(|end| name.get(end)) == Some(&b':')
}

impl Walk {
    fn link(&mut self, name: String, place: Result<PathBuf, Trouble>, said: Option<String>, reach: Reach) -> Link {
        let (found, path) = match place {
            Ok(path) => (self.look(&path, reach).unwrap_or_else(Found::Trouble), Some(path)),
            Err(trouble) => (Found::Trouble(trouble), None),
        };
        let mut link = Link { name, path, said, found, files: Vec::new() };
        if link.mismatch().is_none() {
            link.files = self.files(&link);
        }
        link
    }

    fn look(&mut self, path: &Path, reach: Reach) -> Result<Found, Trouble> {
        let (place, numbers, size) = self.find(path, reach)?;
        if let Some(depth) = self.seen.iter().position(|seen| *seen == numbers) {
            return Err(Trouble::Cycle(depth));
        }
        self.seen.push(numbers);
        // What was looked at is opened, whatever has that name now.
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&place));
        let file = File::open(path).map_err(Trouble::Unreadable)?;
        let inspection = inspect_file(&file, &Policy::facts_only()).map_err(Trouble::Unreadable)?;
        Ok(Found::Image(Box::new(inspection), size))
    }

    /// What there is at a path: without opening it for reading, which can wake up a device or block.
    fn find(&self, path: &Path, reach: Reach) -> Result<(OwnedFd, (u64, u64), Size), Trouble> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let place = match reach {
            Reach::Anywhere => rustix::fs::open(path, flags, Mode::empty()),
            Reach::Directory => {
                let outside = || Trouble::Outside(self.directory.clone());
                // A name that goes up may come down here again, which is not worth finding out.
                let up = path.components().any(|component| component == Component::ParentDir);
                let below = path.strip_prefix(&self.directory).ok().filter(|_| !up).ok_or_else(outside)?;
                let below = if below.as_os_str().is_empty() { Path::new(".") } else { below };
                let directory = File::open(&self.directory).map_err(Trouble::Unreadable)?;
                let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
                match openat2(directory.as_fd(), below, flags, Mode::empty(), beneath) {
                    Err(Errno::XDEV) => return Err(outside()),
                    place => place,
                }
            }
        };
        let place = place.map_err(|errno| match errno {
            Errno::NOENT => Trouble::Missing,
            errno => Trouble::Unreadable(errno.into()),
        })?;
        let stat = fstat(&place).map_err(|errno| Trouble::Unreadable(errno.into()))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile | FileType::BlockDevice => {}
            FileType::Directory => return Err(Trouble::NoFile("a directory")),
            FileType::Fifo => return Err(Trouble::NoFile("a FIFO")),
            FileType::Socket => return Err(Trouble::NoFile("a socket")),
            _ => return Err(Trouble::NoFile("a character device")),
        }
        let meta = File::from(place);
        let of = meta.metadata().map_err(Trouble::Unreadable)?;
        let size = Size { file: of.len(), on_disk: of.blocks().saturating_mul(512) };
        Ok((meta.into(), (of.dev(), of.ino()), size))
    }

    /// The other files that an image names. They are looked for, and not read.
    fn files(&self, link: &Link) -> Vec<Part> {
        let Found::Image(inspection, _) = &link.found else { return Vec::new() };
        let facts = inspection.facts();
        // qemu looks for a data file from where it runs, and for everything else beside the image.
        let here = std::env::current_dir().unwrap_or_else(|_| "/".into());
        let data = facts.data_file.iter().map(|name| ("data file", name, &*here));
        let image = beside(link.path.as_deref());
        let extents = facts.extents.iter().filter_map(|extent| Some(("extent", extent.file.as_ref()?, image)));
        let part = |(role, name, directory): (&'static str, &Name, &Path)| {
            let found = place(name, directory).and_then(|path| self.find(&path, self.reach));
            Part { role, name: name.to_string(), found: found.map(|(_, _, size)| size) }
        };
        data.chain(extents).map(part).collect()
    }
}
