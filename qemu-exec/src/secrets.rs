//! Turning secret slots into arguments, with the values in memory files only.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;

use aes::Aes256;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeEncrypt as _, KeyIvInit as _};
use qemu_cmd::{Arg, Invocation, Secret, SecretId};
use rustix::fs::{MemfdFlags, SealFlags};
use zeroize::Zeroizing;

use crate::Delivery;
use crate::start::Start;

/// The first descriptor after the streams.
const FIRST: u32 = 3;
const STDIN: &str = "/dev/stdin";

/// How the secrets of one invocation are delivered, which follows from how it is started and from their number.
///
/// Each is a descriptor of its own where the child keeps them. Standard input is what reaches the process in every
/// case, also through sudo to another user. It carries one value: the secret, if there is one, or a random key under
/// which the others are encrypted in the arguments.
pub(crate) enum Scheme<'a> {
    Nothing,
    Descriptors(&'a [(SecretId, Secret)], u32),
    Stdin(&'a SecretId, &'a Secret),
    Wrapped { master: String, secrets: &'a [(SecretId, Secret)] },
}

/// Arguments without slots, and the memory files that they refer to.
#[derive(Default)]
pub(crate) struct Filled {
    pub(crate) args: Vec<OsString>,
    /// What standard input must be.
    pub(crate) stdin: Option<OwnedFd>,
    /// What the descriptors after those handed over must be.
    pub(crate) secrets: Vec<OwnedFd>,
    /// The other end of standard input, if the child is to end when this does.
    pub(crate) tether: Option<OwnedFd>,
}

impl<'a> Scheme<'a> {
    /// `handed` is how many descriptors come before those of secrets.
    pub(crate) fn of(invocation: &'a Invocation, start: Start, handed: u32) -> Self {
        match (invocation.secrets(), start) {
            ([], _) => Self::Nothing,
            (secrets, Start::Native) => Self::Descriptors(secrets, FIRST + handed),
            ([(id, secret)], Start::Portable) => Self::Stdin(id, secret),
            // Over a network the length of a passphrase is nobody's business either.
            (secrets, Start::Portable | Start::Tethered) => Self::Wrapped { master: unused_id(invocation), secrets },
        }
    }

    pub(crate) fn deliveries(&self) -> Vec<(SecretId, Delivery)> {
        match self {
            Self::Nothing => Vec::new(),
            Self::Descriptors(secrets, first) => {
                let numbers = (*first..).map(Delivery::Descriptor);
                secrets.iter().zip(numbers).map(|((id, _), delivery)| (id.clone(), delivery)).collect()
            }
            Self::Stdin(id, _) => vec![((*id).clone(), Delivery::Stdin)],
            Self::Wrapped { secrets, .. } => secrets.iter().map(|(id, _)| (id.clone(), Delivery::Wrapped)).collect(),
        }
    }

    pub(crate) const fn needs_stdin(&self) -> bool {
        matches!(self, Self::Stdin(..) | Self::Wrapped { .. })
    }

    /// The arguments as they will be, with placeholders where random bytes will stand.
    pub(crate) fn preview(&self, invocation: &Invocation) -> Vec<OsString> {
        self.spell(invocation, |id| wrapped_object(id, self.master(), "<iv>", "<ciphertext>"))
    }

    /// The arguments with their secrets encrypted, and the memory files.
    pub(crate) fn fill(&self, invocation: &Invocation) -> io::Result<Filled> {
        match self {
            Self::Nothing => Ok(Filled { args: self.preview(invocation), ..Filled::default() }),
            Self::Descriptors(secrets, _) => {
                let files = secrets.iter().map(|(_, secret)| sealed_memfd(secret.expose()));
                Ok(Filled {
                    args: self.preview(invocation),
                    secrets: files.collect::<io::Result<_>>()?,
                    ..Filled::default()
                })
            }
            Self::Stdin(_, secret) => {
                let stdin = Some(sealed_memfd(secret.expose())?);
                Ok(Filled { args: self.preview(invocation), stdin, ..Filled::default() })
            }
            Self::Wrapped { master, secrets } => {
                let mut key = Zeroizing::new([0; 32]);
                random(key.as_mut_slice())?;
                let mut objects = Vec::new();
                for (id, secret) in *secrets {
                    let mut iv = [0; 16];
                    random(&mut iv)?;
                    let cipher = cbc::Encryptor::<Aes256>::new((&*key).into(), (&iv).into());
                    let ciphertext = cipher.encrypt_padded_vec::<Pkcs7>(secret.expose());
                    objects.push((id, wrapped_object(id, master, &STANDARD.encode(iv), &STANDARD.encode(ciphertext))));
                }
                let args = self.spell(invocation, |id| {
                    let object = objects.iter().find(|(other, _)| *other == id);
                    object.map(|(_, object)| object.clone()).unwrap_or_default()
                });
                let key = Zeroizing::new(STANDARD.encode(key.as_slice()));
                Ok(Filled { args, stdin: Some(sealed_memfd(key.as_bytes())?), ..Filled::default() })
            }
        }
    }

    fn master(&self) -> &str {
        match self {
            Self::Wrapped { master, .. } => master,
            _ => "",
        }
    }

    /// Fills the slots; the object of the master key comes before the first one, since qemu makes objects in
    /// their order.
    fn spell(&self, invocation: &Invocation, wrapped: impl Fn(&SecretId) -> OsString) -> Vec<OsString> {
        let mut args = invocation.argv(|id| match self {
            Self::Wrapped { .. } => wrapped(id),
            Self::Descriptors(secrets, first) => {
                let number = secrets.iter().zip(*first..).find(|((other, _), _)| other == id).map(|(_, number)| number);
                format!("secret,id={id},file=/dev/fd/{}", number.unwrap_or_default()).into()
            }
            _ => format!("secret,id={id},file={STDIN}").into(),
        });
        let first = invocation.args().iter().position(|arg| matches!(arg, Arg::Secret(_)));
        if let (Self::Wrapped { master, .. }, Some(slot)) = (self, first) {
            let object = format!("secret,id={master},format=base64,file={STDIN}");
            // The slot is the value of an `--object` right before it.
            let before = slot.saturating_sub(1);
            args.splice(before..before, ["--object".into(), object.into()]);
        }
        args
    }
}

fn wrapped_object(id: &SecretId, master: &str, iv: &str, data: &str) -> OsString {
    format!("secret,id={id},keyid={master},format=base64,iv={iv},data={data}").into()
}

/// An id for the master key that no argument mentions.
fn unused_id(invocation: &Invocation) -> String {
    let text = invocation.to_string();
    let candidates = std::iter::once("master".to_owned()).chain((0..).map(|n| format!("master{n}")));
    candidates.into_iter().find(|id| !text.contains(id.as_str())).unwrap_or_default()
}

fn random(mut buffer: &mut [u8]) -> io::Result<()> {
    while !buffer.is_empty() {
        let filled = rustix::rand::getrandom(&mut *buffer, rustix::rand::GetRandomFlags::empty())?;
        buffer = buffer.get_mut(filled..).unwrap_or_default();
    }
    Ok(())
}

/// A pipe that gives what the file holds, as a line, and ends when the second descriptor is closed: the key of
/// wrapped secrets is shorter than any pipe is long.
pub(crate) fn tether(line: Option<OwnedFd>) -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, mut write) = io::pipe()?;
    if let Some(line) = line {
        let mut key = Zeroizing::new([0; 64]);
        let length = File::from(line).read(key.as_mut_slice())?;
        write.write_all(key.get(..length).unwrap_or_default())?;
        write.write_all(b"\n")?;
    }
    Ok((read.into(), write.into()))
}

