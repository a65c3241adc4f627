//! Commands that change an image in place.

use proptest::collection::vec;
use proptest::prelude::{BoxedStrategy, Just, Strategy, any, prop_oneof};

use super::World;
use super::copies::rate;
use super::names::name;
use super::parts::{half, of, rarely, with};
use super::words::{cache_mode, compat, format, preallocation};
use crate::{
    Amend, Bitmap, BitmapAction, ByteSize, Commit, Format, KeyslotChange, Qcow2Amend, Rebase, Resize, ResizeTo,
    Snapshot, SnapshotAction, Source,
};

/// What is done to a bitmap.
pub fn bitmap_action() -> BoxedStrategy<BitmapAction> {
    let granularity =
        prop_oneof![8 => (9..32_u32).prop_map(|shift| ByteSize::bytes(1 << shift)), 1 => super::byte_size()];
    prop_oneof![
        // Most of the others need one that is there.
        4 => of(granularity).prop_map(|granularity| BitmapAction::Add { granularity }),
        1 => Just(BitmapAction::Remove),
        1 => Just(BitmapAction::Clear),
        1 => Just(BitmapAction::Enable),
        1 => Just(BitmapAction::Disable),
        1 => name().prop_map(BitmapAction::Merge),
    ]
    .boxed()
}

/// What is done with snapshots.
pub fn snapshot_action() -> BoxedStrategy<SnapshotAction> {
    prop_oneof![
        Just(SnapshotAction::List),
        name().prop_map(SnapshotAction::Create),
        name().prop_map(SnapshotAction::Apply),
        name().prop_map(SnapshotAction::Delete),
    ]
    .boxed()
}

impl World {
    /// The options of a qcow2 image that can be changed in place. Refused is a change of nothing.
    pub fn qcow2_amend(&self) -> BoxedStrategy<Qcow2Amend> {
        let file = self.path.clone().prop_filter_map("text", |path| path.into_os_string().into_string().ok());
        (half(compat()), half(any::<bool>()), half(0..8_u32), of(file), of(any::<bool>()))
            .prop_map(|(compat, lazy, bits, file, raw)| {
                let options =
                    with(with(Qcow2Amend::new(), compat, Qcow2Amend::compat), lazy, Qcow2Amend::lazy_refcounts);
                let options = with(options, bits, |options, shift| options.refcount_bits(1 << shift.min(7)));
                let options = with(options, file.as_deref(), Qcow2Amend::data_file);
                with(options, raw, Qcow2Amend::data_file_raw)
            })
            .boxed()
    }

    /// A change of key slots. Refused is a slot beyond the eighth, and a time where a slot is erased.
    pub fn keyslot_change(&self) -> BoxedStrategy<KeyslotChange> {
        let add = (self.key(), half(0..9_u8), half(self.time.clone())).prop_map(|(key, slot, time)| {
            with(with(KeyslotChange::add(key), slot, KeyslotChange::slot), time, KeyslotChange::iter_time)
        });
        let erase = (self.key(), of(0..9_u8))
            .prop_map(|(key, slot)| with(KeyslotChange::erase(key), slot, KeyslotChange::slot));
        prop_oneof![2 => add, 1 => erase, 1 => (0..9_u8).prop_map(KeyslotChange::erase_slot)].boxed()
    }

    /// A source of one of these formats, or rarely of another.
    fn source_of(&self, wanted: &'static [Format]) -> BoxedStrategy<Source> {
        let is_wanted = move |source: &Source| source.format().is_some_and(|format| wanted.contains(&format));
        prop_oneof![8 => self.source().prop_filter("of the format", is_wanted), 1 => self.source()].boxed()
    }

