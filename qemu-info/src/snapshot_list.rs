//! The table of internal snapshots.

use std::ops::Range;
use std::time::Duration;

use crate::Error;

/// A row of what `qemu-img snapshot -l` prints.
///
/// **Prefer [`ImageInfo::snapshots`](crate::ImageInfo::snapshots)**, which are exact and need no image below to be
/// opened. The table is for people: sizes are rounded, the date has no time zone (it is that of the environment
/// variable `TZ`), white space at the end of a name is lost, and whoever named a snapshot can have written rows of
/// their own into it. Names only stand here byte by byte.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SnapshotRow {
    /// The identifier.
    pub id: Vec<u8>,

    /// The name, without white space at its end.
    pub name: Vec<u8>,

    /// The size of the saved state of the virtual machine, rounded: `0 B`, `1.23 GiB`.
    pub vm_state_size: String,

    /// When it was made, in local time: `2026-01-31 23:59:59`.
    pub date: String,

    /// How long the virtual machine had been running, to the millisecond.
    pub vm_clock: Duration,

    /// How many instructions the virtual machine had executed. Absent if the image does not hold the number.
    pub icount: Option<i64>,
}

/// Reads the table that `qemu-img snapshot -l` prints; no rows if it printed nothing, which means that there are no
/// snapshots. See [`SnapshotRow`] for what to prefer.
///
/// The table differs from version to version: the widths of its columns, the heads `VM SIZE` and `VM_SIZE`, clocks
/// with two digits of hours and with four.
///
/// # Errors
///
/// [`Error::Text`] for anything but such a table that is complete.
pub fn parse_snapshot_list(stdout: &[u8]) -> Result<Vec<SnapshotRow>, Error> {
    if stdout.is_empty() {
        return Ok(Vec::new());
    }
    let rows = stdout.strip_prefix(b"Snapshot list:\n").ok_or_else(|| Error::text(stdout))?;
    let mut lines = rows.split_inclusive(|byte| *byte == b'\n');
    let head = lines.next().unwrap_or_default();
    let name_at = name_column(head).ok_or_else(|| Error::text(head))?;
    let mut rows = Vec::new();
    // A name can hold line feeds, so a row goes on until it ends as rows do.
    let mut row = Vec::new();
    for line in lines {
        let begun = row.len();
        row.extend_from_slice(line);
        // What it ends with is all in its last line.
        if let Some((before, tail)) = split_tail(line) {
            let names_and_size = row.get(..begun + before.len()).unwrap_or_default();
            rows.push(parse_row(names_and_size, tail, name_at).ok_or_else(|| Error::text(&row))?);
            row.clear();
        }
    }
    if row.is_empty() { Ok(rows) } else { Err(Error::text(&row)) }
}

/// Where the names stand, by the head of the table.
fn name_column(head: &[u8]) -> Option<usize> {
    let head = str::from_utf8(head).ok()?;
    let columns: Vec<&str> = head.split_whitespace().collect();
    let old = ["ID", "TAG", "VM", "SIZE", "DATE", "VM", "CLOCK", "ICOUNT"];
    let new = ["ID", "TAG", "VM_SIZE", "DATE", "VM_CLOCK", "ICOUNT"];
    (head.ends_with('\n') && (columns == old || columns == new)).then(|| head.find("TAG"))?
}

/// The end of a row: the fields that have a form of their own.
struct Tail<'a> {
    day: &'a str,
    time: &'a str,
    clock: Duration,
    icount: Option<&'a str>,
}

/// Takes the tail off a line with its line feed.
fn split_tail(line: &[u8]) -> Option<(&[u8], Tail<'_>)> {
    let (rest, last) = last_word(line.strip_suffix(b"\n")?)?;
    // Before 10.0 a number that is absent is left blank.
    let (rest, clock, icount) = match last {
        "--" => last_word(rest).map(|(rest, clock)| (rest, clock, None))?,
        clock if clock.contains(':') => (rest, clock, None),
        number => last_word(rest).map(|(rest, clock)| (rest, clock, Some(number)))?,
    };
    let clock = parse_clock(clock)?;
    let (rest, time) = last_word(rest)?;
    let (rest, day) = last_word(rest)?;
    let is_date = has_form(day, "0000-00-00") && has_form(time, "00:00:00");
    is_date.then_some((rest, Tail { day, time, clock, icount }))
}

fn parse_row(names_and_size: &[u8], tail: Tail<'_>, name_at: usize) -> Option<SnapshotRow> {
    let (rest, unit) = last_word(names_and_size)?;
    let (names, number) = last_word(rest)?;
    is_size(number, unit).then_some(())?;
    // Longer than its column, the identifier cannot be told from the name.
    let (id, name) = names.split_at_checked(name_at)?;
    id.last().is_some_and(|byte| *byte == b' ').then_some(())?;
    Some(SnapshotRow {
        id: id.trim_ascii_end().to_vec(),
        name: name.trim_ascii_end().to_vec(),
        vm_state_size: format!("{number} {unit}"),
        date: format!("{} {}", tail.day, tail.time),
        vm_clock: tail.clock,
        icount: tail.icount.map(str::parse).transpose().ok()?,
    })
}

/// The last word, and what is in front of it.
fn last_word(text: &[u8]) -> Option<(&[u8], &str)> {
    let end = text.iter().rposition(|byte| *byte != b' ')? + 1;
    let text = text.get(..end)?;
    let begin = text.iter().rposition(|byte| *byte == b' ').map_or(0, |space| space + 1);
    let (rest, word) = text.split_at_checked(begin)?;
    Some((rest, str::from_utf8(word).ok()?))
}

