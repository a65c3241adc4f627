//! A qemu-img command line that somebody wrote, understood option by option and otherwise kept as it is.

mod check;
mod lex;
mod object;

use std::ffi::{OsStr, OsString};

pub use object::{SecretObject, SecretValue};

use crate::invocation::OutputKind;
use crate::{Arg, CacheMode, Invocation, KeyVal, Location, OptionSpec, ParseError, Secret, SecretId, Subcommand};

/// A command line in qemu-img's own syntax.
///
/// It is read as qemu-img reads it (bundled letters, unambiguous prefixes of long names, options after
/// operands, `--`), and comes out argument by argument as it was written, but for what is changed on purpose:
/// a passphrase given as `data=` is taken out when it is read, and leaves a slot.
///
/// ```
/// use qemu_cmd::{CacheMode, CommandLine};
/// let mut line = CommandLine::parse(
///     ["convert", "-cOqcow2", "--object", "secret,id=k,data=hunter2", "a", "b"].map(Into::into),
/// )?;
/// line.set_target_cache(CacheMode::None);
/// assert_eq!(
///     line.invocation()?.to_string(),
///     "qemu-img convert -t none -cOqcow2 --object 'secret,id=k,file=<k>' a b"
/// );
/// # Ok::<(), qemu_cmd::ParseError>(())
/// ```
#[derive(Clone, Debug)]
pub struct CommandLine {
    subcommand: Subcommand,
    pieces: Vec<Piece>,
    objects: Vec<SecretObject>,
    target_cache: Option<CacheMode>,
}

/// Arguments that belong together.
#[derive(Clone, Debug)]
struct Piece {
    args: Vec<Arg>,
    meaning: Meaning,
}

#[derive(Clone, Debug)]
enum Meaning {
    /// One option, or several bundled letters.
    Options(Vec<(&'static OptionSpec, Option<OsString>)>),
    Operand(OsString),
    Help,
    Terminator,
}

impl CommandLine {
    /// Reads the arguments after the program's name, beginning with the subcommand.
    ///
    /// # Errors
    /// What is not a command line of that subcommand in any supported version.
    pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Self, ParseError> {
        let mut args = args.into_iter();
        let name = args.next().ok_or(ParseError::NoSubcommand)?;
        let subcommand = Subcommand::from_name(&name)
            .ok_or_else(|| ParseError::UnknownSubcommand { name: name.to_string_lossy().into_owned() })?;
        let pieces = lex::pieces(subcommand, args.collect())?;
        let mut line = Self { subcommand, pieces, objects: Vec::new(), target_cache: None };
        line.take_secrets()?;
        Ok(line)
    }

    /// The subcommand.
    #[must_use]
    pub const fn subcommand(&self) -> Subcommand {
        self.subcommand
    }

    /// Whether `-h` or `--help` was given.
    #[must_use]
    pub fn asks_for_help(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece.meaning, Meaning::Help))
    }

    /// The operands in order.
    pub fn operands(&self) -> impl DoubleEndedIterator<Item = &OsStr> {
        self.pieces.iter().filter_map(|piece| match &piece.meaning {
            Meaning::Operand(operand) => Some(operand.as_os_str()),
            _ => None,
        })
    }

    /// Whether the option was given, by its letter or its first long name (`"t"`, `"image-opts"`).
    #[must_use]
    pub fn has(&self, option: &str) -> bool {
        self.given(option).next().is_some()
    }

    /// The option's last value.
    #[must_use]
    pub fn value(&self, option: &str) -> Option<&OsStr> {
        self.given(option).last().flatten()
    }

    fn given(&self, option: &str) -> impl Iterator<Item = Option<&OsStr>> {
        let named = move |spec: &OptionSpec| match spec.short {
            Some(letter) => option.chars().eq([letter]),
            None => spec.long.first() == Some(&option),
        };
        let options = self.pieces.iter().flat_map(|piece| match &piece.meaning {
            Meaning::Options(options) => options.as_slice(),
            _ => &[],
        });
        options.filter(move |(spec, _)| named(spec)).map(|(_, value)| value.as_deref())
    }

    /// The create options (`-o`), all together.
    #[must_use]
    pub fn create_options(&self) -> KeyVal {
        let mut text = OsString::new();
        for value in self.given("o").flatten() {
            if !text.is_empty() {
                text.push(",");
            }
            text.push(value);
        }
        KeyVal::parse(&text)
    }

    /// The `secret` objects in order.
    #[must_use]
    pub fn secret_objects(&self) -> &[SecretObject] {
        &self.objects
    }

    /// Delivers `secret` as the object `id`, in place of what was written there.
    pub fn deliver(&mut self, id: &SecretId, secret: Secret) {
        for object in self.objects.iter_mut().filter(|object| object.id == *id) {
            object.value = SecretValue::Data(secret.clone());
            if let Some(piece) = self.pieces.get_mut(object.piece) {
                piece.args = vec!["--object".into(), Arg::Secret(id.clone())];
            }
        }
    }

    /// Adds `-t MODE` right after the subcommand.
    pub const fn set_target_cache(&mut self, mode: CacheMode) {
        self.target_cache = Some(mode);
    }

    /// The image that is written.
    #[must_use]
    pub fn target(&self) -> Option<Location> {
        match self.subcommand {
            Subcommand::Convert => {
                let name = self.operands().next_back()?;
                Some(location(name, self.has("target-image-opts")))
            }
            Subcommand::Create => self.operands().next().map(Location::from_plain_name),
            Subcommand::Info => None,
        }
    }

    fn sources(&self) -> Vec<Location> {
        let opts = self.has("image-opts");
        let mut operands: Vec<&OsStr> = self.operands().collect();
        match self.subcommand {
            Subcommand::Convert => drop(operands.pop()),
            Subcommand::Create => operands = self.value("b").into_iter().collect(),
            Subcommand::Info => {}
        }
        operands.into_iter().map(|name| location(name, opts)).collect()
    }

    /// The arguments as written, and the secrets that were taken out of them.
    ///
    /// # Errors
    /// What qemu-img would always reject or get silently wrong: [`ParseError::Refused`].
    pub fn invocation(&self) -> Result<Invocation, ParseError> {
        if !self.asks_for_help() {
            check::check(self)?;
        }
        let mut args: Vec<Arg> = vec![self.subcommand.as_str().into()];
        if let Some(mode) = self.target_cache {
            args.extend(["-t".into(), mode.as_str().into()]);
        }
        args.extend(self.pieces.iter().flat_map(|piece| piece.args.iter().cloned()));
        let mut out = Invocation::from_args(args);
        for object in &self.objects {
            if let SecretValue::Data(secret) = &object.value {
                out.deliver(object.id.clone(), secret.clone());
            }
        }
        for source in self.sources() {
            out.reads_from(source);
        }
        if let Some(target) = self.target() {
            out.writes_to(target);
        }
        if self.value("output").is_some_and(|kind| kind == "json") {
            out.prints(OutputKind::Json);
        }
        Ok(out)
    }
}

/// What an operand names: for a node, the file at the bottom of it, if there is one.
fn location(name: &OsStr, image_opts: bool) -> Location {
    if !image_opts {
        return Location::from_plain_name(name);
    }
    let opts = KeyVal::parse(name);
    let bottom = opts.iter().filter(|(key, _)| *key == "filename" || key.ends_with(".filename")).last();
    match bottom {
        Some((_, path)) => Location::File(path.into()),
        None => Location::Protocol(name.to_owned()),
    }
}
