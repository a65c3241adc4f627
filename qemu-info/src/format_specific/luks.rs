//! What a LUKS header says.

use serde::{Deserialize, Serialize};

use crate::open_enum::open_enum;

/// What a LUKS header says, be it that of a luks image or the one inside a qcow2 image (QAPI
/// `QCryptoBlockInfoLUKS`, since qemu 2.7).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct LuksInfo {
    /// The cipher, with the size of its key.
    pub cipher_alg: CipherAlg,

    /// The mode of the cipher.
    pub cipher_mode: CipherMode,

    /// How initialization vectors are made.
    pub ivgen_alg: IvgenAlg,

    /// The hash for making initialization vectors. Absent unless [`ivgen_alg`](Self::ivgen_alg) needs
    /// one, as `essiv` does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ivgen_hash_alg: Option<HashAlg>,

    /// The hash for deriving keys.
    pub hash_alg: HashAlg,

    /// Whether the header is kept apart from the data. Since qemu 9.0, absent before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detached_header: Option<bool>,

    /// Where the data begins, in bytes. 0 if the header is detached.
    pub payload_offset: u64,

    /// The number of PBKDF2 iterations for the digest of the master key.
    pub master_key_iters: u64,

    /// The UUID, as the header holds it.
    pub uuid: String,

    /// The key slots, of which LUKS has eight.
    pub slots: Vec<LuksSlot>,
}

/// A key slot of a LUKS header (QAPI `QCryptoBlockInfoLUKSSlot`, since qemu 2.7).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct LuksSlot {
    /// Whether the slot holds a key.
    pub active: bool,

    /// The number of PBKDF2 iterations. Absent if the slot holds no key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iters: Option<u64>,

    /// The number of anti-forensic stripes. Absent if the slot holds no key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stripes: Option<u64>,

    /// Where the key material begins, in bytes.
    pub key_offset: u64,
}

open_enum! {
    /// A cipher and the size of its key in bits (QAPI `QCryptoCipherAlgo`).
    CipherAlg {
        /// AES with a key of 128 bits.
        Aes128 = "aes-128",
        /// AES with a key of 192 bits.
        Aes192 = "aes-192",
        /// AES with a key of 256 bits.
        Aes256 = "aes-256",
        /// DES.
        Des = "des",
        /// triple DES.
        TripleDes = "3des",
        /// CAST5 with a key of 128 bits.
        Cast5_128 = "cast5-128",
        /// Serpent with a key of 128 bits.
        Serpent128 = "serpent-128",
        /// Serpent with a key of 192 bits.
        Serpent192 = "serpent-192",
        /// Serpent with a key of 256 bits.
        Serpent256 = "serpent-256",
        /// Twofish with a key of 128 bits.
        Twofish128 = "twofish-128",
        /// Twofish with a key of 192 bits.
        Twofish192 = "twofish-192",
        /// Twofish with a key of 256 bits.
        Twofish256 = "twofish-256",
        /// SM4, since qemu 9.0.
        Sm4 = "sm4",
    }
}

open_enum! {
    /// The mode of a cipher (QAPI `QCryptoCipherMode`).
    CipherMode {
        /// electronic code book.
        Ecb = "ecb",
        /// cipher block chaining.
        Cbc = "cbc",
        /// XEX with ciphertext stealing.
        Xts = "xts",
        /// counter.
        Ctr = "ctr",
    }
}

open_enum! {
    /// How initialization vectors are made (QAPI `QCryptoIVGenAlgo`).
    IvgenAlg {
        /// the number of the sector, cut to 32 bits.
        Plain = "plain",
        /// the number of the sector, in 64 bits.
        Plain64 = "plain64",
        /// the number of the sector, encrypted with a hash of the key.
        Essiv = "essiv",
    }
}

open_enum! {
    /// A hash (QAPI `QCryptoHashAlgo`).
    HashAlg {
        /// MD5.
        Md5 = "md5",
        /// SHA-1.
        Sha1 = "sha1",
        /// SHA-224.
        Sha224 = "sha224",
        /// SHA-256.
        Sha256 = "sha256",
        /// SHA-384.
        Sha384 = "sha384",
        /// SHA-512.
        Sha512 = "sha512",
        /// RIPEMD-160.
        Ripemd160 = "ripemd160",
        /// SM3, since qemu 9.2.
        Sm3 = "sm3",
    }
}
