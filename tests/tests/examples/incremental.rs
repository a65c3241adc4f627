//! Full and incremental backups.

use std::fs;
use std::path::Path;
use std::process::Command;

use qemu_cmd::{ByteSize, Create, Qcow2, Source};
use qemu_exec::QemuImg;
use tests::{Kind, guest_content, local, names, scratch};

use crate::guest;
use crate::incremental_backup::back_up;

/// A disk of 16 MiB with something in it, and a directory for its backups.
fn disk(directory: &Path) -> (std::path::PathBuf, std::path::PathBuf) {
    let (disk, backups) = (directory.join("disk,1.qcow2"), directory.join("backups"));
    QemuImg::new(local()).create(&Create::new(&disk, Qcow2::new(), ByteSize::mib(16))).unwrap();
    fs::create_dir(&backups).unwrap();
    guest(&disk, &["write -P 1 0 8M"]);
    (disk, backups)
}

#[test]
fn each_backup_is_the_disk_of_its_day() {
    let directory = scratch();
    let (disk, backups) = disk(directory.path());
    let qemu_img = QemuImg::new(local());
    let now = || guest_content(Kind::Qcow2, &disk);
    let mut days = Vec::new();
    let mut next = |what: &[&str], copied: std::ops::RangeInclusive<u64>| {
        if !what.is_empty() {
            guest(&disk, what);
        }
        let (file, bytes) = back_up(&qemu_img, &disk, &backups).unwrap();
        assert!(copied.contains(&bytes), "{}: {bytes} bytes", file.display());
        days.push((file, now()));
    };
    next(&[], 8 << 20..=9 << 20);
    // Data over data, data where there was none, zeros over data, and data thrown away: 64 KiB and more are dirty.
    let writes = ["write -P 2 64k 4k", "write -P 3 12M 128k", "write -z 1M 64k", "discard 2M 64k"];
    next(&writes, 320 << 10..=320 << 10);
    // The same place again, and nothing at all.
    next(&["write -P 4 65k 512"], 64 << 10..=64 << 10);
    next(&[], 0..=0);
    next(&["write -P 5 15M 1M", "write -z 12M 64k"], 1088 << 10..=1088 << 10);
    assert_eq!(names(&backups), ["0.qcow2", "1.qcow2", "2.qcow2", "3.qcow2", "4.qcow2"]);
    for (file, content) in &days {
        assert!(guest_content(Kind::Qcow2, file) == *content, "{} is not the disk of its day", file.display());
        let info = qemu_img.info(&qemu_cmd::Info::new(Source::qcow2(file))).unwrap();
        assert!(info.actual_size.unwrap() < 10 << 20);
    }
    assert!(fs::metadata(&days[2].0).unwrap().len() < 1 << 20, "an increment holds more than it has to");
}

/// Killed anywhere, it is run again: each state on the way is made, and gone on from.
#[test]
fn an_interrupted_backup_is_made_again() {
    let directory = scratch();
    let (disk, backups) = disk(directory.path());
    let qemu_img = QemuImg::new(local());
    back_up(&qemu_img, &disk, &backups).unwrap();
    guest(&disk, &["write -P 2 1M 64k"]);
    // Killed in the first step or the second: the new bitmap is there, and half of a backup.
    let add = qemu_cmd::BitmapAction::Add { granularity: None };
    qemu_img.bitmap(&qemu_cmd::Bitmap::new(Source::qcow2(&disk), "since-1", add.clone())).unwrap();
    fs::write(backups.join("unfinished.qcow2"), "rubbish").unwrap();
    guest(&disk, &["write -P 3 2M 64k"]);
    let (first, copied) = back_up(&qemu_img, &disk, &backups).unwrap();
    assert_eq!(copied, 128 << 10);
    assert!(guest_content(Kind::Qcow2, &first) == guest_content(Kind::Qcow2, &disk));
    // Killed before the third: the old bitmap is still there.
    qemu_img.bitmap(&qemu_cmd::Bitmap::new(Source::qcow2(&disk), "since-0", add)).unwrap();
    guest(&disk, &["write -P 4 3M 64k"]);
    let (second, copied) = back_up(&qemu_img, &disk, &backups).unwrap();
    assert_eq!(copied, 64 << 10);
    assert!(guest_content(Kind::Qcow2, &second) == guest_content(Kind::Qcow2, &disk));
    assert_eq!(names(&backups), ["0.qcow2", "1.qcow2", "2.qcow2"]);
}

/// What a guest that was killed has written is in no bitmap: a backup that trusted it would miss that.
#[test]
fn after_a_killed_guest_there_is_no_increment() {
    let directory = scratch();
    let (disk, backups) = disk(directory.path());
    let qemu_img = QemuImg::new(local());
    back_up(&qemu_img, &disk, &backups).unwrap();
    let write_and_die = ["-f", "qcow2", "-c", "write -P 9 1M 64k", "-c", "abort"];
    assert!(!Command::new("qemu-io").args(write_and_die).arg(&disk).output().unwrap().status.success());
    let error = back_up(&qemu_img, &disk, &backups).unwrap_err();
    assert!(error.to_string().contains("was killed"), "{error}");
    assert_eq!(names(&backups), ["0.qcow2"]);
}
