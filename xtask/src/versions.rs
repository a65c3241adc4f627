//! `cargo xtask versions`: the tests of what qemu-img says, against several versions of it.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::{self, Error};

/// The versions that are fetched, and the releases of Debian that have them. What is in `sid` goes on.
const VERSIONS: [(&str, &str); 4] = [("5.2", "bullseye"), ("7.2", "bookworm"), ("10.0", "trixie"), ("11", "sid")];

/// What is run against each: what it says, what it lacks, what becomes of that, and where images may lie. It has every
/// driver, also where that of the system lacks those for HTTP and SSH.
const TESTS: [&str; 4] = ["messages", "errors", "versions", "locations"];

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Runs the tests against the programs that are given, or else against those that are fetched.
pub(crate) fn command(args: Vec<OsString>) -> Result<(), Error> {
    if let Some(option) = args.iter().find(|arg| arg.as_encoded_bytes().starts_with(b"-")) {
        return Err(Error::Usage(format!("no option `{}`; the arguments are paths of qemu-img", option.display())));
    }
    let programs: Vec<PathBuf> = if args.is_empty() {
        let place = run::target_directory()?.join("qemu-img");
        VERSIONS.iter().map(|(version, suite)| fetch(&place, version, suite)).collect::<Result<_, _>>()?
    } else {
        args.iter()
            .map(|path| fs::canonicalize(path).map_err(other(&path.to_string_lossy())))
            .collect::<Result<_, _>>()?
    };
    for program in programs {
        let version = run::output(Command::new(&program).arg("--version"))?;
        eprintln!("\n== {}: {}", program.display(), version.lines().next().unwrap_or_default());
        let mut test = run::cargo();
        test.args(["test", "--quiet", "-p", "tests", "--all-features", "--no-fail-fast"]);
        test.args(TESTS.iter().flat_map(|name| ["--test", name]));
        run::run(test.env("QEMU_IMG", program))?;
    }
    Ok(())
}

fn other(what: &str) -> impl Fn(std::io::Error) -> Error + use<'_> {
    move |error| Error::Other(format!("`{what}`: {error}"))
}

/// A program that runs this version, which is unpacked, with all that it needs, and not installed.
fn fetch(place: &Path, version: &str, suite: &str) -> Result<PathBuf, Error> {
    let program = place.join(format!("qemu-img-{version}"));
    if run::succeeds(Command::new(&program).arg("--version")) {
        return Ok(program);
    }
    let by_hand = "or give the paths of other versions: cargo xtask versions QEMU_IMG…";
    for tool in ["apt-get", "dpkg-deb"] {
        if run::find_program(tool).is_none() {
            return Err(Error::Other(format!(
                "qemu-img {version} is fetched with `{tool}`, which is Debian's; {by_hand}"
            )));
        }
    }
    let mirror = mirror().ok_or_else(|| {
        Error::Other(format!("apt's sources name no mirror of Debian: name one in DEBIAN_MIRROR, {by_hand}"))
    })?;
    // A state of apt of our own, in which nothing is installed, so that it fetches everything, the C library too.
    let (root, apt) = (place.join(version), place.join(format!("apt-{version}")));
    for directory in ["lists/partial", "cache/archives/partial", "none"] {
        fs::create_dir_all(apt.join(directory)).map_err(other("target/qemu-img"))?;
    }
    let write = |path: &Path, text: &str| fs::write(path, text).map_err(other(&path.to_string_lossy()));
    write(&apt.join("sources"), &format!("deb [signed-by={KEYRING}] {mirror} {suite} main\n"))?;
    write(&apt.join("status"), "")?;
    let apt_get = |args: &[&str]| {
        let mut command = Command::new("apt-get");
        for (name, value) in [
            ("Dir::Etc::sourcelist", "sources"),
            ("Dir::Etc::sourceparts", "none"),
            ("Dir::Etc::preferencesparts", "none"),
            ("Dir::State", ""),
            ("Dir::State::Lists", "lists"),
            ("Dir::State::status", "status"),
            ("Dir::Cache", "cache"),
        ] {
            command.arg("-o").arg(format!("{name}={}", apt.join(value).display()));
        }
        command.args(["-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User=root", "-qq"]).args(args);
        run::run(&mut command)
    };
    apt_get(&["update"])?;
    let packages = ["qemu-utils", "qemu-block-extra", "libc6"];
    apt_get(&[&["-y", "--no-install-recommends", "--download-only", "install"][..], &packages].concat())?;
    let unpack = r#"set -e
        mkdir -p "$1"/usr/bin "$1"/usr/sbin "$1"/usr/lib "$1"/usr/lib64
        for d in bin sbin lib lib64; do [ -e "$1/$d" ] || ln -s "usr/$d" "$1/$d"; done
        for deb in "$2"/cache/archives/*.deb; do
            dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$1" --keep-directory-symlink --no-same-owner
        done
        rm -rf "$2""#;
    run::run(Command::new("sh").args(["-c", unpack, "sh"]).arg(&root).arg(&apt))?;
    write(&program, &script(&root)?)?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).map_err(other("target/qemu-img"))?;
    Ok(program)
}

/// The mirror that this machine uses already.
fn mirror() -> Option<String> {
    env::var("DEBIAN_MIRROR").ok().or_else(|| {
        let lists =
            fs::read_dir("/etc/apt/sources.list.d").ok().into_iter().flatten().flatten().map(|entry| entry.path());
        let texts = lists.chain(["/etc/apt/sources.list".into()]).filter_map(|path| fs::read_to_string(path).ok());
        let all: String = texts.collect();
        let is_mirror = |word: &&str| word.starts_with("http") && word.trim_end_matches('/').ends_with("/debian");
        all.split_whitespace().find(is_mirror).map(str::to_owned)
    })
}

/// Runs the program with the loader and the libraries that it came with.
fn script(root: &Path) -> Result<String, Error> {
    let libraries = fs::read_dir(root.join("usr/lib")).map_err(other("usr/lib"))?.flatten().map(|entry| entry.path());
    let libraries = libraries.filter(|path| path.to_string_lossy().ends_with("-linux-gnu"));
    let library =
        libraries.last().ok_or_else(|| Error::Other("the package of the C library has no libraries".into()))?;
    let mut files = fs::read_dir(&library).map_err(other("usr/lib"))?.flatten().map(|entry| entry.path());
    let loader = files.find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ld-linux")));
    let loader = loader.ok_or_else(|| Error::Other("the package of the C library has no loader".into()))?;
    let (root, library) = (root.display(), library.display());
    Ok(format!(
        "#!/bin/sh\nexport QEMU_MODULE_DIR={library}/qemu\nexec {} --library-path {library}:{root}/usr/lib \
         {root}/usr/bin/qemu-img \"$@\"\n",
        loader.display()
    ))
}
