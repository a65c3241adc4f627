use super::{CreateOptions, Preallocation};
use crate::secret::SecretId;
use crate::{Error, KeyVal, Luks};

/// A new LUKS volume: an encrypted image with nothing but a LUKS header before the data.
///
/// Its file is larger than its virtual size by the header (about 2 MiB), and a convert into it writes all of
/// the virtual size.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct LuksImage {
    luks: Luks,
    preallocation: Option<Preallocation>,
    detached_header: Option<bool>,
}

impl LuksImage {
    /// A volume with this encryption.
    pub const fn new(luks: Luks) -> Self {
        Self { luks, preallocation: None, detached_header: None }
    }

    /// How much to allocate in advance. Default: `off`.
    pub const fn preallocation(mut self, preallocation: Preallocation) -> Self {
        self.preallocation = Some(preallocation);
        self
    }

    /// Makes a file that holds the LUKS header only (9.0): the data lives in another file, which a
    /// [`Source::header`](crate::Source::header) ties to it. Default: no. Some releases, 10.0.2 among them, list the
    /// option and then refuse it ("unexpected").
    #[doc(alias = "detached-header")]
    pub const fn detached_header(mut self, on: bool) -> Self {
        self.detached_header = Some(on);
        self
    }

    pub(super) fn options(&self) -> Result<CreateOptions, Error> {
        let id = SecretId::target();
        let mut pairs = KeyVal::new().with("key-secret", id.as_str());
        for (key, value) in self.luks.options()? {
            pairs.push(key, value);
        }
        if let Some(mode) = self.preallocation {
            pairs.push("preallocation", mode.as_str());
        }
        if let Some(on) = self.detached_header {
            pairs.push("detached-header", if on { "on" } else { "off" });
        }
        Ok(CreateOptions {
            key: Some((id, self.luks.key().clone())),
            preallocation: self.preallocation,
            ..CreateOptions::of(pairs)
        })
    }
}
