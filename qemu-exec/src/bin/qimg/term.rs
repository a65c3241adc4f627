//! What people look at: how wide their terminal is, whether it has colours, and text that is safe on it.

use std::io::{self, BufRead as _, BufReader, IsTerminal as _, Read, Write as _, stdout};

use unicode_width::UnicodeWidthStr as _;

/// What a line may be at least and at most, however the terminal is.
const WIDTHS: std::ops::RangeInclusive<usize> = 30..=400;

/// Standard output as people see it.
#[derive(Clone, Copy)]
pub(crate) struct Terminal {
    /// In columns: the terminal's, or else `COLUMNS`, or else 80.
    pub(crate) width: usize,
    colours: bool,
}

/// How a piece of text stands out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Bold,
    Dim,
    Good,
    Warning,
    Bad,
    /// The colour of one image of a chain.
    Layer(usize),
}

/// The colours of the images of a chain, which come round again: of the palette of 256, readable on dark and light.
const LAYERS: [u8; 6] = [33, 208, 35, 170, 37, 136];

/// Whether standard output is a terminal.
pub(crate) fn is_terminal() -> bool {
    stdout().is_terminal()
}

/// Whether standard error is a terminal.
pub(crate) fn is_read_by_a_person() -> bool {
    std::io::stderr().is_terminal()
}

impl Terminal {
    pub(crate) fn new() -> Self {
        let size = rustix::termios::tcgetwinsize(stdout()).ok().map(|size| usize::from(size.ws_col));
        let columns = || std::env::var("COLUMNS").ok()?.parse().ok();
        let width = size.filter(|width| *width > 0).or_else(columns).unwrap_or(80);
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let colours = is_terminal() && !set("NO_COLOR") && !dumb;
        Self { width: width.clamp(*WIDTHS.start(), *WIDTHS.end()), colours }
    }

    /// The text in its style, if the terminal has any.
    pub(crate) fn paint(self, style: Style, text: &str) -> String {
        if !self.colours || text.is_empty() {
            return text.to_owned();
        }
        let code = match style {
            Style::Bold => "1".to_owned(),
            Style::Dim => "2".to_owned(),
            Style::Good => "32".to_owned(),
            Style::Warning => "33".to_owned(),
            Style::Bad => "1;31".to_owned(),
            Style::Layer(depth) => {
                format!("38;5;{}", LAYERS.get(depth % LAYERS.len()).copied().unwrap_or_default())
            }
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// Text on one line in which nothing moves the cursor or turns round what stands beside it.
pub(crate) fn printable(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || is_format(c) {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
    }
    safe
}

/// Writes text to standard output as it comes, each line [printable] but for tabs.
pub(crate) fn show(from: impl Read) -> io::Result<()> {
    /// A longer line is shown in pieces.
    const LONGEST: u64 = 1 << 16;
    let (mut from, mut line) = (BufReader::new(from), Vec::new());
    while from.by_ref().take(LONGEST).read_until(b'\n', &mut line)? > 0 {
        let text = String::from_utf8_lossy(&line);
        let (text, end) = text.strip_suffix('\n').map_or((&*text, ""), |text| (text, "\n"));
        let columns: Vec<_> = text.split('\t').map(printable).collect();
        write!(stdout(), "{}{end}", columns.join("\t"))?;
        line.clear();
    }
    stdout().flush()
}

/// JSON on one line, in which a terminal finds nothing to do: what serde_json leaves as it is, it may escape as well, since
/// such characters stand in strings only.
pub(crate) fn json(value: &serde_json::Value) -> String {
    let text = value.to_string();
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || is_format(c) {
            safe.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            safe.push(c);
        }
    }
    safe
}

/// Whether a character is none, but says in what direction others run, or where a line ends.
fn is_format(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// A number of bytes as people say it: `512 B`, `1.5 GiB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let Some(power) = (1..=UNITS.len()).rev().find(|power| bytes >> (10 * power) > 0) else {
        return format!("{bytes} B");
    };
    // In tenths, rounded down, so that nothing is said to be there that is not.
    let tenths = (u128::from(bytes) * 10) >> (10 * power);
    let unit = UNITS.get(power - 1).copied().unwrap_or_default();
    match tenths % 10 {
        0 => format!("{} {unit}", tenths / 10),
        _ if tenths >= 1000 => format!("{} {unit}", tenths / 10),
        tenth => format!("{}.{tenth} {unit}", tenths / 10),
    }
}

/// The same, and to the byte.
pub(crate) fn exact(bytes: u64) -> String {
    if bytes < 1024 { size(bytes) } else { format!("{} ({bytes} bytes)", size(bytes)) }
}

/// How much of a whole something is: `12 %`, and `under 1 %` or `over 99 %` for what would look like nothing or all.
pub(crate) fn share(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "0 %".to_owned();
    }
    match u128::from(part) * 100 / u128::from(whole) {
        0 if part > 0 => "under 1 %".to_owned(),
        99 if part < whole => "over 99 %".to_owned(),
        percent => format!("{percent} %"),
    }
}

/// How many columns of a terminal a text takes: an ideograph takes two, an accent that is a character of its own none.
pub(crate) fn columns(text: &str) -> usize {
    text.width()
}

/// The text, and behind it spaces up to so many columns.
pub(crate) fn padded(text: &str, to: usize) -> String {
    format!("{text}{:1$}", "", to.saturating_sub(columns(text)))
}

/// Words in lines of this width, all but the first indented.
pub(crate) fn folded(words: &str, indent: usize, width: usize) -> String {
    let room = width.saturating_sub(indent).max(16);
    let (mut text, mut used) = (String::new(), 0);
    for word in words.split(' ') {
        let length = columns(word);
        if used > 0 && used + 1 + length > room {
            text.push_str(&format!("\n{:indent$}", ""));
            used = 0;
        } else if used > 0 {
            text.push(' ');
            used += 1;
        }
        text.push_str(word);
        used += length;
    }
    text
}