/// Whether `word` is `form` with any digits for its zeros.
fn has_form(word: &str, form: &str) -> bool {
    let byte_fits = |(byte, form): (u8, u8)| if form == b'0' { byte.is_ascii_digit() } else { byte == form };
    word.len() == form.len() && word.bytes().zip(form.bytes()).all(byte_fits)
}

/// Whether this is a size as qemu rounds it: up to 5.2, a longer "number" has the end of a name in front.
fn is_size(number: &str, unit: &str) -> bool {
    let digits = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') && number.len() <= "1.23".len();
    digits && ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"].contains(&unit)
}

fn parse_clock(clock: &str) -> Option<Duration> {
    let (hours, rest) = clock.split_once(':')?;
    has_form(rest, "00:00.000").then_some(())?;
    let number = |at: Range<usize>| rest.get(at)?.parse::<u64>().ok();
    let seconds = hours.parse::<u64>().ok()?.checked_mul(3600)?.checked_add(number(0..2)? * 60 + number(3..5)?)?;
    Some(Duration::from_secs(seconds) + Duration::from_millis(number(6..9)?))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    // As the versions print it. tests/tests/outputs.rs compares with the JSON of the real one.
    const V5_2: &str = "\
Snapshot list:
ID        TAG               VM SIZE                DATE     VM CLOCK     ICOUNT
1         one               1.23 GiB 2026-11-23 04:46:59 30:01:01.123           
2         name with  spaces     0 B 2026-11-23 04:42:38 00:00:00.000          0
3                               0 B 2026-11-23 04:42:38 00:00:00.000 -9223372036854775808
";
    const V10_0: &str = "\
Snapshot list:
ID      TAG               VM_SIZE                DATE        VM_CLOCK     ICOUNT
1       one              1.23 GiB 2026-11-23 04:47:00  0030:01:01.123         --
6       new
line              0 B 2026-11-23 04:42:39  0000:00:00.000          7
";

    fn rows(text: &str) -> Vec<SnapshotRow> {
        parse_snapshot_list(text.as_bytes()).unwrap()
    }

    #[test]
    fn the_tables_of_all_versions() {
        let old = rows(V5_2);
        assert_eq!(
            old.iter().map(|row| row.name.as_slice()).collect::<Vec<_>>(),
            [&b"one"[..], b"name with  spaces", b""]
        );
        assert_eq!(old.iter().map(|row| row.icount).collect::<Vec<_>>(), [None, Some(0), Some(i64::MIN)]);
        let new = rows(V10_0);
        assert_eq!((new[0].id.as_slice(), new[1].id.as_slice()), (&b"1"[..], &b"6"[..]));
        assert_eq!(new[1].name, b"new\nline");
        assert_eq!((new[0].icount, new[1].icount), (None, Some(7)));
        for row in [&old[0], &new[0]] {
            assert_eq!(row.vm_clock, Duration::from_millis(((30 * 60 + 1) * 60 + 1) * 1000 + 123));
            assert_eq!(row.vm_state_size, "1.23 GiB");
            assert!(row.date.starts_with("2026-11-23 04:4"));
        }
        assert_eq!(rows(""), []);
    }

    #[test]
    fn names_are_bytes() {
        let mut table = V10_0.as_bytes().to_vec();
        let at = table.windows(3).position(|name| name == b"one").unwrap();
        table[at] = 0xff;
        assert_eq!(parse_snapshot_list(&table).unwrap()[0].name, b"\xffne");
    }

    /// Lines of which none ends a row.
    #[test]
    fn a_row_is_not_gone_through_again_for_each_line() {
        let table = [V10_0, &"x\n".repeat(64 << 10)].concat();
        let Err(error) = parse_snapshot_list(table.as_bytes()) else { unreachable!() };
        assert!(error.to_string().len() < 1000);
    }

    #[test]
    fn every_cut_is_noticed_but_between_rows() {
        let between_rows = |cut: &str| cut.ends_with('\n') && cut.contains("ICOUNT") && !cut.ends_with("new\n");
        for table in [V5_2, V10_0] {
            for end in 1..table.len() {
                let cut = &table[..end];
                assert_eq!(parse_snapshot_list(cut.as_bytes()).is_ok(), between_rows(cut), "{cut}");
            }
        }
    }

    #[test]
    fn what_is_not_a_row() {
        let table = V10_0.split_once("6  ").unwrap().0;
        assert_eq!(rows(table).len(), 1);
        for (from, to) in [
            ("Snapshot list", "Snapshots"),
            ("TAG", "NAME"),
            ("1       one", "12345678one"),
            ("1.23 GiB", "x1.23 GiB"),
            ("1.23 GiB", "1.23 GB"),
            ("2026-11-23", "23.11.2026"),
            ("30:01:01.123", "30:01:01,123"),
            ("30:01:01.123", "18446744073709551615:01:01.123"),
            ("--\n", "9223372036854775808\n"),
            ("--\n", "-\n"),
        ] {
            assert!(table.contains(from));
            let read = parse_snapshot_list(table.replace(from, to).as_bytes());
            assert!(matches!(read, Err(Error::Text { .. })), "{to}: {read:?}");
        }
        // What ends as a row does must be one, and is never taken for the first line of the next row's name.
        assert!(parse_snapshot_list(V10_0.replace("1.23 GiB", "x1.23 GiB").as_bytes()).is_err());
        // 5.2 leaves no space between the two.
        let table = V5_2.replace("one               1.23", "12345678901234567890 1.23");
        assert!(parse_snapshot_list(table.as_bytes()).is_ok());
        assert!(parse_snapshot_list(table.replace("0 1.23", "01.23").as_bytes()).is_err());
    }
}
