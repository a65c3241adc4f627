//! The bytes of an image, as the parsers see them.

use std::io;

use super::limits::{SCAN, SCAN_PIECE, SECTOR};

/// Why a parser stopped before it had said everything.
#[derive(Debug)]
pub(super) enum Stop {
    /// It needs bytes that have not come yet.
    Wait,
    /// It needs bytes that passed by and were not kept, or more bytes than an inspection may read.
    Lost,
    /// Nothing more can be said: the image is cut off or contradicts itself. A finding says so.
    Broken,
    /// The image could not be read.
    Io(io::Error),
}

/// An image: a file that can be read anywhere, or the part of a stream that has come so far.
///
/// A parser is a function that reads from here and reports as it goes. Over a stream it is run again from its
/// start when the bytes that it stopped for have come, so it must ask for the same bytes in the same order.
pub(super) trait Bytes {
    /// The bytes at `offset`: `length` of them, or fewer if the image ends before that.
    ///
    /// Only lengths that are constants or bounded by one may be asked for.
    fn at(&mut self, offset: u64, length: usize) -> Result<&[u8], Stop>;

    /// Says that the `length` bytes at `offset` will be asked for, so that a stream keeps them when they come by
    /// while others are waited for.
    fn keep(&mut self, _offset: u64, _length: usize) {}

    /// Says that the table's entries will be looked at, or the first of them: see [`scan`](Self::scan).
    fn keep_scan(&mut self, (start, length): (u64, u64)) {
        let end = start.saturating_add(length.min(SCAN));
        for at in (start..end).step_by(SCAN_PIECE) {
            self.keep(at, SCAN_PIECE.min(usize::try_from(end - at).unwrap_or(SCAN_PIECE)));
        }
    }

    /// How large the image is. In a stream this is known at its end.
    fn size(&mut self) -> Result<u64, Stop>;

    /// The `N` bytes at `offset`, or `None` if the image ends before that.
    fn array<const N: usize>(&mut self, offset: u64) -> Result<Option<[u8; N]>, Stop> {
        Ok(self.at(offset, N)?.try_into().ok())
    }

    /// The image's size rounded up to whole sectors, as qemu sees it.
    fn sectors_end(&mut self) -> Result<u64, Stop> {
        let size = self.size()?;
        Ok(size.checked_next_multiple_of(SECTOR).unwrap_or(size))
    }

    /// Looks at each of the `N`-byte entries of a table of `length` bytes at `start`, or at those in its first
    /// [`SCAN`] bytes, until `look` returns false. It is given where the entry stands, and the entry.
    fn scan<const N: usize>(
        &mut self,
        (start, length): (u64, u64),
        mut look: impl FnMut(u64, [u8; N]) -> bool,
    ) -> Result<(), Stop> {
        let end = start.saturating_add(length.min(SCAN));
        for at in (start..end).step_by(SCAN_PIECE) {
            let piece = self.at(at, SCAN_PIECE.min(usize::try_from(end - at).unwrap_or(SCAN_PIECE)))?;
            for (entry, position) in piece.as_chunks::<N>().0.iter().zip((at..).step_by(N)) {
                if !look(position, *entry) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// Reads integers out of a header. What lies beyond its end reads as zero, byte by byte, as it does for qemu up to the end
/// of the sector: check its length first where that is not what qemu does.
pub(super) trait Integers {
    /// The `N` bytes at `offset`.
    fn take<const N: usize>(&self, offset: usize) -> [u8; N];

    /// A big-endian integer.
    fn be16(&self, offset: usize) -> u16 {
        u16::from_be_bytes(self.take(offset))
    }

    /// A big-endian integer.
    fn be32(&self, offset: usize) -> u32 {
        u32::from_be_bytes(self.take(offset))
    }

    /// A big-endian integer.
    fn be64(&self, offset: usize) -> u64 {
        u64::from_be_bytes(self.take(offset))
    }

    /// A little-endian integer.
    fn le16(&self, offset: usize) -> u16 {
        u16::from_le_bytes(self.take(offset))
    }

    /// A little-endian integer.
    fn le32(&self, offset: usize) -> u32 {
        u32::from_le_bytes(self.take(offset))
    }

    /// A little-endian integer.
    fn le64(&self, offset: usize) -> u64 {
        u64::from_le_bytes(self.take(offset))
    }
}

impl Integers for [u8] {
    fn take<const N: usize>(&self, offset: usize) -> [u8; N] {
        let mut bytes = [0; N];
        for (byte, there) in bytes.iter_mut().zip(self.get(offset..).unwrap_or_default()) {
            *byte = *there;
        }
        bytes
    }
}
