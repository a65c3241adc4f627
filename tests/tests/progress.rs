//! How far a command is: reports in any pieces, those of the real qemu-img, and commands that come no further.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use qemu_cmd::{
    Amend, Backing, ByteSize, Check, Commit, Compare, Compat, Convert, Create, Format, Info, Qcow2, Qcow2Amend, Raw,
    Rebase, Snapshot, Source, Target,
};
use qemu_exec::{
    Checks, DryRunExecutor, End, ErrorKind, Executor, LocalExecutor, Outcome, Progress, ProgressParser, QemuImg,
    Request,
};
use tests::property::tries;
use tests::{client, executable, fifo, local, names, scratch};

/// What comes of these pieces: the reports, and the text.
fn parse<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<u16>, Vec<u8>) {
    let (mut parser, mut reports, mut text) = (ProgressParser::new(), Vec::new(), Vec::new());
    for piece in pieces {
        parser.feed(piece, &mut text, |report| reports.push(report));
    }
    parser.finish(&mut text);
    (reports, text)
}

fn seen() -> (Arc<Mutex<Vec<Progress>>>, impl Fn(Progress) + Send + Sync + 'static) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let push = Arc::clone(&seen);
    (seen, move |progress| push.lock().unwrap().push(progress))
}

/// What a request for a shell script, in the place of qemu-img, comes to, and what was told meanwhile.
fn run(body: &str, change: impl for<'a> Fn(Request<'a>) -> Request<'a>) -> (Outcome, Vec<Progress>) {
    let directory = scratch();
    let program = executable(directory.path(), &format!("#!/bin/sh\n{body}\n"));
    let invocation = Info::new(Source::raw("/a")).invocation().unwrap();
    let (seen, listener) = seen();
    let outcome = LocalExecutor::with_program(program).run(change(Request::new(&invocation)).progress(&listener));
    drop(listener);
    (outcome.unwrap(), Arc::into_inner(seen).unwrap().into_inner().unwrap())
}

fn hundredths(progress: &[Progress]) -> Vec<f64> {
    progress.iter().map(|progress| progress.percent()).collect()
}

#[test]
fn text_is_what_is_printed_without_reports() {
    // As 5.2 to 11.1 print it: convert, commit, compare of what is the same, and of what is not.
    for (printed, reports, text) in [
        ("    (0.00/100%)\r    (50.25/100%)\r    (100.00/100%)\r\n", &[0, 5025, 10000][..], ""),
        ("    (0.00/100%)\r    (100.00/100%)\r\nImage committed.\n", &[0, 10000], "Image committed.\n"),
        ("    (0.00/100%)\r    (100.00/100%)\rImages are identical.\n\n", &[0, 10000], "Images are identical.\n"),
        ("    (0.00/100%)\rContent mismatch at offset 9!\n\n", &[0], "Content mismatch at offset 9!\n"),
        ("", &[], ""),
        ("\n\na\n", &[], "\n\na\n"),
        // More newlines than the one that ends the reports are somebody else's.
        ("    (1.00/100%)\r\n\n\n", &[100], "\n\n"),
        ("a     (1.00/100%)\rb\n\n", &[100], "a b\n"),
        ("     (1.00/100%)\r", &[100], " "),
        ("    (1    (1.00/100%)\r", &[100], "    (1"),
    ] {
        let (found, left) = parse([printed.as_bytes()]);
        assert_eq!((&found[..], &*String::from_utf8_lossy(&left)), (reports, text), "{printed:?}");
    }
}

#[test]
fn what_only_looks_like_a_report_is_text() {
    for text in [
        "    (1.0/100%)\r",
        "    (1.000/100%)\r",
        "    (.00/100%)\r",
        "    (1/100%)\r",
        "    (100.01/100%)\r",
        "    (+1.00/100%)\r",
        "    (1.+1/100%)\r",
        "    (-nan/100%)\r",
        "    (1.00/100%)\n",
        "    (1.00/100%)",
        "   (1.00/100%)\r",
        "    (999999999999999999999.00/100%)\r",
        "    (",
        "  ",
    ] {
        assert_eq!(parse([text.as_bytes()]), (vec![], text.as_bytes().to_vec()), "{text:?}");
    }
}

