//! What `qimg` refuses: exit status 2, one line that says why, nothing run and nothing made.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use qemu_cmd::{ByteSize, Create, Qcow2};
use tempfile::TempDir;
use tests::machine::need_sudo;
use tests::{bare, client, executable, qemu_img, quick_luks, scratch};

const REFUSED: Option<i32> = Some(2);

fn qimg() -> Command {
    Command::new(env!("CARGO_BIN_EXE_qimg-under-test"))
}

/// A directory with a source, and with a program in the place of qemu-img that leaves a mark when it is run.
struct Stage {
    directory: TempDir,
    program: PathBuf,
}

impl Stage {
    fn new() -> Self {
        let directory = scratch();
        let program = executable(directory.path(), "#!/bin/sh\n: > \"$0.ran\"\n");
        std::fs::write(directory.path().join("a"), "content").unwrap();
        Self { directory, program }
    }

    fn run<S: AsRef<OsStr>>(&self, options: &[&str], line: &[S]) -> Output {
        let mut command = qimg();
        command.arg("--qemu-img").arg(&self.program).args(options).args(line);
        command.current_dir(self.directory.path()).stdin(Stdio::null()).output().unwrap()
    }

    fn files(&self) -> Vec<(OsString, Vec<u8>)> {
        let entries = self.directory.path().read_dir().unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> =
            entries.map(|path| (path.file_name().unwrap().to_owned(), std::fs::read(path).unwrap())).collect();
        files.sort();
        files
    }

    /// The reason of a refusal.
    fn refused<S: AsRef<OsStr>>(&self, options: &[&str], line: &[S]) -> String {
        let shown: Vec<_> = line.iter().map(AsRef::as_ref).collect();
        let before = self.files();
        let output = self.run(options, line);
        assert_eq!(output.status.code(), REFUSED, "{options:?} {shown:?}: {output:?}");
        assert!(output.stdout.is_empty(), "{options:?} {shown:?}: {output:?}");
        assert!(self.files() == before, "{options:?} {shown:?} ran something, or made something");
        one_line(&output)
    }
}

/// The reason, which is one line and quotes no secret.
fn one_line(output: &Output) -> String {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    let line =
        text.strip_prefix("qimg: ").and_then(|text| text.strip_suffix('\n')).unwrap_or_else(|| panic!("{text:?}"));
    assert!(!line.is_empty() && !line.contains(char::is_control), "{text:?}");
    assert!(!line.contains("hunter2"), "{line}");
    line.to_owned()
}

#[test]
fn what_is_not_refused_is_run() {
    let stage = Stage::new();
    for line in [&["convert", "a", "b"][..], &["create", "b", "1000"], &["info", "a"]] {
        let output = stage.run(&[], line);
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        std::fs::remove_file(stage.directory.path().join("qemu-img.ran")).expect("it was not run");
    }
}

#[test]
fn what_is_not_a_command_line() {
    let stage = Stage::new();
    for (line, reason) in [
        ("", "no subcommand"),
        ("nosuch a b", "`nosuch` is not a subcommand"),
        ("Convert a b", "`Convert` is not a subcommand"),
        ("convert --nosuch a b", "no option `--nosuch`"),
        ("convert -y a b", "no option `-y`"),
        ("convert -cyO qcow2 a b", "argument 1 of `convert`: there is no option `-y`"),
        ("info --target-is-zero a", "no option `--target-is-zero`"),
        (
            "convert --target-i -n a b",
            "--target-is-zero or --target-image-opts|--target-image-opts or --target-is-zero",
        ),
        ("convert a b -O", "`-O` needs a value"),
        ("info a --output", "`--output` needs a value"),
        ("convert --salvage=yes a b", "`--salvage` takes no value"),
        ("convert a", "a source and a target"),
        ("convert", "a source and a target"),
        ("info", "one image"),
        ("info a b", "one image"),
        ("create", "a file and a size"),
        ("create a 1M 2M", "a file and a size"),
        ("create b", "needs a size"),
    ] {
        let line: Vec<&str> = line.split(' ').filter(|word| !word.is_empty()).collect();
        let said = stage.refused(&[], &line);
        assert!(reason.split('|').any(|reason| said.contains(reason)), "{line:?}: {said}");
    }
}

