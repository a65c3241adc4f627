//! Secrets of a `qimg` command line, in every way that qemu-img takes them, on real encrypted images.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;
use tests::{Kind, PASSPHRASE, bare, content, qemu_img, qimg, scratch, write_fixture};

/// [`PASSPHRASE`] as it stands in an option list, and in base64.
const ESCAPED: &str = "correct horse,, battery staple";
const BASE64: &str = "Y29ycmVjdCBob3JzZSwgYmF0dGVyeSBzdGFwbGU=";

/// A master key of bytes that are no text, and [`PASSPHRASE`] encrypted under it with AES-256-CBC.
const MASTER: &str = "4OHi4+Tl5ufo6err7O3u7/Dx8vP09fb3+Pn6+/z9/v8=";
const IV: &str = "AAECAwQFBgcICQoLDA0ODw==";
const WRAPPED: &str = "9lbZTTXVffiKHJIzUraQunNVWJQ/SR1MqnG481fci1c=";

/// An encrypted image that waits to be converted to a raw one.
struct Locked {
    directory: TempDir,
}

impl Locked {
    fn new() -> Self {
        let directory = scratch();
        write_fixture(Kind::Luks, &directory.path().join("a"));
        Self { directory }
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).into_os_string().into_string().unwrap()
    }

    /// Runs `convert` with these arguments for the secret `s`, and what it takes to open the image with it.
    fn run(&self, mut command: Command, arguments: &[&str]) -> Output {
        let node = format!("driver=luks,key-secret=s,file.filename={}", self.path("a"));
        command.arg("convert").args(arguments).args(["--image-opts", &node, "-O", "raw"]).arg(self.path("b"));
        command.output().unwrap()
    }

    /// The same, and expects it to have opened.
    fn opens(&self, command: Command, arguments: &[&str]) {
        let output = self.run(command, arguments);
        assert!(output.status.success() && output.stderr.is_empty(), "{arguments:?}: {output:?}");
        assert!(std::fs::read(self.path("b")).unwrap() == content(), "{arguments:?}");
        std::fs::remove_file(self.path("b")).unwrap();
    }

    /// The same with something on standard input, which comes from a pipe and from a file.
    fn opens_with(&self, stdin: &str, arguments: &[&str]) {
        let mut piped = qimg!();
        piped.stdin(pipe(stdin));
        self.opens(piped, arguments);
        let file = self.path("stdin");
        std::fs::write(&file, stdin).unwrap();
        let mut redirected = qimg!();
        redirected.stdin(File::open(&file).unwrap());
        self.opens(redirected, arguments);
    }
}

/// The reading end of a pipe that holds this text and no more.
fn pipe(text: &str) -> Stdio {
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(text.as_bytes()).unwrap();
    reader.into()
}

