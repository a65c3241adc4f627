//! Every subcommand does on a real image what its name says.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::path::Path;

use qemu_cmd::{
    Amend, Backing, Bench, Bitmap, BitmapAction, ByteSize, Check, Commit, Compare, Compat, Convert, Create, Dd, Error,
    Format, Info, Invocation, KeyslotChange, LuksImage, Map, Measure, Preallocation, Qcow2, Qcow2Amend, Qed, Raw,
    Rebase, Repair, Resize, ResizeTo, Secret, Snapshot, Source, SourceSnapshot, Target, Vdi, Vmdk, VmdkSubformat,
};
use qemu_exec::{Executor, Outcome, Request};
use tests::{Kind, PASSPHRASE, client, content, guest_content, local, passphrase, quick_luks, scratch, write_fixture};

fn run(invocation: Result<Invocation, Error>) -> Outcome {
    let invocation = invocation.unwrap();
    let outcome = local().run(Request::new(&invocation)).unwrap();
    let stderr = String::from_utf8_lossy(&outcome.stderr);
    for usage in ["unrecognized option", "invalid option", "Try 'qemu-img", "requires an argument", "Expecting"] {
        assert!(!stderr.contains(usage), "{invocation}: {stderr}");
    }
    outcome
}

fn succeed(invocation: Result<Invocation, Error>) -> String {
    let text = invocation.as_ref().unwrap().to_string();
    let outcome = run(invocation);
    assert!(outcome.success(), "{text}: {}", String::from_utf8_lossy(&outcome.stderr));
    String::from_utf8(outcome.stdout).unwrap()
}

fn fail(invocation: Result<Invocation, Error>) {
    let text = invocation.as_ref().unwrap().to_string();
    assert!(!run(invocation).success(), "{text} was to fail");
}

fn qcow2(path: &Path) -> Source {
    Source::qcow2(path)
}

fn virtual_size(source: Source) -> u64 {
    client().info(&Info::new(source)).unwrap().virtual_size
}

#[test]
fn amend_changes_a_qcow2_image() {
    let directory = scratch();
    let path = directory.path().join("a");
    write_fixture(Kind::Qcow2, &path);
    succeed(Amend::qcow2(qcow2(&path), Qcow2Amend::new().lazy_refcounts(true)).invocation());
    let down = Qcow2Amend::new().lazy_refcounts(false).compat(Compat::V0_10);
    succeed(Amend::qcow2(qcow2(&path), down).quiet(true).invocation());
    let up = Qcow2Amend::new().compat(Compat::V1_1).refcount_bits(8);
    succeed(Amend::qcow2(qcow2(&path), up).progress(true).invocation());
    assert!(guest_content(Kind::Qcow2, &path) == content());
}

#[test]
fn amend_changes_key_slots() {
    for kind in [Kind::Luks, Kind::Qcow2Luks] {
        let directory = scratch();
        let path = directory.path().join("a");
        write_fixture(kind, &path);
        let secret = |text: &str| Secret::new(text).unwrap();
        let source = |key: &str| match kind {
            Kind::Luks => Source::luks(&path, secret(key)),
            _ => Source::qcow2(&path).key(secret(key)),
        };
        let opens = |key: &str| {
            let out = directory.path().join("out");
            client().convert(&Convert::new(source(key), Target::new(&out, Raw::new()))).is_ok()
        };
        let quick = std::time::Duration::from_millis(10);
        let add = KeyslotChange::add(secret("second")).slot(5).iter_time(quick);
        succeed(Amend::keyslot(source(PASSPHRASE), add).invocation());
        assert!(opens("second") && opens(PASSPHRASE));
        // A slot in use is not overwritten, unless that is forced.
        let replace =
            || Amend::keyslot(source(PASSPHRASE), KeyslotChange::add(secret("third")).slot(5).iter_time(quick));
        fail(replace().invocation());
        succeed(replace().force(true).invocation());
        assert!(opens("third") && !opens("second"));
        succeed(Amend::keyslot(source(PASSPHRASE), KeyslotChange::erase(secret("third"))).invocation());
        assert!(!opens("third"));
        // The last one is not erased, by passphrase or by slot.
        fail(Amend::keyslot(source(PASSPHRASE), KeyslotChange::erase(passphrase())).invocation());
        fail(Amend::keyslot(source(PASSPHRASE), KeyslotChange::erase_slot(0)).invocation());
        assert!(opens(PASSPHRASE));
        succeed(Amend::keyslot(source(PASSPHRASE), KeyslotChange::erase_slot(0)).force(true).invocation());
        assert!(!opens(PASSPHRASE));
    }
}

