//! Cache modes.

/// How qemu-img uses the host's page cache for an image (`-t` for a target, `-T` for a source).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CacheMode {
    /// `none`: O_DIRECT, past the page cache; data is flushed at the end.
    None,
    /// `writeback`: through the page cache; data is flushed at the end.
    Writeback,
    /// `writethrough`: through the page cache, each write flushed.
    Writethrough,
    /// `directsync`: O_DIRECT, each write flushed.
    Directsync,
    /// `unsafe`: never flushed: qemu-img returns before the data is on disk. The default of
    /// `qemu-img convert` for its target.
    Unsafe,
}

impl CacheMode {
    /// Every mode.
    pub const ALL: &'static [Self] = &[Self::None, Self::Writeback, Self::Writethrough, Self::Directsync, Self::Unsafe];

    /// The name on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Writeback => "writeback",
            Self::Writethrough => "writethrough",
            Self::Directsync => "directsync",
            Self::Unsafe => "unsafe",
        }
    }
}
