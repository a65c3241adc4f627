//! What `qimg` says when something goes wrong, side by side in `tests/messages.txt`: the cause, the place, the way out.
//!
//! `BLESS=1` writes the file anew, to be read before it is kept.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use tests::machine::{SmallFileSystem, Writer};
use tests::{Kind, bare, fifo, qemu_img, scratch, write_fixture};

/// Each command line in the order of the file, under what it is about.
const LINES: &[(&str, &[&str])] = &[
    ("an image is missing", &["info", "missing.qcow2"]),
    ("an image is misspelt", &["info", "a.qcwo2"]),
    ("its directory is missing", &["create", "-f", "qcow2", "nowhere/a.qcow2", "1M"]),
    ("a backing file is missing", &["convert", "-O", "raw", "orphan.qcow2", "new"]),
    ("the image goes round", &["info", "--backing-chain", "loop.qcow2"]),
    ("not ours to read", &["AS-NOBODY", "info", "private.raw"]),
    ("in use", &["info", "busy.qcow2"]),
    ("in use, and to be written", &["resize", "busy.qcow2", "8M"]),
    ("not in the format that was given", &["info", "-f", "qcow2", "a.raw"]),
    ("a text", &["check", "-f", "qcow2", "text"]),
    ("the version of an image is too new", &["info", "future.qcow2"]),
    (
        "a wrong passphrase",
        &[
            "convert",
            "--object",
            "secret,id=k,file=wrong",
            "--image-opts",
            "-O",
            "raw",
            "driver=luks,key-secret=k,file.filename=a.luks",
            "new",
        ],
    ),
    ("a key is missing", &["convert", "-f", "luks", "-O", "raw", "a.luks", "new"]),
    ("a key is missing inside qcow2", &["convert", "-f", "qcow2", "-O", "raw", "secret.qcow2", "new"]),
    ("no room", &["convert", "-f", "raw", "-O", "raw", "a.raw", "small/new"]),
    ("read-only", &["create", "-f", "raw", "frozen/a.raw", "1M"]),
    ("a FIFO, which never ends", &["--timeout", "0.3", "info", "fifo"]),
    ("too little memory", &["--limit-memory", "16M", "info", "a.raw"]),
    ("a directory", &["info", "."]),
    ("a backing file without a format", &["create", "-f", "qcow2", "-b", "a.raw", "new.qcow2"]),
    ("a damaged image", &["convert", "-f", "qcow2", "-O", "raw", "corrupt.qcow2", "new"]),
    ("a smaller size", &["resize", "-f", "raw", "a.raw", "512K"]),
    ("a target that is too small", &["convert", "-n", "-f", "raw", "-O", "raw", "a.raw", "tiny.raw"]),
    ("a snapshot that is not there", &["snapshot", "-a", "monday", "a.qcow2"]),
    ("sudo asks", &["AS-NOBODY", "--sudo", "info", "a.raw"]),
    ("no qemu-img", &["--qemu-img", "/nonexistent/qemu-img", "info", "a.raw"]),
    ("an image of a stranger names a file", &["import", "orphan.qcow2", "new", "-O", "raw"]),
    ("an import has another format", &["import", "-f", "qcow2", "a.raw", "new", "-O", "raw"]),
    ("an import would replace", &["import", "-f", "raw", "a.raw", "text", "-O", "raw"]),
    ("an import of what is not there", &["import", "missing", "new", "-O", "raw"]),
    ("an import of an encrypted image", &["import", "secret.qcow2", "new", "-O", "raw"]),
    ("an import of an encrypted disk", &["import", "a.luks", "new", "-O", "raw"]),
    (
        "an import of a disk with partitions has another format",
        &["import", "-f", "qcow2", "mbr.raw", "new", "-O", "raw"],
    ),
    ("an import with a wrong passphrase", &["import", "--key-file", "wrong", "a.luks", "new", "-O", "raw"]),
    ("an import without a target", &["import", "a.raw"]),
    ("an import grants what there is not", &["import", "--grant", "backing", "orphan.qcow2", "new"]),
    ("a colon in a name", &["info", "x:y.raw"]),
    ("a dash in front of a name", &["info", "-dash.raw"]),
    ("an option of qimg behind the subcommand", &["info", "--timeout", "5", "a.raw"]),
    ("the same of an import", &["import", "a.raw", "new", "--timeout", "5"]),
    (
        "a line to paste, with a secret",
        &[
            "--dry-run",
            "info",
            "--object",
            "secret,id=k,data=abc",
            "--image-opts",
            "driver=luks,key-secret=k,file.filename=a.luks",
        ],
    ),
    ("a script in a file", &["lint", "text"]),
    ("nothing to explain", &["explain"]),
    ("compression where there is none", &["convert", "-c", "-f", "raw", "-O", "luks", "a.raw", "new"]),
    ("a comma in a name", &["create", "-f", "qcow2", "-o", "backing_file=a,b.raw,backing_fmt=raw", "new.qcow2"]),
    ("no such option", &["convert", "--nosuch", "a.raw", "new"]),
    ("an option is misspelt", &["convert", "--target-fromat", "raw", "a.raw", "new"]),
    ("no such subcommand", &["covnert", "a.raw", "new"]),
    ("no such option of qimg", &["--dryrun", "info", "a.raw"]),
    ("no subcommand", &[]),
    ("no image", &["info"]),
    ("no size", &["create", "-f", "raw", "new", "10Q"]),
    ("no time", &["--timeout", "soon", "info", "a.raw"]),
    ("no memory size", &["--limit-memory", "much", "info", "a.raw"]),
    ("an image for a picture", &["map", "--svg", "a.qcow2", "a.qcow2"]),
    ("no format of an image", &["inspect", "--claimed", "qcow3", "a.raw"]),
    ("nothing to inspect", &["inspect", "missing"]),
    ("no directory to clean", &["clean", "missing"]),
    ("no shell", &["completions", "csh"]),
];

