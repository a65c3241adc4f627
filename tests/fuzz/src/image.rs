//! Images out of few bytes.

use std::io::{self, Read, Seek, SeekFrom};

/// A file of zeros with pieces in it, the later ones on top.
///
/// In an input, a piece is where it lies (32 bits, little-endian), its length (16 bits) and its bytes. The last one
/// may be cut short.
#[derive(Clone)]
pub(crate) struct Image {
    pieces: Vec<(u64, Vec<u8>)>,
    size: u64,
    position: u64,
}

impl Image {
    pub(crate) fn new(mut input: &[u8]) -> Self {
        let mut image = Self { pieces: Vec::new(), size: 0, position: 0 };
        while let Some((&[a, b, c, d, e, f], rest)) = input.split_first_chunk() {
            let length = usize::from(u16::from_le_bytes([e, f])).min(rest.len());
            let (piece, rest) = rest.split_at(length);
            image.put(u32::from_le_bytes([a, b, c, d]).into(), piece);
            input = rest;
        }
        image
    }

    pub(crate) fn put(&mut self, at: u64, piece: &[u8]) {
        self.size = self.size.max(at + piece.len() as u64);
        self.pieces.push((at, piece.to_vec()));
    }

    pub(crate) const fn size(&self) -> u64 {
        self.size
    }

    /// Leaves out what lies behind.
    pub(crate) fn truncate(&mut self, size: u64) {
        self.size = self.size.min(size);
    }

    /// Fills the buffer from `at` on, with zeros behind the end.
    pub(crate) fn copy(&self, at: u64, buffer: &mut [u8]) {
        buffer.fill(0);
        let end = at + buffer.len() as u64;
        for (start, piece) in &self.pieces {
            let (first, last) = (at.max(*start), end.min(start + piece.len() as u64).min(self.size));
            if first < last {
                let part = &piece[(first - start) as usize..(last - start) as usize];
                buffer[(first - at) as usize..][..part.len()].copy_from_slice(part);
            }
        }
    }

    pub(crate) fn bytes<const N: usize>(&self, at: u64) -> [u8; N] {
        let mut bytes = [0; N];
        self.copy(at, &mut bytes);
        bytes
    }
}

impl Read for Image {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = self.size.saturating_sub(self.position);
        let length = usize::try_from(rest).map_or(buffer.len(), |rest| buffer.len().min(rest));
        self.copy(self.position, &mut buffer[..length]);
        self.position += length as u64;
        Ok(length)
    }
}

impl Seek for Image {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.position = match to {
            SeekFrom::Start(position) => position,
            SeekFrom::End(offset) => self.size.checked_add_signed(offset).ok_or(io::ErrorKind::InvalidInput)?,
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset).ok_or(io::ErrorKind::InvalidInput)?,
        };
        Ok(self.position)
    }
}
