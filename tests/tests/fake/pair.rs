//! The real one and the fake, side by side.

use std::fs;
use std::io::Read as _;
use std::path::PathBuf;

use qemu_cmd::{
    Amend, Backing, Bench, Bitmap, BitmapAction, ByteSize, Check, Commit, Convert, Create, Format, Info, Map, Measure,
    NewImage, Qcow2, Raw, Rebase, Resize, ResizeTo, Snapshot, Source, SourceSnapshot, Target,
};
use qemu_exec::fake::FakeExecutor;
use qemu_exec::{Error, ErrorKind, Executor, Outcome, QemuImg};
use qemu_info::{ImageInfo, MapExtent};
use tests::{local, scratch};

use crate::steps::{Conversion, FILES, Step};

type Client = QemuImg<Box<dyn Executor>>;

/// The same names, on a disk and in memory.
pub struct Pair {
    directory: tempfile::TempDir,
    real: Client,
    fake: FakeExecutor,
    fake_client: Client,
}

impl Pair {
    pub fn new() -> Self {
        let fake = FakeExecutor::new();
        let fake_client: Client = QemuImg::new(Box::new(fake.clone()));
        Self { directory: scratch(), real: QemuImg::new(Box::new(local())), fake_client, fake }
    }

    fn path(&self, file: usize) -> PathBuf {
        self.directory.path().join(FILES[file])
    }

    /// The format that the real file has.
    fn format(&self, file: usize) -> Format {
        let mut magic = [0; 4];
        let read = fs::File::open(self.path(file)).and_then(|mut file| file.read_exact(&mut magic));
        if read.is_ok() && &magic == b"QFI\xfb" { Format::Qcow2 } else { Format::Raw }
    }

    fn source(&self, file: usize) -> Source {
        Source::new(self.path(file), self.format(file))
    }

    fn backing(&self, file: usize) -> Backing {
        Backing::new(self.path(file), self.format(file))
    }

    /// Does a step on both, unless the fake says that it cannot; whether it was done.
    pub fn step(&self, step: &Step) -> bool {
        if let Step::Remove { file } = step {
            assert_eq!(self.fake.remove(self.path(*file)), fs::remove_file(self.path(*file)).is_ok());
            return true;
        }
        let faked = match step {
            Step::Write { file, at, length, byte } => {
                let size = self.real.info(&Info::new(self.source(*file))).map_or(0, |info| info.virtual_size);
                let length = usize::try_from((*length).min(size.saturating_sub(*at))).unwrap();
                if length == 0 {
                    return false;
                }
                self.fake.write(self.path(*file), *at, &vec![*byte; length])
            }
            _ => self.run(&self.fake_client, step),
        };
        if faked.as_ref().is_err_and(|error| error.kind() == ErrorKind::Unsupported) {
            return false;
        }
        let done = self.run(&self.real, step);
        let kind = |result: &Result<(), Error>| result.as_ref().map_err(Error::kind).copied();
        assert_eq!(kind(&faked), kind(&done), "{step:?}\n fake: {faked:?}\n real: {done:?}");
        true
    }

    fn run(&self, client: &Client, step: &Step) -> Result<(), Error> {
        let nothing = |_: Outcome| ();
        match step.clone() {
            Step::Create { file, image, size, backing, unchecked } => {
                let create = Create::new(self.path(file), image.clone(), ByteSize::bytes(size));
                let overlay = |backing| Create::overlay(self.path(file), image.clone(), self.backing(backing));
                let create = match backing.filter(|_| image.format() == Format::Qcow2) {
                    Some(backing) if unchecked => overlay(backing).size(ByteSize::bytes(size)).backing_unchecked(true),
                    Some(backing) if size == 65536 => overlay(backing),
                    Some(backing) => overlay(backing).size(ByteSize::bytes(size)),
                    None => create,
                };
                client.create(&create).map(nothing)
            }
            Step::Convert { from, to, target, compress, full, bitmaps, snapshot } => {
                let path = self.path(to);
                let is_zero = matches!(target, Conversion::Existing { is_zero: true });
                let (to, backing) = match target {
                    Conversion::New(image) => (Target::new(path, image), None),
                    Conversion::Overlay(below) => (Target::new(path, Qcow2::new()), Some(self.backing(below))),
                    Conversion::Existing { .. } => (Target::existing(self.source(to)), None),
                };
                let mut convert = Convert::new(self.source(from), to).target_is_zero(is_zero).bitmaps(bitmaps);
                if let Some(backing) = backing {
                    convert = convert.backing(backing);
                }
                if snapshot {
                    convert = convert.snapshot(SourceSnapshot::Name("old".to_owned()));
                }
                if full {
                    convert = convert.sparse_size(ByteSize::bytes(0));
                }
                client.convert(&convert.compress(compress && !full)).map(nothing)
            }
            Step::Write { file, at, length, byte } => {
                let size = client.info(&Info::new(self.source(file))).map_or(0, |info| info.virtual_size);
                let length = ByteSize::bytes(length.min(size - at));
                let bench = Bench::new(self.source(file)).count(1).depth(1).write(true).pattern(byte);
                client.bench(&bench.offset(ByteSize::bytes(at)).buffer_size(length)).map(nothing)
            }
            Step::Resize { file, to } => client.resize(&Resize::new(self.source(file), to)).map(nothing),
            Step::Rebase { file, onto, renames } => {
                let rebase = match onto {
                    Some(onto) if renames => {
                        Rebase::rename_backing_of_same_content(self.source(file), self.backing(onto))
                    }
                    Some(onto) => Rebase::onto(self.source(file), self.backing(onto)),
                    None if renames => Rebase::drop_backing_and_lose_its_data(self.source(file)),
                    None => Rebase::flatten(self.source(file)),
                };
                client.rebase(&rebase).map(nothing)
            }
            Step::Commit { file, base, keeps } => {
                let commit = Commit::new(self.source(file)).drop_overlay(keeps);
                let commit = if let Some(base) = base { commit.base(self.path(base)) } else { commit };
                client.commit(&commit).map(nothing)
            }
            Step::Snapshot { file, action } => client.snapshot(&Snapshot::new(self.source(file), action)).map(nothing),
            Step::Bitmap { file, name, actions, from } => {
                let mut bitmap = Bitmap::new(self.source(file), name, actions[0].clone());
                bitmap = actions[1..].iter().cloned().fold(bitmap, Bitmap::then);
                if let Some(from) =
                    from.filter(|_| actions.iter().any(|action| matches!(action, BitmapAction::Merge(_))))
                {
                    bitmap = bitmap.merge_from(self.path(from), self.format(from));
                }
                client.bitmap(&bitmap).map(nothing)
            }
            Step::Amend { file, options } => client.amend(&Amend::qcow2(self.source(file), options)).map(nothing),
            Step::WrongFormat { file } => {
                let wrong = if self.format(file) == Format::Raw { Format::Qcow2 } else { Format::Raw };
                client
                    .resize(&Resize::new(Source::new(self.path(file), wrong), ResizeTo::GrowBy(ByteSize::mib(1))))
                    .map(nothing)
            }
            Step::Remove { .. } => unreachable!("no command"),
        }
    }

