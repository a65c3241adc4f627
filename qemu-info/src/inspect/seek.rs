//! Bytes of something that can be read anywhere.

use std::io::{ErrorKind, Read, Seek, SeekFrom};

use super::bytes::{Bytes, Stop};
use super::limits;

/// What every image is read by first: enough for most headers and for the descriptors of a disc.
const WINDOW: usize = 64 << 10;

pub(super) struct Seekable<R> {
    reader: R,
    size: Option<u64>,
    window: Option<Part>,
    piece: Part,
    budget: usize,
}

/// What was read at an offset: less than was asked for if the image ends there.
#[derive(Default)]
struct Part {
    offset: u64,
    asked: usize,
    bytes: Vec<u8>,
}

impl Part {
    /// Reads `length` bytes at `offset`, of which there are `left` at most: to ask for more only to be told so takes
    /// one call more.
    fn read(mut self, reader: &mut (impl Read + Seek), offset: u64, length: usize, left: u64) -> Result<Self, Stop> {
        self.bytes.resize(usize::try_from(left).map_or(length, |left| left.min(length)), 0);
        (self.offset, self.asked) = (offset, length);
        reader.seek(SeekFrom::Start(offset)).map_err(Stop::Io)?;
        // `read_to_end` would ask for a little at first, and read four times for what is here in one.
        let mut read = 0;
        while let Some(rest @ [_, ..]) = self.bytes.get_mut(read..) {
            match reader.read(rest) {
                Ok(0) => break,
                Ok(length) => read += length,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Stop::Io(error)),
            }
        }
        self.bytes.truncate(read);
        Ok(self)
    }

    /// The bytes at `offset`, if they were asked for with these.
    fn cut(&self, offset: u64, length: usize) -> Option<&[u8]> {
        let start = usize::try_from(offset.checked_sub(self.offset)?).ok()?;
        (start.checked_add(length)? <= self.asked).then(|| {
            let rest = self.bytes.get(start..).unwrap_or_default();
            rest.get(..length).unwrap_or(rest)
        })
    }
}

impl<R: Read + Seek> Seekable<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, size: None, window: None, piece: Part::default(), budget: limits::HEAD + limits::READ }
    }
}

impl<R: Read + Seek> Bytes for Seekable<R> {
    fn at(&mut self, offset: u64, length: usize) -> Result<&[u8], Stop> {
        if length > limits::PIECE {
            return Err(Stop::Lost);
        }
        if self.window.is_none() {
            self.window = Some(Part::default().read(&mut self.reader, 0, WINDOW, u64::MAX)?);
        }
        if self.window.as_ref().is_none_or(|window| window.cut(offset, length).is_none())
            && self.piece.cut(offset, length).is_none()
        {
            // Far beyond its end, no file can be read: a file system refuses an offset that no file of it can have.
            let left = self.size()?.saturating_sub(offset);
            if left == 0 {
                return Ok(&[]);
            }
            let length = length.max(limits::LEAST);
            self.budget = self.budget.checked_sub(length).ok_or(Stop::Lost)?;
            self.piece = std::mem::take(&mut self.piece).read(&mut self.reader, offset, length, left)?;
        }
        let window = self.window.as_ref().and_then(|window| window.cut(offset, length));
        Ok(window.or_else(|| self.piece.cut(offset, length)).unwrap_or_default())
    }

    fn size(&mut self) -> Result<u64, Stop> {
        if let Some(size) = self.size {
            return Ok(size);
        }
        let size = self.reader.seek(SeekFrom::End(0)).map_err(Stop::Io)?;
        self.size = Some(size);
        Ok(size)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::{self, Cursor, Read, Seek, SeekFrom};

    use super::super::builder::{CLUSTER, Image};
    use super::super::{Code, Policy, inspect};

    /// A file on a file system whose files can be no larger than a gibibyte.
    struct Small(Cursor<Vec<u8>>);

    impl Read for Small {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.read(buffer)
        }
    }

    impl Seek for Small {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            match to {
                SeekFrom::Start(1_073_741_825..) => Err(io::ErrorKind::InvalidInput.into()),
                to => self.0.seek(to),
            }
        }
    }

    #[test]
    fn no_offset_makes_an_image_unreadable() {
        for start in [1 << 31, 1 << 62, 1 << 63, !(CLUSTER - 1)] {
            let image = Image::qcow2().be32(60, 1).be64(64, start);
            let inspection = inspect(Small(Cursor::new(image.bytes)), &Policy::untrusted()).unwrap();
            let codes: Vec<_> = inspection.findings().iter().map(|finding| finding.code).collect();
            assert_eq!(codes.last(), Some(&Code::Truncated), "{start:#x}");
        }
    }

    /// A disk of which every read fails, but for one that a signal interrupts.
    struct Failing(u32);

    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            self.0 += 1;
            assert!(self.0 < 3, "asked again after it failed");
            Err(if self.0 == 1 { io::ErrorKind::Interrupted.into() } else { io::Error::other("bad sector") })
        }
    }

    impl Seek for Failing {
        fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
            Ok(1 << 20)
        }
    }

    #[test]
    fn a_read_that_fails_is_the_callers_to_know() {
        let error = inspect(Failing(0), &Policy::untrusted()).unwrap_err();
        assert!(error.to_string().contains("bad sector"), "{error:?}");
    }

    #[test]
    fn what_is_read_is_bounded() {
        // As many snapshots as there may be.
        let mut image = Image::qcow2().be32(60, 1024).be64(64, 1 << 20);
        image.bytes.resize(64 << 20, 0);
        let mut counted = Counted(Cursor::new(image.bytes), 0);
        assert_eq!(inspect(&mut counted, &Policy::untrusted()).unwrap().facts().snapshots, Some(1024));
        assert!((1 << 20..2 << 20).contains(&counted.1), "{}", counted.1);
    }

    struct Counted(Cursor<Vec<u8>>, usize);

    impl Read for Counted {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let read = self.0.read(buffer)?;
            self.1 += read;
            Ok(read)
        }
    }

    impl Seek for Counted {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.0.seek(to)
        }
    }
}