fn furnish(directory: &Path) {
    let at = |name: &str| directory.join(name);
    let make = |args: &[&str]| {
        let output = Command::new(qemu_img()).args(args).current_dir(directory).output().unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
    };
    write_fixture(Kind::Raw, &at("a.raw"));
    write_fixture(Kind::Qcow2, &at("a.qcow2"));
    write_fixture(Kind::Qcow2, &at("busy.qcow2"));
    write_fixture(Kind::Luks, &at("a.luks"));
    write_fixture(Kind::Qcow2Luks, &at("secret.qcow2"));
    write_fixture(Kind::Raw, &at("x:y.raw"));
    write_fixture(Kind::Raw, &at("-dash.raw"));
    // A partition table with one partition.
    let mut disk = vec![0; 1 << 20];
    disk[446..462].copy_from_slice(&[0x80, 1, 1, 0, 0x83, 254, 255, 255, 8, 0, 0, 0, 8, 0, 0, 0]);
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    fs::write(at("mbr.raw"), disk).unwrap();
    fs::write(at("wrong"), "not that").unwrap();
    fs::write(at("text"), "Dear reader,\n").unwrap();
    fs::write(at("tiny.raw"), vec![0; 4096]).unwrap();
    fs::write(at("private.raw"), vec![0; 4096]).unwrap();
    fs::set_permissions(at("private.raw"), fs::Permissions::from_mode(0o600)).unwrap();
    let _ = fifo(directory);
    make(&["create", "-q", "-u", "-f", "qcow2", "-b", "gone.qcow2", "-F", "qcow2", "orphan.qcow2", "1M"]);
    make(&["create", "-q", "-u", "-f", "qcow2", "-b", "pool.qcow2", "-F", "qcow2", "loop.qcow2", "1M"]);
    make(&["create", "-q", "-u", "-f", "qcow2", "-b", "loop.qcow2", "-F", "qcow2", "pool.qcow2", "1M"]);
    let mut image = fs::read(at("a.qcow2")).unwrap();
    image[7] = 9;
    fs::write(at("future.qcow2"), &image).unwrap();
    image[7] = 3;
    // The table of first-level entries begins within a cluster.
    image[40..48].copy_from_slice(&0x0001_0008_u64.to_be_bytes());
    fs::write(at("corrupt.qcow2"), &image).unwrap();
    for name in ["small", "frozen"] {
        fs::create_dir(at(name)).unwrap();
    }
}

/// Everything that is said, after each line what it exits with.
fn said(directory: &Path, program: &Path, args: &[&str]) -> String {
    let (other, args) = match args.split_first() {
        Some((&"AS-NOBODY", args)) => (true, args),
        _ => (false, args),
    };
    let mut command = if other {
        let mut sudo = Command::new("sudo");
        sudo.args(["-n", "-u", "nobody", "--"]).arg(program);
        sudo
    } else {
        Command::new(program)
    };
    if std::env::var_os("QEMU_IMG").is_some() {
        command.arg("--qemu-img").arg(qemu_img());
    }
    let output = command.arg("--pretty").args(args).current_dir(directory).stdin(Stdio::null()).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap().replace(directory.to_str().unwrap(), "/vm");
    let code = output.status.code().unwrap();
    let user = if other { "nobody" } else { "me" };
    // Of an image that goes round qemu-img says much.
    let short = |line: &str| match line.char_indices().nth(300) {
        Some((at, _)) => format!("{}…\n", &line[..at]),
        None => format!("{line}\n"),
    };
    let stderr: String = stderr.lines().map(short).collect();
    format!("{user}$ {}\n{stderr}exit {code}\n", [&["qimg"], args].concat().join(" "))
}

/// What stays the same whatever the version: all but qemu-img's own words, where it says anything at all.
fn lasting(text: &str) -> String {
    const OTHERWISE: [&str; 2] = ["a backing file without a format", "too little memory"];
    let scenes = text.split("## ").filter(|scene| !OTHERWISE.iter().any(|title| scene.starts_with(title)));
    let own = |line: &&str| !line.starts_with("qemu-img: ");
    scenes.flat_map(str::lines).filter(own).collect::<Vec<_>>().join("\n")
}

#[test]
fn messages_name_the_cause_the_place_and_the_way_out() {
    let directory = scratch();
    let directory = directory.path();
    furnish(directory);
    // The program may lie where only its owner can look.
    let program = scratch();
    let program = program.path().join("qimg");
    assert!(Command::new("cp").arg(env!("CARGO_BIN_EXE_qimg-under-test")).arg(&program).status().unwrap().success());
    let _small = SmallFileSystem::mount(&directory.join("small"), "256k");
    let frozen = SmallFileSystem::mount(&directory.join("frozen"), "256k");
    frozen.make_read_only();
    let _writer = Writer::of(&directory.join("busy.qcow2"));
    let mut text = String::new();
    for (title, args) in LINES {
        text.push_str(&format!("## {title}\n{}\n", said(directory, &program, args)));
    }
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("messages.txt");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&golden, &text).unwrap();
    }
    let wanted = fs::read_to_string(&golden).unwrap();
    // The words of one version are in the file.
    let version = String::from_utf8(bare(["--version"]).stdout).unwrap();
    if version.starts_with("qemu-img version 10.0") {
        assert_eq!(text, wanted);
    }
    assert_eq!(lasting(&text), lasting(&wanted));
}
