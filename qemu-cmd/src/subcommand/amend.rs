use std::time::Duration;

use super::{push_source, setters};
use crate::encryption::iter_time_ms;
use crate::format::options::options;
use crate::secret::SecretId;
use crate::{CacheMode, Compat, Error, Format, Invocation, Key, KeyVal, Object, Source, rules};

/// `qemu-img amend`: changes the options of an image in place.
///
/// ```
/// use qemu_cmd::{Amend, Compat, Qcow2Amend, Source};
/// let amend = Amend::qcow2(Source::qcow2("/a"), Qcow2Amend::new().compat(Compat::V1_1));
/// assert_eq!(amend.invocation()?.to_string(), "qemu-img amend -f qcow2 -o compat=1.1 /a");
/// # Ok::<(), qemu_cmd::Error>(())
/// ```
///
/// The keys of a LUKS volume, or of a qcow2 image encrypted with LUKS, are changed slot by slot. The key of the
/// source opens the image; it is needed to add one.
///
/// ```
/// use qemu_cmd::{Amend, KeyslotChange, Secret, Source};
/// let source = Source::luks("/a", Secret::new("old")?);
/// let add = Amend::keyslot(source, KeyslotChange::add(Secret::new("new")?));
/// assert_eq!(
///     add.invocation()?.to_string(),
///     "qemu-img amend --object 'secret,id=sec0,file=<sec0>' --image-opts --object 'secret,id=sec1,file=<sec1>' \
///      -o state=active -o new-secret=sec1 driver=luks,file.driver=file,file.filename=/a,key-secret=sec0"
/// );
/// # Ok::<(), qemu_cmd::Error>(())
/// ```
///
/// The order of the arguments is fixed: `-t`, `--force`, `-p`, `-q`, the source's key and format, the new key, `-o`
/// options, file. Source: qemu-img(1), `amend`.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Amend {
    source: Source,
    change: Change,
    cache: Option<CacheMode>,
    force: bool,
    progress: bool,
    quiet: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum Change {
    Qcow2(Qcow2Amend),
    Keyslot(KeyslotChange),
}

options! {
    /// The options of a qcow2 image that can be changed in place.
    Qcow2Amend {
        /// The version. Going back to `0.10` needs an image that uses nothing newer.
        compat: Compat = "compat",
        /// Whether refcount updates are postponed. Needs `compat=1.1`.
        lazy_refcounts: bool = "lazy_refcounts",
        /// The width of a refcount in bits: a power of two up to 64.
        refcount_bits: u8 = "refcount_bits",
        /// The data file, of an image that has one.
        data_file: String as &str = "data_file",
        /// Whether the data file stays readable as a raw image. It can only be switched off.
        data_file_raw: bool = "data_file_raw",
    }
}

/// A change of the key slots of a LUKS volume, of which there are eight.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct KeyslotChange {
    new: Option<Key>,
    old: Option<Key>,
    keyslot: Option<u8>,
    iter_time: Option<Duration>,
    erases: bool,
}

impl KeyslotChange {
    /// Adds a passphrase, in the first free slot or in [`slot`](Self::slot), which must be free.
    #[doc(alias = "new-secret")]
    pub fn add(key: impl Into<Key>) -> Self {
        Self { new: Some(key.into()), old: None, keyslot: None, iter_time: None, erases: false }
    }

    /// Erases every slot that this passphrase opens, or just [`slot`](Self::slot), which it must open. With
    /// [`Amend::force`] also the last one, **after which the data is lost for good**.
    #[doc(alias = "old-secret")]
    pub fn erase(key: impl Into<Key>) -> Self {
        Self { new: None, old: Some(key.into()), keyslot: None, iter_time: None, erases: true }
    }

    /// Erases this slot, from 0 to 7, whoever has its passphrase. With [`Amend::force`] also the last one, **after
    /// which the data is lost for good**.
    #[doc(alias = "keyslot")]
    pub const fn erase_slot(slot: u8) -> Self {
        Self { new: None, old: None, keyslot: Some(slot), iter_time: None, erases: true }
    }

    /// Which slot a passphrase is added to or erased from, from 0 to 7. Default: the first free one, or all. With
    /// [`Amend::force`] a slot in use is overwritten, which replaces its passphrase.
    #[doc(alias = "keyslot")]
    pub const fn slot(mut self, slot: u8) -> Self {
        self.keyslot = Some(slot);
        self
    }

