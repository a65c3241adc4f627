//! What `qimg` shows to people: tables where a terminal is, and what qemu-img prints everywhere else.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Command, Output};

use tests::terminal::on_terminal;
use tests::{bare, qemu_img, scratch};

/// A name that would clear the screen, set the title, and turn the text round.
const HOSTILE: &str = "a\u{1b}[2J\u{1b}]0;x\u{7}\u{9b}31m\u{202e}\r.qcow2";

fn qimg(directory: &Path) -> Command {
    let mut command = tests::qimg!();
    command.current_dir(directory).env_remove("NO_COLOR");
    command
}

fn piped(directory: &Path, args: &[&str]) -> Output {
    qimg(directory).args(args).output().unwrap()
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn make(directory: &Path, args: &[&str]) {
    let output = Command::new(qemu_img()).args(args).current_dir(directory).output().unwrap();
    assert!(output.status.success(), "{args:?}: {output:?}");
}

/// Nothing in it does anything to a terminal.
fn is_text(shown: &str) -> bool {
    shown.chars().all(|c| c == '\n' || !(c.is_control() || c == '\u{202e}'))
}

#[test]
fn a_terminal_gets_tables_and_a_pipe_what_qemu_img_prints() {
    let directory = scratch();
    let directory = directory.path();
    make(directory, &["create", "-q", "-f", "qcow2", "a.qcow2", "1536M"]);
    let (status, shown) = on_terminal(qimg(directory).args(["info", "a.qcow2"]), 80);
    assert!(status.success());
    assert!(shown.contains("1.5 GiB (1610612736 bytes)\n") && shown.contains("\u{1b}["), "{shown}");
    let (_, plain) = on_terminal(qimg(directory).args(["info", "a.qcow2"]).env("NO_COLOR", "1"), 80);
    assert!(is_text(&plain), "{plain:?}");
    let rows: Vec<_> = plain.lines().collect();
    assert_eq!(
        rows[..3],
        ["a.qcow2", "  format        qcow2, compat 1.1", "  virtual size  1.5 GiB (1610612736 bytes)"]
    );
    assert_eq!(text(&piped(directory, &["--pretty", "info", "a.qcow2"])), plain);

    let theirs = String::from_utf8(bare(["info".as_ref(), directory.join("a.qcow2").as_os_str()]).stdout).unwrap();
    let theirs = theirs.replace(&format!("{}/", directory.display()), "");
    for line in [
        &["--pretty=never", "info", "a.qcow2"][..],
        &["info", "--output=human", "a.qcow2"],
        &["--pretty=always", "info", "--output", "human", "a.qcow2"],
    ] {
        assert_eq!(on_terminal(qimg(directory).args(line), 80).1, theirs, "{line:?}");
    }
    assert_eq!(text(&piped(directory, &["info", "a.qcow2"])), theirs);
    let json = on_terminal(qimg(directory).args(["info", "--output=json", "a.qcow2"]), 80).1;
    assert!(json.starts_with("{\n"), "{json}");
    let planned = text(&piped(directory, &["--pretty", "--dry-run", "info", "a.qcow2"]));
    assert!(planned.ends_with(" info --output=json a.qcow2\n"), "{planned}");
    let wrong = piped(directory, &["--pretty=nice", "info", "a.qcow2"]);
    assert_eq!(wrong.status.code(), Some(2));
}

#[test]
fn a_chain_is_a_table_an_image() {
    let directory = scratch();
    let directory = directory.path();
    make(directory, &["create", "-q", "-f", "raw", "base.raw", "1M"]);
    make(directory, &["create", "-q", "-f", "qcow2", "-b", "base.raw", "-F", "raw", "top.qcow2"]);
    make(directory, &["snapshot", "-c", "before \u{1b}[2J", "top.qcow2"]);
    let shown = text(&piped(directory, &["--pretty", "info", "--backing-chain", "top.qcow2"]));
    assert!(is_text(&shown), "{shown:?}");
    let (_, narrow) = on_terminal(qimg(directory).args(["info", "top.qcow2"]).env("NO_COLOR", "1"), 40);
    assert!(narrow.lines().all(|line| line.chars().count() <= 40), "{narrow}");
    for part in
        ["top.qcow2\n  format", "\n\nbase.raw\n  format", "  backing file  base.raw (raw)\n", "before \\u{1b}[2J\n"]
    {
        assert!(shown.contains(part), "{part:?} in {shown}");
    }
}

#[test]
fn check_keeps_its_exit_status() {
    let directory = scratch();
    let directory = directory.path();
    make(directory, &["create", "-q", "-f", "qcow2", "clean.qcow2", "1M"]);
    make(directory, &["create", "-q", "-f", "raw", "a.raw", "1M"]);
    for name in ["leaking.qcow2", "corrupt.qcow2"] {
        std::fs::copy(directory.join("clean.qcow2"), directory.join(name)).unwrap();
    }
    // The refcount block begins at 2 * 64 KiB: the image's header is counted too rarely, or a cluster behind it for nothing.
    let spoil = |name: &str, cluster: u64, count: u8| {
        let image = std::fs::OpenOptions::new().write(true).open(directory.join(name)).unwrap();
        image.write_all_at(&[0, count], 2 * 65536 + 2 * cluster).unwrap();
        image.set_len(5 * 65536).unwrap();
    };
    spoil("leaking.qcow2", 4, 1);
    spoil("corrupt.qcow2", 0, 0);
    for (line, code, part) in [
        ("check clean.qcow2", 0, "clean.qcow2 (qcow2): clean\n"),
        ("check leaking.qcow2", 3, "leaking.qcow2 (qcow2): leaking: "),
        ("check corrupt.qcow2", 2, "corrupt.qcow2 (qcow2): corrupt: "),
        ("check -r leaks leaking.qcow2", 0, "leaking.qcow2 (qcow2): repaired\n  leaks freed    1\n"),
        ("check -f raw a.raw", 63, "does not support checks"),
        ("check missing", 1, "No such file"),
        ("check -q clean.qcow2", 0, ""),
    ] {
        let line: Vec<_> = line.split(' ').collect();
        let (status, shown) = on_terminal(qimg(directory).args(&line).env("NO_COLOR", "1"), 80);
        assert_eq!(status.code(), Some(code), "{line:?}: {shown}");
        assert!(shown.contains(part) && (!part.is_empty() || shown.is_empty()), "{part:?} in {shown}");
        let bare = Command::new(qemu_img()).args(&line).current_dir(directory).output().unwrap();
        let piped = piped(directory, &line);
        assert_eq!((piped.status, piped.stdout), (bare.status, bare.stdout), "{line:?}");
    }
}

/// Characters that are two columns wide are counted so.
#[test]
fn wide_names_fit_a_narrow_terminal() {
    let directory = scratch();
    let directory = directory.path();
    let wide = "磁盘映像".repeat(8);
    make(directory, &["create", "-q", "-f", "qcow2", &wide, "1M"]);
    make(directory, &["create", "-q", "-f", "qcow2", "-b", &wide, "-F", "qcow2", "top.qcow2"]);
    let (_, tree) = on_terminal(qimg(directory).args(["chain", "top.qcow2"]).env("NO_COLOR", "1"), 40);
    let columns = |line: &str| line.chars().map(|c| if ('一'..='龥').contains(&c) { 2 } else { 1 }).sum::<usize>();
    assert!(tree.lines().all(|line| columns(line) <= 40) && tree.matches('磁').count() == 8, "{tree}");
    let explained = text(&piped(directory, &["explain", "info", "-f", "qcow2", "磁盘"]));
    let at = |meaning: &str| columns(explained.split_once(meaning).unwrap().0.lines().last().unwrap());
    assert_eq!(at("FILE: the image"), at("the image's format"), "{explained}");
}

#[test]
fn a_name_does_nothing_to_a_terminal() {
    let directory = scratch();
    let directory = directory.path();
    make(directory, &["create", "-q", "-f", "qcow2", HOSTILE, "1M"]);
    make(directory, &["create", "-q", "-u", "-f", "qcow2", "-b", HOSTILE, "-F", "qcow2", "top.qcow2", "1M"]);
    for line in [&["info", HOSTILE][..], &["info", "top.qcow2"], &["check", HOSTILE]] {
        let (status, shown) = on_terminal(qimg(directory).args(line).env("NO_COLOR", "1"), 80);
        assert!(status.success() && is_text(&shown), "{line:?}: {shown:?}");
        assert!(shown.contains("a\\u{1b}[2J\\u{1b}]0;x\\u{7}\\u{9b}31m\\u{202e}\\r.qcow2"), "{shown:?}");
    }
    // Nor does what has no view, unless it was asked for as it is.
    make(directory, &["snapshot", "-c", "before\u{1b}[2J", "top.qcow2"]);
    for line in [
        &["snapshot", "-l", "top.qcow2"][..],
        &["create", "-f", "qcow2", HOSTILE, "1M"],
        &["info", "--output=human", "top.qcow2"],
    ] {
        let (status, shown) = on_terminal(qimg(directory).args(line), 80);
        assert!(status.success() && is_text(&shown) && shown.contains("\\u{1b}[2J"), "{line:?}: {shown:?}");
    }
    let (_, raw) = on_terminal(qimg(directory).args(["--pretty=never", "snapshot", "-l", "top.qcow2"]), 80);
    assert!(raw.contains("before\u{1b}[2J"), "{raw:?}");
    // What a command says before it is done is seen before it is, also if it never is.
    std::fs::write(directory.join("raw"), vec![0; 4096]).unwrap();
    let bench = ["--timeout=0.5", "bench", "-f", "raw", "-c", "1000000000", "-S", "0", "raw"];
    let (status, shown) = on_terminal(qimg(directory).args(bench), 80);
    assert!(status.code() == Some(124) && shown.starts_with("Sending 1000000000 read requests"), "{shown:?}");
    // What qemu-img says of it comes to the terminal as it was said, but for that.
    std::fs::remove_file(directory.join(HOSTILE)).unwrap();
    for line in [&["info", HOSTILE][..], &["check", "top.qcow2"], &["convert", "-O", "raw", "top.qcow2", "new"]] {
        let (status, shown) = on_terminal(qimg(directory).args(line), 80);
        assert!(!status.success() && shown.contains("a\\x1b[2J\\x1b]0;x\\x07\\u{9b}31m"), "{line:?}: {shown:?}");
        assert!(shown.chars().all(|c| c == '\n' || !c.is_control()), "{line:?}: {shown:?}");
    }
}

/// A chain of three, each with a mebibyte of data of its own: the lowest the first of four, the others the third and last.
fn chain(directory: &Path) {
    let base = "base & <b>.raw";
    std::fs::write(directory.join(base), vec![1; 1 << 20]).unwrap();
    std::fs::OpenOptions::new().write(true).open(directory.join(base)).unwrap().set_len(4 << 20).unwrap();
    make(directory, &["create", "-q", "-f", "qcow2", "-b", base, "-F", "raw", "mid.qcow2"]);
    make(directory, &["create", "-q", "-f", "qcow2", "-b", "mid.qcow2", "-F", "qcow2", "top.qcow2"]);
    std::fs::write(directory.join("data"), vec![7; 1 << 20]).unwrap();
    for (image, offset) in [("mid.qcow2", "2M"), ("top.qcow2", "3M")] {
        let part = format!("driver=raw,offset={offset},size=1M,file.driver=qcow2,file.file.filename={image}");
        make(directory, &["convert", "-n", "-f", "raw", "--target-image-opts", "data", &part]);
    }
}

#[test]
fn a_map_is_drawn_in_any_width() {
    let directory = scratch();
    let directory = directory.path();
    chain(directory);
    for columns in [40, 80, 200_u16] {
        let (status, shown) = on_terminal(qimg(directory).args(["map", "top.qcow2"]).env("NO_COLOR", "1"), columns);
        assert!(status.success() && is_text(&shown), "{shown:?}");
        assert!(shown.lines().all(|line| line.chars().count() <= usize::from(columns)), "{columns}: {shown}");
        let lanes: Vec<Vec<char>> =
            shown.lines().filter(|line| line.contains('▕')).map(|line| line.chars().skip(4).collect()).collect();
        // Before 6.1 a hole in the lowest is not told from what no image has.
        let told = !shown.contains("zeros, stored or");
        assert_eq!(lanes.len(), if told { 4 } else { 3 }, "{shown}");
        // Each quarter is of one: the last of the top image, the third of the next, the first of the lowest, whose file has a
        // hole behind that.
        let width = lanes[0].len() - 1;
        for (lane, quarter) in [(0, 3), (1, 2), (2, 0), (3, 1)].into_iter().take(lanes.len()) {
            let at = |part: usize| lanes[lane][width * (2 * part + 1) / 8];
            let drawn: Vec<char> = (0..4).map(at).collect();
            let wanted: Vec<char> = (0..4).map(|part| if part == quarter { '█' } else { ' ' }).collect();
            assert_eq!(drawn, wanted, "{lane} of {columns}: {shown}");
        }
        for line in [" 0  1 MiB, 25 %  top.qcow2", " 1  1 MiB, 25 %  mid.qcow2", " 2  1 MiB, 25 %  base & <b>.raw"] {
            assert!(shown.lines().any(|shown| shown == line), "{line:?} in {shown}");
        }
        assert!(shown.starts_with("top.qcow2: 75 % of 4 MiB is data\n"), "{shown}");
    }
    let (_, colours) = on_terminal(qimg(directory).args(["map", "top.qcow2"]), 80);
    assert!(colours.contains("\u{1b}[38;5;"), "{colours}");
    let bare = Command::new(qemu_img()).args(["map", "top.qcow2"]).current_dir(directory).output().unwrap();
    assert_eq!(piped(directory, &["map", "top.qcow2"]).stdout, bare.stdout);
}

/// Whether every element is closed where it has to be, and nothing else begins one.
fn is_xml(text: &str) -> bool {
    let mut open = Vec::new();
    for piece in text.split('<').skip(1) {
        let Some((tag, rest)) = piece.split_once('>') else { return false };
        if rest.contains(">") && open.last() != Some(&"style") && !tag.starts_with("style") {
            return false;
        }
        match tag.strip_prefix('/') {
            Some(name) if open.pop() == Some(name) => {}
            Some(_) => return false,
            None if tag.ends_with('/') => {}
            None => open.push(tag.split(' ').next().unwrap()),
        }
    }
    let entities =
        text.split('&').skip(1).all(|rest| ["amp;", "lt;", "gt;", "quot;"].iter().any(|e| rest.starts_with(e)));
    open.is_empty() && entities
}

#[test]
fn a_map_is_a_picture() {
    let directory = scratch();
    let directory = directory.path();
    chain(directory);
    let picture = |args: &[&str]| {
        let output = piped(directory, args);
        assert!(output.status.success(), "{args:?}: {output:?}");
        (String::from_utf8(output.stdout).unwrap(), std::fs::read_to_string(directory.join("a.svg")).unwrap())
    };
    let (printed, svg) = picture(&["map", "--svg", "a.svg", "top.qcow2"]);
    assert!(printed.is_empty() && svg.starts_with("<svg ") && is_xml(&svg), "{printed}{svg}");
    for part in [
        "<title>top.qcow2: 75 % of 4 MiB is data</title>",
        "base &amp; &lt;b&gt;.raw",
        ">1 MiB, 25 %<",
        "prefers-color-scheme: dark",
    ] {
        assert!(svg.contains(part), "{part} in {svg}");
    }
    assert!(svg.len() < 8000, "{}", svg.len());
    let theirs =
        Command::new(qemu_img()).args(["map", "--output=json", "top.qcow2"]).current_dir(directory).output().unwrap();
    let (json, again) = picture(&["map", "--output=json", "top.qcow2", "--svg=a.svg"]);
    assert_eq!((json.as_bytes(), again), (&theirs.stdout[..], svg.clone()));
    assert_eq!(text(&piped(directory, &["map", "--svg", "-", "top.qcow2"])), svg);
    // An image is not taken for a picture that may be made anew.
    for (line, part) in [
        (&["map", "--svg", "mid.qcow2", "top.qcow2"][..], "is not an SVG picture"),
        (&["map", "--svg"], "--svg needs a value: FILE"),
        (&["map", "--svg", "a.svg", "--output=human", "top.qcow2"], "a picture is made of JSON"),
        (&["map", "--svg", "missing/a.svg", "top.qcow2"], "`missing/a.svg` could not be written"),
    ] {
        let output = piped(directory, line);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && said.contains(part), "{line:?}: {output:?}");
    }
    assert_eq!(piped(directory, &["map", "--svg", "a.svg", "missing"]).status.code(), Some(1));
    std::fs::write(directory.join("empty"), "").unwrap();
    let empty = text(&piped(directory, &["--pretty", "map", "-f", "raw", "--svg", "a.svg", "empty"]));
    assert_eq!(empty, "empty: nothing is in it\n");
    assert!(is_xml(&std::fs::read_to_string(directory.join("a.svg")).unwrap()));
}

#[test]
fn what_is_not_understood_is_shown_as_it_is() {
    let directory = scratch();
    let script = "#!/bin/sh\nprintf '{\"new\": 1}\\n\\033[2J\\n'; exit 3\n";
    let program = tests::executable(directory.path(), script);
    for line in [["info", "a"], ["check", "a"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_qimg-under-test"));
        let output = command.arg("--qemu-img").arg(&program).arg("--pretty").args(line).output().unwrap();
        assert_eq!(output.status.code(), Some(3));
        assert_eq!(String::from_utf8_lossy(&output.stdout), "{\"new\": 1}\n\\u{1b}[2J\n");
    }
    // No drawing can be made of it.
    let script = "#!/bin/sh\necho '[{'\n";
    let program = tests::executable(directory.path(), script);
    let mut command = Command::new(env!("CARGO_BIN_EXE_qimg-under-test"));
    let output = command.arg("--qemu-img").arg(&program).args(["--pretty", "map", "a"]).output().unwrap();
    assert!(output.status.code() == Some(1) && output.stdout.is_empty(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("no drawing can be made"), "{output:?}");
}
