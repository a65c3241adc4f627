//! Measuring one thing beside another.

use std::time::{Duration, Instant};

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Effort {
    /// Nothing: it is only seen to compile.
    Once,
    /// A tenth, to see whether it works.
    Quick,
    /// All.
    Full,
}

impl Effort {
    /// How many rounds, of so many in full.
    pub(crate) fn rounds(self, full: usize) -> usize {
        match self {
            Self::Full => full,
            Self::Quick | Self::Once => (full / 10).max(3),
        }
    }
}

/// What is claimed about a figure.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Limit {
    /// At most so many times the yardstick.
    Ratio(f64),
    /// At most this long.
    Time(Duration),
    /// At most so many MiB.
    Mebibytes(f64),
    /// Nothing; it is shown for comparison.
    None,
}

/// The quartiles of what was measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    pub(crate) low: f64,
    pub(crate) median: f64,
    pub(crate) high: f64,
}

impl Spread {
    pub(crate) fn of(mut values: Vec<f64>) -> Self {
        assert!(!values.is_empty(), "nothing was measured");
        values.sort_unstable_by(f64::total_cmp);
        let at = |part: usize| values[(values.len() - 1) * part / 4];
        Self { low: at(1), median: at(2), high: at(3) }
    }
}

/// What was measured.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// Seconds, the yardstick's seconds, and the ratio of the two.
    Times { ours: Spread, yardstick: Spread, ratio: Spread },
    /// Memory in MiB.
    Memory(f64),
}

/// One thing that is claimed, and what was measured.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    pub(crate) name: String,
    /// What it is measured against.
    pub(crate) yardstick: &'static str,
    pub(crate) value: Value,
    pub(crate) limit: Limit,
    pub(crate) rounds: usize,
}

impl Figure {
    /// Whether it is beyond its limit.
    pub(crate) fn missed(&self) -> bool {
        match (&self.value, self.limit) {
            (Value::Times { ratio, .. }, Limit::Ratio(limit)) => ratio.median > limit,
            (Value::Times { ours, .. }, Limit::Time(limit)) => ours.median > limit.as_secs_f64(),
            (Value::Memory(mebibytes), Limit::Mebibytes(limit)) => *mebibytes > limit,
            _ => false,
        }
    }
}

/// Something that can be timed: it says how long it took, of what it was asked to do.
pub(crate) type Timed<'a> = Box<dyn FnMut() -> Duration + 'a>;

/// Times a call.
pub(crate) fn timed<T>(run: impl FnOnce() -> T) -> Duration {
    let start = Instant::now();
    let result = run();
    let time = start.elapsed();
    drop(std::hint::black_box(result));
    time
}

/// One thing beside others: each round runs all once, in a changing order.
pub(crate) struct Race<'a> {
    yardstick: (&'static str, Timed<'a>),
    runners: Vec<(String, Limit, Timed<'a>)>,
}

impl<'a> Race<'a> {
    pub(crate) fn against(name: &'static str, run: impl FnMut() -> Duration + 'a) -> Self {
        Self { yardstick: (name, Box::new(run)), runners: Vec::new() }
    }

    pub(crate) fn with(mut self, name: impl Into<String>, limit: Limit, run: impl FnMut() -> Duration + 'a) -> Self {
        self.runners.push((name.into(), limit, Box::new(run)));
        self
    }

    /// Runs all of them, once to warm up and so many times for the figures.
    pub(crate) fn run(mut self, rounds: usize) -> Vec<Figure> {
        let mut times: Vec<Vec<Duration>> = vec![Vec::with_capacity(rounds); self.runners.len() + 1];
        for round in 0..=rounds {
            for turn in 0..times.len() {
                // Whoever always came behind the same one would always find the same caches.
                let index = (turn + round) % times.len();
                let run = if index == 0 { &mut self.yardstick.1 } else { &mut self.runners[index - 1].2 };
                let time = run();
                if round > 0 {
                    times[index].push(time);
                }
            }
        }
        let seconds = |times: &[Duration]| times.iter().map(Duration::as_secs_f64).collect::<Vec<_>>();
        let base = seconds(&times[0]);
        let figures = self.runners.into_iter().zip(&times[1..]).map(|((name, limit, _), times)| {
            let ours = seconds(times);
            let ratios = ours.iter().zip(&base).map(|(ours, base)| ours / base).collect();
            let value =
                Value::Times { ratio: Spread::of(ratios), ours: Spread::of(ours), yardstick: Spread::of(base.clone()) };
            Figure { name, yardstick: self.yardstick.0, value, limit, rounds }
        });
        figures.collect()
    }
}
