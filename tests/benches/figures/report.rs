//! The figures as lines for a terminal, and as a page with a plot for those who come later.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::{fs, io};

use tests::bare;

use crate::measure::{Figure, Limit, Spread, Value};

pub(crate) const HEADINGS: &str =
    "group        figure                                       measured    yardstick   ratio [quartiles]     limit";

/// A figure for a terminal.
pub(crate) fn line(group: &str, figure: &Figure) -> String {
    let name = &figure.name;
    let (measured, yardstick, ratio) = columns(figure);
    let missed = if figure.missed() { "  MISSED" } else { "" };
    format!("{group:<12} {name:<42} {measured:>10} {yardstick:>12}   {ratio:<20}  {}{missed}", limit(figure.limit))
}

/// What was measured, the yardstick, and the ratio.
fn columns(figure: &Figure) -> (String, String, String) {
    match &figure.value {
        Value::Times { ours, yardstick, ratio } => {
            let Spread { low, median, high } = ratio;
            let precision = if *median < 0.1 { 3 } else { 2 };
            let ratio = format!("{median:.precision$} [{low:.precision$}–{high:.precision$}]");
            (time(ours.median), time(yardstick.median), ratio)
        }
        Value::Memory(mebibytes) => (format!("{mebibytes:.1} MiB"), String::new(), String::new()),
    }
}

/// Three digits, with the unit.
fn time(seconds: f64) -> String {
    let (value, unit) = match seconds {
        _ if seconds < 1e-3 => (seconds * 1e6, "µs"),
        _ if seconds < 1.0 => (seconds * 1e3, "ms"),
        _ => (seconds, "s"),
    };
    let precision = if value < 10.0 { 2 } else { 1 };
    format!("{value:.precision$} {unit}")
}

fn limit(limit: Limit) -> String {
    match limit {
        Limit::Ratio(ratio) => format!("≤ {ratio:.2} ×"),
        Limit::Time(limit) => format!("≤ {} µs", limit.as_micros()),
        Limit::Mebibytes(most) => format!("≤ {most} MiB"),
        Limit::None => String::new(),
    }
}

/// Writes `DATE.md` and `DATE.svg`.
pub(crate) fn save(directory: &Path, figures: &[(&str, Figure)]) -> io::Result<()> {
    let date = said_by(Command::new("date").args(["-u", "+%Y-%m-%d"]));
    fs::create_dir_all(directory)?;
    fs::write(directory.join(format!("{date}.svg")), plot(figures))?;
    fs::write(directory.join(format!("{date}.md")), page(&date, figures))
}

fn page(date: &str, figures: &[(&str, Figure)]) -> String {
    let mut page = format!(
        "# Figures of {date}\n\n\
         Made by `cargo xtask bench --save`. Medians; ratios are taken pair by pair, with their quartiles.\n\n\
         * {}\n* Linux {}, {} processors\n* {}\n\n\
         ![The ratios as a plot]({date}.svg)\n\n\
         | group | figure | measured | yardstick | | ratio | limit | rounds |\n|---|---|--:|---|--:|---|---|--:|\n",
        String::from_utf8_lossy(&bare(["--version"]).stdout).lines().next().unwrap_or_default(),
        said_by(Command::new("uname").arg("-r")),
        std::thread::available_parallelism().map_or(1, usize::from),
        said_by(Command::new("rustc").arg("--version")),
    );
    for (group, figure) in figures {
        let (measured, yardstick, ratio) = columns(figure);
        let missed = if figure.missed() { " **missed**" } else { "" };
        let Figure { name, yardstick: against, rounds, .. } = figure;
        writeln!(
            page,
            "| {group} | {name} | {measured} | {against} | {yardstick} | {ratio} | {}{missed} | {rounds} |",
            limit(figure.limit)
        )
        .unwrap();
    }
    page
}

