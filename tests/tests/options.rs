//! The option table against the qemu-img under test, and what qimg makes of the table.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::process::{Command, Output, Stdio};
use std::thread;

use qemu_cmd::{Availability, OptionSpec, QemuVersion, Subcommand};
use serde_json::{Value, json};
use tests::{bare, scratch};

/// What qemu-img says to an option, with the operands deliberately missing, so that it does nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Unknown,
    Flag,
    WithValue,
}

fn ask(subcommand: Subcommand, option: &str) -> Answer {
    let complaint = |args: &[&str]| String::from_utf8_lossy(&bare(args).stderr).into_owned();
    let mut said = complaint(&[subcommand.as_str(), option]);
    if subcommand == Subcommand::Resize {
        // Up to 7.2 the last argument is the size, whatever it looks like.
        said.push_str(&complaint(&["resize", option, "1"]));
    }
    let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
    if has(&["unrecognized option", "invalid option", "is ambiguous"]) {
        Answer::Unknown
    } else if has(&["requires an argument", "missing argument"]) {
        Answer::WithValue
    } else {
        Answer::Flag
    }
}

/// Every spelling of every option of a subcommand.
fn spellings(subcommand: Subcommand) -> BTreeMap<String, (&'static OptionSpec, Availability)> {
    let of = |spec: &'static OptionSpec| {
        let letter = spec.short.map(|letter| (format!("-{letter}"), (spec, spec.availability)));
        let names =
            spec.names.iter().map(move |name| (name.spelled(), (spec, spec.availability.and(name.availability))));
        letter.into_iter().chain(names)
    };
    subcommand.options().iter().flat_map(of).collect()
}

/// Whether the program has what is available like this, if that can be told.
fn expected(availability: Availability, version: QemuVersion, is_debian: bool) -> Option<bool> {
    if availability.removed.is_some_and(|removed| version >= removed) {
        Some(false)
    } else if is_debian || availability.since == QemuVersion::new(5, 2, 0) {
        Some(version >= availability.since)
    } else if availability.removed.is_some() {
        None
    } else {
        Some(version >= availability.elsewhere.unwrap_or(availability.since))
    }
}

fn differences(subcommand: Subcommand, version: QemuVersion, is_debian: bool) -> Vec<String> {
    let mut differences = Vec::new();
    let own = spellings(subcommand);
    let everywhere = Subcommand::ALL.iter().flat_map(|other| spellings(*other).into_keys());
    let letters = ('0'..='9').chain('A'..='Z').chain('a'..='z').map(|letter| format!("-{letter}"));
    let mut candidates: Vec<String> = everywhere.chain(letters).filter(|option| option != "-h").collect();
    candidates.sort();
    candidates.dedup();
    let answers: BTreeMap<String, Answer> =
        candidates.into_iter().map(|option| (option.clone(), ask(subcommand, &option))).collect();
    for (option, answer) in &answers {
        let wanted =
            own.get(option).map_or(Some(false), |(_, availability)| expected(*availability, version, is_debian));
        // getopt takes a beginning of a name for the name.
        let is_beginning = option.starts_with("--")
            && answers.iter().any(|(other, answer)| {
                other != option && other.starts_with(option.as_str()) && *answer != Answer::Unknown
            });
        // Debian's 10.0 has these without the argument that they need.
        let is_useless =
            subcommand == Subcommand::Snapshot && ["--apply", "--create", "--delete"].contains(&option.as_str());
        let what = format!("{} {option}: {answer:?}", subcommand.as_str());
        match (answer, wanted) {
            (Answer::Unknown, Some(true)) => differences.push(format!("{what}, but it is in the table")),
            (Answer::Unknown, _) => {}
            (_, Some(false)) if is_beginning || is_useless => {}
            (_, Some(false)) => differences.push(format!("{what}, but it is not in the table for this version")),
            (answer, _) => {
                let takes_value = own.get(option).is_some_and(|(spec, _)| spec.value.is_some());
                if takes_value != (*answer == Answer::WithValue) {
                    differences.push(format!("{what}, unlike in the table"));
                }
            }
        }
    }
    differences
}

#[test]
fn the_table_is_what_qemu_img_takes() {
    let line = String::from_utf8(bare(["--version"]).stdout).unwrap();
    let version: QemuVersion = line.parse().unwrap();
    let is_debian = line.contains("Debian");
    let differences: Vec<String> = thread::scope(|scope| {
        let parts: Vec<_> = Subcommand::ALL
            .chunks(Subcommand::ALL.len().div_ceil(4))
            .map(|part| {
                scope.spawn(move || -> Vec<String> {
                    part.iter().flat_map(|subcommand| differences(*subcommand, version, is_debian)).collect()
                })
            })
            .collect();
        parts.into_iter().flat_map(|part| part.join().unwrap()).collect()
    });
    assert!(differences.is_empty(), "{version}: {differences:#?}");
}

fn qimg(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_qimg-under-test")).args(args).output().unwrap()
}

