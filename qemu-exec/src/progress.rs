//! How far a command is, by what it prints with `-p`.

use std::fmt;
use std::time::Duration;

use qemu_cmd::ByteSize;

/// Whoever wants to know how far a command is. Closures do, of which the argument's type is given:
/// `|progress: Progress| …`.
///
/// It is called by the thread that waits for the command, which meanwhile reads no output and keeps no deadline: so
/// it is to return soon. If it panics, the command is killed.
pub trait OnProgress: Send + Sync {
    /// The command has come this far. The same may be said again, and a command that is run again begins again.
    fn progress(&self, progress: Progress);
}

impl<F: Fn(Progress) + Send + Sync> OnProgress for F {
    fn progress(&self, progress: Progress) {
        self(progress);
    }
}

impl fmt::Debug for dyn OnProgress + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnProgress")
    }
}

/// How far a command is.
///
/// It is a share of what qemu-img has to do, which is not always a share of the image: it leaves out what it knows to be
/// zero. What comes after 100 %, such as that data reaches the disk, is not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    hundredths: u16,
    elapsed: Duration,
}

impl Progress {
    /// As an executor or a test makes one: so many hundredths of a per cent (at most 10000), after so long.
    #[must_use]
    pub fn new(hundredths: u16, elapsed: Duration) -> Self {
        Self { hundredths: hundredths.min(COMPLETE), elapsed }
    }

    /// From 0 to 100, with the two decimal places that qemu-img gives.
    #[must_use]
    pub fn percent(self) -> f64 {
        f64::from(self.hundredths) / 100.0
    }

    /// Whether everything is done.
    #[must_use]
    pub const fn is_complete(self) -> bool {
        self.hundredths == COMPLETE
    }

    /// How long the command has run.
    #[must_use]
    pub const fn elapsed(self) -> Duration {
        self.elapsed
    }

    /// How long it takes from here if it goes on as it did; `None` at the very start.
    #[must_use]
    pub fn remaining(self) -> Option<Duration> {
        let left = u32::from(COMPLETE - self.hundredths);
        self.elapsed.checked_mul(left)?.checked_div(self.hundredths.into())
    }

    /// How many of `total` bytes are done: of as many as the command is to read or write.
    #[must_use]
    pub fn done_of(self, total: ByteSize) -> ByteSize {
        let done = u128::from(total.as_u64()) * u128::from(self.hundredths) / u128::from(COMPLETE);
        // At most the total.
        ByteSize::bytes(u64::try_from(done).unwrap_or(u64::MAX))
    }

    /// How many of `total` bytes a second were done so far; `None` at the very start.
    #[must_use]
    pub fn rate_of(self, total: ByteSize) -> Option<ByteSize> {
        let done = u128::from(self.done_of(total).as_u64());
        let rate = (done * 1_000_000_000).checked_div(self.elapsed.as_nanos())?;
        Some(ByteSize::bytes(u64::try_from(rate).unwrap_or(u64::MAX)))
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02} %", self.hundredths / 100, self.hundredths % 100)
    }
}

/// 100 %, in hundredths of a per cent.
const COMPLETE: u16 = 10_000;

/// Takes reports of progress, `    (12.34/100%)` and a carriage return, out of what qemu-img prints, in whatever pieces
/// that comes. What is left is what it prints without `-p`: the newline that ends the reports goes too.
#[derive(Clone, Debug, Default)]
pub struct ProgressParser {
    /// What may be the beginning of a report.
    pending: Vec<u8>,
    /// The last byte of text, if there was any.
    last: Option<u8>,
    /// Whether there was a report, and not yet the newline.
    reporting: bool,
    /// Whether a report ends with a newline.
    lines: bool,
}

impl ProgressParser {
    /// Nothing was printed yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { pending: Vec::new(), last: None, reporting: false, lines: false }
    }

    /// The same for standard error, where a report that was asked for by SIGUSR1 ends with a newline.
    #[must_use]
    pub const fn of_answers() -> Self {
        Self { pending: Vec::new(), last: None, reporting: false, lines: true }
    }

    /// Takes what was printed next. Text is appended to `text`, and of each report `report` is told, in hundredths of a
    /// per cent.
    pub fn feed(&mut self, bytes: &[u8], text: &mut Vec<u8>, mut report: impl FnMut(u16)) {
        for &byte in bytes {
            self.pending.push(byte);
            if let Some(hundredths) = read(&self.pending, self.tail()) {
                self.pending.clear();
                self.reporting = !self.lines;
                report(hundredths);
            } else if !may_become_one(&self.pending) {
                let begins = |from: &usize| self.pending.get(*from..).is_some_and(may_become_one);
                let text_ends = (1..self.pending.len()).find(begins).unwrap_or(self.pending.len());
                self.pass_on(text_ends, text);
            }
        }
    }

    /// Takes the end of what was printed.
    pub fn finish(&mut self, text: &mut Vec<u8>) {
        self.pass_on(self.pending.len(), text);
    }

    const fn tail(&self) -> &'static [u8] {
        if self.lines { b"/100%)\n" } else { b"/100%)\r" }
    }

    /// So much of what is pending is text.
    fn pass_on(&mut self, count: usize, text: &mut Vec<u8>) {
        for byte in self.pending.drain(..count) {
            // Wherever the newline of the reports comes, before other text or after it, it makes an empty line.
            if self.reporting && byte == b'\n' && self.last.is_none_or(|last| last == b'\n') {
                self.reporting = false;
                continue;
            }
            self.last = Some(byte);
            text.push(byte);
        }
    }
}

const HEAD: &[u8] = b"    (";

/// The hundredths of a per cent of a whole report.
fn read(bytes: &[u8], tail: &[u8]) -> Option<u16> {
    let number = str::from_utf8(bytes.strip_prefix(HEAD)?.strip_suffix(tail)?).ok()?;
    let (whole, places) = number.split_once('.').filter(|(_, places)| places.len() == 2)?;
    let hundredths = whole.parse::<u16>().ok()?.checked_mul(100)?.checked_add(places.parse().ok()?)?;
    (hundredths <= COMPLETE).then_some(hundredths)
}

/// Whether these may be the first bytes of a report: what else they may be is told in time, since they are few.
fn may_become_one(bytes: &[u8]) -> bool {
    const LONGEST: usize = b"    (100.00/100%)\r".len();
    match bytes.split_at_checked(HEAD.len()) {
        Some((head, rest)) => {
            head == HEAD && bytes.len() < LONGEST && rest.iter().all(|byte| b"0123456789./%)".contains(byte))
        }
        None => HEAD.starts_with(bytes),
    }
}
