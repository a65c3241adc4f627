//! Arguments as sequences of units, so that any path survives: bytes on Unix, UTF-16 code units on Windows.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};

#[cfg(unix)]
pub(crate) type Unit = u8;
#[cfg(windows)]
pub(crate) type Unit = u16;

/// An ASCII character as a unit.
pub(crate) const fn ascii(c: u8) -> Unit {
    c as Unit
}

#[cfg(unix)]
pub(crate) fn units(text: &OsStr) -> Cow<'_, [Unit]> {
    std::os::unix::ffi::OsStrExt::as_bytes(text).into()
}

#[cfg(windows)]
pub(crate) fn units(text: &OsStr) -> Cow<'_, [Unit]> {
    std::os::windows::ffi::OsStrExt::encode_wide(text).collect::<Vec<_>>().into()
}

#[cfg(unix)]
pub(crate) fn from_units(units: Vec<Unit>) -> OsString {
    std::os::unix::ffi::OsStringExt::from_vec(units)
}

#[cfg(windows)]
pub(crate) fn from_units(units: Vec<Unit>) -> OsString {
    std::os::windows::ffi::OsStringExt::from_wide(&units)
}

/// The parts before and after the first of an ASCII character.
pub(crate) fn split_once(text: &OsStr, at: u8) -> Option<(OsString, OsString)> {
    let units = units(text);
    let mut halves = units.splitn(2, |&unit| unit == ascii(at));
    let first = halves.next()?.to_vec();
    Some((from_units(first), from_units(halves.next()?.to_vec())))
}
