//! Whether two images are the same.

use crate::Error;

/// What `qemu-img compare` found.
///
/// `compare` has no JSON. Its text is read to the letter, with or without `-p`, and must agree with the exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Comparison {
    /// The guest reads the same from both: exit status 0.
    Identical {
        /// Whether one is longer, and only zeros are where the other has ended. `None` after `compare -q`.
        sizes_differ: Option<bool>,
    },

    /// They differ: exit status 1.
    Different(Difference),
}

/// The first difference of two images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Difference {
    /// Something else is read.
    Content {
        /// Where the sector of 512 bytes begins that holds the first difference.
        offset: u64,
        /// Whether one is longer, too.
        sizes_differ: bool,
    },

    /// The virtual sizes are not the same (only `compare -s`).
    Size,

    /// One is allocated in another way than the other (only `compare -s`).
    Allocation {
        /// Where the part begins in which `qemu-img` noticed: the difference itself can come later.
        offset: u64,
    },

    /// `compare -q` does not say.
    Unstated,
}

impl Comparison {
    /// Reads how `qemu-img compare` ended and what it printed.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`] if the images were not compared. The status says why: 1 the command line was wrong, 2 an
    /// image could not be opened, 3 its allocation or 4 its content or size could not be read. The status 1 stands
    /// for a difference, too: what makes the failure is that something is on standard error, and no difference on
    /// standard output. [`Error::Text`] and [`Error::ExitStatus`] if the output is not that of `compare`.
    pub fn from_output(exit: i32, stdout: &[u8], stderr: &[u8]) -> Result<Self, Error> {
        let found = parse(stdout);
        match (exit, found) {
            (0, Ok(None)) => Ok(Self::Identical { sizes_differ: None }),
            (1, Ok(None)) if stderr.trim_ascii().is_empty() => Ok(Self::Different(Difference::Unstated)),
            (0, Ok(Some(same @ Self::Identical { .. }))) => Ok(same),
            (1, Ok(Some(different @ Self::Different(_)))) => Ok(different),
            (0 | 1, Ok(Some(_))) => Err(Error::ExitStatus { exit }),
            (0, Err(error)) => Err(error),
            // Nothing counts but the status if it failed: the help, for one, is printed on standard output.
            (1, Err(error)) if stderr.trim_ascii().is_empty() => Err(error),
            _ => Err(Error::Failed { exit }),
        }
    }

    /// Whether the guest reads the same from both.
    #[must_use]
    pub const fn is_identical(&self) -> bool {
        matches!(self, Self::Identical { .. })
    }
}

/// The finding on standard output; `None` if it is quiet.
fn parse(stdout: &[u8]) -> Result<Option<Comparison>, Error> {
    let unexpected = |text: &str| Error::text(text.as_bytes());
    let text = str::from_utf8(stdout).map_err(|_| Error::text(stdout))?;
    // Progress is overwritten with carriage returns, and ends in an empty line.
    let mut lines = text.split(['\r', '\n']).filter(|line| !line.is_empty() && !is_progress(line)).peekable();
    let sizes_differ = lines.next_if_eq(&"Warning: Image size mismatch!").is_some();
    let Some(line) = lines.next() else {
        return if sizes_differ { Err(unexpected(text)) } else { Ok(None) };
    };
    let found = match line {
        "Images are identical." => Comparison::Identical { sizes_differ: Some(sizes_differ) },
        "Strict mode: Image size mismatch!" if !sizes_differ => Comparison::Different(Difference::Size),
        _ => {
            let content = number_in(line, "Content mismatch at offset ", "!");
            let allocation = number_in(line, "Strict mode: Offset ", " block status mismatch!");
            Comparison::Different(match (content, allocation) {
                (Some(offset), _) => Difference::Content { offset, sizes_differ },
                (None, Some(offset)) if !sizes_differ => Difference::Allocation { offset },
                _ => return Err(unexpected(line)),
            })
        }
    };
    lines.next().map_or(Ok(Some(found)), |more| Err(unexpected(more)))
}

