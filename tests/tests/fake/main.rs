//! The qemu-img in memory against the real one: the same commands, on files and on the fake.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, unreachable_pub)]

mod pair;
mod steps;

use std::cell::Cell;

use pair::Pair;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use qemu_cmd::{
    Backing, BitmapAction, ByteSize, Check, CommandLine, Commit, Create, Format, Info, Qcow2, QemuVersion, Raw, Rebase,
    Snapshot, Source, Subcommand,
};
use qemu_exec::fake::FakeExecutor;
use qemu_exec::{Error, ErrorKind, Executor as _, Limit, Limits, Outcome, QemuImg, Request};
use steps::{Step, step};
use tests::property::tries;

/// A chain to begin with, so that most commands have something to work on.
fn chain() -> Vec<Step> {
    let write = |file, at, byte| Step::Write { file, at, length: 80 << 10, byte };
    let create = |file, image, backing| Step::Create { file, image, size: 256 << 10, backing, unchecked: false };
    vec![
        create(0, Raw::new().into(), None),
        write(0, 0, 7),
        write(0, 128 << 10, 8),
        create(1, Qcow2::new().into(), Some(0)),
        write(1, 60 << 10, 9),
        create(2, Qcow2::new().into(), Some(1)),
        write(2, ByteSize::kib(160).as_u64(), 6),
    ]
}

#[test]
fn the_fake_does_what_the_real_one_does() {
    let (steps, done, compared) = (Cell::new(0), Cell::new(0), Cell::new(0));
    // A few by default, since each is a hundred processes; and every run the same, so that it is red for the change that
    // made it so. What is asked for is drawn anew.
    let is_asked = ["PROPTEST_CASES", "PROPTEST_RNG_SEED"].into_iter().any(|name| std::env::var_os(name).is_some());
    let cases = if is_asked { Config::default().cases } else { 24 };
    let config = Config { max_shrink_iters: 200, failure_persistence: None, cases, ..Config::default() };
    let mut runner = match is_asked {
        false => TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha)),
        true => TestRunner::new(Config { max_shrink_iters: 200, ..tries(cases) }),
    };
    let result = runner.run(&proptest::collection::vec(step(), 1..12), |sequence| {
        let pair = Pair::new();
        for first in chain() {
            assert!(pair.step(&first), "{first:?}");
        }
        for step in &sequence {
            steps.set(steps.get() + 1);
            done.set(done.get() + usize::from(pair.step(step)));
        }
        compared.set(compared.get() + pair.compare());
        Ok(())
    });
    result.unwrap();
    // What the fake says it cannot do is neither done nor compared: that must be the exception.
    assert!(done.get() * 3 > steps.get() * 2, "{} of {} steps were done", done.get(), steps.get());
    assert!(compared.get() > 15 * cases as usize, "{} answers were compared", compared.get());
}

#[test]
fn a_bitmap_is_made_and_removed_by_one_command() {
    let pair = Pair::new();
    let actions = vec![BitmapAction::Add { granularity: None }, BitmapAction::Remove];
    let both = Step::Bitmap { file: 1, name: "x", actions, from: None };
    assert!(chain().iter().chain([&both]).all(|step| pair.step(step)));
}

#[test]
fn a_bitmap_of_an_overlay_can_be_merged_but_not_one_of_the_image_itself() {
    let pair = Pair::new();
    let merge = |from| Step::Bitmap { file: 1, name: "x", actions: vec![BitmapAction::Merge("x".into())], from };
    let steps = [merge(Some(2)), merge(Some(1)), merge(None)];
    assert!(chain().iter().chain(&steps).all(|step| pair.step(step)));
}

/// A client of a fake that has a disk `/a` and an overlay `/b`.
fn small() -> (FakeExecutor, QemuImg<FakeExecutor>) {
    let fake = FakeExecutor::new();
    let client = QemuImg::new(fake.clone());
    client.create(&Create::new("/a", Raw::new(), ByteSize::mib(1))).unwrap();
    client.create(&Create::overlay("/b", Qcow2::new(), Backing::new("a", Format::Raw))).unwrap();
    (fake, client)
}

