//! One function a subcommand.

use std::ffi::OsStr;
use std::time::Duration;

use super::reader::{Reader, bad, not_modelled, read_text};
use crate::{
    Amend, Backing, Bench, BenchAio, Bitmap, BitmapAction, ByteSize, Check, Commit, Compare, Convert, Create, Dd,
    Error, Format, Info, KeyVal, KeyslotChange, Location, Map, Measure, ParseError, Qcow2Amend, Rebase, Repair, Resize,
    ResizeTo, Snapshot, SourceSnapshot, Target,
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
        let source = self.source(self.operand(0)?, "f")?;
        let mut options = self.line.create_options();
        let format = source.format();
        let prefix = if format == Some(Format::Luks) { "" } else { "encrypt." };
        let keyslot = options.take_prefixed(prefix);
        let amend =
            if format == Some(Format::Luks) || (keyslot.iter().next().is_some() && format == Some(Format::Qcow2)) {
                if format == Some(Format::Qcow2) {
                    not_modelled(&options)?;
                }
                Amend::keyslot(source, self.keyslot(keyslot)?)
            } else {
                Amend::qcow2(source, Qcow2Amend::read(options)?)
            };
        let amend = amend.force(self.flag("force")).progress(self.flag("p")).quiet(self.flag("q"));
        Ok(apply!(amend, cache(self.cache("t")?)))
    }

    fn keyslot(&self, mut list: KeyVal) -> Result<KeyslotChange> {
        let mut take = |key: &str| {
            let value = list.get(key).map(OsStr::to_owned);
            list.remove(key);
            value
        };
        let (state, new, old) = (take("state"), take("new-secret"), take("old-secret"));
        let slot = take("keyslot").map(|slot| read_text("keyslot", &slot, "a key slot from 0 to 7")).transpose()?;
        let time = take("iter-time").map(|time| read_text("iter-time", &time, "milliseconds")).transpose()?;
        not_modelled(&list)?;
        let what = |what: &str| ParseError::NotModelled { what: what.to_owned() };
        let change = match (state.as_deref().and_then(OsStr::to_str), new, old) {
            (Some("active"), Some(id), None) => KeyslotChange::add(self.key(&id)?),
            (Some("inactive"), None, Some(id)) if slot.is_none() => KeyslotChange::erase(self.key(&id)?),
            (Some("inactive"), None, None) => match slot {
                Some(slot) => return Ok(KeyslotChange::erase_slot(slot)),
                None => return Err(what("an erasure of every key slot")),
            },
            _ => return Err(what("this change of key slots")),
        };
        Ok(apply!(change, slot(slot), iter_time(time.map(Duration::from_millis))))
    }

    pub(super) fn bench(&self) -> Result<Bench> {
        let bench = Bench::new(self.source(self.operand(0)?, "f")?)
            .write(self.flag("w"))
            .no_drain(self.flag("no-drain"))
            .native(self.flag("n"))
            .force_share(self.flag("U"))
            .quiet(self.flag("q"));
        let aio = self.word("i", "threads, native or io_uring", |text| {
            BenchAio::ALL.iter().copied().find(|aio| aio.as_str() == text)
        })?;
        Ok(apply!(
            bench,
            count(self.read("c", "a number")?),
            depth(self.read("d", "a number")?),
            offset(self.size("o")?),
            buffer_size(self.size("s")?),
            step_size(self.size("S")?),
            pattern(self.read("pattern", "a byte from 0 to 255")?),
            flush_interval(self.read("flush-interval", "a number")?),
            aio(aio),
            cache(self.cache("t")?),
        ))
    }

    pub(super) fn bitmap(&self) -> Result<Bitmap> {
        let source = self.source(self.operand(0)?, "f")?;
        let granularity = self.size("g")?;
        let mut actions = Vec::new();
        for (option, value) in self.line.given_in_order() {
            let merge = |value: Option<&OsStr>| read_text("merge", value.unwrap_or_default(), "text in UTF-8");
            actions.push(match option {
                "add" => BitmapAction::Add { granularity },
                "remove" => BitmapAction::Remove,
                "clear" => BitmapAction::Clear,
                "enable" => BitmapAction::Enable,
                "disable" => BitmapAction::Disable,
                "merge" => BitmapAction::Merge(merge(value)?),
                "remove-all" => return Err(ParseError::NotModelled { what: "`--remove-all`".to_owned() }),
                _ => continue,
            });
        }
        let name: String = read_text("bitmap", self.operand(1)?, "a name in UTF-8")?;
        let mut actions = actions.into_iter();
        let first = actions.next().ok_or(Error::Options("bitmap needs at least one action"))?;
        let bitmap = actions.fold(Bitmap::new(source, name, first), Bitmap::then);
        match (self.line.value("b"), self.format("F")?) {
            (None, _) => Ok(bitmap),
            (Some(file), Some(format)) => Ok(bitmap.merge_from(Location::from_plain_name(file), format)),
            (Some(_), None) => {
                Err(ParseError::NotModelled { what: "a merge from an image of unknown format".to_owned() })
            }
        }
    }

    pub(super) fn check(&self) -> Result<Check> {
        let check = Check::new(self.source(self.operand(0)?, "f")?)
            .force_share(self.flag("U"))
            .human(self.is_human()?)
            .quiet(self.flag("q"));
        let repair = self.word("r", "leaks or all", |text| {
            [Repair::Leaks, Repair::All].into_iter().find(|repair| repair.as_str() == text)
        })?;
        Ok(apply!(check, repair(repair), cache(self.cache("T")?)))
    }

    pub(super) fn commit(&self) -> Result<Commit> {
        let commit = Commit::new(self.source(self.operand(0)?, "f")?)
            .drop_overlay(self.flag("d"))
            .progress(self.flag("p"))
            .quiet(self.flag("q"));
        let base = self.line.value("b").map(Location::from_plain_name);
        Ok(apply!(commit, base(base), cache(self.cache("t")?), rate(self.size("r")?)))
    }

    pub(super) fn compare(&self) -> Result<Compare> {
        let (a, b) = (self.source(self.operand(0)?, "f")?, self.source(self.operand(1)?, "F")?);
        let compare = Compare::new(a, b)
            .strict(self.flag("s"))
            .force_share(self.flag("U"))
            .progress(self.flag("p"))
            .quiet(self.flag("q"));
        Ok(apply!(compare, cache(self.cache("T")?)))
    }

    pub(super) fn convert(&self) -> Result<Convert> {
        let operands: Vec<&OsStr> = self.line.operands().collect();
        let first = self.source(self.operand(0)?, "f")?;
        let (target, more) = match operands.get(1..).and_then(<[_]>::split_last) {
            Some((target, more)) => (*target, more),
            None => return Err(Error::Options("convert needs a source and a target").into()),
        };
        let (target, backing) = self.convert_target(target)?;
        let mut convert = Convert::new(first, target);
        for source in more {
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
            coroutines(self.read("m", "a number from 1 to 16")?),
            rate(self.size("r")?),
        ))
    }

    fn convert_target(&self, name: &OsStr) -> Result<(Target, Option<Backing>)> {
        if self.flag("n") {
            let target = if self.flag("target-image-opts") {
                self.node(KeyVal::parse(name))?
            } else {
                // Without `-O` an existing target is raw.
                self.plain(name, Some(self.format("O")?.unwrap_or(Format::Raw)))?
            };
            return Ok((Target::existing(target), None));
        }
        let mut options = self.line.create_options();
        let backing = self.backing(&mut options, ["B", "b"], ["F", "F"])?;
        let image = self.new_image(self.format("O")?.unwrap_or(Format::Raw), options)?;
        Ok((Target::new(Location::from_plain_name(name), image), backing))
    }

    fn snapshot_option(&self) -> Result<Option<SourceSnapshot>> {
        let Some(value) = self.line.value("l") else { return Ok(None) };
        let list = KeyVal::parse(value);
        let text = |value: &OsStr| read_text("l", value, "text in UTF-8");
        Ok(Some(match (list.get("snapshot.name"), list.get("snapshot.id")) {
            (Some(name), None) => SourceSnapshot::Name(text(name)?),
            (None, Some(id)) => SourceSnapshot::Id(text(id)?),
            (None, None) => SourceSnapshot::NameOrId(text(value)?),
            _ => return Err(ParseError::NotModelled { what: "a snapshot by both name and id".to_owned() }),
        }))
    }

    pub(super) fn create(&self) -> Result<Create> {
        let mut options = self.line.create_options();
        let backing = self.backing(&mut options, ["b", "b"], ["F", "B"])?;
        let in_options = options.get("size").map(|size| read_text("size", size, "a size")).transpose()?;
        options.remove("size");
        let size: Option<ByteSize> = match self.line.operands().nth(1) {
            Some(size) => Some(read_text("size", size, "a size")?),
            None => in_options,
        };
        let image = self.new_image(self.format("f")?.unwrap_or(Format::Raw), options)?;
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
        let mut operands = std::collections::BTreeMap::new();
        for operand in self.line.operands() {
            let pair = crate::os::split_once(operand, b'=');
            let (key, value) = pair.ok_or_else(|| bad("dd", operand, "NAME=VALUE"))?;
            operands.insert(key.to_string_lossy().into_owned(), value);
        }
        let file = |name: &'static str| operands.get(name).ok_or(Error::Options("dd needs if= and of="));
        let source = self.source(file("if")?, "f")?;
        let format = self.format("O")?.unwrap_or(Format::Raw);
        let dd = Dd::new(source, Location::from_plain_name(file("of")?), format).force_share(self.flag("U"));
        let size =
            |name: &str| operands.get(name).map(|value| read_text::<ByteSize>(name, value, "a number")).transpose();
        let number = |name: &str| size(name).map(|size| size.map(ByteSize::as_u64));
        Ok(apply!(dd, block_size(size("bs")?), count(number("count")?), skip(number("skip")?)))
    }

    pub(super) fn info(&self) -> Result<Info> {
        let info = Info::new(self.source(self.operand(0)?, "f")?)
            .force_share(self.flag("U"))
            .backing_chain(self.flag("b"))
            .limits(self.flag("limits"))
            .human(self.is_human()?);
        Ok(apply!(info, cache(self.cache("t")?)))
    }

    pub(super) fn map(&self) -> Result<Map> {
        let map = Map::new(self.source(self.operand(0)?, "f")?).force_share(self.flag("U")).human(self.is_human()?);
        Ok(apply!(map, start_offset(self.size("s")?), max_length(self.size("l")?)))
    }

    pub(super) fn measure(&self) -> Result<Measure> {
        let image = self.new_image(self.format("O")?.unwrap_or(Format::Raw), self.line.create_options())?;
        let measure = match self.size("s")? {
            Some(size) => Measure::size(size, image),
            None => Measure::image(self.source(self.operand(0)?, "f")?, image),
        };
        let measure = measure.force_share(self.flag("U")).human(self.is_human()?);
        Ok(apply!(measure, snapshot(self.snapshot_option()?)))
    }

    pub(super) fn rebase(&self) -> Result<Rebase> {
        let source = self.source(self.operand(0)?, "f")?;
        let backing = self.line.value("b").filter(|name| !name.is_empty());
        let format = self.format("F")?.or(self.format("B")?);
        let backing = backing.map(|name| Backing::maybe_probing(Location::from_plain_name(name), format));
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
        let source = self.source(self.operand(0)?, "f")?;
        let text = self.operand(1)?;
        let wanted = "a size, with + or - in front to change it by that";
        let size = text.to_str().unwrap_or_default();
        let (sign, number) = match size.split_at_checked(1) {
            Some((sign @ ("+" | "-"), number)) => (sign, number),
            _ => ("", size),
        };
        let number = number.parse().map_err(|_| bad("size", text, wanted))?;
        let to = match (sign, self.flag("shrink")) {
            ("-", true) => ResizeTo::ShrinkBy(number),
            ("-", false) => return Err(Error::Options("an image is made smaller only with --shrink").into()),
            ("+", _) => ResizeTo::GrowBy(number),
            (_, true) => ResizeTo::ShrinkOrGrowTo(number),
            (_, false) => ResizeTo::GrowTo(number),
        };
        let resize = Resize::new(source, to).quiet(self.flag("q"));
        Ok(apply!(resize, preallocation(self.preallocation("preallocation")?)))
    }

    pub(super) fn snapshot(&self) -> Result<Snapshot> {
        let source = self.source(self.operand(0)?, "f")?;
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
        let json = self.word("output", "human or json", |text| match text {
            "json" => Some(true),
            "human" => Some(false),
            _ => None,
        })?;
        Ok(!json.unwrap_or(false))
    }

    /// A backing file, given as options of the command or among the create options.
    fn backing(&self, options: &mut KeyVal, names: [&str; 2], formats: [&str; 2]) -> Result<Option<Backing>> {
        let in_options =
            (options.get("backing_file").map(OsStr::to_owned), options.get("backing_fmt").map(OsStr::to_owned));
        options.remove("backing_file");
        options.remove("backing_fmt");
        let name = names.iter().find_map(|name| self.line.value(name)).or(in_options.0.as_deref());
        let Some(name) = name else { return Ok(None) };
        let mut format = formats.iter().find_map(|option| self.format(option).transpose()).transpose()?;
        if let (None, Some(name)) = (format, &in_options.1) {
            format = Some(read_text("backing_fmt", name, "the name of an image format")?);
        }
        Ok(Some(Backing::maybe_probing(Location::from_plain_name(name), format)))
    }
}
