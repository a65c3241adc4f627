//! An executor of your own, held by property tests with the strategies of `qemu-cmd` (feature `proptest`).
//!
//! The executor runs again what ran out of time or memory, as on a busy host, but for what changes an image: of that,
//! half may be done. Does it ever repeat such a command? No list of examples tells; the strategies know every subcommand
//! with every option, and combine them.
//!
//! `cargo run -p qemu-exec --example property_tests -- info --output=json -f raw disk.img` runs a command with it;
//! `cargo test -p qemu-exec --example property_tests` runs the tests below.

use std::time::Duration;

use qemu_exec::cmd::Command;
use qemu_exec::{End, Error, Executor, LocalExecutor, Outcome, Plan, Request};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let command = Command::parse(std::env::args_os().skip(1))?;
    let patient = Patient { inner: LocalExecutor::new(), times: 3 };
    let outcome = patient.run(Request::new(&command.invocation()?).timeout(Some(Duration::from_secs(10))))?;
    print!("{}{}", String::from_utf8_lossy(&outcome.stdout), String::from_utf8_lossy(&outcome.stderr));
    Ok(())
}

/// The code under test: runs what only reads up to so many times, until it has an answer.
#[derive(Debug)]
pub(crate) struct Patient<E> {
    pub(crate) inner: E,
    pub(crate) times: usize,
}

impl<E: Executor> Executor for Patient<E> {
    fn plan(&self, request: &Request<'_>) -> Result<Plan, Error> {
        self.inner.plan(request)
    }

    fn run<'a>(&self, request: Request<'a>) -> Result<Outcome, Error> {
        let mut outcome = self.inner.run(request.clone())?;
        let only_reads = request.invocation.writes().is_empty();
        for _ in 1..self.times {
            if !only_reads || !matches!(outcome.end, End::TimedOut | End::OutOfMemory { .. }) {
                break;
            }
            outcome = self.inner.run(request.clone())?;
        }
        Ok(outcome)
    }

    fn is_elsewhere(&self) -> bool {
        self.inner.is_elsewhere()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use proptest::prelude::*;
    use qemu_exec::cmd::strategies::World;

    use super::*;

    /// Ends as it is told, and remembers what it was given.
    struct Script {
        ends: Mutex<Vec<End>>,
        lines: Mutex<Vec<String>>,
    }

    impl Executor for Script {
        fn plan(&self, request: &Request<'_>) -> Result<Plan, Error> {
            LocalExecutor::new().plan(request)
        }

        fn run<'a>(&self, request: Request<'a>) -> Result<Outcome, Error> {
            let lock = |_| Error::new(qemu_exec::ErrorKind::Failed);
            self.lines.lock().map_err(lock)?.push(request.invocation.to_string());
            let end = self.ends.lock().map_err(|_| Error::new(qemu_exec::ErrorKind::Failed))?.pop();
            Ok(Outcome::new(end.unwrap_or(End::Exited(0)), "", ""))
        }
    }

    fn ends() -> impl Strategy<Value = Vec<End>> {
        let end = prop_oneof![
            1 => Just(End::Exited(0)),
            1 => Just(End::Exited(1)),
            4 => Just(End::TimedOut),
            2 => Just(End::OutOfMemory { limit: None }),
            1 => Just(End::Cancelled),
        ];
        proptest::collection::vec(end, 0..6)
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn it_is_patient_with_what_reads_and_with_nothing_else(
            command in World::hostile().command(),
            ends in ends(),
            times in 1..5_usize,
        ) {
            // What qemu-img would refuse is refused here already, and is no case.
            let Ok(invocation) = command.invocation() else { return Ok(()) };
            let inner = Script { ends: Mutex::new(ends.clone()), lines: Mutex::default() };
            let patient = Patient { inner, times };
            let outcome = patient.run(Request::new(&invocation));
            let lines = patient.inner.lines.lock().map(|lines| lines.clone()).unwrap_or_default();
            prop_assert!(lines.iter().all(|line| *line == invocation.to_string()));
            prop_assert!(lines.len() <= times, "{} runs of {}", lines.len(), invocation);

            let end = outcome.map(|outcome| outcome.end).map_err(|error| TestCaseError::fail(error.to_string()))?;
            let given_up = matches!(end, End::TimedOut | End::OutOfMemory { .. });
            let subcommand = invocation.subcommand().to_string_lossy();
            match &*subcommand {
                // Whatever its options say.
                "amend" | "bitmap" | "commit" | "convert" | "create" | "dd" | "rebase" | "resize" => {
                    prop_assert_eq!(lines.len(), 1, "{} was repeated", invocation);
                }
                "info" | "map" | "compare" | "measure" => {
                    prop_assert!(!given_up || lines.len() == times, "{} was given up", invocation);
                }
                _ => {}
            }
        }
    }
}
