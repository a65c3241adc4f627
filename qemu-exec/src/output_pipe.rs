//! What a command prints, read as it comes.

use std::io::{self, BufRead, BufReader, PipeReader, PipeWriter, Read};
use std::thread::sleep;
use std::time::Duration;

/// How much a pipe holds: what everybody may ask for. It is a wish; with less it works too.
const PIPE: usize = 1 << 20;
/// How much is read at once.
const BUFFER: usize = 256 << 10;
/// What comes in less than this is not waited for.
const SHORT: u64 = 1 << 20;
/// How long a writer is left alone who has not filled the buffer.
const PAUSE: Duration = Duration::from_millis(2);

/// A pipe for what a command prints, for [`Request::stdout`](crate::Request::stdout).
///
/// # Errors
/// The process has no descriptors left.
pub fn output_pipe() -> io::Result<(OutputReader, PipeWriter)> {
    let (reader, writer) = io::pipe()?;
    let _ = rustix::pipe::fcntl_setpipe_size(&writer, PIPE);
    Ok((OutputReader(BufReader::with_capacity(BUFFER, Unhurried { pipe: reader, total: 0, drained: false })), writer))
}

/// The end of an [`output_pipe`] that is read.
///
/// It does not stand and wait for each line: a writer whose reader waits wakes it every time, 4 KiB after 4 KiB, which
/// took qemu-img an eighth of the time that a long map takes it. From the first mebibyte on, a reader that has caught up
/// pauses for two milliseconds, in which as much comes as it can read at once.
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
    total: u64,
    /// The last time, there was less than there was room for.
    drained: bool,
}

impl Read for Unhurried {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.drained && self.total >= SHORT {
            sleep(PAUSE);
        }
        let length = self.pipe.read(buffer)?;
        self.total = self.total.saturating_add(length as u64);
        self.drained = length < buffer.len();
        Ok(length)
    }
}