    /// How long the key derivation of an added passphrase shall take, in whole milliseconds. Default: 2 s.
    #[doc(alias = "iter-time")]
    pub const fn iter_time(mut self, time: Duration) -> Self {
        self.iter_time = Some(time);
        self
    }

    fn pairs(&self) -> Result<KeyVal, Error> {
        if let Some(slot) = self.keyslot.filter(|slot| *slot > 7) {
            return Err(Error::Keyslot { slot });
        }
        let mut pairs = KeyVal::new().with("state", if self.erases { "inactive" } else { "active" });
        if self.new.is_some() {
            pairs.push("new-secret", SecretId::target().as_str());
        }
        if self.old.is_some() {
            pairs.push("old-secret", SecretId::target().as_str());
        }
        if let Some(slot) = self.keyslot {
            pairs.push("keyslot", slot.to_string());
        }
        if let Some(time) = self.iter_time {
            if self.erases {
                return Err(Error::Options("an erased key slot has no iteration time: drop it"));
            }
            pairs.push("iter-time", iter_time_ms(time)?.to_string());
        }
        Ok(pairs)
    }

    const fn key(&self) -> Option<&Key> {
        match &self.new {
            Some(key) => Some(key),
            None => self.old.as_ref(),
        }
    }
}

impl Amend {
    /// Changes options of a qcow2 image.
    pub const fn qcow2(source: Source, options: Qcow2Amend) -> Self {
        Self::new(source, Change::Qcow2(options))
    }

    /// Changes the key slots of an encrypted image.
    pub const fn keyslot(source: Source, change: KeyslotChange) -> Self {
        Self::new(source, Change::Keyslot(change))
    }

    const fn new(source: Source, change: Change) -> Self {
        Self { source, change, cache: None, force: false, progress: false, quiet: false }
    }

    setters! {
        /// The cache mode. Default: absent, which is `writeback`.
        #[doc(alias = "-t")]
        option cache: CacheMode;
        /// Does what would be refused because it loses data: erases the last key slot, or overwrites one in use.
        /// Default: no.
        #[doc(alias = "--force")]
        flag force;
        /// Prints progress on standard output. Default: no.
        #[doc(alias = "-p")]
        flag progress;
        /// Prints nothing but errors. Default: no.
        #[doc(alias = "-q")]
        flag quiet;
    }

    /// The arguments and secrets.
    ///
    /// # Errors
    /// What qemu-img would always reject: see [`Error`].
    pub fn invocation(&self) -> Result<Invocation, Error> {
        let mut out = Invocation::new("amend");
        if let Some(mode) = self.cache {
            out.option("-t", mode.as_str());
        }
        out.flag(self.force, "--force");
        out.flag(self.progress, "-p");
        out.flag(self.quiet, "-q");
        let operand = push_source(&mut out, &self.source)?;
        let pairs = match (&self.change, self.source.format()) {
            (Change::Qcow2(options), _) if self.source.may_be_qcow2() => qcow2_pairs(options)?,
            (Change::Keyslot(change), Some(format @ (Format::Luks | Format::Qcow2))) => {
                if let Some(key) = change.key() {
                    out.define([Object::secret(SecretId::target(), key.clone())])?;
                }
                let prefix = if format == Format::Qcow2 { "encrypt." } else { "" };
                let mut pairs = KeyVal::new();
                for (key, value) in change.pairs()?.iter() {
                    pairs.push(format!("{prefix}{key}"), value);
                }
                pairs
            }
            _ => {
                return Err(Error::Options(
                    "only qcow2 options of qcow2, and key slots of luks and qcow2, can be amended",
                ));
            }
        };
        for pair in pairs.render_each() {
            out.option("-o", pair);
        }
        out.arg(operand);
        out.writes_to(self.source.location().clone());
        Ok(out)
    }
}

fn qcow2_pairs(options: &Qcow2Amend) -> Result<KeyVal, Error> {
    let pairs = options.pairs()?;
    if pairs.iter().next().is_none() {
        return Err(Error::Options("an amend that changes nothing is refused by qemu-img: give an option"));
    }
    if let Some(bits) = options.refcount_bits {
        rules::check_refcount_bits(bits)?;
    }
    if options.compat == Some(Compat::V0_10) {
        if options.lazy_refcounts == Some(true) {
            return Err(Error::NeedsCompat11 { option: "lazy_refcounts" });
        }
        if options.refcount_bits.is_some_and(|bits| bits != 16) {
            return Err(Error::NeedsCompat11 { option: "refcount_bits" });
        }
    }
    Ok(pairs)
}
