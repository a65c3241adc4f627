//! What holds of every command, checked on random ones and on the whole matrix of image kinds.
//!
//! Each property is tried on 256 random commands, or on 10,000 with `QEMU_TESTS_LONG` set.
//!
//! `grammar` reads arguments as qemu-img does, and on purpose not with the library's own reader; `reference` is the
//! combinations.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod grammar;
mod reference;

use std::collections::HashSet;
use std::ffi::OsString;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use qemu_cmd::strategies::{self, SECRET_MARK};
use qemu_cmd::{Arg, CommandLine, Convert, Create, Error, Info, Invocation};
use tests::long;
use tests::property::tries;

type Checked = Result<(), TestCaseError>;

/// Tries a property on random values.
fn check<S: Strategy>(strategy: &S, property: impl Fn(S::Value) -> Checked) {
    let cases = if long() { 10_000 } else { Config::default().cases };
    TestRunner::new(tries(cases)).run(strategy, property).unwrap_or_else(|failure| panic!("{failure}"));
}

/// A command of any kind.
#[allow(clippy::large_enum_variant, reason = "there are few of them")]
#[derive(Clone, Debug)]
enum Command {
    Convert(Convert),
    Create(Create),
    Info(Info),
}

impl Command {
    fn invocation(&self) -> Result<Invocation, Error> {
        match self {
            Self::Convert(command) => command.invocation(),
            Self::Create(command) => command.invocation(),
            Self::Info(command) => command.invocation(),
        }
    }
}

fn command() -> BoxedStrategy<Command> {
    prop_oneof![
        2 => strategies::convert().prop_map(Command::Convert),
        1 => strategies::create().prop_map(Command::Create),
        1 => strategies::info().prop_map(Command::Info),
    ]
    .boxed()
}

/// Tries a property on random commands that are accepted.
fn check_accepted(property: impl Fn(&Command, &Invocation) -> Checked) {
    let accepted = command().prop_filter_map("accepted", |command| {
        let invocation = command.invocation().ok()?;
        Some((command, invocation))
    });
    check(&accepted, |(command, invocation)| property(&command, &invocation));
}

/// The arguments, with secrets where an executor would put them.
fn argv(invocation: &Invocation) -> Vec<OsString> {
    invocation.argv(|id| format!("secret,id={id},file=/dev/fd/3").into())
}

#[test]
fn arguments_obey_the_grammar_and_name_what_was_meant() {
    check_accepted(grammar::check_arguments);
}

/// What a passphrase could look like in an output: a part of it as text, as a list of bytes, in hexadecimal.
fn traces(secret: &[u8]) -> impl Iterator<Item = String> {
    secret.windows(8).filter(|part| part.iter().all(u8::is_ascii_alphanumeric)).flat_map(|part| {
        let join = |with: &dyn Fn(&u8) -> String, by: &str| part.iter().map(with).collect::<Vec<_>>().join(by);
        [
            String::from_utf8(part.to_vec()).unwrap(),
            join(&u8::to_string, ", "),
            join(&|byte| format!("{byte:02x}"), ""),
            join(&|byte| format!("{byte:02X}"), ""),
        ]
    })
}

fn check_redacted(text: &str, secrets: &[&[u8]]) -> Checked {
    for secret in secrets {
        let trace = traces(secret).find(|trace| text.contains(trace));
        prop_assert!(trace.is_none(), "`{}` shows a passphrase: {text}", trace.unwrap());
    }
    Ok(())
}

#[test]
fn no_passphrase_is_printed() {
    let mark = SECRET_MARK.as_bytes();
    check(&command(), |command| {
        check_redacted(&format!("{command:?}{command:#?}"), &[mark])?;
        match command.invocation() {
            Ok(invocation) => {
                let mut secrets: Vec<&[u8]> = invocation.secrets().iter().map(|(_, secret)| secret.expose()).collect();
                secrets.push(mark);
                check_redacted(&format!("{command:?}{invocation:?}{invocation:#?}{invocation}"), &secrets)?;
                let argv: Vec<_> = argv(&invocation).iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
                check_redacted(&argv.join("\n"), &secrets)
            }
            Err(refusal) => check_redacted(&format!("{refusal:?}{refusal}"), &[mark]),
        }
    });
    check(&(strategies::secret(), strategies::luks(), strategies::source(), strategies::target()), |values| {
        check_redacted(&format!("{values:?}"), &[values.0.expose(), mark])
    });
}

