//! What the client looks at before and after a convert, on images that qemu-img converts to something else with an exit
//! status of 0; and how it waits for what others use.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use qemu_cmd::{Backing, ByteSize, Convert, Format, NewImage, Qcow2, Raw, Source, Target};
use qemu_exec::{
    CancelToken, Checks, DryRunExecutor, Error, ErrorKind, Executor, LocalExecutor, Outcome, Plan, Publish, QemuImg,
    Request,
};
use tests::machine::{SmallFileSystem, Writer};
use tests::processes::wait_for;
use tests::{Kind, content, local, scratch, write_fixture};

fn client(checks: Checks) -> QemuImg<LocalExecutor> {
    QemuImg::new(local()).publish(Publish::new().replace(true)).checks(checks)
}

fn convert(source: Source, target: &Path, image: impl Into<NewImage>) -> Convert {
    Convert::new(source, Target::new(target, image))
}

fn kind(result: Result<Outcome, Error>, target: &Path) -> ErrorKind {
    let error = result.unwrap_err();
    assert!(!target.exists(), "{error}");
    error.kind()
}

#[test]
fn a_source_that_would_read_as_zeros_is_refused() {
    let directory = scratch();
    let (a, b) = (directory.path().join("a"), directory.path().join("b"));
    let convert = convert(Source::qcow2(&a), &b, Raw::new());
    write_fixture(Kind::Qcow2, &a);
    client(Checks::all()).convert(&convert).unwrap();
    fs::remove_file(&b).unwrap();

    // The first entry of the L1 table points behind the end of the file.
    let file = fs::OpenOptions::new().read(true).write(true).open(&a).unwrap();
    let mut l1 = [0; 8];
    file.read_exact_at(&mut l1, 40).unwrap();
    file.write_all_at(&0x8000_0000_4000_0000_u64.to_be_bytes(), u64::from_be_bytes(l1)).unwrap();
    assert_eq!(kind(client(Checks::none().source(true)).convert(&convert), &b), ErrorKind::SourceCorrupt);
    client(Checks::none()).convert(&convert).unwrap();
    assert!(fs::read(&b).unwrap() == vec![0; 1 << 20], "qemu-img has no complaint, and no data");
    fs::remove_file(&b).unwrap();

    // It is sound, and marked as corrupt (incompatible feature 1).
    write_fixture(Kind::Qcow2, &a);
    file.write_all_at(&2_u64.to_be_bytes(), 72).unwrap();
    assert_eq!(kind(client(Checks::none().source(true)).convert(&convert), &b), ErrorKind::SourceCorrupt);
}

#[test]
fn space_is_asked_for_before_a_byte_is_written() {
    let directory = scratch();
    let (a, mount) = (directory.path().join("a"), directory.path().join("small"));
    write_fixture(Kind::Raw, &a);
    fs::create_dir(&mount).unwrap();
    let _small = SmallFileSystem::mount(&mount, "256k");
    let b = mount.join("b");
    let checked = client(Checks::none().space(true));
    let results = [Raw::new().into(), NewImage::from(Qcow2::new())]
        .map(|image| checked.convert(&convert(Source::raw(&a), &b, image)).map_err(|error| error.kind()));
    let empty = fs::read_dir(&mount).unwrap().next().is_none();
    fs::write(directory.path().join("zeros"), vec![0; 1 << 20]).unwrap();
    let sparse = checked.convert(&convert(Source::raw(directory.path().join("zeros")), &b, Qcow2::new()));
    for result in results {
        let ErrorKind::SpaceMissing { needed, available } = result.unwrap_err() else { panic!("it would not fit") };
        assert_eq!(available, ByteSize::kib(256));
        assert!(needed >= ByteSize::kib(768) && needed < ByteSize::mib(2), "{needed}");
    }
    assert!(empty);
    // Zeros that the source stores are counted, though a convert leaves them out.
    assert!(matches!(sparse.unwrap_err().kind(), ErrorKind::SpaceMissing { .. }));
}

#[test]
fn a_target_that_is_not_zero_is_refused() {
    let directory = scratch();
    let (a, b) = (directory.path().join("a"), directory.path().join("b"));
    write_fixture(Kind::Raw, &a);
    let promise = Convert::new(Source::raw(&a), Target::existing(Source::raw(&b))).target_is_zero(true);
    fs::write(&b, vec![0; 1 << 20]).unwrap();
    client(Checks::all()).convert(&promise).unwrap();
    assert!(fs::read(&b).unwrap() == content());

    let junk = vec![1; 1 << 20];
    fs::write(&b, &junk).unwrap();
    let error = client(Checks::none().zero_target(true)).convert(&promise).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TargetNotZero, "{error}");
    assert!(fs::read(&b).unwrap() == junk);
    client(Checks::none()).convert(&promise).unwrap();
    assert!(fs::read(&b).unwrap() != content(), "the junk is where the zeros should be");
}

