//! Opening a file that somebody else chose.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

/// Opens an image for reading, as [`Inspected::new`](qemu_info::inspect::Inspected::new) needs it: a FIFO does not
/// block, a terminal does not become ours, and a symbolic link is an error.
///
/// ```
/// use qemu_exec::info::inspect::{Code, InspectError, Inspected, Policy};
/// let file = qemu_exec::open_image("/dev/zero")?;
/// let Err(InspectError::Refused(why)) = Inspected::new(file, &Policy::untrusted()) else { panic!() };
/// assert_eq!(why.findings()[0].code, Code::NotARegularFile);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// If it cannot be opened.
pub fn open_image(path: impl AsRef<Path>) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOFOLLOW;
    Ok(rustix::fs::open(path.as_ref(), flags, Mode::empty())?.into())
}
