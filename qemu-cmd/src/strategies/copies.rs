//! Commands that make images of nothing or of others.

use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::{BoxedStrategy, Just, Strategy, any, prop_oneof};

use super::World;
use super::images::source_snapshot;
use super::parts::{half, of, rarely, with};
use super::words::{cache_mode, format};
use crate::{ByteSize, Convert, Create, Dd, Format, Measure, NewImage, Target};

/// Bytes a second, many enough for a test.
pub(super) fn rate() -> BoxedStrategy<ByteSize> {
    prop_oneof![8 => (1 << 24..1_u64 << 32).prop_map(ByteSize::bytes), 1 => super::byte_size()].boxed()
}

impl World {
    /// A convert of any [`source`](Self::source), or several, to any [`target`](Self::target) with any options; about
    /// half are accepted.
    ///
    /// Besides what those say, it is refused with compression into an image that cannot hold it, sparse sizes that
    /// are no multiple of 512 or too large, more than 16 coroutines or none, and options that exclude each other.
    pub fn convert(&self) -> BoxedStrategy<Convert> {
        let into_new = (self.source(), self.new_target(), weighted(0.08, self.backing()))
            .prop_map(|(source, target, backing)| with(Convert::new(source, target), backing, Convert::backing));
        let into_existing = (self.source(), self.source(), of(Just(true))).prop_map(|(source, target, zero)| {
            with(Convert::new(source, Target::existing(target)), zero, Convert::target_is_zero)
        });
        let anything = (self.source(), self.target(), half(self.backing()), any::<bool>()).prop_map(
            |(source, target, backing, zero)| {
                with(Convert::new(source, target), backing, Convert::backing).target_is_zero(zero)
            },
        );
        let whole = prop_oneof![12 => into_new, 4 => into_existing, 1 => anything];
        let with_more = (whole, of(vec(self.source(), 1..3)))
            .prop_map(|(convert, more)| more.into_iter().flatten().fold(convert, Convert::and_source));

        let sparse_size = prop_oneof![
            8 => (0..=32768_u64).prop_map(|sectors| ByteSize::bytes(sectors * 512)),
            1 => super::byte_size(),
        ];
        let coroutines = prop_oneof![8 => 1..=16_u8, 1 => any::<u8>()];
        let numbers = (of(sparse_size), of(coroutines), of(rate()));
        let caches = (half(cache_mode()), half(cache_mode()));
        let bitmaps = of(any::<bool>());
        let rare = (rarely(), rarely(), rarely(), of(source_snapshot()), bitmaps, rarely());
        (with_more, caches, numbers, rare, any::<[bool; 4]>())
            .prop_map(|(convert, (to, from), (sparse, coroutines, rate), rare, [order, share, progress, quiet])| {
                let (compress, offload, salvage, snapshot, bitmaps, unfit) = rare;
                // Only qcow2 has them.
                let can_have = |format: Option<Format>| unfit || matches!(format, None | Some(Format::Qcow2));
                let snapshot = snapshot.filter(|_| can_have(convert.source().format()));
                let both = can_have(convert.source().format()) && can_have(convert.target().format());
                let bitmaps = bitmaps.filter(|_| both);
                let convert = convert.compress(compress).copy_offload(offload).salvage(salvage);
                let convert = with(convert, snapshot, Convert::snapshot);
                let convert = convert.bitmaps(bitmaps.is_some());
                let convert = convert.skip_broken_bitmaps(bitmaps.unwrap_or(unfit && compress));
                let convert = convert.out_of_order(order).force_share(share).progress(progress).quiet(quiet);
                let convert = with(with(convert, to, Convert::target_cache), from, Convert::source_cache);
                let convert = with(with(convert, sparse, Convert::sparse_size), coroutines, Convert::coroutines);
                with(convert, rate, Convert::rate)
            })
            .boxed()
    }

    /// A create: of a new image, or of an overlay that may lack the size it needs.
    ///
    /// Refused are sizes that the format cannot hold, overlays of a format that has none, and preallocated overlays
    /// without extended L2 entries.
    pub fn create(&self) -> BoxedStrategy<Create> {
        let new = (self.location(), self.new_image(), self.size.clone())
            .prop_map(|(location, image, size)| Create::new(location, image, size));
        let image = prop_oneof![2 => self.qcow2().prop_map(NewImage::from), 1 => self.new_image()];
        let overlay = (self.location(), image, self.backing(), half(self.size.clone()), of(Just(true))).prop_map(
            |(location, image, backing, size, unchecked)| {
                let create = Create::overlay(location, image, backing).backing_unchecked(unchecked.is_some());
                with(create, size, Create::size)
            },
        );
        (prop_oneof![new, overlay], any::<bool>()).prop_map(|(create, quiet)| create.quiet(quiet)).boxed()
    }

    /// A dd. Refused are blocks of no or too many bytes, and a count that does not reach beyond what is skipped.
    pub fn dd(&self) -> BoxedStrategy<Dd> {
        let blocks =
            prop_oneof![2 => (9..21_u32).prop_map(|shift| ByteSize::bytes(1 << shift)), 1 => super::byte_size()];
        let number = || prop_oneof![2 => 0..100_u64, 1 => any::<u32>().prop_map(u64::from), 1 => any::<u64>()];
        let numbers = (half(blocks), of(number()), of(number()));
        (self.source(), self.location(), format(), numbers, rarely())
            .prop_map(|(source, target, format, (size, count, skip), share)| {
                let dd = with(Dd::new(source, target, format).force_share(share), size, Dd::block_size);
                with(with(dd, count, Dd::count), skip, Dd::skip)
            })
            .boxed()
    }

    /// A measure, by size or by image. Refused are formats that cannot be measured.
    pub fn measure(&self) -> BoxedStrategy<Measure> {
        let image = || {
            prop_oneof![
                2 => self.raw().prop_map(NewImage::from),
                3 => self.qcow2().prop_map(NewImage::from),
                2 => self.luks_image().prop_map(NewImage::from),
                1 => self.new_image(),
            ]
        };
        let measure = prop_oneof![
            (self.size.clone(), image()).prop_map(|(size, image)| Measure::size(size, image)),
            (self.source(), image()).prop_map(|(source, image)| Measure::image(source, image)),
        ];
        (measure, of(source_snapshot()), rarely(), any::<bool>())
            .prop_map(|(measure, snapshot, share, human)| {
                with(measure.force_share(share).human(human), snapshot, Measure::snapshot)
            })
            .boxed()
    }
}
