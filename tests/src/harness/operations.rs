//! What is done to each kind of image, and how it is judged.

use std::error::Error as _;
use std::fs;
use std::path::{Path, PathBuf};

use qemu_cmd::{
    Amend, Backing, Bench, Bitmap, BitmapAction, ByteSize, Check, Commit, Compare, Convert, Create, Dd, Format, Info,
    KeyslotChange, Map, Measure, Qcow2, Qcow2Amend, Raw, Rebase, Resize, ResizeTo, Snapshot, Source, SourceSnapshot,
    Target,
};
use qemu_exec::{ErrorKind, Executor, QemuImg};
use qemu_info::{CheckVerdict, Comparison, FormatSpecific};
use tempfile::TempDir;

use super::{Cell, Image, Verdict};
use crate::{Kind, content, passphrase, read, scratch, write_fixture};

/// Their names: those of the subcommands, and of `convert` what it is done for.
pub const OPERATIONS: [&str; 19] = [
    "create", "write", "read", "compress", "update", "info", "check", "compare", "map", "measure", "resize", "overlay",
    "rebase", "commit", "snapshot", "bitmap", "amend", "dd", "bench",
];

/// What every qemu-img refuses by itself, and the model lets pass: what it says of it.
const BY_QEMU_IMG: [(&str, &str); 2] =
    [("bitmap", "Can't store persistent bitmaps"), ("commit", "does not support reopening files")];

/// Why an operation did not pass.
struct Failed(Verdict);

impl From<qemu_exec::Error> for Failed {
    fn from(error: qemu_exec::Error) -> Self {
        let text = match error.source() {
            Some(source) => source.to_string(),
            None => error.to_string(),
        };
        match error.kind() {
            ErrorKind::Refused | ErrorKind::Unsupported => Self(Verdict::Refused(text)),
            _ => Self(Verdict::Wrong(text)),
        }
    }
}

fn wrong(text: impl Into<String>) -> Failed {
    Failed(Verdict::Wrong(text.into()))
}

fn ensure(holds: bool, otherwise: &str) -> Result<(), Failed> {
    if holds { Ok(()) } else { Err(wrong(otherwise)) }
}

/// Tries every operation.
pub(super) fn try_all<E: Executor>(executor: &E, image: Image) -> Vec<Cell> {
    let sample = scratch();
    let made = image.write(&sample.path().join("image"));
    let mut cells = Vec::new();
    for operation in OPERATIONS {
        let trial = Trial::new(executor, image);
        let verdict = match &made {
            Err(error) => Verdict::Untried(format!("the reference cannot make one: {error}")),
            Ok(()) => {
                fs::copy(sample.path().join("image"), trial.file("image")).unwrap();
                match trial.run(operation) {
                    Ok(()) => Verdict::Accepted,
                    Err(Failed(Verdict::Refused(why))) => {
                        // Said once for all of them.
                        Verdict::Refused(why.replace(&format!("format `{}`", image.format), "the format"))
                    }
                    Err(Failed(Verdict::Wrong(why))) => by_qemu_img(image, operation, why),
                    Err(Failed(verdict)) => verdict,
                }
            }
        };
        cells.push(Cell { image, operation, verdict });
    }
    cells
}

/// What is refused by qemu-img for a format that is not made for it is not wrong.
fn by_qemu_img(image: Image, operation: &str, why: String) -> Verdict {
    let known = BY_QEMU_IMG.iter().find(|(other, said)| *other == operation && why.contains(said));
    match known {
        Some((_, said)) if image.format != Format::Qcow2 => Verdict::Refused(format!("qemu-img: {said}")),
        _ => Verdict::Wrong(why),
    }
}

/// One operation on an image that is made for it.
struct Trial<'a, E> {
    qemu_img: QemuImg<&'a E>,
    image: Image,
    directory: TempDir,
}

