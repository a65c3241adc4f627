//! `qimg --dry-run`: what it shows is what would run, and nothing is run.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use qemu_exec::direct_io_works;
use serde_json::{Value, json};
use tests::machine::need_sudo;
use tests::{content, qemu_img, qimg, scratch};

/// Where a program is, by `PATH`.
fn which(name: impl AsRef<Path>) -> String {
    tests::which(name).into_os_string().into_string().unwrap()
}

/// Every name below a directory, with size and time of change.
fn listing(directory: &Path) -> Vec<(PathBuf, u64, i64, i64)> {
    let mut all = Vec::new();
    let mut pending = vec![directory.to_owned()];
    while let Some(path) = pending.pop() {
        let meta = path.symlink_metadata().unwrap();
        if meta.is_dir() {
            pending.extend(path.read_dir().unwrap().map(|entry| entry.unwrap().path()));
        }
        all.push((path, meta.size(), meta.mtime(), meta.mtime_nsec()));
    }
    all.sort();
    all
}

/// The one line that a dry run prints, which leaves the directory as it is.
fn dry_run<S: AsRef<OsStr>>(directory: &Path, options: &[&str], line: &[S]) -> String {
    let before = listing(directory);
    let output = qimg!().args(options).args(line).current_dir(directory).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    assert_eq!(listing(directory), before, "a dry run changed something");
    let text = String::from_utf8(output.stdout).expect("bytes that are not UTF-8 are escaped");
    let line = text.strip_suffix('\n').expect("a line ends").to_owned();
    assert!(!line.contains(char::is_control), "more than one line: {line:?}");
    line
}

/// Pastes a line into a shell, which has the file, if there is one, as its standard input.
fn paste(shell: &str, directory: &Path, line: &str, stdin: Option<&Path>) -> Output {
    let stdin = stdin.map_or_else(Stdio::null, |path| File::open(path).unwrap().into());
    Command::new(shell).args(["-c", line]).current_dir(directory).stdin(stdin).output().unwrap()
}

#[test]
fn a_pasted_line_does_the_same_with_any_name() {
    let directory = scratch();
    let mut names: Vec<OsString> = [
        "plain",
        "a b",
        "it's",
        "quo\"te",
        "''",
        "back\\slash",
        "$HOME",
        "`id`",
        "*",
        "~",
        "a;b",
        "new\nline",
        "tab\tand\rreturn",
        "\u{1b}[31m",
        "nl\n'quote'\\1",
        "caf\u{e9}",
        "a,b",
        "#",
        "!x",
    ]
    .map(OsString::from)
    .into();
    names.push(OsString::from_vec(b"latin1-\xe97".to_vec()));
    names.push(OsString::from_vec(b"\xff\xfe\n'".to_vec()));
    for name in names {
        let mut to = name.clone();
        to.push(".out");
        std::fs::write(directory.path().join(&name), content()).unwrap();
        let line = [OsStr::new("convert"), "-f".as_ref(), "raw".as_ref(), "-O".as_ref(), "raw".as_ref(), &name, &to];
        let line = dry_run(directory.path(), &["--dry-run=shell"], &line);
        // What needs `$'…'` is not for every sh.
        let shell = if line.contains("$'") { "bash" } else { "sh" };
        let output = paste(shell, directory.path(), &line, None);
        assert!(output.status.success(), "{line}: {output:?}");
        assert!(std::fs::read(directory.path().join(&to)).unwrap() == content(), "{line}");
        let left: Vec<_> = directory.path().read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left.len(), 2, "{line} made something else: {left:?}");
        for name in [name, to] {
            std::fs::remove_file(directory.path().join(name)).unwrap();
        }
    }
}

