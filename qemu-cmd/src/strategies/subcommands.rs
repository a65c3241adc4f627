//! The other subcommands, and commands of any kind.

use std::time::Duration;

use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::{BoxedStrategy, Just, Strategy, any, prop_oneof};
use proptest::sample::select;

use super::{
    backing, byte_size, cache_mode, convert, create, format, info, location, new_image, preallocation, secret, source,
};
use crate::{
    Amend, Bench, BenchAio, Bitmap, BitmapAction, ByteSize, Check, Command, Commit, Compare, Compat, Dd, KeyslotChange,
    Map, Measure, Qcow2Amend, Rebase, Repair, Resize, ResizeTo, Snapshot, SnapshotAction, SourceSnapshot,
};

/// A name, of a snapshot or a bitmap.
fn name() -> BoxedStrategy<String> {
    prop_oneof![4 => "[a-z][a-z0-9 ,=.-]{0,12}", 1 => "\\PC{0,8}"].boxed()
}

/// An amend: of options, or of key slots. Refused is what the format of the [`source()`] has not.
pub fn amend() -> BoxedStrategy<Amend> {
    let compat = select(&[Compat::V0_10, Compat::V1_1][..]);
    let options = (weighted(0.5, compat), weighted(0.5, any::<bool>()), weighted(0.5, 0..8_u32)).prop_map(
        |(compat, lazy, bits)| {
            let options = compat.into_iter().fold(Qcow2Amend::new(), Qcow2Amend::compat);
            let options = lazy.into_iter().fold(options, Qcow2Amend::lazy_refcounts);
            bits.into_iter().fold(options, |options, shift| options.refcount_bits(1 << shift.min(7)))
        },
    );
    let time = (1..100_000_u64).prop_map(Duration::from_millis);
    let add = (secret(), weighted(0.5, 0..9_u8), weighted(0.5, time)).prop_map(|(secret, slot, time)| {
        let change = slot.into_iter().fold(KeyslotChange::add(secret), KeyslotChange::slot);
        time.into_iter().fold(change, KeyslotChange::iter_time)
    });
    let erase = secret().prop_map(KeyslotChange::erase);
    let erase_slot = (0..9_u8).prop_map(KeyslotChange::erase_slot);
    let amend = prop_oneof![
        (source(), options).prop_map(|(source, options)| Amend::qcow2(source, options)),
        (source(), prop_oneof![add, erase, erase_slot]).prop_map(|(source, change)| Amend::keyslot(source, change)),
    ];
    (amend, weighted(0.3, cache_mode()), any::<[bool; 3]>())
        .prop_map(|(amend, cache, [force, progress, quiet])| {
            let amend = amend.force(force).progress(progress).quiet(quiet);
            cache.into_iter().fold(amend, Amend::cache)
        })
        .boxed()
}

/// A bench. Refused are counts and sizes of 0, and a flush interval without writing or below the depth.
pub fn bench() -> BoxedStrategy<Bench> {
    let numbers =
        (weighted(0.5, 0..9_u32), weighted(0.5, 0..9_u32), weighted(0.2, 0..99_u32), weighted(0.3, any::<u8>()));
    let sizes = (weighted(0.3, byte_size()), weighted(0.3, byte_size()), weighted(0.3, byte_size()));
    let ways = (weighted(0.3, select(BenchAio::ALL)), weighted(0.3, cache_mode()));
    (source(), numbers, sizes, ways, any::<[bool; 5]>())
        .prop_map(|(source, (count, depth, flush, pattern), (offset, buffer, step), (aio, cache), flags)| {
            let [write, no_drain, native, share, quiet] = flags;
            let bench = Bench::new(source).write(write).no_drain(no_drain).native(native);
            let bench = bench.force_share(share).quiet(quiet);
            let bench = count.into_iter().fold(bench, Bench::count);
            let bench = depth.into_iter().fold(bench, Bench::depth);
            let bench = flush.into_iter().fold(bench, Bench::flush_interval);
            let bench = pattern.into_iter().fold(bench, Bench::pattern);
            let bench = offset.into_iter().fold(bench, Bench::offset);
            let bench = buffer.into_iter().fold(bench, Bench::buffer_size);
            let bench = step.into_iter().fold(bench, Bench::step_size);
            let bench = aio.into_iter().fold(bench, Bench::aio);
            cache.into_iter().fold(bench, Bench::cache)
        })
        .boxed()
}

