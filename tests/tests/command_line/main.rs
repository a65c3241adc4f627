//! Command lines as people write them: what is refused is refused by qemu-img too, what is not refused it takes, and
//! those of scripts, documents and other tools are understood.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Output};

use qemu_cmd::{CommandLine, Invocation, KeyVal, Location, ParseError, ParseErrorKind};
use tests::{content, qemu_img, scratch, version};

mod lines;
mod written;

/// The words of a line, as a shell would split it.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match quote {
            Some(end) if c == end => quote = None,
            None if c == '\'' || c == '"' => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            None if c == ' ' => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

fn parse(line: &str) -> Result<CommandLine, ParseError> {
    CommandLine::parse(words(line).into_iter().map(Into::into))
}

fn invocation(line: &str) -> Result<Invocation, ParseError> {
    parse(line)?.invocation()
}

/// Runs the qemu-img under test in a directory. A version that never ends counts as one that fails.
fn run(directory: &Path, line: &str) -> Output {
    let mut command = Command::new("timeout");
    command.arg("10").arg(qemu_img()).args(words(line)).current_dir(directory).env("LC_ALL", "C");
    command.output().expect("coreutils are installed")
}

/// A directory with `r.raw`, `a.qcow2` (bitmap `bm0`, snapshot `s0`), `b.qcow2`, and `o.qcow2` on `a.qcow2`.
fn furnish(directory: &Path) {
    std::fs::write(directory.join("r.raw"), content()).unwrap();
    for line in [
        "create -q -f qcow2 a.qcow2 1M",
        "create -q -f qcow2 b.qcow2 1M",
        "snapshot -c s0 a.qcow2",
        "bitmap --add a.qcow2 bm0",
        "create -q -f qcow2 -b a.qcow2 -F qcow2 o.qcow2",
    ] {
        let output = run(directory, line);
        assert!(output.status.success(), "{line}: {output:?}");
    }
}

/// Copies of the furnished directory, one for each line.
struct Rooms(tempfile::TempDir);

impl Rooms {
    fn new() -> Self {
        let directory = scratch();
        std::fs::create_dir(directory.path().join("template")).unwrap();
        furnish(&directory.path().join("template"));
        Self(directory)
    }

    fn run(&self, line: &str) -> Output {
        let (template, room) = (self.0.path().join("template"), self.0.path().join("room"));
        let _ = std::fs::remove_dir_all(&room);
        std::fs::create_dir(&room).unwrap();
        for entry in template.read_dir().unwrap().map(Result::unwrap) {
            std::fs::copy(entry.path(), room.join(entry.file_name())).unwrap();
        }
        run(&room, line)
    }

    fn file(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.0.path().join("room").join(name)).unwrap()
    }
}

#[test]
fn what_is_refused_is_refused_by_qemu_img() {
    let rooms = Rooms::new();
    for line in lines::REFUSED {
        let refusal = invocation(line).expect_err(line).to_string();
        assert!(!refusal.ends_with('.') && !refusal.contains('\n'), "{line}: {refusal}");
        let output = rooms.run(line);
        assert_ne!(output.status.code(), Some(0), "{line}: refused with `{refusal}`, but qemu-img takes it");
    }
}

#[test]
fn what_is_not_refused_is_taken_by_qemu_img() {
    let (rooms, version) = (Rooms::new(), version());
    for line in lines::TAKEN {
        let parsed = parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        if let Err(refusal) = parsed.invocation() {
            panic!("{line}: {refusal}");
        }
        if let Some(lacking) = parsed.unsupported(version) {
            let output = rooms.run(line);
            // `measure` of 7.2 and earlier exits with 0 after a usage error.
            let failed = !output.status.success() || String::from_utf8_lossy(&output.stderr).contains("option");
            assert!(failed, "{line}: {lacking}, but it has it: {output:?}");
            continue;
        }
        let output = rooms.run(line);
        assert!(output.status.success(), "{line}: {output:?}");
    }
}

