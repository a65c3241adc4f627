//! What one input may cost.

use std::alloc::System;
use std::time::Duration;

use cap::Cap;
use rustix::time::{ClockId, clock_gettime};

/// A stream's first and awaited bytes are eight mebibytes, and a vector that grows has its old memory for a moment.
const MEMORY: usize = 16 << 20;
/// Of processor time: what else the machine does makes no input slow.
const TIME: Duration = Duration::from_millis(50);

#[global_allocator]
static HEAP: Cap<System> = Cap::new(System, usize::MAX);

/// Runs it, and fails if it takes more memory than an input may. Too large an allocation aborts, which libFuzzer takes
/// for the crash that it is.
pub(crate) fn within_memory<T>(run: impl FnOnce() -> T) -> T {
    HEAP.set_limit(HEAP.allocated() + MEMORY).expect("more than is allocated");
    let result = run();
    HEAP.set_limit(usize::MAX).expect("more than is allocated");
    result
}

/// Runs it, and fails if it takes more time than reading an input may.
pub(crate) fn in_time<T>(run: impl FnOnce() -> T) -> T {
    let start = now();
    let result = run();
    let took = now() - start;
    assert!(took < TIME, "it took {took:?} of processor time");
    result
}

fn now() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs().try_into().expect("less than a second"))
}
