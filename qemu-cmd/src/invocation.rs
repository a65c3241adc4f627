//! What a command comes to: arguments, secrets, and what it reads and writes.

use std::ffi::{OsStr, OsString};
use std::fmt;

use crate::image::Kind;
use crate::os::units;
use crate::redact::redact;
use crate::{Error, Key, KeyVal, Location, Object, Secret, SecretId, Source};

/// One argument. Its `Debug` shows no password.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Arg {
    /// A literal argument.
    Text(OsString),
    /// A slot: the value of an `--object` option that defines this secret. Whoever runs the command decides
    /// how the secret is delivered, and so what stands here.
    Secret(SecretId),
}

impl<T: Into<OsString>> From<T> for Arg {
    fn from(text: T) -> Self {
        Self::Text(text.into())
    }
}

impl fmt::Debug for Arg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.debug_tuple("Text").field(&redact(text)).finish(),
            Self::Secret(id) => f.debug_tuple("Secret").field(id).finish(),
        }
    }
}

/// What a command prints on its standard output when it succeeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OutputKind {
    /// Text for people, or nothing.
    Text,
    /// One JSON document.
    Json,
}

/// A qemu-img command, ready to be run: the arguments, the secrets that must exist before it runs, and what
/// it reads and writes.
///
/// It is printed for people, quoted as for a shell, with a placeholder for each secret and `***` for a password that
/// somebody wrote into a name: nothing of what is printed, `Debug` included, holds one. The exact arguments are those of
/// [`args`](Self::args) and [`argv`](Self::argv).
#[derive(Clone, Debug)]
#[must_use]
pub struct Invocation {
    args: Vec<Arg>,
    secrets: Vec<(SecretId, Secret)>,
    objects: Vec<Object>,
    reads: Vec<Location>,
    writes: Vec<Location>,
    output: OutputKind,
}

impl Invocation {
    pub(crate) fn new(subcommand: &str) -> Self {
        // Enough for a convert with two keys and all that can be said of one.
        let mut args = Vec::with_capacity(48);
        args.push(subcommand.into());
        Self {
            args,
            secrets: Vec::new(),
            objects: Vec::new(),
            reads: Vec::new(),
            writes: Vec::new(),
            output: OutputKind::Text,
        }
    }

    pub(crate) fn from_args(args: Vec<Arg>) -> Self {
        Self { args, ..Self::new("") }
    }

    pub(crate) fn arg(&mut self, arg: impl Into<Arg>) {
        self.args.push(arg.into());
    }

    pub(crate) fn option(&mut self, option: &str, value: impl Into<Arg>) {
        self.args.push(option.into());
        self.args.push(value.into());
    }

    pub(crate) fn flag(&mut self, on: bool, flag: &str) {
        if on {
            self.args.push(flag.into());
        }
    }

    /// Appends `--object` for each. Images can share one, such as a throttle group, but not its id only.
    pub(crate) fn define(&mut self, objects: impl IntoIterator<Item = Object>) -> Result<(), Error> {
        for object in objects {
            match self.objects.iter().find(|defined| defined.id() == object.id()) {
                None => {
                    object.check()?;
                    self.object(object);
                }
                Some(defined) if *defined == object => {}
                Some(_) => return Err(Error::ObjectIdTaken { id: object.id().to_string() }),
            }
        }
        Ok(())
    }

    /// Appends `--object`, with a slot for a secret or the name of its file.
    fn object(&mut self, object: Object) {
        self.args.push("--object".into());
        let list = || KeyVal::new().with("id", object.id.as_str());
        let (qom_type, list) = match &object.kind {
            Kind::Secret(Key::Secret(secret)) => {
                self.args.push(Arg::Secret(object.id.clone()));
                self.secrets.push((object.id.clone(), secret.clone()));
                self.objects.push(object);
                return;
            }
            Kind::Secret(Key::File { path, base64 }) => {
                let list = list().with("file", path);
                ("secret", if *base64 { list.with("format", "base64") } else { list })
            }
            Kind::Other { qom_type, properties } => {
                (qom_type.as_str(), properties.iter().fold(list(), |list, (name, value)| list.with(name, value)))
            }
        };
        let mut text = OsString::from(qom_type);
        text.push(",");
        text.push(list.render());
        self.args.push(text.into());
        self.objects.push(object);
    }

    /// A secret for a slot that is among the arguments already.
    pub(crate) fn deliver(&mut self, id: SecretId, secret: Secret) {
        self.secrets.push((id, secret));
    }

