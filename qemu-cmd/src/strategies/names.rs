//! Names and passphrases, most of them hostile, and numbers.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::{BoxedStrategy, Just, Strategy, any, prop_oneof};
use proptest::sample::select;

use crate::os::{Unit, from_units};
use crate::{ByteSize, KeyVal, Secret, SecretId};

/// Stands in every generated [`secret()`] and in no other generated value: output that holds it, or a good part
/// of it, has leaked a passphrase.
pub const SECRET_MARK: &str = "Vq7ZpX2mK9tRw4Ld";

/// File names that mean something to qemu-img, to a shell, or to code that splits arguments.
pub const HOSTILE_NAMES: &[&str] = &[
    "a",
    "-",
    "--",
    "-f",
    "--help",
    "--object=secret,id=x,data=y",
    "a,b",
    ",",
    ",,",
    "a,driver=raw",
    "a=b",
    "a b",
    " ",
    "a\nb",
    "\t",
    "\u{7f}",
    "it's",
    "\"a\"",
    "a\\b",
    "%41",
    "%s",
    "$HOME",
    "`id`",
    "*",
    "~",
    "#",
    "é",
    "\u{1f4be}",
    "\u{fffd}",
    ".",
    "..",
    "...",
    ".a",
    "a:b",
    ":",
    "c:\\a",
    "file:x",
    "fat:x",
    "fat:rw:/tmp",
    "nbd:x",
    "nbd://host/x",
    "rbd:pool/image",
    "host_device:x",
    "json:{}",
    "json:{\"driver\":\"raw\",\"file.filename\":\"/etc/passwd\"}",
    "driver=raw,file.filename=x",
    "help",
    "?",
    "a/b",
    "a/../b",
];

/// What means something in the name of a place on a server, or in a URL.
const HOSTILE_TEXTS: &[&str] = &[
    "a,b",
    ",",
    ",,",
    "a:b",
    ":",
    "a/b",
    "/",
    "//",
    "a b",
    " ",
    "%",
    "%41",
    "%00",
    "@",
    "u:p@h",
    "é",
    "\u{1f4be}",
    "\\",
    "\\:",
    "a\\",
    "'",
    "\"",
    "-",
    "-f",
    "--help",
    "a=b",
    "=",
    "?",
    "a?b=c",
    "#",
    "&",
    "+",
    ";",
    "[",
    "]",
    "[::1]",
    "::1",
    "fe80::1%eth0",
    "10.0.0.1",
    "~",
    "..",
    "\n",
    "\t",
    "\u{7f}",
    "json:{}",
    "file:x",
    "exportname=x",
    ":exportname=",
    "unix:",
    "://",
    "nbd://h/e",
    "on",
    "off",
    "0",
    "007",
    "-1",
    "help",
    "\u{fdd0}",
    "",
    "a\0b",
];

/// A passphrase: [`SECRET_MARK`], random letters and digits, and some characters that code trips over.
///
/// It does not shrink, so that a smaller one cannot stand in another value by chance. The empty passphrase, which
/// qemu-img takes too, is not generated: it would be found in any output.
pub fn secret() -> BoxedStrategy<Secret> {
    const EDGE: &str = "[,=:\\-'\"%\\\\ \n\t\\u{e9}]{0,3}";
    (EDGE, "[A-Za-z0-9]{12}", EDGE)
        .prop_filter_map("a passphrase", |(head, random, tail)| {
            Secret::new(format!("{head}{SECRET_MARK}{random}{tail}")).ok()
        })
        .no_shrink()
        .boxed()
}

/// The id of a secret.
pub fn secret_id() -> BoxedStrategy<SecretId> {
    "[A-Za-z][A-Za-z0-9._-]{0,12}".prop_filter_map("an id", |id| SecretId::new(id).ok()).boxed()
}

/// The id of an object that a place names, or rarely anything, which no object can have.
pub(super) fn object_id() -> BoxedStrategy<String> {
    prop_oneof![12 => secret_id().prop_map(|id| id.to_string()), 1 => text()].boxed()
}