#[test]
fn every_kind_of_failure_can_be_asked_for() {
    let (fake, client) = small();
    let bounded = QemuImg::new(fake.clone()).data_limits(Limits::metadata()).metadata_limits(Limits::metadata());
    for kind in [
        ErrorKind::Refused,
        ErrorKind::Unsupported,
        ErrorKind::NotFound,
        ErrorKind::PermissionDenied,
        ErrorKind::WrongFormat,
        ErrorKind::WrongPassphrase,
        ErrorKind::KeyNeeded,
        ErrorKind::Locked,
        ErrorKind::NoSpace,
        ErrorKind::LimitHit(Limit::Cpu),
        ErrorKind::LimitHit(Limit::AddressSpace),
        ErrorKind::LimitHit(Limit::FileSize),
        ErrorKind::LimitHit(Limit::OpenFiles),
        ErrorKind::LimitHit(Limit::Processes),
        ErrorKind::LimitHit(Limit::Memory),
        ErrorKind::LimitsNotApplied,
        ErrorKind::TimedOut,
        ErrorKind::Cancelled,
        ErrorKind::Killed(11),
        ErrorKind::ProgramMissing,
        ErrorKind::SudoRefused,
        ErrorKind::CouldNotStart,
        ErrorKind::OutputNotUnderstood,
        ErrorKind::OutputTooLarge,
        ErrorKind::NotRun,
        ErrorKind::Failed,
    ] {
        for client in [&client, &bounded] {
            let image = || Source::qcow2("/b");
            let commands: [&dyn Fn() -> Result<(), Error>; 4] = [
                &|| client.info(&Info::new(image())).map(drop),
                &|| client.check(&Check::new(image())).map(drop),
                &|| client.commit(&Commit::new(image())).map(drop),
                &|| client.snapshot(&Snapshot::list(image())).map(drop),
            ];
            for command in commands {
                fake.fail_next(kind);
                let error = command().unwrap_err();
                assert_eq!(error.kind(), kind, "{error:?}");
                assert!(error.command().starts_with("qemu-img "), "{error:?}");
                command().unwrap();
            }
        }
    }
}

#[test]
fn failures_come_when_they_are_due() {
    let (fake, client) = small();
    let info = || client.info(&Info::new(Source::qcow2("/b"))).map(drop).map_err(|error| error.kind());
    let list = || client.snapshot(&Snapshot::list(Source::qcow2("/b"))).map(drop).map_err(|error| error.kind());
    fake.fail_nth(3, ErrorKind::Locked);
    fake.fail_on(Subcommand::Snapshot, ErrorKind::NoSpace);
    fake.fail_nth(1, ErrorKind::NotFound);
    assert_eq!([info(), info(), info(), info()], [Err(ErrorKind::NotFound), Ok(()), Err(ErrorKind::Locked), Ok(())]);
    assert_eq!([list(), list()], [Err(ErrorKind::NoSpace), Ok(())]);
    assert_eq!(fake.invocations().len(), 8);
}

/// What a command line as somebody wrote it comes to.
fn run(fake: &FakeExecutor, line: &str) -> Result<Outcome, Error> {
    let invocation = CommandLine::parse(line.split(' ').map(Into::into)).unwrap().invocation().unwrap();
    fake.run(Request::new(&invocation)).and_then(|outcome| outcome.ok(&invocation, &Limits::none()))
}

