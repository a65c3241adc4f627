//! Command lines: one argument a line.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;

use qemu_cmd::{Command, CommandLine, Invocation};

use crate::bounds::in_time;

/// A passphrase that is easy to find.
const PASSPHRASE: &str = "hunter2";

pub(crate) fn argv(input: &[u8]) {
    let args: Vec<OsString> = input.split(|byte| *byte == b'\n').map(|arg| OsStr::from_bytes(arg).to_owned()).collect();
    let mut shown = String::new();
    let mut secret = false;
    match CommandLine::parse(args.clone()) {
        Err(error) => show(&mut shown, &error),
        Ok(line) => {
            for explained in line.explain() {
                write!(shown, "{explained:?}").expect("memory");
            }
            line.lint().iter().for_each(|finding| show(&mut shown, finding));
            write!(shown, "{line:?}").expect("memory");
            match line.invocation() {
                Err(error) => show(&mut shown, &error),
                Ok(invocation) => {
                    show(&mut shown, &invocation);
                    secret = invocation.secrets().iter().any(|(_, secret)| holds(secret.expose()));
                    line_again(&invocation);
                }
            }
        }
    }
    match in_time(|| Command::parse(args.clone())) {
        Err(error) => show(&mut shown, &error),
        Ok(command) => command_again(&command, &mut shown),
    }
    // Elsewhere it may stand for anything.
    let written = args.iter().map(|arg| arg.to_string_lossy().matches(PASSPHRASE).count()).sum::<usize>();
    if secret && written == 1 {
        assert!(!shown.contains(PASSPHRASE), "{shown}");
    }
}

fn show(shown: &mut String, what: &(impl std::fmt::Display + std::fmt::Debug)) {
    write!(shown, "{what}\n{what:?}\n").expect("memory");
}

fn holds(secret: &[u8]) -> bool {
    secret.windows(PASSPHRASE.len()).any(|window| window == PASSPHRASE.as_bytes())
}

/// The arguments, passphrases and all.
fn written(invocation: &Invocation) -> Vec<OsString> {
    invocation.argv(|id| {
        let secret = invocation.secrets().iter().find(|(other, _)| other == id).expect("the secret of a slot");
        let text = str::from_utf8(secret.1.expose()).expect("a passphrase").replace(',', ",,");
        format!("secret,id={id},data={text}").into()
    })
}

/// What is rendered is read again, and rendered the same.
fn line_again(invocation: &Invocation) {
    let argv = written(invocation);
    let line = CommandLine::parse(argv.clone()).unwrap_or_else(|error| panic!("{argv:?}: {error}"));
    let again = line.invocation().unwrap_or_else(|error| panic!("{argv:?}: {error}"));
    assert_eq!(written(&again), argv);
}

/// The typed command, too.
fn command_again(command: &Command, shown: &mut String) {
    match command.invocation() {
        Err(error) => show(shown, &error),
        Ok(invocation) => {
            show(shown, &invocation);
            let argv = written(&invocation);
            let again = Command::parse(argv.clone()).unwrap_or_else(|error| panic!("{argv:?}: {error}"));
            assert_eq!(again, *command, "{argv:?}");
            assert_eq!(written(&again.invocation().expect("what was rendered")), argv);
        }
    }
}
