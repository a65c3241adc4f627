//! Tests code that drives qemu-img without one: with the fake, a qemu-img in memory, and with mockall's mock.
//!
//! Use the fake where it matters what becomes of images (it is held against the real qemu-img), and the mock where it
//! matters what is called. A dry run holds the exact command: see `dry_run.rs`.
//!
//! `cargo test -p qemu-exec --features fake,mock --example fake_and_mock` runs the tests below;
//! `cargo run … -- UPLOAD.qcow2 DIRECTORY NAME` publishes with the real one.

use std::path::{Path, PathBuf};

use qemu_exec::cmd::{Convert, Info, Qcow2, Source, Target};
use qemu_exec::{Error, ErrorKind, Executor, LocalExecutor, QemuImg};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args_os().skip(1);
    let (Some(upload), Some(directory), Some(name)) = (args.next(), args.next(), args.next()) else {
        return Err("usage: fake_and_mock UPLOAD.qcow2 DIRECTORY NAME".into());
    };
    match Store::new(LocalExecutor::new(), directory.into()).publish_disk(upload.as_ref(), name.as_ref()) {
        Ok(size) => println!("{size} bytes"),
        Err(PublishError::StoreFull) => println!("try again when there is room"),
        Err(PublishError::BadUpload(error) | PublishError::Internal(error)) => return Err(error.into()),
    }
    Ok(())
}

// The code under test, which knows nothing of tests.

/// Where images are published.
pub(crate) struct Store<E> {
    qemu_img: QemuImg<E>,
    directory: PathBuf,
}

#[derive(Debug)]
pub(crate) enum PublishError {
    /// It can be tried again when there is room.
    StoreFull,
    /// The user must mend the upload.
    BadUpload(Error),
    /// Somebody must look at it.
    Internal(Error),
}

impl<E: Executor> Store<E> {
    pub(crate) const fn new(executor: E, directory: PathBuf) -> Self {
        Self { qemu_img: QemuImg::new(executor), directory }
    }

    /// Publishes an upload as a compressed image that stands alone, and says how large its disk is.
    pub(crate) fn publish_disk(&self, upload: &Path, name: &Path) -> Result<u64, PublishError> {
        let source = Source::qcow2(upload);
        let info = self.qemu_img.info(&Info::new(source.clone())).map_err(sort_out)?;
        if let Some(backing) = info.backing_filename {
            return Err(PublishError::BadUpload(
                Error::new(ErrorKind::Refused).message(format!("it needs `{backing}`")),
            ));
        }
        let published = Target::new(self.directory.join(name), Qcow2::new());
        self.qemu_img.convert(&Convert::new(source, published).compress(true)).map_err(sort_out)?;
        Ok(info.virtual_size)
    }
}

fn sort_out(error: Error) -> PublishError {
    match error.kind() {
        ErrorKind::NoSpace => PublishError::StoreFull,
        ErrorKind::WrongFormat | ErrorKind::NotFound => PublishError::BadUpload(error),
        _ => PublishError::Internal(error),
    }
}

// Its tests.

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod with_the_fake {
    use qemu_exec::cmd::{Backing, ByteSize, Create, Format, Subcommand};
    use qemu_exec::fake::FakeExecutor;

    use super::*;

    const UPLOAD: &str = "/uploads/1";

    /// A store, and an upload that a guest has written to.
    fn setup() -> (FakeExecutor, Store<FakeExecutor>) {
        let fake = FakeExecutor::new();
        let store = Store::new(fake.clone(), "/store".into());
        store.qemu_img.create(&Create::new(UPLOAD, Qcow2::new(), ByteSize::gib(10))).unwrap();
        fake.write(UPLOAD, 5 << 30, b"a file system").unwrap();
        (fake, store)
    }

    #[test]
    fn what_is_published_is_what_was_uploaded() {
        let (fake, store) = setup();
        assert_eq!(store.publish_disk(Path::new(UPLOAD), Path::new("disk")).unwrap(), 10 << 30);
        assert_eq!(fake.read("/store/disk", 5 << 30, 13).unwrap(), b"a file system");
        // The upload is no longer needed.
        assert!(fake.remove(UPLOAD));
        assert_eq!(fake.read("/store/disk", (5 << 30) - 1, 2).unwrap(), b"\0a");
    }

    #[test]
    fn an_overlay_is_refused_before_anything_is_written() {
        let (fake, store) = setup();
        let overlay = Create::overlay("/uploads/2", Qcow2::new(), Backing::new(UPLOAD, Format::Qcow2));
        store.qemu_img.create(&overlay).unwrap();
        let refused = store.publish_disk(Path::new("/uploads/2"), Path::new("disk")).unwrap_err();
        assert!(matches!(refused, PublishError::BadUpload(error) if error.to_string() == "it needs `/uploads/1`"));
        assert!(!fake.exists("/store/disk"));
    }

    #[test]
    fn what_is_no_qcow2_image_is_a_bad_upload() {
        let (fake, store) = setup();
        fake.put_raw(UPLOAD, b"MZ").unwrap();
        let bad = store.publish_disk(Path::new(UPLOAD), Path::new("disk")).unwrap_err();
        assert!(matches!(bad, PublishError::BadUpload(error) if error.subject() == Some(Path::new(UPLOAD))));
        let gone = store.publish_disk(Path::new("/uploads/3"), Path::new("disk")).unwrap_err();
        assert!(matches!(gone, PublishError::BadUpload(error) if error.kind() == ErrorKind::NotFound));
    }

    #[test]
    fn a_full_store_is_told_from_everything_else() {
        let (fake, store) = setup();
        let publish = || store.publish_disk(Path::new(UPLOAD), Path::new("disk"));
        fake.fail_on(Subcommand::Convert, ErrorKind::NoSpace);
        assert!(matches!(publish(), Err(PublishError::StoreFull)));
        for kind in [
            ErrorKind::Cancelled,
            ErrorKind::Killed(9),
            ErrorKind::Locked,
            ErrorKind::NotRun,
            ErrorKind::OutputTooLarge,
            ErrorKind::PermissionDenied,
            ErrorKind::ProgramMissing,
            ErrorKind::SudoRefused,
            ErrorKind::TimedOut,
        ] {
            fake.fail_nth(2, kind);
            let failed = publish().unwrap_err();
            assert!(matches!(&failed, PublishError::Internal(error) if error.kind() == kind), "{failed:?}");
        }
        fake.fail_next(ErrorKind::OutputNotUnderstood);
        let garbled = publish().unwrap_err();
        assert!(matches!(&garbled, PublishError::Internal(error) if error.kind() == ErrorKind::OutputNotUnderstood));
        // None of that has changed anything.
        assert!(!fake.exists("/store/disk"));
        publish().unwrap();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod with_the_mock {
    use qemu_exec::{End, MockExecutor, Outcome};

    use super::*;

    #[test]
    fn a_second_look_is_not_taken() {
        let mut executor = MockExecutor::new();
        let info = r#"{"filename": "/u", "format": "qcow2", "virtual-size": 512, "backing-filename": "/etc/shadow"}"#;
        executor
            .expect_run()
            .withf(|request| request.invocation.subcommand() == "info")
            .times(1)
            .returning(move |_| Ok(Outcome::new(End::Exited(0), info, "")));
        executor.expect_run().withf(|request| request.invocation.subcommand() == "convert").never();
        let refused =
            Store::new(executor, "/store".into()).publish_disk(Path::new("/u"), Path::new("disk")).unwrap_err();
        assert!(matches!(refused, PublishError::BadUpload(error) if error.to_string().contains("/etc/shadow")));
    }
}
