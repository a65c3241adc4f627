//! `check` as a table.

use qemu_exec::info::{CheckReport, CheckVerdict};

use super::Rows;
use crate::term::{Style, Terminal, printable, share, size};

pub(super) fn text(json: &[u8], terminal: Terminal) -> Option<String> {
    if json.trim_ascii().is_empty() {
        // It could not be checked, and qemu-img has said so.
        return Some(String::new());
    }
    let report = CheckReport::from_json(json).ok()?;
    let (style, verdict) = match report.verdict() {
        CheckVerdict::Clean if report.corruptions_fixed > 0 || report.leaks_fixed > 0 => (Style::Good, "repaired"),
        CheckVerdict::Clean => (Style::Good, "clean"),
        CheckVerdict::Leaking => (Style::Warning, "leaking: space is lost, no data; `check -r leaks` frees it"),
        CheckVerdict::Corrupt => (Style::Bad, "corrupt: data is lost or will be; copy it, then `check -r all` repairs"),
        _ => (Style::Bad, "not all of it could be checked"),
    };
    let mut rows = Rows::new(terminal);
    for (name, count) in [
        ("check errors", report.check_errors),
        ("corruptions", report.corruptions),
        ("leaked clusters", report.leaks),
        ("corruptions repaired", report.corruptions_fixed),
        ("leaks freed", report.leaks_fixed),
    ] {
        rows.maybe(name, (count > 0).then(|| count.to_string()));
    }
    let CheckReport { total_clusters, allocated_clusters, fragmented_clusters, compressed_clusters, .. } = report;
    if total_clusters > 0 {
        let share = share(allocated_clusters, total_clusters);
        rows.row("allocated", format!("{allocated_clusters} of {total_clusters} clusters ({share})"));
    }
    for (name, count) in [("fragmented", fragmented_clusters), ("compressed", compressed_clusters)] {
        rows.maybe(name, (count > 0).then(|| format!("{count} clusters ({})", share(count, allocated_clusters))));
    }
    rows.maybe("image ends at", (report.image_end_offset > 0).then(|| size(report.image_end_offset)));
    let name = terminal.paint(Style::Bold, &printable(&report.filename));
    let format = printable(&report.format);
    Some(format!("{name} ({format}): {}\n{}", terminal.paint(style, verdict), rows.text()))
}
