//! `info` as a table.

use qemu_exec::info::{
    BackingChain, Encryption, FormatSpecific, ImageInfo, LuksInfo, Qcow2Bitmap, Qcow2Info, Snapshot,
};

use super::Rows;
use crate::term::{Style, Terminal, columns, exact, printable, share, size};

pub(super) fn one(json: &[u8], terminal: Terminal) -> Option<String> {
    Some(table(&ImageInfo::from_json(json).ok()?, terminal))
}

pub(super) fn chain(json: &[u8], terminal: Terminal) -> Option<String> {
    let chain = BackingChain::from_json(json).ok()?;
    let tables: Vec<_> = chain.layers().map(|layer| table(layer, terminal)).collect();
    Some(tables.join("\n"))
}

fn table(info: &ImageInfo, terminal: Terminal) -> String {
    let mut rows = Rows::new(terminal);
    let qcow2 = match &info.format_specific {
        Some(FormatSpecific::Qcow2(qcow2)) => Some(&**qcow2),
        _ => None,
    };
    rows.row("format", format(info, qcow2));
    rows.row("virtual size", exact(info.virtual_size));
    rows.maybe("on disk", info.actual_size.map(|bytes| on_disk(bytes, info.virtual_size)));
    rows.maybe("cluster size", info.cluster_size.and_then(|bytes| u64::try_from(bytes).ok()).map(size));
    rows.maybe("encryption", encryption(info));
    rows.maybe("backing file", backing(info));
    rows.maybe("data file", qcow2.and_then(|qcow2| qcow2.data_file.as_deref()).map(printable));
    rows.maybe("extents", extents(info));
    rows.maybe("compression", qcow2.map(|qcow2| qcow2.compression_type.to_string()).filter(|kind| kind != "zlib"));
    rows.maybe("marked", marks(info, qcow2, terminal));
    rows.maybe("snapshots", info.snapshots.as_deref().filter(|all| !all.is_empty()).map(snapshots));
    let bitmap = |bitmap: &Qcow2Bitmap| {
        let state = match (bitmap.is_in_use(), bitmap.is_enabled()) {
            (true, _) => "cannot be trusted: it was not saved, or is in use",
            (false, true) => "enabled",
            (false, false) => "disabled",
        };
        format!("{:<8}  {state}  {}\n", size(bitmap.granularity.into()), printable(&bitmap.name))
    };
    let bitmaps: String = info.bitmaps().iter().map(bitmap).collect();
    rows.maybe("bitmaps", (!bitmaps.is_empty()).then_some(bitmaps));
    format!("{}\n{}", terminal.paint(Style::Bold, &printable(&info.filename)), rows.text())
}

fn format(info: &ImageInfo, qcow2: Option<&Qcow2Info>) -> String {
    let kind = match &info.format_specific {
        Some(FormatSpecific::Vmdk(vmdk)) => format!(", {}", printable(&vmdk.create_type)),
        _ => String::new(),
    };
    let version = qcow2.map_or_else(String::new, |qcow2| format!(", compat {}", printable(&qcow2.compat)));
    let extended = qcow2.is_some_and(|qcow2| qcow2.extended_l2 == Some(true));
    format!("{}{version}{kind}{}", printable(&info.format), if extended { ", subclusters" } else { "" })
}

fn on_disk(bytes: u64, of: u64) -> String {
    if bytes == 0 { size(bytes) } else { format!("{} ({})", size(bytes), share(bytes, of)) }
}

fn encryption(info: &ImageInfo) -> Option<String> {
    match info.encryption() {
        Encryption::None => None,
        Encryption::Luks(luks) => Some(described(luks)),
        Encryption::LegacyAes => Some("aes, which does not notice a wrong key".to_owned()),
        _ => Some("of an unknown kind".to_owned()),
    }
}