#[test]
fn a_pasted_line_takes_the_secret_on_its_descriptor() {
    let directory = scratch();
    let key = directory.path().join("key");
    std::fs::write(&key, "hunter2, the second").unwrap();
    std::fs::write(directory.path().join("a"), content()).unwrap();
    let make = ["convert", "-f", "raw", "-O", "luks", "--object", "secret,id=s,data=hunter2,, the second"];
    let make = [&make[..], &["-o", "key-secret=s,iter-time=10", "a", "b"]].concat();
    let line = dry_run(directory.path(), &["--dry-run"], &make);
    assert!(line.contains("file=/dev/fd/3") && !line.contains("hunter2"), "{line}");
    // Without it there is none, and nothing else is taken for it.
    let output = paste("sh", directory.path(), &line, Some(&key));
    assert_eq!(output.status.code(), Some(1), "{line}: {output:?}");
    let output = paste("sh", directory.path(), &format!("{line} 3<key"), None);
    assert!(output.status.success(), "{line}: {output:?}");

    let open =
        ["convert", "--object", "secret,id=s,file=key", "--image-opts", "driver=luks,file.filename=b,key-secret=s"];
    let open = [&open[..], &["-O", "raw", "c"]].concat();
    let output = Command::new(qemu_img()).args(&open).current_dir(directory.path()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(std::fs::read(directory.path().join("c")).unwrap() == content());

    // And back. What is given by a descriptor is shown the same way, and not read.
    for object in
        ["secret,id=s,data=hunter2,, the second", "secret,id=s,file=/dev/stdin", "secret,id=s,file=/dev/fd/63"]
    {
        let mut line = open.clone();
        line[2] = object;
        let line = dry_run(directory.path(), &["--dry-run=shell"], &line);
        std::fs::remove_file(directory.path().join("c")).unwrap();
        let output = paste("sh", directory.path(), &format!("{line} 3<key"), None);
        assert!(output.status.success(), "{line}: {output:?}");
        assert!(std::fs::read(directory.path().join("c")).unwrap() == content(), "{line}");
    }
}

#[test]
fn a_pasted_line_has_limits_and_users() {
    need_sudo();
    let directory = scratch();
    let options = ["--dry-run", "--sudo=nobody", "--limit-cpu=20", "--limit-memory=1G", "--timeout=20"];
    let line = dry_run(directory.path(), &options, &["create", "-f", "qcow2", "new", "1M"]);
    let output = paste("sh", directory.path(), &line, None);
    assert!(output.status.success(), "{line}: {output:?}");
    let nobody = String::from_utf8(Command::new("id").args(["-u", "nobody"]).output().unwrap().stdout).unwrap();
    assert_eq!(directory.path().join("new").metadata().unwrap().uid().to_string(), nobody.trim());

    // The limit is really there.
    std::fs::write(directory.path().join("a"), content()).unwrap();
    let line = dry_run(directory.path(), &["--dry-run", "--limit-memory=8M"], &["info", "-f", "raw", "a"]);
    let output = paste("sh", directory.path(), &line, None);
    assert_eq!(output.status.code(), Some(127), "{line}: {output:?}");
    let line = dry_run(directory.path(), &["--dry-run"], &["info", "-f", "raw", "a", "--output=json"]);
    let output = paste("sh", directory.path(), &line, None);
    assert_eq!(output, bare_in(directory.path(), &["info", "-f", "raw", "a", "--output=json"]), "{line}");
}

/// A variable that only env(1) takes stands in front, and what env(1) would take for one more is the program.
#[test]
fn a_pasted_line_runs_a_program_with_an_equals_sign() {
    let directory = scratch();
    let place = directory.path().join("a=b");
    std::fs::create_dir(&place).unwrap();
    let program = tests::executable(&place, "#!/bin/sh\necho \"it is $1\"\n");
    let program = format!("--qemu-img={}", program.display());
    let line = dry_run(directory.path(), &["--dry-run", "--env=A-B=1", &program], &["create", "-f", "raw", "a", "1M"]);
    let output = paste("sh", directory.path(), &line, None);
    assert_eq!(output.stdout, b"it is create\n", "{line}: {output:?}");
}

fn bare_in(directory: &Path, line: &[&str]) -> Output {
    Command::new(qemu_img()).args(line).current_dir(directory).output().unwrap()
}

fn object(directory: &Path, options: &[&str], line: &[&str]) -> Value {
    let mut all = vec!["--dry-run=json"];
    all.extend(options);
    let text = dry_run(directory, &all, line);
    assert!(!text.contains("hunter2") && !text.contains("aHVudGVyMg"), "{text}");
    serde_json::from_str(&text).unwrap()
}

/// `-t` as the directory wants it.
fn mode(directory: &Path) -> &'static str {
    if direct_io_works(directory).unwrap() { "none" } else { "writeback" }
}

