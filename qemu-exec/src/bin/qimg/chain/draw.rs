//! A chain for people.

use std::fmt;

use qemu_exec::info::MAX_CHAIN_DEPTH;

use super::json::encryption;
use super::walk::{Found, Link, Size, Trouble};
use crate::term::{self, Style, Terminal, columns, printable};

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("missing: there is no such file"),
            Self::Outside(directory) => {
                write!(f, "outside of {}: not opened without --follow", printable(&directory.to_string_lossy()))
            }
            Self::Protocol => f.write_str("not a file: never opened here"),
            Self::Cycle(depth) => write!(f, "cycle: it is image {depth} again, and qemu would go round for ever"),
            Self::TooDeep => write!(f, "deeper than {MAX_CHAIN_DEPTH} images: not followed"),
            Self::NoFile(what) => write!(f, "{what}: not opened"),
            Self::Unreadable(error) => write!(f, "could not be read: {error}"),
        }
    }
}

/// The images as a tree, each with the files that it needs below it, the last of which is what it is based on.
pub(super) fn tree(links: &[Link], terminal: Terminal) -> String {
    let mut tree = Tree { terminal, text: String::new() };
    // However deep a chain is, it takes no more than a third of the line; below that the number tells.
    let deepest = terminal.width / 9;
    for (depth, link) in links.iter().enumerate() {
        let level = depth.min(deepest);
        let indent = "   ".repeat(level.saturating_sub(1));
        let branch = if depth == 0 { String::new() } else { format!("{indent}└─ ") };
        let has_backing = depth + 1 < links.len();
        let (under, more) = if level == 0 { (String::new(), "") } else { (format!("{indent}   "), "") };
        let below = if has_backing || !link.files.is_empty() { format!("{under}{more}│") } else { under.clone() };
        let number = if depth > deepest { format!("{depth}: ") } else { String::new() };
        tree.item(&branch, &below, &format!("{number}{}", printable(&link.name)), &link_words(link));
        for (index, part) in link.files.iter().enumerate() {
            let last = index + 1 == link.files.len() && !has_backing;
            let (branch, below) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            let words = match &part.found {
                Ok(size) => vec![(Style::Dim, size_words(*size))],
                Err(trouble) => vec![(Style::Bad, printable(&trouble.to_string()))],
            };
            let name = format!("{} {}", part.role, printable(&part.name));
            tree.item(&format!("{under}{branch}"), &format!("{under}{below}"), &name, &words);
        }
    }
    tree.text
}

fn size_words(size: Size) -> String {
    format!("{} on disk", term::size(size.on_disk))
}

/// What is to be said about an image.
fn link_words(link: &Link) -> Vec<(Style, String)> {
    let (inspection, size) = match &link.found {
        Found::Trouble(trouble) => return vec![(Style::Bad, printable(&trouble.to_string()))],
        Found::Image(inspection, size) => (inspection, size),
    };
    let facts = inspection.facts();
    let said = link.said.as_deref();
    let is = inspection.format();
    let format = said.map_or_else(|| is.driver().unwrap_or(is.as_str()).to_owned(), printable);
    let mut words = vec![(Style::Good, format)];
    words.extend(facts.encryption.as_ref().map(|how| (Style::Warning, format!("{} encrypted", encryption(how)))));
    words.extend(inspection.virtual_size().map(|bytes| (Style::Dim, term::size(bytes))));
    words.push((Style::Dim, size_words(*size)));
    words.extend(count(facts.snapshots, "snapshot").map(|text| (Style::Dim, text)));
    words.extend(count(facts.bitmaps, "bitmap").map(|text| (Style::Dim, text)));
    if facts.dirty {
        words.push((Style::Warning, "not closed cleanly, or in use".to_owned()));
    }
    if facts.corrupt {
        words.push((Style::Bad, "marked as corrupt".to_owned()));
    }
    if let Some(is) = link.mismatch() {
        words.push((Style::Bad, format!("its bytes are {is}: it is not read as that, nor what it names")));
    }
    let named = facts.backing_file.is_some() && facts.backing_format.is_none();
    if named && link.mismatch().is_none() && matches!(is.as_str(), "qcow2" | "qed") {
        words.push((Style::Warning, "gives no format for its backing file, which qemu then guesses".to_owned()));
    }
    words
}

fn count(count: Option<u32>, what: &str) -> Option<String> {
    let count = count.filter(|count| *count > 0)?;
    Some(format!("{count} {what}{}", if count == 1 { "" } else { "s" }))
}

struct Tree {
    terminal: Terminal,
    text: String,
}

impl Tree {
    /// A name and what is said about it, in lines that fit; those after the first are indented by `below`.
    fn item(&mut self, branch: &str, below: &str, name: &str, words: &[(Style, String)]) {
        let width = self.terminal.width;
        let below = format!("{below:<indent$}  ", indent = branch.chars().count());
        let mut used = branch.chars().count();
        self.text.push_str(branch);
        for (index, piece) in pieces(name, width.saturating_sub(used).max(10)).iter().enumerate() {
            if index > 0 {
                self.text.push_str(&format!("\n{below}"));
                used = below.chars().count();
            }
            self.text.push_str(&self.terminal.paint(Style::Bold, piece));
            used += columns(piece);
        }
        let last = words.len().saturating_sub(1);
        for (index, (style, text)) in words.iter().enumerate() {
            let comma = if index < last { "," } else { "" };
            let mut gap = if index == 0 { "  " } else { " " };
            for (at, word) in text.split(' ').enumerate() {
                let comma = if at + 1 == text.split(' ').count() { comma } else { "" };
                let needed = gap.len() + columns(word) + comma.len();
                if used + needed > width && used > below.chars().count() {
                    self.text.push_str(&format!("\n{below}"));
                    used = below.chars().count();
                    gap = "";
                }
                self.text.push_str(&format!("{gap}{}{comma}", self.terminal.paint(*style, word)));
                used += gap.len() + columns(word) + comma.len();
                gap = " ";
            }
        }
        self.text.push('\n');
    }
}

/// A text in parts of at most so many columns.
fn pieces(text: &str, most: usize) -> Vec<String> {
    let mut pieces = vec![String::new()];
    for c in text.chars() {
        match pieces.last_mut() {
            Some(last) if columns(last) + columns(c.encode_utf8(&mut [0; 4])) <= most => last.push(c),
            _ => pieces.push(c.to_string()),
        }
    }
    pieces
}
