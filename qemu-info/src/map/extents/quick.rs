//! An entry to the letter as qemu prints it: it takes a sixth of the time in which serde_json reads any.

use super::MapExtent;

/// The entry whose `{` was read, and how many bytes it takes; `None` if it is not to the letter what qemu prints, or not all
/// of it is there.
pub(super) fn entry(text: &[u8]) -> Option<(MapExtent, usize)> {
    let mut rest = Rest(text);
    let extent = MapExtent {
        start: rest.after(b" \"start\": ")?.number()?,
        length: rest.after(b", \"length\": ")?.number()?,
        depth: rest.after(b", \"depth\": ")?.number()?,
        present: rest.perhaps(b", \"present\": ", Rest::boolean)?,
        zero: rest.after(b", \"zero\": ")?.boolean()?,
        data: rest.after(b", \"data\": ")?.boolean()?,
        compressed: rest.perhaps(b", \"compressed\": ", Rest::boolean)?,
        offset: rest.perhaps(b", \"offset\": ", Rest::number)?,
    };
    rest.after(b"}")?;
    Some((extent, text.len() - rest.0.len()))
}

struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn after(&mut self, text: &[u8]) -> Option<&mut Self> {
        self.0 = self.0.strip_prefix(text)?;
        Some(self)
    }

    /// `Some(None)` if the text is not there.
    fn perhaps<T>(&mut self, text: &[u8], read: fn(&mut Self) -> Option<T>) -> Option<Option<T>> {
        match self.0.strip_prefix(text) {
            None => Some(None),
            Some(rest) => {
                self.0 = rest;
                read(self).map(Some)
            }
        }
    }

    fn boolean(&mut self) -> Option<bool> {
        if self.after(b"true").is_some() { Some(true) } else { self.after(b"false").map(|_| false) }
    }

    /// What JSON takes for one: no sign, and no zero in front of another digit. What does not fit is none.
    fn number(&mut self) -> Option<u64> {
        let mut number: u64 = 0;
        let mut digits = 0;
        while let Some((digit @ b'0'..=b'9', rest)) = self.0.split_first() {
            if digits > 0 && number == 0 {
                return None;
            }
            number = number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
            digits += 1;
            self.0 = rest;
        }
        // Something else may go on in the next piece, or make it a fraction.
        (digits > 0 && matches!(self.0.first(), Some(b',' | b'}'))).then_some(number)
    }
}
