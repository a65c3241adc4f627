//! Every option of every subcommand, once: what the parser, the checks, the explanations, the shell completions and
//! the manual page are made of, and what is compared with the real programs.

mod bench;
mod build;
mod chain;
mod convert;
mod inspect;
pub(crate) mod keys;
mod new;
mod subcommand;

use crate::Availability;

pub(crate) use keys::KeySpec;
pub use subcommand::{OperandSpec, Subcommand};

/// An option of a subcommand.
///
/// `-h` and `--help` are options of every subcommand, and not listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OptionSpec {
    /// The letter after `-`, if there is one that is the same in every version that has the option.
    pub short: Option<char>,
    /// The other spellings, of all versions, Debian's included. The first one is what the option is called here if
    /// it has no letter.
    pub names: &'static [Spelling],
    /// Its value, if it takes one.
    pub value: Option<ValueSpec>,
    /// What it does, and its default.
    pub doc: &'static str,
    /// In which versions it exists.
    pub availability: Availability,
    /// The options of the same subcommand that it cannot stand beside.
    pub excludes: &'static [Because],
    /// The options of the same subcommand that it needs beside it, all of them.
    pub needs: &'static [Because],
}

/// A spelling of an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Spelling {
    /// The name without dashes; a single character is a letter.
    pub text: &'static str,
    /// In which versions it exists, as far as they have the option.
    pub availability: Availability,
}

/// Another option, and the reason for what is between the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Because {
    /// The other option, by its [key](OptionSpec::key).
    pub option: &'static str,
    /// The reason, with the way out.
    pub reason: &'static str,
}

/// The value of an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ValueSpec {
    /// What it is called.
    pub name: &'static str,
    /// What it is.
    pub kind: ValueKind,
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ValueKind {
    /// Any text.
    Text,
    /// An image.
    Image,
    /// The name of an image format.
    Format,
    /// A size, with an optional suffix.
    Size,
    /// A whole number within bounds.
    Number {
        /// The smallest.
        min: u32,
        /// The largest.
        max: u32,
        /// What is wrong with another.
        reason: &'static str,
    },
    /// One of these.
    Choice {
        /// What can be chosen.
        of: &'static [&'static str],
        /// What is wrong with another.
        reason: &'static str,
    },
    /// A list of `key=value`.
    Options,
    /// An object: a type and a list of `key=value`, or JSON.
    Object,
}

impl OptionSpec {
    /// What the option is called here: its letter, or its first name.
    #[must_use]
    pub fn key(&self) -> &'static str {
        const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        match self.short.and_then(|letter| LETTERS.find(letter)) {
            Some(at) => LETTERS.get(at..=at).unwrap_or_default(),
            None => self.names.first().map_or("", |name| name.text),
        }
    }

    /// Whether it is called that, by its letter or by any of its names.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        let letter = if let [letter] = name.as_bytes() { Some(char::from(*letter)) } else { None };
        (letter.is_some() && letter == self.short) || self.names.iter().any(|other| other.text == name)
    }

    /// How it is best written: by the letter, or else by its first name.
    #[must_use]
    pub fn spelled(&self) -> String {
        match (self.short, self.names.first()) {
            (Some(letter), _) => format!("-{letter}"),
            (None, name) => name.map_or_else(String::new, Spelling::spelled),
        }
    }

    /// Its letters, each with the name that it is; the portable one has none.
    pub fn letters(&self) -> impl Iterator<Item = (char, Option<&'static Spelling>)> + use<> {
        let portable = self.short.map(|letter| (letter, None));
        let others = self.names.iter().filter_map(|name| Some((name.letter()?, Some(name))));
        portable.into_iter().chain(others)
    }

    /// Its long names.
    pub fn long_names(&self) -> impl Iterator<Item = &'static Spelling> + use<> {
        self.names.iter().filter(|name| name.letter().is_none())
    }
}

impl Spelling {
    /// The name with its dashes.
    #[must_use]
    pub fn spelled(&self) -> String {
        format!("{}{}", if self.letter().is_some() { "-" } else { "--" }, self.text)
    }

    fn letter(&self) -> Option<char> {
        let mut chars = self.text.chars();
        chars.next().filter(|_| chars.next().is_none())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn no_subcommand_has_a_spelling_twice() {
        for subcommand in Subcommand::ALL {
            let mut seen = Vec::new();
            for spec in subcommand.options() {
                let letters = spec.letters().map(|(letter, _)| letter.to_string());
                for text in letters.chain(spec.long_names().map(|name| name.text.to_owned())) {
                    assert!(!seen.contains(&text), "{}: {text}", subcommand.as_str());
                    assert_ne!(text, "h");
                    seen.push(text);
                }
                assert!(spec.is(spec.key()), "{spec:?}");
                assert!(!spec.key().is_empty(), "{spec:?}");
            }
        }
    }

    #[test]
    fn what_is_said_of_other_options_is_of_options_that_exist() {
        for subcommand in Subcommand::ALL {
            let exists = |key: &str| subcommand.options().iter().any(|spec| spec.is(key));
            for spec in subcommand.options() {
                for other in spec.excludes.iter().chain(spec.needs) {
                    assert!(exists(other.option), "{}: {}", subcommand.as_str(), other.option);
                    assert!(!spec.is(other.option), "{}: {}", subcommand.as_str(), other.option);
                    assert!(!other.reason.ends_with('.'), "{}", other.reason);
                }
            }
            for choice in subcommand.spec().choices {
                assert!(choice.of.iter().all(|key| exists(key)), "{}: {:?}", subcommand.as_str(), choice.of);
            }
        }
    }

    #[test]
    fn names_are_found() {
        for subcommand in Subcommand::ALL {
            assert_eq!(Subcommand::from_name(subcommand.as_str().as_ref()), Some(*subcommand));
        }
        assert_eq!(Subcommand::NAMES.len(), 15);
        assert_eq!(Subcommand::from_name("copy".as_ref()), None);
        let size = Subcommand::Measure.options().iter().find(|spec| spec.is("size")).unwrap();
        assert_eq!(size.spelled(), "--size");
        assert_eq!(size.letters().map(|(letter, _)| letter).collect::<String>(), "s");
    }
}
