//! Files and host devices.

use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};

use crate::os::{ascii, from_units, units};
use crate::{Error, KeyVal, Location};

/// The path, such that it is neither an option nor a protocol: a relative one gets `./` in front.
pub(super) fn safe(path: &Path) -> Result<OsString, Error> {
    if path.as_os_str().is_empty() {
        return Err(Error::PathEmpty);
    }
    if units(path.as_os_str()).contains(&0) {
        return Err(Error::PathNul { path: path.to_owned() });
    }
    if !matches!(path.components().next(), Some(Component::Normal(_))) {
        return Ok(path.as_os_str().to_owned());
    }
    let mut name = OsString::from("./");
    name.push(path);
    Ok(name)
}

/// The path without a `./` in front that it does not need: [`safe`] puts it back.
pub(super) fn bare(path: &Path) -> PathBuf {
    let units = units(path.as_os_str());
    let rest = units.strip_prefix(&[ascii(b'.'), ascii(b'/')]).map(|rest| PathBuf::from(from_units(rest.to_vec())));
    match rest {
        Some(rest) if matches!(rest.components().next(), Some(Component::Normal(_))) => rest,
        _ => path.to_owned(),
    }
}

/// The file that qemu opens by this name, which finds out by itself whether it is a device. What stands in `/dev` is
/// taken for one here, but for the places where files are.
pub(super) fn of_name(name: &OsStr) -> Location {
    let path = Path::new(name);
    let files = ["/dev/stdin", "/dev/stdout", "/dev/stderr", "/dev/fd", "/dev/shm"];
    if path.starts_with("/dev") && !files.iter().any(|file| path.starts_with(file)) {
        return Location::HostDevice(path.to_owned());
    }
    Location::File(bare(path))
}

pub(super) fn node(driver: &str, path: OsString) -> KeyVal {
    KeyVal::new().with("driver", driver).with("filename", path)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::{Error, Location};

    #[test]
    fn a_path_is_never_an_option_or_a_protocol() {
        for (path, name) in [
            ("a", "./a"),
            ("-f", "./-f"),
            ("nbd:x", "./nbd:x"),
            ("a,b", "./a,b"),
            ("./a", "./a"),
            ("../a", "../a"),
            ("/a:b", "/a:b"),
            ("json:{}", "./json:{}"),
        ] {
            assert_eq!(Location::from(path).plain_name().unwrap().unwrap(), name);
        }
        assert_eq!(Location::from("").plain_name(), Err(Error::PathEmpty));
        assert!(matches!(Location::from("a\0").plain_name(), Err(Error::PathNul { .. })));
    }
}
