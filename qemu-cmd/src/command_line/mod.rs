//! A qemu-img command line that somebody wrote, understood option by option and otherwise kept as it is.

mod check;
mod images;
mod lex;
mod object;
mod place;
mod rules;
mod values;

use std::ffi::{OsStr, OsString};
use std::fmt;

pub(crate) use images::{is_from_here, node, places};
pub use object::{SecretObject, SecretValue};

use crate::invocation::OutputKind;
use crate::option_table::Spelling;
use crate::wipe::wipe;
use crate::{Arg, CacheMode, Invocation, KeyVal, OptionSpec, ParseError, ParseErrorKind, Secret, SecretId, Subcommand};

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
#[derive(Clone)]
pub struct CommandLine {
    pub(crate) subcommand: Subcommand,
    pub(crate) pieces: Vec<Piece>,
    create_options: KeyVal,
    objects: Vec<SecretObject>,
    target_cache: Option<CacheMode>,
}

/// Arguments that belong together.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    /// The place of the first in the list as it was written, where 0 is the subcommand.
    pub(crate) at: usize,
    pub(crate) args: Vec<Arg>,
    pub(crate) meaning: Meaning,
}

#[derive(Clone, Debug)]
pub(crate) enum Meaning {
    /// One option, or several bundled letters.
    Options(Vec<Given>),
    Operand(OsString),
    Help,
    Terminator,
}

/// An option as it was written.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    pub(crate) spec: &'static OptionSpec,
    /// The spelling, if it is not the portable letter.
    pub(crate) name: Option<&'static Spelling>,
    /// A secret's is taken out.
    pub(crate) value: Option<OsString>,
    /// The place of the argument that holds the value, or else the option.
    pub(crate) value_at: usize,
}

impl Piece {
    /// Overwrites its arguments and values, which may hold a passphrase.
    pub(super) fn wipe(&mut self) {
        for arg in self.args.drain(..) {
            if let Arg::Text(text) = arg {
                wipe(text);
            }
        }
        if let Meaning::Options(options) = &mut self.meaning {
            options.iter_mut().filter_map(|given| given.value.take()).for_each(wipe);
        }
    }
}

impl Given {
    /// The option with its dashes, its name not cut short.
    pub(crate) fn spelled(&self) -> String {
        self.name.map_or_else(|| self.spec.spelled(), Spelling::spelled)
    }
}

impl fmt::Debug for CommandLine {
    /// The subcommand and the arguments, without passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let args = self.pieces.iter().flat_map(|piece| &piece.args);
        f.debug_list().entry(&self.subcommand).entries(args).finish()
    }
}

impl CommandLine {
    /// Reads the arguments after the program's name, beginning with the subcommand.
    ///
    /// # Errors
    /// What is not a command line of that subcommand in any supported version.
    pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Self, ParseError> {
        let mut args = args.into_iter();
        let name = args.next().ok_or(ParseErrorKind::NoSubcommand)?;
        let subcommand = Subcommand::from_name(&name).ok_or_else(|| {
            let name = name.to_string_lossy().into_owned();
            args.by_ref().for_each(wipe);
            ParseError::from(ParseErrorKind::UnknownSubcommand { name }).or_at(Some(0))
        })?;
        Self::read(subcommand, args.collect()).map_err(|error| error.of(subcommand))
    }

    fn read(subcommand: Subcommand, args: Vec<OsString>) -> Result<Self, ParseError> {
        let pieces = lex::pieces(subcommand, args)?;
        let (create_options, objects) = (KeyVal::new(), Vec::new());
        let mut line = Self { subcommand, pieces, create_options, objects, target_cache: None };
        line.create_options = line.read_create_options();
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

    /// The options in order, each with its value; that of a secret has been taken out.
    pub fn options(&self) -> impl DoubleEndedIterator<Item = (&'static OptionSpec, Option<&OsStr>)> {
        self.given().map(|given| (given.spec, given.value.as_deref()))
    }

    /// The same, each by its [key](OptionSpec::key).
    pub fn given_in_order(&self) -> impl DoubleEndedIterator<Item = (&'static str, Option<&OsStr>)> {
        self.options().map(|(spec, value)| (spec.key(), value))
    }

    pub(crate) fn given(&self) -> impl DoubleEndedIterator<Item = &Given> {
        self.pieces.iter().flat_map(|piece| match &piece.meaning {
            Meaning::Options(options) => options.as_slice(),
            _ => &[],
        })
    }

    /// Whether the option was given, in any spelling; here too it can be called by its letter or by any of its names
    /// (`"t"`, `"image-opts"`).
    #[must_use]
    pub fn has(&self, option: &str) -> bool {
        self.given().any(|given| given.spec.is(option))
    }

    /// The option's last value.
    #[must_use]
    pub fn value(&self, option: &str) -> Option<&OsStr> {
        self.values(option).next_back()
    }

    /// The option's values in order.
    pub fn values(&self, option: &str) -> impl DoubleEndedIterator<Item = &OsStr> {
        self.given().filter(move |given| given.spec.is(option)).filter_map(|given| given.value.as_deref())
    }

    /// The create options (`-o`), all together.
    #[must_use]
    pub const fn create_options(&self) -> &KeyVal {
        &self.create_options
    }

    fn read_create_options(&self) -> KeyVal {
        if self.subcommand == Subcommand::Bench {
            // There it is an offset.
            return KeyVal::new();
        }
        // qemu-img joins the lists and refuses those that would run into each other.
        let mut list = KeyVal::new();
        self.values("o").for_each(|value| list.read(value, None));
        list
    }

    /// An operand of `dd`, such as that of `if=`; the last one if it is repeated.
    #[must_use]
    pub fn dd_operand(&self, name: &str) -> Option<OsString> {
        let mut operands = self.operands().rev().filter_map(values::name_and_value);
        operands.find(|(other, _)| other == name).map(|(_, value)| value)
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

    /// The mode that [`set_target_cache`](Self::set_target_cache) has added.
    pub(crate) const fn added_cache(&self) -> Option<CacheMode> {
        self.target_cache
    }

    /// The arguments as written, and the secrets that were taken out of them.
    ///
    /// # Errors
    /// What qemu-img would always reject or get silently wrong: [`ParseErrorKind::Refused`] and the like.
    pub fn invocation(&self) -> Result<Invocation, ParseError> {
        self.check()?;
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
        self.reads().into_iter().for_each(|source| out.reads_from(source));
        self.writes().into_iter().for_each(|target| out.writes_to(target));
        if self.value("output").is_some_and(|kind| kind == "json") {
            out.prints(OutputKind::Json);
        }
        Ok(out)
    }
}