fn described(luks: &LuksInfo) -> String {
    let used = luks.slots.iter().filter(|slot| slot.active).count();
    let detached = if luks.detached_header == Some(true) { ", header in another file" } else { "" };
    let LuksInfo { cipher_alg, cipher_mode, ivgen_alg, hash_alg, slots, .. } = luks;
    let cipher = format!("luks, {cipher_alg} {cipher_mode} {ivgen_alg} {hash_alg}");
    printable(&format!("{cipher}, {used} of {} key slots in use{detached}", slots.len()))
}

/// The name as the image holds it, and where that leads.
fn backing(info: &ImageInfo) -> Option<String> {
    let name = info.backing_filename.as_deref()?;
    let format = match info.backing_filename_format.as_deref() {
        Some(format) => format!(" ({})", printable(format)),
        None => " (of no recorded format: qemu guesses)".to_owned(),
    };
    let full = info.full_backing_filename.as_deref().filter(|full| *full != name);
    let full = full.map_or_else(String::new, |full| format!("\nwhich is {}", printable(full)));
    Some(format!("{}{format}{full}", printable(name)))
}

/// The files of a VMDK image, if it has more than itself.
fn extents(info: &ImageInfo) -> Option<String> {
    let Some(FormatSpecific::Vmdk(vmdk)) = &info.format_specific else { return None };
    let others = vmdk.extents.iter().filter(|extent| extent.filename != info.filename);
    let lines: String = others
        .map(|extent| {
            format!(
                "{:<8}  {}\n",
                size(extent.virtual_size.try_into().unwrap_or_default()),
                printable(&extent.filename)
            )
        })
        .collect();
    (!lines.is_empty()).then_some(lines)
}

fn marks(info: &ImageInfo, qcow2: Option<&Qcow2Info>, terminal: Terminal) -> Option<String> {
    let corrupt = qcow2.is_some_and(|qcow2| qcow2.corrupt == Some(true));
    let corrupt = corrupt.then(|| terminal.paint(Style::Bad, "corrupt: look with `qimg check`"));
    let dirty = info.dirty_flag == Some(true);
    let dirty = dirty.then(|| terminal.paint(Style::Warning, "not closed cleanly, or in use"));
    let marks: Vec<_> = corrupt.into_iter().chain(dirty).collect();
    (!marks.is_empty()).then(|| marks.join(", "))
}

fn snapshots(snapshots: &[Snapshot]) -> String {
    let rows: Vec<[String; 4]> = snapshots
        .iter()
        .map(|snapshot| {
            let state = u64::try_from(snapshot.vm_state_size).unwrap_or_default();
            let state = if state == 0 { "disk only".to_owned() } else { size(state) };
            [printable(&snapshot.id), date(snapshot.date_sec), state, printable(&snapshot.name)]
        })
        .collect();
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| columns(cell)).max().unwrap_or_default()
    };
    let (id, state) = (width(0), width(2));
    let row = |[number, date, vm, name]: &[String; 4]| {
        let before = " ".repeat(id.saturating_sub(columns(number)));
        format!("{before}{number}  {date}  {vm:>state$}  {name}\n")
    };
    rows.iter().map(row).collect()
}

/// A time since 1970 in UTC. What is in no year of four digits is a number.
fn date(seconds: i64) -> String {
    let (days, second) = (seconds.div_euclid(86400), seconds.rem_euclid(86400));
    // The calendar repeats every 400 years, which begin on a 1 March here, so that a leap day is a year's last.
    let (era, day) = ((days + 719_468).div_euclid(146_097), (days + 719_468).rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let (of_month, month) = (of_year - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    let year = era * 400 + year + i64::from(month <= 2);
    if !(0..=9999).contains(&year) {
        return format!("{seconds} s");
    }
    let (hour, minute) = (second / 3600, second / 60 % 60);
    format!("{year:04}-{month:02}-{of_month:02} {hour:02}:{minute:02}:{:02} UTC", second % 60)
}
