//! Secrets that are given by a descriptor of qimg, which qemu-img would not have.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use qemu_exec::cmd::{CommandLine, Secret, SecretValue};
use zeroize::Zeroizing;

use crate::Error;

/// Reads what is given as `file=/dev/stdin` or `file=/dev/fd/N` (a shell's `<(…)`), and delivers it like a
/// `data=`. In a dry run nothing is read.
pub(crate) fn take_over(line: &mut CommandLine, dry_run: bool) -> Result<(), Error> {
    for object in line.secret_objects().to_vec() {
        if let SecretValue::File { path, base64 } = &object.value
            && is_own_descriptor(path)
        {
            let secret = if dry_run { Secret::new("")? } else { read(path, *base64)? };
            line.deliver(&object.id, secret);
        }
    }
    Ok(())
}

fn is_own_descriptor(path: &Path) -> bool {
    path == "/dev/stdin" || path.starts_with("/dev/fd") || path.starts_with("/proc/self/fd")
}

fn read(path: &Path, base64: bool) -> Result<Secret, Error> {
    let bytes = Zeroizing::new(fs::read(path).map_err(|error| format!("`{}`: {error}", path.display()))?);
    if !base64 {
        return Ok(Secret::new(bytes.to_vec())?);
    }
    let dense: Zeroizing<Vec<u8>> =
        Zeroizing::new(bytes.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect());
    let decoded = STANDARD.decode(&*dense).map_err(|_| format!("`{}` does not hold base64", path.display()))?;
    Ok(Secret::new(decoded)?)
}
