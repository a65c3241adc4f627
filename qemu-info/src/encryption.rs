//! How an image is encrypted.

use crate::{FormatSpecific, ImageInfo, LuksInfo, Qcow2Encryption};

/// How the data of an image is encrypted, from [`ImageInfo::encryption`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Encryption<'a> {
    /// Not encrypted, as far as the block driver knows. A raw image is always this, even if what it
    /// holds is encrypted.
    None,

    /// The old AES-CBC of qcow and qcow2, which is not secure. `qemu-img` can still read it.
    LegacyAes,

    /// LUKS, as an image format of its own or inside qcow2.
    Luks(&'a LuksInfo),

    /// Encrypted in a way that this crate cannot describe: by rbd itself, or as a later version of
    /// qemu does it.
    Other,
}

impl ImageInfo {
    /// How the data of this image is encrypted.
    ///
    /// The answer is about the block driver on top. An image opened through a filter such as
    /// `throttle` shows its encryption only in [`children`](Self::children).
    #[must_use]
    pub fn encryption(&self) -> Encryption<'_> {
        match &self.format_specific {
            Some(FormatSpecific::Luks(luks)) => Encryption::Luks(luks),
            Some(FormatSpecific::Qcow2(qcow2)) => match &qcow2.encrypt {
                Some(Qcow2Encryption::Luks(luks)) => Encryption::Luks(luks),
                Some(Qcow2Encryption::Aes) => Encryption::LegacyAes,
                Some(Qcow2Encryption::Other(_)) => Encryption::Other,
                None => self.encryption_by_flag(),
            },
            Some(FormatSpecific::Rbd(rbd)) if rbd.encryption_format.is_some() => Encryption::Other,
            _ => self.encryption_by_flag(),
        }
    }

    /// For what prints no details: an image that says it is encrypted never counts as plain.
    fn encryption_by_flag(&self) -> Encryption<'_> {
        match (self.encrypted, self.format.as_str()) {
            (Some(true), "qcow") => Encryption::LegacyAes,
            (Some(true), _) => Encryption::Other,
            _ => Encryption::None,
        }
    }
}
