//! Progress, and an end to it.

use std::sync::{Arc, Mutex};

use qemu_cmd::{ByteSize, Convert, Qcow2, Source, Target};
use qemu_exec::{CancelToken, Progress};
use tests::{Kind, content, guest_content, local, names, with_source};

use crate::progress_cancel::run;

#[test]
fn what_is_stopped_leaves_nothing_and_what_is_not_reaches_its_end() {
    let directory = with_source();
    let target = directory.path().join("b");
    let convert = Convert::new(Source::raw(directory.path().join("a")), Target::new(&target, Qcow2::new()));
    // A mebibyte at a quarter of one a second takes long enough to be stopped on its way.
    let slow = convert.clone().rate(ByteSize::kib(256));
    let token = CancelToken::new().unwrap();
    let stop = token.clone();
    let is_done = run(local(), &slow, token, move |progress: Progress| {
        if progress.percent() > 0.0 {
            stop.cancel();
        }
    });
    assert!(!is_done.unwrap());
    assert_eq!(names(directory.path()), ["a"]);

    let seen = Arc::new(Mutex::new(Vec::new()));
    let report = Arc::clone(&seen);
    let token = CancelToken::new().unwrap();
    assert!(run(local(), &convert, token, move |progress| report.lock().unwrap().push(progress)).unwrap());
    let seen = seen.lock().unwrap();
    assert!(seen.is_sorted_by_key(|progress| progress.percent().to_bits()), "{seen:?}");
    assert!(seen.last().unwrap().is_complete());
    assert!(guest_content(Kind::Qcow2, &target) == content());
}
