//! Parts that a value may have or not.

use proptest::option::{OptionStrategy, weighted};
use proptest::prelude::Strategy;

/// A part that is mostly absent: with many parts little would be accepted.
pub(super) fn of<S: Strategy>(part: S) -> OptionStrategy<S> {
    weighted(0.2, part)
}

/// A part that is absent as often as not.
pub(super) fn half<S: Strategy>(part: S) -> OptionStrategy<S> {
    weighted(0.5, part)
}

/// True, but not often.
pub(super) fn rarely() -> impl Strategy<Value = bool> {
    proptest::bool::weighted(0.1)
}

/// Gives the part if there is one.
pub(super) fn with<T, V>(value: T, part: Option<V>, give: impl FnOnce(T, V) -> T) -> T {
    match part {
        Some(part) => give(value, part),
        None => value,
    }
}
