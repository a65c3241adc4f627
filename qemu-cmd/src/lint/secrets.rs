//! Secrets that show, and encryption that does not hold.

use std::path::Path;

use super::{Lint, Rule, is_key};
use crate::redact::holds_password;
use crate::{Arg, SecretValue};

/// The time that qemu spends on a passphrase unless told otherwise, and whoever tries to guess it with each guess.
const ITER_TIME_MS: u64 = 2000;

impl Lint<'_> {
    pub(super) fn secrets(&mut self) {
        let objects = self.line.secret_objects();
        self.add_if(
            objects.iter().any(|object| matches!(object.value, SecretValue::Data(_))),
            Rule::SECRET_IN_ARGUMENTS,
        );
        let mut args = self.line.pieces.iter().flat_map(|piece| &piece.args);
        let holds = args.any(|arg| matches!(arg, Arg::Text(text) if holds_password(text)));
        self.add_if(holds, Rule::PASSWORD_IN_NAME);

        let mut streams: Vec<&Path> = Vec::new();
        for object in objects {
            let (SecretValue::File { path, .. } | SecretValue::Encrypted { file: Some(path) }) = &object.value else {
                continue;
            };
            if is_stream(path) {
                self.add_if(streams.contains(&path.as_path()), Rule::SECRET_READ_TWICE);
                streams.push(path);
            }
        }
        for list in self.lists_given() {
            for (key, value) in list.iter() {
                self.key(key, &value.to_string_lossy());
            }
        }
        let mut texts = self.line.pieces.iter().flat_map(|piece| &piece.args);
        let unchecked =
            |arg: &Arg| matches!(arg, Arg::Text(text) if text.to_string_lossy().contains("host_key_check=no"));
        self.add_if(texts.any(unchecked), Rule::HOST_UNCHECKED);
    }

    fn key(&mut self, key: &str, value: &str) {
        let is_off = matches!(value, "off" | "no" | "false" | "n");
        let is = |name| is_key(key, name);
        self.add_if(is("encrypt.format") && value == "aes", Rule::BROKEN_ENCRYPTION);
        self.add_if(is("encryption") && !is_off, Rule::BROKEN_ENCRYPTION);
        let is_quick = is("iter-time") && value.parse().is_ok_and(|ms: u64| ms < ITER_TIME_MS);
        if is_quick || (is("cipher-mode") && value == "ecb") {
            self.add_about(&format!("{key}={value}"), Rule::WEAK_ENCRYPTION);
        }
        self.add_if(is("host-key-check.mode") && value == "none", Rule::HOST_UNCHECKED);
        self.add_if(is("sslverify") && is_off, Rule::CERTIFICATE_UNCHECKED);
    }
}

/// Whether it is a descriptor of the process, which may be a pipe.
pub(super) fn is_stream(path: &Path) -> bool {
    ["/dev/stdin", "/dev/stdout", "/dev/stderr", "/dev/fd", "/proc/self/fd"].iter().any(|name| path.starts_with(name))
}
