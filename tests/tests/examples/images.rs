//! Encryption, key rotation, and overlays.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use qemu_cmd::{Amend, Convert, Format, KeyslotChange, Secret, Source};
use qemu_exec::{ErrorKind, QemuImg};
use tests::{Kind, PASSPHRASE, content, guest_content, local, quick_luks, scratch, write_fixture};

use crate::encrypt::encrypt;
use crate::guest;
use crate::luks_rotate::{opens, rotate};
use crate::overlay_commit::{begin, keep};

#[test]
fn what_is_encrypted_is_the_disk_and_nothing_of_it_is_readable() {
    let directory = scratch();
    let (disk, target) = (directory.path().join("disk"), directory.path().join("disk.qcow2"));
    write_fixture(Kind::Raw, &disk);
    let size = encrypt(local(), Source::raw(&disk), &target, quick_luks(PASSPHRASE)).unwrap();
    assert_eq!(size, content().len() as u64);
    assert!(guest_content(Kind::Qcow2Luks, &target) == content());
    assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o600);
    let stored = fs::read(&target).unwrap();
    let plain = &content()[..64];
    assert!(!stored.windows(plain.len()).any(|window| window == plain), "it is stored in the clear");
    let wrong = Source::qcow2(&target).key(Secret::new("wrong").unwrap());
    assert!(!opens(&QemuImg::new(local()), wrong).unwrap());
    let taken = encrypt(local(), Source::raw(&disk), &target, quick_luks("x")).unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::AlreadyExists);
    assert_eq!(tests::names(directory.path()), ["disk", "disk.qcow2"]);
}

#[test]
fn a_passphrase_is_changed_and_one_always_opens() {
    let qemu_img = QemuImg::new(local());
    let (old, new) = (tests::passphrase(), Secret::new("another one").unwrap());
    let added = || KeyslotChange::add(new.clone()).iter_time(Duration::from_millis(10));
    for (kind, format) in [(Kind::Luks, Format::Luks), (Kind::Qcow2Luks, Format::Qcow2)] {
        let directory = scratch();
        let image = directory.path().join("image");
        write_fixture(kind, &image);
        let with = |key: &Secret| Source::new(&image, format).key(key.clone());

        // The same twice is nothing that can be done, and a wrong one opens nothing: the image stays as it is.
        let before = fs::read(&image).unwrap();
        let nobody = Secret::new("nobody's").unwrap();
        assert!(rotate(&qemu_img, &image, format, &old, &old, added()).is_err());
        assert!(rotate(&qemu_img, &image, format, &nobody, &new, added()).is_err());
        assert!(fs::read(&image).unwrap() == before, "{kind:?}: it was changed");

        if kind == Kind::Luks {
            // As if killed after the first step: both open it, and the same call goes on.
            qemu_img.amend(&Amend::keyslot(with(&old), added())).unwrap();
            assert!(opens(&qemu_img, with(&old)).unwrap() && opens(&qemu_img, with(&new)).unwrap());
        }
        // And when all is done, there is nothing to do.
        for _ in 0..2 {
            rotate(&qemu_img, &image, format, &old, &new, added()).unwrap();
            assert!(!opens(&qemu_img, with(&old)).unwrap() && opens(&qemu_img, with(&new)).unwrap());
        }
        let raw = directory.path().join("raw");
        qemu_img.convert(&Convert::new(with(&new), Kind::Raw.target(&raw))).unwrap();
        assert!(fs::read(raw).unwrap() == content(), "{kind:?}: the content has changed");
    }
}

#[test]
fn what_a_guest_did_is_kept_or_thrown_away() {
    let qemu_img = QemuImg::new(local());
    let directory = scratch();
    let (base, overlay) = (directory.path().join("base.qcow2"), directory.path().join("try.qcow2"));
    write_fixture(Kind::Qcow2, &base);
    let untouched = fs::read(&base).unwrap();

    begin(&qemu_img, &base, &overlay).unwrap();
    guest(&overlay, &["write -P 7 64k 128k", "write -z 512k 64k"]);
    assert!(fs::read(&base).unwrap() == untouched, "the guest wrote to the base");
    fs::remove_file(&overlay).unwrap();
    assert!(guest_content(Kind::Qcow2, &base) == content());

    begin(&qemu_img, &base, &overlay).unwrap();
    guest(&overlay, &["write -P 7 64k 128k", "write -z 512k 64k"]);
    let other = directory.path().join("other.qcow2");
    write_fixture(Kind::Qcow2, &other);
    let refused = keep(&qemu_img, &other, &overlay).unwrap_err();
    assert!(refused.to_string().contains("is based on"), "{refused}");
    keep(&qemu_img, &base, &overlay).unwrap();
    let mut kept = content();
    kept[64 << 10..192 << 10].fill(7);
    kept[512 << 10..576 << 10].fill(0);
    assert!(guest_content(Kind::Qcow2, &base) == kept);
    assert!(!overlay.exists());
}