/// A bitmap command of up to four actions.
pub fn bitmap() -> BoxedStrategy<Bitmap> {
    let granularity = (8..33_u32).prop_map(|shift| ByteSize::bytes(1 << shift));
    let action = || {
        prop_oneof![
            weighted(0.5, granularity.clone()).prop_map(|granularity| BitmapAction::Add { granularity }),
            Just(BitmapAction::Remove),
            Just(BitmapAction::Clear),
            Just(BitmapAction::Enable),
            Just(BitmapAction::Disable),
            name().prop_map(BitmapAction::Merge),
        ]
    };
    (source(), name(), action(), vec(action(), 0..4), weighted(0.3, (location(), format())))
        .prop_map(|(source, name, first, more, from)| {
            let bitmap = more.into_iter().fold(Bitmap::new(source, name, first), Bitmap::then);
            from.into_iter().fold(bitmap, |bitmap, (location, format)| bitmap.merge_from(location, format))
        })
        .boxed()
}

/// A check. Refused is a repair of a shared image.
pub fn check() -> BoxedStrategy<Check> {
    let repair = select(&[Repair::Leaks, Repair::All][..]);
    (source(), weighted(0.3, repair), weighted(0.3, cache_mode()), any::<[bool; 3]>())
        .prop_map(|(source, repair, cache, [share, human, quiet])| {
            let check = Check::new(source).force_share(share).human(human).quiet(quiet);
            let check = repair.into_iter().fold(check, Check::repair);
            cache.into_iter().fold(check, Check::cache)
        })
        .boxed()
}

/// A commit.
pub fn commit() -> BoxedStrategy<Commit> {
    let options = (weighted(0.3, location()), weighted(0.3, cache_mode()), weighted(0.3, byte_size()));
    (source(), options, any::<[bool; 3]>())
        .prop_map(|(source, (base, cache, rate), [drop, progress, quiet])| {
            let commit = Commit::new(source).drop_overlay(drop).progress(progress).quiet(quiet);
            let commit = base.into_iter().fold(commit, Commit::base);
            let commit = cache.into_iter().fold(commit, Commit::cache);
            rate.into_iter().fold(commit, Commit::rate)
        })
        .boxed()
}

/// A compare.
pub fn compare() -> BoxedStrategy<Compare> {
    (source(), source(), weighted(0.3, cache_mode()), any::<[bool; 4]>())
        .prop_map(|(a, b, cache, [strict, share, progress, quiet])| {
            let compare = Compare::new(a, b).strict(strict).force_share(share).progress(progress).quiet(quiet);
            cache.into_iter().fold(compare, Compare::cache)
        })
        .boxed()
}

/// A dd. Refused are blocks of no or too many bytes, and a count that does not reach beyond what is skipped.
pub fn dd() -> BoxedStrategy<Dd> {
    let numbers = (weighted(0.3, byte_size()), weighted(0.3, any::<u32>()), weighted(0.3, any::<u32>()));
    (source(), location(), format(), numbers, any::<bool>())
        .prop_map(|(source, target, format, (size, count, skip), share)| {
            let dd = Dd::new(source, target, format).force_share(share);
            let dd = size.into_iter().fold(dd, Dd::block_size);
            let dd = count.into_iter().fold(dd, |dd, count| dd.count(count.into()));
            skip.into_iter().fold(dd, |dd, skip| dd.skip(skip.into()))
        })
        .boxed()
}

/// A map.
pub fn map() -> BoxedStrategy<Map> {
    (source(), weighted(0.3, byte_size()), weighted(0.3, byte_size()), any::<[bool; 2]>())
        .prop_map(|(source, start, length, [share, human])| {
            let map = Map::new(source).force_share(share).human(human);
            let map = start.into_iter().fold(map, Map::start_offset);
            length.into_iter().fold(map, Map::max_length)
        })
        .boxed()
}

