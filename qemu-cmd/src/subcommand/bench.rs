use super::{push_source, setters};
use crate::{ByteSize, CacheMode, Error, Invocation, Source, rules};

/// `qemu-img bench`: measures how fast an image is read or written.
///
/// ```
/// use qemu_cmd::{Bench, Source};
/// let bench = Bench::new(Source::raw("/a")).count(1000).depth(8);
/// assert_eq!(bench.invocation()?.to_string(), "qemu-img bench -c 1000 -d 8 -f raw /a");
/// # Ok::<(), qemu_cmd::Error>(())
/// ```
///
/// Encrypted images cannot be measured before qemu 10.2: `bench` has no `--object`. Source: qemu-img(1), `bench`.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Bench {
    source: Source,
    count: Option<u32>,
    depth: Option<u32>,
    offset: Option<ByteSize>,
    buffer_size: Option<ByteSize>,
    step_size: Option<ByteSize>,
    write: bool,
    pattern: Option<u8>,
    flush_interval: Option<u32>,
    no_drain: bool,
    aio: Option<BenchAio>,
    native: bool,
    cache: Option<CacheMode>,
    force_share: bool,
    quiet: bool,
}

/// How the host does asynchronous I/O.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BenchAio {
    /// `threads`: a pool of threads.
    Threads,
    /// `native`: Linux AIO; needs a cache mode with O_DIRECT.
    Native,
    /// `io_uring`.
    IoUring,
}

impl BenchAio {
    /// Every value.
    pub const ALL: &'static [Self] = &[Self::Threads, Self::Native, Self::IoUring];

    /// The name on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Threads => "threads",
            Self::Native => "native",
            Self::IoUring => "io_uring",
        }
    }
}

impl Bench {
    /// Reads `source`.
    pub const fn new(source: Source) -> Self {
        Self {
            source,
            count: None,
            depth: None,
            offset: None,
            buffer_size: None,
            step_size: None,
            write: false,
            pattern: None,
            flush_interval: None,
            no_drain: false,
            aio: None,
            native: false,
            cache: None,
            force_share: false,
            quiet: false,
        }
    }

    setters! {
        /// How many requests, at least 1. Default: absent, which is 75000.
        #[doc(alias = "-c")]
        option count: u32;
        /// How many requests at once, at least 1. Default: absent, which is 64.
        #[doc(alias = "-d")]
        option depth: u32;
        /// Where to begin. Default: absent, which is 0.
        #[doc(alias = "-o")]
        option offset: ByteSize;
        /// How many bytes a request has, from 1 to 2147483647. Default: absent, which is 4 KiB.
        #[doc(alias = "-s")]
        option buffer_size: ByteSize;
        /// How many bytes lie between the starts of two requests. Default: absent, which is the buffer size.
        #[doc(alias = "-S")]
        option step_size: ByteSize;
        /// Writes instead of reading, **over what is in the image**. Default: no.
        #[doc(alias = "-w")]
        flag write;
        /// The byte that is written. Default: absent, which is 0.
        #[doc(alias = "--pattern")]
        option pattern: u8;
        /// How many requests are made between two flushes, at least as many as the depth; only with
        /// [`write`](Self::write). Default: absent, which is never.
        #[doc(alias = "--flush-interval")]
        option flush_interval: u32;
        /// Does not wait for requests before a flush; only with a flush interval. Default: no.
        #[doc(alias = "--no-drain")]
        flag no_drain;
        /// How the host does asynchronous I/O. Default: absent, which is `threads`.
        #[doc(alias = "-i")]
        option aio: BenchAio;
        /// Uses Linux AIO, an older spelling of [`aio`](Self::aio). Default: no.
        #[doc(alias = "-n")]
        flag native;
        /// The cache mode. Default: absent, which is `writeback`.
        #[doc(alias = "-t")]
        option cache: CacheMode;
        /// Opens the image even while another process writes it. Default: no.
        #[doc(alias = "-U")]
        flag force_share;
        /// Prints nothing but errors (10.2). Default: no.
        #[doc(alias = "-q")]
        flag quiet;
    }

    /// The arguments.
    ///
    /// # Errors
    /// What qemu-img would always reject: see [`Error`].
    pub fn invocation(&self) -> Result<Invocation, Error> {
        self.check()?;
        let mut out = Invocation::new("bench");
        let numbers = [("-c", self.count), ("-d", self.depth)];
        for (option, number) in numbers.into_iter().filter_map(|(option, number)| Some((option, number?))) {
            out.option(option, number.to_string());
        }
        let sizes = [("-o", self.offset), ("-s", self.buffer_size), ("-S", self.step_size)];
        for (option, size) in sizes.into_iter().filter_map(|(option, size)| Some((option, size?))) {
            out.option(option, size.to_string());
        }
        out.flag(self.write, "-w");
        if let Some(pattern) = self.pattern {
            out.option("--pattern", pattern.to_string());
        }
        if let Some(interval) = self.flush_interval {
            out.option("--flush-interval", interval.to_string());
        }
        out.flag(self.no_drain, "--no-drain");
        if let Some(aio) = self.aio {
            out.option("-i", aio.as_str());
        }
        out.flag(self.native, "-n");
        if let Some(mode) = self.cache {
            out.option("-t", mode.as_str());
        }
        out.flag(self.force_share, "-U");
        out.flag(self.quiet, "-q");
        let operand = push_source(&mut out, &self.source)?;
        out.arg(operand);
        if self.write {
            out.writes_to(self.source.location().clone());
        }
        Ok(out)
    }

    fn check(&self) -> Result<(), Error> {
        if self.count == Some(0) || self.depth == Some(0) {
            return Err(Error::Options("bench needs at least one request, and one at a time"));
        }
        rules::check_signed(&[self.offset])?;
        let sizes = [self.buffer_size, self.step_size];
        if self.buffer_size == Some(ByteSize::bytes(0))
            || sizes.into_iter().flatten().any(|size| size.as_u64() > 0x7fff_ffff)
        {
            return Err(Error::Options("a buffer of bench must have from 1 to 2147483647 bytes, and a step no more"));
        }
        // qemu-img multiplies the two as signed 32-bit numbers, and dies of the memory it then asks for.
        let buffers = self.buffer_size.unwrap_or(ByteSize::kib(4)).as_u64() * u64::from(self.depth.unwrap_or(64));
        if buffers > 0x7fff_ffff {
            return Err(Error::Options(
                "all buffers of bench together must have at most 2147483647 bytes: make them smaller, or the depth",
            ));
        }
        if let Some(interval) = self.flush_interval {
            if !self.write {
                return Err(Error::Options("bench flushes only when it writes: add write, or drop the flush interval"));
            }
            if interval < self.depth.unwrap_or(64) {
                return Err(Error::Options(
                    "the flush interval of bench must be at least its depth, which is 64 unless given",
                ));
            }
        }
        let native = self.native || self.aio == Some(BenchAio::Native);
        let direct = matches!(self.cache, Some(CacheMode::None | CacheMode::Directsync));
        if native && !direct && self.source.places().first().is_some_and(|place| place.path().is_some()) {
            return Err(Error::Options("native asynchronous I/O needs a cache mode with O_DIRECT: none or directsync"));
        }
        if self.write && self.force_share {
            return Err(Error::Options("an image cannot be shared while it is written: drop force_share"));
        }
        Ok(())
    }
}
