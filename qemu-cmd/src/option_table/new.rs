//! `create`, `amend`, `resize` and `dd`: what an image is like.

use super::build::{CACHE, FORCE_SHARE, FORMAT, IMAGE_OPTS, OBJECT, PROGRESS, QUIET, arg, flag, later, name, upstream};
use super::subcommand::{Choice, CommandSpec, one, optional};
use super::{OptionSpec, ValueKind};

const AMEND_OPTIONS: &[OptionSpec] = &[
    FORMAT,
    IMAGE_OPTS,
    arg(Some('o'), &[later("options")], "OPTS", ValueKind::Options, "the options to change"),
    CACHE,
    flag(None, &[name("force")], "allows what can make the data unreadable, such as erasing the last LUKS key slot"),
    PROGRESS,
    QUIET,
    OBJECT,
];

pub(super) const AMEND: CommandSpec = CommandSpec {
    name: "amend",
    summary: "changes the options of an image's format",
    operands: &[one("FILE", "the image to change")],
    needs: "one image",
    options: AMEND_OPTIONS,
    choices: &[Choice::at_least_one(&["o"], "amend needs -o: say what to change")],
};

const CREATE_OPTIONS: &[OptionSpec] = &[
    arg(Some('f'), &[later("format")], "FMT", ValueKind::Format, "the image's format; default raw"),
    arg(Some('o'), &[later("options")], "OPTS", ValueKind::Options, "create options"),
    arg(Some('b'), &[later("backing")], "FILE", ValueKind::Image, "backing file; default none"),
    arg(
        Some('F'),
        &[later("backing-format"), upstream("B")],
        "FMT",
        ValueKind::Format,
        "the backing file's format; 6.1 and later do not do without it",
    ),
    flag(Some('u'), &[later("backing-unsafe")], "does not open the backing file; needs a size"),
    QUIET,
    OBJECT,
];

pub(super) const CREATE: CommandSpec = CommandSpec {
    name: "create",
    summary: "creates an image",
    operands: &[
        one("FILE", "the image to create, which is overwritten if it exists"),
        optional("SIZE", "its virtual size; default the backing file's"),
    ],
    needs: "a file and a size",
    options: CREATE_OPTIONS,
    choices: &[],
};

const RESIZE_OPTIONS: &[OptionSpec] = &[
    FORMAT,
    IMAGE_OPTS,
    flag(None, &[name("shrink")], "allows the image to become smaller, and data to be lost"),
    arg(
        None,
        &[name("preallocation")],
        "MODE",
        ValueKind::Choice {
            of: &["off", "metadata", "falloc", "full"],
            reason: "no such preallocation: write off, metadata, falloc or full",
        },
        "how space that is added is allocated; default off",
    ),
    QUIET,
    OBJECT,
];

pub(super) const RESIZE: CommandSpec = CommandSpec {
    name: "resize",
    summary: "changes the virtual size of an image",
    operands: &[
        one("FILE", "the image to resize"),
        one("SIZE", "its new size, or with `+` or `-` by how much it grows or shrinks"),
    ],
    needs: "an image and a size",
    options: RESIZE_OPTIONS,
    choices: &[],
};

const DD_OPTIONS: &[OptionSpec] = &[
    FORMAT,
    IMAGE_OPTS,
    arg(Some('O'), &[later("output-format")], "FMT", ValueKind::Format, "the output's format; default raw"),
    FORCE_SHARE,
    OBJECT,
];

pub(super) const DD: CommandSpec = CommandSpec {
    name: "dd",
    summary: "copies blocks of one image to a new one",
    operands: &[
        one("if=INPUT", "the image to read"),
        one("of=OUTPUT", "the image to create, which is overwritten if it exists"),
        optional("bs=SIZE", "bytes in a block; default 512"),
        optional("count=N", "how many blocks to copy; default all"),
        optional("skip=N", "how many blocks to leave out at the start; default 0"),
    ],
    needs: "if= and of=",
    options: DD_OPTIONS,
    choices: &[],
};
