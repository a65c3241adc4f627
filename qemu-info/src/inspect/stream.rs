//! Inspection of an image as it passes by.

use std::fmt;

use super::bytes::{Bytes, Stop};
use super::{Inspection, Policy, Verdict, limits};

/// Inspects an image that comes in pieces, in order, such as an upload while it is written to disk.
///
/// What is kept is bounded whatever comes: the first four mebibytes, the last four kibibytes, and at most four
/// mebibytes of what the header points at. How the image is cut into pieces changes nothing. A table that lies in
/// front of what points at it may have passed by already; if it is not in the first four mebibytes either, the image
/// is refused as [`Code::Unreadable`](super::Code::Unreadable). A program that writes an image from front to back
/// makes none like that.
///
/// ```
/// use qemu_info::inspect::{Inspector, Policy, Verdict};
/// let mut inspector = Inspector::new(Policy::untrusted());
/// // The magic of qcow2, and a version that nothing can open: no need to wait for the rest.
/// assert_eq!(inspector.push(b"QFI\xfb\0\0"), None);
/// assert_eq!(inspector.push(&[&[0, 4][..], &[0; 2000]].concat()), Some(Verdict::Refuse));
/// assert_eq!(inspector.so_far().findings()[0].to_string(), "unsupported at 4: version 4 of qcow2 is not one that qemu can open");
/// assert_eq!(inspector.finish().verdict(), Verdict::Refuse);
/// ```
#[must_use]
pub struct Inspector {
    policy: Policy,
    seen: Seen,
    verdict: Option<Verdict>,
}

impl fmt::Debug for Inspector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { policy, seen, verdict } = self;
        let mut debug = f.debug_struct("Inspector");
        debug.field("policy", policy).field("passed", &seen.passed).field("verdict", verdict).finish_non_exhaustive()
    }
}

impl Inspector {
    /// Starts before the image's first byte.
    pub fn new(policy: Policy) -> Self {
        Self { policy, seen: Seen::default(), verdict: None }
    }

    /// Takes the next bytes. Once the image is certain to be refused, says so: nothing that comes later changes it.
    /// That an image is accepted is only known at its end.
    pub fn push(&mut self, mut bytes: &[u8]) -> Option<Verdict> {
        while !bytes.is_empty() {
            let (piece, rest) = bytes.split_at(self.seen.up_to_what_is_awaited(bytes.len()));
            bytes = rest;
            if self.seen.take(piece) {
                let (inspection, _) = Inspection::examine(&mut self.seen, &self.policy);
                // Not the end yet even if it is refused: the rest says what else there is.
                self.verdict = self.verdict.or((inspection.verdict() == Verdict::Refuse).then_some(Verdict::Refuse));
            }
        }
        self.verdict
    }

    /// What is known by now, such as the reasons for a refusal. What is not known yet is absent; that nothing is held
    /// against the image yet does not mean that it is accepted.
    pub fn so_far(&mut self) -> Inspection {
        Inspection::examine(&mut self.seen, &self.policy).0
    }

    /// Ends the image here.
    pub fn finish(mut self) -> Inspection {
        self.seen.ended = true;
        Inspection::examine(&mut self.seen, &self.policy).0
    }
}

#[cfg(test)]
impl Inspector {
    /// How many bytes are kept.
    pub(super) fn kept(&self) -> usize {
        let Seen { head, tail, parts, .. } = &self.seen;
        head.len() + tail.len() + parts.iter().map(|part| part.bytes.len()).sum::<usize>()
    }
}

/// What is kept of a stream.
#[derive(Default)]
struct Seen {
    head: Vec<u8>,
    /// The last bytes: up to twice as many as are wanted, so that they need not be moved for each piece.
    tail: Vec<u8>,
    /// What is wanted beyond the head, as much of it as has come.
    parts: Vec<Part>,
    /// What was wanted and cannot be had any more. It stays so, though at the end it may be in the tail.
    lost: Option<(u64, usize)>,
    awaited: Awaited,
    /// How many bytes were wanted beyond the head, all in all.
    spent: usize,
    passed: u64,
    ended: bool,
}

struct Part {
    offset: u64,
    length: usize,
    bytes: Vec<u8>,
}

/// How far the stream must come before the parsers can go on.
#[derive(Default)]
enum Awaited {
    /// Any byte.
    #[default]
    Start,
    Position(u64),
    End,
}

impl Seen {
    /// How many of the next bytes to take at once. Of what is not in the head, no parser may see more than it waits
    /// for, or what it can go back to would depend on how the stream is cut into pieces.
    fn up_to_what_is_awaited(&self, available: usize) -> usize {
        let head = limits::HEAD - self.head.len();
        match self.awaited {
            _ if head > 0 => available.min(head),
            Awaited::Position(end) => usize::try_from(end.saturating_sub(self.passed))
                .map_or(available, |missing| missing.clamp(1, available)),
            Awaited::Start | Awaited::End => available,
        }
    }