/// Flips a bit of the new image behind qemu-img's back.
struct Flip(LocalExecutor);

impl Executor for Flip {
    fn plan(&self, request: &Request<'_>) -> Result<Plan, Error> {
        self.0.plan(request)
    }

    fn run<'a>(&self, request: Request<'a>) -> Result<Outcome, Error> {
        let staging = request.staging;
        let outcome = self.0.run(request)?;
        if let Some(staging) = staging {
            fs::OpenOptions::new().write(true).open(staging.path()).unwrap().write_all_at(b"?", 4711).unwrap();
        }
        Ok(outcome)
    }
}

#[test]
fn what_is_not_the_same_does_not_get_the_name() {
    let directory = scratch();
    let (a, b) = (directory.path().join("a"), directory.path().join("b"));
    let verify = Checks::none().verify(true);
    for from in [Kind::Raw, Kind::Qcow2Luks] {
        write_fixture(from, &a);
        for to in [Kind::Raw, Kind::Luks] {
            client(verify).convert(&Convert::new(from.source(&a), to.target(&b))).unwrap();
            assert!(tests::guest_content(to, &b) == content());
            fs::remove_file(&b).unwrap();
        }
    }
    write_fixture(Kind::Raw, &a);
    let flipped = convert(Source::raw(&a), &b, Raw::new());
    assert_eq!(kind(QemuImg::new(Flip(local())).checks(verify).convert(&flipped), &b), ErrorKind::ContentDiffers);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    let several = flipped.and_source(Source::raw(&a));
    assert_eq!(kind(client(verify).convert(&several), &b), ErrorKind::Refused);
    // A backing file of the target is read with it.
    write_fixture(Kind::Raw, &directory.path().join("base"));
    let overlay = convert(Source::raw(&a), &b, Qcow2::new()).backing(Backing::new("base", Format::Raw));
    client(Checks::all()).convert(&overlay).unwrap();
}

#[test]
fn a_dry_run_shows_the_checks() {
    let directory = scratch();
    let dry = QemuImg::new(DryRunExecutor::new(local())).checks(Checks::all());
    let target = directory.path().join("b");
    dry.convert(&convert(Source::qcow2("/nowhere/a"), &target, Qcow2::new())).unwrap();
    let commands: Vec<_> = dry.executor().plans().into_iter().map(|plan| plan.argv[1].clone()).collect();
    assert_eq!(commands, ["info", "check", "measure", "convert", "compare"]);
}

#[test]
fn locked_images_are_waited_for() {
    let directory = scratch();
    let a = directory.path().join("a");
    write_fixture(Kind::Qcow2, &a);
    let copy = convert(Source::qcow2(&a), &directory.path().join("b"), Raw::new());
    let patient = client(Checks::none()).wait_for_locks(Duration::from_secs(60));

    let writer = Writer::of(&a);
    let started = Instant::now();
    let hasty = client(Checks::none()).wait_for_locks(Duration::from_millis(300));
    assert_eq!(hasty.convert(&copy).unwrap_err().kind(), ErrorKind::Locked);
    assert!(started.elapsed() >= Duration::from_millis(300));
    // Who waits can be stopped.
    let token = CancelToken::new().unwrap();
    std::thread::scope(|scope| {
        let stopped = client(Checks::none()).wait_for_locks(Duration::from_secs(600)).cancel(token.clone());
        let copy = &copy;
        let waiting = scope.spawn(move || stopped.convert(copy).unwrap_err().kind());
        std::thread::sleep(Duration::from_millis(300));
        token.cancel();
        assert_eq!(waiting.join().unwrap(), ErrorKind::Cancelled);
    });
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| patient.convert(&copy).map(drop));
        std::thread::sleep(Duration::from_millis(300));
        drop(writer);
        waiting.join().unwrap().unwrap();
    });
    // So is a new image that another client is writing.
    write_fixture(Kind::Qcow2, &a);
    let c = directory.path().join("c");
    let copy = convert(Source::qcow2(&a), &c, Raw::new());
    let token = CancelToken::new().unwrap();
    std::thread::scope(|scope| {
        let other = client(Checks::none()).cancel(token.clone());
        let slow = copy.clone().rate(ByteSize::kib(32));
        let other = scope.spawn(move || other.convert(&slow).unwrap_err().kind());
        wait_for("it is written", || directory.path().join(".c.partial").exists());
        let waiting = scope.spawn(|| patient.convert(&copy).map(drop));
        std::thread::sleep(Duration::from_millis(300));
        token.cancel();
        waiting.join().unwrap().unwrap();
        assert_eq!(other.join().unwrap(), ErrorKind::Cancelled);
    });
    assert!(c.exists());
}
