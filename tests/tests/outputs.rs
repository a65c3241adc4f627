//! What the real qemu-img prints and how it exits is read as what it means.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use qemu_info::{
    BackingChain, Check, CheckReport, CheckVerdict, Comparison, Difference, Error, ImageInfo, Measurement,
    parse_snapshot_list, resolve_backing_name,
};
use tests::{bare, content, qemu_img, scratch};

/// Runs qemu-img in `directory`, with the arguments of a line.
fn run(directory: &Path, line: &str) -> Output {
    let arguments = line.split(' ').filter(|argument| !argument.is_empty());
    Command::new(qemu_img())
        .args(arguments)
        .current_dir(directory)
        .envs([("LC_ALL", "C"), ("TZ", "UTC")])
        .output()
        .unwrap()
}

fn succeed(directory: &Path, line: &str) -> Vec<u8> {
    let output = run(directory, line);
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// `qcow2`: an image of 1 MiB with data in its first two clusters of 64 KiB, and `raw`: the same.
///
/// The file holds in this order, a cluster each: header, refcount table, refcount block, L1, L2, data, data.
fn fixture(directory: &Path) {
    fs::write(directory.join("raw"), &content()[..128 << 10]).unwrap();
    succeed(directory, "resize -q -f raw raw 1M");
    succeed(directory, "convert -m 1 -f raw -O qcow2 raw qcow2");
}

const CLUSTER: usize = 64 << 10;

/// Writes a copy of `qcow2` in which the bytes from `at` on are zeros.
fn damaged(directory: &Path, name: &str, at: usize, length: usize) {
    let mut image = fs::read(directory.join("qcow2")).unwrap();
    image[at..at + length].fill(0);
    fs::write(directory.join(name), image).unwrap();
}

/// `qcow2` on a disk that cannot read this cluster.
fn unreadable(cluster: usize) -> String {
    format!(
        "driver=qcow2,file.driver=blkdebug,file.inject-error.0.event=none,file.inject-error.0.sector={},\
         file.image.driver=file,file.image.filename=qcow2",
        cluster * CLUSTER / 512
    )
}

fn check(directory: &Path, arguments: &str) -> Result<Check, Error> {
    let output = run(directory, &format!("check --output=json {arguments}"));
    Check::from_output(output.status.code().unwrap(), &output.stdout)
}

fn checked(directory: &Path, arguments: &str) -> CheckReport {
    check(directory, arguments).unwrap().report().unwrap().clone()
}

#[test]
fn check_finds_what_is_there() {
    let scratch = scratch();
    let directory = scratch.path();
    fixture(directory);
    let report = checked(directory, "-f qcow2 qcow2");
    assert_eq!(report.verdict(), CheckVerdict::Clean);
    assert_eq!((report.filename.as_str(), report.format.as_str()), ("qcow2", "qcow2"));
    assert_eq!((report.total_clusters, report.allocated_clusters), (16, 2));
    assert_eq!(report.image_end_offset, fs::metadata(directory.join("qcow2")).unwrap().len());
    assert_eq!((report.corruptions, report.leaks, report.check_errors), (0, 0, 0));

    // A cluster that nothing refers to.
    damaged(directory, "leaking", 4 * CLUSTER, 8);
    let report = checked(directory, "-f qcow2 leaking");
    assert_eq!((report.verdict(), report.leaks, report.corruptions), (CheckVerdict::Leaking, 1, 0));
    let report = checked(directory, "-r leaks -f qcow2 leaking");
    assert_eq!((report.verdict(), report.leaks, report.leaks_fixed), (CheckVerdict::Clean, 0, 1));
    assert_eq!(checked(directory, "-f qcow2 leaking").leaks_fixed, 0);

    // An L2 table in a cluster that counts as free.
    damaged(directory, "corrupt", 2 * CLUSTER + 4 * 2, 2);
    let report = checked(directory, "-f qcow2 corrupt");
    assert_eq!((report.verdict(), report.leaks), (CheckVerdict::Corrupt, 0));
    assert!(report.corruptions > 0);
    let report = checked(directory, "-r all -f qcow2 corrupt");
    assert_eq!((report.verdict(), report.corruptions), (CheckVerdict::Clean, 0));
    assert!(report.corruptions_fixed > 0);

    // Reference counts that cannot be read: there is a report, and it says so.
    let report = checked(directory, &format!("--image-opts {}", unreadable(2)));
    assert_eq!(report.verdict(), CheckVerdict::Incomplete);
    assert!(report.check_errors > 0);
}

#[test]
fn check_without_a_report() {
    let scratch = scratch();
    let directory = scratch.path();
    fixture(directory);
    succeed(directory, "create -q -f qcow qcow 1M");
    succeed(directory, "create -q -f vpc vpc 1M");
    for image in ["raw", "qcow", "vpc"] {
        assert_eq!(check(directory, &format!("-f {image} {image}")).unwrap(), Check::Unsupported, "{image}");
    }
    // A table that cannot be read leaves nothing to report, nor does what cannot be opened.
    for line in [
        format!("--image-opts {}", unreadable(4)),
        "-f qcow2 missing".into(),
        "-f qcow2 raw".into(),
        "--no-such-option".into(),
    ] {
        let failed = check(directory, &line);
        assert!(matches!(failed, Err(Error::Failed { exit: 1 })), "{line}: {failed:?}");
    }
    assert!(matches!(check(directory, "-q -f qcow2 qcow2"), Err(Error::Empty)));
}

#[test]
fn compare_says_what_it_found() {
    let scratch = scratch();
    let directory = scratch.path();
    fixture(directory);
    let bytes = fs::read(directory.join("raw")).unwrap();
    fs::write(directory.join("longer"), [bytes.as_slice(), &[0; 4096]].concat()).unwrap();
    fs::write(directory.join("other-end"), [bytes.as_slice(), &[0; 4095], b"x"].concat()).unwrap();
    let mut other = bytes;
    other[70_000] ^= 1;
    fs::write(directory.join("other"), other).unwrap();
    succeed(directory, "create -q -f qcow2 empty 1M");
    let mut more = fs::read(directory.join("raw")).unwrap();
    more[512 << 10] = 1;
    fs::write(directory.join("more-raw"), more).unwrap();
    succeed(directory, "convert -f raw -O qcow2 more-raw more");
    let compare = |arguments: &str| {
        let output = run(directory, &format!("compare {arguments}"));
        Comparison::from_output(output.status.code().unwrap(), &output.stdout, &output.stderr)
    };
    let same = |sizes_differ| Comparison::Identical { sizes_differ };
    let content = |offset, sizes_differ| Comparison::Different(Difference::Content { offset, sizes_differ });
    for (images, found) in [
        ("-f raw -F qcow2 raw qcow2", same(Some(false))),
        ("-f raw -F raw raw longer", same(Some(true))),
        ("-f raw -F raw raw other", content(70_000 / 512 * 512, false)),
        ("-f raw -F raw raw other-end", content((1 << 20) + 4096 - 512, true)),
        ("-f raw -F raw other-end raw", content((1 << 20) + 4096 - 512, true)),
        ("-s -f qcow2 -F qcow2 qcow2 qcow2", same(Some(false))),
        ("-s -f raw -F raw raw longer", Comparison::Different(Difference::Size)),
        ("-s -f qcow2 -F qcow2 qcow2 empty", Comparison::Different(Difference::Allocation { offset: 0 })),
        ("-s -f qcow2 -F qcow2 qcow2 more", Comparison::Different(Difference::Allocation { offset: 128 << 10 })),
    ] {
        assert_eq!(compare(images).unwrap(), found, "{images}");
        assert_eq!(compare(&format!("-p {images}")).unwrap(), found, "-p {images}");
        let quiet = if found.is_identical() { same(None) } else { Comparison::Different(Difference::Unstated) };
        assert_eq!(compare(&format!("-q {images}")).unwrap(), quiet, "-q {images}");
    }
}

#[test]
fn a_failed_compare_is_not_a_difference() {
    let scratch = scratch();
    let directory = scratch.path();
    fixture(directory);
    let raw = "driver=raw,file.driver=file,file.filename=raw";
    for (arguments, exit) in [
        ("raw".to_owned(), 1),
        ("--no-such-option raw raw".to_owned(), 1),
        ("-f raw -F raw raw missing".to_owned(), 2),
        ("-f raw -F raw -T no-such-mode raw raw".to_owned(), 2),
        (format!("--image-opts {} {raw}", unreadable(4)), 3),
        (format!("--image-opts {} {raw}", unreadable(5)), 4),
    ] {
        for option in ["", "-p", "-q"] {
            let output = run(directory, &format!("compare {option} {arguments}"));
            assert_eq!(output.status.code(), Some(exit), "{option} {arguments}");
            let read = Comparison::from_output(exit, &output.stdout, &output.stderr);
            assert!(matches!(read, Err(Error::Failed { exit: e }) if e == exit), "{option} {arguments}: {read:?}");
        }
    }
}

#[test]
fn measure_tells_the_size_to_come() {
    let scratch = scratch();
    let directory = scratch.path();
    fixture(directory);
    succeed(directory, "bitmap --add -f qcow2 qcow2 b");
    let measure = |arguments: &str| {
        Measurement::from_json(&succeed(directory, &format!("measure --output=json {arguments}"))).unwrap()
    };
    let size = measure("-O qcow2 --size 1048576");
    assert_eq!(size.bitmaps, None);
    let raw = measure("-O qcow2 -f raw raw");
    assert_eq!((raw.bitmaps, raw.fully_allocated), (None, size.fully_allocated));
    assert_eq!((raw.required, raw.fully_allocated), (size.required + (128 << 10), size.required + (1 << 20)));
    let with_bitmaps = measure("-O qcow2 -f qcow2 qcow2");
    assert_eq!((with_bitmaps.required, with_bitmaps.fully_allocated), (raw.required, raw.fully_allocated));
    assert!(with_bitmaps.bitmaps.is_some_and(|bytes| bytes > 0));
    let to_raw = measure("-O raw -f qcow2 qcow2");
    assert_eq!((to_raw.bitmaps, to_raw.fully_allocated), (None, 1 << 20));
    // The promise is kept.
    succeed(directory, "convert -m 1 -f raw -O qcow2 raw converted");
    assert_eq!(fs::metadata(directory.join("converted")).unwrap().len(), raw.required);
    let huge = measure("-O raw --size 9223372036854774784");
    assert_eq!(huge.fully_allocated, 9_223_372_036_854_774_784);
}

#[test]
fn bitmaps_are_listed() {
    let scratch = scratch();
    let directory = scratch.path();
    fixture(directory);
    let info = || ImageInfo::from_json(&succeed(directory, "info --output=json -f qcow2 qcow2")).unwrap();
    assert_eq!(info().bitmaps(), []);
    succeed(directory, "bitmap --add -g 4096 -f qcow2 qcow2 fine");
    succeed(directory, "bitmap --add --disable -f qcow2 qcow2 off");
    let info = info();
    let found: Vec<_> =
        info.bitmaps().iter().map(|b| (b.name.as_str(), b.granularity, b.is_enabled(), b.is_in_use())).collect();
    assert_eq!(found, [("fine", 4096, true, false), ("off", 64 << 10, false, false)]);
    let raw = ImageInfo::from_json(&succeed(directory, "info --output=json -f raw raw")).unwrap();
    assert_eq!(raw.bitmaps(), []);
}

/// Gives the first snapshot a state of 1323456789 bytes, a clock of 30:01:01.123456789 and no count of instructions.
fn age_first_snapshot(path: &Path) {
    let mut image = fs::read(path).unwrap();
    let at = usize::try_from(u64::from_be_bytes(image[64..72].try_into().unwrap())).unwrap();
    let clock: u64 = (30 * 3600 + 61) * 1_000_000_000 + 123_456_789;
    image[at + 24..at + 32].copy_from_slice(&clock.to_be_bytes());
    image[at + 32..at + 36].copy_from_slice(&1_323_456_789_u32.to_be_bytes());
    image[at + 40..at + 48].copy_from_slice(&1_323_456_789_u64.to_be_bytes());
    image[at + 56..at + 64].fill(0xff);
    fs::write(path, image).unwrap();
}

#[test]
fn a_table_of_snapshots_is_the_json_of_info() {
    let scratch = scratch();
    let directory = scratch.path();
    fixture(directory);
    let list = || parse_snapshot_list(&succeed(directory, "snapshot -l qcow2")).unwrap();
    assert_eq!(list(), []);
    let image = directory.join("qcow2");
    let long = "longer than any column of the table, and with  spaces in it";
    for name in ["first", long, "line\nfeed", "0 B 2026-01-01", "café", "caf\u{fffd}"] {
        let output = bare(["snapshot".as_ref(), "-c".as_ref(), name.as_ref(), image.as_os_str()]);
        assert!(output.status.success(), "{name}");
    }
    age_first_snapshot(&image);
    let info = ImageInfo::from_json(&succeed(directory, "info --output=json -f qcow2 qcow2")).unwrap();
    let snapshots = info.snapshots.unwrap();
    let rows = list();
    assert_eq!(rows.len(), 6);
    assert_eq!(rows.len(), snapshots.len());
    for (row, snapshot) in rows.iter().zip(&snapshots) {
        assert_eq!((&row.id, &row.name), (&snapshot.id.clone().into_bytes(), &snapshot.name.clone().into_bytes()));
        assert_eq!(row.icount, snapshot.icount);
        let clock = u128::try_from(snapshot.vm_clock_sec * 1000 + snapshot.vm_clock_nsec / 1_000_000).unwrap();
        assert_eq!(row.vm_clock.as_millis(), clock);
        let date =
            Command::new("date").args(["-u", "-d", &format!("@{}", snapshot.date_sec), "+%F %T"]).output().unwrap();
        assert_eq!(row.date, String::from_utf8(date.stdout).unwrap().trim_end());
        assert_eq!(row.vm_state_size, if snapshot.vm_state_size == 0 { "0 B" } else { "1.23 GiB" });
    }
    assert_eq!((snapshots[0].icount, snapshots[0].vm_state_size), (None, 1_323_456_789));
    assert_eq!(snapshots[1].icount, Some(0));
}

/// What the real qemu-img makes of `backing` in an image that is opened as `overlay`.
fn resolved_by_qemu(directory: &Path, overlay: &str, backing: &str) -> (ImageInfo, Option<String>) {
    let run = |arguments: &[&str]| {
        let output = Command::new(qemu_img()).args(arguments).current_dir(directory).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    run(&["create", "-q", "-u", "-f", "qcow2", "-b", backing, "-F", "raw", overlay, "1M"]);
    let info = ImageInfo::from_json(&run(&["info", "--output=json", "-f", "qcow2", overlay])).unwrap();
    let full = info.full_backing_filename.clone();
    (info, full)
}

#[test]
fn backing_names_lead_where_qemu_goes() {
    let scratch = scratch();
    let directory = scratch.path();
    fs::create_dir_all(directory.join("sub/a:b/é")).unwrap();
    let absolute = directory.join("sub/top").to_str().unwrap().to_owned();
    let overlays = [
        "top",
        "./top",
        "sub/top",
        "./sub/top",
        "sub//top",
        "./sub/../top",
        "sub/a:b/top",
        "./a:top",
        "sub/a:b/é/top",
        "file:top",
        "file:sub/top",
        "file:a:top",
        &absolute,
    ];
    let names = [
        "base",
        "./base",
        "../base",
        "../../base",
        "d/base",
        "d//base",
        "d/",
        " base",
        "é",
        "-base",
        "base,x=y",
        "a:b",
        "./a:b",
        "d/a:b",
        ":b",
        "/base",
        "//base",
        "/d/../base",
        "file:base",
        "file:/base",
        "file:///base",
        "nbd://host/e",
        "nbd:unix:/s",
        "json:{\"driver\":\"null-co\"}",
        "json:{\"file\":{\"filename\":\"base\"}}",
        "host_device:/dev/zero",
        "c:\\base",
    ];
    let few = ["base", "../base", "./a:b", "file:base"];
    let some_names_everywhere = overlays.iter().flat_map(|overlay| few.map(|name| (*overlay, name)));
    for (overlay, name) in some_names_everywhere.chain(names.map(|name| ("sub/top", name))) {
        let (mut info, by_qemu) = resolved_by_qemu(directory, overlay, name);
        assert_eq!(info.backing_filename.as_deref(), Some(name), "{overlay}");
        assert!(by_qemu.is_some(), "{overlay} {name}");
        assert_eq!(resolve_backing_name(overlay, name).unwrap(), by_qemu, "{overlay} {name}");
        assert_eq!(info.resolved_backing_name().unwrap(), by_qemu, "{overlay} {name}");
        info.full_backing_filename = None;
        assert_eq!(info.resolved_backing_name().unwrap(), by_qemu, "{overlay} {name}");
    }
}

#[test]
fn a_chain_is_followed_to_its_end() {
    let scratch = scratch();
    let directory = scratch.path();
    fs::create_dir(directory.join("sub")).unwrap();
    succeed(directory, "create -q -f raw base 1M");
    succeed(directory, "create -q -f qcow2 -b ../base -F raw sub/middle");
    succeed(directory, "create -q -f qcow2 -b sub/middle -F qcow2 top");
    let info = "info --output=json --backing-chain -f qcow2 top";
    let chain = BackingChain::from_json(&succeed(directory, info)).unwrap();
    assert_eq!(chain.depth(), 3);
    assert_eq!(chain.formats().collect::<Vec<_>>(), ["qcow2", "qcow2", "raw"]);
    // Each name leads to the next image, and the last one to none.
    let names: Vec<_> = chain.layers().map(|layer| layer.filename.clone()).collect();
    let below: Vec<_> = chain.layers().map(|layer| layer.resolved_backing_name().unwrap()).collect();
    assert_eq!(below, [Some(names[1].clone()), Some(names[2].clone()), None]);
    // qemu-img itself refuses a cycle, so that there is nothing to read.
    succeed(directory, "rebase -u -f qcow2 -F qcow2 -b ../top sub/middle");
    let cycle = run(directory, info);
    assert_eq!(cycle.status.code(), Some(1));
    assert!(matches!(BackingChain::from_json(&cycle.stdout), Err(Error::Empty)));
}
