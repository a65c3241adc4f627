//! What lint warns of is real: each of these lines is found, succeeds, and does the damage.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use qemu_cmd::{ByteSize, CommandLine, LintContext, Location};
use tempfile::TempDir;
use tests::{qemu_img, scratch};

const SIZE: usize = 1 << 20;

/// A directory with a raw image `a` of this byte, and `b` of that.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(scratch());
        place.fill("a", b'A');
        place.fill("b", b'B');
        place
    }

    fn fill(&self, name: &str, byte: u8) {
        fs::write(self.0.path().join(name), vec![byte; SIZE]).unwrap();
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    /// The words of a line, with `@name` for a file here.
    fn args(&self, line: &str) -> Vec<String> {
        let here = format!("{}/", self.0.path().display());
        line.split(' ').map(|word| if word == "''" { String::new() } else { word.replace('@', &here) }).collect()
    }

    fn run(&self, line: &str) -> Output {
        Command::new(qemu_img())
            .args(self.args(line))
            .current_dir(self.0.path())
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    fn done(&self, line: &str) -> Output {
        let output = self.run(line);
        assert!(output.status.success(), "{line}: {output:?}");
        output
    }

    /// The line is found by that code, and succeeds.
    fn succeeds(&self, code: &str, line: &str) -> Output {
        self.found(code, line, &LintContext::new());
        self.done(line)
    }

    fn found(&self, code: &str, line: &str, context: &LintContext<'_>) {
        let parsed = CommandLine::parse(self.args(line).into_iter().map(Into::into)).unwrap();
        let findings = parsed.lint_with(context);
        assert!(findings.iter().any(|finding| finding.code == code), "{line}: {findings:?}");
    }

    /// The first bytes of the disk in an image.
    fn disk(&self, format: &str, name: &str) -> Vec<u8> {
        self.done(&format!("convert -f {format} -O raw @{name} @out"));
        let mut bytes = fs::read(self.0.path().join("out")).unwrap();
        bytes.truncate(4);
        bytes
    }
}

#[test]
fn an_existing_target_gets_no_backing_file() {
    let place = Place::new();
    place.done("create -f qcow2 -b @a -F raw @overlay");
    place.done("create -f qcow2 @target 1M");
    place.succeeds("backing-ignored", "convert -f qcow2 -n -O qcow2 -B @a @overlay @target");
    assert_eq!(place.disk("qcow2", "overlay"), b"AAAA");
    assert_eq!(place.disk("qcow2", "target"), [0; 4]);
}

#[test]
fn a_backing_file_is_assumed_to_be_the_same() {
    let place = Place::new();
    place.done("create -f qcow2 -b @a -F raw @overlay");
    place.succeeds("backing-assumed", "convert -f qcow2 -O qcow2 -B @b -o backing_fmt=raw @overlay @target");
    assert_eq!(place.disk("qcow2", "target"), b"BBBB");
    assert!(place.done("check -f qcow2 @target").status.success());
}

#[test]
fn an_unsafe_rebase_copies_nothing() {
    let place = Place::new();
    for (code, backing, wanted) in
        [("backing-dropped", "-b ''", [0; 4]), ("rebase-unchecked", "-b @b -F raw", *b"BBBB")]
    {
        place.done("create -f qcow2 -b @a -F raw @overlay");
        place.succeeds(code, &format!("rebase -f qcow2 -u {backing} @overlay"));
        assert_eq!(place.disk("qcow2", "overlay"), wanted);
        assert!(place.done("check -f qcow2 @overlay").status.success());
    }
}

#[test]
fn a_name_behind_file_is_one_of_wherever_it_runs() {
    let place = Place::new();
    fs::create_dir(place.path("elsewhere")).unwrap();
    place.succeeds("backing-from-here", "create -f qcow2 -b file:a -F raw @elsewhere/overlay");
    assert_eq!(place.disk("qcow2", "elsewhere/overlay"), b"AAAA");
    fs::remove_file(place.path("a")).unwrap();
    symlink(place.path("b"), place.path("a")).unwrap();
    assert_eq!(place.disk("qcow2", "elsewhere/overlay"), b"BBBB");
}

#[test]
fn a_data_file_is_read_though_null_and_overwritten() {
    let place = Place::new();
    place.fill("data", b'A');
    let line = "create -f qcow2 -o data_file=@data @image 1M";
    place.found("data-file-overwritten", line, &LintContext::new().exists(&|place| exists(place)));
    place.done(line);
    assert_eq!(fs::read(place.path("data")).unwrap()[..4], [0; 4]);

    place.fill("data", b'S');
    place.done("convert -f raw -n -O qcow2 @b @image");
    let node = r#"json:{"driver":"qcow2","data-file":null,"file":{"driver":"file","filename":"@image"}}"#;
    place.succeeds("data-file-kept", &format!("convert -O raw {node} @copy"));
    assert_eq!(fs::read(place.path("copy")).unwrap()[..4], *b"BBBB", "this came out of the file `data`");
}

fn exists(place: &Location) -> bool {
    place.path().is_some_and(Path::exists)
}

#[test]
fn a_target_is_gone_though_the_convert_fails() {
    let place = Place::new();
    let line = "convert -f raw -O raw @a @b";
    place.found("target-overwritten", line, &LintContext::new().exists(&exists));
    let status = Command::new("prlimit").arg("--fsize=65536").arg(qemu_img()).args(place.args(line)).status().unwrap();
    assert!(!status.success());
    assert!(!fs::read(place.path("b")).unwrap().starts_with(b"BBBB"));
}

#[test]
fn a_pipe_gives_one_secret() {
    let place = Place::new();
    let objects = "--object secret,id=k,file=/dev/stdin --object secret,id=l,file=/dev/stdin";
    let line = format!("create {objects} -f luks -o key-secret=l,iter-time=10 @image 1M");
    place.found("secret-read-twice", &line, &LintContext::new());
    let (reader, mut writer) = std::io::pipe().unwrap();
    std::io::Write::write_all(&mut writer, b"passphrase").unwrap();
    drop(writer);
    let status = Command::new(qemu_img()).args(place.args(&line)).stdin(reader).stdout(Stdio::null()).status().unwrap();
    assert!(status.success());
    let open = |passphrase: &str| {
        fs::write(place.path("key"), passphrase).unwrap();
        let node = "driver=luks,key-secret=k,file.filename=@image";
        place.run(&format!("convert --object secret,id=k,file=@key --image-opts {node} -O raw @out"))
    };
    assert!(!open("passphrase").status.success());
    assert!(open("").status.success());
}

#[test]
fn help_among_options_makes_nothing() {
    let place = Place::new();
    place.succeeds("help-not-done", "create -f qcow2 -o compat=1.1,help @image 1M");
    assert!(!Path::new(&place.path("image")).exists());
}

#[test]
fn the_last_of_two_counts() {
    let place = Place::new();
    place.done("create -f qcow2 @image 1M");
    let output = place.succeeds("option-twice", "info -f qcow2 -f raw @image");
    assert!(String::from_utf8_lossy(&output.stdout).contains("file format: raw"));
    place.succeeds("key-twice", "create -f qcow2 -o cluster_size=4k,cluster_size=8k @image 1M");
    let output = place.done("info -f qcow2 @image");
    assert!(String::from_utf8_lossy(&output.stdout).contains("cluster_size: 8192"), "{output:?}");
}

#[test]
fn names_are_not_what_they_seem() {
    let place = Place::new();
    fs::create_dir(place.path("fat:x")).unwrap();
    fs::create_dir(place.path("x")).unwrap();
    fs::write(place.path("x/HIDDEN"), b"").unwrap();
    place.succeeds("name-is-directory", "convert -f raw -O raw fat:x @copy");
    assert!(fs::read(place.path("copy")).unwrap().windows(6).any(|bytes| bytes == b"HIDDEN"));

    place.succeeds("dash-is-file", "convert -f raw -O raw @a -");
    assert_eq!(fs::read(place.path("-")).unwrap().len(), SIZE);

    let output = place.run("info -f raw a:b");
    place.found("name-is-protocol", "info -f raw a:b", &LintContext::new());
    assert!(String::from_utf8_lossy(&output.stderr).contains("Unknown protocol 'a'"), "{output:?}");
}

#[test]
fn an_existing_target_without_a_format_is_raw() {
    let place = Place::new();
    place.done("create -f qcow2 @image 1M");
    fs::write(place.path("small"), [b'A'; 4096]).unwrap();
    place.succeeds("target-format-missing", "convert -f raw -n @small @image");
    assert_eq!(fs::read(place.path("image")).unwrap()[..4], *b"AAAA");
}

#[test]
fn what_is_not_zero_stays() {
    let place = Place::new();
    fs::write(place.path("zeros"), vec![0; SIZE]).unwrap();
    place.succeeds("target-is-zero", "convert -f raw -n -O raw --target-is-zero @zeros @b");
    assert_eq!(fs::read(place.path("b")).unwrap()[..4], *b"BBBB");
}

#[test]
fn a_wrong_key_of_the_old_encryption_is_not_noticed() {
    let place = Place::new();
    let line = "create --object secret,id=k,data=right -f qcow2 -o encrypt.format=aes,encrypt.key-secret=k @image 1M";
    place.succeeds("broken-encryption", line);
    let node = "driver=qcow2,encrypt.format=aes,encrypt.key-secret=k,file.filename=@image";
    let write = "convert -f raw -n --target-image-opts @a";
    place.done(&format!("{write} --object secret,id=k,data=right {node}"));
    let read = format!("convert --object secret,id=k,data=wrong --image-opts {node} -O raw @out");
    place.succeeds("broken-encryption", &read);
    assert_ne!(fs::read(place.path("out")).unwrap()[..4], *b"AAAA");
}

#[test]
fn sizes_are_bytes() {
    let place = Place::new();
    place.succeeds("size-in-bytes", "create -f raw @image 20");
    assert!(fs::metadata(place.path("image")).unwrap().len() < 1024);
}

#[test]
fn what_is_overwritten_is_lost() {
    let place = Place::new();
    place.succeeds("bench-writes", "bench -f raw -w -c 1 --pattern 90 @a");
    assert_eq!(fs::read(place.path("a")).unwrap()[..4], *b"ZZZZ");

    place.succeeds("shrinks", "resize -f raw --shrink @b 512");
    assert_eq!(fs::metadata(place.path("b")).unwrap().len(), 512);

    place.done("create -f qcow2 @image 1M");
    place.done("snapshot -c before @image");
    place.fill("b", b'B');
    place.done("convert -f raw -n -O qcow2 @b @image");
    assert_eq!(place.disk("qcow2", "image"), b"BBBB");
    place.succeeds("state-lost", "snapshot -a before @image");
    assert_eq!(place.disk("qcow2", "image"), [0; 4]);
}

#[test]
fn quiet_wins_over_progress() {
    let place = Place::new();
    let output = place.succeeds("quiet-progress", "convert -p -q -f raw -O raw @a @copy");
    assert!(output.stdout.is_empty());
    assert!(!place.done("convert -p -f raw -O raw @a @copy").stdout.is_empty());
}

#[test]
fn a_repaired_image_has_changed() {
    let place = Place::new();
    place.done("convert -f raw -O qcow2 @a @image");
    // The first refcount block is no longer where the table says.
    let mut bytes = fs::read(place.path("image")).unwrap();
    bytes[0x10000..0x10008].fill(0);
    fs::write(place.path("image"), &bytes).unwrap();
    place.found("repairs", "check -f qcow2 -r all @image", &LintContext::new());
    place.run("check -f qcow2 -r all @image");
    assert_ne!(fs::read(place.path("image")).unwrap(), bytes);
}

#[test]
fn many_coroutines_need_address_space() {
    let place = Place::new();
    fs::write(place.path("a"), vec![b'A'; 32 << 20]).unwrap();
    place.done("convert -f raw -O qcow2 @a @source");
    let dies = |coroutines: u8, mebibytes: u64, tries: u32| {
        let line = format!("convert -t writeback -W -m {coroutines} -f qcow2 -O raw @source @copy");
        let limit = LintContext::new().address_space(ByteSize::mib(mebibytes));
        let parsed = CommandLine::parse(place.args(&line).into_iter().map(Into::into)).unwrap();
        let is_found = parsed.lint_with(&limit).iter().any(|finding| finding.code == "address-space-tight");
        let mut command = Command::new("prlimit");
        let command = command.arg(format!("--as={}", mebibytes << 20)).arg(qemu_img()).args(place.args(&line));
        let died = (0..tries).any(|_| !command.stderr(Stdio::null()).status().unwrap().success());
        (is_found, died)
    };
    assert_eq!(dies(16, 400, 40), (true, true));
    assert_eq!(dies(1, 2048, 3), (false, false));
}