    pub(crate) fn reads_from(&mut self, location: Location) {
        self.reads.push(location);
    }

    /// An image that exists is opened with all that is given for it.
    pub(crate) fn reads_image(&mut self, image: &Source) {
        self.reads.extend(image.parts().cloned());
    }

    pub(crate) fn writes_to(&mut self, location: Location) {
        self.writes.push(location);
    }

    pub(crate) const fn prints(&mut self, output: OutputKind) {
        self.output = output;
    }

    /// The arguments after the program's name, beginning with the subcommand, exactly as they are.
    #[must_use]
    pub fn args(&self) -> &[Arg] {
        &self.args
    }

    /// The secrets that the slots stand for.
    #[must_use]
    pub fn secrets(&self) -> &[(SecretId, Secret)] {
        &self.secrets
    }

    /// The places that the command is told to read: images, and the headers and backing images that are given for
    /// them. What an image itself names, such as its backing file, is not among them. One that is given as a
    /// backing file has the name that is given, which is relative to the image's directory.
    #[must_use]
    pub fn reads(&self) -> &[Location] {
        &self.reads
    }

    /// The places that the command is told to write.
    #[must_use]
    pub fn writes(&self) -> &[Location] {
        &self.writes
    }

    /// What it prints.
    #[must_use]
    pub const fn output(&self) -> OutputKind {
        self.output
    }

    /// The subcommand.
    #[must_use]
    pub fn subcommand(&self) -> &OsStr {
        match self.args.first() {
            Some(Arg::Text(text)) => text,
            _ => OsStr::new(""),
        }
    }

    /// The arguments with every slot filled by `fill`, and otherwise exactly as they are: for a process, not for a log.
    #[must_use]
    pub fn argv(&self, mut fill: impl FnMut(&SecretId) -> OsString) -> Vec<OsString> {
        let spell = |arg: &Arg| match arg {
            Arg::Text(text) => text.clone(),
            Arg::Secret(id) => fill(id),
        };
        self.args.iter().map(spell).collect()
    }
}

impl fmt::Display for Invocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("qemu-img")?;
        for arg in self.argv(|id| format!("secret,id={id},file=<{id}>").into()) {
            write!(f, " {}", shell_quote(&redact(&arg)))?;
        }
        Ok(())
    }
}