/// A measure, by size or by image. Refused are formats that cannot be measured.
pub fn measure() -> BoxedStrategy<Measure> {
    let measure = prop_oneof![
        (byte_size(), new_image()).prop_map(|(size, image)| Measure::size(size, image)),
        (source(), new_image()).prop_map(|(source, image)| Measure::image(source, image)),
    ];
    (measure, weighted(0.2, source_snapshot()), weighted(0.2, Just(true)), any::<bool>())
        .prop_map(|(measure, snapshot, share, human)| {
            let measure = measure.force_share(share.is_some()).human(human);
            snapshot.into_iter().fold(measure, Measure::snapshot)
        })
        .boxed()
}

/// A snapshot to read.
pub fn source_snapshot() -> BoxedStrategy<SourceSnapshot> {
    prop_oneof![
        name().prop_map(SourceSnapshot::Name),
        name().prop_map(SourceSnapshot::Id),
        "[a-z0-9 ]{1,8}".prop_map(SourceSnapshot::NameOrId),
    ]
    .boxed()
}

/// A rebase, of each of the four ways.
pub fn rebase() -> BoxedStrategy<Rebase> {
    let rebase = (source(), backing(), 0..4_u8).prop_map(|(source, backing, way)| match way {
        0 => Rebase::onto(source, backing),
        1 => Rebase::flatten(source),
        2 => Rebase::rename_backing_of_same_content(source, backing),
        _ => Rebase::drop_backing_and_lose_its_data(source),
    });
    (rebase, weighted(0.3, cache_mode()), weighted(0.3, cache_mode()), any::<[bool; 4]>())
        .prop_map(|(rebase, cache, below, [compress, share, progress, quiet])| {
            let rebase = rebase.compress(compress).force_share(share).progress(progress).quiet(quiet);
            let rebase = cache.into_iter().fold(rebase, Rebase::cache);
            below.into_iter().fold(rebase, Rebase::backing_cache)
        })
        .boxed()
}

/// A resize. Refused are sizes of 0, and preallocation of what is made smaller.
pub fn resize() -> BoxedStrategy<Resize> {
    let to = (byte_size(), 0..4_u8).prop_map(|(size, way)| match way {
        0 => ResizeTo::GrowTo(size),
        1 => ResizeTo::GrowBy(size),
        2 => ResizeTo::ShrinkOrGrowTo(size),
        _ => ResizeTo::ShrinkBy(size),
    });
    (source(), to, weighted(0.3, preallocation()), any::<bool>())
        .prop_map(|(source, to, mode, quiet)| {
            let resize = Resize::new(source, to).quiet(quiet);
            mode.into_iter().fold(resize, Resize::preallocation)
        })
        .boxed()
}

/// A snapshot command. Refused is a change of a shared image.
pub fn snapshot() -> BoxedStrategy<Snapshot> {
    let action = prop_oneof![
        Just(SnapshotAction::List),
        name().prop_map(SnapshotAction::Create),
        name().prop_map(SnapshotAction::Apply),
        name().prop_map(SnapshotAction::Delete),
    ];
    (source(), action, weighted(0.2, Just(true)), any::<bool>())
        .prop_map(|(source, action, share, quiet)| {
            Snapshot::new(source, action).force_share(share.is_some()).quiet(quiet)
        })
        .boxed()
}

/// A command of any subcommand.
pub fn command() -> BoxedStrategy<Command> {
    prop_oneof![
        1 => amend().prop_map(Command::from),
        1 => bench().prop_map(Command::from),
        1 => bitmap().prop_map(Command::from),
        1 => check().prop_map(Command::from),
        1 => commit().prop_map(Command::from),
        1 => compare().prop_map(Command::from),
        4 => convert().prop_map(Command::from),
        2 => create().prop_map(Command::from),
        1 => dd().prop_map(Command::from),
        1 => info().prop_map(Command::from),
        1 => map().prop_map(Command::from),
        1 => measure().prop_map(Command::from),
        1 => rebase().prop_map(Command::from),
        1 => resize().prop_map(Command::from),
        1 => snapshot().prop_map(Command::from),
    ]
    .boxed()
}
