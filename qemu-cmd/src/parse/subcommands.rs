//! One function a subcommand.

use std::ffi::OsStr;
use std::time::Duration;

use super::image::take;
use super::reader::{FORMAT, Reader, SIZE, UTF8, not_modelled, read_key, read_value};
use crate::command_line::is_from_here;
use crate::{
    Amend, Backing, Bench, BenchAio, Bitmap, BitmapAction, ByteSize, Check, Commit, Compare, Convert, Create, Dd,
    Error, Format, Info, KeyVal, KeyslotChange, Location, Map, Measure, ParseError, Qcow2Amend, Rebase, Repair, Resize,
    ResizeTo, Snapshot, Source, SourceSnapshot, Target,
};

type Result<T> = std::result::Result<T, ParseError>;

/// Applies builder methods for the options that were given.
macro_rules! apply {
    ($command:expr, $($method:ident($value:expr)),+ $(,)?) => {{
        let mut command = $command;
        $(if let Some(value) = $value {
            command = command.$method(value);
        })+
        command
    }};
}

impl Reader<'_> {
    pub(super) fn amend(&self) -> Result<Amend> {
        let source = self.source(0, "f")?;
        let amend = self.amendment(source).map_err(|error| self.line.in_create_options(error))?;
        let amend = amend.force(self.flag("force")).progress(self.flag("p")).quiet(self.flag("q"));
        Ok(apply!(amend, cache(self.cache("t")?)))
    }

    fn amendment(&self, source: Source) -> Result<Amend> {
        let mut options = self.line.create_options().clone();
        let format = source.format();
        let prefix = if format == Some(Format::Luks) { "" } else { "encrypt." };
        let keyslot = options.take_prefixed(prefix);
        if format == Some(Format::Luks) || (!keyslot.is_empty() && format == Some(Format::Qcow2)) {
            not_modelled(&options)?;
            let change = self.keyslot(keyslot).map_err(|error| error.under(prefix))?;
            return Ok(Amend::keyslot(source, change));
        }
        Ok(Amend::qcow2(source, Qcow2Amend::read(options)?))
    }

    fn keyslot(&self, mut list: KeyVal) -> Result<KeyslotChange> {
        let (state, new, old) =
            (take(&mut list, "state")?, take(&mut list, "new-secret")?, take(&mut list, "old-secret")?);
        let slot = list.take("keyslot").map(|slot| read_key("keyslot", &slot, "write a key slot from 0 to 7"));
        let time = list.take("iter-time").map(|time| read_key("iter-time", &time, "write milliseconds"));
        let (slot, time) = (slot.transpose()?, time.transpose()?);
        not_modelled(&list)?;
        let what = |what: &str| ParseError::not_modelled(what).of_key("state");
        let change = match (state.as_deref(), new, old) {
            (Some("active"), Some(id), None) => KeyslotChange::add(self.key("new-secret", &id)?),
            (Some("inactive"), None, Some(id)) => KeyslotChange::erase(self.key("old-secret", &id)?),
            (Some("inactive"), None, None) => match slot {
                Some(slot) => KeyslotChange::erase_slot(slot),
                None => return Err(what("an erasure of every key slot")),
            },
            _ => return Err(what("this change of key slots")),
        };
        Ok(apply!(change, slot(slot), iter_time(time.map(Duration::from_millis))))
    }

    pub(super) fn bench(&self) -> Result<Bench> {
        let bench = Bench::new(self.source(0, "f")?)
            .write(self.flag("w"))
            .no_drain(self.flag("no-drain"))
            .native(self.flag("n"))
            .force_share(self.flag("U"))
            .quiet(self.flag("q"));
        let aio = self.word("i", "write threads, native or io_uring", |text| {
            BenchAio::ALL.iter().copied().find(|aio| aio.as_str() == text)
        })?;
        Ok(apply!(
            bench,
            count(self.read("c", "write a whole number")?),
            depth(self.read("d", "write a whole number")?),
            offset(self.size("o")?),
            buffer_size(self.size("s")?),
            step_size(self.size("S")?),
            pattern(self.read("pattern", "write a byte from 0 to 255")?),
            flush_interval(self.read("flush-interval", "write a whole number")?),
            aio(aio),
            cache(self.cache("t")?),
        ))
    }

    pub(super) fn bitmap(&self) -> Result<Bitmap> {
        let source = self.source(0, "f")?;
        let granularity = self.size("g")?;
        let mut actions = Vec::new();
        for given in self.line.given() {
            let at = |error: ParseError| error.or_at(Some(given.value_at));
            actions.push(match given.spec.key() {
                "add" => BitmapAction::Add { granularity },
                "remove" => BitmapAction::Remove,
                "clear" => BitmapAction::Clear,
                "enable" => BitmapAction::Enable,
                "disable" => BitmapAction::Disable,
                "merge" => {
                    let name = given.value.as_deref().unwrap_or_default();
                    let bad = || at(ParseError::value("--merge", name, UTF8));
                    BitmapAction::Merge(name.to_str().ok_or_else(bad)?.to_owned())
                }
                "remove-all" => BitmapAction::RemoveAll,
                _ => continue,
            });
        }
        if !actions.is_empty() && actions.iter().all(|action| *action == BitmapAction::RemoveAll) {
            return Ok(Bitmap::remove_all(source));
        }
        let name = self.operand(1)?;
        let bad = || self.line.at_operand(1, ParseError::value("bitmap", name, UTF8));
        let name = name.to_str().ok_or_else(bad)?;
        let mut actions = actions.into_iter();
        let first = actions.next().ok_or(Error::Options("bitmap needs at least one action"))?;
        let bitmap = actions.fold(Bitmap::new(source, name, first), Bitmap::then);
        match (self.line.value("b"), self.format("F")?) {
            (None, _) => Ok(bitmap),
            (Some(file), Some(format)) => Ok(bitmap.merge_from(Location::from_plain_name(file), format)),
            (Some(_), None) => {
                let error = ParseError::not_modelled("a merge from an image of unknown format");
                Err(self.line.at_value("b", error))
            }
        }
    }

    pub(super) fn check(&self) -> Result<Check> {
        let check =
            Check::new(self.source(0, "f")?).force_share(self.flag("U")).human(self.is_human()?).quiet(self.flag("q"));
        let repair = self.word("r", "write leaks or all", |text| {
            [Repair::Leaks, Repair::All].into_iter().find(|repair| repair.as_str() == text)
        })?;
        Ok(apply!(check, repair(repair), cache(self.cache("T")?)))
    }

    pub(super) fn commit(&self) -> Result<Commit> {
        let commit = Commit::new(self.source(0, "f")?)
            .drop_overlay(self.flag("d"))
            .progress(self.flag("p"))
            .quiet(self.flag("q"));
        let base = self.line.value("b").map(Location::from_plain_name);
        Ok(apply!(commit, base(base), cache(self.cache("t")?), rate(self.size("r")?)))
    }

    pub(super) fn compare(&self) -> Result<Compare> {
        let (a, b) = (self.source(0, "f")?, self.source(1, "F")?);
        let compare = Compare::new(a, b)
            .strict(self.flag("s"))
            .force_share(self.flag("U"))
            .progress(self.flag("p"))
            .quiet(self.flag("q"));
        Ok(apply!(compare, cache(self.cache("T")?)))
    }

    pub(super) fn convert(&self) -> Result<Convert> {
        let first = self.source(0, "f")?;
        let last = self.line.operands().count().saturating_sub(1).max(1);
        let target = self.operand(last).and_then(|name| self.convert_target(name));
        let (target, backing) = target.map_err(|error| self.line.at_operand(last, error))?;
        let mut convert = Convert::new(first, target);
        for source in 1..last {
            convert = convert.and_source(self.source(source, "f")?);
        }
        convert = convert
            .compress(self.flag("c"))
            .out_of_order(self.flag("W"))
            .copy_offload(self.flag("C"))
            .target_is_zero(self.flag("target-is-zero"))
            .bitmaps(self.flag("bitmaps"))
            .skip_broken_bitmaps(self.flag("skip-broken-bitmaps"))
            .salvage(self.flag("salvage"))
            .force_share(self.flag("U"))
            .progress(self.flag("p"))
            .quiet(self.flag("q"));
        Ok(apply!(
            convert,
            backing(backing),
            snapshot(self.snapshot_option()?),
            target_cache(self.cache("t")?),
            source_cache(self.cache("T")?),
            sparse_size(self.size("S")?),
            coroutines(self.read("m", "write a number from 1 to 16")?),
            rate(self.size("r")?),
        ))
    }

    fn convert_target(&self, name: &OsStr) -> Result<(Target, Option<Backing>)> {
        if self.flag("n") {
            if self.line.backing_name().is_some() {
                let error = ParseError::not_modelled("a backing file of an existing target");
                return Err(self.line.at_value("B", error));
            }
            let target = if self.flag("target-image-opts") {
                self.node(KeyVal::parse(name))?
            } else {
                // Without `-O` an existing target is raw.
                self.plain(name, Some(self.format("O")?.unwrap_or(Format::Raw)))?
            };
            return Ok((Target::existing(target), None));
        }
        let mut options = self.line.create_options().clone();
        let backing = self.backing(&mut options, "B")?;
        let image = self.new_image("O", options)?;
        Ok((Target::new(Location::from_plain_name(name), image), backing))
    }

    fn snapshot_option(&self) -> Result<Option<SourceSnapshot>> {
        let Some(value) = self.text("l")? else { return Ok(None) };
        if !value.starts_with(SourceSnapshot::LIST) {
            return Ok(Some(SourceSnapshot::NameOrId(value)));
        }
        let list = KeyVal::parse(value.as_ref());
        let text = |value: &OsStr| value.to_string_lossy().into_owned();
        Ok(Some(match (list.get("snapshot.name"), list.get("snapshot.id")) {
            (Some(name), None) => SourceSnapshot::Name(text(name)),
            (None, Some(id)) => SourceSnapshot::Id(text(id)),
            (Some(name), Some(id)) => SourceSnapshot::NameAndId(text(name), text(id)),
            (None, None) => SourceSnapshot::NameOrId(value),
        }))
    }

    pub(super) fn create(&self) -> Result<Create> {
        let mut options = self.line.create_options().clone();
        let backing = self.backing(&mut options, "b")?;
        let in_options = options.take("size");
        let operand = self.line.operands().nth(1);
        let size = operand.or(in_options.as_deref()).map(|size| read_value::<ByteSize>("size", size, SIZE));
        let size = size.transpose().map_err(|error| match operand {
            Some(_) => self.line.at_operand(1, error),
            None => self.line.at_create_option("size", error),
        })?;
        let image = self.new_image("f", options)?;
        let location = Location::from_plain_name(self.operand(0)?);
        let create = match (backing, size) {
            (Some(backing), None) => Create::overlay(location, image, backing),
            (Some(backing), Some(size)) => Create::overlay(location, image, backing).size(size),
            (None, Some(size)) => Create::new(location, image, size),
            (None, None) => return Err(Error::SizeMissing.into()),
        };
        Ok(create.backing_unchecked(self.flag("u")).quiet(self.flag("q")))
    }

    pub(super) fn dd(&self) -> Result<Dd> {
        let file = |name| self.line.dd_operand(name).ok_or(Error::Options("dd needs both if= and of="));
        let source = self.source_named(&file("if")?, "f").map_err(|error| self.line.at_dd_operand("if", error))?;
        let format = self.format("O")?.unwrap_or(Format::Raw);
        let dd = Dd::new(source, Location::from_plain_name(&file("of")?), format).force_share(self.flag("U"));
        let size = |name: &str| {
            let size = self.line.dd_operand(name).map(|value| read_value::<ByteSize>(name, &value, SIZE));
            size.transpose().map_err(|error| self.line.at_dd_operand(name, error))
        };
        let number = |name: &str| size(name).map(|size| size.map(ByteSize::as_u64));
        Ok(apply!(dd, block_size(size("bs")?), count(number("count")?), skip(number("skip")?)))
    }

    pub(super) fn info(&self) -> Result<Info> {
        let info = Info::new(self.source(0, "f")?)
            .force_share(self.flag("U"))
            .backing_chain(self.flag("b"))
            .limits(self.flag("limits"))
            .human(self.is_human()?);
        Ok(apply!(info, cache(self.cache("t")?)))
    }

    pub(super) fn map(&self) -> Result<Map> {
        let map = Map::new(self.source(0, "f")?).force_share(self.flag("U")).human(self.is_human()?);
        Ok(apply!(map, start_offset(self.size("s")?), max_length(self.size("l")?)))
    }

    pub(super) fn measure(&self) -> Result<Measure> {
        let image = self.new_image("O", self.line.create_options().clone())?;
        let measure = match self.size("s")? {
            Some(size) => Measure::size(size, image),
            None => Measure::image(self.source(0, "f")?, image),
        };
        let measure = measure.force_share(self.flag("U")).human(self.is_human()?);
        Ok(apply!(measure, snapshot(self.snapshot_option()?)))
    }

    pub(super) fn rebase(&self) -> Result<Rebase> {
        let source = self.source(0, "f")?;
        let format = self.format("F")?;
        let name = self.line.value("b").filter(|name| !name.is_empty());
        let place = name.map(backing_place).transpose().map_err(|error| self.line.at_value("b", error))?;
        let backing = place.map(|place| Backing::maybe_probing(place, format));
        let rebase = match (backing, self.flag("u")) {
            (Some(backing), false) => Rebase::onto(source, backing),
            (Some(backing), true) => Rebase::rename_backing_of_same_content(source, backing),
            (None, false) => Rebase::flatten(source),
            (None, true) => Rebase::drop_backing_and_lose_its_data(source),
        };
        let rebase =
            rebase.compress(self.flag("c")).force_share(self.flag("U")).progress(self.flag("p")).quiet(self.flag("q"));
        Ok(apply!(rebase, cache(self.cache("t")?), backing_cache(self.cache("T")?)))
    }

    pub(super) fn resize(&self) -> Result<Resize> {
        let source = self.source(0, "f")?;
        let text = self.operand(1)?;
        let wanted = "write a size, with + or - in front to change it by that";
        let size = text.to_str().unwrap_or_default();
        let (sign, number) = match size.split_at_checked(1) {
            Some((sign @ ("+" | "-"), number)) => (sign, number),
            _ => ("", size),
        };
        let bad = || self.line.at_operand(1, ParseError::value("size", text, wanted));
        let number = number.parse().map_err(|_| bad())?;
        let to = match (sign, self.flag("shrink")) {
            ("-", true) => ResizeTo::ShrinkBy(number),
            ("-", false) => {
                let error = Error::Options("an image is made smaller only with --shrink");
                return Err(self.line.at_operand(1, error));
            }
            ("+", _) => ResizeTo::GrowBy(number),
            (_, true) => ResizeTo::ShrinkOrGrowTo(number),
            (_, false) => ResizeTo::GrowTo(number),
        };
        let resize = Resize::new(source, to).quiet(self.flag("q"));
        Ok(apply!(resize, preallocation(self.preallocation("preallocation")?)))
    }

    pub(super) fn snapshot(&self) -> Result<Snapshot> {
        let source = self.source(0, "f")?;
        let name = |option: &str| self.text(option);
        let snapshot = match (name("c")?, name("a")?, name("d")?) {
            (Some(name), ..) => Snapshot::create(source, name),
            (_, Some(name), _) => Snapshot::apply(source, name),
            (.., Some(name)) => Snapshot::delete(source, name),
            _ => Snapshot::list(source),
        };
        Ok(snapshot.force_share(self.flag("U")).quiet(self.flag("q")))
    }

    fn is_human(&self) -> Result<bool> {
        let json = self.word("output", "write human or json", |text| match text {
            "json" => Some(true),
            "human" => Some(false),
            _ => None,
        })?;
        Ok(!json.unwrap_or(false))
    }

    /// A backing file, given as options of the command or among the create options.
    fn backing(&self, options: &mut KeyVal, option: &str) -> Result<Option<Backing>> {
        let in_options = (options.take("backing_file"), options.take("backing_fmt"));
        let mut format = self.format("F")?;
        if let (None, Some(name)) = (format, &in_options.1) {
            let read = read_key("backing_fmt", name, FORMAT);
            format = Some(read.map_err(|error| self.line.in_create_options(error))?);
        }
        let place = match (self.line.value(option), &in_options.0) {
            (Some(name), _) => backing_place(name).map_err(|error| self.line.at_value(option, error)),
            (None, Some(name)) => {
                backing_place(name).map_err(|error| self.line.at_create_option("backing_file", error))
            }
            (None, None) => return Ok(None),
        };
        Ok(Some(Backing::maybe_probing(place?, format)))
    }
}

/// The place of a backing file, for which a path is relative to the image.
fn backing_place(name: &OsStr) -> Result<Location> {
    if is_from_here(name) {
        return Err(ParseError::not_modelled(
            "a relative name behind `file:`, which is not looked for beside the image,",
        ));
    }
    Ok(Location::from_plain_name(name))
}
