//! The text that says what a VMDK is made of, read as qemu reads it: not line by line, and with `strstr`.

use crate::inspect::{Extent, Name};

/// The longest text that is looked at. Real ones have a few hundred bytes, and qemu reads a mebibyte.
pub(super) const LONGEST: usize = 64 << 10;

/// Whether an image starts with a descriptor: comments and blank lines, then its version.
pub(super) fn is_one(first: &[u8]) -> bool {
    if first.starts_with(b"# Disk DescriptorFile") {
        return true;
    }
    let mut lines = first.split_inclusive(|byte| *byte == b'\n');
    lines
        .find(|line| !line.starts_with(b"#") && !matches!(line, [b' ', ..] if line.trim_ascii().is_empty()))
        .is_some_and(|line| {
            matches!(line, [b'v', b'e', b'r', b's', b'i', b'o', b'n', b'=', b'1'..=b'3', b'\r' | b'\n', ..])
        })
}

/// A descriptor.
pub(super) struct Descriptor<'a> {
    bytes: &'a [u8],
    /// Up to where a string of C ends.
    text: &'a [u8],
}

impl<'a> Descriptor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, text: up_to_nul(bytes) }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    pub(super) const fn length(&self) -> usize {
        self.text.len()
    }

    /// Where a key stands first.
    pub(super) fn position(&self, key: &str) -> Option<usize> {
        self.text.windows(key.len()).position(|window| window == key.as_bytes())
    }

    /// What stands behind a key and so many characters. qemu skips them whatever they are, be it the text's end, behind
    /// which it then reads on.
    fn after(&self, key: &str, skipped: usize) -> Option<&'a [u8]> {
        let at = self.position(key)? + key.len() + skipped;
        Some(up_to_nul(self.bytes.get(at..).unwrap_or_default()))
    }

    /// The value of `key="value"`. `None` if there is no such key, `Some(None)` if its value has no end.
    pub(super) fn text(&self, key: &str) -> Option<Option<&'a [u8]>> {
        let value = self.after(key, 2)?;
        Some(value.iter().position(|byte| *byte == b'"').and_then(|end| value.get(..end)))
    }

    /// The hexadecimal number in `key=number`.
    pub(super) fn number(&self, key: &str) -> Option<u32> {
        let digits = skip_space(self.after(key, 1)?);
        let digits = digits.strip_prefix(b"0x").or(digits.strip_prefix(b"0X")).unwrap_or(digits);
        let count = digits.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        u32::from_str_radix(std::str::from_utf8(digits.get(..count)?).ok()?, 16).ok()
    }

    /// Its extents, and where each stands. A line that starts with one, or with blanks and line ends in front of one,
    /// lists it, wherever it breaks off.
    pub(super) fn extents(&self) -> Vec<(usize, Extent)> {
        let mut found: Vec<(usize, Extent)> = Vec::new();
        let mut at = 0;
        for line in self.text.split_inclusive(|byte| *byte == b'\n') {
            if !skip_space(line).is_empty() {
                found.extend(self.text.get(at..).and_then(extent).map(|extent| (at, extent)));
            }
            at += line.len();
        }
        found
    }
}

fn up_to_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// An extent: access, sectors, kind, and its file's name in quotation marks if it has one.
fn extent(text: &[u8]) -> Option<Extent> {
    let (access, rest) = word(text)?;
    if !matches!(access, b"RW" | b"RDONLY" | b"NOACCESS") {
        return None;
    }
    let (sectors, rest) = number(rest)?;
    let (kind, rest) = word(rest)?;
    let file = skip_space(rest).strip_prefix(b"\"").map(|rest| {
        let end = rest.iter().position(|byte| matches!(byte, b'"' | b'\r' | b'\n')).unwrap_or(rest.len());
        Name::new(rest.get(..end).unwrap_or_default())
    });
    let text = |bytes: &[u8]| Name::new(bytes).to_string();
    Some(Extent { access: text(access), size: sectors.saturating_mul(512), kind: text(kind), file })
}

/// The next word, of ten bytes at most as `scanf` is told to read it, and what comes behind it.
fn word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let text = skip_space(text);
    let end = text.iter().take(10).position(is_space).unwrap_or(text.len().min(10));
    text.split_at_checked(end).filter(|(word, _)| !word.is_empty())
}

