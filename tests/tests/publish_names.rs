//! Under which name a new image is written: whatever it is to be called, whatever it is, and whatever lies there.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, symlink};

use qemu_cmd::{
    Backing, ByteSize, Convert, Create, Format, Info, NewImage, Parallels, Qcow, Qcow2, Qed, Raw, Source, Target, Vdi,
    Vhdx, Vmdk, Vpc,
};
use qemu_exec::{DryRunExecutor, LocalExecutor, QemuImg};
use tests::machine::LoopDevice;
use tests::{Kind, content, copy, local, names, with_source};

fn client() -> QemuImg<LocalExecutor> {
    QemuImg::new(local())
}

#[test]
fn any_name_can_be_staged() {
    let directory = with_source();
    let here = directory.path();
    let long: Vec<String> = [245, 246, 247, 255].map(|length| "x".repeat(length)).into();
    let hostile = ["-f", "a,b", "a:b", "nbd:x", "json:{}", "it's \n", " ", "...", ".b.partial", "%s", "\""];
    let all = hostile.map(OsStr::new).into_iter().chain(long.iter().map(OsStr::new));
    let all: Vec<&OsStr> = all.chain([OsStr::from_bytes(b"caf\xe9")]).collect();
    for name in &all {
        client().convert(&copy(here, name)).unwrap_or_else(|error| panic!("{name:?}: {error:?}"));
        assert!(fs::read(here.join(name)).unwrap() == content(), "{name:?}");
    }
    assert_eq!(names(here).len(), all.len() + 1);
}

#[test]
fn what_is_no_file_is_written_in_place() {
    let directory = with_source();
    let here = directory.path();
    fs::write(here.join("disk"), vec![1; 2 << 20]).unwrap();
    let device = LoopDevice::over(&here.join("disk"));
    let link = here.join("link");
    symlink(device.path(), &link).unwrap();
    let result = QemuImg::new(tests::sudo()).convert(&copy(here, "link"));
    let still_there = fs::symlink_metadata(&link).unwrap().is_symlink() && device.path().exists();
    drop(device);
    result.unwrap();
    assert!(still_there);
    assert!(fs::read(here.join("disk")).unwrap()[..1 << 20] == content());

    // Nor is an image that is there already given another file.
    fs::write(here.join("existing"), vec![1; 1 << 20]).unwrap();
    let inode = |name: &str| fs::metadata(here.join(name)).unwrap().ino();
    let before = inode("existing");
    let target = Target::existing(Source::raw(here.join("existing")));
    client().convert(&Convert::new(Source::raw(here.join("a")), target.clone())).unwrap();
    assert_eq!(inode("existing"), before);
    client().convert(&Convert::new(Source::qcow2(here.join("a")), target)).unwrap_err();
    assert_eq!(inode("existing"), before);
}

/// An image that held the name which it had at first would be broken by its new one.
#[test]
fn no_image_holds_its_first_name() {
    let directory = with_source();
    let here = directory.path();
    let images: [(&str, NewImage); 9] = [
        ("raw", Raw::new().into()),
        ("qcow2", Qcow2::new().into()),
        ("vdi", Vdi::new().into()),
        ("vhdx", Vhdx::new().into()),
        ("vpc", Vpc::new().into()),
        ("qed", Qed::new().into()),
        ("qcow", Qcow::new().into()),
        ("parallels", Parallels::new().into()),
        ("vmdk", Vmdk::new().into()),
    ];
    for (name, image) in images {
        // Only a VMDK does hold it, and only that is not staged.
        assert_eq!(image.can_be_renamed(), name != "vmdk");
        let target = Target::new(here.join(name), image);
        let result = client().convert(&Convert::new(Source::raw(here.join("a")), target));
        if let Err(error) = result {
            // Debian built 5.2 without Parallels.
            assert!(name == "parallels" && error.stderr().contains("Unknown file format"), "{name}: {error}");
            continue;
        }
        let bytes = fs::read(here.join(name)).unwrap();
        assert!(!bytes.windows(8).any(|window| window == b".partial"), "{name}");
    }
    // The image holds the name of its data file.
    let split = Qcow2::new().data_file(here.join("data").to_str().unwrap());
    client().create(&Create::new(here.join("split"), split, ByteSize::mib(1))).unwrap();
    assert!(here.join("data").exists());
    let info = client().info(&Info::new(Source::qcow2(here.join("split")))).unwrap();
    assert_eq!(info.virtual_size, 1 << 20);
}

#[test]
fn a_backing_file_is_found_from_where_the_image_is() {
    let directory = with_source();
    let here = directory.path();
    let backing = || Backing::new("a", Format::Raw);
    client().create(&Create::overlay(here.join("top"), Qcow2::new(), backing())).unwrap();
    let copy = Convert::new(Source::qcow2(here.join("top")), Target::new(here.join("copy"), Qcow2::new()));
    client().convert(&copy.backing(backing())).unwrap();
    for name in ["top", "copy"] {
        let info = client().info(&Info::new(Source::qcow2(here.join(name)))).unwrap();
        assert_eq!(info.backing_filename.as_deref(), Some("./a"), "{name}");
        assert!(tests::guest_content(Kind::Qcow2, &here.join(name)) == content(), "{name}");
    }
}

#[test]
fn a_dry_run_shows_the_unfinished_name() {
    let directory = with_source();
    let here = directory.path();
    let dry = QemuImg::new(DryRunExecutor::new(local()));
    dry.convert(&copy(here, "b")).unwrap();
    let plan = dry.executor().plans().remove(0);
    assert_eq!(plan.argv.last().unwrap(), here.join("b").as_os_str());
    assert_eq!(plan.launch.args.last().unwrap(), here.join(".b.partial").as_os_str());
    assert_eq!(names(here), ["a"]);
}