/// A path: relative or absolute, short or long, most of them hostile, some not UTF-8.
///
/// Rarely it is empty or holds a NUL byte, which every command refuses.
pub fn path() -> BoxedStrategy<PathBuf> {
    let folder = select(&["", "", "/", "./", "../", "a/", "/srv/a b/", "//", "a,b/", "nbd:/"][..]);
    let name = prop_oneof![
        8 => select(HOSTILE_NAMES).prop_map(OsString::from),
        3 => vec(select(HOSTILE_NAMES), 2..5).prop_map(|names| names.concat().into()),
        3 => "[ -~]{1,20}".prop_map_into(),
        2 => "[^\\u{0}]{1,12}".prop_map_into(),
        1 => (1..7_usize).prop_map(|depth| vec!["x".repeat(255); depth].join("/").into()),
        2 => vec(1..=Unit::MAX, 0..12).prop_map(|mut units| {
            // On Unix a byte that never occurs in UTF-8.
            units.push(Unit::MAX);
            from_units(units)
        }),
    ];
    let sound = (folder, name).prop_map(|(folder, name)| {
        let mut path = OsString::from(folder);
        path.push(name);
        PathBuf::from(path)
    });
    prop_oneof![60 => sound, 1 => Just(PathBuf::new()), 1 => Just(PathBuf::from("a\0b"))].boxed()
}

/// The name of a host, or rarely anything.
pub fn host() -> BoxedStrategy<String> {
    let address = select(&["::1", "10.0.0.1"][..]).prop_map(String::from);
    prop_oneof![3 => "[a-z][a-z0-9.-]{0,8}", 1 => address, 1 => text()].boxed()
}

/// A part of the name of a place on a server: a volume, an export, a user. Rarely it is empty or holds a NUL byte.
pub fn text() -> BoxedStrategy<String> {
    let hostile = select(HOSTILE_TEXTS).prop_map(String::from);
    prop_oneof![4 => "[a-z][a-z0-9.-]{0,8}", 3 => hostile, 1 => "[ -~]{1,12}", 1 => "\\PC{1,6}"].boxed()
}

/// The name of a snapshot or a bitmap.
pub fn name() -> BoxedStrategy<String> {
    prop_oneof![4 => "[a-z][a-z0-9 ,=.-]{0,12}", 2 => "[a-c]", 1 => "\\PC{0,8}"].boxed()
}

/// The path of a file on a server.
pub(super) fn remote_path() -> BoxedStrategy<OsString> {
    let units = vec(any::<Unit>(), 1..8).prop_map(from_units);
    prop_oneof![4 => text().prop_map(|text| format!("/{text}").into()), 2 => text().prop_map_into(), 1 => units].boxed()
}

/// A TCP port.
pub(super) fn port() -> BoxedStrategy<u16> {
    prop_oneof![4 => any::<u16>(), 1 => select(&[0, 1, 22, 3260, 10809, 24007, 65535][..])].boxed()
}

/// A size: a multiple of 512 that fits every image, or rarely any number, which for a new image may be refused.
pub fn byte_size() -> BoxedStrategy<ByteSize> {
    prop_oneof![
        8 => (0..1_u64 << 20).prop_map(|sectors| ByteSize::bytes(sectors * 512)),
        1 => any::<u64>().prop_map(ByteSize::bytes),
    ]
    .boxed()
}

/// A time in whole milliseconds, as qemu-img counts that of a key derivation; rarely any time, which is refused.
pub fn time() -> BoxedStrategy<Duration> {
    prop_oneof![
        20 => any::<u32>().prop_map(|ms| Duration::from_millis(ms.into())),
        1 => any::<(u64, u32)>().prop_map(|(seconds, nanos)| Duration::new(seconds / 2, nanos)),
    ]
    .boxed()
}

/// A time in whole seconds, as qemu counts those of the network; rarely any time.
pub(super) fn seconds() -> BoxedStrategy<Duration> {
    prop_oneof![8 => (0..20_000_u64).prop_map(Duration::from_secs), 1 => any::<Duration>()].boxed()
}

/// A list of pairs, whose values may be any bytes.
pub fn key_val() -> BoxedStrategy<KeyVal> {
    vec(("[a-z][a-z._-]{0,8}", path()), 0..5)
        .prop_map(|pairs| pairs.into_iter().fold(KeyVal::new(), |list, (key, value)| list.with(key, value)))
        .boxed()
}
