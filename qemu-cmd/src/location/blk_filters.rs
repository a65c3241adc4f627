//! Places over other places, for tests: errors on demand, and two that must agree.

use std::path::PathBuf;

use super::builder::{self, Builder, parts};
use super::{Driver, Location};
use crate::{ByteSize, Error, KeyVal};

/// The events at which [`Blkdebug`] can inject an error, of every supported version. QAPI type `BlkdebugEvent`.
///
/// `none` is every event. Most happen in the qcow2 driver; for a raw image there are `pwritev` and those that start
/// with it, `flush_to_disk` and `none`.
pub const BLKDEBUG_EVENTS: &[&str] = &[
    "l1_update",
    "l1_grow_alloc_table",
    "l1_grow_write_table",
    "l1_grow_activate_table",
    "l2_load",
    "l2_update",
    "l2_update_compressed",
    "l2_alloc_cow_read",
    "l2_alloc_write",
    "read_aio",
    "read_backing_aio",
    "read_compressed",
    "write_aio",
    "write_compressed",
    "vmstate_load",
    "vmstate_save",
    "cow_read",
    "cow_write",
    "reftable_load",
    "reftable_grow",
    "reftable_update",
    "refblock_load",
    "refblock_update",
    "refblock_update_part",
    "refblock_alloc",
    "refblock_alloc_hookup",
    "refblock_alloc_write",
    "refblock_alloc_write_blocks",
    "refblock_alloc_write_table",
    "refblock_alloc_switch_table",
    "cluster_alloc",
    "cluster_alloc_bytes",
    "cluster_free",
    "flush_to_os",
    "flush_to_disk",
    "pwritev_rmw_head",
    "pwritev_rmw_after_head",
    "pwritev_rmw_tail",
    "pwritev_rmw_after_tail",
    "pwritev",
    "pwritev_zero",
    "pwritev_done",
    "empty_image_prepare",
    "l1_shrink_write_table",
    "l1_shrink_free_l2_clusters",
    "cor_write",
    "cluster_alloc_space",
    "none",
];

/// An error that [`Blkdebug`] injects. QAPI type `BlkdebugInjectErrorOptions`.
///
/// Its keys are `event`, `errno`, `sector`, `once`, `immediately`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct InjectError {
    event: String,
    errno: Option<u16>,
    sector: Option<u32>,
    once: Option<bool>,
    immediately: Option<bool>,
}

impl InjectError {
    /// An error at an event, which is one of [`BLKDEBUG_EVENTS`].
    pub fn new(event: impl Into<String>) -> Self {
        Self { event: event.into(), errno: None, sector: None, once: None, immediately: None }
    }

    parts! {
        /// The number of the error, as Linux counts them. Default: 5, which is EIO.
        copy errno: u16;
        /// The sector of 512 bytes that a request must touch. Default: any.
        copy sector: u32;
        /// Whether only one request fails. Default: no.
        copy once: bool;
        /// Whether the error comes without waiting. Default: no.
        copy immediately: bool;
    }

    fn read(node: &KeyVal, key: &str) -> Option<Self> {
        let key = |name: &str| format!("{key}.{name}");
        Some(Self {
            event: builder::value(node, &key("event"))?,
            errno: builder::value(node, &key("errno")),
            sector: builder::value(node, &key("sector")),
            once: builder::switch(node, &key("once")),
            immediately: builder::switch(node, &key("immediately")),
        })
    }
}

/// Another place, with errors injected, for tests.
///
/// It has no plain name. The node has the keys `driver`, `config`, `align`, those of the errors after
/// `inject-error.N.`, and those of the place below after `image.`.
///
/// Refused are an event that qemu does not know, and an alignment that is no power of two up to 1 GiB. Source:
/// QAPI type `BlockdevOptionsBlkdebug`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct Blkdebug {
    over: Box<Location>,
    config: Option<PathBuf>,
    align: Option<ByteSize>,
    inject_error: Vec<InjectError>,
}

impl Blkdebug {
    /// `over`, with no errors yet.
    #[doc(alias = "image")]
    pub fn new(over: impl Into<Location>) -> Self {
        Self { over: Box::new(over.into()), config: None, align: None, inject_error: Vec::new() }
    }

    parts! {
        /// A file with more rules. Default: none.
        text config: PathBuf;
        /// The alignment that requests must have; a power of two. Default: that of the place below.
        copy align: ByteSize;
    }

    /// Adds an error.
    #[doc(alias = "inject-error")]
    pub fn inject_error(mut self, error: InjectError) -> Self {
        self.inject_error.push(error);
        self
    }

    /// The place below.
    #[must_use]
    pub const fn over(&self) -> &Location {
        &self.over
    }
}

impl Driver for Blkdebug {
    fn node(&self) -> Result<KeyVal, Error> {
        const ALIGN_MAX: u64 = 1 << 30;
        let mut node = Builder::new("blkdebug").optional("config", self.config.as_ref())?;
        if let Some(align) = self.align
            && (!align.as_u64().is_power_of_two() || align.as_u64() > ALIGN_MAX)
        {
            return Err(node.refusal("align", align, "it must be a power of two up to 1073741824"));
        }
        node = node.number("align", self.align);
        for (index, error) in self.inject_error.iter().enumerate() {
            let key = |name: &str| format!("inject-error.{index}.{name}");
            if !BLKDEBUG_EVENTS.contains(&error.event.as_str()) {
                return Err(node.refusal(&key("event"), &error.event, "it must be one of `BLKDEBUG_EVENTS`"));
            }
            node = node
                .text(&key("event"), &error.event)?
                .number(&key("errno"), error.errno)
                .number(&key("sector"), error.sector)
                .switch(&key("once"), error.once)
                .switch(&key("immediately"), error.immediately);
        }
        Ok(node.child("image", &self.over)?.done())
    }

    fn read(node: &KeyVal) -> Option<Self> {
        Some(Self {
            over: Box::new(builder::child(node, "image")?),
            config: node.get("config").map(PathBuf::from),
            align: builder::bytes(node, "align"),
            inject_error: builder::list(node, "inject-error", InjectError::read),
        })
    }
}

/// Two places that must hold the same, for tests: qemu-img ends when a read differs.
///
/// It has no plain name. The node has the keys `driver`, and those of the two places after `raw.` and `test.`.
///
/// Source: QAPI type `BlockdevOptionsBlkverify`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct Blkverify {
    raw: Box<Location>,
    test: Box<Location>,
}

impl Blkverify {
    /// The place `test`, compared with `raw`.
    pub fn new(raw: impl Into<Location>, test: impl Into<Location>) -> Self {
        Self { raw: Box::new(raw.into()), test: Box::new(test.into()) }
    }
}

impl Driver for Blkverify {
    fn node(&self) -> Result<KeyVal, Error> {
        Ok(Builder::new("blkverify").child("raw", &self.raw)?.child("test", &self.test)?.done())
    }

    fn read(node: &KeyVal) -> Option<Self> {
        let (raw, test) = (builder::child(node, "raw")?, builder::child(node, "test")?);
        Some(Self { raw: Box::new(raw), test: Box::new(test) })
    }
}
