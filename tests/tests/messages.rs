//! What the qemu-img under test says, provoked; and the kind of error that it is taken for. The table of messages is that
//! of `qemu-exec/src/messages.rs`, of which each row must be provoked by something here.
//!
//! `cargo xtask versions` runs this against 5.2, 7.2, 10.0 and 11.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::Path;

use qemu_cmd::{CommandLine, Invocation};
use qemu_exec::{Error, ErrorKind, Executor, Limits, Request};
use tests::machine::{SmallFileSystem, Writer};
use tests::{Kind, bare, local, scratch, sudo, write_fixture};

/// What depends on how qemu-img was built, or on the machine.
const NOT_EVERYWHERE: &[&str] = &["Disk quota exceeded", "Unable to load module ", "Image not in Parallels format"];

/// The commands, with the images that [`furnish`] makes, and what they are taken for.
#[rustfmt::skip]
const COMMANDS: &[(&str, &str)] = &[
    ("NotFound",         "info -f raw gone"),
    ("NotFound",         "map -f raw gone"),
    ("NotFound",         "check -f qcow2 gone"),
    ("NotFound",         "measure -O raw -f raw gone"),
    ("NotFound",         "resize -f raw gone 1M"),
    ("NotFound",         "compare -f raw -F raw raw gone"),
    ("NotFound",         "rebase -f qcow2 -b gone -F raw qcow2"),
    ("NotFound",         "dd -f raw -O raw if=gone of=new"),
    ("NotFound",         "create -f raw gone/new 1M"),
    ("NotFound",         "create -f qcow2 -b gone -F raw new"),
    ("NotFound",         "convert -f raw -O raw raw gone/new"),
    ("NotFound",         "info -f raw raw/new"),
    ("NotFound",         "snapshot -a gone qcow2"),
    ("NotFound",         "snapshot -d gone qcow2"),
    ("NotFound",         "convert -l gone -f qcow2 -O raw qcow2 new"),
    ("NotFound",         "bitmap --remove -f qcow2 qcow2 gone"),
    ("NotFound",         "convert --object secret,id=s,file=gone --image-opts -O raw driver=luks,key-secret=s,file.filename=luks new"),
    ("PermissionDenied", "create -f raw read-only/new 1M"),
    ("NoSpace",          "convert -f raw -O raw raw full/new"),
    ("Locked",           "convert -f qcow2 -O raw used new"),
    ("Locked",           "resize -f qcow2 used 2M"),
    ("Locked",           "check -r all -f qcow2 used"),
    ("WrongPassphrase",  "convert --object secret,id=s,data=wrong --image-opts -O raw driver=luks,key-secret=s,file.filename=luks new"),
    ("WrongPassphrase",  "convert --object secret,id=s,data=wrong --image-opts -O raw driver=qcow2,encrypt.key-secret=s,file.filename=qcow2-luks new"),
    ("WrongPassphrase",  "convert --object secret,id=s,file=no-utf8 --image-opts -O raw driver=luks,key-secret=s,file.filename=luks new"),
    ("KeyNeeded",        "convert -f luks -O raw luks new"),
    ("KeyNeeded",        "convert -f qcow2 -O raw qcow2-luks new"),
    ("KeyNeeded",        "convert --object secret,id=s,data=wrong --image-opts -O raw driver=luks,key-secret=t,file.filename=luks new"),
    ("Unreachable",      "info -f raw nbd://127.0.0.1:1/x"),
    ("Unreachable",      "info -f raw nbd+unix:///x?socket=gone"),
    ("InputOutput",      "convert --image-opts -O raw driver=raw,file.driver=blkdebug,file.inject-error.0.event=none,file.image.driver=file,file.image.filename=raw new"),
    ("TargetTooSmall",   "convert -n -f raw -O raw raw small"),
    ("BackingLoop",      "info --backing-chain -f qcow2 loop"),
    ("Unsupported",      "info -f qcow2 feature"),
    ("Unsupported",      "info -f luks luks2"),
    ("Unsupported",      "convert -f raw -O unheard-of raw new"),
    ("Unsupported",      "info -f unheard-of raw"),
    ("Unsupported",      "info unheard-of:raw"),
    ("WrongFormat",      "info -f qcow2 raw"),
    ("WrongFormat",      "info -f qcow2 header"),
    ("WrongFormat",      "info -f qcow2 half-a-header"),
    ("WrongFormat",      "info -f qcow2 magic"),
    ("WrongFormat",      "info -f luks raw"),
    ("WrongFormat",      "info -f vmdk raw"),
    ("WrongFormat",      "info -f vdi raw"),
    ("WrongFormat",      "info -f vdi zeros"),
    ("WrongFormat",      "info -f vhdx raw"),
    ("WrongFormat",      "info -f vpc raw"),
    ("WrongFormat",      "info -f qed raw"),
    ("WrongFormat",      "info -f qcow raw"),
    ("WrongFormat",      "info -f bochs raw"),
    ("WrongFormat",      "info -f cloop raw"),
    ("WrongFormat",      "info -f dmg raw"),
    // Debian's 5.2 has no driver for it.
    ("WrongFormat or Unsupported", "info -f parallels raw"),
    ("Failed",           "info -f raw ."),
    ("Failed",           "commit -f qcow2 qcow2"),
];

