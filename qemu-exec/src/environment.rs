//! What the caller adds to the environment of qemu-img.

use std::ffi::{OsStr, OsString};

use qemu_cmd::Invocation;

use crate::{Error, ErrorKind};

/// Variables by name; each is there once.
#[derive(Debug, Default)]
pub(crate) struct Environment(Vec<(OsString, OsString)>);

impl Environment {
    /// Adds a variable, or gives it another value.
    pub(crate) fn set(&mut self, name: OsString, value: OsString) {
        match self.0.iter_mut().find(|(other, _)| *other == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name, value)),
        }
    }

    /// With those of `other` on top.
    pub(crate) fn and(mut self, other: &Self) -> Self {
        for (name, value) in &other.0 {
            self.set(name.clone(), value.clone());
        }
        self
    }

    pub(crate) fn into_vec(self) -> Vec<(OsString, OsString)> {
        self.0
    }

    /// Refuses what execve(2) cannot pass on, or would pass on as another variable.
    pub(crate) fn check(&self, invocation: &Invocation) -> Result<(), Error> {
        let has = |text: &OsStr, byte| text.as_encoded_bytes().contains(&byte);
        let refusal = self.0.iter().find_map(|(name, value)| {
            let shown = name.to_string_lossy();
            if name.is_empty() || has(name, b'=') || has(name, 0) {
                Some(format!("`{}` cannot be the name of an environment variable", shown.escape_debug()))
            } else if has(value, 0) {
                Some(format!("the environment variable `{shown}` cannot hold a NUL"))
            } else {
                None
            }
        });
        refusal.map_or(Ok(()), |text| Err(Error::new(ErrorKind::Refused).message(text).about(invocation)))
    }
}

impl From<Vec<(OsString, OsString)>> for Environment {
    fn from(pairs: Vec<(OsString, OsString)>) -> Self {
        let mut environment = Self::default();
        for (name, value) in pairs {
            environment.set(name, value);
        }
        environment
    }
}

/// The builder that adds a variable, which every executor has; with what else there is to say of it there.
macro_rules! env_builder {
    (|$executor:ident| $environment:expr, $($note:literal),+ $(,)?) => {
        /// Gives qemu-img another environment variable, such as `SSH_AUTH_SOCK` or `CEPH_ARGS`; of several values of one
        /// name the last holds. A name that is empty or has a `=` in it is [refused](crate::ErrorKind::Refused) when a
        /// command is run.
        ///
        /// It can replace what is set here, but errors are told apart by messages in English. The programs in front of
        /// qemu-img, such as prlimit, are given it too.
        $(#[doc = $note])+
        #[must_use]
        pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
            let $executor = &mut self;
            $environment.set(name.into(), value.into());
            self
        }
    };
}

pub(crate) use env_builder;
