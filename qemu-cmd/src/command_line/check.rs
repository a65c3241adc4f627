//! What qemu-img would always reject in a command line, or get silently wrong: first what the table says of every
//! subcommand, then what it cannot say.

use super::{CommandLine, Given, rules, values};
use crate::{Error, ParseError, ParseErrorKind, Subcommand};

impl CommandLine {
    /// Refuses what qemu-img would.
    pub(crate) fn check(&self) -> Result<(), ParseError> {
        if self.asks_for_help() || rules::asks_for_option_help(self) {
            return Ok(());
        }
        check(self).map_err(|error| error.of(self.subcommand))
    }
}

fn check(line: &CommandLine) -> Result<(), ParseError> {
    check_operands(line)?;
    check_choices(line)?;
    check_pairs(line)?;
    rules::check(line)?;
    check_values(line)
}

fn check_operands(line: &CommandLine) -> Result<(), ParseError> {
    let spec = line.subcommand.spec();
    if line.subcommand == Subcommand::Dd {
        // They are told apart by their names.
        return Ok(());
    }
    let given = line.operands().count();
    let min = spec.operands.iter().fold(0, |sum, operand| operand.min.saturating_add(sum));
    let max = spec.operands.iter().fold(0, |sum, operand| operand.max.saturating_add(sum));
    let (min, max, needs) = match line.subcommand {
        Subcommand::Bitmap if rules::removes_all_bitmaps_only(line) => (1, 1, "one image if all bitmaps are removed"),
        _ => (min, max, spec.needs),
    };
    if (min..=max).contains(&given) {
        return Ok(());
    }
    let error = ParseErrorKind::Operands { subcommand: spec.name, needs, given };
    // The first that is too many, if there are.
    Err(line.at_operand(max, error))
}

fn check_choices(line: &CommandLine) -> Result<(), ParseError> {
    for choice in line.subcommand.spec().choices {
        let is_one = |given: &Given| choice.of.iter().any(|key| given.spec.is(key));
        let given = line.given().filter(|given| is_one(given)).count();
        if given < choice.min || given > choice.max {
            return Err(line.at_given(is_one, Error::Options(choice.reason)));
        }
    }
    Ok(())
}

fn check_pairs(line: &CommandLine) -> Result<(), ParseError> {
    let mut checked = None;
    for given in line.given() {
        // Often many `-o` in a row.
        if checked.replace(given.spec).is_some_and(|spec| std::ptr::eq(spec, given.spec)) {
            continue;
        }
        let excluded = given.spec.excludes.iter().find(|other| line.has(other.option));
        let missing = given.spec.needs.iter().find(|other| !line.has(other.option));
        if let Some(because) = excluded.or(missing) {
            return Err(line.at_option(given.spec.key(), Error::Options(because.reason)));
        }
    }
    Ok(())
}

fn check_values(line: &CommandLine) -> Result<(), ParseError> {
    for given in line.given() {
        if let (Some(value), Some(text)) = (given.spec.value, &given.value)
            && let Some(reason) = values::wrong(value.kind, text)
        {
            return Err(ParseError::value(given.spelled(), text, reason).or_at(Some(given.value_at)));
        }
    }
    Ok(())
}
