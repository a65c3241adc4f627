//! Property tests, each failure of which can be repeated.

use std::hash::{BuildHasher as _, Hasher as _};

use proptest::test_runner::{Config, RngSeed};

/// The seed that `PROPTEST_RNG_SEED` gives.
#[must_use]
pub fn given_seed() -> Option<u64> {
    match Config::default().rng_seed {
        RngSeed::Fixed(seed) => Some(seed),
        RngSeed::Random => None,
    }
}

/// Another one each time.
#[must_use]
pub fn random_seed() -> u64 {
    std::hash::RandomState::new().build_hasher().finish()
}

/// To try a property on so many values. A test that fails shows the smallest of them that fails too, and the seed, which
/// given in `PROPTEST_RNG_SEED` gives the same values again. No file of regressions is kept: what once failed becomes a
/// test of its own.
#[must_use]
pub fn tries(cases: u32) -> Config {
    let seed = given_seed().unwrap_or_else(random_seed);
    // Of a test that passes, this is not shown.
    println!("to repeat it: PROPTEST_RNG_SEED={seed}");
    Config { cases, failure_persistence: None, rng_seed: RngSeed::Fixed(seed), ..Config::default() }
}
