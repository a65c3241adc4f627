//! What the tests share: the qemu-img under test, a place to work, and images to work on.
//!
//! The tests run against the `qemu-img` in `PATH`, or the one that the environment variable `QEMU_IMG` names.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[cfg(doctest)]
mod documents;
pub mod harness;
pub mod hostile;
pub mod machine;
pub mod processes;
pub mod property;
mod report;
pub mod sshd;
pub mod systemd;
pub mod terminal;
pub mod traces;

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::time::Duration;

use qemu_cmd::{ByteSize, Convert, Invocation, Luks, LuksImage, Qcow2, QemuVersion, Raw, Secret, Source, Target};
use qemu_exec::{Error, LocalExecutor, Publish, QemuImg, SudoExecutor};
use tempfile::TempDir;

pub use report::{Report, reporter};

/// The passphrase of the encrypted fixtures.
pub const PASSPHRASE: &str = "correct horse, battery staple";

/// The qemu-img under test.
#[must_use]
pub fn qemu_img() -> PathBuf {
    std::env::var_os("QEMU_IMG").map_or_else(|| "qemu-img".into(), PathBuf::from)
}

/// An executor that runs the qemu-img under test.
#[must_use]
pub fn local() -> LocalExecutor {
    LocalExecutor::with_program(qemu_img())
}

/// An executor that runs it through sudo, as root.
#[must_use]
pub fn sudo() -> SudoExecutor {
    SudoExecutor::with_program(qemu_img())
}

/// A client for the qemu-img under test, which replaces what a test made before.
pub fn client() -> QemuImg<LocalExecutor> {
    QemuImg::new(local()).publish(Publish::new().replace(true))
}

/// Runs the qemu-img under test as it is, with none of our code in between.
pub fn bare<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Output {
    Command::new(qemu_img())
        .args(args)
        .env("LC_ALL", "C")
        .output()
        .expect("qemu-img is installed: cargo xtask test installs it")
}

/// Its version.
#[must_use]
pub fn version() -> QemuVersion {
    String::from_utf8(bare(["--version"]).stdout).unwrap().parse().unwrap()
}

/// Where a program is, by `PATH`.
#[must_use]
pub fn which(program: impl AsRef<Path>) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    let mut found = std::env::split_paths(&path).map(|directory| directory.join(&program));
    found.find(|file| file.is_file()).unwrap_or_else(|| panic!("there is no `{}`", program.as_ref().display()))
}

/// The program `qimg` as it was built, for the qemu-img under test.
///
/// Cargo says only to a test itself where it is.
#[macro_export]
macro_rules! qimg {
    () => {
        $crate::for_qemu_img_under_test(env!("CARGO_BIN_EXE_qimg-under-test"))
    };
}

/// A `qimg` that runs the qemu-img under test, whose name is left to it if that is the one in `PATH`.
#[must_use]
pub fn for_qemu_img_under_test(qimg: &str) -> Command {
    let mut command = Command::new(qimg);
    if std::env::var_os("QEMU_IMG").is_some() {
        command.arg("--qemu-img").arg(qemu_img());
    }
    command
}

/// Whether the long forms of tests are to run.
#[must_use]
pub fn long() -> bool {
    std::env::var_os("QEMU_TESTS_LONG").is_some()
}

/// The arguments with the passphrases in them, as only a test may write them.
#[must_use]
pub fn argv(invocation: &Invocation) -> Vec<OsString> {
    invocation.argv(|id| {
        let (_, secret) = invocation.secrets().iter().find(|(other, _)| other == id).unwrap();
        let text = std::str::from_utf8(secret.expose()).unwrap().replace(',', ",,");
        format!("secret,id={id},data={text}").into()
    })
}

/// The passphrase of the fixtures as a secret.
#[must_use]
pub fn passphrase() -> Secret {
    Secret::new(PASSPHRASE).unwrap()
}

/// LUKS encryption with `passphrase`, made as quickly as qemu-img can.
pub fn quick_luks(passphrase: &str) -> Luks {
    Luks::new(Secret::new(passphrase).unwrap()).iter_time(Duration::from_millis(10))
}

/// A directory that goes away with the test, and that other users may look into.
#[must_use]
pub fn scratch() -> TempDir {
    let directory = tempfile::Builder::new().prefix("qemu-tests-").tempdir().unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    directory
}

/// Writes an executable file `qemu-img` to the directory.
///
/// Another process writes it: were it open for writing here, a process that another test starts at that moment
/// would have it open too, and it could not be executed ("text file busy").
pub fn executable(directory: &Path, content: &str) -> PathBuf {
    let path = directory.join("qemu-img");
    let write = r#"printf %s "$2" > "$1" && chmod 755 "$1""#;
    let status = Command::new("sh").args(["-c", write, "sh"]).arg(&path).arg(content).status().unwrap();
    assert!(status.success());
    path
}

