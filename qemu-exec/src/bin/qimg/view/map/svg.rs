//! A map as a picture: what the guest reads on top, and below it a lane for each image that has something of it.

use std::fmt::Write as _;

use super::cells::{Cells, Column};
use super::strip::{ZEROS, part};
use super::{Entry, Names, entries};
use crate::term::size;

/// The picture, and in it the drawing, in pixels; a column of the drawing is one.
const WIDTH: usize = 960;
const MARGIN: usize = 28;
const INNER: usize = WIDTH - 2 * MARGIN;

/// How high what the guest reads, a lane, and a lane with its text are drawn.
const BAND: usize = 56;
const LANE: usize = 18;
const ROW: usize = 48;

/// How many characters of a name there is room for.
const NAME: usize = 84;

/// Colours that can be told apart, on light and on dark: those of images, which come round again, then of zeros.
const COLOURS: [&str; 6] = ["#3b82f6", "#f97316", "#10b981", "#a855f7", "#06b6d4", "#ca8a04"];
const ZERO_COLOUR: &str = "#94a3b8";

const STYLE: &str = "
  text { font: 13px system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif; fill: #0f172a }
  .title { font-size: 17px; font-weight: 600 }
  .muted { fill: #64748b; font-size: 12px }
  .end { text-anchor: end }
  .middle { text-anchor: middle }
  .paper { fill: #ffffff }
  .track { fill: #eef2f7 }
  .tick { stroke: #cbd5e1 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e2e8f0 }
    .muted { fill: #94a3b8 }
    .paper { fill: #0f172a }
    .track { fill: #1e293b }
    .tick { stroke: #475569 }
  }
";

pub(super) fn text(cells: &Cells, names: &Names) -> String {
    let entries = entries(cells, names);
    let columns = cells.columns(INNER);
    let (lanes, notes): (Vec<_>, Vec<_>) = entries.iter().partition(|entry| entry.lane.is_some());
    let top = MARGIN + 46;
    let rows = top + BAND + 44;
    let height = rows + lanes.len() * ROW + notes.len() * 22 + MARGIN / 2;
    let title = escaped(&names.title(cells));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" \
         role=\"img\">\n<title>{title}</title>\n<style>{STYLE}</style>\n\
         <rect class=\"paper\" width=\"{WIDTH}\" height=\"{height}\" rx=\"10\"/>\n\
         <text class=\"title\" x=\"{MARGIN}\" y=\"{}\">{}</text>\n\
         <text class=\"muted\" x=\"{MARGIN}\" y=\"{}\">what the guest reads, by the image that it comes from</text>\n",
        MARGIN + 14,
        shortened(&names.title(cells)),
        MARGIN + 36,
    );
    band(&mut svg, top, &columns, &lanes);
    ticks(&mut svg, top + BAND, cells);
    for (index, entry) in lanes.iter().enumerate() {
        row(&mut svg, rows + index * ROW, entry, &columns);
    }
    for (index, entry) in notes.iter().enumerate() {
        let y = rows + lanes.len() * ROW + index * 22 + 8;
        let _ = writeln!(svg, "<text class=\"muted\" x=\"{MARGIN}\" y=\"{y}\">{}</text>", escaped(&entry.name));
        let _ = writeln!(
            svg,
            "<text class=\"muted end\" x=\"{}\" y=\"{y}\">{}</text>",
            WIDTH - MARGIN,
            escaped(&entry.amount)
        );
    }
    svg.push_str("</svg>\n");
    svg
}

fn colour(lane: usize) -> &'static str {
    if lane == ZEROS { ZERO_COLOUR } else { COLOURS.get(lane % COLOURS.len()).copied().unwrap_or(ZERO_COLOUR) }
}

/// Everything in one: the images upon each other.
fn band(svg: &mut String, y: usize, columns: &[Column], lanes: &[&Entry]) {
    let _ = writeln!(
        svg,
        "<clipPath id=\"band\"><rect x=\"{MARGIN}\" y=\"{y}\" width=\"{INNER}\" height=\"{BAND}\" rx=\"6\"/></clipPath>\n\
         <g clip-path=\"url(#band)\">\n\
         <rect class=\"track\" x=\"{MARGIN}\" y=\"{y}\" width=\"{INNER}\" height=\"{BAND}\"/>"
    );
    let mut below = vec![0.0; columns.len()];
    for lane in lanes.iter().filter_map(|entry| entry.lane) {
        let bars = columns.iter().zip(&mut below).map(|(column, below)| {
            let bottom = *below;
            *below += part(column, lane);
            (pixels(bottom, BAND), pixels(*below, BAND))
        });
        area(svg, y + BAND, colour(lane), bars);
    }
    svg.push_str("</g>\n");
}

/// One image: what it is called, how much it has, and where.
fn row(svg: &mut String, y: usize, entry: &Entry, columns: &[Column]) {
    let Some(lane) = entry.lane else { return };
    let (text, bar) = (y + 4, y + 14);
    let _ = writeln!(
        svg,
        "<g><title>{}</title>\n<rect x=\"{MARGIN}\" y=\"{}\" width=\"10\" height=\"10\" rx=\"3\" fill=\"{}\"/>\n\
         <text x=\"{}\" y=\"{text}\">{}</text>\n<text class=\"muted end\" x=\"{}\" y=\"{text}\">{}</text>\n\
         <rect class=\"track\" x=\"{MARGIN}\" y=\"{bar}\" width=\"{INNER}\" height=\"{LANE}\" rx=\"4\"/>",
        escaped(&entry.name),
        text - 10,
        colour(lane),
        MARGIN + 18,
        shortened(&entry.name),
        WIDTH - MARGIN,
        escaped(&entry.amount),
    );
    area(svg, bar + LANE, colour(lane), columns.iter().map(|column| (0, pixels(part(column, lane), LANE))));
    svg.push_str("</g>\n");
}

/// Bars side by side, each from and to so many pixels above `bottom`, as one path.
fn area(svg: &mut String, bottom: usize, colour: &str, bars: impl Iterator<Item = (usize, usize)>) {
    let mut path = String::new();
    let mut run: Option<(usize, usize, (usize, usize))> = None;
    // A bar of no height ends the last one.
    for (x, bar) in bars.chain([(0, 0)]).enumerate() {
        match &mut run {
            Some((_, end, of)) if *of == bar => *end = x + 1,
            run => {
                if let Some((start, end, (low, high))) =
                    run.replace((x, x + 1, bar)).filter(|(_, _, bar)| bar.1 > bar.0)
                {
                    let (x, y, width, height) = (MARGIN + start, bottom - high, end - start, high - low);
                    let _ = write!(path, "M{x} {y}h{width}v{height}h-{width}z");
                }
            }
        }
    }
    if !path.is_empty() {
        let _ = writeln!(svg, "<path fill=\"{colour}\" d=\"{path}\"/>");
    }
}

/// A part of a height in pixels: one at least, for what is there at all.
fn pixels(part: f64, of: usize) -> usize {
    if part <= 0.0 { 0 } else { ((part * of as f64).round() as usize).clamp(1, of) }
}

/// Sizes below the band, from one end to the other.
fn ticks(svg: &mut String, y: usize, cells: &Cells) {
    for quarter in 0..=4_usize {
        let x = MARGIN + INNER * quarter / 4;
        let at = cells.start + (u128::from(cells.length) * quarter as u128 / 4) as u64;
        let anchor = match quarter {
            0 => "",
            4 => " end",
            _ => " middle",
        };
        let _ = writeln!(
            svg,
            "<line class=\"tick\" x1=\"{x}\" x2=\"{x}\" y1=\"{y}\" y2=\"{}\"/>\
             <text class=\"muted{anchor}\" x=\"{x}\" y=\"{}\">{}</text>",
            y + 5,
            y + 18,
            size(at),
        );
    }
}

/// What fits of a name: its beginning and its end.
fn shortened(name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    if chars.len() <= NAME {
        return escaped(name);
    }
    let (head, tail) = (chars.iter().take(NAME / 2), chars.iter().skip(chars.len() - NAME / 2));
    escaped(&format!("{}…{}", head.collect::<String>(), tail.collect::<String>()))
}

/// Text of XML, in which some characters cannot stand at all.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\u{fffe}' | '\u{ffff}' => safe.push(char::REPLACEMENT_CHARACTER),
            c if c.is_control() => safe.push(char::REPLACEMENT_CHARACTER),
            c => safe.push(c),
        }
    }
    safe
}
