//! A map as it comes, in constant memory: how much of each stretch of the disk comes from which image.

use std::io::{self, BufReader, Read, Write};

use qemu_exec::info::{Error, MapExtent, MapExtents};

/// How many images of a chain are told apart; the last place is for all that are deeper.
pub(super) const LANES: usize = 16;

/// How many stretches there are at most. It is many for each column of a terminal, and two for each of a picture.
const CELLS: usize = 2048;

/// The shortest stretch, in bytes.
const SMALLEST: u64 = 512;

/// What is in one stretch of the disk, in bytes. The rest of it is nothing.
#[derive(Clone, Copy, Default)]
pub(super) struct Cell {
    pub(super) data: [u64; LANES],
    /// Zeros that some image says are there: it was written so, or is a hole in a raw file.
    pub(super) zero: u64,
}

/// A part of the disk, as parts of one: the same as a [`Cell`].
pub(super) struct Column {
    pub(super) data: [f64; LANES],
    pub(super) zero: f64,
}

/// All of a map.
pub(crate) struct Cells {
    /// Where the map begins: 0, unless a part was asked for.
    pub(super) start: u64,
    /// How long it is.
    pub(super) length: u64,
    /// What is in all of it.
    pub(super) total: Cell,
    pub(super) compressed: u64,
    /// Whether zeros that are stored are told from what is in no image, as they are since qemu 6.1.
    pub(super) tells_zeros: bool,
    cell: u64,
    cells: Vec<Cell>,
    empty: bool,
}

impl Cell {
    fn add(&mut self, other: &Self) {
        for (sum, part) in self.data.iter_mut().zip(other.data) {
            *sum = sum.saturating_add(part);
        }
        self.zero = self.zero.saturating_add(other.zero);
    }
}

impl Cells {
    fn new() -> Self {
        let total = Cell::default();
        Self {
            start: 0,
            length: 0,
            total,
            compressed: 0,
            tells_zeros: true,
            cell: SMALLEST,
            cells: Vec::new(),
            empty: true,
        }
    }

    /// Reads what `qemu-img map --output=json` prints, and passes it on to `copy` as it comes.
    pub(super) fn read<'a>(pipe: &'a mut impl Read, copy: Option<&'a mut dyn Write>) -> Result<Self, Error> {
        let mut cells = Self::new();
        let tee = Tee { pipe, copy };
        for extent in MapExtents::new(BufReader::new(tee)) {
            cells.extent(&extent?);
        }
        Ok(cells)
    }

    fn extent(&mut self, extent: &MapExtent) {
        if self.empty {
            self.start = extent.start;
            self.empty = false;
        }
        let range = extent.range();
        let (start, end) = (range.start.saturating_sub(self.start), range.end.saturating_sub(self.start));
        self.length = self.length.max(end);
        while end.div_ceil(self.cell) > CELLS as u64 {
            self.coarser();
        }
        self.tells_zeros &= extent.present.is_some();
        let zero = extent.zero && !extent.data && extent.present == Some(true);
        if !extent.data && !zero {
            return;
        }
        let lane = usize::try_from(extent.depth).unwrap_or(LANES).min(LANES - 1);
        let of = |bytes: u64| {
            let mut cell = Cell::default();
            match cell.data.get_mut(lane) {
                Some(data) if extent.data => *data = bytes,
                _ => cell.zero = bytes,
            }
            cell
        };
        self.total.add(&of(end - start));
        if extent.compressed == Some(true) {
            self.compressed = self.compressed.saturating_add(end - start);
        }
        let mut at = start;
        while at < end {
            let index = at / self.cell;
            let next = (index + 1).saturating_mul(self.cell).min(end);
            let index = usize::try_from(index).unwrap_or(CELLS);
            if self.cells.len() <= index {
                self.cells.resize(index + 1, Cell::default());
            }
            if let Some(cell) = self.cells.get_mut(index) {
                cell.add(&of(next - at));
            }
            at = next;
        }
    }

    /// Makes one stretch of every two.
    fn coarser(&mut self) {
        self.cell *= 2;
        let pairs = self.cells.chunks(2).map(|pair| {
            pair.iter().fold(Cell::default(), |mut sum, cell| {
                sum.add(cell);
                sum
            })
        });
        self.cells = pairs.collect();
    }

    /// The map in so many columns of equal length.
    pub(super) fn columns(&self, count: usize) -> Vec<Column> {
        let width = self.length as f64 / count.max(1) as f64;
        (0..count).map(|column| self.column(column as f64 * width, width)).collect()
    }

    fn column(&self, from: f64, width: f64) -> Column {
        let mut column = Column { data: [0.0; LANES], zero: 0.0 };
        if width <= 0.0 {
            return column;
        }
        let (cell, to) = (self.cell as f64, from + width);
        let first = (from / cell) as usize;
        for (index, content) in self.cells.iter().enumerate().skip(first) {
            let start = index as f64 * cell;
            if start >= to {
                break;
            }
            let end = (start + cell).min(self.length as f64);
            // What is in a stretch is taken to be spread out over it.
            let share = (end.min(to) - start.max(from)).max(0.0) / (end - start) / width;
            for (sum, bytes) in column.data.iter_mut().zip(content.data) {
                *sum += bytes as f64 * share;
            }
            column.zero += content.zero as f64 * share;
        }
        column
    }

    /// The images that have any of it.
    pub(super) fn lanes(&self) -> impl Iterator<Item = (usize, u64)> {
        self.total.data.iter().copied().enumerate().filter(|(_, bytes)| *bytes > 0)
    }

    /// What is neither data nor zeros.
    pub(super) fn nothing(&self) -> u64 {
        let said = self.total.data.iter().fold(self.total.zero, |sum, bytes| sum.saturating_add(*bytes));
        self.length.saturating_sub(said)
    }
}