impl<'a, E: Executor> Trial<'a, E> {
    fn new(executor: &'a E, image: Image) -> Self {
        let patience = Some(std::time::Duration::from_secs(120));
        let qemu_img = QemuImg::new(executor).data_timeout(patience);
        Self { qemu_img, image, directory: scratch() }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The image that is there, with [`content`] in it.
    fn source(&self) -> Source {
        self.image.source(&self.file("image"))
    }

    /// A raw image of the same content.
    fn raw(&self) -> PathBuf {
        let path = self.file("raw");
        write_fixture(Kind::Raw, &path);
        path
    }

    /// What was made or changed holds this, and maybe zeros after it.
    fn holds(&self, path: &Path, wanted: &[u8]) -> Result<(), Failed> {
        let found = self.image.read(path).map_err(|error| wrong(format!("the reference cannot read it: {error}")))?;
        match self.image.format {
            Format::Luks => ensure(found.starts_with(wanted), "the content differs"),
            _ => same(&found, wanted),
        }
    }

    fn info(&self) -> Result<qemu_info::ImageInfo, Failed> {
        Ok(self.qemu_img.info(&Info::new(self.source()))?)
    }

    /// An overlay of the image, which reads through it with the keys that are needed.
    fn overlay(&self) -> Result<Source, Failed> {
        let path = self.file("overlay");
        let backing = Backing::new(self.file("image"), self.image.format);
        let create = Create::overlay(&path, Qcow2::new(), backing);
        // The size of an encrypted image can only be read with its key.
        let create = if self.image.encrypted {
            create.backing_unchecked(true).size(ByteSize::bytes(content().len() as u64))
        } else {
            create
        };
        self.qemu_img.create(&create)?;
        let overlay = Source::qcow2(path);
        Ok(if self.image.encrypted { overlay.backing(self.source()) } else { overlay })
    }

    fn run(&self, operation: &str) -> Result<(), Failed> {
        let (image, size) = (self.file("image"), content().len() as u64);
        match operation {
            "create" => {
                let new = self.file("new");
                self.qemu_img.create(&Create::new(&new, self.image.new_image(), ByteSize::bytes(size)))?;
                // Zeros are not encrypted where the format is nothing but ciphertext: they are read as anything.
                let zeros = if self.image.format == Format::Luks { Vec::new() } else { vec![0; content().len()] };
                self.holds(&new, &zeros)
            }
            "write" => {
                let new = self.file("new");
                self.qemu_img.convert(&Convert::new(Source::raw(self.raw()), self.image.target(&new)))?;
                self.holds(&new, &content())
            }
            "read" => {
                let new = self.file("new");
                self.qemu_img.convert(&Convert::new(self.source(), Target::new(&new, Raw::new())))?;
                same(&fs::read(new).unwrap(), &content())
            }
            "compress" => {
                let new = self.file("new");
                let convert = Convert::new(Source::raw(self.raw()), self.image.target(&new));
                self.qemu_img.convert(&convert.compress(true))?;
                self.holds(&new, &content())
            }
            "update" => {
                let reversed: Vec<u8> = content().into_iter().rev().collect();
                let raw = self.file("raw");
                fs::write(&raw, &reversed).unwrap();
                self.qemu_img.convert(&Convert::new(Source::raw(raw), Target::existing(self.source())))?;
                self.holds(&image, &reversed)
            }
            "info" => {
                let info = self.info()?;
                let encrypted = info.encryption() != qemu_info::Encryption::None;
                ensure(info.virtual_size == size, &format!("virtual size {}", info.virtual_size))?;
                ensure(info.format == self.image.format.as_str(), &format!("format {}", info.format))?;
                ensure(encrypted == self.image.encrypted, "the encryption")
            }
            "check" => match self.qemu_img.check(&Check::new(self.source()))?.report() {
                None => Err(Failed(Verdict::Refused("qemu-img has no check for this format".to_owned()))),
                Some(report) => ensure(report.verdict() == CheckVerdict::Clean, &format!("{:?}", report.verdict())),
            },
            "compare" => {
                let raw = self.raw();
                let compare = Compare::new(self.source(), Source::raw(&raw));
                let found = self.qemu_img.compare(&compare)?;
                ensure(matches!(found, Comparison::Identical { .. }), "the same content is different")?;
                let mut other = content();
                let last = other.len() - 1;
                other[last] ^= 1;
                fs::write(&raw, other).unwrap();
                let found = self.qemu_img.compare(&compare)?;
                ensure(matches!(found, Comparison::Different(_)), "another content is the same")
            }
            "map" => self.map(),
            "measure" => {
                let measured = self.qemu_img.measure(&Measure::image(self.source(), Qcow2::new()))?;
                let data = content().chunks(65_536).filter(|chunk| chunk.iter().any(|byte| *byte != 0)).count();
                ensure(measured.required >= data as u64 * 65_536, &format!("{} bytes", measured.required))?;
                ensure(measured.fully_allocated >= size.max(measured.required), "the whole is less than its parts")
            }
            "resize" => {
                let grown = size + (1 << 20);
                self.qemu_img.resize(&Resize::new(self.source(), ResizeTo::GrowTo(ByteSize::bytes(grown))))?;
                let mut wanted = content();
                if self.image.format != Format::Luks {
                    wanted.resize(usize::try_from(grown).unwrap(), 0);
                }
                ensure(self.info()?.virtual_size == grown, "the size is not what was asked for")?;
                self.holds(&image, &wanted)
            }
            "overlay" => read_back(self.overlay()?, &content()),
            "rebase" => {
                let overlay = self.overlay()?;
                self.qemu_img.rebase(&Rebase::flatten(overlay))?;
                fs::remove_file(image).unwrap();
                read_back(Source::qcow2(self.file("overlay")), &content())
            }
            "commit" => {
                let overlay = self.overlay()?;
                let reversed: Vec<u8> = content().into_iter().rev().collect();
                let raw = self.file("raw");
                fs::write(&raw, &reversed).unwrap();
                let update = Convert::new(Source::raw(raw), Target::existing(overlay.clone()));
                crate::client().convert(&update).map_err(|error| wrong(format!("the reference: {error}")))?;
                self.qemu_img.commit(&Commit::new(overlay))?;
                self.holds(&image, &reversed)
            }
            "snapshot" => self.snapshot(),
            "bitmap" => {
                let add = BitmapAction::Add { granularity: None };
                self.qemu_img.bitmap(&Bitmap::new(self.source(), "b", add))?;
                let Some(FormatSpecific::Qcow2(info)) = self.info()?.format_specific else {
                    return Err(wrong("no bitmap, and no qcow2 image"));
                };
                ensure(info.bitmaps.iter().flatten().any(|bitmap| bitmap.name == "b"), "there is no bitmap")
            }
            "amend" => self.amend(),
            "dd" => {
                let new = self.file("new");
                self.qemu_img.dd(&Dd::new(self.source(), &new, Format::Raw))?;
                same(&fs::read(new).unwrap(), &content())
            }
            "bench" => {
                self.qemu_img.bench(&Bench::new(self.source()).count(16))?;
                Ok(())
            }
            _ => Err(wrong("there is no such operation")),
        }
    }

    fn map(&self) -> Result<(), Failed> {
        let (extents, content) = (self.qemu_img.map(&Map::new(self.source()))?, content());
        let mut end = 0;
        for extent in extents {
            ensure(extent.start == end, "there is a gap")?;
            end = extent.range().end;
            let part = usize::try_from(extent.start).unwrap()..usize::try_from(end).unwrap().min(content.len());
            let is_zero = content.get(part).is_none_or(|part| part.iter().all(|byte| *byte == 0));
            ensure(is_zero || !extent.zero, &format!("what is data reads as zeros at {}", extent.start))?;
        }
        ensure(end == content.len() as u64, &format!("it ends at {end}"))
    }

    fn snapshot(&self) -> Result<(), Failed> {
        self.qemu_img.snapshot(&Snapshot::create(self.source(), "s"))?;
        let raw = self.file("raw");
        fs::write(&raw, vec![7; content().len()]).unwrap();
        let overwrite = Convert::new(Source::raw(&raw), Target::existing(self.source()));
        crate::client().convert(&overwrite).map_err(|error| wrong(format!("the reference: {error}")))?;
        let before = self.file("before");
        let snapshot = SourceSnapshot::NameOrId("s".to_owned());
        self.qemu_img.convert(&Convert::new(self.source(), Target::new(&before, Raw::new())).snapshot(snapshot))?;
        same(&fs::read(before).unwrap(), &content())?;
        self.qemu_img.snapshot(&Snapshot::apply(self.source(), "s"))?;
        self.holds(&self.file("image"), &content())
    }

    fn amend(&self) -> Result<(), Failed> {
        if self.image.encrypted {
            let new = qemu_cmd::Secret::new("another").unwrap();
            let add = KeyslotChange::add(new.clone()).iter_time(std::time::Duration::from_millis(10));
            self.qemu_img.amend(&Amend::keyslot(self.source(), add))?;
            self.qemu_img.amend(&Amend::keyslot(self.source().key(new.clone()), KeyslotChange::erase(passphrase())))?;
            return read_back(self.source().key(new), &content());
        }
        self.qemu_img.amend(&Amend::qcow2(self.source(), Qcow2Amend::new().lazy_refcounts(true)))?;
        let Some(FormatSpecific::Qcow2(info)) = self.info()?.format_specific else {
            return Err(wrong("it is no qcow2 image"));
        };
        ensure(info.lazy_refcounts == Some(true), "nothing has changed")?;
        self.holds(&self.file("image"), &content())
    }
}

fn read_back(source: Source, wanted: &[u8]) -> Result<(), Failed> {
    let found = read(source).map_err(|error| wrong(format!("the reference cannot read it: {error}")))?;
    same(&found, wanted)
}

/// The same bytes, and nothing but zeros where one goes on: some formats round sizes up.
fn same(found: &[u8], wanted: &[u8]) -> Result<(), Failed> {
    let differs = wanted.iter().zip(found).position(|(wanted, found)| wanted != found);
    if let Some(at) = differs {
        return Err(wrong(format!("the content differs at {at}")));
    }
    if found.len() < wanted.len() {
        return Err(wrong(format!("{} of {} bytes", found.len(), wanted.len())));
    }
    ensure(found.iter().skip(wanted.len()).all(|byte| *byte == 0), "there is something after its end")
}
