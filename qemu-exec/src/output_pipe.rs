//! What a command prints, read as it comes.

use std::io::{self, BufRead, BufReader, PipeReader, PipeWriter, Read};
use std::thread::sleep;
use std::time::Duration;

use rustix::pipe::{SpliceFlags, splice};

/// How much a pipe holds: what everybody may ask for. It is a wish; with less it works too.
const PIPE: usize = 1 << 20;
/// How much is read at once.
const BUFFER: usize = 64 << 10;
/// What comes in less than this is not waited for.
const SHORT: u64 = 64 << 10;
/// How long a writer is left alone whose output has all been taken.
///
/// Shorter, and the reader takes more time of its processor for nothing; longer, and the pages of the pipe have left the
/// cache by the time that they are written again: 2 ms take qemu-img one part in a hundred more.
const PAUSE: Duration = Duration::from_micros(200);

/// A pipe for what a command prints, for [`Request::stdout`](crate::Request::stdout).
///
/// # Errors
/// The process has no descriptors left: the pipe takes two, and two more for what has been taken out of it.
pub fn output_pipe() -> io::Result<(OutputReader, PipeWriter)> {
    let (pipe, writer) = large_pipe()?;
    let (taken, store) = large_pipe()?;
    Ok((OutputReader(BufReader::with_capacity(BUFFER, Unhurried { pipe, store, taken, left: 0, total: 0 })), writer))
}

fn large_pipe() -> io::Result<(PipeReader, PipeWriter)> {
    let (reader, writer) = io::pipe()?;
    let _ = rustix::pipe::fcntl_setpipe_size(&writer, PIPE);
    Ok((reader, writer))
}

/// The end of an [`output_pipe`] that is read.
///
/// It keeps out of the writer's way. A writer whose reader waits wakes it every time, 4 KiB after 4 KiB, and one whose
/// reader copies waits for it: that took qemu-img an eighth more time for a long map. So, from the first 64 KiB on,
/// the writer is left alone for a fifth of a millisecond, and then all that there is is taken at once, without a copy.
#[derive(Debug)]
pub struct OutputReader(BufReader<Unhurried>);

impl Read for OutputReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl BufRead for OutputReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.0.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.0.consume(amount);
    }
}

#[derive(Debug)]
struct Unhurried {
    pipe: PipeReader,
    /// A pipe of our own, for what was taken out of the other: `left` bytes are in it.
    store: PipeWriter,
    taken: PipeReader,
    left: usize,
    total: u64,
}

impl Read for Unhurried {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            if self.total >= SHORT {
                sleep(PAUSE);
            }
            self.left = splice(&self.pipe, None, &self.store, None, PIPE, SpliceFlags::empty())?;
            self.total = self.total.saturating_add(self.left as u64);
            if self.left == 0 {
                return Ok(0);
            }
        }
        let length = self.taken.read(buffer)?;
        self.left = self.left.saturating_sub(length);
        Ok(length)
    }
}