/// Whether this is all of `    (12.34/100%)`.
fn is_progress(line: &str) -> bool {
    let percent = line.trim_start_matches(' ').strip_prefix('(').and_then(|rest| rest.strip_suffix("/100%)"));
    percent.is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit() || b == b'.'))
}

fn number_in(line: &str, before: &str, after: &str) -> Option<u64> {
    let digits = line.strip_prefix(before)?.strip_suffix(after)?;
    // Not what `parse` takes besides: a plus sign.
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const SAME: Comparison = Comparison::Identical { sizes_differ: Some(false) };

    fn content(offset: u64, sizes_differ: bool) -> Comparison {
        Comparison::Different(Difference::Content { offset, sizes_differ })
    }

    #[test]
    fn every_finding() {
        for (exit, stdout, found) in [
            (0, "Images are identical.\n", SAME),
            (0, "    (0.00/100%)\r    (100.00/100%)\rImages are identical.\n\n", SAME),
            (
                0,
                "    (0.00/100%)\r    (50.00/100%)\rWarning: Image size mismatch!\n    (100.00/100%)\rImages are \
                 identical.\n\n",
                Comparison::Identical { sizes_differ: Some(true) },
            ),
            (0, "", Comparison::Identical { sizes_differ: None }),
            (1, "", Comparison::Different(Difference::Unstated)),
            (1, "Content mismatch at offset 18446744073709551615!\n", content(u64::MAX, false)),
            (1, "    (0.00/100%)\r    (6.64/100%)\rContent mismatch at offset 69632!\n\n", content(69632, false)),
            (1, "Warning: Image size mismatch!\nContent mismatch at offset 512!\n", content(512, true)),
            (1, "Strict mode: Image size mismatch!\n", Comparison::Different(Difference::Size)),
            (
                1,
                "Strict mode: Offset 65536 block status mismatch!\n",
                Comparison::Different(Difference::Allocation { offset: 65536 }),
            ),
        ] {
            assert_eq!(Comparison::from_output(exit, stdout.as_bytes(), b"").unwrap(), found, "{stdout}");
            assert_eq!(found.is_identical(), exit == 0);
            let stated = !stdout.is_empty();
            // A warning changes nothing, where a finding is stated.
            assert_eq!(
                Comparison::from_output(exit, stdout.as_bytes(), b"qemu-img: warning: x\n").is_ok(),
                stated || exit == 0
            );
            if stated {
                let other = Comparison::from_output(1 - exit, stdout.as_bytes(), b"");
                assert!(matches!(other, Err(Error::ExitStatus { .. })), "{stdout}: {other:?}");
            }
        }
    }

    #[test]
    fn failures() {
        for exit in [1, 2, 3, 4, 134] {
            let failed = Comparison::from_output(exit, b"", b"qemu-img: unrecognized option '--bogus'\n");
            assert!(matches!(failed, Err(Error::Failed { exit: e }) if e == exit), "{failed:?}");
        }
    }

    #[test]
    fn what_compare_does_not_print() {
        for stdout in [
            "Images are identical",
            "Images are ident",
            "Content mismatch at offset !\n",
            "Content mismatch at offset +1!\n",
            "Content mismatch at offset 18446744073709551616!\n",
            "Content mismatch at offset 1\n",
            "Warning: Image size mismatch!\n",
            "Warning: Image size mismatch!\nStrict mode: Image size mismatch!\n",
            "Images are identical.\nImages are identical.\n",
            "Images are identical.\n(/100%)\n",
            "\u{fffd}\n",
        ] {
            for exit in [0, 1] {
                let read = Comparison::from_output(exit, stdout.as_bytes(), b"");
                assert!(matches!(read, Err(Error::Text { .. })), "{stdout}: {read:?}");
            }
        }
        assert!(matches!(Comparison::from_output(0, b"\xff", b""), Err(Error::Text { .. })));
    }
}