#[test]
fn a_passphrase_on_a_command_line_is_taken_out() {
    let line = (strategies::secret(), strategies::secret_id(), any::<bool>(), 0..3_usize);
    check(&line, |(secret, id, attached, place)| {
        let data = String::from_utf8(secret.expose().to_vec()).unwrap().replace(',', ",,");
        let object = format!("secret,id={id},data={data}");
        let object = if attached { vec![format!("--object={object}")] } else { vec!["--object".to_owned(), object] };
        let mut args: Vec<String> = ["convert", "a", "b"].map(Into::into).into();
        args.splice(place + 1..place + 1, object);
        let line =
            CommandLine::parse(args.into_iter().map(Into::into)).map_err(|e| TestCaseError::fail(e.to_string()))?;
        let invocation = line.invocation().map_err(|e| TestCaseError::fail(e.to_string()))?;
        prop_assert_eq!(invocation.secrets()[0].1.expose(), secret.expose());
        prop_assert!(invocation.args().contains(&Arg::Secret(id)));
        check_redacted(&format!("{line:?}{invocation:?}{invocation}"), &[secret.expose()])
    });
}

#[test]
fn the_same_command_gives_the_same_arguments() {
    check(&command(), |command| {
        let args = |command: &Command| command.invocation().map(|invocation| invocation.args().to_vec());
        prop_assert_eq!(args(&command), args(&command));
        prop_assert_eq!(args(&command), args(&command.clone()));
        Ok(())
    });
}

#[test]
fn what_is_written_can_be_read_again() {
    check_accepted(|_, invocation| {
        let argv = argv(invocation);
        let line = CommandLine::parse(argv.clone()).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let again = line.invocation().map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(again.argv(|_| panic!("a slot")), argv);
        prop_assert_eq!(again.output(), invocation.output());
        Ok(())
    });
}

fn check_refusal(refusal: &Error) -> Checked {
    let text = refusal.to_string();
    prop_assert!(text.starts_with(|c: char| c.is_ascii_lowercase() || c == '`'), "{text}");
    prop_assert!(!text.ends_with('.') && !text.contains(['\n', '\r']), "{text:?}");
    check_redacted(&text, &[SECRET_MARK.as_bytes()])
}

#[test]
fn a_refusal_is_one_plain_line() {
    let refused = command().prop_filter_map("refused", |command| command.invocation().err());
    check(&refused, |refusal| check_refusal(&refusal));
}

/// Some refusals are rare, so the same is checked on enough commands for all of them to occur.
#[test]
fn every_refusal_is_one_plain_line() {
    let mut runner = TestRunner::deterministic();
    let strategy = command();
    let mut seen = HashSet::new();
    for _ in 0..10_000 {
        if let Err(refusal) = strategy.new_tree(&mut runner).unwrap().current().invocation() {
            check_refusal(&refusal).unwrap_or_else(|error| panic!("{error}"));
            seen.insert(std::mem::discriminant(&refusal));
        }
    }
    assert!(seen.len() >= 24, "{} kinds of refusals", seen.len());
}

/// Strategies that mostly give what is refused would test little.
#[test]
fn most_commands_are_accepted() {
    for (strategy, least) in [
        (strategies::convert().prop_map(Command::Convert).boxed(), 40),
        (strategies::create().prop_map(Command::Create).boxed(), 40),
        (strategies::info().prop_map(Command::Info).boxed(), 60),
    ] {
        let mut runner = TestRunner::deterministic();
        let mut accepted = || strategy.new_tree(&mut runner).unwrap().current().invocation().is_ok();
        let rate = (0..2000).filter(|_| accepted()).count() / 20;
        assert!(rate >= least, "{rate} % accepted");
        assert!(rate < 95, "{rate} % accepted: refusals are to be tested too");
    }
}