#[test]
fn json_is_exact() {
    let directory = scratch();
    let here = directory.path();
    let qemu_img = which(qemu_img());
    let locale = json!({"LC_ALL": "C", "LANG": "C"});
    let mode = mode(here);

    let line = ["convert", "-pc", "a", "b", "-Oqcow2", "--", "c"];
    assert_eq!(
        object(here, &[], &line),
        json!({
            "argv": ["qemu-img", "convert", "-t", mode, "-pc", "a", "b", "-Oqcow2", "--", "c"],
            "launch": [qemu_img, "convert", "-t", mode, "-pc", "a", "b", "-Oqcow2", "--", "c"],
            "env": locale, "limits": {}, "fds": {}, "secrets": [], "reads": ["a", "b"], "writes": ["c"],
            "requires": [],
        })
    );
    let line = ["create", "-f", "qcow2", "-b", "base", "-F", "raw", "new"];
    assert_eq!(
        object(here, &[], &line),
        json!({
            "argv": ["qemu-img", "create", "-f", "qcow2", "-b", "base", "-F", "raw", "new"],
            "launch": [qemu_img, "create", "-f", "qcow2", "-b", "base", "-F", "raw", "new"],
            "env": locale, "limits": {}, "fds": {}, "secrets": [], "reads": ["base"], "writes": ["new"],
            "requires": [],
        })
    );
    // `info` is bounded unless that is switched off; the timeout is kept by qimg itself.
    assert_eq!(
        object(here, &[], &["info", "--output=json", "/a b"]),
        json!({
            "argv": ["qemu-img", "info", "--output=json", "/a b"],
            "launch": [qemu_img, "info", "--output=json", "/a b"],
            "env": {"LC_ALL": "C", "LANG": "C", "MALLOC_ARENA_MAX": "1"},
            "limits": {"cpu": {"soft": 30, "hard": 31}, "as": {"soft": 1 << 30, "hard": 1 << 30}},
            "fds": {},
            "secrets": [], "reads": ["/a b"], "writes": [], "requires": [],
        })
    );
    let unbounded = ["--limit-cpu=none", "--limit-memory", "none", "--timeout=none"];
    let info = object(here, &unbounded, &["info", "rbd:pool/image"]);
    assert_eq!(info["launch"], json!([qemu_img, "info", "rbd:pool/image"]));
    assert_eq!((&info["env"], &info["reads"]), (&locale, &json!(["rbd:pool/image"])));
    assert_eq!(info["limits"], json!({}));
}

#[test]
fn json_shows_limits_and_sudo() {
    let directory = scratch();
    let here = directory.path();
    let (qemu_img, sudo, env) = (which(qemu_img()), which("sudo"), which("env"));
    let (timeout, prlimit) = (which("timeout"), which("prlimit"));
    let line = ["create", "new", "1M"];
    let launch = |options: &[&str]| {
        let object = object(here, options, &line);
        assert_eq!(object["argv"], json!(["qemu-img", "create", "new", "1M"]), "{options:?}");
        (object["launch"].clone(), object["env"].clone(), object["limits"].clone())
    };
    // The script of the shell is one argument, which ends qemu-img with the caller.
    let unscripted = |mut launch: Value| {
        let args = launch.as_array_mut().unwrap();
        let shell = args.iter().position(|arg| arg == "/bin/sh").unwrap();
        assert!(args[shell + 2].as_str().unwrap().contains("cat <&3; kill"), "{args:?}");
        args[shell + 2] = "…".into();
        launch
    };
    let through_sudo = |options: &[&str]| {
        let (sudo, env, limits) = launch(options);
        (unscripted(sudo), env, limits)
    };
    let local = json!([qemu_img, "create", "new", "1M"]);
    let none = json!({});
    let plain = json!({"LC_ALL": "C", "LANG": "C"});
    let bounded = json!({"LC_ALL": "C", "LANG": "C", "MALLOC_ARENA_MAX": "1"});
    let (c, lang, sh) = ("LC_ALL=C", "LANG=C", "/bin/sh");
    assert_eq!(launch(&["--timeout=3"]), (local.clone(), plain.clone(), none.clone()));
    assert_eq!(launch(&["--limit-cpu", "1.5"]), (local.clone(), plain.clone(), json!({"cpu": {"soft": 2, "hard": 3}})));
    assert_eq!(
        launch(&["--limit-memory", "512M"]),
        (local, bounded.clone(), json!({"as": {"soft": 512 << 20, "hard": 512 << 20}}))
    );
    assert_eq!(
        through_sudo(&["--sudo"]),
        (
            json!([sudo, "-n", "--", sh, "-c", "…", "sh", env, c, lang, qemu_img, "create", "new", "1M"]),
            plain.clone(),
            none.clone()
        )
    );
    assert_eq!(
        through_sudo(&["--sudo=nobody"]),
        (
            json!([
                sudo, "-n", "-u", "nobody", "--", sh, "-c", "…", "sh", env, c, lang, qemu_img, "create", "new", "1M"
            ]),
            plain,
            none
        )
    );
    // Behind sudo, which may reset them, limits are set by a program.
    assert_eq!(
        through_sudo(&["--sudo=nobody", "--limit-cpu=5", "--limit-memory=1G", "--timeout=2.5"]).0,
        json!([
            sudo,
            "-n",
            "-u",
            "nobody",
            "--",
            sh,
            "-c",
            "…",
            "sh",
            env,
            c,
            lang,
            "MALLOC_ARENA_MAX=1",
            timeout,
            "--kill-after=5",
            "2.500",
            prlimit,
            "--cpu=5:6",
            "--as=1073741824",
            qemu_img,
            "create",
            "new",
            "1M"
        ])
    );
}