#[test]
fn data_in_either_syntax() {
    let locked = Locked::new();
    for object in [
        format!("secret,id=s,data={ESCAPED}"),
        format!("secret,id=s,format=raw,data={ESCAPED}"),
        format!("secret,data={ESCAPED},id=s"),
        format!("qom-type=secret,id=s,data={ESCAPED}"),
        format!("id=s,data={ESCAPED},qom-type=secret"),
        format!("secret,id=s,format=base64,data={BASE64}"),
        format!("secret,id=s,data={BASE64},format=base64"),
        format!("secret,id=s,format=base64,data={}\n{}\n", &BASE64[..20], &BASE64[20..]),
        // The last one counts.
        format!("secret,id=s,data=wrong,data={ESCAPED}"),
        format!("secret,id=other,data={ESCAPED},id=s"),
        format!("secret,id=s,format=base64,data={ESCAPED},format=raw"),
        format!(r#"{{"qom-type":"secret","id":"s","data":"{PASSPHRASE}"}}"#),
        format!(r#"{{ "data": "{PASSPHRASE}", "format": "raw", "id": "s", "qom-type": "secret" }}"#),
        format!(r#"{{"qom-type":"secret","id":"s","format":"base64","data":"{BASE64}"}}"#),
        format!(r#"{{"qom-type":"secret","id":"s","data":"\u0063{}"}}"#, &PASSPHRASE[1..]),
    ] {
        locked.opens(qimg!(), &["--object", &object]);
    }
    let object = format!("secret,id=s,data={ESCAPED}");
    locked.opens(qimg!(), &[&format!("--object={object}")]);
    locked.opens(qimg!(), &["--obj", &object]);
    locked.opens(qimg!(), &["-q", &format!("--obj={object}"), "-U"]);
    // A second one that nobody uses, so that both are encrypted.
    locked.opens(qimg!(), &["--object", "secret,id=unused,data=x", "--object", &object]);
}

#[test]
fn a_wrong_passphrase_is_told_by_qemu_img() {
    let locked = Locked::new();
    for object in ["secret,id=s,data=wrong", "secret,id=s,data=", "secret,id=s,format=base64,data=d3Jvbmc="] {
        let output = locked.run(qimg!(), &["--object", object]);
        assert_eq!(output.status.code(), Some(1), "{object}: {output:?}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains("Invalid password, cannot unlock any keyslot"), "{object}: {text}");
        assert!(text.lines().all(|line| line.starts_with("qemu-img: ")), "{object}: {text}");
    }
}

#[test]
fn descriptors_of_qimg() {
    let locked = Locked::new();
    for path in ["/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"] {
        locked.opens_with(PASSPHRASE, &["--object", &format!("secret,id=s,file={path}")]);
        let base64 = format!("{BASE64}\n");
        locked.opens_with(&base64, &["--object", &format!("secret,id=s,format=base64,file={path}")]);
    }
    let json = r#"{"qom-type":"secret","id":"s","file":"/dev/stdin"}"#;
    locked.opens_with(PASSPHRASE, &["--object", json]);
    // A newline belongs to the passphrase.
    let mut command = qimg!();
    command.stdin(pipe(&format!("{PASSPHRASE}\n")));
    let output = locked.run(command, &["--object", "secret,id=s,file=/dev/stdin"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

/// A shell whose `$@` is qimg, and whose `$PASSPHRASE` is that.
fn bash(script: &str) -> Command {
    let mut command = Command::new("bash");
    command.args(["-c", script, "bash"]).arg(qimg!().get_program()).args(qimg!().get_args());
    command.env("PASSPHRASE", PASSPHRASE).env("BASE64", BASE64);
    command
}

#[test]
fn process_substitution() {
    let locked = Locked::new();
    let convert = "-O raw --image-opts driver=luks,key-secret=s,file.filename=a b";
    for (objects, stdin) in [
        (r#"--object secret,id=s,file=<(printf %s "$PASSPHRASE")"#, ""),
        (r#"--object secret,id=s,format=base64,file=<(echo "$BASE64")"#, ""),
        (r#"--object secret,id=t,file=<(echo t) --object secret,id=s,file=<(printf %s "$PASSPHRASE")"#, ""),
        (r#"--object secret,id=s,file=/dev/stdin --object secret,id=t,file=<(echo t)"#, PASSPHRASE),
        (r#"--object secret,id=t,data=t --object secret,id=s,file=<(printf %s "$PASSPHRASE")"#, ""),
    ] {
        let mut command = bash(&format!(r#""$@" convert {objects} {convert}"#));
        let output = command.current_dir(locked.directory.path()).stdin(pipe(stdin)).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{objects}: {output:?}");
        assert!(std::fs::read(locked.path("b")).unwrap() == content(), "{objects}");
        std::fs::remove_file(locked.path("b")).unwrap();
    }
    let mut import = bash(r#""$@" import --key-file <(printf %s "$PASSPHRASE") -O raw a b"#);
    let output = import.current_dir(locked.directory.path()).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    assert!(std::fs::read(locked.path("b")).unwrap() == content());
}

#[test]
fn a_file_is_left_to_qemu_img() {
    let locked = Locked::new();
    let (key, odd) = (locked.path("key"), locked.path("k,e y"));
    std::fs::write(&key, PASSPHRASE).unwrap();
    std::fs::write(&odd, BASE64).unwrap();
    locked.opens(qimg!(), &["--object", &format!("secret,id=s,file={key}")]);
    locked.opens(qimg!(), &["--object", &format!("secret,id=s,format=base64,file={}", odd.replace(',', ",,"))]);
    // Beside one that is delivered.
    let file = format!("secret,id=s,file={key}");
    locked.opens(qimg!(), &["--object", "secret,id=t,data=t", "--object", &file]);
    // It is qemu-img that says what is wrong with it.
    let output = locked.run(qimg!(), &["--object", "secret,id=s,file=/not/there"]);
    let same = locked.run(Command::new(qemu_img()), &["--object", "secret,id=s,file=/not/there"]);
    assert_eq!((output.status, output.stderr), (same.status, same.stderr));
}

/// The user encrypts it, as qimg would.
#[test]
fn a_secret_under_a_master_key() {
    let locked = Locked::new();
    let master = format!("secret,id=m,format=base64,data={MASTER}");
    let secret = format!("secret,id=s,keyid=m,format=base64,iv={IV},data={WRAPPED}");
    let objects = ["--object", &master, "--object", &secret];
    locked.opens(Command::new(qemu_img()), &objects);
    locked.opens(qimg!(), &objects);
    locked.opens(qimg!(), &[&objects[..], &["--object", "secret,id=other,data=x"]].concat());
    let output = qimg!().args(["--dry-run=json", "info"]).args(objects).arg("a").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains(&format!("\"{secret}\"")) && !text.contains(MASTER), "{text}");
}

#[test]
fn a_master_key_on_standard_input() {
    let locked = Locked::new();
    let secret = format!("secret,id=s,keyid=m,format=base64,iv={IV},data={WRAPPED}");
    let objects = ["--object", "secret,id=m,format=base64,file=/dev/stdin", "--object", &secret];
    let mut bare = Command::new(qemu_img());
    bare.stdin(pipe(MASTER));
    locked.opens(bare, &objects);
    locked.opens_with(MASTER, &objects);
}

/// Standard input carries the master key, so what is encrypted under it cannot come that way.
#[test]
fn a_secret_on_standard_input_under_a_master_key_is_refused() {
    let locked = Locked::new();
    let master = format!("secret,id=m,format=base64,data={MASTER}");
    let secret = format!("secret,id=s,keyid=m,format=base64,iv={IV},file=/dev/stdin");
    let objects = ["--object", &master, "--object", &secret];
    let mut bare = Command::new(qemu_img());
    bare.stdin(pipe(WRAPPED));
    locked.opens(bare, &objects);
    let mut command = qimg!();
    command.stdin(pipe(WRAPPED));
    let output = locked.run(command, &objects);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.starts_with("qimg: secret `s` in `/dev/stdin`") && stderr.lines().count() == 1, "{stderr}");
    assert!(!std::path::Path::new(&locked.path("b")).exists());
}

/// Opens an image with the bare qemu-img, and reads it.
fn read_bare(node: &str, object: &str, directory: &Path) -> Vec<u8> {
    let raw = directory.join("raw");
    let output = bare(["convert", "--object", object, "--image-opts", node, "-O", "raw", raw.to_str().unwrap()]);
    assert!(output.status.success(), "{node}: {output:?}");
    std::fs::read(raw).unwrap()
}

#[test]
fn one_secret_for_a_new_image() {
    let directory = scratch();
    let here = directory.path();
    write_fixture(Kind::Raw, &here.join("a"));
    // Commas at both ends, quotes, and letters that are no ASCII.
    let object = "secret,id=new,data=,,p\u{e4}ss' \"word\"= {x}\\,,,,";
    let line =
        ["convert", "-f", "raw", "-O", "luks", "--object", object, "-o", "key-secret=new,iter-time=10", "a", "b"];
    let output = qimg!().args(line).current_dir(here).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let node = format!("driver=luks,key-secret=new,file.filename={}", here.join("b").display());
    assert!(read_bare(&node, object, here) == content());
}

#[test]
fn two_secrets_from_two_places() {
    let locked = Locked::new();
    let here = locked.directory.path();
    let script = "\"$@\" convert --object secret,id=old,file=<(printf %s \"$PASSPHRASE\") \
                  --object '{\"qom-type\":\"secret\",\"id\":\"new\",\"data\":\"an,other\"}' \
                  --image-opts driver=luks,key-secret=old,file.filename=a -O qcow2 \
                  -o encrypt.format=luks,encrypt.key-secret=new -o encrypt.iter-time=10 b";
    let output = bash(script).current_dir(here).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let node = format!("driver=qcow2,encrypt.key-secret=new,file.filename={}", locked.path("b"));
    assert!(read_bare(&node, "secret,id=new,data=an,,other", here) == content());
}
