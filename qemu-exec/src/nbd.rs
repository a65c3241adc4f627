//! An NBD server for one client and one export, to which an image is written from its beginning to its end, and which
//! keeps nothing: what qemu-img converts into when the content itself is wanted. It writes to no pipe.
//!
//! It speaks as little of the protocol as every supported version makes do with: the fixed newstyle handshake, simple
//! replies, and of the requests writing, flushing and the end.

use std::io::{self, BufWriter, Read, Write};
use std::os::unix::net::UnixStream;

const HANDSHAKE: &[u8; 16] = b"NBDMAGICIHAVEOPT";
const OPTION_MAGIC: &[u8; 8] = b"IHAVEOPT";
const REPLY_MAGIC: u64 = 0x0003_e889_0455_65a9;
const REQUEST_MAGIC: u32 = 0x2560_9513;
const SIMPLE_REPLY_MAGIC: u32 = 0x6744_6698;

/// Fixed newstyle, and no padding after the export's description.
const SERVER_FLAGS: u16 = 0b11;
const OPTION_ABORT: u32 = 2;
const OPTION_GO: u32 = 7;
/// Options that are longer are none that qemu-img has for us.
const LONGEST_OPTION: u32 = 8 << 10;
const ACKNOWLEDGED: u32 = 1;
const INFORMATION: u32 = 3;
const UNSUPPORTED: u32 = (1 << 31) | 1;
/// Flags are meant, and it can flush.
const EXPORT_FLAGS: u16 = 0b101;
/// From the smallest to the largest piece; the one between is the best.
const BLOCK_SIZES: [u32; 3] = [1, 64 << 10, 2 << 20];

const WRITE: u16 = 1;
const DISCONNECT: u16 = 2;
const FLUSH: u16 = 3;
/// `EINVAL`, as the protocol numbers it.
const INVALID: u32 = 22;

/// Who is given the content, in order.
pub(crate) trait Sink {
    /// The next bytes.
    fn data(&mut self, bytes: &[u8]);
    /// So many zeros come next.
    fn zeros(&mut self, count: u64);
}

/// Serves an export of this size until the client is gone; what it does not write is zeros.
///
/// # Errors
/// The client is not what it should be, or writes backwards or beyond the end; or is gone before it said so.
pub(crate) fn serve(stream: &UnixStream, size: u64, sink: &mut impl Sink) -> io::Result<()> {
    let mut server = Server { reader: stream, writer: BufWriter::new(stream) };
    if server.negotiate(size)? {
        let end = server.transmit(size, sink)?;
        sink.zeros(size.saturating_sub(end));
    }
    Ok(())
}

struct Server<R, W: Write> {
    reader: R,
    writer: BufWriter<W>,
}

impl<R: Read, W: Write> Server<R, W> {
    /// Whether the export is opened.
    fn negotiate(&mut self, size: u64) -> io::Result<bool> {
        self.send(&[HANDSHAKE, &SERVER_FLAGS.to_be_bytes()])?;
        let _flags: [u8; 4] = self.take()?;
        loop {
            if self.take::<8>()? != *OPTION_MAGIC {
                return Err(broken("an option does not begin as one"));
            }
            let option = u32::from_be_bytes(self.take()?);
            let length = u32::from_be_bytes(self.take()?);
            if length > LONGEST_OPTION {
                return Err(broken("an option is too long"));
            }
            self.pass(length.into(), |_| ())?;
            match option {
                OPTION_GO => {
                    // The first is the number of the information: what the export is, and in what pieces to write.
                    let export = [&0_u16.to_be_bytes()[..], &size.to_be_bytes(), &EXPORT_FLAGS.to_be_bytes()].concat();
                    let sizes = BLOCK_SIZES.map(u32::to_be_bytes).concat();
                    self.answer(option, INFORMATION, &export)?;
                    self.answer(option, INFORMATION, &[&3_u16.to_be_bytes()[..], &sizes].concat())?;
                    self.answer(option, ACKNOWLEDGED, &[])?;
                    return Ok(true);
                }
                OPTION_ABORT => {
                    self.answer(option, ACKNOWLEDGED, &[])?;
                    return Ok(false);
                }
                _ => self.answer(option, UNSUPPORTED, &[])?,
            }
        }
    }

