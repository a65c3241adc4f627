//! Parts of a map that belong together.

use std::iter::FusedIterator;
use std::ops::Range;

use super::MapExtent;
use crate::Error;

/// What people do with a map, for [`MapExtents`](super::MapExtents) and for any other iterator of extents, in
/// constant memory. For extents in a `Vec`: `extents.into_iter().map(Ok)`.
///
/// An extent of length 0 has no bytes, and is left out. An error comes through, and ends the runs.
pub trait ExtentsExt: Iterator<Item = Result<MapExtent, Error>> + Sized {
    /// Joins extents that follow each other and have the same `key`. The runs cover what the extents cover.
    fn runs<K: PartialEq, F: FnMut(&MapExtent) -> K>(self, key: F) -> Runs<Self, K, F> {
        Runs { extents: self, key, run: None, done: false }
    }

    /// The ranges that are allocated as data, in any image of the chain: those to copy.
    fn allocated(self) -> impl Iterator<Item = Result<Range<u64>, Error>> {
        ranges(self, true)
    }

    /// The ranges between those of [`allocated`](Self::allocated), which read as zeros.
    fn holes(self) -> impl Iterator<Item = Result<Range<u64>, Error>> {
        ranges(self, false)
    }

    /// Everything, holes too, by the image of the chain in which it was found.
    fn by_depth(self) -> impl Iterator<Item = Result<(Range<u64>, u64), Error>> {
        self.runs(|extent| extent.depth)
    }
}

impl<I: Iterator<Item = Result<MapExtent, Error>>> ExtentsExt for I {}

fn ranges(
    extents: impl Iterator<Item = Result<MapExtent, Error>>,
    data: bool,
) -> impl Iterator<Item = Result<Range<u64>, Error>> {
    extents.runs(|extent| extent.data).filter_map(move |run| match run {
        Ok((range, key)) => (key == data).then_some(Ok(range)),
        Err(error) => Some(Err(error)),
    })
}

/// Extents that follow each other and have the same key, joined: see [`ExtentsExt::runs`].
#[derive(Debug)]
#[must_use]
pub struct Runs<I, K, F> {
    extents: I,
    key: F,
    run: Option<(Range<u64>, K)>,
    done: bool,
}

impl<I, K, F> Iterator for Runs<I, K, F>
where
    I: Iterator<Item = Result<MapExtent, Error>>,
    K: PartialEq,
    F: FnMut(&MapExtent) -> K,
{
    type Item = Result<(Range<u64>, K), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.done {
            let extent = match self.extents.next() {
                Some(Ok(extent)) => extent,
                Some(Err(error)) => {
                    // The run that was begun could have gone on.
                    self.run = None;
                    self.done = true;
                    return Some(Err(error));
                }
                None => {
                    self.done = true;
                    break;
                }
            };
            let (range, key) = (extent.range(), (self.key)(&extent));
            if range.is_empty() {
                continue;
            }
            match &mut self.run {
                Some((run, of)) if *of == key && run.end == range.start => run.end = range.end,
                run => {
                    if let Some(ended) = run.replace((range, key)) {
                        return Some(Ok(ended));
                    }
                }
            }
        }
        self.run.take().map(Ok)
    }
}

impl<I, K, F> FusedIterator for Runs<I, K, F>
where
    I: Iterator<Item = Result<MapExtent, Error>>,
    K: PartialEq,
    F: FnMut(&MapExtent) -> K,
{
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn extent(start: u64, length: u64, depth: u64, data: bool) -> MapExtent {
        MapExtent { start, length, depth, present: None, zero: !data, data, compressed: None, offset: None }
    }

    fn map() -> Vec<MapExtent> {
        vec![
            extent(0, 10, 0, true),
            MapExtent { offset: Some(7), ..extent(10, 10, 1, true) },
            extent(20, 5, 1, false),
            extent(25, 5, 0, false),
            extent(30, 0, 0, true),
            extent(30, 10, 0, false),
            extent(40, u64::MAX, 0, true),
        ]
    }

    fn all<T>(runs: impl Iterator<Item = Result<T, Error>>) -> Vec<T> {
        runs.map(Result::unwrap).collect()
    }

    #[test]
    fn runs_are_joined() {
        let extents = || map().into_iter().map(Ok);
        assert_eq!(all(extents().allocated()), [0..20, 40..u64::MAX]);
        assert_eq!(all(extents().holes()), [20..40, 0..0][..1]);
        assert_eq!(all(extents().by_depth()), [(0..10, 0), (10..25, 1), (25..u64::MAX, 0)]);
        assert_eq!(all(extents().runs(|_| ())), [(0..u64::MAX, ())]);
        assert_eq!(all(extents().runs(|extent| extent.start)).len(), 6);
    }

    #[test]
    fn a_gap_is_not_bridged() {
        let apart = [extent(0, 10, 0, true), extent(11, 10, 0, true)];
        assert_eq!(all(apart.into_iter().map(Ok).allocated()), [0..10, 11..21]);
        assert_eq!(all([extent(5, 0, 0, false)].into_iter().map(Ok).holes()), []);
    }

    #[test]
    fn an_error_ends_it() {
        let extents =
            [Ok(extent(0, 1, 0, true)), Ok(extent(1, 1, 0, false)), Err(Error::Empty), Ok(extent(2, 1, 0, true))];
        let mut runs = extents.into_iter().runs(|extent| extent.data);
        assert_eq!(runs.next().unwrap().unwrap(), (0..1, true));
        assert!(runs.next().unwrap().is_err());
        assert!(runs.next().is_none());
    }
}
