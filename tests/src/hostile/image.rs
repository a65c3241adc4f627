//! An image under construction.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// Some bytes, and perhaps a hole behind them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// What it starts with.
    pub bytes: Vec<u8>,
    /// How large it is, hole included.
    pub size: u64,
}

impl Image {
    /// So many zeros.
    #[must_use]
    pub fn of_zeros(length: usize) -> Self {
        Self { bytes: vec![0; length], size: length as u64 }
    }

    /// With these bytes there. It grows if need be.
    #[must_use]
    pub fn put(mut self, at: usize, bytes: &[u8]) -> Self {
        let end = at + bytes.len();
        self.bytes.resize(end.max(self.bytes.len()), 0);
        self.bytes[at..end].copy_from_slice(bytes);
        self.size = self.size.max(self.bytes.len() as u64);
        self
    }

    /// With a big-endian integer there.
    #[must_use]
    pub fn be16(self, at: usize, value: u16) -> Self {
        self.put(at, &value.to_be_bytes())
    }

    /// With a big-endian integer there.
    #[must_use]
    pub fn be32(self, at: usize, value: u32) -> Self {
        self.put(at, &value.to_be_bytes())
    }

    /// With a big-endian integer there.
    #[must_use]
    pub fn be64(self, at: usize, value: u64) -> Self {
        self.put(at, &value.to_be_bytes())
    }

    /// With a little-endian integer there.
    #[must_use]
    pub fn le16(self, at: usize, value: u16) -> Self {
        self.put(at, &value.to_le_bytes())
    }

    /// With a little-endian integer there.
    #[must_use]
    pub fn le32(self, at: usize, value: u32) -> Self {
        self.put(at, &value.to_le_bytes())
    }

    /// With a little-endian integer there.
    #[must_use]
    pub fn le64(self, at: usize, value: u64) -> Self {
        self.put(at, &value.to_le_bytes())
    }

    /// With a hole behind it, so that whatever it points at lies in the file.
    #[must_use]
    pub const fn hole(mut self, size: u64) -> Self {
        self.size = size;
        self
    }

    /// Without what lies behind `length`.
    #[must_use]
    pub fn cut(mut self, length: usize) -> Self {
        self.bytes.truncate(length);
        self.size = length as u64;
        self
    }

    /// With the header extension of qcow2 that comes next, at `at`.
    #[must_use]
    pub fn extension(self, at: usize, kind: u32, data: &[u8]) -> Self {
        self.be32(at, kind).be32(at + 4, u32::try_from(data.len()).unwrap()).put(at + 8, data)
    }

    /// With a checksum of VPC, the complement of the bytes' sum, at `start + field` over `length` bytes from `start`.
    #[must_use]
    pub fn sum(mut self, start: usize, length: usize, field: usize) -> Self {
        self.bytes[start + field..start + field + 4].fill(0);
        let sum: u32 = self.bytes[start..start + length].iter().map(|byte| u32::from(*byte)).sum();
        self.be32(start + field, !sum)
    }

    /// With a checksum of VHDX, a CRC-32C, at `start + 4` over `length` bytes from `start`.
    #[must_use]
    pub fn crc(mut self, start: usize, length: usize) -> Self {
        let shift = |crc: u32| (0..8).fold(crc, |crc, _| (crc >> 1) ^ (0x82f6_3b78 * (crc & 1)));
        let table: Vec<u32> = (0..256).map(shift).collect();
        self.bytes[start + 4..start + 8].fill(0);
        let mut crc = !0_u32;
        for byte in &self.bytes[start..start + length] {
            crc = table[(crc as u8 ^ byte) as usize] ^ (crc >> 8);
        }
        self.le32(start + 4, !crc)
    }

    /// Writes it to a file of this name.
    pub fn write(&self, path: &Path) {
        self.write_to(&File::create(path).unwrap());
    }

    /// Writes it to an empty file.
    pub fn write_to(&self, file: &File) {
        file.write_all_at(&self.bytes, 0).unwrap();
        file.set_len(self.size).unwrap();
    }
}
