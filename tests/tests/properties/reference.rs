//! Every kind of source × format given or probed × every kind of target × compression × cache modes × paths, and what
//! the reference writes for each.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use qemu_cmd::{CacheMode, Convert, Error};
use tests::{Kind, PASSPHRASE};

use super::grammar::check_arguments;
use super::{Command, argv};

/// One combination.
#[derive(Clone, Copy, Debug)]
struct Cell<'a> {
    source: Kind,
    /// Whether the source's format is given, rather than probed.
    given: bool,
    target: Kind,
    compress: bool,
    target_cache: Option<CacheMode>,
    source_cache: Option<CacheMode>,
    from: &'a Path,
    to: &'a Path,
}

/// Paths of the matrix; the last is not UTF-8.
fn hostile_paths() -> Vec<PathBuf> {
    let names =
        ["/a", "a", "-f", "--object", "a,b=c", ",,", "nbd:x", "json:{}", "./x y\n", "../:", "/%41'\"", "file:é"];
    let mut paths: Vec<PathBuf> = names.map(Into::into).into();
    paths.push(OsString::from_vec(b"caf\xe9,".to_vec()).into());
    paths
}

fn format(kind: Kind) -> &'static str {
    match kind {
        Kind::Raw => "raw",
        Kind::Qcow2 | Kind::Qcow2Luks => "qcow2",
        Kind::Luks => "luks",
    }
}

/// What stands before the encryption options of a qcow2 image.
fn prefix(kind: Kind) -> &'static str {
    if kind == Kind::Qcow2Luks { "encrypt." } else { "" }
}

fn spelled(path: &Path) -> OsString {
    let bare = !matches!(path.as_os_str().as_bytes(), [b'/', ..] | [b'.', b'/', ..] | [b'.', b'.', b'/', ..]);
    let mut name = OsString::from(if bare { "./" } else { "" });
    name.push(path);
    name
}

impl Cell<'_> {
    fn convert(self) -> Convert {
        let source = if self.given { self.source.source(self.from) } else { self.source.probed_source(self.from) };
        let convert = Convert::new(source, self.target.target(self.to)).compress(self.compress);
        let convert = self.target_cache.into_iter().fold(convert, Convert::target_cache);
        self.source_cache.into_iter().fold(convert, Convert::source_cache)
    }

    /// The refusals that there should be, each by the name of its variant.
    fn refusal(self) -> Option<&'static str> {
        match self.target {
            _ if self.from == self.to => Some("SameFile"),
            Kind::Raw | Kind::Luks if self.compress => Some("CompressionUnsupported"),
            Kind::Qcow2Luks if self.compress => Some("CompressionWithEncryption"),
            _ => None,
        }
    }

    /// The arguments in the order of the reference, with `-T`, which it does not have, after `-c`.
    fn reference(self) -> Vec<OsString> {
        let mut args: Vec<OsString> = vec!["convert".into()];
        let push = |args: &mut Vec<OsString>, words: &[&str]| args.extend(words.iter().map(OsString::from));
        if let Some(mode) = self.target_cache {
            push(&mut args, &["-t", mode.as_str()]);
        }
        push(&mut args, &["-O", format(self.target)]);
        if self.given && !self.source.encrypted() {
            push(&mut args, &["-f", format(self.source)]);
        }
        if self.compress {
            push(&mut args, &["-c"]);
        }
        if let Some(mode) = self.source_cache {
            push(&mut args, &["-T", mode.as_str()]);
        }
        if self.source.encrypted() {
            push(&mut args, &["--object", "secret,id=sec0,file=/dev/fd/3", "--image-opts"]);
            args.push(self.node());
        }
        if self.target.encrypted() {
            let prefix = prefix(self.target);
            push(&mut args, &["--object", "secret,id=sec1,file=/dev/fd/3", "-o", &format!("{prefix}key-secret=sec1")]);
            if self.target == Kind::Qcow2Luks {
                push(&mut args, &["-o", "encrypt.format=luks"]);
            }
            let options = "cipher-alg=aes-256 cipher-mode=xts hash-alg=sha256 iter-time=10 ivgen-alg=plain64 \
                           ivgen-hash-alg=sha256";
            for option in options.split_whitespace() {
                push(&mut args, &["-o", &format!("{prefix}{option}")]);
            }
        }
        if !self.source.encrypted() {
            args.push(spelled(self.from));
        }
        args.push(spelled(self.to));
        args
    }

    fn node(self) -> OsString {
        let driver = if self.given { format!("driver={},", format(self.source)) } else { String::new() };
        let mut node = format!("{driver}file.driver=file,file.filename=").into_bytes();
        for &byte in spelled(self.from).as_bytes() {
            node.extend(if byte == b',' { &b",,"[..] } else { std::slice::from_ref(&byte) });
        }
        node.extend(format!(",{}key-secret=sec0", prefix(self.source)).bytes());
        OsString::from_vec(node)
    }

    fn check(self) {
        let convert = self.convert();
        let invocation = match convert.invocation() {
            Ok(invocation) => invocation,
            Err(refusal) => {
                let name = match refusal {
                    Error::SameFile { .. } => "SameFile",
                    Error::CompressionUnsupported { .. } => "CompressionUnsupported",
                    Error::CompressionWithEncryption => "CompressionWithEncryption",
                    _ => panic!("{refusal}: {self:?}"),
                };
                assert_eq!(Some(name), self.refusal(), "{self:?}");
                return;
            }
        };
        assert_eq!(self.refusal(), None, "{self:?}");
        assert_eq!(argv(&invocation), self.reference(), "{self:?}");
        assert!(!invocation.to_string().contains(PASSPHRASE), "{self:?}");
        if self.target_cache.is_none() && self.source_cache.is_none() {
            let checked = check_arguments(&Command::Convert(convert), &invocation);
            checked.unwrap_or_else(|error| panic!("{error}: {self:?}"));
        }
    }
}

#[test]
fn every_combination_is_what_the_reference_writes() {
    use CacheMode::{Directsync, None as Direct, Unsafe, Writeback, Writethrough};
    let modes = [None, Some(Direct), Some(Writeback), Some(Writethrough), Some(Directsync), Some(Unsafe)];
    // Each mode for each side; every pair of modes would take a minute, and adds nothing.
    let caches: Vec<_> = modes.iter().flat_map(|&mode| [(mode, None), (None, mode), (mode, mode)]).collect();
    let paths = hostile_paths();
    let mut cells = 0;
    for (source, given) in Kind::ALL.iter().flat_map(|&kind| [(kind, true), (kind, false)]) {
        for (target, compress) in Kind::ALL.iter().flat_map(|&kind| [(kind, true), (kind, false)]) {
            for &(target_cache, source_cache) in &caches {
                for (from, to) in paths.iter().flat_map(|from| paths.iter().map(move |to| (from, to))) {
                    Cell { source, given, target, compress, target_cache, source_cache, from, to }.check();
                    cells += 1;
                }
            }
        }
    }
    assert_eq!(cells, (4 * 2) * (4 * 2) * (6 * 3) * 13 * 13);
}