    /// Takes the next bytes, and says whether the parsers can go on.
    fn take(&mut self, piece: &[u8]) -> bool {
        if self.head.len() < limits::HEAD {
            self.head.extend_from_slice(piece);
        }
        for part in &mut self.parts {
            part.take(piece, self.passed);
        }
        self.tail.extend_from_slice(last(piece));
        if self.tail.len() > 2 * limits::TAIL {
            self.tail.drain(..self.tail.len() - limits::TAIL);
        }
        self.passed += piece.len() as u64;
        let come = match self.awaited {
            Awaited::Start => true,
            Awaited::Position(position) => self.passed >= position,
            Awaited::End => false,
        };
        if come {
            self.awaited = Awaited::End;
        }
        come
    }

    /// Has the bytes kept when they come, though the first of them may be in the head. Whether they can be had.
    fn want(&mut self, offset: u64, length: usize) -> bool {
        let end = offset.saturating_add(length as u64);
        if end <= limits::HEAD as u64 || self.part(offset, length).is_some() {
            return true;
        }
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let bytes = self.head.get(start..).unwrap_or_default();
        let next = offset.saturating_add(bytes.len() as u64);
        if next < self.passed || self.spent + length > limits::READ || self.parts.len() >= limits::PARTS {
            return false;
        }
        self.parts.push(Part { offset, length, bytes: bytes.to_vec() });
        self.spent += length;
        true
    }

    fn part(&self, offset: u64, length: usize) -> Option<&Part> {
        // What was named in advance may be more than what is asked for then.
        self.parts.iter().find(|part| part.offset == offset && part.length >= length)
    }

    /// The bytes at `offset`, or what there is of them if the stream has ended.
    fn kept(&self, offset: u64, length: usize) -> Option<&[u8]> {
        let head = self.head.len() as u64;
        let tail = last(&self.tail);
        let tail_at = self.passed - tail.len() as u64;
        if offset + length as u64 <= head || self.passed == head {
            Some(cut(&self.head, offset, length))
        } else if let Some(part) = self.part(offset, length) {
            Some(cut(&part.bytes, offset - part.offset, length))
        } else {
            self.ended.then(|| Some(cut(tail, offset.checked_sub(tail_at)?, length)))?
        }
    }
}

impl Part {
    /// Takes what it lacks from a piece that starts at `start`.
    fn take(&mut self, piece: &[u8], start: u64) {
        let next = self.offset.saturating_add(self.bytes.len() as u64);
        let missing = self.length - self.bytes.len();
        let skip = usize::try_from(next.saturating_sub(start)).unwrap_or(usize::MAX);
        if let (Some(rest), 1..) = (piece.get(skip..), missing) {
            self.bytes.extend_from_slice(rest.get(..missing).unwrap_or(rest));
        }
    }
}

impl Bytes for Seen {
    fn at(&mut self, offset: u64, length: usize) -> Result<&[u8], Stop> {
        if length > limits::PIECE || self.lost == Some((offset, length)) {
            return Err(Stop::Lost);
        }
        // No stream has bytes there.
        let Some(end) = offset.checked_add(length as u64) else { return Ok(&[]) };
        if !self.ended {
            if !self.want(offset, length) {
                self.lost = Some((offset, length));
                return Err(Stop::Lost);
            }
            if end > self.passed {
                self.awaited = Awaited::Position(end);
                return Err(Stop::Wait);
            }
        }
        self.kept(offset, length).ok_or(Stop::Lost)
    }

    fn keep(&mut self, offset: u64, length: usize) {
        // If it cannot be had, that is said when it is asked for.
        self.want(offset, length);
    }

    fn size(&mut self) -> Result<u64, Stop> {
        if self.ended { Ok(self.passed) } else { Err(Stop::Wait) }
    }
}

/// The part of the last bytes that is sure to be there however the stream was cut into pieces.
fn last(bytes: &[u8]) -> &[u8] {
    bytes.get(bytes.len().saturating_sub(limits::TAIL)..).unwrap_or(bytes)
}

/// What there is of the `length` bytes at `offset`.
fn cut(bytes: &[u8], offset: u64, length: usize) -> &[u8] {
    let start = usize::try_from(offset).unwrap_or(usize::MAX);
    let rest = bytes.get(start..).unwrap_or_default();
    rest.get(..length).unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_beyond_the_head_is_bounded() {
        let piece = |index: usize| (limits::HEAD + index * limits::PIECE) as u64;
        let mut seen = Seen::default();
        let kept = (0..9).filter(|index| seen.want(piece(*index), limits::PIECE)).count();
        assert_eq!(kept * limits::PIECE, limits::READ);
        assert!(seen.want(piece(0), limits::PIECE), "it is kept already");

        let mut seen = Seen::default();
        let kept = (0..99).filter(|index| seen.want(piece(*index), 1)).count();
        assert_eq!(kept, limits::PARTS);
    }

    #[test]
    fn of_what_has_passed_the_last_bytes_are_kept() {
        let mut seen = Seen::default();
        for byte in 0..99 {
            seen.take(&[byte; limits::TAIL]);
            assert!(seen.tail.len() <= 2 * limits::TAIL && seen.tail.ends_with(&[byte; limits::TAIL]), "{byte}");
        }
    }

    #[test]
    fn no_one_may_ask_for_more_than_a_piece() {
        let mut seen = Seen::default();
        assert!(matches!(seen.at(0, limits::PIECE + 1), Err(Stop::Lost)));
        assert!(matches!(seen.at(0, limits::PIECE), Err(Stop::Wait)));
    }
}
