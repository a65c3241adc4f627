//! What the client decides by itself: the cache mode of a target, which image a directory stands for, and what
//! bounds a command has.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::ffi::OsString;
use std::path::Path;

use qemu_cmd::{
    Amend, Backing, Bench, Bitmap, BitmapAction, ByteSize, CacheMode, Check, Commit, Compare, Compat, Convert, Create,
    Dd, Format, Info, Map, Measure, Qcow2, Qcow2Amend, Rebase, Resize, ResizeTo, Snapshot, Source, Target,
};
use qemu_exec::{DryRunExecutor, Error, ErrorKind, Executor, Limits, LocalExecutor, Outcome, QemuImg, direct_io_works};
use qemu_info::{CheckVerdict, Comparison, Difference};
use tests::{Kind, client, content, executable, local, scratch, write_fixture};

/// The cache mode that a convert into this directory gets.
fn mode(directory: &Path, probe: Option<&Path>, chosen: Option<CacheMode>) -> OsString {
    let mut client = QemuImg::new(DryRunExecutor::new(local()));
    if let Some(probe) = probe {
        client = client.probe_directory(probe);
    }
    let mut convert = Convert::new(Source::raw("/a"), Target::new(directory.join("b"), Qcow2::new()));
    if let Some(chosen) = chosen {
        convert = convert.target_cache(chosen);
    }
    client.convert(&convert).unwrap();
    let argv = client.executor().plans().remove(0).argv;
    assert_eq!(argv[2], "-t");
    argv[3].clone()
}

#[test]
fn the_cache_mode_is_what_the_target_can_do() {
    let directory = scratch();
    let here = directory.path();
    let wanted = if direct_io_works(here).unwrap() { "none" } else { "writeback" };
    assert_eq!(mode(here, None, None), wanted);
    // Where nothing can be probed there is no O_DIRECT, and the directory that is asked can be another.
    let gone = here.join("gone");
    assert_eq!(mode(&gone, None, None), "writeback");
    assert_eq!(mode(here, Some(&gone), None), "writeback");
    assert_eq!(mode(&gone, Some(here), None), wanted);
    assert_eq!(mode(here, None, Some(CacheMode::Directsync)), "directsync");
    assert_eq!(std::fs::read_dir(here).unwrap().count(), 0, "the probe left something behind");
}

#[test]
fn a_ploop_directory_stands_for_the_image_in_it() {
    let directory = scratch();
    let ploop = directory.path().join("disk");
    std::fs::create_dir(&ploop).unwrap();
    write_fixture(Kind::Qcow2, &ploop.join("root.hds"));
    let info = || client().info(&Info::new(Source::qcow2(&ploop)));
    // Without its descriptor it is a directory, which is no image.
    assert_eq!(info().unwrap_err().kind(), ErrorKind::Failed);
    std::fs::write(ploop.join("DiskDescriptor.xml"), "<Parallels_disk_image/>").unwrap();
    let info = info().unwrap();
    assert_eq!((info.filename.as_str(), info.virtual_size), (ploop.join("root.hds").to_str().unwrap(), 1 << 20));
}

/// Every subcommand that has no answer but that it is done, on a chain of two images.
#[test]
fn each_subcommand_does_its_work() {
    let directory = scratch();
    let file = |name: &str| directory.path().join(name);
    write_fixture(Kind::Raw, &file("base"));
    let top = || Source::qcow2(file("top"));
    let client = client();
    let overlay = Create::overlay(file("top"), Qcow2::new(), Backing::new(file("base"), Format::Raw));
    client.create(&overlay).unwrap();
    let info = || client.info(&Info::new(top())).unwrap();

    let bench = client.bench(&Bench::new(top()).count(1).depth(1).write(true).pattern(9)).unwrap();
    assert!(String::from_utf8(bench.stdout).unwrap().contains("Run completed in "));
    client.snapshot(&Snapshot::create(top(), "before")).unwrap();
    assert_eq!(info().snapshots.unwrap()[0].name, "before");
    client.bench(&Bench::new(top()).count(1).depth(1).write(true).pattern(7)).unwrap();
    client.snapshot(&Snapshot::apply(top(), "before")).unwrap();
    let list = client.snapshot(&Snapshot::list(top())).unwrap();
    assert!(String::from_utf8(list.stdout).unwrap().contains("before"));
    client.snapshot(&Snapshot::delete(top(), "before")).unwrap();
    assert_eq!(info().snapshots, None);

    client.commit(&Commit::new(top())).unwrap();
    let mut changed = content();
    changed[..4096].fill(9);
    assert!(std::fs::read(file("base")).unwrap() == changed);
    client.rebase(&Rebase::flatten(top())).unwrap();
    assert_eq!(info().backing_filename, None);
    client.bitmap(&Bitmap::new(top(), "b", BitmapAction::Add { granularity: None })).unwrap();
    client.bitmap(&Bitmap::new(top(), "b", BitmapAction::Remove)).unwrap();
    client.amend(&Amend::qcow2(top(), Qcow2Amend::new().compat(Compat::V0_10))).unwrap();
    client.resize(&Resize::new(top(), ResizeTo::GrowBy(ByteSize::mib(1)))).unwrap();
    assert_eq!(info().virtual_size, 2 << 20);
    client.dd(&Dd::new(top(), file("copy"), Format::Raw).block_size(ByteSize::mib(1)).count(1)).unwrap();
    assert!(std::fs::read(file("copy")).unwrap() == changed);
}