/// The next number, which need not be followed by a blank, and what comes behind it. Too large ones are the largest.
fn number(text: &[u8]) -> Option<(u64, &[u8])> {
    let text = skip_space(text);
    let text = text.strip_prefix(b"+").unwrap_or(text);
    let (digits, rest) = text.split_at_checked(text.iter().take_while(|byte| byte.is_ascii_digit()).count())?;
    let value =
        digits.iter().fold(0, |value: u64, digit| value.saturating_mul(10).saturating_add((digit - b'0').into()));
    (!digits.is_empty()).then_some((value, rest))
}

fn skip_space(text: &[u8]) -> &[u8] {
    text.get(text.iter().take_while(|byte| is_space(byte)).count()..).unwrap_or_default()
}

/// What is white space in C, which is a vertical tab more than in Rust.
const fn is_space(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::{Descriptor, is_one};

    const USUAL: &[u8] = b"# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=FFFFFFFF\n\
        createType=\"monolithicSparse\"\n\n# Extent description\nRW 2048 SPARSE \"a b.vmdk\"\n\nddb.adapterType = \"ide\"\n\0junk";

    #[test]
    fn the_usual_one_is_read() {
        let descriptor = Descriptor::new(USUAL);
        assert!(is_one(USUAL));
        assert_eq!(descriptor.text("createType"), Some(Some(&b"monolithicSparse"[..])));
        assert_eq!(descriptor.number("CID"), Some(0xffff_fffe));
        assert_eq!(descriptor.number("parentCID"), Some(u32::MAX));
        assert_eq!(descriptor.text("parentFileNameHint"), None);
        let [(at, extent)] = &descriptor.extents()[..] else { panic!("one extent") };
        assert_eq!(&USUAL[*at..at + 3], b"RW ");
        assert_eq!((extent.access.as_str(), extent.size, extent.kind.as_str()), ("RW", 1 << 20, "SPARSE"));
        assert_eq!(extent.file.as_ref().unwrap().as_bytes(), b"a b.vmdk");
    }

    #[test]
    fn extents_are_found_however_they_are_laid_out() {
        let texts = [
            "\tRW\n1\nFLAT\n\"/etc/shadow\" 0",
            "x\n  RW +1FLAT\x0b\"/etc/shadow\" 0",
            "RW 99999999999999999999 VMFS \"/etc/shadow",
        ];
        for text in texts {
            let extents = Descriptor::new(text.as_bytes()).extents();
            assert_eq!(extents.len(), 1, "{text}");
            assert_eq!(extents[0].1.file.as_ref().unwrap().as_bytes(), b"/etc/shadow", "{text}");
        }
        assert_eq!(Descriptor::new(b"RW 1 ZERO\n").extents()[0].1.file, None);
        assert_eq!(Descriptor::new(b"RW 1 \x1b[2J\xff\n").extents()[0].1.kind, "\\u{1b}[2J\\xff");
        for text in ["RW", "RW x FLAT \"a\"", "RW -1 FLAT \"a\"", "RO 1 FLAT \"a\"", "\0RW 1 FLAT \"a\""] {
            assert_eq!(Descriptor::new(text.as_bytes()).extents(), [], "{text}");
        }
    }

    #[test]
    fn values_without_an_end_are_told_apart_from_no_value() {
        assert_eq!(Descriptor::new(b"parentFileNameHint=\"abc").text("parentFileNameHint"), Some(None));
        assert_eq!(Descriptor::new(b"parentFileNameHint").text("parentFileNameHint"), Some(None));
        assert_eq!(Descriptor::new(b"CID=").number("CID"), None);
        assert_eq!(Descriptor::new(b"CID").number("CID"), None);
    }

    #[test]
    fn a_value_may_stand_behind_the_end_of_the_text() {
        let descriptor = Descriptor::new(b"parentFileNameHint\0\"/etc/shadow\"");
        assert_eq!(descriptor.text("parentFileNameHint"), Some(Some(&b"/etc/shadow"[..])));
        assert_eq!(Descriptor::new(b"parentFileNameHint=\0/etc\0\"").text("parentFileNameHint"), Some(None));
        assert_eq!(Descriptor::new(b"CID\0f").number("CID"), Some(0xf));
        assert_eq!(Descriptor::new(b"\0CID=1").number("CID"), None);
    }

    #[test]
    fn descriptors_are_told_from_other_texts() {
        for text in ["version=1\n", "# x\n  \nversion=3\r\n", "#\nversion=2\n", "# Disk DescriptorFile\n"] {
            assert!(is_one(text.as_bytes()), "{text}");
        }
        for text in ["", "version=4\n", "\nversion=1\n", " x\nversion=1\n", "version=1", "#!/bin/sh\nexit\n"] {
            assert!(!is_one(text.as_bytes()), "{text}");
        }
    }
}
