//! Looking for a passphrase everywhere: in the arguments, environments and files of the whole machine.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use qemu_cmd::{Convert, LuksImage, Source, Target};

use crate::{client, content, quick_luks, scratch};

/// 128 characters: nothing else on the machine holds it by chance.
#[must_use]
pub fn random_passphrase() -> String {
    let mut bytes = [0; 96];
    File::open("/dev/urandom").unwrap().read_exact(&mut bytes).unwrap();
    STANDARD.encode(bytes)
}

/// A LUKS volume with [`content`], and its passphrase.
#[must_use]
pub fn locked() -> &'static (Vec<u8>, String) {
    static IMAGE: OnceLock<(Vec<u8>, String)> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let directory = scratch();
        let (raw, image, passphrase) = (directory.path().join("a"), directory.path().join("b"), random_passphrase());
        fs::write(&raw, content()).unwrap();
        let target = Target::new(&image, LuksImage::new(quick_luks(&passphrase)));
        client().convert(&Convert::new(Source::raw(&raw), target)).unwrap();
        (fs::read(image).unwrap(), passphrase)
    })
}

/// What must not be found.
#[derive(Debug)]
pub struct Needles(Vec<Vec<u8>>);

impl Needles {
    /// These, and their base64.
    pub fn new<'a>(passphrases: impl IntoIterator<Item = &'a str>) -> Self {
        // The end of base64 depends on what follows.
        let both = |text: &str| [text.to_owned(), STANDARD.encode(text).trim_end_matches('=').to_owned()];
        Self(passphrases.into_iter().flat_map(both).map(String::into_bytes).collect())
    }

    /// Whether one of them is there.
    #[must_use]
    pub fn are_in(&self, bytes: &[u8]) -> bool {
        self.0.iter().any(|needle| contains(bytes, needle))
    }

    /// Fails if one of them is there.
    pub fn assert_not_in(&self, text: &str) {
        assert!(!text.is_empty());
        assert!(!self.are_in(text.as_bytes()), "{text}");
    }
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    let first = needle[0];
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| *byte == first) {
        if rest[at..].starts_with(needle) {
            return true;
        }
        rest = &rest[at + 1..];
    }
    false
}

/// What a look at the whole machine brought to light.
#[derive(Debug, Default)]
pub struct Sight {
    /// Where a needle was.
    pub found: BTreeSet<String>,
    /// How many times the arguments and the environment of the qemu-img that works in our directory were read.
    pub qemu_img: usize,
}

/// Reads all arguments and environments, over and over, while something happens; then the files that are new.
pub fn watch<T>(directory: &Path, needles: &Needles, happening: impl FnOnce() -> T) -> (T, Sight) {
    let places = Places::remember(directory);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut sight = Sight::default();
            while !over.load(Ordering::Relaxed) {
                look_at_processes(directory, needles, &mut sight);
                places.look(needles, &mut sight);
            }
            sight
        });
        // The watcher must end also if this panics.
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(happening));
        over.store(true, Ordering::Relaxed);
        let mut sight = watcher.join().unwrap();
        places.look_everywhere(needles, &mut sight);
        (result.unwrap_or_else(|panic| std::panic::resume_unwind(panic)), sight)
    })
}