/// What is read is written too, until that fails.
struct Tee<'a, R> {
    pipe: &'a mut R,
    copy: Option<&'a mut dyn Write>,
}

impl<R: Read> Read for Tee<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.pipe.read(buffer)?;
        if let Some(copy) = &mut self.copy {
            copy.write_all(buffer.get(..count).unwrap_or_default())?;
        }
        Ok(count)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn read(json: &str) -> Cells {
        Cells::read(&mut json.as_bytes(), None).unwrap()
    }

    fn entry(start: u64, length: u64, depth: u64, what: &str) -> String {
        let (present, zero, data) = match what {
            "data" => (true, false, true),
            "zero" => (true, true, false),
            _ => (false, true, false),
        };
        format!(
            r#"{{"start":{start},"length":{length},"depth":{depth},"present":{present},"zero":{zero},"data":{data}}}"#
        )
    }

    #[test]
    fn bytes_are_where_they_are() {
        let map = [entry(0, 1024, 0, "data"), entry(1024, 1024, 1, "zero"), entry(2048, 2048, 2, "nothing")].join(",");
        let cells = read(&format!("[{map}]"));
        assert_eq!((cells.length, cells.total.data[0], cells.total.zero, cells.nothing()), (4096, 1024, 1024, 2048));
        let columns = cells.columns(4);
        assert_eq!(columns.iter().map(|column| column.data[0]).collect::<Vec<_>>(), [1.0, 0.0, 0.0, 0.0]);
        assert_eq!(columns.iter().map(|column| column.zero).collect::<Vec<_>>(), [0.0, 1.0, 0.0, 0.0]);
        let half = cells.columns(1);
        assert_eq!((half[0].data[0], half[0].zero), (0.25, 0.25));
        assert_eq!(cells.lanes().collect::<Vec<_>>(), [(0, 1024)]);
    }

    #[test]
    fn the_memory_stays_the_same_and_nothing_is_lost() {
        // Sixty-four kibibytes of data, as many of nothing, over and over.
        let map: Vec<_> = (0..40_000_u64)
            .map(|index| entry(index << 16, 1 << 16, index % 40, if index % 2 == 0 { "data" } else { "nothing" }))
            .collect();
        let cells = read(&format!("[{}]", map.join(",")));
        assert!(cells.cells.len() <= CELLS);
        assert_eq!(cells.total.data.iter().sum::<u64>(), 20_000 << 16);
        assert_eq!(cells.cells.iter().flat_map(|cell| cell.data).sum::<u64>(), 20_000 << 16);
        let whole: f64 = cells.columns(80).iter().flat_map(|column| column.data).sum::<f64>() / 80.0;
        assert!((whole - 0.5).abs() < 0.01, "{whole}");
        // Image 15 stands for all that are deeper: of 20 even depths the last 12.
        assert_eq!(cells.total.data[15], 12_000 << 16);
    }

    #[test]
    fn a_part_begins_where_it_begins() {
        let cells = read(&format!("[{}]", entry(1 << 40, 4096, 0, "data")));
        assert_eq!((cells.start, cells.length, cells.cell), (1 << 40, 4096, SMALLEST));
        assert_eq!(cells.columns(3).iter().map(|column| column.data[0].round()).collect::<Vec<_>>(), [1.0; 3]);
        let end = read(&format!("[{}]", entry(0, u64::MAX, 0, "data")));
        assert!(end.cells.len() <= CELLS && end.total.data[0] == u64::MAX);
        let none = read(r#"[{"start":0,"length":0,"depth":0,"zero":false,"data":false}]"#);
        assert_eq!((none.length, none.columns(2)[0].zero), (0, 0.0));
        assert!(Cells::read(&mut &b"[{"[..], None).is_err());
    }
}