/// What qemu-img says no to is an error of its kind, whichever the subcommand.
#[test]
fn each_subcommand_can_fail() {
    let directory = scratch();
    let gone = || Source::qcow2(directory.path().join("gone"));
    for (name, run) in subcommands() {
        let error = run(&client(), gone()).expect_err(name);
        assert_eq!(error.kind(), ErrorKind::NotFound, "{name}: {error}");
        assert!(error.command().starts_with(&format!("qemu-img {name} ")), "{}", error.command());
    }
}

/// What only reads headers is bounded; what writes is not ended half way unless somebody wants that.
#[test]
fn each_subcommand_has_its_bounds() {
    let minute = Limits::none().cpu(std::time::Duration::from_secs(60));
    let client = QemuImg::new(DryRunExecutor::new(local()));
    let bounded = QemuImg::new(DryRunExecutor::new(local())).data_limits(minute);
    for (name, run) in subcommands() {
        let launch = |client: &QemuImg<DryRunExecutor>| {
            run(client, Source::qcow2("/a")).unwrap();
            client.executor().plans().pop().unwrap().launch.limits
        };
        assert_eq!(launch(&client), Limits::none(), "{name}");
        assert_eq!(launch(&bounded), minute, "{name}");
    }
    client.snapshot(&Snapshot::list(Source::qcow2("/a"))).unwrap();
    let _ = client.info(&Info::new(Source::qcow2("/a")));
    for plan in client.executor().plans().iter().rev().take(2) {
        assert_eq!(plan.launch.limits, Limits::metadata(), "{plan:?}");
    }
}

type Run<E> = fn(&QemuImg<E>, Source) -> Result<Outcome, Error>;

/// Every subcommand that writes, or reads all the data, on an image.
fn subcommands<E: Executor>() -> [(&'static str, Run<E>); 9] {
    [
        ("amend", |client, image| client.amend(&Amend::qcow2(image, Qcow2Amend::new().lazy_refcounts(true)))),
        ("bench", |client, image| client.bench(&Bench::new(image))),
        ("bitmap", |client, image| client.bitmap(&Bitmap::new(image, "b", BitmapAction::Clear))),
        ("commit", |client, image| client.commit(&Commit::new(image))),
        ("convert", |client, image| client.convert(&Convert::new(image, Target::new("/nowhere/b", Qcow2::new())))),
        ("dd", |client, image| client.dd(&Dd::new(image, "/nowhere/b", Format::Raw))),
        ("rebase", |client, image| client.rebase(&Rebase::flatten(image))),
        ("resize", |client, image| client.resize(&Resize::new(image, ResizeTo::GrowTo(ByteSize::mib(1))))),
        ("snapshot", |client, image| client.snapshot(&Snapshot::delete(image, "s"))),
    ]
}

#[test]
fn answers_are_answers_and_failures_are_errors() {
    let directory = scratch();
    let (raw, image) = (directory.path().join("raw"), directory.path().join("image"));
    std::fs::write(&raw, content()).unwrap();
    write_fixture(Kind::Qcow2, &image);
    let (client, missing) = (client(), directory.path().join("missing"));

    let check = |path: &Path, format| client.check(&Check::new(Source::new(path, format)));
    let report = check(&image, Format::Qcow2).unwrap();
    assert_eq!(report.report().unwrap().verdict(), CheckVerdict::Clean);
    assert_eq!(check(&raw, Format::Raw).unwrap(), qemu_info::Check::Unsupported);
    assert_eq!(check(&missing, Format::Qcow2).unwrap_err().kind(), ErrorKind::NotFound);

    let compare = |other: &Path| client.compare(&Compare::new(Source::qcow2(&image), Source::raw(other)));
    assert!(compare(&raw).unwrap().is_identical());
    let mut other = content();
    other[4096] ^= 1;
    std::fs::write(directory.path().join("other"), other).unwrap();
    let different = Difference::Content { offset: 4096, sizes_differ: false };
    assert_eq!(compare(&directory.path().join("other")).unwrap(), Comparison::Different(different));
    assert_eq!(compare(&missing).unwrap_err().kind(), ErrorKind::NotFound);

    let map = client.map(&Map::new(Source::qcow2(&image))).unwrap();
    assert_eq!(map.iter().map(|extent| extent.length).sum::<u64>(), content().len() as u64);
    let measured = client.measure(&Measure::size(ByteSize::gib(1), Qcow2::new())).unwrap();
    assert!(measured.required < measured.fully_allocated);
    assert_eq!(client.map(&Map::new(Source::qcow2(&raw))).unwrap_err().kind(), ErrorKind::WrongFormat);

    // A program that is no qemu-img says something else.
    let liar = QemuImg::new(LocalExecutor::with_program(executable(directory.path(), "#!/bin/sh\necho '{}'\nexit 3")));
    let error = liar.check(&Check::new(Source::qcow2(&image))).unwrap_err();
    assert_eq!((error.kind(), error.exit_code()), (ErrorKind::OutputNotUnderstood, Some(3)));
}