#[test]
fn what_qemu_img_would_refuse_or_get_wrong() {
    let stage = Stage::new();
    for (line, reason) in [
        ("convert -c a b", "compression is not supported for format `raw`"),
        ("convert -cO raw a b", "compression is not supported for format `raw`"),
        ("convert -c -O luks -o key-secret=s a b", "compression is not supported for format `luks`"),
        ("convert -cOqcow2 -o encrypt.format=luks,encrypt.key-secret=s a b", "compression and encryption"),
        ("convert -c -O qcow2 -o cluster_size=4k -o encrypt.format=luks -o encrypt.key-secret=s a b", "encryption"),
        ("convert -c -O qcow2 -o encryption=on a b", "compression and encryption"),
        ("convert -c -O qcow2 -o preallocation=metadata a b", "compression and preallocation"),
        ("convert -f raw --image-opts driver=raw,file.filename=a b", "-f and --image-opts"),
        ("convert -n -o size=1M a b", "-n and -o"),
        ("convert -C -c -O qcow2 a b", "-C and -c"),
        ("convert -C -S 4k a b", "-C and -S"),
        ("convert -m 17 a b", "argument 2 of `convert`: number of coroutines 17"),
        ("convert -pm0 a b", "argument 1 of `convert`: number of coroutines 0"),
        ("convert -S 1000 a b", "sparse size 1000"),
        ("convert --target-is-zero a b", "needs -n"),
        ("convert --target-image-opts a driver=raw,file.filename=b", "needs -n"),
        ("convert -n -O raw --target-image-opts a driver=raw,file.filename=b", "-O and --target-image-opts"),
        ("info -f raw --image-opts driver=raw,file.filename=a", "-f and --image-opts"),
        ("create -f qcow2 b 1000", "multiple of 512"),
        ("create -f qcow2 -o size=513 b", "argument 4 of `create`: a qcow2 size must be a multiple of 512"),
        ("create -f qcow2 -o size=1M b 1M", "given twice"),
        ("create -f qcow2 -F raw b 1M", "-F needs -b"),
        ("create -f qcow2 -u -b a -F raw b", "needs a size"),
    ] {
        let line: Vec<&str> = line.split(' ').collect();
        let said = stage.refused(&[], &line);
        assert!(said.contains(reason), "{line:?}: {said}");
    }
}

