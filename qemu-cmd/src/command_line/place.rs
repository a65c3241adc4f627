//! Which argument an error is about.

use super::values::name_and_value;
use super::{CommandLine, Given, Meaning, Piece};
use crate::{KeyVal, ParseError};

impl CommandLine {
    /// The error, about the operand.
    pub(crate) fn at_operand(&self, index: usize, error: impl Into<ParseError>) -> ParseError {
        let mut operands = self.pieces.iter().filter(|piece| matches!(piece.meaning, Meaning::Operand(_)));
        error.into().or_at(operands.nth(index).map(|piece| piece.at))
    }

    /// The error, about the request for help.
    pub(crate) fn at_help(&self, error: impl Into<ParseError>) -> ParseError {
        let help = self.pieces.iter().find(|piece| matches!(piece.meaning, Meaning::Help));
        error.into().or_at(help.map(|piece| piece.at))
    }

    /// The error, about the operand of `dd`.
    pub(crate) fn at_dd_operand(&self, name: &str, error: impl Into<ParseError>) -> ParseError {
        let names = |operand| name_and_value(operand).is_some_and(|(other, _)| other == name);
        match self.operands().enumerate().filter(|(_, operand)| names(operand)).last() {
            Some((index, _)) => self.at_operand(index, error),
            None => error.into(),
        }
    }

    /// The error, about the option, which is where it was given last.
    pub(crate) fn at_option(&self, option: &str, error: impl Into<ParseError>) -> ParseError {
        self.at_given(|given| given.spec.is(option), error)
    }

    pub(crate) fn at_given(&self, is_meant: impl Fn(&Given) -> bool, error: impl Into<ParseError>) -> ParseError {
        let has = |piece: &&Piece| match &piece.meaning {
            Meaning::Options(options) => options.iter().any(&is_meant),
            _ => false,
        };
        error.into().or_at(self.pieces.iter().rev().find(has).map(|piece| piece.at))
    }

    /// The error, about the value of the option, which is the last one.
    pub(crate) fn at_value(&self, option: &str, error: impl Into<ParseError>) -> ParseError {
        let given = self.given().rev().find(|given| given.spec.is(option));
        error.into().or_at(given.map(|given| given.value_at))
    }

    /// The error, about that create option.
    pub(crate) fn at_create_option(&self, key: &str, error: impl Into<ParseError>) -> ParseError {
        self.in_create_options(error.into().of_key(key))
    }

    /// The error, about the create option of its key.
    pub(crate) fn in_create_options(&self, error: impl Into<ParseError>) -> ParseError {
        let error = error.into();
        let Some(key) = error.key() else { return self.at_value("o", error) };
        let names = |given: &&Given| {
            let list = given.value.as_deref().filter(|_| given.spec.is("o")).map(KeyVal::parse);
            list.is_some_and(|list| list.get(key).is_some())
        };
        let at = self.given().rev().find(names).map(|given| given.value_at);
        error.or_at(at)
    }
}
