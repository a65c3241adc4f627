//! Inspection of an image as it passes by.

use super::bytes::{Bytes, Stop};
use super::{Inspection, Policy, Verdict, limits};

/// Inspects an image that comes in pieces, in order, such as an upload while it is written to disk.
///
/// What is kept is bounded whatever comes: the first mebibyte, the last four kibibytes, and at most four mebibytes
/// of what the header points at. A table that lies in front of what points at it may have passed by already; then
/// the image is refused as [`Code::Unreadable`](super::Code::Unreadable). No program writes images like that.
///
/// ```
/// use qemu_info::inspect::{Inspector, Policy, Verdict};
/// let mut inspector = Inspector::new(Policy::untrusted());
/// // The magic of qcow2, and a version that nothing can open: no need to wait for the rest.
/// assert_eq!(inspector.push(b"QFI\xfb\0\0"), None);
/// assert_eq!(inspector.push(&[&[0, 4][..], &[0; 2000]].concat()), Some(Verdict::Refuse));
/// assert_eq!(inspector.finish().verdict(), Verdict::Refuse);
/// ```
#[derive(Debug)]
#[must_use]
pub struct Inspector {
    policy: Policy,
    seen: Seen,
    verdict: Option<Verdict>,
}

impl Inspector {
    /// Starts before the image's first byte.
    pub fn new(policy: Policy) -> Self {
        Self { policy, seen: Seen::default(), verdict: None }
    }

    /// Takes the next bytes. Once the image is certain to be refused, says so: nothing that comes later changes it.
    /// That an image is accepted is only known at its end.
    pub fn push(&mut self, bytes: &[u8]) -> Option<Verdict> {
        for piece in bytes.chunks(limits::PIECE) {
            self.seen.keep(piece);
            while self.verdict.is_none() && self.seen.has_what_is_wanted(piece) {
                let (inspection, _) = Inspection::examine(&mut self.seen, &self.policy);
                self.verdict = (inspection.verdict() == Verdict::Refuse).then_some(Verdict::Refuse);
            }
            self.seen.pass(piece);
        }
        self.verdict
    }

    /// Ends the image here.
    pub fn finish(mut self) -> Inspection {
        self.seen.ended = true;
        Inspection::examine(&mut self.seen, &self.policy).0
    }
}

/// What is kept of a stream.
#[derive(Debug, Default)]
struct Seen {
    head: Vec<u8>,
    tail: Vec<u8>,
    /// What was wanted beyond the head.
    parts: Vec<Part>,
    wanted: Wanted,
    /// How many bytes were wanted beyond the head, all in all.
    spent: usize,
    /// How many bytes have passed by. Those of the piece at hand have not.
    passed: u64,
    ended: bool,
}

#[derive(Debug, Default)]
struct Part {
    offset: u64,
    length: usize,
    bytes: Vec<u8>,
}

impl Part {
    fn next(&self) -> u64 {
        self.offset.saturating_add(self.bytes.len() as u64)
    }
}

/// What the parsers wait for.
#[derive(Debug, Default)]
enum Wanted {
    /// Any byte.
    #[default]
    Start,
    /// More of this part.
    Part(Part),
    /// Nothing but the end.
    End,
}

impl Seen {
    /// Keeps the head.
    fn keep(&mut self, piece: &[u8]) {
        let room = limits::HEAD - self.head.len();
        self.head.extend_from_slice(piece.get(..room).unwrap_or(piece));
    }

    /// Keeps what is wanted of the piece. Whether the parsers can go on now.
    fn has_what_is_wanted(&mut self, piece: &[u8]) -> bool {
        match std::mem::replace(&mut self.wanted, Wanted::End) {
            Wanted::Start => true,
            Wanted::End => false,
            Wanted::Part(mut part) => {
                let skip = usize::try_from(part.next() - self.passed).unwrap_or(usize::MAX);
                let rest = piece.get(skip..).unwrap_or_default();
                let missing = part.length - part.bytes.len();
                part.bytes.extend_from_slice(rest.get(..missing).unwrap_or(rest));
                let complete = part.bytes.len() == part.length;
                if complete {
                    self.parts.push(part);
                } else {
                    self.wanted = Wanted::Part(part);
                }
                complete
            }
        }
    }

    /// Lets the piece go, and keeps the tail.
    fn pass(&mut self, piece: &[u8]) {
        let last = piece.get(piece.len().saturating_sub(limits::TAIL)..).unwrap_or(piece);
        let surplus = (self.tail.len() + last.len()).saturating_sub(limits::TAIL);
        self.tail.drain(..surplus);
        self.tail.extend_from_slice(last);
        self.passed += piece.len() as u64;
    }

    /// Asks for bytes that are still to come, though the first of them may be in the head.
    fn want(&mut self, offset: u64, length: usize) -> Stop {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let part = Part { offset, length, bytes: self.head.get(start..).unwrap_or_default().to_vec() };
        self.spent += length;
        if part.next() < self.passed || self.spent > limits::READ || self.parts.len() >= limits::PARTS {
            return Stop::Lost;
        }
        self.wanted = Wanted::Part(part);
        Stop::Wait
    }
}

impl Bytes for Seen {
    fn at(&mut self, offset: u64, length: usize) -> Result<&[u8], Stop> {
        if length > limits::PIECE {
            return Err(Stop::Lost);
        }
        let end = offset.checked_add(length as u64).ok_or(Stop::Broken)?;
        if end <= self.head.len() as u64 {
            return Ok(cut(&self.head, 0, offset, length));
        }
        if let Some(index) = self.parts.iter().position(|part| (part.offset, part.length) == (offset, length)) {
            return Ok(self.parts.get(index).map_or(&[], |part| &part.bytes));
        }
        if !self.ended {
            return Err(self.want(offset, length));
        }
        let tail = self.passed - self.tail.len() as u64;
        match &self.wanted {
            _ if offset >= tail => Ok(cut(&self.tail, tail, offset, length)),
            _ if self.passed == self.head.len() as u64 => Ok(cut(&self.head, 0, offset, length)),
            Wanted::Part(part) if (part.offset, part.length) == (offset, length) => Ok(&part.bytes),
            _ => Err(Stop::Lost),
        }
    }

    fn size(&mut self) -> Result<u64, Stop> {
        if self.ended { Ok(self.passed) } else { Err(Stop::Wait) }
    }
}

/// What there is of the `length` bytes at `offset` in `bytes`, whose first one is at `start`.
fn cut(bytes: &[u8], start: u64, offset: u64, length: usize) -> &[u8] {
    let from = usize::try_from(offset - start).unwrap_or(usize::MAX);
    let rest = bytes.get(from..).unwrap_or_default();
    rest.get(..length).unwrap_or(rest)
}
