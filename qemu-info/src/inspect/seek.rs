//! Bytes of something that can be read anywhere.

use std::io::{Read, Seek, SeekFrom};

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
    fn read(mut self, reader: &mut (impl Read + Seek), offset: u64, length: usize) -> Result<Self, Stop> {
        self.bytes.clear();
        self.bytes.reserve_exact(length);
        (self.offset, self.asked) = (offset, length);
        // No file has bytes there, and a seek to there would be an error.
        if i64::try_from(offset).is_ok() {
            reader.seek(SeekFrom::Start(offset)).map_err(Stop::Io)?;
            reader.take(length as u64).read_to_end(&mut self.bytes).map_err(Stop::Io)?;
        }
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
            self.window = Some(Part::default().read(&mut self.reader, 0, WINDOW)?);
        }
        if self.window.as_ref().is_none_or(|window| window.cut(offset, length).is_none())
            && self.piece.cut(offset, length).is_none()
        {
            let length = length.max(limits::LEAST);
            self.budget = self.budget.checked_sub(length).ok_or(Stop::Lost)?;
            self.piece = std::mem::take(&mut self.piece).read(&mut self.reader, offset, length)?;
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