/// The images, in the directory that is the current one of each command.
fn furnish(here: &Path) {
    let path = |name: &str| here.join(name);
    for (kind, name) in [
        (Kind::Raw, "raw"),
        (Kind::Qcow2, "qcow2"),
        (Kind::Qcow2, "used"),
        (Kind::Qcow2, "feature"),
        (Kind::Qcow2, "loop"),
        (Kind::Qcow2Luks, "qcow2-luks"),
        (Kind::Luks, "luks"),
        (Kind::Luks, "luks2"),
    ] {
        write_fixture(kind, &path(name));
    }
    let write = |name: &str, at: u64, bytes: &[u8]| {
        File::options().write(true).open(path(name)).unwrap().write_all_at(bytes, at).unwrap();
    };
    // An incompatible feature that nobody knows, and a version that qemu does not read.
    write("feature", 72, &[0x80]);
    write("luks2", 6, &[0, 2]);
    fs::write(path("zeros"), vec![0; 1 << 20]).unwrap();
    fs::write(path("small"), vec![0; 512]).unwrap();
    fs::write(path("no-utf8"), b"\xff").unwrap();
    let qcow2 = fs::read(path("qcow2")).unwrap();
    fs::write(path("magic"), &qcow2[..4]).unwrap();
    fs::write(path("half-a-header"), &qcow2[..20]).unwrap();
    fs::write(path("header"), &qcow2[..60]).unwrap();
    let name = path("loop").into_os_string().into_string().unwrap();
    assert!(bare(["rebase", "-u", "-f", "qcow2", "-b", &name, "-F", "qcow2", &name]).status.success());
    for name in ["read-only", "full"] {
        fs::create_dir(path(name)).unwrap();
    }
}

fn error(executor: &dyn Executor, invocation: &Invocation, request: Request<'_>) -> Error {
    let outcome = executor.run(request).unwrap();
    assert!(!outcome.success(), "{invocation} succeeds: {outcome:?}");
    outcome.ok(invocation, &Limits::none()).unwrap_err()
}

fn line(line: &str) -> Invocation {
    CommandLine::parse(line.split(' ').map(Into::into)).unwrap().invocation().unwrap()
}

/// A row of the table: what a line holds, what it ends with, and the kind.
fn table() -> Vec<[String; 3]> {
    let source = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../qemu-exec/src/messages.rs")).unwrap();
    let rows = source.lines().filter_map(|line| line.trim().strip_prefix("Message(\""));
    let row = |row: &str| {
        let (holds, rest) = row.split_once('"').unwrap();
        let (_, rest) = rest.split_once('"').unwrap();
        let (ends, rest) = rest.split_once('"').unwrap();
        [holds, ends, rest.trim_matches([',', ' ', ')'])].map(str::to_owned)
    };
    rows.map(row).collect()
}