fn said_by(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A row a figure: the ratio as a dot, its quartiles as a line, its limit as a tick; 1 is the yardstick.
fn plot(figures: &[(&str, Figure)]) -> String {
    const LEFT: f64 = 330.0;
    const WIDTH: f64 = 480.0;
    const ROW: f64 = 24.0;
    const TOP: f64 = 58.0;
    let rows: Vec<_> = figures
        .iter()
        .filter_map(|(_, figure)| match &figure.value {
            Value::Times { ratio, .. } => Some((figure, *ratio)),
            Value::Memory(_) => None,
        })
        .collect();
    let ratios = rows.iter().flat_map(|(_, ratio)| [ratio.low, ratio.high]);
    let (least, most) = ratios.fold((0.1_f64, 4.0_f64), |(least, most), at| (least.min(at), most.max(at)));
    // Twice as fast is as far from 1 as half as fast.
    let (first, last) = (least.log2().floor(), most.log2().ceil());
    let x = |ratio: f64| LEFT + WIDTH * (ratio.log2() - first) / (last - first);
    let height = TOP + ROW * rows.len() as f64 + 14.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 900 {height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<style>\
         .paper {{ fill: #fff }} text {{ fill: #222 }} .tick {{ stroke: #222 }} .faint {{ stroke: #ccc }} \
         .good {{ stroke: #0a6e5c; fill: #0a6e5c }} .bad {{ stroke: #b3261e; fill: #b3261e }} \
         @media (prefers-color-scheme: dark) {{ \
         .paper {{ fill: #1b1b1b }} text {{ fill: #eee }} .tick {{ stroke: #eee }} .faint {{ stroke: #555 }} \
         .good {{ stroke: #4cc2a8; fill: #4cc2a8 }} .bad {{ stroke: #ff8a80; fill: #ff8a80 }} }}</style>\n\
         <rect width=\"100%\" height=\"100%\" class=\"paper\"/>\n\
         <text x=\"14\" y=\"24\" font-size=\"15\">Times the yardstick, on a logarithmic scale: \
         medians with quartiles, and limits as ticks</text>\n"
    );
    let mut line = |text: std::fmt::Arguments<'_>| writeln!(svg, "{text}").unwrap();
    for power in first as i32..=last as i32 {
        let (ratio, at) = (2_f64.powi(power), x(2_f64.powi(power)));
        let label = if power >= 0 { format!("{ratio}") } else { format!("1/{}", 2_f64.powi(-power)) };
        let bottom = height - 10.0;
        let width = if power == 0 { 2 } else { 1 };
        line(format_args!("<text x=\"{at:.1}\" y=\"46\" text-anchor=\"middle\">{label}</text>"));
        line(format_args!("<path class=\"faint\" stroke-width=\"{width}\" d=\"M{at:.1} 50V{bottom}\"/>"));
    }
    for (index, (figure, ratio)) in rows.iter().enumerate() {
        let y = TOP + ROW * (index as f64 + 0.5);
        let class = if figure.missed() { "bad" } else { "good" };
        let (low, median, high) = (x(ratio.low), x(ratio.median), x(ratio.high));
        let name = figure.name.replace('&', "&amp;").replace('<', "&lt;");
        let label = LEFT - 14.0;
        line(format_args!("<text x=\"{label}\" y=\"{:.1}\" text-anchor=\"end\">{name}</text>", y + 4.0));
        line(format_args!(
            "<g class=\"{class}\"><path stroke-width=\"3\" d=\"M{low:.1} {y:.1}H{high:.1}\"/>\
             <circle cx=\"{median:.1}\" cy=\"{y:.1}\" r=\"4\"/></g>"
        ));
        if let Some(limit) = limit_as_ratio(figure) {
            let (at, top, bottom) = (x(limit), y - 8.0, y + 8.0);
            line(format_args!("<path class=\"tick\" stroke-width=\"2\" d=\"M{at:.1} {top:.1}V{bottom:.1}\"/>"));
        }
        let value = LEFT + WIDTH + 14.0;
        line(format_args!("<text x=\"{value}\" y=\"{:.1}\">{:.2}</text>", y + 4.0, ratio.median));
    }
    svg.push_str("</svg>\n");
    svg
}

/// Where the limit stands among the ratios; a time, by what the yardstick took.
fn limit_as_ratio(figure: &Figure) -> Option<f64> {
    match (figure.limit, &figure.value) {
        (Limit::Ratio(ratio), _) => Some(ratio),
        (Limit::Time(limit), Value::Times { yardstick, .. }) => Some(limit.as_secs_f64() / yardstick.median),
        _ => None,
    }
}