fn printed(args: &[&str]) -> String {
    let output = qimg(args);
    assert!(output.status.success() && output.stderr.is_empty(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn options_are_printed_one_spelling_a_line() {
    let text = printed(&["options"]);
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
    assert!(lines.iter().all(|line| line.len() == 7), "{text}");
    assert_eq!(lines.len(), Subcommand::ALL.iter().map(|subcommand| spellings(*subcommand).len()).sum::<usize>());
    assert!(lines.contains(&vec!["rebase", "c", "--compress", "flag", "10.0", "10.1", "-"]), "{text}");
    assert!(lines.contains(&vec!["info", "backing-chain", "-b", "flag", "10.0", "-", "10.1"]), "{text}");
}

#[test]
fn every_subcommand_and_option_is_in_the_usage_the_manual_page_and_the_completions() {
    let (usage, man) = (printed(&["--help"]), printed(&["man"]));
    let scripts = ["bash", "zsh", "fish"].map(|shell| printed(&["completions", shell]));
    // A line of the page that begins with a dot or an apostrophe is a request, of which there are few.
    let requests = [".TH ", ".SH ", ".SS ", ".TP", ".PP", ".br"];
    for line in man.lines().filter(|line| line.starts_with(['.', '\''])) {
        assert!(requests.iter().any(|request| line.starts_with(request)), "{line}");
    }
    for subcommand in Subcommand::ALL {
        let name = subcommand.as_str();
        assert!(usage.contains(&format!("  {name} ")), "{name} in {usage}");
        assert!(man.contains(&format!(".SS {name} ")), "{name} in {man}");
        for (option, (_, availability)) in spellings(*subcommand) {
            assert!(man.contains(&option.replace('-', "\\-")), "{name} {option} in {man}");
            if availability.removed.is_none() {
                let long = option
                    .strip_prefix("--")
                    .map_or_else(|| format!(" -s {}", &option[1..]), |long| format!(" -l {long}"));
                assert!(scripts[0].contains(&option) && scripts[1].contains(&format!("'*{option}")), "{name} {option}");
                let line = |line: &str| {
                    line.contains(&format!("from {name}'")) && format!("{line} ").contains(&format!("{long} "))
                };
                assert!(scripts[2].lines().any(line), "{name} {option}");
            }
        }
    }
}

/// The options of qimg's own commands, and of subcommands beside qemu-img's, as the usage lists them: whose, and the
/// option with what its value is called.
fn own_options() -> Vec<(String, String)> {
    let usage = printed(&["--help"]);
    let (mut of, mut options) = (String::new(), Vec::new());
    for line in usage.lines() {
        if let Some(heading) = line.strip_prefix("options of ") {
            of = heading.split([' ', ':']).next().unwrap().to_owned();
        } else if let (false, Some(option)) = (of.is_empty(), line.strip_prefix("  --")) {
            options.push((of.clone(), format!("--{}", option.split("  ").next().unwrap())));
        }
    }
    assert!(options.len() > 10, "{usage}");
    options
}

#[test]
fn the_options_of_commands_exist_and_are_completed() {
    let scripts = ["bash", "zsh", "fish"].map(|shell| printed(&["completions", shell]));
    let man = printed(&["man"]);
    for (command, option) in own_options() {
        let long = option.split(' ').next().unwrap();
        assert!(man.contains(&long.replace('-', "\\-")), "{command} {long}");
        assert!(offered(&scripts[0], &format!("qimg {command} {long}")).contains(&long.to_owned()), "{command} {long}");
        assert!(scripts[1].contains(&format!("'*{long}")), "{command} {long}");
        let fish = format!("from {command}' -l {} ", &long[2..]);
        assert!(scripts[2].contains(&fish), "{command} {long}");
        // Whatever it thinks of the value: it knows the option.
        let value = option.contains(' ').then_some("0");
        let mut line: Vec<_> = [command.as_str(), long].into_iter().chain(value).collect();
        // Nothing is to be written by this.
        line.extend((command == "install-docs").then_some("--dry-run"));
        let output = qimg(&line);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!said.contains("invalid option") && !said.contains("no option"), "{command} {long}: {said}");
    }
}

/// What bash offers at the end of the line, whose words are separated as bash does.
fn offered(script: &str, words: &str) -> Vec<String> {
    let ask = r#"
        COMP_WORDS=($1); [[ $1 == *' ' ]] && COMP_WORDS+=("")
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _qimg; printf '%s\n' "${COMPREPLY[@]}""#;
    let bash = Command::new("bash")
        .args(["-c", &format!("{script}\n{ask}"), "bash", words])
        .stdin(Stdio::null())
        .output()
        .expect("bash is installed");
    assert!(bash.status.success() && bash.stderr.is_empty(), "{words}: {bash:?}");
    String::from_utf8(bash.stdout).unwrap().lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[test]
fn bash_completes() {
    let script = printed(&["completions", "bash"]);
    for (words, wanted) in [
        ("qimg re", vec!["rebase", "resize"]),
        ("qimg --timeout 5 --dry-run = json che", vec!["check"]),
        ("qimg --timeout = 5 me", vec!["measure"]),
        ("qimg --dry-run = ", vec!["shell", "json"]),
        ("qimg check -r ", vec!["leaks", "all"]),
        ("qimg check --output = j", vec!["json"]),
        ("qimg convert -t wr", vec!["writeback", "writethrough"]),
        ("qimg convert --source-f", vec!["--source-format"]),
        ("qimg convert --source-format qco", vec!["qcow2", "qcow"]),
        ("qimg snapshot -l ", vec![]),
        ("qimg completions ", vec!["bash", "zsh", "fish"]),
        ("qimg --pretty = al", vec!["always"]),
        ("qimg inspect --claimed = qco", vec!["qcow2", "qcow"]),
        ("qimg import --source-format = vh", vec!["vhdx"]),
        ("qimg import a b --rep", vec!["--replace"]),
    ] {
        assert_eq!(offered(&script, words), wanted, "{words}");
    }
}

#[test]
fn page_and_completions_are_put_where_they_are_looked_for() {
    let directory = scratch();
    let prefix = directory.path().join("usr");
    let said = printed(&["install-docs", "--dry-run", "--prefix", prefix.to_str().unwrap()]);
    assert!(said.contains("would write ") && !prefix.exists(), "{said}");
    printed(&["install-docs", "--prefix", prefix.to_str().unwrap()]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_qimg-under-test"));
    let command = command.args(["install-docs", "--user"]).env("XDG_DATA_HOME", directory.path().join("home"));
    assert!(command.output().unwrap().status.success());
    for share in [prefix.join("share"), directory.path().join("home")] {
        for (place, made_by) in [
            ("man/man1/qimg.1", &["man"][..]),
            ("bash-completion/completions/qimg", &["completions", "bash"]),
            ("zsh/site-functions/_qimg", &["completions", "zsh"]),
            ("fish/vendor_completions.d/qimg.fish", &["completions", "fish"]),
        ] {
            assert_eq!(std::fs::read_to_string(share.join(place)).unwrap(), printed(made_by), "{place}");
            assert_eq!(tests::names(share.join(place).parent().unwrap()).len(), 1, "{place}");
        }
    }
    for bad in [&["install-docs", "--user", "--prefix", "a"][..], &["install-docs", "--prefix", "/dev/null"]] {
        assert_eq!(qimg(bad).status.code(), Some(2), "{bad:?}");
    }
}

#[test]
fn explanations() {
    let text = printed(&["explain", "--", "qemu-img", "rebase", "-c", "-b", "", "top.qcow2"]);
    assert_eq!(
        text,
        "rebase     changes the backing file of an image\n\
         -c         compresses the data that is copied (since 8.2)\n\
         -b ''      the new backing file; empty for none\n\
         top.qcow2  FILE: the image whose backing file is changed\n\
         \n\
         `rebase -c` needs qemu-img 8.2\n"
    );
    let secret = printed(&["explain", "/usr/bin/qemu-img", "info", "--object", "secret,id=k,data=hunter2", "a", "b"]);
    assert!(!secret.contains("hunter2") && secret.contains("file=<k>"), "{secret}");
    assert!(
        secret.ends_with("\nqimg refuses it: argument 4 of `info`: `info` needs one image, and 2 were given\n"),
        "{secret}"
    );

    let object: Value = serde_json::from_str(&printed(&["explain", "--output=json", "--", "info", "a"])).unwrap();
    let wanted = json!([
        {"args": ["info"], "meaning": "describes an image"},
        {"args": ["a"], "meaning": "FILE: the image to describe"},
    ]);
    assert_eq!(object, wanted);
    for bad in
        [&["explain"][..], &["explain", "--output=xml", "--", "info", "a"], &["explain", "--", "qemu-img", "nosuch"]]
    {
        assert_eq!(qimg(bad).status.code(), Some(2), "{bad:?}");
    }
    for bad in [&["completions"][..], &["completions", "csh"], &["completions", "bash", "zsh"]] {
        assert_eq!(qimg(bad).status.code(), Some(2), "{bad:?}");
    }
}

#[test]
fn a_dry_run_tells_what_is_required() {
    let directory = scratch();
    let dry_run = |line: &[&str]| -> Value {
        let output = Command::new(env!("CARGO_BIN_EXE_qimg-under-test"))
            .arg("--dry-run=json")
            .args(line)
            .current_dir(directory.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{line:?}: {output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    };
    assert_eq!(dry_run(&["info", "a"])["requires"], json!([]));
    let line = ["rebase", "-c", "-b", "base", "--backing-format", "qcow2", "a"];
    let wanted = json!([
        {"feature": "rebase -c", "since": "8.2"},
        {"feature": "rebase --backing-format", "since": "10.0"},
    ]);
    assert_eq!(dry_run(&line)["requires"], wanted);
    let wanted = json!([{"feature": "info -b", "since": "10.0", "before": "10.1"}]);
    assert_eq!(dry_run(&["info", "-b", "a"])["requires"], wanted);
    assert_eq!(dry_run(&["commit", "-b", "base", "top"])["writes"], json!(["top", "base"]));
}
