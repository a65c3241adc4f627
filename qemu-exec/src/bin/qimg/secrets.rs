//! Secrets that are given by a descriptor of qimg, which qemu-img would not have.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use qemu_exec::cmd::{CommandLine, Key, Secret, SecretValue};
use zeroize::Zeroizing;

use crate::Error;

/// Reads what is given as `file=/dev/stdin` or `file=/dev/fd/N` (a shell's `<(…)`), and delivers it like a
/// `data=`. In a dry run nothing is read.
pub(crate) fn take_over(line: &mut CommandLine, dry_run: bool) -> Result<(), Error> {
    for object in line.secret_objects().to_vec() {
        match &object.value {
            SecretValue::File { path, base64 } if is_own_descriptor(path) => {
                let bytes = if dry_run { Vec::new() } else { read(path, *base64)? };
                let secret = if object.is_master_key { Secret::key_material(bytes) } else { Secret::new(bytes)? };
                line.deliver(&object.id, secret);
            }
            SecretValue::Encrypted { file: Some(path) } if is_own_descriptor(path) => {
                let reason = "is encrypted under another, and qemu-img cannot read it there: give a file";
                return Err(format!("secret `{}` in `{}` {reason}", object.id, path.display()).into());
            }
            _ => {}
        }
    }
    Ok(())
}

/// The key that a file holds, which is read here if qemu-img would not have it.
pub(crate) fn key(file: PathBuf) -> Result<Key, Error> {
    if is_own_descriptor(&file) {
        return Ok(Secret::new(read(&file, false)?)?.into());
    }
    Ok(Key::File { path: file, base64: false })
}

/// Whether the image is what qimg has as its standard input.
pub(crate) fn is_stdin(path: &Path) -> bool {
    ["/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"].iter().any(|stdin| path == Path::new(stdin))
}

/// Whether a path is one of qimg's own descriptors, by name.
pub(crate) fn is_own_descriptor(path: &Path) -> bool {
    path == "/dev/stdin" || path.starts_with("/dev/fd") || path.starts_with("/proc/self/fd")
}

fn read(path: &Path, base64: bool) -> Result<Vec<u8>, Error> {
    let bytes = Zeroizing::new(fs::read(path).map_err(|error| format!("`{}`: {error}", path.display()))?);
    if !base64 {
        return Ok(bytes.to_vec());
    }
    let dense: Zeroizing<Vec<u8>> =
        Zeroizing::new(bytes.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect());
    STANDARD.decode(&*dense).map_err(|_| format!("`{}` does not hold base64", path.display()).into())
}
