//! Options of qimg that stand among those of a subcommand.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

use super::Own;
use crate::Error;

/// The options of qimg that were given, by their long names, with their values; and the other arguments, which are
/// qemu-img's.
type Taken = (Vec<(&'static str, OsString)>, Vec<OsString>);

/// Takes these options out of arguments, up to `--`. The value of one that takes none is empty.
pub(crate) fn take_out(mut args: impl Iterator<Item = OsString>, of: &'static [Own]) -> Result<Taken, Error> {
    let (mut taken, mut rest) = (Vec::new(), Vec::new());
    while let Some(arg) = args.next() {
        if arg == "--" {
            rest.push(arg);
            rest.extend(args);
            break;
        }
        let (name, value) = at_equals(&arg);
        let Some(own) = of.iter().find(|own| name.as_bytes().strip_prefix(b"--") == Some(own.long.as_bytes())) else {
            rest.push(arg);
            continue;
        };
        let value = match (own.value, value.map(OsStr::to_owned)) {
            (Some(_), Some(value)) => value,
            (Some(of), None) => args.next().ok_or_else(|| format!("--{} needs a value: {of}", own.long))?,
            (None, Some(_)) => return Err(format!("--{} takes no value", own.long).into()),
            (None, None) => OsString::new(),
        };
        taken.push((own.long, value));
    }
    Ok((taken, rest))
}

/// `NAME=VALUE` in two, or `NAME` alone.
pub(crate) fn at_equals(text: &OsStr) -> (&OsStr, Option<&OsStr>) {
    let bytes = text.as_bytes();
    match bytes.iter().position(|byte| *byte == b'=').and_then(|at| bytes.split_at_checked(at)) {
        Some((name, value)) => (OsStr::from_bytes(name), value.get(1..).map(OsStr::from_bytes)),
        None => (text, None),
    }
}
