//! `cargo xtask demo`: the main job, on a machine that may have nothing but Rust.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Stdio};

use crate::install;
use crate::run::{self, Error};

/// What converting any image takes.
const TOOLS: &[&str] = &["qemu-img", "prlimit"];

/// What it takes to make an image too.
const TOOLS_WITHOUT_IMAGE: &[&str] = &["qemu-img", "prlimit", "mkfs.ext4"];

/// The size of the disk we make: small to wait for, large enough for ext4 and for progress to show.
const DISK_SIZE: u64 = 64 << 20;

/// Installs what is missing and runs the example of qemu-exec on the given image, or on one made
/// here.
pub(crate) fn command(args: Vec<OsString>) -> Result<(), Error> {
    let image = parse(args)?;
    if let Some(image) = image {
        if !Path::new(&image).exists() {
            return Err(Error::Other(format!("there is no image `{}`", image.display())));
        }
        install::ensure(TOOLS)?;
        return run_example(&image);
    }
    install::ensure(TOOLS_WITHOUT_IMAGE)?;
    let scratch = Scratch::new()?;
    let disk = make_disk(&scratch.path)?;
    run_example(disk.as_os_str())
}

/// The image to convert, if one was given.
fn parse(args: Vec<OsString>) -> Result<Option<OsString>, Error> {
    let mut args = args.into_iter();
    let image = match args.next() {
        Some(arg) if arg == "--" => args.next(),
        Some(arg) if arg.as_encoded_bytes().starts_with(b"-") => {
            return Err(Error::Usage(format!("no option `{}`; a file of that name is `./{0}`", arg.display())));
        }
        image => image,
    };
    match args.next() {
        Some(extra) => Err(Error::Usage(format!("one image at most, so what is `{}`?", extra.display()))),
        None => Ok(image),
    }
}

/// Runs the example. Cargo is told to be quiet, so that nothing but the example is seen the next
/// time, and says nothing of the first build.
fn run_example(image: &OsStr) -> Result<(), Error> {
    eprintln!("running the example, which is built first if it has not been; that takes a minute");
    run::run(&mut example(image))
}

/// The command that converts an image and shows what it did.
fn example(image: &OsStr) -> Command {
    let mut command = run::cargo();
    command.args(["run", "--quiet", "-p", "qemu-exec", "--example", "demo", "--"]).arg(image);
    command
}

/// Makes a raw disk with a file system and a few files on it, as no root is needed for that.
fn make_disk(directory: &Path) -> Result<PathBuf, Error> {
    let files = directory.join("files");
    let disk = directory.join("disk.raw");
    write_files(&files).and_then(|()| File::create_new(&disk)?.set_len(DISK_SIZE)).map_err(|error| {
        Error::Other(format!("cannot write to `{}`: {error}; is the disk full?", directory.display()))
    })?;
    run::run(Command::new("mkfs.ext4").args(["-q", "-F", "-d"]).args([&files, &disk]))?;
    Ok(disk)
}

/// Files of the three kinds that conversions treat differently: small, compressible and not
/// compressible.
fn write_files(directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory.join("var/log"))?;
    fs::write(directory.join("README"), "A disk made by `cargo xtask demo`.\n")?;
    fs::write(directory.join("var/log/demo.log"), "all is well\n".repeat(200_000))?;
    fs::write(directory.join("var/noise.bin"), noise(4 << 20))
}

/// Bytes that do not compress, the same each time (xorshift64).
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.flatten().take(length).collect()
}

/// A temporary directory that ends with this process. A signal runs no destructor, so a shell that
/// ignores signals waits for its stdin to close, which happens however we end, and then removes the
/// directory.
struct Scratch {
    path: PathBuf,
    janitor: Child,
}

impl Scratch {
    /// What the janitor runs. A second try, as an interrupted program may still have been writing.
    const JANITOR: &str = r#"trap '' HUP INT TERM; read -r _; rm -rf -- "$1" || { sleep 1; rm -rf -- "$1"; }"#;

    /// Makes an empty directory that only we can read.
    fn new() -> Result<Self, Error> {
        let path = env::temp_dir().join(format!("qemu-demo-{}", process::id()));
        let failed = |error| {
            Error::Other(format!(
                "cannot make the directory `{}`: {error}; set TMPDIR to another place",
                path.display()
            ))
        };
        DirBuilder::new().mode(0o700).create(&path).map_err(failed)?;
        let mut shell = Command::new("sh");
        shell.args(["-c", Self::JANITOR, "sh"]).arg(&path).stdin(Stdio::piped()).stdout(Stdio::null());
        match shell.spawn() {
            Ok(janitor) => Ok(Self { path, janitor }),
            Err(source) => {
                let _ = fs::remove_dir(&path);
                Err(Error::Start { command: "sh".to_owned(), source })
            }
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // `wait` closes the janitor's stdin first, which is its sign to begin.
        if !self.janitor.wait().is_ok_and(|status| status.success()) {
            eprintln!("warning: `{}` could not be removed", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tools_are_in_the_table() {
        for name in TOOLS_WITHOUT_IMAGE {
            assert!(crate::packages::TOOLS.iter().any(|tool| tool.name == *name), "{name}");
        }
        assert!(TOOLS.iter().all(|name| TOOLS_WITHOUT_IMAGE.contains(name)));
    }

    #[test]
    fn arguments() {
        let parse = |args: &[&str]| parse(args.iter().map(OsString::from).collect()).map_err(|error| error.exit_code());
        assert_eq!(parse(&[]), Ok(None));
        assert_eq!(parse(&["disk.raw"]), Ok(Some("disk.raw".into())));
        assert_eq!(parse(&["--", "-disk.raw"]), Ok(Some("-disk.raw".into())));
        assert_eq!(parse(&["-f"]), Err(2));
        assert_eq!(parse(&["a", "b"]), Err(2));
    }

    #[test]
    fn the_example_gets_the_image() {
        let line = run::line(&example("my disk.raw".as_ref()));
        assert_eq!(line, "cargo run --quiet -p qemu-exec --example demo -- 'my disk.raw'");
    }

    #[test]
    fn the_directory_is_gone_afterwards() -> Result<(), Error> {
        let scratch = Scratch::new()?;
        let path = scratch.path.clone();
        assert!(fs::write(path.join("file"), "x").is_ok());
        drop(scratch);
        assert!(!path.exists());
        Ok(())
    }

    #[test]
    fn noise_is_noise() {
        let noise = noise(4096);
        assert_eq!(noise.len(), 4096);
        let zeros = noise.iter().filter(|byte| **byte == 0).count();
        assert!(zeros < 64, "{zeros}");
    }
}
