//! Bytes of something that can be read anywhere.

use std::io::{Read, Seek, SeekFrom};

use super::bytes::{Bytes, Stop};
use super::limits;

/// What every image is read by first: enough for most headers and for the descriptors of a disc.
const WINDOW: usize = 64 << 10;

pub(super) struct Seekable<R> {
    reader: R,
    size: Option<u64>,
    window: Option<Vec<u8>>,
    piece: Vec<u8>,
    budget: usize,
}

impl<R: Read + Seek> Seekable<R> {
    pub(super) const fn new(reader: R) -> Self {
        Self { reader, size: None, window: None, piece: Vec::new(), budget: limits::READ }
    }

    fn read(&mut self, offset: u64, length: usize, into: fn(&mut Self) -> &mut Vec<u8>) -> Result<(), Stop> {
        self.budget = self.budget.checked_sub(length).ok_or(Stop::Lost)?;
        self.reader.seek(SeekFrom::Start(offset)).map_err(Stop::Io)?;
        let mut buffer = std::mem::take(into(self));
        buffer.clear();
        let read = Read::by_ref(&mut self.reader).take(length as u64).read_to_end(&mut buffer);
        *into(self) = buffer;
        read.map(drop).map_err(Stop::Io)
    }
}

impl<R: Read + Seek> Bytes for Seekable<R> {
    fn at(&mut self, offset: u64, length: usize) -> Result<&[u8], Stop> {
        if length > limits::PIECE {
            return Err(Stop::Lost);
        }
        if self.window.is_none() {
            self.window = Some(Vec::with_capacity(WINDOW));
            self.read(0, WINDOW, |this| this.window.get_or_insert_default())?;
        }
        let end = offset.checked_add(length as u64).ok_or(Stop::Broken)?;
        let seen = self.window.as_ref().map_or(0, Vec::len);
        if end > WINDOW as u64 && seen == WINDOW {
            self.read(offset, length, |this| &mut this.piece)?;
            return Ok(&self.piece);
        }
        let window = self.window.as_deref().unwrap_or_default();
        let start = usize::try_from(offset).unwrap_or(seen).min(seen);
        Ok(window.get(start..).map_or(&[], |rest| rest.get(..length).unwrap_or(rest)))
    }

    fn size(&mut self) -> Result<u64, Stop> {
        if self.size.is_none() {
            self.size = Some(self.reader.seek(SeekFrom::End(0)).map_err(Stop::Io)?);
        }
        self.size.ok_or(Stop::Broken)
    }
}