    /// An amend: of options, or of key slots. Refused is what the format of the [`source`](Self::source) has not.
    pub fn amend(&self) -> BoxedStrategy<Amend> {
        let amend = prop_oneof![
            (self.source_of(&[Format::Qcow2]), self.qcow2_amend())
                .prop_map(|(source, options)| Amend::qcow2(source, options)),
            (self.source_of(&[Format::Qcow2, Format::Luks]), self.keyslot_change())
                .prop_map(|(source, change)| Amend::keyslot(source, change)),
        ];
        (amend, of(cache_mode()), any::<[bool; 3]>())
            .prop_map(|(amend, cache, [force, progress, quiet])| {
                with(amend.force(force).progress(progress).quiet(quiet), cache, Amend::cache)
            })
            .boxed()
    }

    /// A bitmap command of up to four actions.
    pub fn bitmap(&self) -> BoxedStrategy<Bitmap> {
        let from = (self.location(), format());
        (self.source_of(&[Format::Qcow2]), name(), bitmap_action(), of(vec(bitmap_action(), 1..4)), of(from))
            .prop_map(|(source, name, first, more, from)| {
                // Without a merge there is nothing to merge from.
                let first = if from.is_some() { BitmapAction::Merge(name.clone()) } else { first };
                if name.len() == 1 && from.is_none() {
                    return Bitmap::remove_all(source);
                }
                let bitmap = more.into_iter().flatten().fold(Bitmap::new(source, name, first), Bitmap::then);
                with(bitmap, from, |bitmap, (location, format)| bitmap.merge_from(location, format))
            })
            .boxed()
    }

    /// A commit.
    pub fn commit(&self) -> BoxedStrategy<Commit> {
        (self.source(), of(self.location()), of(cache_mode()), of(rate()), any::<[bool; 3]>())
            .prop_map(|(source, base, cache, rate, [drop, progress, quiet])| {
                let commit = Commit::new(source).drop_overlay(drop).progress(progress).quiet(quiet);
                let commit = with(with(commit, base, Commit::base), cache, Commit::cache);
                with(commit, rate, Commit::rate)
            })
            .boxed()
    }

    /// A rebase, of each of the four ways.
    pub fn rebase(&self) -> BoxedStrategy<Rebase> {
        let rebase = (self.source_of(&[Format::Qcow2, Format::Qed]), self.backing(), 0..4_u8).prop_map(
            |(source, backing, way)| match way {
                0 => Rebase::onto(source, backing),
                1 => Rebase::flatten(source),
                2 => Rebase::rename_backing_of_same_content(source, backing),
                _ => Rebase::drop_backing_and_lose_its_data(source),
            },
        );
        (rebase, of(cache_mode()), of(cache_mode()), rarely(), any::<[bool; 3]>())
            .prop_map(|(rebase, cache, below, compress, [share, progress, quiet])| {
                let rebase = rebase.compress(compress).force_share(share).progress(progress).quiet(quiet);
                with(with(rebase, cache, Rebase::cache), below, Rebase::backing_cache)
            })
            .boxed()
    }

    /// A new size.
    pub fn resize_to(&self) -> BoxedStrategy<ResizeTo> {
        prop_oneof![
            self.size.clone().prop_map(ResizeTo::GrowTo),
            self.size.clone().prop_map(ResizeTo::GrowBy),
            self.size.clone().prop_map(ResizeTo::ShrinkOrGrowTo),
            self.size.clone().prop_map(ResizeTo::ShrinkBy),
        ]
        .boxed()
    }

    /// A resize. Refused are sizes of 0, and preallocation of what is made smaller.
    pub fn resize(&self) -> BoxedStrategy<Resize> {
        (
            self.source_of(&[Format::Raw, Format::Qcow2, Format::Luks, Format::Qed]),
            self.resize_to(),
            of(preallocation()),
            any::<bool>(),
        )
            .prop_map(|(source, to, mode, quiet)| {
                with(Resize::new(source, to).quiet(quiet), mode, Resize::preallocation)
            })
            .boxed()
    }

    /// A snapshot command. Refused is a change of a shared image.
    pub fn snapshot(&self) -> BoxedStrategy<Snapshot> {
        (self.source_of(&[Format::Qcow2]), snapshot_action(), rarely(), any::<bool>())
            .prop_map(|(source, action, share, quiet)| Snapshot::new(source, action).force_share(share).quiet(quiet))
            .boxed()
    }
}