/// Quotes an argument for a shell. Control characters and bytes that are not UTF-8 need `$'…'`, which bash,
/// zsh, ksh and POSIX.1-2024 shells read.
///
/// ```
/// use qemu_cmd::shell_quote;
/// assert_eq!(shell_quote("/a-b".as_ref()), "/a-b");
/// assert_eq!(shell_quote("it's".as_ref()), r"'it'\''s'");
/// assert_eq!(shell_quote("a\nb".as_ref()), r"$'a\nb'");
/// ```
#[must_use]
pub fn shell_quote(arg: &OsStr) -> String {
    const PLAIN: &str = "@%+=:,./-_";
    let Some(text) = arg.to_str().filter(|text| !text.chars().any(char::is_control)) else {
        return ansi_c_quote(arg);
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || PLAIN.contains(c);
    // In zsh a word that starts with `=` is a command.
    if !text.is_empty() && !text.starts_with('=') && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

fn ansi_c_quote(arg: &OsStr) -> String {
    let mut out = String::from("$'");
    for &unit in units(arg).iter() {
        match u8::try_from(u32::from(unit)) {
            Ok(b'\n') => out.push_str("\\n"),
            Ok(b'\t') => out.push_str("\\t"),
            Ok(byte @ (b'\'' | b'\\')) => out.extend(['\\', char::from(byte)]),
            Ok(byte @ b' '..=b'~') => out.push(char::from(byte)),
            // Three octal digits: a hexadecimal escape would swallow digits that follow it.
            Ok(byte) => out.push_str(&format!("\\{byte:03o}")),
            Err(_) => out.push_str(&format!("\\u{unit:04x}")),
        }
    }
    out.push('\'');
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::{CommandLine, Commit, Convert, Format, Info, Luks, LuksImage, Map, Source, Target};

    #[test]
    fn a_command_says_what_it_reads_writes_and_needs() {
        let key = || Secret::new("open sesame").unwrap();
        let source = Source::new("a b.luks", Format::Luks).key(key());
        let target = Target::new("c.luks", LuksImage::new(Luks::new(key())));
        let convert = Convert::new(source, target).invocation().unwrap();
        assert_eq!(convert.subcommand(), "convert");
        assert_eq!((convert.reads(), convert.writes()), (&["a b.luks".into()][..], &["c.luks".into()][..]));
        assert_eq!(convert.output(), OutputKind::Text);

        let slots: Vec<_> = convert
            .args()
            .iter()
            .filter_map(|arg| match arg {
                Arg::Secret(id) => Some(id),
                Arg::Text(_) => None,
            })
            .collect();
        assert_eq!(slots.len(), 2);
        assert_eq!(convert.secrets().iter().map(|(id, _)| id).collect::<Vec<_>>(), slots);
        let shown = convert.to_string();
        assert!(shown.starts_with("qemu-img convert ") && shown.ends_with(" ./c.luks"), "{shown}");
        assert!(shown.contains("'secret,id=") && shown.contains("file.filename=./a b.luks"), "{shown}");
        for printed in [shown, format!("{convert:?}"), format!("{:?}", convert.args())] {
            assert!(printed.contains("convert") && !printed.contains("sesame"), "{printed}");
        }

        let info = Info::new(Source::new("a.raw", Format::Raw)).invocation().unwrap();
        assert_eq!((info.output(), info.writes(), info.secrets().len()), (OutputKind::Json, &[][..], 0));
    }

    #[test]
    fn images_may_share_an_object_but_not_its_id_alone() {
        let group =
            |limit: &str| Object::new("throttle-group", SecretId::new("slow").unwrap()).property("x-bps-total", limit);
        let mut invocation = Invocation::new("info");
        invocation.define([group("1"), group("1")]).unwrap();
        assert_eq!(invocation.argv(|_| OsString::new()).len(), 3);
        let error = invocation.define([group("2")]).unwrap_err();
        assert!(matches!(error, Error::ObjectIdTaken { .. }), "{error:?}");
    }

    #[test]
    fn an_object_is_of_one_type_and_has_the_properties_that_it_says() {
        let id = || SecretId::new("a").unwrap();
        for object in [Object::new("x,dir=/", id()), Object::new("x", id()).property("y=1,dir", "/")] {
            let error = Invocation::new("info").define([object]).unwrap_err();
            assert!(matches!(error, Error::OptionName { .. }), "{error:?}");
        }
    }

    /// Typed, and as a line that somebody wrote.
    #[test]
    fn what_is_given_for_an_image_is_told() {
        let key = || Secret::new("a").unwrap();
        let top = || Source::qcow2("top").backing(Source::qcow2("middle").backing(Source::raw("base")));
        let volume = || Source::luks("volume", key()).header("header");
        let into = Convert::new(top(), Target::existing(volume()));
        for (invocation, reads, writes) in [
            (Map::new(top()).invocation(), &["top", "middle", "base"][..], &[][..]),
            (Map::new(volume()).invocation(), &["volume", "header"], &[]),
            (into.invocation(), &["top", "middle", "base", "header"], &["volume"]),
            (Commit::new(Source::qcow2("top")).invocation(), &["top"], &["top"]),
            (Commit::new(top()).invocation(), &["top", "middle", "base"], &["middle", "top"]),
            (Commit::new(top()).base("base").invocation(), &["top", "middle", "base"], &["base", "top"]),
        ] {
            let invocation = invocation.unwrap();
            let line = CommandLine::parse(invocation.argv(|id| format!("secret,id={id},data=a").into())).unwrap();
            for (told, wanted) in [
                (invocation.reads(), reads),
                (&line.reads(), reads),
                (invocation.writes(), writes),
                (&line.writes(), writes),
            ] {
                let mut told: Vec<String> = told.iter().map(ToString::to_string).collect();
                let mut wanted = wanted.to_vec();
                told.sort();
                wanted.sort_unstable();
                assert_eq!(told, wanted, "{invocation}");
            }
        }
    }

    #[test]
    fn an_argument_is_quoted_only_if_a_shell_would_change_it() {
        for (arg, quoted) in [
            ("a/b,c=d", "a/b,c=d"),
            ("=ls", "'=ls'"),
            ("", "''"),
            ("a b", "'a b'"),
            ("$(reboot)", "'$(reboot)'"),
            ("it's", r"'it'\''s'"),
            ("a\nb\t\\'\x1b1", r"$'a\nb\t\\\'\0331'"),
        ] {
            assert_eq!(shell_quote(OsStr::new(arg)), quoted);
        }
    }
}