#[test]
fn secrets_that_are_none() {
    let stage = Stage::new();
    let not_utf8 = OsString::from_vec(b"secret,id=s,data=\xffhunter2".to_vec());
    let objects: [(OsString, &str); 14] = [
        ("secret,id=s,data=hunter2,file=f".into(), "exclude each other"),
        ("secret,id=s".into(), "neither"),
        ("secret,data=hunter2".into(), "needs an `id`"),
        ("secret,id=1s,data=hunter2".into(), "secret id `1s`"),
        ("secret,id=s,format=base64,data=hunter2!".into(), "not base64"),
        ("secret,id=s,format=base64,data=aHVudGVyMg".into(), "not base64"),
        ("secret,id=s,format=base64,data=/w==".into(), "UTF-8"),
        ("secret,id=s,format=base64,data=AGE=".into(), "NUL"),
        (not_utf8, "UTF-8"),
        (r#"{"qom-type":"secret","id":"s","data":"hunter2"#.into(), "not a JSON object"),
        (r#"{"qom-type":"secret","id":"s","data":"hunter2","file":"f"}"#.into(), "exclude each other"),
        (r#"{"qom-type":"secret","id":"s","data":"a\u0000hunter2"}"#.into(), "NUL"),
        // The test's standard input is empty, which is base64 of nothing; what is not there is not.
        ("secret,id=s,file=/dev/fd/99".into(), "`/dev/fd/99`"),
        ("secret,id=s,format=base64,file=/proc/self/fd/99".into(), "`/proc/self/fd/99`"),
    ];
    for (object, reason) in objects {
        let line = [OsStr::new("info"), "--object".as_ref(), &object, "a".as_ref()];
        let said = stage.refused(&[], &line);
        assert!(said.contains(reason), "{object:?}: {said}");
    }
}

#[test]
fn options_of_its_own() {
    let stage = Stage::new();
    for (option, reason) in [
        ("--nosuch", "--nosuch"),
        ("-x", "-x"),
        ("--dry-run=xml", "--dry-run takes shell or json"),
        ("--sudo=", "--sudo= needs a user"),
        ("--limit-cpu=soon", "--limit-cpu takes a number"),
        ("--limit-cpu=0", "--limit-cpu takes a number"),
        ("--limit-cpu=-1", "--limit-cpu takes a number"),
        ("--limit-cpu=nan", "--limit-cpu takes a number"),
        ("--timeout=inf", "--timeout takes a number"),
        ("--timeout=", "--timeout takes a number"),
        ("--timeout=1e30", "--timeout takes a number"),
        ("--limit-memory=much", "`much`"),
        ("--limit-memory=-1", "`-1`"),
        ("--limit-memory=", "size"),
        ("--qemu-img=/not/there", "`/not/there`"),
        ("--qemu-img=/etc/passwd", "`/etc/passwd`"),
    ] {
        let said = stage.refused(&[option], &["info", "a"]);
        assert!(said.contains(reason), "{option}: {said}");
    }
    for option in ["--limit-cpu", "--limit-memory", "--timeout", "--qemu-img"] {
        assert!(stage.refused::<&str>(&[option], &[]).contains(option), "{option}");
    }
}

/// An option in front that a command of qimg's own would not keep: nothing is removed, written, or looked at as another.
#[test]
fn options_that_would_be_no_more_than_a_promise() {
    let stage = Stage::new();
    std::fs::write(stage.directory.path().join(".b.partial"), "left behind").unwrap();
    for (option, line, reason) in [
        ("--dry-run", &["clean", "."][..], "write `qimg clean --dry-run`"),
        ("--dry-run=json", &["clean", "."], "write `qimg clean --dry-run`"),
        ("--dry-run", &["install-docs", "--prefix", "."], "write `qimg install-docs --dry-run`"),
        ("--dry-run", &["chain", "a"], "not for chain"),
        ("--sudo", &["inspect", "a"], "run qimg itself by sudo"),
        ("--sudo=nobody", &["clean", "."], "run qimg itself by sudo"),
        ("--sudo", &["import", "a", "b"], "sudo does not hand over"),
        ("--dry-run", &["import", "a", "b"], "depends on the image"),
    ] {
        let said = stage.refused(&[option], line);
        assert!(said.contains(reason), "{option} {line:?}: {said}");
    }
}

#[test]
fn commands_of_its_own() {
    let stage = Stage::new();
    for (line, reason) in [
        ("import --replace=no a b", "--replace takes no value"),
        ("import --hybrid=yes a b", "--hybrid takes no value"),
        ("import a b --key-file", "--key-file needs a value: FILE"),
        ("import --key-file=/dev/fd/99 a b", "`/dev/fd/99`"),
        ("digest --check", "--check needs a value: DIGEST"),
        ("digest --check 12 a", "--check: "),
        ("map a --svg", "--svg needs a value: FILE"),
        ("inspect --output xml a", "--output takes human or json, and `xml` was given"),
        ("chain --fellow a", "but `--follow`: `qimg chain --help` lists them"),
        ("man page", "`man` takes no `page`"),
        ("options all", "`options` takes no `all`"),
        ("help convert info", "one command"),
        ("help nosuch", "`nosuch` is not a subcommand"),
        ("nosuch", "or of qimg's own: help, explain, lint, inspect, import, "),
    ] {
        let line: Vec<&str> = line.split(' ').collect();
        let said = stage.refused(&[], &line);
        assert!(said.contains(reason), "{line:?}: {said}");
    }
}

#[test]
fn a_directory_that_cannot_be_cleaned_does_not_hide_the_others() {
    let stage = Stage::new();
    std::fs::write(stage.directory.path().join(".b.partial"), "left behind").unwrap();
    let output = stage.run(&[], &["clean", ".", "missing"]);
    assert_eq!((output.status.code(), &output.stdout[..]), (REFUSED, &b"removed ./.b.partial\n"[..]), "{output:?}");
    assert!(one_line(&output).contains("`missing` could not be cleaned"));
}

/// An empty encrypted image, which takes seconds to make.
fn encrypted() -> &'static [u8] {
    static IMAGE: OnceLock<Vec<u8>> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let directory = scratch();
        let image = directory.path().join("image");
        let options = Qcow2::new().encryption(quick_luks(tests::PASSPHRASE));
        client().create(&Create::new(&image, options, ByteSize::mib(1))).unwrap();
        std::fs::read(image).unwrap()
    })
}

/// However the encrypted image is named: qemu-img would write into it in the clear, and exit with 0.
#[test]
fn compression_into_an_existing_encrypted_image() {
    let stage = Stage::new();
    std::fs::write(stage.directory.path().join("b"), encrypted()).unwrap();
    for node in [
        "driver=qcow2,encrypt.key-secret=s,file.filename=b",
        "encrypt.key-secret=s,driver=qcow2,file.driver=file,file.filename=b",
        "encrypt.key-secret=s,file.filename=b",
    ] {
        for options in [&[][..], &["--dry-run"]] {
            let line =
                ["convert", "-n", "-c", "--target-image-opts", "--object", "secret,id=s,data=hunter2", "a", node];
            let said = stage.refused(options, &line);
            assert!(said.contains("compression"), "{node}: {said}");
        }
    }
}

