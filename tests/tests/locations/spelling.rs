//! What is spelled can be read again, whatever stands in it.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestRunner};
use qemu_cmd::strategies;
use qemu_cmd::{Error, Info, KeyVal, Location, PROTOCOLS, Source, SourceForm};
use tests::long;
use tests::property::tries;

type Checked = Result<(), TestCaseError>;

fn check<S: Strategy>(strategy: S, property: impl Fn(S::Value) -> Checked) {
    let tries = tries(if long() { 10_000 } else { 1000 });
    TestRunner::new(tries).run(&strategy, property).unwrap_or_else(|failure| panic!("{failure}"));
}

/// The operand that a place becomes in a form.
fn operand(place: &Location, form: Option<SourceForm>) -> Result<OsString, Error> {
    let source = form.into_iter().fold(Source::raw(place.clone()), Source::form);
    let invocation = Info::new(source).invocation()?;
    Ok(invocation.argv(|_| unreachable!("a place holds no secret"))[1].clone())
}

/// The protocol node in a list of options.
fn node(options: &OsStr) -> KeyVal {
    let options = KeyVal::parse(options);
    let file = options.iter().filter_map(|(key, value)| Some((key.strip_prefix("file.")?, value)));
    file.fold(KeyVal::new(), |node, (key, value)| node.with(key, value))
}

fn check_refusal(refusal: &Error) -> Checked {
    let text = refusal.to_string();
    prop_assert!(text.starts_with(|c: char| c.is_ascii_lowercase() || c == '`'), "{text}");
    prop_assert!(!text.ends_with('.') && !text.contains(['\n', '\r']), "{text:?}");
    Ok(())
}

#[test]
fn nodes_can_be_read_again() {
    check(strategies::location(), |place| match operand(&place, Some(SourceForm::ImageOpts)) {
        Ok(options) => {
            let node = node(&options);
            prop_assert_eq!(&Location::from_node(node.clone()), &place);
            // The order of the keys means nothing, and is kept only where they are.
            let mut pairs: Vec<_> = node.iter().collect();
            pairs.sort();
            let sorted = pairs.into_iter().fold(KeyVal::new(), |node, (key, value)| node.with(key, value));
            let again = Location::from_node(sorted);
            prop_assert!(again == place || format!("{place:?}").contains("OpenNode"), "{again:?}");
            Ok(())
        }
        Err(refusal) => check_refusal(&refusal),
    });
}

#[test]
fn plain_names_can_be_read_again() {
    check(strategies::location(), |place| match operand(&place, Some(SourceForm::Plain)) {
        Ok(name) => {
            prop_assert_eq!(Location::from_plain_name(&name), place);
            let text = name.to_string_lossy();
            let is_protocol = PROTOCOLS.iter().any(|known| text.starts_with(&format!("{known}:")));
            let is_path = ["/", "./", "../"].iter().any(|start| text.starts_with(start)) || text == "." || text == "..";
            prop_assert!(is_protocol || is_path, "{text}");
            Ok(())
        }
        Err(refusal) => check_refusal(&refusal),
    });
}

#[test]
fn the_form_is_chosen_by_what_there_is() {
    check(strategies::location(), |place| {
        let plain = operand(&place, Some(SourceForm::Plain));
        let wanted = match plain {
            Err(Error::LocationNeedsNode { .. }) => operand(&place, Some(SourceForm::ImageOpts)),
            plain => plain,
        };
        prop_assert_eq!(operand(&place, None), wanted);
        Ok(())
    });
}

#[test]
fn any_name_is_read_and_keeps_its_meaning() {
    let protocols = proptest::sample::select(PROTOCOLS);
    let middle = proptest::sample::select(&[":", "://", ":///"][..]);
    let name = (protocols, middle, strategies::text(), "[/:@?&=]{0,2}", strategies::text())
        .prop_map(|(protocol, middle, first, between, last)| format!("{protocol}{middle}{first}{between}{last}"));
    check(name, |name| {
        let place = Location::from_plain_name(name.as_ref());
        match (&place, operand(&place, Some(SourceForm::Plain))) {
            (Location::Protocol(kept), Ok(spelled)) => {
                prop_assert_eq!(kept, &OsString::from(&name));
                prop_assert_eq!(kept, &spelled);
            }
            // A relative path gets `./` in front.
            (Location::File(path), Ok(spelled)) => {
                let again = Location::from_plain_name(&spelled);
                let again = again.path().map(|again| again.strip_prefix("./").unwrap_or(again).to_owned());
                prop_assert_eq!(again.as_deref(), Some(path.strip_prefix("./").unwrap_or(path)));
            }
            (_, Ok(spelled)) => prop_assert_eq!(Location::from_plain_name(&spelled), place),
            (Location::Protocol(_) | Location::File(_), Err(refusal)) => check_refusal(&refusal)?,
            (place, Err(refusal)) => prop_assert!(false, "{place:?}: {refusal}"),
        }
        Ok(())
    });
}

#[test]
fn any_keys_are_read_and_keep_their_meaning() {
    check(strategies::node_keys(), |keys| {
        let place = Location::from_node(keys.clone());
        match operand(&place, Some(SourceForm::ImageOpts)) {
            Ok(options) => {
                let spelled = node(&options);
                // Of a key that was given twice, the last is left.
                for (key, _) in keys.iter() {
                    let (again, wanted) = (spelled.get(key).unwrap(), keys.get(key).unwrap());
                    let dotted = matches!(place, Location::File(_))
                        && Path::new(again).strip_prefix("./") == Ok(Path::new(wanted));
                    prop_assert!(again == wanted || dotted, "{}: {:?}", key, again);
                }
                prop_assert_eq!(Location::from_node(spelled), place);
                Ok(())
            }
            Err(refusal) => check_refusal(&refusal),
        }
    });
}

#[test]
fn most_random_places_are_accepted() {
    let mut runner = TestRunner::deterministic();
    let (mut nodes, mut names) = (0, 0);
    for _ in 0..2000 {
        let place = strategies::location().new_tree(&mut runner).unwrap().current();
        nodes += usize::from(operand(&place, Some(SourceForm::ImageOpts)).is_ok());
        names += usize::from(operand(&place, Some(SourceForm::Plain)).is_ok());
    }
    assert!(nodes > 1000 && names > 400, "{nodes} nodes and {names} names of 2000");
}