#[test]
fn a_command_is_understood_however_it_is_written() {
    let (fake, _) = small();
    for (line, same) in [
        ("info -f qcow2 --output=json /b", "info --output json -f qcow2 -U -- /b"),
        (
            "info -fqcow2 --output=json /b",
            "info --image-opts --output=json driver=qcow2,file.driver=file,file.filename=/b",
        ),
        (
            "map -f qcow2 --output=json /b",
            "map --output=json json:{\"driver\":\"qcow2\",\"file\":{\"driver\":\"file\",\"filename\":\"/b\"}}",
        ),
        (
            "measure --output=json -O qcow2 -o refcount_bits=8,compat=1.1 --size 1G",
            "measure -o refcount_bits=8 --output=json -ocompat=v3 --size 1024M -O qcow2",
        ),
    ] {
        assert_eq!(run(&fake, line).unwrap().stdout, run(&fake, same).unwrap().stdout, "{same}");
    }
}

#[test]
fn what_is_not_modelled_is_an_error_that_says_so() {
    let (fake, _) = small();
    fake.write("/a", 0, b"MZ").unwrap();
    for (line, says) in [
        ("dd -f raw -O raw if=/a of=/c", "`dd`"),
        ("compare -f raw -F qcow2 /a /b", "`compare`"),
        ("bench -f raw /a", "`bench`"),
        ("info -f raw /a", "output for people: ask for JSON"),
        ("info --output=json -f raw /b", "the bytes of a qcow2 file"),
        ("info --output=json /a", "first block holds data"),
        ("info --output=json -f vmdk /a", "the format `vmdk`"),
        ("info --output=json -f raw nbd://host/a", "not in a file"),
        (
            "info --output=json --image-opts driver=qcow2,file.filename=/b,lazy-refcounts=on",
            "`lazy-refcounts` of a node",
        ),
        ("create -f vdi /c 1M", "the format `vdi`"),
        ("create -f qcow2 -o data_file=/d /c 1M", "the create option `data_file`"),
        ("create --object secret,id=s,data=x -f luks -o key-secret=s /c 1M", "encryption"),
        ("convert -f raw -O raw /a /a2 /c", "several sources"),
        ("measure -O qcow2 -o preallocation=full --output=json --size 1M", "preallocation"),
    ] {
        let error = run(&fake, line).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{line}: {error:?}");
        assert!(error.to_string().contains(says), "{line}: {error}");
        assert!(!fake.exists("/c"), "{line}");
    }
    for line in ["create -q -f qcow2 -b /b -F qcow2 /d", "rebase -u -f qcow2 -b /d -F qcow2 /b"] {
        run(&fake, line).unwrap();
    }
    let error = run(&fake, "info --output=json --backing-chain -f qcow2 /d").unwrap_err();
    assert!(error.to_string().contains("comes back to itself"), "{error}");
}

#[test]
fn handles_share_the_images_and_can_be_sent() {
    fn is_send_and_sync<T: Send + Sync + Clone + 'static>(_: &T) {}
    let (fake, _) = small();
    is_send_and_sync(&fake);
    let threads = (0..8).map(|n| {
        let client = QemuImg::new(fake.clone());
        std::thread::spawn(move || {
            client.create(&Create::new(format!("/n{n}"), Raw::new(), ByteSize::kib(64))).map(drop)
        })
    });
    threads.collect::<Vec<_>>().into_iter().for_each(|thread| thread.join().unwrap().unwrap());
    assert!((0..8).all(|n| fake.exists(format!("/n{n}"))));
}

#[test]
fn it_is_of_the_version_that_is_wanted() {
    let qemu_img = QemuImg::new(FakeExecutor::new().version(QemuVersion::new(7, 2, 0)));
    assert_eq!(qemu_img.qemu_version().unwrap(), Some(QemuVersion::new(7, 2, 0)));
    qemu_img.create(&Create::new("/a", Qcow2::new(), ByteSize::mib(1))).unwrap();
    let flatten = Rebase::flatten(Source::qcow2("/a")).compress(true);
    assert_eq!(qemu_img.rebase(&flatten).unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(QemuImg::new(FakeExecutor::new()).qemu_version().unwrap(), Some(QemuVersion::new(10, 0, 0)));
}
