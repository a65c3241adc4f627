//! Images for the tests, written field by field.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::io::Cursor;

use super::{Code, Inspection, Policy, inspect};

/// The clusters of [`Image::qcow2`].
pub(super) const CLUSTER: u64 = 4096;

#[derive(Clone, Debug)]
pub(super) struct Image {
    pub(super) bytes: Vec<u8>,
    /// Where the next header extension goes.
    pub(super) extensions: usize,
}

impl Image {
    pub(super) fn of_zeros(length: usize) -> Self {
        Self { bytes: vec![0; length], extensions: 0 }
    }

    /// qcow2 of 1 MiB: header, reference count table and block, L1 table, and four clusters more.
    pub(super) fn qcow2() -> Self {
        let mut image = Self::of_zeros(CLUSTER as usize * 8)
            .put(0, b"QFI\xfb")
            .be32(4, 3)
            .be32(20, 12)
            .be64(24, 1 << 20)
            .be32(36, 1)
            .be64(40, 3 * CLUSTER)
            .be64(48, CLUSTER)
            .be32(56, 1)
            .be32(96, 4)
            .be32(100, 112);
        image.extensions = 112;
        image
    }

    /// A LUKS header, its keys, and one sector that is not ciphertext only by chance.
    pub(super) fn luks() -> Self {
        let mut image = Self::of_zeros(4041 * 512)
            .put(0, b"LUKS\xba\xbe\0\x01")
            .put(8, b"aes")
            .put(40, b"xts-plain64")
            .put(72, b"sha256")
            .be32(104, 4040)
            .be32(108, 64)
            .be32(164, 1000);
        for slot in 0..8 {
            let at = 208 + 48 * slot as usize;
            let (active, iterations) = if slot == 0 { (0x00ac_71f3, 1000) } else { (0xdead, 0) };
            image = image.be32(at, active).be32(at + 4, iterations).be32(at + 40, 8 + 504 * slot).be32(at + 44, 4000);
        }
        image
    }

    /// qcow of 1 GiB.
    pub(super) fn qcow() -> Self {
        Self::of_zeros(48 + 4096).put(0, b"QFI\xfb").be32(4, 1).be64(24, 1 << 30).put(32, &[12, 9]).be64(40, 48)
    }

    pub(super) fn put(mut self, at: usize, bytes: &[u8]) -> Self {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    pub(super) fn be16(self, at: usize, value: u16) -> Self {
        self.put(at, &value.to_be_bytes())
    }

    pub(super) fn be32(self, at: usize, value: u32) -> Self {
        self.put(at, &value.to_be_bytes())
    }

    pub(super) fn be64(self, at: usize, value: u64) -> Self {
        self.put(at, &value.to_be_bytes())
    }

    /// The same without what lies behind.
    pub(super) fn cut(mut self, length: usize) -> Self {
        self.bytes.truncate(length);
        self
    }

    /// Adds a header extension of qcow2.
    pub(super) fn extension(mut self, kind: u32, data: &[u8]) -> Self {
        let at = self.extensions;
        self.extensions = at + 8 + data.len().next_multiple_of(8);
        self.be32(at, kind).be32(at + 4, data.len() as u32).put(at + 8, data)
    }

    pub(super) fn backing_file(self, name: &[u8]) -> Self {
        self.be64(8, 1024).be32(16, name.len() as u32).put(1024, name)
    }

    pub(super) fn inspected(&self, policy: &Policy) -> Inspection {
        inspect(Cursor::new(&self.bytes), policy).unwrap()
    }

    /// What an untrusted image is refused for, and where that stands.
    pub(super) fn refused_for(&self) -> Vec<(Code, u64)> {
        let inspection = self.inspected(&Policy::untrusted());
        inspection.findings().iter().map(|finding| (finding.code, finding.offset)).collect()
    }
}
