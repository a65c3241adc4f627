//! A map in a terminal: a lane for each image that has something of it, as high in each column as it is full there.

use super::cells::{Cells, Column, LANES};
use super::{Entry, Names, entries};
use crate::term::{Style, Terminal, folded, size};

/// From a little to all of a column.
const FULL: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

pub(super) fn text(cells: &Cells, names: &Names, terminal: Terminal) -> String {
    let width = terminal.width.saturating_sub(5).max(10);
    let columns = cells.columns(width);
    let title = terminal.paint(Style::Bold, &names.title(cells));
    if cells.length == 0 {
        return format!("{title}\n");
    }
    let mut text = format!("{title}\n\n");
    text.push_str(&format!("   {}\n", terminal.paint(Style::Dim, &scale(cells, width))));
    for entry in entries(cells, names) {
        let Some(lane) = entry.lane else { continue };
        let bar: String = columns.iter().map(|column| glyph(part(column, lane))).collect();
        text.push_str(&format!("{:>2} ", entry.label));
        text.push_str(&terminal.paint(Style::Dim, "▕"));
        text.push_str(&terminal.paint(entry.style, &bar));
        text.push_str(&format!("{}\n", terminal.paint(Style::Dim, "▏")));
    }
    text.push('\n');
    let entries = entries(cells, names);
    let widest = entries.iter().map(|entry| entry.amount.chars().count()).max().unwrap_or_default();
    for Entry { label, name, amount, style, .. } in entries {
        let name = folded(&name, widest + 6, terminal.width);
        text.push_str(&format!("{label:>2}  {amount:<widest$}  {}\n", terminal.paint(style, &name)));
    }
    text
}

/// How much of a column is of a lane; that of zeros comes last.
pub(super) fn part(column: &Column, lane: usize) -> f64 {
    column.data.get(lane).copied().unwrap_or(column.zero)
}

/// The lane of what is stored as zeros.
pub(super) const ZEROS: usize = LANES;

/// Anything at all is to be seen, and only all of it is full.
fn glyph(part: f64) -> char {
    if part <= 0.0 {
        return ' ';
    }
    // Sums of parts come out a little short.
    let height = ((part * FULL.len() as f64 + 1e-6).floor() as usize).max(1);
    FULL.get(height.min(FULL.len()) - 1).copied().unwrap_or(' ')
}

/// Sizes above the lanes: where the map begins, its middle, and its end.
fn scale(cells: &Cells, width: usize) -> String {
    let end = cells.start.saturating_add(cells.length);
    let (first, middle, last) = (size(cells.start), size(cells.start + cells.length / 2), size(end));
    let room = width + 2;
    let gaps = room.saturating_sub(first.len() + middle.len() + last.len());
    let before = (room / 2).saturating_sub(first.len() + middle.len() / 2).min(gaps);
    format!("{first}{}{middle}{}{last}", " ".repeat(before.max(1)), " ".repeat(gaps.saturating_sub(before).max(1)))
}
