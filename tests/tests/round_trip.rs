//! What is rendered parses back to the same command, and means the same when it is rendered again.
//!
//! `QEMU_TESTS_LONG=1` runs 10,000 cases instead of 512; a failure prints the minimal case, and `PROPTEST_RNG_SEED`
//! in the environment repeats a seed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::ffi::OsString;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use qemu_cmd::strategies::command;
use qemu_cmd::{Command, Invocation};

/// The arguments with the passphrases in them, as only a test may write them.
fn argv(invocation: &Invocation) -> Vec<OsString> {
    invocation.argv(|id| {
        let (_, secret) = invocation.secrets().iter().find(|(other, _)| other == id).unwrap();
        let text = std::str::from_utf8(secret.expose()).unwrap().replace(',', ",,");
        format!("secret,id={id},data={text}").into()
    })
}

#[test]
fn every_command_parses_back() {
    let cases = if std::env::var_os("QEMU_TESTS_LONG").is_some() { 10_000 } else { 512 };
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let mut accepted = 0;
    let result = runner.run(&command(), |command| {
        let Ok(invocation) = command.invocation() else { return Ok(()) };
        let argv = argv(&invocation);
        let parsed = Command::parse(argv.clone());
        prop_assert!(parsed.is_ok(), "{invocation}\n{}", parsed.unwrap_err());
        let parsed = parsed.unwrap();
        prop_assert_eq!(&parsed, &command, "{}", invocation);
        let again = parsed.invocation();
        prop_assert!(again.is_ok(), "{invocation}\n{}", again.unwrap_err());
        prop_assert_eq!(self::argv(&again.unwrap()), argv);
        Ok(())
    });
    result.unwrap_or_else(|failure| panic!("{failure}"));
    // The same strategy again, to know that it is worth something.
    let mut runner = TestRunner::deterministic();
    for _ in 0..200 {
        let command = command().new_tree(&mut runner).unwrap().current();
        accepted += usize::from(command.invocation().is_ok());
    }
    assert!(accepted > 80, "{accepted} of 200 are accepted");
}
