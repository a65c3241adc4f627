//! `qimg lint`: what is risky about a command line, or about those of a shell script.

use std::ffi::OsString;
use std::io::Read as _;
use std::path::Path;

use qemu_exec::cmd::{ByteSize, CommandLine, Finding, LintContext, Location, shell_quote};
use rustix::process::{Resource, getrlimit};
use serde_json::{Value, json};

use crate::explain::{is_program, parse};
use crate::{Error, term};

/// A command line, the line of the script that it stands on, and what was found.
struct Linted {
    at: Option<usize>,
    findings: Vec<Finding>,
    /// Why it could not be read.
    unreadable: Option<String>,
}

/// The report, and whether there is anything in it. A command line is taken for one that is to run here and now, under
/// the limit on its address space that was given or that this process has; a script, for one that runs under that limit
/// elsewhere or later, so that its names are not looked at.
pub(crate) fn report(args: impl Iterator<Item = OsString>, memory: Option<ByteSize>) -> Result<(String, bool), Error> {
    let (is_json, command) = parse("lint", args)?;
    let context = address_space(memory).map_or(LintContext::new(), |limit| LintContext::new().address_space(limit));
    let linted = if command == ["-"] {
        let mut script = String::new();
        std::io::stdin().read_to_string(&mut script)?;
        commands(&script).into_iter().map(|(at, command)| lint(Some(at), command, &context)).collect()
    } else if let [file] = &command[..]
        && Path::new(file).is_file()
    {
        let name = shell_quote(file);
        return Err(format!("lint reads a script on standard input: `qimg lint - <{name}`").into());
    } else {
        let context = context.exists(&exists);
        vec![Linted { at: None, findings: CommandLine::parse(command)?.lint_with(&context), unreadable: None }]
    };
    let found = linted.iter().any(|linted| !linted.findings.is_empty() || linted.unreadable.is_some());
    let text = if is_json {
        format!("{}\n", term::json(&linted.iter().flat_map(objects).collect()))
    } else {
        linted.iter().flat_map(lines).collect()
    };
    Ok((text, found))
}

/// The limit that counts, unless the threads of qemu-img are told to share one arena.
fn address_space(given: Option<ByteSize>) -> Option<ByteSize> {
    let shares = std::env::var_os("MALLOC_ARENA_MAX").is_some_and(|count| count == "1");
    given.or_else(|| getrlimit(Resource::As).current.map(ByteSize::bytes)).filter(|_| !shares)
}

/// Whether something has that name, be it a link that leads nowhere.
fn exists(place: &Location) -> bool {
    place.path().is_some_and(|path| path.symlink_metadata().is_ok())
}

fn lint(at: Option<usize>, command: Vec<OsString>, context: &LintContext<'_>) -> Linted {
    match CommandLine::parse(command) {
        Ok(line) => Linted { at, findings: line.lint_with(context), unreadable: None },
        Err(error) => Linted { at, findings: Vec::new(), unreadable: Some(error.to_string()) },
    }
}

/// The command lines of qemu-img in a script, each with the number of the line that it starts on. What a shell would put
/// in for a variable is not known, and stays as it is written.
fn commands(script: &str) -> Vec<(usize, Vec<OsString>)> {
    let mut found = Vec::new();
    let mut lines = script.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        let mut whole = line.to_owned();
        while let Some(start) = whole.strip_suffix('\\') {
            whole = format!("{start} {}", lines.next().map_or("", |(_, line)| line));
        }
        // A line that is no whole words, such as one of a here-document, has no command.
        let mut words = shlex::split(&whole).unwrap_or_default().into_iter();
        while let Some(word) = words.next() {
            // `size=$(qemu-img …)` is a word to a splitter that knows no substitutions.
            if word.rsplit(['(', '`']).next().is_some_and(|program| is_program(program.as_ref())) {
                let command = command(&mut words);
                // `command -v qemu-img` runs none.
                found.extend((!command.is_empty()).then_some((index + 1, command)));
            }
        }
    }
    found
}

/// The words of one command, up to what ends it.
fn command(words: &mut impl Iterator<Item = String>) -> Vec<OsString> {
    let mut command = Vec::new();
    for word in words {
        if ends_command(&word) {
            break;
        }
        let bare = word.trim_end_matches([';', ')', '`']);
        command.push(bare.into());
        if bare != word {
            break;
        }
    }
    command
}

/// Whether a word is not of the command any more: an operator of the shell, or a redirection.
fn ends_command(word: &str) -> bool {
    let word = word.trim_start_matches(|c: char| c.is_ascii_digit());
    ["|", "&", ";", ">", "<", ")"].iter().any(|operator| word.starts_with(operator))
}

fn objects(linted: &Linted) -> Vec<Value> {
    let object = |code: &str, severity: &str, message: &str, instead: &str| {
        let mut object = json!({"code": code, "severity": severity, "message": message, "instead": instead});
        if let (Some(at), Some(object)) = (linted.at, object.as_object_mut()) {
            object.insert("line".to_owned(), at.into());
        }
        object
    };
    let unreadable = linted.unreadable.iter().map(|error| object("unreadable", "danger", error, NO_COMMAND));
    let findings = linted
        .findings
        .iter()
        .map(|finding| object(finding.code, finding.severity.as_str(), &finding.message, finding.instead));
    unreadable.chain(findings).collect()
}

const NO_COMMAND: &str = "qemu-img would not take it";

fn lines(linted: &Linted) -> Vec<String> {
    let place = linted.at.map_or_else(String::new, |at| format!("line {at}: "));
    let unreadable = linted.unreadable.iter().map(|error| format!("{place}danger unreadable: {error}; {NO_COMMAND}\n"));
    let findings = linted.findings.iter().map(|finding| format!("{place}{finding}\n"));
    unreadable.chain(findings).collect()
}