    /// Returns where the content ends that was written.
    fn transmit(&mut self, size: u64, sink: &mut impl Sink) -> io::Result<u64> {
        let mut position = 0_u64;
        loop {
            if u32::from_be_bytes(self.take()?) != REQUEST_MAGIC {
                return Err(broken("a request does not begin as one"));
            }
            let _flags: [u8; 2] = self.take()?;
            let request = u16::from_be_bytes(self.take()?);
            let cookie: [u8; 8] = self.take()?;
            let offset = u64::from_be_bytes(self.take()?);
            let length = u64::from(u32::from_be_bytes(self.take()?));
            let error = match request {
                WRITE => {
                    let end = offset.checked_add(length).filter(|end| *end <= size);
                    let (Some(gap), Some(end)) = (offset.checked_sub(position), end) else {
                        return Err(broken("it is written backwards, or beyond the end"));
                    };
                    sink.zeros(gap);
                    self.pass(length, |bytes| sink.data(bytes))?;
                    position = end;
                    0
                }
                DISCONNECT => return Ok(position),
                FLUSH => 0,
                _ => INVALID,
            };
            self.send(&[&SIMPLE_REPLY_MAGIC.to_be_bytes(), &error.to_be_bytes(), &cookie])?;
        }
    }

    fn take<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Passes so many bytes on, piece by piece.
    fn pass(&mut self, count: u64, mut to: impl FnMut(&[u8])) -> io::Result<()> {
        let mut buffer = [0; 64 << 10];
        let mut left = count;
        while left > 0 {
            let room = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            let piece = buffer.get_mut(..room).unwrap_or_default();
            self.reader.read_exact(piece)?;
            to(piece);
            left = left.saturating_sub(room as u64);
        }
        Ok(())
    }

    fn answer(&mut self, option: u32, kind: u32, data: &[u8]) -> io::Result<()> {
        let length = u32::try_from(data.len()).unwrap_or_default();
        let numbers = [option, kind, length].map(u32::to_be_bytes).concat();
        self.send(&[&REPLY_MAGIC.to_be_bytes(), &numbers, data])
    }

    fn send(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        for part in parts {
            self.writer.write_all(part)?;
        }
        self.writer.flush()
    }
}

fn broken(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq)]
    struct Seen(Vec<u8>);

    impl Sink for Seen {
        fn data(&mut self, bytes: &[u8]) {
            self.0.extend_from_slice(bytes);
        }

        fn zeros(&mut self, count: u64) {
            self.0.extend(std::iter::repeat_n(0, usize::try_from(count).unwrap()));
        }
    }

    /// What comes of a client that sends these bytes, and is gone then.
    fn served(parts: &[&[u8]]) -> io::Result<Vec<u8>> {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (&theirs).write_all(&parts.concat()).unwrap();
        theirs.shutdown(std::net::Shutdown::Write).unwrap();
        let mut seen = Seen::default();
        serve(&ours, 8, &mut seen).map(|()| seen.0)
    }

    fn request(kind: u16, offset: u64, length: u32) -> Vec<u8> {
        let numbers = [offset.to_be_bytes().as_slice(), &length.to_be_bytes()].concat();
        [&REQUEST_MAGIC.to_be_bytes()[..], &[0, 0], &kind.to_be_bytes(), b"cookie..", &numbers].concat()
    }

    #[test]
    fn what_is_written_comes_in_order_or_not_at_all() {
        let go = [&[0; 4][..], OPTION_MAGIC, &OPTION_GO.to_be_bytes(), &[0; 4]].concat();
        let end = request(DISCONNECT, 0, 0);
        let write = |offset| request(WRITE, offset, 2);
        let all = [&go[..], &write(1), b"ab", &write(5), b"cd", &request(FLUSH, 0, 0), &end];
        assert_eq!(served(&all).unwrap(), b"\0ab\0\0cd\0");
        assert_eq!(served(&[&go, &end]).unwrap(), [0; 8]);
        // Backwards, beyond the end, and over the end of the numbers.
        for offset in [0, 1, 7, u64::MAX] {
            let wrong = [&go[..], &write(1), b"ab", &write(offset), b"cd", &end];
            assert_eq!(served(&wrong).unwrap_err().kind(), io::ErrorKind::InvalidData, "{offset}");
        }
        // Gone before the end, at every place.
        let whole = all.concat();
        for length in 0..whole.len() {
            let error = served(&[whole.get(..length).unwrap()]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{length}");
        }
        let long = [&[0; 4][..], OPTION_MAGIC, &99_u32.to_be_bytes(), &u32::MAX.to_be_bytes()].concat();
        assert_eq!(served(&[&long]).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(served(&[&[1; 64]]).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
