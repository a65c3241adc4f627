//! LUKS encryption of a new image.

use std::time::Duration;

use crate::{Error, Key};

macro_rules! names {
    ($(#[$meta:meta])* $name:ident { $($variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $(#[doc = concat!("`", $text, "`")] $variant,)+ }

        impl $name {
            /// Every value, in qemu's order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name on the command line.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }
    };
}

names! {
    /// The cipher of a new LUKS volume (QAPI `QCryptoCipherAlgorithm`, as far as LUKS takes them).
    CipherAlg {
        Aes128 = "aes-128",
        Aes192 = "aes-192",
        Aes256 = "aes-256",
        Cast5_128 = "cast5-128",
        Serpent128 = "serpent-128",
        Serpent192 = "serpent-192",
        Serpent256 = "serpent-256",
        Twofish128 = "twofish-128",
        Twofish192 = "twofish-192",
        Twofish256 = "twofish-256",
    }
}

names! {
    /// The cipher's mode (QAPI `QCryptoCipherMode`).
    CipherMode {
        Ecb = "ecb",
        Cbc = "cbc",
        Xts = "xts",
        Ctr = "ctr",
    }
}

names! {
    /// A hash (QAPI `QCryptoHashAlgorithm`).
    HashAlg {
        Md5 = "md5",
        Sha1 = "sha1",
        Sha224 = "sha224",
        Sha256 = "sha256",
        Sha384 = "sha384",
        Sha512 = "sha512",
        Ripemd160 = "ripemd160",
    }
}

names! {
    /// What turns a sector number into an initialization vector (QAPI `QCryptoIVGenAlgorithm`).
    IvgenAlg {
        Plain = "plain",
        Plain64 = "plain64",
        Essiv = "essiv",
    }
}

impl HashAlg {
    const fn digest_bits(self) -> u16 {
        match self {
            Self::Md5 => 128,
            Self::Sha1 | Self::Ripemd160 => 160,
            Self::Sha224 => 224,
            Self::Sha256 => 256,
            Self::Sha384 => 384,
            Self::Sha512 => 512,
        }
    }
}

/// LUKS encryption of a new image: the passphrase and how the volume is made.
///
/// The defaults are OpenStack Nova's, which are qemu's own spelled out: `aes-256` in `xts` mode, `sha256`,
/// 2 s of key derivation, `plain64` with `sha256`. All six options are always written to the command line,
/// so that a change of qemu's defaults changes nothing.
///
/// Creating a volume costs about two seconds of CPU time whatever the iteration time says.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Luks {
    key: Key,
    cipher: CipherAlg,
    mode: CipherMode,
    hash: HashAlg,
    iter_time: Duration,
    ivgen: IvgenAlg,
    ivgen_hash: HashAlg,
}

impl Luks {
    /// Encryption with this key in the first key slot.
    pub fn new(key: impl Into<Key>) -> Self {
        Self {
            key: key.into(),
            cipher: CipherAlg::Aes256,
            mode: CipherMode::Xts,
            hash: HashAlg::Sha256,
            iter_time: Duration::from_millis(2000),
            ivgen: IvgenAlg::Plain64,
            ivgen_hash: HashAlg::Sha256,
        }
    }

    /// The cipher. Default: `aes-256`.
    #[doc(alias = "cipher-alg")]
    pub const fn cipher(mut self, cipher: CipherAlg) -> Self {
        self.cipher = cipher;
        self
    }

    /// The cipher's mode. Default: `xts`.
    #[doc(alias = "cipher-mode")]
    pub const fn mode(mut self, mode: CipherMode) -> Self {
        self.mode = mode;
        self
    }

    /// The hash of the key derivation. Default: `sha256`.
    #[doc(alias = "hash-alg")]
    pub const fn hash(mut self, hash: HashAlg) -> Self {
        self.hash = hash;
        self
    }

    /// How long the key derivation shall take, in whole milliseconds from 1 to 4294967295. Default: 2 s.
    ///
    /// Opening the volume takes as long.
    #[doc(alias = "iter-time")]
    pub const fn iter_time(mut self, time: Duration) -> Self {
        self.iter_time = time;
        self
    }

    /// The generator of initialization vectors. Default: `plain64`.
    #[doc(alias = "ivgen-alg")]
    pub const fn ivgen(mut self, ivgen: IvgenAlg) -> Self {
        self.ivgen = ivgen;
        self
    }

    /// The hash of the generator, which only `essiv` uses. Default: `sha256`.
    #[doc(alias = "ivgen-hash-alg")]
    pub const fn ivgen_hash(mut self, hash: HashAlg) -> Self {
        self.ivgen_hash = hash;
        self
    }

    pub(crate) const fn key(&self) -> &Key {
        &self.key
    }

    /// The six options in the order of the command line, without the `encrypt.` of qcow2.
    pub(crate) fn options(&self) -> Result<[(&'static str, String); 6], Error> {
        self.check_cipher()?;
        Ok([
            ("cipher-alg", self.cipher.as_str().to_owned()),
            ("cipher-mode", self.mode.as_str().to_owned()),
            ("hash-alg", self.hash.as_str().to_owned()),
            ("iter-time", iter_time_ms(self.iter_time)?.to_string()),
            ("ivgen-alg", self.ivgen.as_str().to_owned()),
            ("ivgen-hash-alg", self.ivgen_hash.as_str().to_owned()),
        ])
    }

    /// What qemu-img does with each pair was measured on every combination, 5.2 to 11.1.
    fn check_cipher(&self) -> Result<(), Error> {
        let refused = |why| Err(Error::CipherMode { cipher: self.cipher, mode: self.mode, why });
        match (self.cipher, self.mode) {
            (CipherAlg::Cast5_128, CipherMode::Xts) => {
                return refused("xts needs a cipher with 16-byte blocks; use cbc");
            }
            (CipherAlg::Aes192 | CipherAlg::Serpent192 | CipherAlg::Twofish192, mode) if mode != CipherMode::Xts => {
                return refused("qemu-img aborts on a 24-byte key; use xts");
            }
            _ => {}
        }
        if self.ivgen == IvgenAlg::Essiv {
            let key_sizes: &[u16] = match self.cipher {
                CipherAlg::Cast5_128 => &[128],
                _ => &[128, 256],
            };
            if !key_sizes.contains(&self.ivgen_hash.digest_bits()) {
                return Err(Error::EssivHash { cipher: self.cipher, hash: self.ivgen_hash });
            }
        }
        Ok(())
    }
}

/// The time as qemu-img takes it: whole milliseconds from 1 to 4294967295.
pub(crate) fn iter_time_ms(time: Duration) -> Result<u32, Error> {
    let refused = || Error::IterTime { given: format!("{time:?}") };
    if time.is_zero() || !time.subsec_nanos().is_multiple_of(1_000_000) {
        return Err(refused());
    }
    u32::try_from(time.as_millis()).map_err(|_| refused())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::Secret;

    fn refused(luks: impl Fn(Luks) -> Luks) -> Option<Error> {
        luks(Luks::new(Secret::new("a").unwrap())).options().err()
    }

    #[test]
    fn ciphers_that_qemu_img_cannot_use_in_a_mode_are_refused() {
        use CipherAlg::{Aes192, Aes256, Cast5_128};
        for (cipher, mode, fine) in [
            (Aes256, CipherMode::Xts, true),
            (Aes256, CipherMode::Cbc, true),
            (Aes192, CipherMode::Xts, true),
            (Aes192, CipherMode::Cbc, false),
            (Cast5_128, CipherMode::Xts, false),
            (Cast5_128, CipherMode::Cbc, true),
        ] {
            let error = refused(|luks| luks.cipher(cipher).mode(mode));
            let as_expected = if fine { error.is_none() } else { matches!(error, Some(Error::CipherMode { .. })) };
            assert!(as_expected, "{cipher:?} {mode:?}: {error:?}");
        }
    }

    #[test]
    fn essiv_takes_a_hash_as_long_as_a_key_of_the_cipher() {
        let essiv = |cipher, hash| {
            let error =
                refused(|luks| luks.cipher(cipher).mode(CipherMode::Cbc).ivgen(IvgenAlg::Essiv).ivgen_hash(hash));
            assert!(matches!(error, None | Some(Error::EssivHash { .. })), "{error:?}");
            error.is_none()
        };
        assert!(essiv(CipherAlg::Aes256, HashAlg::Sha256));
        assert!(!essiv(CipherAlg::Aes256, HashAlg::Sha1));
        assert!(!essiv(CipherAlg::Cast5_128, HashAlg::Sha256));
        assert!(refused(|luks| luks.ivgen(IvgenAlg::Plain64).ivgen_hash(HashAlg::Sha1)).is_none());
    }

    #[test]
    fn the_time_for_a_key_is_whole_milliseconds() {
        let most = Duration::from_millis(u32::MAX.into());
        for (time, taken) in [
            (Duration::from_millis(1), Some(1)),
            (most, Some(u32::MAX)),
            (Duration::ZERO, None),
            (Duration::from_micros(1500), None),
            (most + Duration::from_millis(1), None),
        ] {
            assert_eq!(iter_time_ms(time).ok(), taken, "{time:?}");
        }
    }
}
