//! The rules of the house that can be held by a test.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The libraries, and of the others each may use.
const LIBRARIES: [(&str, &[&str]); 3] =
    [("qemu-cmd", &[]), ("qemu-info", &[]), ("qemu-exec", &["qemu-cmd", "qemu-info"])];

/// What whoever depends on the libraries has to accept, at most.
const LICENCES: &[&str] = &["MIT", "Apache-2.0", "Unicode-3.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "Zlib"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The files of the project, by their path from its root.
fn files() -> Vec<(String, String)> {
    fn walk(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
            let name = entry.file_name();
            match entry.file_type().unwrap() {
                kind if kind.is_dir() && name != "target" && name != ".git" => walk(&entry.path(), found),
                // In a work tree, `.git` is a file that names the place of the repository.
                kind if kind.is_file() && name != "Cargo.lock" && name != ".git" => found.push(entry.path()),
                _ => {}
            }
        }
    }
    let mut found = Vec::new();
    walk(&root(), &mut found);
    let name = |path: &Path| path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
    found.iter().map(|path| (name(path), String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned())).collect()
}

fn rust() -> Vec<(String, String)> {
    files().into_iter().filter(|(name, _)| name.ends_with(".rs")).collect()
}

/// A line without its comment.
fn code(line: &str) -> &str {
    line.split("//").next().unwrap_or_default()
}

fn metadata() -> Value {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["metadata", "--format-version=1", "--all-features", "--locked"]).current_dir(root());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn packages(metadata: &Value) -> &Vec<Value> {
    metadata["packages"].as_array().unwrap()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

#[test]
fn dependencies_point_one_way() {
    let metadata = metadata();
    for (library, allowed) in LIBRARIES.into_iter().chain([("xtask", &[][..])]) {
        let package = packages(&metadata).iter().find(|package| package["name"] == library).unwrap();
        let ours = package["dependencies"].as_array().unwrap().iter().map(|needed| text(needed, "name"));
        let ours: BTreeSet<&str> = ours.filter(|name| LIBRARIES.iter().any(|(library, _)| library == name)).collect();
        assert_eq!(ours, allowed.iter().copied().collect(), "{library}");
    }
}

#[test]
fn licences_are_those_that_anybody_can_accept() {
    let metadata = metadata();
    // One of the alternatives, and all of its parts.
    let accepted = |licence: &str| {
        let licence = licence.replace(['(', ')'], "").replace('/', " OR ");
        licence.split(" OR ").any(|one| one.split(" AND ").all(|part| LICENCES.contains(&part.trim())))
    };
    assert!(!accepted("GPL-3.0-only") && !accepted("MIT AND GPL-2.0") && accepted("GPL-2.0 OR MIT"));
    let foreign = |package: &&Value| !package["source"].is_null();
    let (mut seen, mut refused) = (0, Vec::new());
    for package in packages(&metadata).iter().filter(foreign) {
        seen += 1;
        if !accepted(text(package, "license")) {
            refused.push(format!("{} ({})", text(package, "name"), text(package, "license")));
        }
    }
    assert!(seen > 20, "{seen} packages");
    assert!(refused.is_empty(), "{refused:?}");
}

#[test]
fn unsafe_code_stands_in_one_place_with_its_reasons() {
    for (library, _) in LIBRARIES {
        let lib = fs::read_to_string(root().join(library).join("src/lib.rs")).unwrap();
        let attribute = if library == "qemu-exec" { "#![deny(unsafe_code)]" } else { "#![forbid(unsafe_code)]" };
        assert!(lib.contains(attribute), "{library}");
    }
    let mut blocks = 0;
    for (name, text) in rust() {
        let sys = name == "qemu-exec/src/sys.rs" || name.starts_with("qemu-exec/src/sys/");
        let lines: Vec<&str> = text.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            // Not the word in a text, nor a part of a name.
            let words = code(line).split(|byte: char| !byte.is_alphanumeric() && byte != '_' && byte != '"');
            if !words.into_iter().any(|word| word == "unsafe") || code(line).contains("`unsafe`") {
                continue;
            }
            let begins = ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern"].iter().any(|it| line.contains(it));
            if !begins {
                continue;
            }
            assert!(sys, "{name}:{}: unsafe code outside of sys", index + 1);
            blocks += 1;
            let above = lines[..index].iter().rev().take_while(|line| !line.trim().is_empty()).take(12);
            let argued = above.into_iter().any(|line| line.contains("SAFETY") || line.contains("# Safety"));
            assert!(argued || line.contains("SAFETY"), "{name}:{}: unsafe code without its argument", index + 1);
        }
    }
    assert!(blocks > 0, "none was seen");
}

