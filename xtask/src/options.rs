//! `cargo xtask options`: the option table against the programs themselves, which are asked by being run with operands
//! deliberately missing, so that they do nothing but complain: of the option if they do not know it, else of the
//! operands.

mod probe;
mod table;

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::thread;

use crate::run::{self, Error};
use probe::{Answer, Program};
use table::Row;

/// What a program has that is of no use, and so not in the table: the names without the argument that they need.
const USELESS: &[(&str, &str)] = &[("snapshot", "--apply"), ("snapshot", "--create"), ("snapshot", "--delete")];

/// Compares every program at hand with the table, and fails if they differ.
pub(crate) fn command(args: Vec<OsString>) -> Result<(), Error> {
    if let Some(option) = args.iter().find(|arg| arg.as_encoded_bytes().starts_with(b"-")) {
        return Err(Error::Usage(format!("no option `{}`; the arguments are paths of qemu-img", option.display())));
    }
    let rows = table::read()?;
    let mut differences = 0;
    let programs = programs(args)?;
    let mut known: BTreeSet<(String, String)> = BTreeSet::new();
    for program in &programs {
        println!(
            "{}: qemu-img {}{}",
            program.path.display(),
            program.version,
            if program.is_debian { ", Debian's" } else { "" }
        );
        let findings = compare(program, &rows);
        for finding in findings {
            match finding {
                Finding::Known(subcommand, option) => drop(known.insert((subcommand, option))),
                Finding::Note(text) => println!("  note: {text}"),
                Finding::Difference(text) => {
                    println!("  DIFFERS: {text}");
                    differences += 1;
                }
            }
        }
    }
    for row in &rows {
        if programs.iter().any(|program| row.is_in(program) == Some(true))
            && !known.contains(&(row.subcommand.clone(), row.option.clone()))
        {
            println!("DIFFERS: no program has `{} {}`", row.subcommand, row.option);
            differences += 1;
        }
    }
    match differences {
        0 => Ok(()),
        1 => Err(Error::Other("one difference between the table and the programs".to_owned())),
        _ => Err(Error::Other(format!("{differences} differences between the table and the programs"))),
    }
}

/// The programs to ask: those given, the one that `QEMU_IMG` names, and the one in `PATH`.
fn programs(args: Vec<OsString>) -> Result<Vec<Program>, Error> {
    let mut paths: Vec<PathBuf> = args.into_iter().map(PathBuf::from).collect();
    paths.extend(env::var_os("QEMU_IMG").filter(|path| !path.is_empty()).map(PathBuf::from));
    paths.extend(run::find_program("qemu-img"));
    let mut programs: Vec<Program> = Vec::new();
    for path in paths {
        if programs.iter().all(|program| program.path != path) {
            programs.push(Program::new(path)?);
        }
    }
    if programs.is_empty() {
        return Err(Error::Other("there is no qemu-img in PATH: give the path of one".to_owned()));
    }
    Ok(programs)
}

/// What came out of asking.
enum Finding {
    /// The program has the option.
    Known(String, String),
    Note(String),
    Difference(String),
}

/// Asks a program about every option of every subcommand, two subcommands at a time.
fn compare(program: &Program, rows: &[Row]) -> Vec<Finding> {
    let mut subcommands: Vec<&str> = rows.iter().map(|row| row.subcommand.as_str()).collect();
    subcommands.dedup();
    let (first, second) = subcommands.split_at(subcommands.len() / 2);
    let ask =
        |part: &[&str]| part.iter().flat_map(|subcommand| compare_subcommand(program, rows, subcommand)).collect();
    thread::scope(|scope| {
        let other = scope.spawn(|| -> Vec<Finding> { ask(second) });
        let mut findings: Vec<Finding> = ask(first);
        findings.extend(other.join().unwrap_or_else(|_| vec![Finding::Difference("it could not be asked".to_owned())]));
        findings
    })
}

fn compare_subcommand(program: &Program, rows: &[Row], subcommand: &str) -> Vec<Finding> {
    let own: Vec<&Row> = rows.iter().filter(|row| row.subcommand == subcommand).collect();
    let listed = program.listed(subcommand);
    let mut candidates: BTreeSet<String> = rows.iter().map(|row| row.option.clone()).collect();
    candidates.extend(listed.iter().cloned());
    candidates.extend(('0'..='9').chain('A'..='Z').chain('a'..='z').map(|letter| format!("-{letter}")));
    candidates.retain(|option| !matches!(option.as_str(), "-h" | "--help"));
    let answers: Vec<(String, Answer)> = candidates
        .into_iter()
        .map(|option| {
            let answer = program.ask(subcommand, &option);
            (option, answer)
        })
        .collect();
    let is_taken = |option: &str| answers.iter().any(|(other, answer)| other == option && *answer != Answer::Unknown);
    let mut findings = Vec::new();
    for (option, answer) in &answers {
        let row = own.iter().find(|row| row.option == *option);
        let expected = row.map_or(Some(false), |row| row.is_in(program));
        // getopt takes a beginning of a name for the name.
        let is_beginning = option.starts_with("--")
            && answers
                .iter()
                .any(|(other, _)| other != option && other.starts_with(option.as_str()) && is_taken(other));
        let what = format!("`{subcommand} {option}`");
        match (answer, expected) {
            (Answer::Unknown, Some(true)) => {
                findings.push(Finding::Difference(format!("the table has {what}, and the program has not")))
            }
            (Answer::Unknown, _) if listed.contains(option) => {
                findings.push(Finding::Note(format!("its help lists {what}, and it does not take it")));
            }
            (Answer::Unknown, _) => {}
            (_, Some(false)) if is_beginning => {}
            (_, Some(false)) if USELESS.contains(&(subcommand, option)) => {
                findings.push(Finding::Note(format!("it has {what}, without the argument that it needs")));
            }
            (_, Some(false)) => {
                findings.push(Finding::Difference(format!("the program has {what}, and the table has not")))
            }
            (answer, _) => {
                if let Some(row) = row {
                    let takes_value = *answer == Answer::WithValue;
                    if takes_value != row.takes_value {
                        let verb = if takes_value { "takes" } else { "does not take" };
                        findings.push(Finding::Difference(format!("{what} {verb} a value, unlike the table says")));
                    }
                    findings.push(Finding::Known(subcommand.to_owned(), option.clone()));
                }
            }
        }
    }
    findings
}
