//! What can be found, as a table.

use super::Severity;

/// What a [`Finding`](super::Finding) can be: a constant each, whose documentation is made of what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rule {
    /// A name that does not change.
    pub code: &'static str,
    /// How bad it can usually get.
    pub severity: Severity,
    /// The reason, in one sentence.
    pub message: &'static str,
    /// What to write instead.
    pub instead: &'static str,
}

impl Rule {
    pub(super) const fn but(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }
}

macro_rules! rules {
    ($($name:ident $severity:ident $code:literal $message:literal, $instead:literal;)+) => {
        impl Rule {
            $(
                #[doc = concat!("**", stringify!($severity), "** `", $code, "`: ", $message, ". Instead: ", $instead, ".")]
                pub const $name: Self =
                    Self { code: $code, severity: Severity::$severity, message: $message, instead: $instead };
            )+

            /// Every one.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];
        }
    };
}

rules! {
    REFUSED Danger "refused"
        "this crate refuses to run it",
        "qemu-img rejects it, or gets it silently wrong";

    // Secrets.
    SECRET_IN_ARGUMENTS Danger "secret-in-arguments"
        "a secret in the arguments can be read by every user of the machine",
        "give it as file=/dev/stdin, or run it with qimg";
    PASSWORD_IN_NAME Danger "password-in-name"
        "a password in the name of an image can be read by every user of the machine",
        "define a secret object, and name its id in a node";
    SECRET_READ_TWICE Danger "secret-read-twice"
        "a pipe can be read once: the second secret that comes from it is the empty one",
        "define one object, and name it twice, or give files";
    BROKEN_ENCRYPTION Danger "broken-encryption"
        "the old encryption of qcow2 is broken by design, and a wrong key reads garbage with exit 0",
        "write encrypt.format=luks";
    WEAK_ENCRYPTION Warning "weak-encryption"
        "who has the image learns what is in it with less work than with the defaults",
        "leave it out";
    FORCED Danger "forced"
        "with --force the last key slot can be erased, and the data with it",
        "leave --force out";
    HOST_UNCHECKED Warning "host-unchecked"
        "without a check of the server's key anybody on the way can be the server",
        "leave it out, or give the fingerprint of the key";
    CERTIFICATE_UNCHECKED Warning "certificate-unchecked"
        "without a check of the certificate anybody on the way can change what is read",
        "leave sslverify out";

    // What decides what is opened.
    FORMAT_PROBED Danger "format-probed"
        "without a format the image's content chooses one, and with it what else is opened",
        "give the format with -f, or driver= in a node";
    BACKING_FORMAT_MISSING Danger "backing-format-missing"
        "without its format the content of the backing file chooses one; since 6.1 it is required",
        "give it with -F";
    TARGET_FORMAT_MISSING Danger "target-format-missing"
        "an existing target without a format is written as raw, over its own format",
        "give the target's format with -O";
    CHAIN_FOLLOWED Warning "chain-followed"
        "whatever the images name as backing files is opened",
        "leave it out for an image from a stranger";
    EXTENTS_FOLLOWED Warning "extents-followed"
        "a vmdk names files of this machine as its parts, and all of them are opened, even by info",
        "look at its descriptor first, if it comes from a stranger";
    DATA_FILE_KEPT Danger "data-file-kept"
        "a data file cannot be switched off: null is ignored, and the file that the image names is read",
        "refuse images with a data file";
    NAME_IS_DIRECTORY Danger "name-is-directory"
        "a name that starts with `fat:` is a directory of this machine, shown as a disk",
        "write ./ in front, if a file is meant";
    NAME_IS_PROTOCOL Danger "name-is-protocol"
        "what stands before the colon of a name is a protocol to qemu, which does not have it",
        "write ./ in front, if a file is meant";
    DASH_IS_FILE Warning "dash-is-file"
        "`-` is a file of that name, not standard input or output",
        "name a file";

    // Backing files.
    BACKING_DROPPED Danger "backing-dropped"
        "the backing file is dropped and nothing copied: what the image took from there reads as zeros",
        "leave -u out, to copy it first";
    REBASE_UNCHECKED Warning "rebase-unchecked"
        "only the name changes: if the new backing file differs, the image is corrupt and no check finds it",
        "leave -u out, unless the content is known to be the same";
    BACKING_IGNORED Danger "backing-ignored"
        "with -n the target gets no backing file, and still lacks what the source has from its own: it reads as zeros there",
        "leave -B out, or leave -n out and have the target made with it";
    BACKING_ASSUMED Warning "backing-assumed"
        "nothing checks that the backing file holds what the source's does, and what differs is corrupt",
        "leave -B out, or compare the two first";
    BACKING_FROM_HERE Warning "backing-from-here"
        "behind `file:` a relative name is looked for where a program happens to run, not beside the image",
        "leave `file:` out, or give the whole path";
    BACKING_UNOPENED Note "backing-unopened"
        "nothing checks that the backing file exists",
        "leave -u out";
    COMMITS_PAST_IMAGES Warning "commits-past-images"
        "the images between this one and the base are no longer valid",
        "delete them afterwards";

    // What is overwritten or lost.
    CACHE_UNSAFE Warning "cache-unsafe"
        "the cache mode unsafe, which is convert's default, ends before the data is on disk",
        "write -t none, or -t writeback where there is no O_DIRECT";
    TARGET_OVERWRITTEN Warning "target-overwritten"
        "the target exists, and its content is gone as soon as this starts, whether it succeeds or not",
        "write to another name, and rename it";
    DATA_FILE_OVERWRITTEN Danger "data-file-overwritten"
        "the data file exists, and is overwritten with zeros",
        "name another, or write keep_data_file=on (11.0)";
    DEVICE_OVERWRITTEN Warning "device-overwritten"
        "a device is overwritten whatever is on it",
        "write -n to say that it is meant, and be sure of the name";
    TARGET_IS_ZERO Warning "target-is-zero"
        "nothing checks that the target reads as zeros, and what does not stays",
        "look at it with map first, or leave it out";
    SHRINKS Warning "shrinks"
        "what lies beyond the new end is lost",
        "make the file system smaller first, and keep a copy";
    BENCH_WRITES Danger "bench-writes"
        "-w overwrites the image with a pattern",
        "leave -w out, or give an image without data";
    REPAIRS Warning "repairs"
        "a repair changes the image in place, and can lose what it does not understand",
        "check without -r first, and keep a copy";
    STATE_LOST Warning "state-lost"
        "what was written since that snapshot is lost",
        "make a snapshot first";
    SALVAGE Warning "salvage"
        "what cannot be read becomes zeros, with exit 0",
        "read the warnings on standard error";
    SHARED_READ Warning "shared-read"
        "an image that is written meanwhile is read in a state it never had",
        "stop the writer, or leave -U out to be told that there is one";
    BITMAPS_SKIPPED Note "bitmaps-skipped"
        "bitmaps that are inconsistent are missing in the target, with exit 0",
        "read the warnings on standard error, and make a full backup next";

    // What qemu-img takes without a word.
    OPTION_TWICE Warning "option-twice"
        "given twice with different values, and the last one counts without a word",
        "give it once";
    KEY_TWICE Warning "key-twice"
        "given twice, and the last one counts without a word",
        "give it once";
    COMMA_SPLITS Danger "comma-splits"
        "a comma has split a value in two",
        "double the comma";
    HELP_NOT_DONE Danger "help-not-done"
        "`help` among the options prints a list and exits with 0, and nothing is done",
        "take it out";
    SIZE_IN_BYTES Warning "size-in-bytes"
        "a number without a suffix is one of bytes",
        "write a suffix, as in 20G";
    QUIET_PROGRESS Note "quiet-progress"
        "-q wins over -p, and no progress is printed",
        "leave one of the two out";
    OUT_OF_ORDER Note "out-of-order"
        "writes out of order scatter the clusters of a new image",
        "write -W for a device or an image that is preallocated";
    ADDRESS_SPACE_TIGHT Warning "address-space-tight"
        "with so many coroutines in so little address space it dies at random, since each thread takes 64 MiB of it",
        "set MALLOC_ARENA_MAX=1, as qimg does, or lower -m, or raise the limit";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_words_and_stand_once() {
        let mut codes: Vec<_> = Rule::ALL.iter().map(|rule| rule.code).collect();
        assert!(codes.iter().all(|code| code.chars().all(|c| c.is_ascii_lowercase() || c == '-')));
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), Rule::ALL.len());
    }
}