/// A file in memory with this content, which nobody can change any more.
fn sealed_memfd(content: &[u8]) -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let fd = match rustix::fs::memfd_create("secret", flags | MemfdFlags::NOEXEC_SEAL) {
        // Linux before 6.3 does not know the flag, and a hardened newer one may insist on it.
        Err(rustix::io::Errno::INVAL) => rustix::fs::memfd_create("secret", flags)?,
        result => result?,
    };
    let mut rest = content;
    while !rest.is_empty() {
        let written = rustix::io::write(&fd, rest)?;
        rest = rest.get(written..).unwrap_or_default();
    }
    rustix::fs::seek(&fd, rustix::fs::SeekFrom::Start(0))?;
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    rustix::fs::fcntl_add_seals(&fd, seals)?;
    Ok(fd)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use cbc::cipher::BlockModeDecrypt as _;
    use qemu_cmd::{Convert, KeyVal, Luks, LuksImage, Source, Target};

    use super::*;

    fn two_secrets() -> Invocation {
        let source = Source::luks("/a", Secret::new("first").unwrap());
        let target = Target::new("/b", LuksImage::new(Luks::new(Secret::new("second").unwrap())));
        Convert::new(source, target).invocation().unwrap()
    }

    #[test]
    fn several_secrets_are_wrapped_under_one_key() {
        let invocation = two_secrets();
        let filled = Scheme::of(&invocation, Start::Portable, 0).fill(&invocation).unwrap();
        let objects: Vec<KeyVal> = filled
            .args
            .windows(2)
            .filter(|pair| pair[0] == "--object")
            .map(|pair| KeyVal::parse_implied(&pair[1], Some("qom-type")))
            .collect();
        let ids: Vec<_> = objects.iter().map(|object| object.get("id").unwrap().to_str().unwrap()).collect();
        assert_eq!(ids, ["master", "sec0", "sec1"]);

        let mut key = String::new();
        std::fs::File::from(filled.stdin.unwrap()).read_to_string(&mut key).unwrap();
        let key: [u8; 32] = STANDARD.decode(key).unwrap().try_into().unwrap();
        for (object, secret) in objects[1..].iter().zip(["first", "second"]) {
            let field = |name: &str| STANDARD.decode(object.get(name).unwrap().as_encoded_bytes()).unwrap();
            let iv: [u8; 16] = field("iv").try_into().unwrap();
            let cipher = cbc::Decryptor::<Aes256>::new((&key).into(), (&iv).into());
            assert_eq!(cipher.decrypt_padded_vec::<Pkcs7>(&field("data")).unwrap(), secret.as_bytes());
        }
    }

    #[test]
    fn the_preview_differs_only_in_random_bytes() {
        let invocation = two_secrets();
        let scheme = Scheme::of(&invocation, Start::Portable, 0);
        let (preview, real) = (scheme.preview(&invocation), scheme.fill(&invocation).unwrap().args);
        assert_eq!(preview.len(), real.len());
        for (a, b) in preview.iter().zip(&real).filter(|(a, b)| a != b) {
            let (a, b) = (a.to_str().unwrap(), b.to_str().unwrap());
            assert_eq!(a.split_once(",iv=").unwrap().0, b.split_once(",iv=").unwrap().0);
        }
    }

    #[test]
    fn a_memory_file_cannot_be_changed() {
        let fd = sealed_memfd(b"x").unwrap();
        assert!(rustix::io::write(&fd, b"y").is_err());
        assert!(rustix::fs::ftruncate(&fd, 0).is_err());
    }
}
