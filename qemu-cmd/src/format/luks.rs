use super::{CreateOptions, Preallocation};
use crate::secret::SecretId;
use crate::{Error, Luks};

/// A new LUKS volume: an encrypted image with nothing but a LUKS header before the data.
///
/// Its file is larger than its virtual size by the header (about 2 MiB), and a convert into it writes all of
/// the virtual size.
#[derive(Clone, Debug)]
#[must_use]
pub struct LuksImage {
    luks: Luks,
    preallocation: Option<Preallocation>,
}

impl LuksImage {
    /// A volume with this encryption.
    pub const fn new(luks: Luks) -> Self {
        Self { luks, preallocation: None }
    }

    /// How much to allocate in advance. Default: `off`.
    pub const fn preallocation(mut self, preallocation: Preallocation) -> Self {
        self.preallocation = Some(preallocation);
        self
    }

    pub(super) fn options(&self) -> Result<CreateOptions, Error> {
        let id = SecretId::target();
        let mut pairs = vec![("key-secret".to_owned(), id.to_string())];
        pairs.extend(self.luks.options()?.map(|(key, value)| (key.to_owned(), value)));
        if let Some(mode) = self.preallocation {
            pairs.push(("preallocation".to_owned(), mode.as_str().to_owned()));
        }
        Ok(CreateOptions {
            pairs,
            secret: Some((id, self.luks.passphrase().clone())),
            preallocation: self.preallocation,
            extended_l2: false,
        })
    }
}
