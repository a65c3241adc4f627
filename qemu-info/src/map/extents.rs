//! A map read piece by piece.

mod quick;

use std::io::{BufRead, ErrorKind};
use std::iter::FusedIterator;

use serde::de::Error as _;
use serde_json::error::Category;

use super::MapExtent;
use crate::Error;

/// How long one entry of a map may be, in bytes. qemu's have 200 at most; what later versions may add has room.
pub const MAX_ENTRY: usize = 64 << 10;

/// Reads the output of `qemu-img map --output=json` piece by piece, while it comes.
///
/// It takes as much memory as the reader's buffer and one entry ([`MAX_ENTRY`] at most), however long the map is.
/// The end comes when the array is closed and the reader is at its end. Whoever stops before that cannot know
/// whether the map is complete. `qemu-img` can print a complete map and fail, and an incomplete one and exit with 0,
/// so look at the exit status, too.
///
/// # Errors
///
/// Each item can be the error that reading ends with: [`Error::Io`] of the reader; [`Error::Incomplete`] if the map
/// stops early, [`Error::Empty`] if it does not begin; [`Error::Malformed`] if something is not JSON, stands behind
/// the array or is longer than [`MAX_ENTRY`]; [`Error::Unexpected`] if it is not a map. A position in their source
/// is counted from the beginning of the entry.
///
/// ```
/// use qemu_info::{ExtentsExt as _, MapExtents};
///
/// let map = br#"[{ "start": 0, "length": 65536, "depth": 0, "present": true, "zero": false, "data": true, "offset": 327680},
/// { "start": 65536, "length": 983040, "depth": 0, "present": false, "zero": true, "data": false}]"#;
///
/// let mut data = 0;
/// for range in MapExtents::new(map.as_slice()).allocated() {
///     let range = range?;
///     data += range.end - range.start;
/// }
/// assert_eq!(data, 65536);
/// # Ok::<(), qemu_info::Error>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct MapExtents<R> {
    reader: R,
    /// The entry that is being read: a field only to keep its memory.
    entry: Vec<u8>,
    entries: u64,
    done: bool,
}

impl<R: BufRead> MapExtents<R> {
    /// Reads a map from `reader`, such as a byte slice, or a `BufReader` around a pipe.
    pub const fn new(reader: R) -> Self {
        Self { reader, entry: Vec::new(), entries: 0, done: false }
    }

    fn read(&mut self) -> Result<Option<MapExtent>, Error> {
        let first = self.entries == 0;
        if first {
            match self.token()? {
                Some(b'[') => {}
                Some(other) => return Err(misplaced(other, "an array of entries")),
                None => return Err(Error::Empty),
            }
        }
        let begun = match self.token()? {
            Some(b']') => return self.close(),
            token if first => token,
            Some(b',') => self.token()?,
            Some(other) => return Err(Error::Malformed { source: found(other, "`,` or `]`") }),
            None => None,
        };
        match begun {
            Some(b'{') => self.entry().map(Some),
            Some(other) => Err(misplaced(other, "an entry")),
            None => Err(Error::Incomplete { source: serde_json::Error::custom("the array of entries is not closed") }),
        }
    }

    /// The next byte that is not white space.
    fn token(&mut self) -> Result<Option<u8>, Error> {
        loop {
            let chunk = fill(&mut self.reader)?;
            if chunk.is_empty() {
                return Ok(None);
            }
            let token = chunk.iter().copied().enumerate().find(|(_, byte)| !b" \n\r\t".contains(byte));
            let used = token.map_or(chunk.len(), |(at, _)| at + 1);
            self.reader.consume(used);
            if let Some((_, byte)) = token {
                return Ok(Some(byte));
            }
        }
    }

    /// The entry whose `{` was read.
    ///
    /// Mostly it is as qemu prints it, and here as a whole. Of any other only the end is looked for; serde_json then reads
    /// it as what it is, with all its strictness.
    fn entry(&mut self) -> Result<MapExtent, Error> {
        if let Some((extent, used)) = quick::entry(fill(&mut self.reader)?) {
            self.reader.consume(used);
            self.entries += 1;
            return Ok(extent);
        }
        let mut scan = Scan { depth: 1, in_string: false, escaped: false };
        self.entry.clear();
        self.entry.push(b'{');
        self.entries += 1;
        loop {
            let chunk = fill(&mut self.reader)?;
            let end = scan.end(chunk);
            let part = end.and_then(|end| chunk.get(..end)).unwrap_or(chunk);
            let used = part.len();
            if self.entry.len() + used > MAX_ENTRY {
                let source = custom(self.entries, format_args!("longer than {MAX_ENTRY} bytes"));
                return Err(Error::Malformed { source });
            }
            self.entry.extend_from_slice(part);
            self.reader.consume(used);
            if used == 0 {
                return Err(Error::Incomplete { source: custom(self.entries, "cut short") });
            }
            if end.is_some() {
                return serde_json::from_slice(&self.entry).map_err(|error| match error.classify() {
                    Category::Data => Error::Unexpected { source: custom(self.entries, error) },
                    _ => Error::Malformed { source: custom(self.entries, error) },
                });
            }
        }
    }

    /// The array is closed.
    fn close(&mut self) -> Result<Option<MapExtent>, Error> {
        match self.token()? {
            None => Ok(None),
            Some(other) => Err(Error::Malformed { source: found(other, "nothing behind the array") }),
        }
    }
}

impl<R: BufRead> Iterator for MapExtents<R> {
    type Item = Result<MapExtent, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let read = self.read().transpose();
        self.done = !matches!(read, Some(Ok(_)));
        read
    }
}

impl<R: BufRead> FusedIterator for MapExtents<R> {}

/// How deep in an object a byte is.
struct Scan {
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Scan {
    /// Where behind the object's last byte `chunk` goes on, if the object ends in it.
    fn end(&mut self, chunk: &[u8]) -> Option<usize> {
        for (at, byte) in chunk.iter().enumerate() {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = self.in_string,
                b'"' => self.in_string = !self.in_string,
                _ if self.in_string => {}
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return Some(at + 1);
                    }
                }
                _ => {}
            }
        }
        None
    }
}

/// What the reader has; nothing at its end.
fn fill<R: BufRead>(reader: &mut R) -> Result<&[u8], Error> {
    // Asked again below, since the borrow checker does not let the first answer out of a loop.
    while let Err(source) = reader.fill_buf() {
        if source.kind() != ErrorKind::Interrupted {
            return Err(Error::Io { source });
        }
    }
    reader.fill_buf().map_err(|source| Error::Io { source })
}

/// A byte that cannot begin what is expected: JSON, but no map, if a value of another type begins with it.
fn misplaced(byte: u8, expected: &'static str) -> Error {
    let source = found(byte, expected);
    if matches!(byte, b'{' | b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n') {
        Error::Unexpected { source }
    } else {
        Error::Malformed { source }
    }
}

fn found(byte: u8, expected: &str) -> serde_json::Error {
    serde_json::Error::custom(format_args!("found `{}`, expected {expected}", byte.escape_ascii()))
}

fn custom(entry: u64, what: impl std::fmt::Display) -> serde_json::Error {
    serde_json::Error::custom(format_args!("entry {entry}: {what}"))
}

#[cfg(test)]
mod tests;
