//! CRC-32C, by which the parts of a VHDX header are protected.

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut crc, mut bit) = (byte as u32, 0);
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
            bit += 1;
        }
        #[allow(clippy::indexing_slicing, reason = "a constant, computed when compiled")]
        {
            table[byte] = crc;
        }
        byte += 1;
    }
    table
};

/// The checksum of these bytes.
pub(super) fn crc32c(bytes: impl IntoIterator<Item = u8>) -> u32 {
    !bytes.into_iter().fold(!0, |crc: u32, byte| {
        let [low, ..] = crc.to_le_bytes();
        TABLE.get(usize::from(low ^ byte)).copied().unwrap_or_default() ^ (crc >> 8)
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn is_the_one_of_castagnoli() {
        assert_eq!(super::crc32c(*b"123456789"), 0xe306_9283);
        assert_eq!(super::crc32c([]), 0);
    }
}
