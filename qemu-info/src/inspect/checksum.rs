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

/// What so many zeros more make of a checksum, bit by bit: the row for `2^n` of them is the one before it applied twice.
const ZEROS: [[u32; 32]; 32] = {
    let mut rows = [[0; 32]; 32];
    let (mut row, mut bit) = (0, 0);
    while row < 32 {
        #[allow(clippy::indexing_slicing, reason = "a constant, computed when compiled")]
        {
            let crc = 1_u32 << bit;
            rows[row][bit] = if row == 0 {
                TABLE[(crc & 0xff) as usize] ^ (crc >> 8)
            } else {
                apply(&rows[row - 1], rows[row - 1][bit])
            };
        }
        bit += 1;
        if bit == 32 {
            (row, bit) = (row + 1, 0);
        }
    }
    rows
};

/// The sum of what becomes of each bit.
const fn apply(row: &[u32; 32], crc: u32) -> u32 {
    let (mut rest, mut sum) = (crc, 0);
    while rest != 0 {
        #[allow(clippy::indexing_slicing, reason = "an integer has no more bits")]
        {
            sum ^= row[rest.trailing_zeros() as usize];
        }
        rest &= rest - 1;
    }
    sum
}

/// The checksum of these bytes, and of so many zeros behind them.
///
/// What is protected is mostly zeros, 64 KiB of them: they are not gone through one by one.
pub(super) fn crc32c(bytes: impl IntoIterator<Item = u8>, zeros: u32) -> u32 {
    let crc = bytes.into_iter().fold(!0, |crc: u32, byte| {
        let [low, ..] = crc.to_le_bytes();
        TABLE.get(usize::from(low ^ byte)).copied().unwrap_or_default() ^ (crc >> 8)
    });
    let applied = ZEROS.iter().enumerate().filter(|(bit, _)| zeros >> bit & 1 == 1);
    !applied.fold(crc, |crc, (_, row)| apply(row, crc))
}

#[cfg(test)]
mod tests {
    use super::crc32c;

    #[test]
    fn is_the_one_of_castagnoli() {
        assert_eq!(crc32c(*b"123456789", 0), 0xe306_9283);
        assert_eq!(crc32c([], 0), 0);
    }

    #[test]
    fn zeros_count() {
        for zeros in [1, 2, 7, 255, 4000, 65_535] {
            let written = b"123456789".iter().copied().chain(std::iter::repeat_n(0, zeros as usize));
            assert_eq!(crc32c(*b"123456789", zeros), crc32c(written, 0), "{zeros}");
        }
    }
}