#[test]
fn json_shows_how_secrets_come() {
    let directory = scratch();
    let here = directory.path();
    let mode = mode(here);
    let one = [
        "convert",
        "--object",
        "secret,id=k,data=hunter2",
        "--image-opts",
        "driver=luks,key-secret=k,file.filename=/a",
    ];
    let one = [&one[..], &["b"]].concat();
    let object_of_one = object(here, &[], &one);
    let spelled = |object: &str| {
        let mut line = vec!["qemu-img", "convert", "-t", mode, "--object", object];
        line.extend(&one[3..]);
        json!(line)
    };
    assert_eq!(object_of_one["argv"], spelled("secret,id=k,file=/dev/fd/3"));
    assert_eq!(object_of_one["secrets"], json!([{"id": "k", "delivery": "fd"}]));
    assert_eq!(object_of_one["fds"], json!({"3": "k"}));
    // A process that is given a secret makes no core file.
    assert_eq!(object_of_one["limits"], json!({"core": {"soft": 0, "hard": 0}}));
    // sudo passes on standard input only, which is a line with a key.
    let through_sudo = object(here, &["--sudo"], &one);
    assert_eq!(through_sudo["secrets"], json!([{"id": "k", "delivery": "wrapped"}]));
    assert_eq!(through_sudo["fds"], json!({}));
    assert_eq!((&object_of_one["reads"], &object_of_one["writes"]), (&json!(["/a"]), &json!(["b"])));
    for object in [
        "secret,id=k,format=base64,data=aHVudGVyMg==",
        "secret,id=k,file=/dev/stdin",
        "secret,id=k,file=/dev/fd/63",
        r#"{"qom-type":"secret","id":"k","data":"hunter2"}"#,
    ] {
        let mut line = one.clone();
        line[2] = object;
        assert_eq!(self::object(here, &[], &line), object_of_one, "{object}");
    }
    // What qemu-img can read itself stays as it was asked for.
    for asked in [
        "secret,id=k,file=/key",
        "secret,id=k,format=base64,file=key,,x",
        r#"{"qom-type":"secret","id":"k","file":"/key"}"#,
    ] {
        let mut line = one.clone();
        line[2] = asked;
        let object = self::object(here, &[], &line);
        assert_eq!((&object["argv"], &object["secrets"]), (&spelled(asked), &json!([])));
    }

    let two = ["convert", "--object", "secret,id=a,data=hunter2", "-O", "luks", "-o", "key-secret=b", "--obj"];
    let two = [&two[..], &["secret,id=b,data=hunter2", "x", "y"]].concat();
    let local = object(here, &[], &two);
    let objects: Vec<&str> =
        local["argv"].as_array().unwrap().iter().filter_map(|arg| arg.as_str()?.strip_prefix("secret,")).collect();
    assert_eq!(objects, ["id=a,file=/dev/fd/3", "id=b,file=/dev/fd/4"]);
    assert_eq!(local["fds"], json!({"3": "a", "4": "b"}));
    let object_of_two = object(here, &["--sudo"], &two);
    let wrapped = |id: &str| format!("secret,id={id},keyid=master,format=base64,iv=<iv>,data=<ciphertext>");
    let argv = [
        "qemu-img",
        "convert",
        "-t",
        mode,
        "--object",
        "secret,id=master,format=base64,file=/dev/stdin",
        "--object",
        &wrapped("a"),
        "-O",
        "luks",
        "-o",
        "key-secret=b",
        "--object",
        &wrapped("b"),
        "x",
        "y",
    ];
    assert_eq!(object_of_two["argv"], json!(argv));
    let launch = object_of_two["launch"].as_array().unwrap();
    assert_eq!(launch[launch.len() + 1 - argv.len()..], json!(argv).as_array().unwrap()[1..]);
    assert_eq!(
        object_of_two["secrets"],
        json!([{"id": "a", "delivery": "wrapped"}, {"id": "b", "delivery": "wrapped"}])
    );
}