#[test]
fn bench_reads_and_writes() {
    let directory = scratch();
    let path = directory.path().join("a");
    write_fixture(Kind::Raw, &path);
    let bench = || Bench::new(Source::raw(&path)).count(10).depth(2).buffer_size(ByteSize::bytes(512));
    succeed(bench().step_size(ByteSize::kib(4)).offset(ByteSize::kib(8)).invocation());
    assert!(std::fs::read(&path).unwrap() == content());
    succeed(bench().write(true).pattern(7).flush_interval(2).no_drain(true).invocation());
    assert_eq!(std::fs::read(&path).unwrap()[..5120], [7; 5120]);
}

#[test]
fn bitmaps_are_made_merged_and_removed() {
    let directory = scratch();
    let (path, other) = (directory.path().join("a"), directory.path().join("b"));
    write_fixture(Kind::Qcow2, &path);
    write_fixture(Kind::Qcow2, &other);
    let on = |name: &str, action| Bitmap::new(qcow2(&path), name, action);
    let add = |granularity| BitmapAction::Add { granularity };
    succeed(on("one", add(Some(ByteSize::kib(4)))).then(BitmapAction::Disable).invocation());
    succeed(Bitmap::new(qcow2(&other), "far", add(Some(ByteSize::kib(4)))).invocation());
    succeed(on("two", add(None)).then(BitmapAction::Clear).invocation());
    succeed(on("one", BitmapAction::Enable).then(BitmapAction::Merge("two".into())).invocation());
    succeed(on("one", BitmapAction::Merge("far".into())).merge_from(&other, Format::Qcow2).invocation());
    let names = || match client().info(&Info::new(qcow2(&path))).unwrap().format_specific {
        Some(qemu_info::FormatSpecific::Qcow2(qcow2)) => {
            qcow2.bitmaps.unwrap_or_default().into_iter().map(|bitmap| bitmap.name).collect::<Vec<_>>()
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(names(), ["one", "two"]);
    // They travel with a convert, if asked to.
    let copy = directory.path().join("copy");
    let convert = Convert::new(qcow2(&path), Target::new(&copy, Qcow2::new())).bitmaps(true);
    client().convert(&convert).unwrap();
    succeed(on("one", BitmapAction::Remove).invocation());
    assert_eq!(names(), ["two"]);
}

#[test]
fn check_reports_and_repairs() {
    let directory = scratch();
    let path = directory.path().join("a");
    write_fixture(Kind::Qcow2, &path);
    let report = succeed(Check::new(qcow2(&path)).invocation());
    assert!(report.contains("\"check-errors\": 0"), "{report}");
    succeed(Check::new(qcow2(&path)).repair(Repair::Leaks).invocation());
    succeed(Check::new(qcow2(&path)).repair(Repair::All).invocation());
    succeed(Check::new(qcow2(&path)).force_share(true).invocation());
    write_fixture(Kind::Raw, &path);
    assert_eq!(run(Check::new(Source::raw(&path)).invocation()).end, qemu_exec::End::Exited(63));
}

#[test]
fn commit_and_rebase_move_data_in_a_chain() {
    let directory = scratch();
    let file = |name: &str| directory.path().join(name);
    write_fixture(Kind::Raw, &file("base"));
    client().create(&Create::overlay(file("top"), Qcow2::new(), Backing::new(file("base"), Format::Raw))).unwrap();
    let bench = Bench::new(qcow2(&file("top"))).count(1).depth(1).write(true).pattern(9);
    succeed(bench.invocation());
    let mut changed = content();
    changed[..4096].fill(9);
    assert!(guest_content(Kind::Qcow2, &file("top")) == changed);

    succeed(Commit::new(qcow2(&file("top"))).drop_overlay(true).progress(true).invocation());
    assert!(std::fs::read(file("base")).unwrap() == changed);
    // Onto a copy: only the name changes.
    std::fs::copy(file("base"), file("copy")).unwrap();
    let copy = Backing::new(file("copy"), Format::Raw);
    succeed(Rebase::rename_backing_of_same_content(qcow2(&file("top")), copy).invocation());
    // Onto other content: what differs is copied first.
    std::fs::write(file("other"), vec![1; 1 << 20]).unwrap();
    succeed(Rebase::onto(qcow2(&file("top")), Backing::new(file("other"), Format::Raw)).invocation());
    assert!(guest_content(Kind::Qcow2, &file("top")) == changed);
    succeed(Rebase::flatten(qcow2(&file("top"))).invocation());
    std::fs::remove_file(file("other")).unwrap();
    assert!(guest_content(Kind::Qcow2, &file("top")) == changed);
    // To a base further down, named as the chain names it.
    client().create(&Create::overlay(file("mid"), Qcow2::new(), Backing::new(file("base"), Format::Raw))).unwrap();
    client().create(&Create::overlay(file("up"), Qcow2::new(), Backing::new(file("mid"), Format::Qcow2))).unwrap();
    succeed(Bench::new(qcow2(&file("up"))).count(1).depth(1).write(true).pattern(3).invocation());
    succeed(Commit::new(qcow2(&file("up"))).base(file("base")).invocation());
    assert_eq!(std::fs::read(file("base")).unwrap()[..4096], [3; 4096]);
    // And the way to lose data says so.
    succeed(Rebase::drop_backing_and_lose_its_data(qcow2(&file("mid"))).invocation());
    assert!(guest_content(Kind::Qcow2, &file("mid")) == vec![0; 1 << 20]);
}

#[test]
fn compare_tells_same_from_different() {
    let directory = scratch();
    let (a, b) = (directory.path().join("a"), directory.path().join("b"));
    for from in Kind::ALL {
        for to in Kind::ALL {
            write_fixture(from, &a);
            write_fixture(to, &b);
            succeed(Compare::new(from.source(&a), to.source(&b)).invocation());
        }
    }
    std::fs::write(&b, vec![1; 1 << 20]).unwrap();
    write_fixture(Kind::Qcow2, &a);
    let different = run(Compare::new(qcow2(&a), Source::raw(&b)).quiet(true).invocation());
    assert_eq!(different.end, qemu_exec::End::Exited(1));
}

#[test]
fn convert_reads_snapshots_and_several_sources() {
    let directory = scratch();
    let file = |name: &str| directory.path().join(name);
    write_fixture(Kind::Qcow2, &file("a"));
    succeed(Snapshot::create(qcow2(&file("a")), "before, it changed").invocation());
    succeed(Bench::new(qcow2(&file("a"))).count(1).depth(1).write(true).pattern(9).invocation());
    for snapshot in [SourceSnapshot::Name("before, it changed".into()), SourceSnapshot::Id("1".into())] {
        let convert = Convert::new(qcow2(&file("a")), Target::new(file("old"), Raw::new())).snapshot(snapshot);
        client().convert(&convert).unwrap();
        assert!(std::fs::read(file("old")).unwrap() == content());
    }
    let measure = Measure::image(qcow2(&file("a")), Qcow2::new());
    succeed(measure.snapshot(SourceSnapshot::Id("1".into())).invocation());
    succeed(Snapshot::apply(qcow2(&file("a")), "1").invocation());
    assert!(guest_content(Kind::Qcow2, &file("a")) == content());
    assert!(succeed(Snapshot::list(qcow2(&file("a"))).invocation()).contains("before, it changed"));
    succeed(Snapshot::delete(qcow2(&file("a")), "before, it changed").invocation());

    let twice: Vec<u8> = content().into_iter().chain(content()).collect();
    for from in Kind::ALL {
        for and in Kind::ALL {
            write_fixture(from, &file("one"));
            write_fixture(and, &file("two"));
            let convert = Convert::new(from.source(&file("one")), Target::new(file("both"), Raw::new()));
            client().convert(&convert.and_source(and.source(&file("two")))).unwrap();
            assert!(std::fs::read(file("both")).unwrap() == twice, "{from:?} and {and:?}");
        }
    }
}

/// A name can be the id of another.
#[test]
fn a_snapshot_is_found_by_its_id_first_and_deleted_by_its_name_alone() {
    let directory = scratch();
    let file = |name: &str| directory.path().join(name);
    let write = |byte| {
        let bench = Bench::new(qcow2(&file("a"))).count(1).depth(1).buffer_size(ByteSize::mib(1));
        succeed(bench.write(true).pattern(byte).invocation());
    };
    client().create(&Create::new(file("a"), Qcow2::new(), ByteSize::mib(1))).unwrap();
    write(1);
    succeed(Snapshot::create(qcow2(&file("a")), "2").invocation());
    write(2);
    succeed(Snapshot::create(qcow2(&file("a")), "other").invocation());
    write(3);
    let read = |snapshot| {
        let convert = Convert::new(qcow2(&file("a")), Target::new(file("old"), Raw::new())).snapshot(snapshot);
        client().convert(&convert).unwrap();
        std::fs::read(file("old")).unwrap()[0]
    };
    let two = || "2".to_owned();
    let found = [SourceSnapshot::NameOrId(two()), SourceSnapshot::Id(two()), SourceSnapshot::Name(two())].map(read);
    assert_eq!(found, [2, 2, 1]);
    succeed(Snapshot::apply(qcow2(&file("a")), "2").invocation());
    assert_eq!(guest_content(Kind::Qcow2, &file("a"))[0], 2);
    fail(Snapshot::delete(qcow2(&file("a")), "1").invocation());
    succeed(Snapshot::delete(qcow2(&file("a")), "2").invocation());
    assert!(succeed(Snapshot::list(qcow2(&file("a"))).invocation()).contains("other"));
}

#[test]
fn convert_has_more_options() {
    let directory = scratch();
    let file = |name: &str| directory.path().join(name);
    write_fixture(Kind::Raw, &file("a"));
    let to = |name: &str| Convert::new(Source::raw(file("a")), Target::new(file(name), Qcow2::new()));
    let all = to("b")
        .source_cache(qemu_cmd::CacheMode::None)
        .sparse_size(ByteSize::bytes(0))
        .coroutines(16)
        .out_of_order(true)
        .rate(ByteSize::gib(1))
        .salvage(true)
        .force_share(true)
        .progress(true);
    client().convert(&all).unwrap();
    assert!(guest_content(Kind::Qcow2, &file("b")) == content());
    client().convert(&to("c").copy_offload(true).quiet(true)).unwrap();
    client().convert(&to("d").backing(Backing::new(file("a"), Format::Raw))).unwrap();
    let info = client().info(&Info::new(qcow2(&file("d")))).unwrap();
    assert_eq!(info.backing_filename_format.as_deref(), Some("raw"));
    client().create(&Create::new(file("e"), Raw::new(), ByteSize::mib(1))).unwrap();
    let zero = Convert::new(Source::raw(file("a")), Target::existing(Source::raw(file("e")))).target_is_zero(true);
    client().convert(&zero).unwrap();
    assert!(std::fs::read(file("e")).unwrap() == content());
    let stream = Vmdk::new().subformat(VmdkSubformat::StreamOptimized);
    client().convert(&Convert::new(Source::raw(file("a")), Target::new(file("f"), stream)).compress(true)).unwrap();
}

#[test]
fn dd_copies_blocks() {
    let directory = scratch();
    let (a, b) = (directory.path().join("a"), directory.path().join("b"));
    for kind in Kind::ALL {
        write_fixture(kind, &a);
        let dd = || Dd::new(kind.source(&a), &b, Format::Raw).block_size(ByteSize::kib(64));
        succeed(dd().count(3).skip(1).invocation());
        assert!(std::fs::read(&b).unwrap() == content()[64 << 10..192 << 10], "{kind:?}");
        assert!(dd().count(1).skip(1).invocation().is_err());
    }
    // What is refused there: an empty image, and exit 0.
    write_fixture(Kind::Raw, &a);
    let (from, to) = (format!("if={}", a.display()), format!("of={}", b.display()));
    let output = tests::bare(["dd", "-f", "raw", "-O", "raw", "count=1", "skip=1", &from, &to]);
    assert!(output.status.success());
    assert_eq!(std::fs::metadata(&b).unwrap().len(), 0);
}

#[test]
fn map_and_measure_print_json() {
    let directory = scratch();
    let path = directory.path().join("a");
    for kind in Kind::ALL {
        write_fixture(kind, &path);
        let map = Map::new(kind.source(&path)).start_offset(ByteSize::kib(64)).max_length(ByteSize::kib(64));
        let map: serde_json::Value = serde_json::from_str(&succeed(map.invocation())).unwrap();
        assert_eq!(map[0]["start"], 64 << 10);
        let measure = Measure::image(kind.source(&path), Qcow2::new().encryption(quick_luks("x")));
        let measured: serde_json::Value = serde_json::from_str(&succeed(measure.invocation())).unwrap();
        assert!(measured["required"].as_u64().unwrap() > 1 << 19, "{measured}");
    }
    let size = ByteSize::gib(1);
    succeed(Measure::size(size, Raw::new()).invocation());
    succeed(Measure::size(size, Qcow2::new().cluster_size(ByteSize::mib(2))).invocation());
    succeed(Measure::size(size, LuksImage::new(quick_luks("x"))).invocation());
    assert!(matches!(Measure::size(size, Vdi::new()).invocation(), Err(Error::MeasureUnsupported { .. })));
    assert_eq!(tests::bare(["measure", "-O", "vdi", "--size", "1G"]).status.code(), Some(1));
}

#[test]
fn resize_grows_and_shrinks_only_when_told() {
    let directory = scratch();
    let path = directory.path().join("a");
    write_fixture(Kind::Qcow2, &path);
    let size = || virtual_size(qcow2(&path));
    let resize = |to| Resize::new(qcow2(&path), to);
    succeed(resize(ResizeTo::GrowTo(ByteSize::mib(2))).preallocation(Preallocation::Metadata).invocation());
    assert_eq!(size(), 2 << 20);
    succeed(resize(ResizeTo::GrowBy(ByteSize::mib(1))).quiet(true).invocation());
    assert_eq!(size(), 3 << 20);
    fail(resize(ResizeTo::GrowTo(ByteSize::mib(1))).invocation());
    assert_eq!(size(), 3 << 20);
    succeed(resize(ResizeTo::ShrinkBy(ByteSize::mib(1))).invocation());
    assert_eq!(size(), 2 << 20);
    succeed(resize(ResizeTo::ShrinkOrGrowTo(ByteSize::mib(1))).invocation());
    assert!(guest_content(Kind::Qcow2, &path) == content());
    write_fixture(Kind::Luks, &path);
    let encrypted = Source::luks(&path, passphrase());
    succeed(Resize::new(encrypted.clone(), ResizeTo::GrowTo(ByteSize::mib(4))).invocation());
    assert_eq!(virtual_size(encrypted), 4 << 20);
}

#[test]
fn other_formats_can_have_backing_files_too() {
    let directory = scratch();
    let file = |name: &str| directory.path().join(name);
    write_fixture(Kind::Raw, &file("a"));
    let raw = || Backing::new(file("a"), Format::Raw);
    client().create(&Create::overlay(file("qed"), Qed::new(), raw())).unwrap();
    client().create(&Create::overlay(file("qcow"), qemu_cmd::Qcow::new(), raw())).unwrap();
    client().create(&Create::new(file("vmdk"), Vmdk::new(), ByteSize::mib(1))).unwrap();
    client().create(&Create::overlay(file("over"), Vmdk::new(), Backing::new(file("vmdk"), Format::Vmdk))).unwrap();
    assert!(Create::overlay(file("x"), Vdi::new(), raw()).invocation().is_err());
    assert!(Create::overlay(file("x"), Vmdk::new(), raw()).invocation().is_err());
    let name = |name: &str| file(name).into_os_string().into_string().unwrap();
    for format in ["vdi", "vmdk", "raw", "luks", "vpc", "vhdx"] {
        let output = tests::bare(["create", "-f", format, "-b", &name("a"), "-F", "raw", &name("x")]);
        assert_eq!(output.status.code(), Some(1), "{format}: {output:?}");
    }
}