/// What an image of the matrix is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A raw image.
    Raw,
    /// A qcow2 image.
    Qcow2,
    /// A qcow2 image encrypted with LUKS.
    Qcow2Luks,
    /// A LUKS volume.
    Luks,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Raw, Self::Qcow2, Self::Qcow2Luks, Self::Luks];

    /// Whether it needs a key.
    #[must_use]
    pub const fn encrypted(self) -> bool {
        matches!(self, Self::Qcow2Luks | Self::Luks)
    }

    /// A source of this kind, with the fixtures' key if it needs one.
    pub fn source(self, path: &Path) -> Source {
        match self {
            Self::Raw => Source::raw(path),
            Self::Qcow2 => Source::qcow2(path),
            Self::Qcow2Luks => Source::qcow2(path).key(passphrase()),
            Self::Luks => Source::luks(path, passphrase()),
        }
    }

    /// The same, with the format left to qemu-img.
    pub fn probed_source(self, path: &Path) -> Source {
        match self {
            Self::Raw | Self::Qcow2 => Source::probing(path),
            Self::Qcow2Luks => Source::probing(path).qcow2_key(passphrase()),
            Self::Luks => Source::probing(path).key(passphrase()),
        }
    }

    /// A new target of this kind, with the fixtures' key if it needs one.
    pub fn target(self, path: &Path) -> Target {
        match self {
            Self::Raw => Target::new(path, Raw::new()),
            Self::Qcow2 => Target::new(path, Qcow2::new()),
            Self::Qcow2Luks => Target::new(path, Qcow2::new().encryption(quick_luks(PASSPHRASE))),
            Self::Luks => Target::new(path, LuksImage::new(quick_luks(PASSPHRASE))),
        }
    }
}

/// 1 MiB that is neither constant nor compressible, with a hole in it.
#[must_use]
pub fn content() -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut bytes: Vec<u8> = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    })
    .take((1 << 20) / 8)
    .flatten()
    .collect();
    bytes[256 << 10..512 << 10].fill(0);
    bytes
}

/// Writes an image of this kind to `path`, which holds [`content`] and opens with [`PASSPHRASE`].
///
/// To make a LUKS volume takes seconds, so it is done once in a test process that asks for one; the images are kept in
/// memory, so that nothing is left behind.
pub fn write_fixture(kind: Kind, path: &Path) {
    static IMAGES: [OnceLock<Vec<u8>>; 4] = [const { OnceLock::new() }; 4];
    let image = IMAGES[kind as usize].get_or_init(|| {
        let directory = scratch();
        let (raw, image) = (directory.path().join("raw"), directory.path().join("image"));
        std::fs::write(&raw, content()).unwrap();
        client().convert(&Convert::new(Source::raw(&raw), kind.target(&image))).unwrap();
        std::fs::read(image).unwrap()
    });
    std::fs::write(path, image).unwrap();
}

/// What a guest reads of an image, by the real qemu-img.
///
/// # Errors
/// It cannot be converted.
pub fn read(source: Source) -> Result<Vec<u8>, Error> {
    let directory = scratch();
    let raw = directory.path().join("raw");
    client().convert(&Convert::new(source, Kind::Raw.target(&raw)))?;
    Ok(std::fs::read(raw).unwrap())
}

/// The same of one of the fixtures' kinds, that opens with their key.
#[must_use]
pub fn guest_content(kind: Kind, path: &Path) -> Vec<u8> {
    read(kind.source(path)).unwrap()
}

/// A directory with [`content`] in a raw image `a`.
#[must_use]
pub fn with_source() -> TempDir {
    let directory = scratch();
    write_fixture(Kind::Raw, &directory.path().join("a"));
    directory
}

/// Copies the image of [`with_source`] to a new one of this name, a raw one too.
pub fn copy(directory: &Path, name: impl AsRef<OsStr>) -> Convert {
    Convert::new(Source::raw(directory.join("a")), Target::new(directory.join(name.as_ref()), Raw::new()))
}

/// The same, which takes half a minute.
pub fn slow_copy(directory: &Path, name: impl AsRef<OsStr>) -> Convert {
    copy(directory, name).rate(ByteSize::kib(32))
}

/// What is in a directory, in order.
#[must_use]
pub fn names(directory: &Path) -> Vec<OsString> {
    let mut names: Vec<_> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    names
}

/// A FIFO in the directory, which qemu-img opens for ever.
#[must_use]
pub fn fifo(directory: &Path) -> PathBuf {
    let path = directory.join("fifo");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    path
}