    /// Holds what the two say of every image against each other. How many answers were compared.
    pub fn compare(&self) -> usize {
        let mut compared = 0;
        for (file, name) in FILES.iter().enumerate() {
            let path = self.path(file);
            assert_eq!(self.fake.exists(&path), path.exists(), "{name}");
            let source = || self.source(file);
            compared += self.same("info", |client| client.info(&Info::new(source())).map(normal_info));
            compared += self.same("chain", |client| {
                let chain = client.backing_chain(&Info::new(source()))?;
                Ok(chain.into_iter().map(normal_info).collect::<Vec<_>>())
            });
            compared += self.same("check", |client| {
                let check = client.check(&Check::new(source()))?;
                Ok(check.report().map(|report| (report.verdict(), report.total_clusters, report.allocated_clusters)))
            });
            compared += self.same("map", |client| client.map(&Map::new(source())).map(normal_map));
            compared += self.same("part of a map", |client| {
                let (start, length) = (ByteSize::kib(64), ByteSize::kib(128));
                client.map(&Map::new(source()).start_offset(start).max_length(length)).map(normal_map)
            });
            for target in [NewImage::from(Raw::new()), Qcow2::new().into(), Qcow2::new().refcount_bits(1).into()] {
                let measure = Measure::image(source(), target);
                compared += self.same("measure", |client| client.measure(&measure));
            }
            compared += self.same_content(file);
        }
        compared
    }

    fn same<T: PartialEq + std::fmt::Debug>(&self, what: &str, ask: impl Fn(&Client) -> Result<T, Error>) -> usize {
        let faked = ask(&self.fake_client);
        if faked.as_ref().is_err_and(|error| error.kind() == ErrorKind::Unsupported) {
            return 0;
        }
        let real = ask(&self.real);
        let kinds = |result: Result<T, Error>| result.map_err(|error| error.kind());
        assert_eq!(kinds(faked), kinds(real), "{what}: fake, real");
        1
    }

    /// The guest's view, of an image that can be opened.
    fn same_content(&self, file: usize) -> usize {
        let Ok(content) = self.fake.read(self.path(file), 0, u64::MAX) else { return 0 };
        let raw = self.directory.path().join("content");
        self.real.convert(&Convert::new(self.source(file), Target::new(&raw, Raw::new()))).unwrap();
        let real = fs::read(&raw).unwrap();
        fs::remove_file(&raw).unwrap();
        assert_eq!(content.len(), real.len(), "{}", FILES[file]);
        let differs = content.iter().zip(&real).position(|(fake, real)| fake != real);
        assert_eq!(differs, None, "the first byte of {} that differs", FILES[file]);
        1
    }
}

/// Without what the fake does not tell.
fn normal_info(mut info: ImageInfo) -> ImageInfo {
    info.actual_size = None;
    info.children = None;
    for snapshot in info.snapshots.iter_mut().flatten() {
        (snapshot.date_sec, snapshot.date_nsec) = (0, 0);
    }
    info
}

/// For each block: in which image it is found, whether that has it, and whether as data.
fn normal_map(extents: Vec<MapExtent>) -> Vec<(u64, u64, Option<bool>, bool)> {
    const BLOCK: u64 = 64 << 10;
    let mut blocks: Vec<(u64, u64, Option<bool>, bool)> = Vec::new();
    for extent in extents {
        for block in extent.start / BLOCK..extent.range().end.div_ceil(BLOCK) {
            match blocks.last_mut().filter(|last| last.0 == block && last.1 == extent.depth) {
                Some(last) => last.3 |= extent.data,
                None => blocks.push((block, extent.depth, extent.present, extent.data)),
            }
        }
    }
    blocks
}