#[test]
fn files_hold_one_idea() {
    for (name, text) in rust() {
        let most = if name.ends_with("src/lib.rs") && !name.starts_with("tests/") { 120 } else { 460 };
        let lines = text.lines().count();
        assert!(lines <= most, "{name} has {lines} lines, more than {most}: does it hold one idea?");
    }
}

#[test]
fn nothing_is_unfinished() {
    // Put together, so that this file is not found.
    let marks = ["todo", "unimplemented", "dbg"].map(|name| format!("{name}!("));
    let words = [["FIX", "ME"], ["XX", "X"], ["#[ign", "ore"]].map(|parts| parts.concat());
    for (name, text) in rust() {
        for mark in marks.iter().chain(&words) {
            assert!(!text.contains(mark.as_str()), "{name}: `{mark}`");
        }
    }
}

#[test]
fn no_path_of_this_machine() {
    let here = root().parent().map(|parent| format!("{}/", parent.display())).filter(|path| path.len() > 2);
    let home = std::env::var("HOME").ok().map(|home| format!("{home}/")).filter(|home| home.len() > 2);
    for (name, text) in files() {
        for path in here.iter().chain(&home).filter(|path| !["/tmp/", "/builds/"].contains(&path.as_str())) {
            assert!(!text.contains(path.as_str()), "{name}: `{path}`");
        }
    }
}

#[test]
fn documents_fit_a_screen() {
    for (name, text) in files() {
        let prose = name.ends_with(".md") && !name.starts_with("docs/bench/");
        let lines = text.lines().enumerate().filter(|_| prose);
        // A row of a table is one line, and so is a link.
        for (index, line) in lines.filter(|(_, line)| !line.starts_with('|') && !line.contains("](")) {
            assert!(line.chars().count() <= 125, "{name}:{}: {} characters", index + 1, line.chars().count());
        }
    }
}

#[test]
fn the_changelog_knows_the_version() {
    let metadata = metadata();
    let changes = fs::read_to_string(root().join("CHANGELOG.md")).unwrap();
    let newest = changes.lines().find_map(|line| line.strip_prefix("## ")).unwrap();
    for (library, _) in LIBRARIES {
        let package = packages(&metadata).iter().find(|package| package["name"] == library).unwrap();
        assert_eq!(newest.split(' ').next().unwrap(), text(package, "version"), "{library}");
    }
}

/// Whoever looks for a file finds it in ARCHITECTURE.md, and finds nothing there that is not.
#[test]
fn the_architecture_is_true() {
    let architecture = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let names: BTreeSet<&str> = architecture.split('`').skip(1).step_by(2).collect();
    let known = |name: &str| names.contains(name) || names.contains(format!("{name}/").as_str());
    for (library, _) in LIBRARIES {
        for entry in fs::read_dir(root().join(library).join("src")).unwrap().map(Result::unwrap) {
            let name = entry.file_name().into_string().unwrap();
            let stem = name.trim_end_matches(".rs");
            assert!(
                name == "lib.rs" || known(&name) || known(stem) || known(&format!("{stem}.rs")) || name == "bin",
                "ARCHITECTURE.md does not say what {library}/src/{name} holds"
            );
        }
    }
    let all: BTreeSet<String> = files().into_iter().map(|(name, _)| name).collect();
    for name in names.iter().filter(|name| name.ends_with(".rs") && !name.contains(['*', '{'])) {
        let there = all.iter().any(|file| file == name || file.ends_with(&format!("/{name}")));
        assert!(there, "ARCHITECTURE.md names `{name}`, which is not there");
    }
}
