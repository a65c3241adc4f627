//! What qemu-img would always reject in a command line, or get silently wrong: first what the table says of every
//! subcommand, then what it cannot say.

use super::{CommandLine, rules, values};
use crate::{Error, Location, ParseError, Subcommand};

pub(super) fn check(line: &CommandLine, reads: &[Location], writes: &[Location]) -> Result<(), ParseError> {
    if rules::asks_for_option_help(line) {
        return Ok(());
    }
    check_operands(line)?;
    check_choices(line)?;
    check_pairs(line)?;
    rules::check(line)?;
    if matches!(line.subcommand, Subcommand::Convert | Subcommand::Dd) {
        rules::check_not_same(reads, writes)?;
    }
    check_values(line)
}

fn check_operands(line: &CommandLine) -> Result<(), ParseError> {
    let spec = line.subcommand.spec();
    if line.subcommand == Subcommand::Dd {
        // They are told apart by their names.
        return Ok(());
    }
    let given = line.operands().count();
    let mut min = spec.operands.iter().fold(0, |sum, operand| operand.min.saturating_add(sum));
    let mut max = spec.operands.iter().fold(0, |sum, operand| operand.max.saturating_add(sum));
    if line.subcommand == Subcommand::Bitmap && rules::removes_all_bitmaps_only(line) {
        (min, max) = (1, 1);
    }
    if (min..=max).contains(&given) {
        return Ok(());
    }
    Err(ParseError::Operands { subcommand: spec.name, needs: spec.needs, given })
}

fn check_choices(line: &CommandLine) -> Result<(), ParseError> {
    for choice in line.subcommand.spec().choices {
        let given = line.given().filter(|given| choice.of.iter().any(|key| given.spec.is(key))).count();
        if given < choice.min || given > choice.max {
            return Err(Error::Options(choice.reason).into());
        }
    }
    Ok(())
}

fn check_pairs(line: &CommandLine) -> Result<(), ParseError> {
    for given in line.given() {
        let excluded = given.spec.excludes.iter().find(|other| line.has(other.option));
        let missing = given.spec.needs.iter().find(|other| !line.has(other.option));
        if let Some(because) = excluded.or(missing) {
            return Err(Error::Options(because.reason).into());
        }
    }
    Ok(())
}

fn check_values(line: &CommandLine) -> Result<(), ParseError> {
    for given in line.given() {
        if let (Some(value), Some(text)) = (given.spec.value, &given.value)
            && let Some(reason) = values::wrong(value.kind, text)
        {
            return Err(Error::Options(reason).into());
        }
    }
    Ok(())
}