/// Exit status 0 is not enough: these do nothing, or damage.
#[test]
fn what_is_refused_because_qemu_img_gets_it_wrong() {
    let rooms = Rooms::new();

    let line = "convert -f raw -O qcow2 -n --target-is-zero -B a.qcow2 r.raw b.qcow2";
    assert!(invocation(line).is_err());
    let output = rooms.run(line);
    assert!(output.status.success(), "qemu-img has learned to fail: {output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("Cannot use --target-is-zero"), "{output:?}");
    let compare = run(&rooms.0.path().join("room"), "compare -f raw -F qcow2 r.raw b.qcow2");
    assert_eq!(compare.status.code(), Some(1), "nothing was copied: {compare:?}");

    let line = "dd -f raw -O raw bs=64k count=1 if=r.raw of=r.raw";
    assert!(matches!(invocation(line).unwrap_err().kind(), ParseErrorKind::Refused(qemu_cmd::Error::SameFile { .. })));
    let output = rooms.run(line);
    assert!(output.status.success(), "qemu-img has learned to fail: {output:?}");
    assert_ne!(rooms.file("r.raw"), content(), "the image was overwritten while it was read");
}

/// A relative name is looked for beside the image, and so can be that of the image itself.
#[test]
fn an_image_is_not_made_over_its_own_backing_file() {
    let rooms = Rooms::new();
    for (line, image) in [
        ("create -f qcow2 -b r.raw -F raw ../room/r.raw", "r.raw"),
        ("create -u -f qcow2 -b ./r.raw -F raw ../room/r.raw 1M", "r.raw"),
        ("create -f qcow2 -o backing_file=r.raw,backing_fmt=raw ../room/r.raw", "r.raw"),
        ("convert -f qcow2 -O qcow2 -B r.raw -o backing_fmt=raw b.qcow2 ../room/r.raw", "r.raw"),
        ("rebase -u -f qcow2 -b a.qcow2 -F qcow2 a.qcow2", "a.qcow2"),
        ("rebase -u -b ./a.qcow2 -F qcow2 --image-opts driver=qcow2,file.filename=../room/a.qcow2", "a.qcow2"),
    ] {
        let refusal = invocation(line).expect_err(line);
        assert!(matches!(refusal.kind(), ParseErrorKind::Refused(qemu_cmd::Error::SameFile { .. })), "{refusal}");
        let output = rooms.run(line);
        assert!(output.status.success(), "{line}: qemu-img has learned to fail: {output:?}");
        assert!(rooms.file(image).starts_with(b"QFI\xfb"), "{line}: what was there is gone");
    }
    for line in [
        "create -f qcow2 -b file:r.raw -F raw ../r.raw 1M",
        "convert -f raw -O qcow2 -B room/r.raw -o backing_fmt=raw r.raw ../room/r.raw",
        "rebase -u -f qcow2 -b ../a.qcow2 -F qcow2 a.qcow2",
    ] {
        assert!(invocation(line).is_ok(), "{line}: these are two");
    }
}

/// Whether these are the places of those names.
fn are(locations: &[Location], names: &str) -> bool {
    let is = |location: &Location, name: &str| match location.path() {
        Some(path) => path == Path::new(name.trim_start_matches("./")),
        None if name.starts_with("driver=") => *location == Location::from_node(KeyVal::parse(name.as_ref())),
        None => *location == Location::from_plain_name(name.as_ref()),
    };
    let names: Vec<&str> = names.split('|').filter(|name| !name.is_empty()).collect();
    locations.len() == names.len() && locations.iter().zip(names).all(|(location, name)| is(location, name))
}

#[test]
fn command_lines_as_people_write_them_are_understood() {
    assert!(written::WRITTEN.len() >= 150, "{}", written::WRITTEN.len());
    for (line, reads, writes) in written::WRITTEN {
        let invocation = invocation(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        assert!(are(invocation.reads(), reads), "{line} reads {:?}", invocation.reads());
        assert!(are(invocation.writes(), writes), "{line} writes {:?}", invocation.writes());
        let explained = parse(line).unwrap().explain();
        assert!(explained.iter().all(|part| !part.meaning.is_empty()), "{line}: {explained:?}");
        if !line.contains("data=") {
            let argv = invocation.argv(|id| panic!("{line}: {id} is a secret"));
            let written: Vec<OsString> = words(line).into_iter().map(Into::into).collect();
            assert_eq!(argv, written, "it comes out as it was written");
            let parts: Vec<_> = explained.into_iter().flat_map(|part| part.args).collect();
            assert_eq!(parts, argv, "each argument is explained once, in order");
        }
    }
}

/// The images are not there, so it fails; but not because it does not understand.
#[test]
fn command_lines_as_people_write_them_are_no_usage_errors() {
    let (directory, version) = (scratch(), version());
    let mut ran = 0;
    for (line, ..) in written::WRITTEN {
        // What would reach out, or write outside of the directory.
        let is_remote =
            ["://", "rbd:", "driver=rbd", "driver=nbd", "sheepdog:", "nbd:"].iter().any(|word| line.contains(word));
        if is_remote || parse(line).unwrap().unsupported(version).is_some() {
            continue;
        }
        let here = line.replace(" /", " ").replace("=/", "=").replace(":/", ":").replace("\"/", "\"");
        let output = run(directory.path(), &here);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!said.contains("Try 'qemu-img"), "{here}: {said}");
        ran += 1;
    }
    assert!(ran > 100, "{ran}");
}

#[test]
fn options_are_found_however_they_are_written() {
    let line =
        parse("convert -cpO qcow2 -oa=1 --object secret,id=k,file=/k src -ob=2 --source-f=raw dst -t none").unwrap();
    assert!(line.has("c") && line.has("p") && line.has("f") && line.has("source-format") && !line.has("n"));
    assert_eq!(line.value("O"), Some("qcow2".as_ref()));
    assert_eq!(line.create_options().get("b"), Some("2".as_ref()));
    assert_eq!(line.value("t"), Some("none".as_ref()));
    assert_eq!(line.operands().collect::<Vec<_>>(), ["src", "dst"]);

    let line = parse("bitmap --add -g 1M --disable --merge other -b top.qcow2 -F qcow2 --clear a.qcow2 b0").unwrap();
    let order: Vec<_> = line.given_in_order().map(|(option, _)| option).collect();
    assert_eq!(order, ["add", "g", "disable", "merge", "b", "F", "clear"]);

    // A flag here, with a value there.
    assert_eq!(parse("snapshot -l a.qcow2").unwrap().operands().count(), 1);
    assert_eq!(parse("convert -l a.qcow2 b c").unwrap().value("l"), Some("a.qcow2".as_ref()));

    // Ambiguous since `--remove-all` came with 11.0, and what the versions before took it for.
    assert!(parse("bitmap --rem a.qcow2 b0").unwrap().has("remove"));
    let ambiguous = parse("convert --source raw a b").unwrap_err();
    assert!(matches!(ambiguous.kind(), ParseErrorKind::AmbiguousOption { .. }));

    // The letters that 10.1 has put in the place of others.
    assert_eq!(parse("convert -b base -F qcow2 a b").unwrap().value("B"), Some("base".as_ref()));
    assert_eq!(parse("rebase -b base -B qcow2 a").unwrap().value("F"), Some("qcow2".as_ref()));
    assert_eq!(parse("dd if=a of=b if=c bs=1M").unwrap().dd_operand("if"), Some("c".into()));
}

/// What has no value is switched on, or behind `no` off.
#[test]
fn short_forms_mean_what_they_mean_to_qemu_img() {
    let rooms = Rooms::new();
    for (options, lazy) in [("compat=1.1,lazy_refcounts", true), ("compat=1.1,nolazy_refcounts", false)] {
        let line = format!("create -q -f qcow2 -o {options} out 1M");
        let typed = qemu_cmd::Command::parse(words(&line).into_iter().map(Into::into)).unwrap();
        let argv = typed.invocation().unwrap().argv(|_| unreachable!());
        let rendered = argv.iter().map(|arg| arg.to_str().unwrap()).collect::<Vec<_>>().join(" ");
        for line in [line, rendered] {
            let output = rooms.run(&line);
            assert!(output.status.success(), "{line}: {output:?}");
            let info = run(&rooms.0.path().join("room"), "info -f qcow2 --output=json out");
            let info: qemu_info::ImageInfo = serde_json::from_slice(&info.stdout).unwrap();
            let Some(qemu_info::FormatSpecific::Qcow2(qcow2)) = info.format_specific else { panic!("{info:?}") };
            assert_eq!(qcow2.lazy_refcounts, Some(lazy), "{line}");
        }
    }
}

#[test]
fn sizes_that_look_like_options() {
    for (line, operands) in [
        ("resize a -1M", vec!["a", "-1M"]),
        ("resize -f raw --shrink a -512k", vec!["a", "-512k"]),
        ("resize a -512k --shrink", vec!["a", "-512k"]),
        ("resize a --shrink -512k", vec!["a", "-512k"]),
        ("resize --shrink -- a -1M", vec!["a", "-1M"]),
        ("resize --shrink a -- -1M", vec!["a", "-1M"]),
        ("resize a +1M -q", vec!["a", "+1M"]),
    ] {
        assert_eq!(parse(line).unwrap().operands().collect::<Vec<_>>(), operands, "{line}");
    }
    for line in
        ["resize -1M -f raw a", "resize a -x", "resize a --1M", "create a -1", "resize --shrink a -f raw -1M -q"]
    {
        assert!(matches!(parse(line).unwrap_err().kind(), ParseErrorKind::UnknownOption { .. }), "{line}");
    }
}

/// All but a few of them have types, and what they come to reads and writes the same.
#[test]
fn command_lines_as_people_write_them_have_types() {
    let mut without_types = Vec::new();
    for (line, reads, writes) in written::WRITTEN {
        let command = qemu_cmd::Command::parse(words(line).into_iter().map(Into::into));
        match command.and_then(|command| Ok(command.invocation()?)) {
            Ok(invocation) => {
                for (places, names) in [(invocation.reads(), reads), (invocation.writes(), writes)] {
                    let each = |name: &str| places.iter().any(|place| are(std::slice::from_ref(place), name));
                    let mut names = names.split('|').filter(|name| !name.is_empty());
                    assert_eq!(places.len(), names.clone().count(), "{line}: {places:?}\n{invocation}");
                    assert!(names.all(each), "{line}: {places:?}\n{invocation}");
                }
            }
            Err(error) => without_types.push(format!("{line}: {error}")),
        }
    }
    let known = [
        "a request for help",
        "a secret that is encrypted under another",
        // A header without data has no size, a driver is no format, and Proxmox has a protocol of its own.
        "a new image needs a size",
        "`host_device`: write the name of an image format",
        "`zeroinit:",
    ];
    for line in without_types {
        assert!(known.iter().any(|reason| line.contains(reason)), "{line}");
    }
}