/// The same by a `json:` name, which needs no `--target-image-opts`.
#[test]
fn compression_into_an_existing_encrypted_image_that_is_named_by_json() {
    let stage = Stage::new();
    let path = |name: &str| stage.directory.path().join(name).into_os_string().into_string().unwrap();
    std::fs::write(path("key"), tests::PASSPHRASE).unwrap();
    std::fs::write(path("a"), b"the guest's secret diary, daily.".repeat(1 << 15)).unwrap();
    std::fs::write(path("b"), encrypted()).unwrap();
    let object = format!("secret,id=s,file={}", path("key"));
    let file = serde_json::json!({"driver": "file", "filename": path("b")});
    let target = format!("json:{}", serde_json::json!({"encrypt": {"key-secret": "s"}, "file": file}));
    let a = path("a");
    let line = ["convert", "-n", "-c", "-f", "raw", "-O", "qcow2", "--object", &object, &a, &target];
    // That it is dangerous: the real qemu-img takes it.
    let output = bare(line);
    assert!(output.status.success(), "qemu-img has learned to refuse this: {output:?}");
    let said = stage.refused(&[], &line);
    assert!(said.contains("compression"), "{said}");
}

/// Where there is no room for the answer, there is no back trace on standard error either.
#[test]
fn an_output_that_takes_nothing() {
    let stage = Stage::new();
    for line in [&["--help"][..], &["--version"], &["--dry-run=shell", "info", "a"], &["--dry-run=json", "info", "a"]] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let output = qimg().args(line).stdout(full).current_dir(stage.directory.path()).output().unwrap();
        assert_eq!(output.status.code(), REFUSED, "{line:?}: {output:?}");
        one_line(&output);
    }
}

#[test]
fn its_own_help_is_no_refusal() {
    for (option, start) in [("--help", "usage: qimg "), ("-h", "usage: qimg "), ("--version", "qimg "), ("-V", "qimg ")]
    {
        let output = qimg().arg(option).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{option}: {output:?}");
        assert!(String::from_utf8(output.stdout).unwrap().starts_with(start), "{option}");
    }
    let printed = |line: &[&str]| {
        let output = qimg().arg("--qemu-img").arg(qemu_img()).args(line).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{line:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let all = printed(&["--help"]);
    assert_eq!(printed(&["help"]), all);
    for command in ["chain", "clean", "completions", "digest", "doctor", "explain", "import", "inspect", "lint", "man"]
    {
        let text = printed(&["help", command]);
        assert!(text.starts_with(&format!("usage: qimg {command}")), "{text}");
        assert_eq!(printed(&[command, "--help"]), text);
        assert_eq!(printed(&[command, "-h", "a"]), text);
    }
    // A subcommand's is qemu-img's own, also in a command line that is asked about.
    assert_eq!(printed(&["help", "info"]), String::from_utf8(bare(["info", "--help"]).stdout).unwrap());
    assert!(printed(&["explain", "info", "--help"]).starts_with("info"));
}

/// Really not there: every qemu-img is hidden, in a mount namespace that only qimg sees.
#[test]
fn a_missing_qemu_img_names_its_package() {
    need_sudo();
    let path = std::env::var_os("PATH").unwrap();
    let standard = ["/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    let found = std::env::split_paths(&path).chain(standard).map(|directory| directory.join("qemu-img"));
    let mut found: Vec<PathBuf> = found.filter_map(|program| program.canonicalize().ok()).collect();
    found.sort();
    found.dedup();
    let directory = scratch();
    std::fs::write(directory.path().join("a"), "content").unwrap();
    let script = "path=$1 cd=$2 qimg=$3; shift 3\n\
                  while [ \"$1\" != -- ]; do mount --bind /dev/null \"$1\" || exit 99; shift; done; shift\n\
                  cd \"$cd\" && PATH=$path exec \"$qimg\" \"$@\"";
    let run = |line: &[&str]| {
        let mut command = Command::new("sudo");
        command.args(["-n", "unshare", "-m", "sh", "-c", script, "sh"]).arg(&path).arg(directory.path());
        command.arg(env!("CARGO_BIN_EXE_qimg-under-test")).args(&found).arg("--").args(line).output().unwrap()
    };
    let id = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let id = id.lines().find_map(|line| line.strip_prefix("ID=")).unwrap_or_default().trim_matches('"');
    let package = match id {
        "debian" | "ubuntu" => "qemu-utils",
        "fedora" | "rhel" | "centos" | "arch" | "alpine" => "qemu-img",
        "opensuse" | "opensuse-leap" | "opensuse-tumbleweed" | "suse" => "qemu-tools",
        _ => "qemu-",
    };
    for options in [&[][..], &["--sudo"], &["--sudo=nobody", "--limit-cpu=3", "--timeout=3"]] {
        for line in [&["info", "a"][..], &["convert", "a", "b"], &["create", "b", "1M"]] {
            let output = run(&[options, line].concat());
            assert_eq!(output.status.code(), REFUSED, "{output:?}");
            let said = one_line(&output);
            assert!(said.contains("`qemu-img` was not found") && said.contains(package), "{said}");
            assert!(!directory.path().join("b").exists());
        }
    }
    // What would run can be shown all the same.
    let output = run(&["--dry-run", "create", "b", "1M"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "LC_ALL=C LANG=C qemu-img create b 1M\n");
}