fn look_at_processes(directory: &Path, needles: &Needles, sight: &mut Sight) {
    for process in fs::read_dir("/proc").unwrap().flatten() {
        if !process.file_name().as_bytes()[0].is_ascii_digit() {
            continue;
        }
        // A process may end at any time.
        let Ok(arguments) = fs::read(process.path().join("cmdline")) else { continue };
        let name = |what: &str| format!("{what} of {}", String::from_utf8_lossy(&arguments).replace('\0', " "));
        if needles.are_in(&arguments) {
            sight.found.insert(name("arguments"));
        }
        let ours = contains(&arguments, directory.as_os_str().as_bytes());
        let environment = match fs::read(process.path().join("environ")) {
            Ok(environment) => environment,
            // It is another user's, and matters only if it is ours.
            Err(_) if ours => {
                let file = process.path().join("environ");
                Command::new("sudo").args(["-n", "cat"]).arg(file).stdin(Stdio::null()).output().unwrap().stdout
            }
            Err(_) => continue,
        };
        if needles.are_in(&environment) {
            sight.found.insert(name("environment"));
        }
        let words: Vec<&[u8]> = arguments.split(|byte| *byte == 0).collect();
        let base = |word: &[u8]| word.rsplit(|byte| *byte == b'/').next().unwrap_or_default().to_vec();
        let wrapper = [&b"sudo"[..], b"env", b"prlimit", b"timeout", b"sh"].contains(&&*base(words[0]));
        let subcommand = words
            .windows(2)
            .any(|pair| base(pair[0]).starts_with(b"qemu-img") && [&b"convert"[..], b"create"].contains(&pair[1]));
        if ours && subcommand && !wrapper && !environment.is_empty() {
            sight.qemu_img += 1;
        }
    }
}

/// The directories in which somebody might put a secret, and what was there before.
#[derive(Debug)]
pub struct Places {
    scratch: PathBuf,
    started: SystemTime,
    temporary: Vec<(PathBuf, BTreeSet<OsString>)>,
}

impl Places {
    /// What there is now; everything in `scratch` is looked at later.
    #[must_use]
    pub fn remember(scratch: &Path) -> Self {
        let mut directories = vec![std::env::temp_dir(), "/tmp".into(), "/var/tmp".into(), "/dev/shm".into()];
        directories.sort();
        directories.dedup();
        let names = |directory: PathBuf| {
            let names = entries(&directory).iter().map(|path| path.file_name().unwrap().to_owned()).collect();
            (directory, names)
        };
        Self {
            scratch: scratch.to_owned(),
            started: SystemTime::now(),
            temporary: directories.into_iter().map(names).collect(),
        }
    }

    fn new_ones(&self) -> impl Iterator<Item = PathBuf> {
        self.temporary.iter().flat_map(|(directory, before)| {
            entries(directory).into_iter().filter(|path| !before.contains(path.file_name().unwrap()))
        })
    }

    /// New temporary files, which may be gone soon.
    pub fn look(&self, needles: &Needles, sight: &mut Sight) {
        self.new_ones().for_each(|path| look_at_file(&path, needles, sight));
    }

    /// The files in `scratch`, the new temporary ones, and the memory of what has crashed.
    pub fn look_everywhere(&self, needles: &Needles, sight: &mut Sight) {
        look_below(&self.scratch, 9, needles, sight);
        self.new_ones().for_each(|path| look_below(&path, 3, needles, sight));
        // Where the kernel would have put the memory of a process that crashed.
        let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
        if !pattern.starts_with('|') {
            let cores = std::path::absolute(pattern.trim()).unwrap();
            for path in entries(cores.parent().unwrap()) {
                if path.symlink_metadata().and_then(|meta| meta.modified()).is_ok_and(|time| time >= self.started) {
                    look_at_file(&path, needles, sight);
                }
            }
        }
    }
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).map(|entries| entries.flatten().map(|entry| entry.path()).collect()).unwrap_or_default()
}

fn look_below(path: &Path, depth: usize, needles: &Needles, sight: &mut Sight) {
    if depth > 0 && path.symlink_metadata().is_ok_and(|meta| meta.is_dir()) {
        entries(path).iter().for_each(|path| look_below(path, depth - 1, needles, sight));
    } else {
        look_at_file(path, needles, sight);
    }
}

fn look_at_file(path: &Path, needles: &Needles, sight: &mut Sight) {
    // Others make files here too, and large ones that take longer to read than a conversion takes are not ours.
    if path.symlink_metadata().is_ok_and(|meta| meta.is_file() && meta.len() <= 32 << 20)
        && fs::read(path).is_ok_and(|bytes| needles.are_in(&bytes))
    {
        sight.found.insert(format!("file {}", path.display()));
    }
}
