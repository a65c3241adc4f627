//! Commands that look at images.

use proptest::prelude::{BoxedStrategy, Strategy, any, prop_oneof};

use super::World;
use super::parts::{half, of, rarely, with};
use super::words::{bench_aio, cache_mode, repair};
use crate::{Bench, ByteSize, Check, Compare, Info, Map};

impl World {
    /// An info.
    pub fn info(&self) -> BoxedStrategy<Info> {
        (self.source(), any::<[bool; 3]>(), of(cache_mode()), rarely())
            .prop_map(|(source, [share, chain, human], cache, limits)| {
                let info = Info::new(source).force_share(share).backing_chain(chain).human(human).limits(limits);
                with(info, cache, Info::cache)
            })
            .boxed()
    }

    /// A check. Refused is a repair of a shared image.
    pub fn check(&self) -> BoxedStrategy<Check> {
        (self.source(), of(repair()), of(cache_mode()), any::<[bool; 3]>())
            .prop_map(|(source, repair, cache, [share, human, quiet])| {
                let check = Check::new(source).force_share(share).human(human).quiet(quiet);
                with(with(check, repair, Check::repair), cache, Check::cache)
            })
            .boxed()
    }

    /// A map.
    pub fn map(&self) -> BoxedStrategy<Map> {
        (self.source(), of(self.size.clone()), of(self.size.clone()), any::<[bool; 2]>())
            .prop_map(|(source, start, length, [share, human])| {
                let map = Map::new(source).force_share(share).human(human);
                with(with(map, start, Map::start_offset), length, Map::max_length)
            })
            .boxed()
    }

    /// A compare.
    pub fn compare(&self) -> BoxedStrategy<Compare> {
        (self.source(), self.source(), of(cache_mode()), any::<[bool; 4]>())
            .prop_map(|(a, b, cache, [strict, share, progress, quiet])| {
                let compare = Compare::new(a, b).strict(strict).force_share(share).progress(progress).quiet(quiet);
                with(compare, cache, Compare::cache)
            })
            .boxed()
    }

    /// A bench. Refused are counts and sizes of 0, a flush interval without writing or below the depth, and writing
    /// to what is shared.
    pub fn bench(&self) -> BoxedStrategy<Bench> {
        let small = || prop_oneof![8 => 1..9_u32, 1 => 0..99_u32];
        let numbers = (half(small()), half(small()), of(8..99_u32), of(any::<u8>()));
        let bytes =
            || prop_oneof![4 => (9..17_u32).prop_map(|shift| ByteSize::bytes(1 << shift)), 1 => super::byte_size()];
        let sizes = (of(self.size.clone()), of(bytes()), of(bytes()));
        let ways = (of(bench_aio()), of(cache_mode()));
        let flags = (any::<bool>(), any::<bool>(), rarely(), rarely(), rarely());
        (self.source(), numbers, sizes, ways, flags)
            .prop_map(|(source, (count, depth, flush, pattern), (offset, buffer, step), (aio, cache), flags)| {
                let (write, no_drain, native, share, quiet) = flags;
                let bench = Bench::new(source).write(write).no_drain(no_drain).native(native);
                let bench = with(bench.force_share(share).quiet(quiet), count, Bench::count);
                let bench = with(with(bench, depth, Bench::depth), flush, Bench::flush_interval);
                let bench = with(with(bench, pattern, Bench::pattern), offset, Bench::offset);
                let bench = with(with(bench, buffer, Bench::buffer_size), step, Bench::step_size);
                with(with(bench, aio, Bench::aio), cache, Bench::cache)
            })
            .boxed()
    }
}