/// Reports, beginnings of reports, newlines and anything else, in any order.
fn printed() -> impl Strategy<Value = Vec<u8>> {
    let report = (0_u16..=10_000).prop_map(|n| format!("    ({}.{:02}/100%)\r", n / 100, n % 100).into_bytes());
    let broken = (report.clone(), 0_usize..18).prop_map(|(mut report, length)| {
        report.truncate(length);
        report
    });
    let other = prop_oneof!["[ (0-9./%)\r\n]{0,20}".prop_map(String::into_bytes), any::<Vec<u8>>()];
    prop::collection::vec(prop_oneof![report, broken, other], 0..12).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(tries(256))]

    #[test]
    fn pieces_do_not_matter(printed in printed(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20)) {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(printed.len() + 1)).collect();
        cuts.extend([0, printed.len()]);
        cuts.sort_unstable();
        let whole = parse([&printed[..]]);
        prop_assert_eq!(&parse(cuts.windows(2).map(|cut| &printed[cut[0]..cut[1]])), &whole);
        prop_assert_eq!(&parse(printed.chunks(1)), &whole);
        // Nothing is lost but the reports and one newline each at most.
        let length = |n: &u16| format!("    ({}.{:02}/100%)\r", n / 100, n % 100).len();
        let gone: usize = whole.0.iter().map(length).sum();
        prop_assert!((0..=whole.0.len()).contains(&(printed.len() - whole.1.len()).saturating_sub(gone)));
    }

    #[test]
    fn every_report_is_told(values in prop::collection::vec(0_u16..=10_000, 0..40), size in 1_usize..50) {
        let printed: String = values.iter().map(|n| format!("    ({}.{:02}/100%)\r", n / 100, n % 100)).collect();
        prop_assert_eq!(parse(printed.as_bytes().chunks(size)), (values, vec![]));
    }
}

#[test]
fn a_progress_says_how_long_and_how_fast() {
    let progress = Progress::new(2500, Duration::from_secs(10));
    assert_eq!((progress.percent(), progress.elapsed()), (25.0, Duration::from_secs(10)));
    assert_eq!(progress.remaining(), Some(Duration::from_secs(30)));
    assert_eq!(progress.done_of(ByteSize::mib(400)), ByteSize::mib(100));
    assert_eq!(progress.rate_of(ByteSize::mib(400)), Some(ByteSize::mib(10)));
    assert_eq!(progress.to_string(), "25.00 %");
    assert!(!progress.is_complete());
    let most = Progress::new(u16::MAX, Duration::from_secs(1));
    assert!(most.is_complete());
    assert_eq!((most.percent(), most.remaining()), (100.0, Some(Duration::ZERO)));
    assert_eq!(most.done_of(ByteSize::bytes(u64::MAX)), ByteSize::bytes(u64::MAX));
    let start = Progress::new(0, Duration::ZERO);
    assert_eq!((start.remaining(), start.rate_of(ByteSize::gib(1))), (None, None));
    assert_eq!(Progress::new(1, Duration::MAX).remaining(), None);
}

#[test]
fn reports_come_as_they_are_made_and_leave_the_text() {
    let body = "printf '    (0.00/100%%)\\r    (12.'; sleep 0.3; printf '50/100%%)\\r'; printf 'said\\n'; \
                printf '    (100.00/100%%)\\r\\n'";
    let (outcome, seen) = run(body, |request| request);
    assert_eq!((outcome.end, &*String::from_utf8_lossy(&outcome.stdout)), (End::Exited(0), "said\n"));
    assert_eq!(hundredths(&seen), [0.0, 12.5, 100.0]);
    assert!(seen[0].elapsed() + Duration::from_millis(250) < seen[1].elapsed(), "{seen:?}");
}

/// However short the time between the last report and the end.
#[test]
fn the_last_report_is_never_lost() {
    for code in [0, 1] {
        for _ in 0..20 {
            let (outcome, seen) = run(&format!("printf '    (100.00/100%%)\\r\\n'; exit {code}"), |request| request);
            assert_eq!(outcome.end, End::Exited(code));
            assert_eq!((hundredths(&seen), outcome.stdout), (vec![100.0], vec![]));
        }
    }
}

#[test]
fn reports_are_no_output_that_could_be_too_much() {
    let body = "i=0; while [ $i -lt 50 ]; do printf '    (%s.00/100%%)\\r' $i; i=$((i + 1)); done; echo";
    let (outcome, seen) = run(body, |request| request.output_limit(1));
    assert_eq!((outcome.end, seen.len(), outcome.stdout.len()), (End::Exited(0), 50, 0));
    // What looks like a report until it ends is not forgotten; and what comes at the very end counts.
    let (outcome, _) = run("printf '    ('", |request| request);
    assert_eq!((outcome.end, outcome.stdout), (End::Exited(0), b"    (".to_vec()));
    for too_much in ["printf '    ('", "printf 12345"] {
        for _ in 0..20 {
            let (outcome, _) = run(too_much, |request| request.output_limit(4));
            assert_eq!(outcome.end, End::OutputTooLarge, "{too_much}");
        }
    }
}

