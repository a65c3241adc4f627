//! What qemu-img says, on its way to a terminal.

use std::borrow::Cow;
use std::io::{self, IsTerminal as _};

/// Escapes what would make a terminal do more than show text: names stand in what qemu-img says, and whoever made an
/// image has chosen them. What is no terminal is given every byte as it came.
pub(crate) struct Screen {
    /// `None` until something is written.
    is_terminal: Option<bool>,
    /// Whether the last byte began a character that may turn out to be a control character.
    open: bool,
}

/// The first byte, in UTF-8, of the control characters from U+0080 to U+009F.
const LEAD: u8 = 0xc2;

impl Screen {
    pub(crate) const fn new() -> Self {
        Self { is_terminal: None, open: false }
    }

    /// The same, safe to write to our standard error.
    pub(crate) fn pass<'a>(&mut self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        if *self.is_terminal.get_or_insert_with(|| io::stderr().is_terminal()) {
            Cow::Owned(self.escape(bytes))
        } else {
            Cow::Borrowed(bytes)
        }
    }

    fn escape(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut safe = Vec::with_capacity(bytes.len());
        for byte in bytes {
            match byte {
                0x80..=0x9f if self.open => {
                    safe.pop();
                    safe.extend(format!("\\u{{{byte:x}}}").bytes());
                }
                b'\n' | b'\t' => safe.push(*byte),
                byte if byte.is_ascii_control() => safe.extend(byte.escape_ascii()),
                byte => safe.push(*byte),
            }
            self.open = *byte == LEAD;
        }
        safe
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn escaped(pieces: &[&[u8]]) -> String {
        let mut screen = Screen { is_terminal: Some(true), open: false };
        String::from_utf8_lossy(&pieces.iter().flat_map(|piece| screen.pass(piece).into_owned()).collect::<Vec<_>>())
            .into_owned()
    }

    #[test]
    fn text_stays_as_it_is() {
        assert_eq!(escaped(&["a\tb\n".as_bytes(), "é£…".as_bytes(), b"\\"]), "a\tb\né£…\\");
        let raw = b"\x1b[2J";
        assert_eq!(*Screen { is_terminal: Some(false), open: false }.pass(raw), raw[..]);
    }

    #[test]
    fn nothing_moves_the_cursor() {
        assert_eq!(escaped(&[b"\x1b[2J\r\x08\x7f\0"]), r"\x1b[2J\r\x08\x7f\x00");
        assert_eq!(escaped(&["\u{9b}2J £".as_bytes()]), r"\u{9b}2J £");
    }
}