#[test]
fn each_message_is_provoked() {
    let directory = scratch();
    let here = directory.path();
    furnish(here);
    let read_only = SmallFileSystem::mount(&here.join("read-only"), "256k");
    read_only.make_read_only();
    let _full = SmallFileSystem::mount(&here.join("full"), "256k");
    let _writer = Writer::of(&here.join("used"));

    let mut wrong = Vec::new();
    let mut errors = Vec::new();
    let local = local().current_dir(here);
    for (kind, command) in COMMANDS {
        let invocation = line(command);
        let error = error(&local, &invocation, Request::new(&invocation));
        if !kind.split(" or ").any(|kind| kind == format!("{:?}", error.kind())) {
            wrong.push(format!("{command}: {:?} instead of {kind}: {}", error.kind(), error.stderr()));
        }
        errors.push(error);
    }
    // What needs more than a command line.
    fs::set_permissions(here.join("raw"), fs::Permissions::from_mode(0o600)).unwrap();
    let private = line(&format!("info -f raw {}", here.join("raw").display()));
    errors.push(error(&sudo().user("nobody"), &private, Request::new(&private)));
    let sealed = sealed();
    let write = line("convert -n -f raw -O raw small /dev/fd/3");
    errors.push(error(&local, &write, Request::new(&write).handing(Some(&sealed))));
    for error in &errors[COMMANDS.len()..] {
        if error.kind() != ErrorKind::PermissionDenied {
            wrong.push(format!("{error:?}"));
        }
    }

    for [holds, ends, kind] in table() {
        let is = |line: &str| line.contains(&holds) && line.trim_end().ends_with(&ends);
        let provoked =
            errors.iter().any(|error| format!("{:?}", error.kind()) == kind && error.stderr().lines().any(is));
        if !provoked && !NOT_EVERYWHERE.iter().any(|text| [&holds, &ends].contains(&&(*text).to_owned())) {
            wrong.push(format!("nothing provokes `{holds}…{ends}`, {kind}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A file that may be opened for writing, and not written to.
fn sealed() -> File {
    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
    let file = memfd_create("image", MemfdFlags::ALLOW_SEALING | MemfdFlags::CLOEXEC).unwrap();
    ftruncate(&file, 512).unwrap();
    fcntl_add_seals(&file, SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK).unwrap();
    file.into()
}

/// Which test provokes an error of each kind.
#[rustfmt::skip]
const PROVOKED: &[(&str, &str, &str)] = &[
    ("Refused",             "errors.rs",         "refused"),
    ("Unsupported",         "versions.rs",       "what_it_lacks_is_refused_and_what_it_has_is_not"),
    ("NotFound",            "errors.rs",         "not_found"),
    ("PermissionDenied",    "errors.rs",         "permission_denied"),
    ("WrongFormat",         "errors.rs",         "wrong_format"),
    ("BackingLoop",         "errors.rs",         "backing_loop"),
    ("WrongPassphrase",     "errors.rs",         "wrong_passphrase"),
    ("KeyNeeded",           "errors.rs",         "key_needed"),
    ("Locked",              "errors.rs",         "locked"),
    ("NoSpace",             "errors.rs",         "no_space"),
    ("InputOutput",         "errors.rs",         "input_output"),
    ("TargetTooSmall",      "errors.rs",         "target_too_small"),
    ("AlreadyExists",       "publish.rs",        "what_exists_is_replaced_only_on_demand"),
    ("SpaceMissing",        "checks.rs",         "space_is_asked_for_before_a_byte_is_written"),
    ("NotPublished",        "faults/programs.rs", "does_nothing"),
    ("SourceCorrupt",       "checks.rs",         "a_source_that_would_read_as_zeros_is_refused"),
    ("KeyUnverifiable",     "legacy_aes.rs",     "a_key_that_cannot_be_told_from_another_is_not_used"),
    ("Untrusted",           "import.rs",         "an_image_in_an_image_does_not_come_out"),
    ("TargetNotZero",       "checks.rs",         "a_target_that_is_not_zero_is_refused"),
    ("ContentDiffers",      "checks.rs",         "what_is_not_the_same_does_not_get_the_name"),
    ("LimitHit",            "errors.rs",         "cpu_limit"),
    ("LimitsNotApplied",    "errors.rs",         "limits_not_applied"),
    ("TimedOut",            "errors.rs",         "timed_out"),
    ("Stalled",             "progress.rs",       "a_stalled_copy_leaves_nothing"),
    ("Cancelled",           "errors.rs",         "cancelled"),
    ("Killed",              "errors.rs",         "killed"),
    ("ProgramMissing",      "errors.rs",         "program_missing"),
    ("Unreachable",         "elsewhere.rs",      "what_goes_wrong_on_the_way_is_told"),
    ("SudoRefused",         "errors.rs",         "sudo_refused"),
    ("CouldNotStart",       "errors.rs",         "could_not_start"),
    ("OutputNotUnderstood", "errors.rs",         "output_not_understood"),
    ("OutputTooLarge",      "errors.rs",         "output_too_large"),
    ("NotRun",              "errors.rs",         "not_run"),
    ("Failed",              "errors.rs",         "failed"),
];

#[test]
fn every_kind_is_provoked_by_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let error = fs::read_to_string(root.join("../qemu-exec/src/error.rs")).unwrap();
    let (_, kinds) = error.split_once("pub enum ErrorKind {\n").unwrap();
    let (kinds, _) = kinds.split_once("\n}\n").unwrap();
    let name = |line: &str| {
        let name = line.strip_prefix("    ")?.split(|c: char| !c.is_alphanumeric()).next()?.to_owned();
        name.starts_with(char::is_uppercase).then_some(name)
    };
    let kinds: Vec<String> = kinds.lines().filter_map(name).collect();
    assert_eq!(kinds, PROVOKED.iter().map(|(kind, ..)| *kind).collect::<Vec<_>>(), "the kinds, in their order");
    for (kind, file, test) in PROVOKED {
        let source = fs::read_to_string(root.join("tests").join(file)).unwrap();
        let (_, body) = source.split_once(&format!("fn {test}(")).unwrap_or_else(|| panic!("no {test} in {file}"));
        let body = body.split_once("\n}\n").unwrap_or((body, "")).0;
        let named = body.contains(&format!("ErrorKind::{kind}"));
        assert!(named, "{test} in {file} does not speak of ErrorKind::{kind}");
    }
    // And every limit.
    let limits = fs::read_to_string(root.join("../qemu-exec/src/limits.rs")).unwrap();
    let (_, limits) = limits.split_once("pub enum Limit {\n").unwrap();
    let limits: Vec<_> = limits.split_once("\n}\n").unwrap().0.lines().filter_map(name).collect();
    assert!(limits.len() >= 5);
    let tests: String = tests(&root.join("tests"));
    for limit in limits {
        assert!(tests.contains(&format!("LimitHit(Limit::{limit})")), "no test hits the limit {limit}");
    }
}

fn tests(directory: &Path) -> String {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let source = |path: std::path::PathBuf| match path.is_dir() {
        true => tests(&path),
        false => String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned(),
    };
    entries.map(source).collect()
}