#[test]
fn nobody_asks_so_nothing_is_taken_out() {
    let directory = scratch();
    let printed = "    (1.00/100%)\r\n";
    let program = executable(directory.path(), &format!("#!/bin/sh\nprintf '{}'\n", printed.replace('%', "%%")));
    let invocation = Info::new(Source::raw("/a")).invocation().unwrap();
    let outcome = LocalExecutor::with_program(program).run(Request::new(&invocation)).unwrap();
    assert_eq!(outcome.stdout, printed.as_bytes());
}

#[test]
fn what_comes_no_further_is_ended() {
    fn stall(request: Request<'_>) -> Request<'_> {
        request.stall_timeout(Some(Duration::from_millis(400)))
    }
    let hangs = "printf '    (0.00/100%%)\\r    (40.00/100%%)\\r'; ";
    // Silent, or saying the same for ever; TERM is enough for it.
    for rest in ["sleep 100", "while :; do printf '    (40.00/100%%)\\r'; sleep 0.1; done"] {
        let started = Instant::now();
        let (outcome, seen) = run(&format!("{hangs}{rest}"), stall);
        assert_eq!(outcome.end, End::Stalled, "{rest}");
        assert_eq!(hundredths(&seen)[..2], [0.0, 40.0]);
        assert!(outcome.wall_time >= Duration::from_millis(400), "{outcome:?}");
        assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    }
}

#[test]
fn what_comes_no_further_and_ignores_term_is_killed() {
    let body = "trap '' TERM; printf '    (40.00/100%%)\\r'; while :; do sleep 1; done";
    let (outcome, _) = run(body, |request| request.stall_timeout(Some(Duration::from_millis(200))));
    assert_eq!(outcome.end, End::Stalled);
    assert!(outcome.wall_time > Duration::from_secs(5), "it had no time to end by itself: {outcome:?}");
}

#[test]
fn what_is_slow_or_speaks_or_reports_nothing_has_not_stalled() {
    fn stall(request: Request<'_>) -> Request<'_> {
        request.stall_timeout(Some(Duration::from_millis(1500)))
    }
    for step in ["printf '    (%s.00/100%%)\\r' $i", "echo $i", "echo $i >&2"] {
        let body = format!("printf '    (0.00/100%%)\\r'; for i in 1 2 3 4 5 6; do sleep 0.4; {step}; done");
        let (outcome, _) = run(&body, stall);
        assert_eq!(outcome.end, End::Exited(0), "{step}: {outcome:?}");
    }
    assert_eq!(run("sleep 2", stall).0.end, End::Exited(0));
}

/// It holds a pipe open, which is at its end when the last process that has it is gone.
#[test]
fn a_listener_that_panics_ends_the_command() {
    let directory = scratch();
    let fifo = fifo(directory.path());
    let body = format!("#!/bin/sh\nexec 9>'{}'\nprintf '    (1.00/100%%)\\r'\nsleep 100\n", fifo.display());
    let program = executable(directory.path(), &body);
    let reader = std::thread::spawn(move || std::fs::read(fifo).unwrap());
    let invocation = Info::new(Source::raw("/a")).invocation().unwrap();
    let panicked = std::panic::catch_unwind(|| {
        let listener = |progress: Progress| panic!("at {progress}");
        LocalExecutor::with_program(program).run(Request::new(&invocation).progress(&listener))
    });
    assert_eq!(panicked.unwrap_err().downcast_ref::<String>().unwrap(), "at 1.00 %");
    let started = Instant::now();
    assert!(reader.join().unwrap().is_empty());
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}

/// An image with `mib` of data.
fn raw(path: &Path, mib: usize) {
    File::create(path).unwrap().write_all(&vec![7; mib << 20]).unwrap();
}

fn assert_climbs(seen: &Mutex<Vec<Progress>>, at_least: usize, what: &str) {
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    assert!(seen.len() >= at_least, "{what}: {seen:?}");
    assert!(seen.is_sorted_by_key(|progress| progress.elapsed()), "{what}: {seen:?}");
    assert!(hundredths(&seen).is_sorted(), "{what}: {seen:?}");
    assert_eq!((seen[0].percent(), seen.last().unwrap().percent()), (0.0, 100.0), "{what}: {seen:?}");
}

#[test]
fn the_real_one_says_how_far_it_is() {
    let directory = scratch();
    let path = |name: &str| directory.path().join(name);
    raw(&path("a"), 64);
    let (seen, listener) = seen();
    let client = client().on_progress(listener);

    let convert = Convert::new(Source::raw(path("a")), Target::new(path("b"), Qcow2::new())).coroutines(1);
    assert!(client.convert(&convert).unwrap().stdout.is_empty());
    assert_climbs(&seen, 10, "convert");

    assert!(client.compare(&Compare::new(Source::raw(path("a")), Source::qcow2(path("b")))).unwrap().is_identical());
    assert_climbs(&seen, 10, "compare");

    client.create(&Create::overlay(path("c"), Qcow2::new(), Backing::new(path("b"), Format::Qcow2))).unwrap();
    assert!(seen.lock().unwrap().is_empty(), "create says nothing");
    client.rebase(&Rebase::flatten(Source::qcow2(path("c")))).unwrap();
    assert_climbs(&seen, 10, "rebase");

    client.create(&Create::overlay(path("d"), Qcow2::new(), Backing::new(path("b"), Format::Qcow2))).unwrap();
    let outcome = client.commit(&Commit::new(Source::qcow2(path("d")))).unwrap();
    assert_eq!(String::from_utf8_lossy(&outcome.stdout), "Image committed.\n");
    assert_climbs(&seen, 2, "commit");

    client.amend(&Amend::qcow2(Source::qcow2(path("b")), Qcow2Amend::new().compat(Compat::V0_10))).unwrap();
    assert_climbs(&seen, 2, "amend");

    client.check(&Check::new(Source::qcow2(path("b")))).unwrap();
    client.info(&Info::new(Source::qcow2(path("b")))).unwrap();
    assert!(seen.lock().unwrap().is_empty(), "nothing else says how far it is");
    // Through sudo it is the same.
    let (through_sudo, listener) = self::seen();
    let root = QemuImg::new(tests::sudo()).on_progress(listener);
    assert!(root.compare(&Compare::new(Source::raw(path("a")), Source::qcow2(path("b")))).unwrap().is_identical());
    assert_climbs(&through_sudo, 10, "compare through sudo");
    // -q wins.
    client.convert(&convert.quiet(true)).unwrap();
    assert!(seen.lock().unwrap().is_empty());
}

#[test]
fn a_verified_copy_is_told_of_twice() {
    let directory = scratch();
    let path = |name: &str| directory.path().join(name);
    raw(&path("a"), 4);
    let (seen, listener) = seen();
    let client = client().on_progress(listener).checks(Checks::none().verify(true));
    client.convert(&Convert::new(Source::raw(path("a")), Target::new(path("b"), Raw::new()))).unwrap();
    let starts = seen.lock().unwrap().windows(2).filter(|pair| pair[0].percent() > pair[1].percent()).count();
    assert_eq!(starts, 1, "{seen:?}");
}

#[test]
fn a_stalled_copy_leaves_nothing() {
    let directory = scratch();
    let path = |name: &str| directory.path().join(name);
    let place = scratch();
    raw(&path("a"), 1);
    let program = executable(place.path(), "#!/bin/sh\nprintf '    (40.00/100%%)\\r'\nsleep 100\n");
    let stalled = QemuImg::new(LocalExecutor::with_program(program)).stall_timeout(Some(Duration::from_millis(300)));
    let convert = Convert::new(Source::raw(path("a")), Target::new(path("b"), Raw::new()));
    let error = stalled.convert(&convert).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Stalled, "{error:?}");
    assert!(error.to_string().contains(" came no further, and was ended after "), "{error}");
    assert_eq!(names(directory.path()), ["a"]);
    // The real one, which is slow, comes further all the time.
    let patient = client().stall_timeout(Some(Duration::from_secs(30)));
    patient.convert(&convert.coroutines(1).rate(ByteSize::mib(1))).unwrap();
}

#[test]
fn what_says_how_far_it_is_is_asked_to() {
    let asks = |change: fn(QemuImg<DryRunExecutor<LocalExecutor>>) -> QemuImg<DryRunExecutor<LocalExecutor>>| {
        let client = change(QemuImg::new(DryRunExecutor::new(local())));
        let (a, b) = (Source::qcow2("/a"), Source::raw("/b"));
        let target = Target::new("/nowhere/b", Raw::new());
        client.convert(&Convert::new(a.clone(), target)).unwrap();
        let _ = client.compare(&Compare::new(a.clone(), b)).unwrap_err();
        client.commit(&Commit::new(a.clone())).unwrap();
        client.rebase(&Rebase::flatten(a.clone())).unwrap();
        client.amend(&Amend::qcow2(a.clone(), Qcow2Amend::new().lazy_refcounts(true))).unwrap();
        let _ = client.check(&Check::new(a.clone())).unwrap_err();
        let _ = client.info(&Info::new(a.clone())).unwrap_err();
        client.snapshot(&Snapshot::list(a)).unwrap();
        let plans = client.executor().plans();
        plans.iter().map(|plan| plan.argv.iter().any(|arg| arg == "-p")).collect::<Vec<bool>>()
    };
    let asked = [[true; 5].as_slice(), &[false; 3]].concat();
    assert_eq!(asks(|client| client.on_progress(|_| {})), asked);
    assert_eq!(asks(|client| client.stall_timeout(Some(Duration::from_secs(1)))), asked);
    assert_eq!(asks(|client| client), [false; 8]);
}

/// A script that answers like qemu-img, and one that has no handler, to which the signal would be death.
#[test]
fn answers_are_taken_out_of_standard_error() {
    fn ask(request: Request<'_>) -> Request<'_> {
        request.progress_by_signal(Some(Duration::from_millis(30)))
    }
    fn stall(request: Request<'_>) -> Request<'_> {
        ask(request).stall_timeout(Some(Duration::from_millis(500)))
    }
    let answers = "trap 'n=$((n + 1)); printf \"    ($n.50/100%%)\\n\" >&2' USR1; n=0; printf 'one\\n    (two' >&2; \
                   while [ $n -lt 5 ]; do sleep 0.02; done; echo three >&2";
    let (outcome, seen) = run(&format!("{answers}; exit 1"), ask);
    assert_eq!(outcome.end, End::Exited(1));
    let said = String::from_utf8_lossy(&outcome.stderr);
    assert!(said.starts_with("one\n    (two") && said.ends_with("three\n") && !said.contains("/100%"), "{said:?}");
    assert!(hundredths(&seen).starts_with(&[1.5, 2.5, 3.5, 4.5]), "{seen:?}");
    assert!(!seen.last().unwrap().is_complete(), "it has failed");
    // Of one that succeeds, all is told to be done.
    let (outcome, seen) = run(answers, ask);
    assert_eq!((outcome.end, seen.last().unwrap().percent()), (End::Exited(0), 100.0));
    let (outcome, seen) = run("sleep 0.3; echo done", ask);
    assert_eq!((outcome.end, hundredths(&seen), &*outcome.stdout), (End::Exited(0), vec![100.0], &b"done\n"[..]));
    // Neither is what has a handler for it and says nothing: it has stalled, as far as anybody can tell.
    let silent = "printf '' >&2; trap 'printf \"    (7.00/100%%)\\n\" >&2' USR1; while :; do sleep 0.02; done";
    let (outcome, _) = run(silent, stall);
    assert_eq!(outcome.end, End::Stalled);
}

/// However early and often the real one is asked, it is not killed, and what it says stays what it says.
#[test]
fn the_real_one_answers_and_is_never_killed_by_the_question() {
    let directory = scratch();
    let path = |name: &str| directory.path().join(name);
    raw(&path("a"), 8);
    let (seen, listener) = seen();
    let ask = |invocation: &qemu_cmd::Invocation| {
        let request = Request::new(invocation).progress_by_signal(Some(Duration::from_millis(10)));
        local().run(request.progress(&listener)).unwrap()
    };
    let convert = Convert::new(Source::raw(path("a")), Target::new(path("b"), Qcow2::new()));
    let outcome = ask(&convert.clone().coroutines(1).rate(ByteSize::mib(8)).invocation().unwrap());
    assert_eq!((outcome.end, &*outcome.stderr, &*outcome.stdout), (End::Exited(0), &b""[..], &b""[..]));
    let told = std::mem::take(&mut *seen.lock().unwrap());
    assert!(told.len() >= 3 && hundredths(&told).is_sorted(), "{told:?}");
    assert_eq!(told.last().unwrap().percent(), 100.0);

    // Those without a handler, those that begin, and those that fail.
    for _ in 0..10 {
        for (invocation, end) in [
            (Info::new(Source::raw(path("a"))).invocation(), 0),
            (Check::new(Source::qcow2(path("b"))).invocation(), 0),
            (convert.invocation(), 0),
            (Convert::new(Source::qcow2(path("a")), Target::new(path("c"), Raw::new())).invocation(), 1),
        ] {
            let outcome = ask(&invocation.unwrap());
            assert_eq!(outcome.end, End::Exited(end), "{outcome:?}");
            assert!(!String::from_utf8_lossy(&outcome.stderr).contains("/100%"), "{outcome:?}");
        }
    }
}
