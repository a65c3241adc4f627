//! `map` as a drawing: in the terminal, and as a picture.

mod cells;
mod strip;
mod svg;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use qemu_exec::cmd::{CommandLine, Location, Subcommand};
use qemu_exec::{Executor, OutputReader, Request};

use crate::chain::{Reach, walk};
use crate::term::{Style, Terminal, printable, share, size};
use crate::{Error, complain, own, run};

use cells::{Cells, LANES};
use strip::ZEROS;

/// What is to be made of a map.
#[derive(Clone)]
pub(crate) struct Drawing {
    /// It is drawn in the terminal.
    pub(super) strip: bool,
    /// What qemu-img prints is printed too.
    pub(super) json: bool,
    /// The file of the picture; `-` for standard output.
    pub(super) svg: Option<PathBuf>,
}

/// Takes `--svg FILE` out of a command line of `map`, which is qemu-img's but for that.
pub(crate) fn take_svg(command: &[OsString]) -> Result<(Vec<OsString>, Option<PathBuf>), Error> {
    let (mut taken, rest) = own::take_out(command.iter().cloned(), own::added(Subcommand::Map))?;
    let svg = taken.pop().map(|(_, file)| PathBuf::from(file));
    if let Some(file) = &svg {
        check_picture(file)?;
    }
    Ok((rest, svg))
}

/// A picture may be made anew; anything else that has its name may be somebody's image.
fn check_picture(file: &Path) -> Result<(), Error> {
    if file.as_os_str() == "-" {
        return Ok(());
    }
    let mut begin = [0; 4];
    let read = match file.metadata() {
        Ok(meta) if meta.is_file() && meta.len() > 0 => {
            File::open(file).and_then(|mut open| open.read_exact(&mut begin))
        }
        _ => return Ok(()),
    };
    if read.is_ok() && begin == *b"<svg" {
        return Ok(());
    }
    Err(format!("`{}` exists and is not an SVG picture: give --svg another name", file.display()).into())
}

/// What the images of a chain are called.
pub(super) struct Names {
    names: Vec<String>,
}

impl Names {
    /// qemu-img opens what the images name; of that, only files are looked at here.
    fn of(request: &Request<'_>, line: &CommandLine) -> Self {
        let top = request.invocation.reads().first().and_then(Location::path);
        let format = line.value("f").and_then(|format| format.to_str());
        let links = top.map(|top| walk(top, format, Reach::Anywhere)).unwrap_or_default();
        Self { names: links.iter().map(|link| printable(&link.name)).collect() }
    }

    fn title(&self, cells: &Cells) -> String {
        let name = self.names.first().map_or("image", String::as_str);
        if cells.length == 0 {
            return format!("{name}: nothing is in it");
        }
        let data = cells.lanes().fold(0_u64, |sum, (_, bytes)| sum.saturating_add(bytes));
        format!("{name}: {} of {} is data", share(data, cells.length), size(cells.length))
    }

    fn name(&self, depth: usize) -> String {
        match self.names.get(depth) {
            _ if depth == LANES - 1 => format!("image {depth} and all below it"),
            Some(name) => name.clone(),
            None => format!("image {depth} of the chain"),
        }
    }
}

/// One line of the legend, and of the drawing unless it is about nothing.
pub(super) struct Entry {
    lane: Option<usize>,
    label: String,
    name: String,
    amount: String,
    style: Style,
}

/// The images that have some of it, from the top one down, then zeros, then what is in none.
pub(super) fn entries(cells: &Cells, names: &Names) -> Vec<Entry> {
    let part = |bytes: u64| format!("{}, {}", size(bytes), share(bytes, cells.length));
    let image = |(depth, bytes): (usize, u64)| Entry {
        lane: Some(depth),
        label: depth.to_string(),
        name: names.name(depth),
        amount: part(bytes),
        style: Style::Layer(depth),
    };
    let mut entries: Vec<Entry> = cells.lanes().map(image).collect();
    if cells.total.zero > 0 {
        let amount = part(cells.total.zero);
        entries.push(Entry {
            lane: Some(ZEROS),
            label: "z".to_owned(),
            name: "zeros, stored as such".to_owned(),
            amount,
            style: Style::Warning,
        });
    }
    if cells.nothing() > 0 {
        entries.push(Entry {
            lane: None,
            label: String::new(),
            name: if cells.tells_zeros { "in no image, and reads as zeros" } else { "zeros, stored or in no image" }
                .to_owned(),
            amount: part(cells.nothing()),
            style: Style::Dim,
        });
    }
    if cells.compressed > 0 {
        let amount = part(cells.compressed);
        let name = "of the data is compressed".to_owned();
        entries.push(Entry { lane: None, label: String::new(), name, amount, style: Style::Dim });
    }
    entries
}

impl Drawing {
    pub(super) fn run(
        &self,
        executor: &dyn Executor,
        request: Request<'_>,
        line: &CommandLine,
        advise: bool,
    ) -> Result<ExitCode, Error> {
        let read = |mut pipe: OutputReader| {
            let mut stdout = io::stdout();
            let copy = if self.json { Some(&mut stdout as &mut dyn io::Write) } else { None };
            let cells = Cells::read(&mut pipe, copy);
            // Whoever stops reading ends qemu-img.
            let _ = io::copy(&mut pipe, &mut io::sink());
            cells
        };
        let names = Names::of(&request, line);
        let (cells, code) = run::read(executor, request, advise, read)?;
        if code != ExitCode::SUCCESS {
            return Ok(code);
        }
        let cells = match cells {
            Ok(cells) => cells,
            Err(error) => {
                complain(&*Error::from(format!("no drawing can be made of what qemu-img printed: {error}")));
                return Ok(ExitCode::FAILURE);
            }
        };
        if let Some(file) = &self.svg {
            let picture = svg::text(&cells, &names);
            let written = if file.as_os_str() == "-" {
                io::stdout().write_all(picture.as_bytes())
            } else {
                std::fs::write(file, picture)
            };
            written.map_err(|error| format!("the picture `{}` could not be written: {error}", file.display()))?;
        }
        if self.strip {
            io::stdout().write_all(strip::text(&cells, &names, Terminal::new()).as_bytes())?;
        }
        Ok(code)
    }
}
