//! `commit`, `rebase` and `snapshot`: backing files and snapshots.

use super::build::{
    CACHE, CACHE_MODE, FORCE_SHARE, FORMAT, IMAGE_OPTS, OBJECT, PROGRESS, QUIET, arg, because, flag, later, since,
    upstream,
};
use super::subcommand::{Choice, CommandSpec, one};
use super::{OptionSpec, ValueKind};
use crate::Availability;

const COMMIT_OPTIONS: &[OptionSpec] = &[
    FORMAT,
    IMAGE_OPTS,
    CACHE,
    arg(
        Some('b'),
        &[later("base")],
        "BASE",
        ValueKind::Image,
        "the image of the chain that the data goes to; default the backing file; implies -d",
    ),
    flag(Some('d'), &[later("drop")], "does not empty the image afterwards"),
    arg(
        Some('r'),
        &[upstream("rate-limit"), later("rate")],
        "RATE",
        ValueKind::Size,
        "bytes a second at most; default no limit",
    ),
    PROGRESS,
    QUIET,
    OBJECT,
];

pub(super) const COMMIT: CommandSpec = CommandSpec {
    name: "commit",
    summary: "writes the data of an image into its backing file",
    operands: &[one("FILE", "the image whose data goes to its backing file, and which is emptied")],
    needs: "one image",
    options: COMMIT_OPTIONS,
    choices: &[],
};

const REBASE_OPTIONS: &[OptionSpec] = &[
    FORMAT,
    IMAGE_OPTS,
    CACHE,
    arg(Some('b'), &[later("backing")], "FILE", ValueKind::Image, "the new backing file; empty for none"),
    arg(
        Some('F'),
        &[later("backing-format"), upstream("B")],
        "FMT",
        ValueKind::Format,
        "the new backing file's format; 6.1 and later do not do without it",
    ),
    arg(Some('T'), &[later("backing-cache")], "CACHE", CACHE_MODE, "the backing files' cache mode; default writeback"),
    flag(
        Some('u'),
        &[later("backing-unsafe")],
        "changes only the name: what the old backing file has and the new one lacks is lost",
    ),
    flag(Some('c'), &[later("compress")], "compresses the data that is copied").available(since(8, 2)),
    FORCE_SHARE,
    PROGRESS,
    QUIET,
    OBJECT,
];

pub(super) const REBASE: CommandSpec = CommandSpec {
    name: "rebase",
    summary: "changes the backing file of an image",
    operands: &[one("FILE", "the image whose backing file is changed")],
    needs: "one image",
    options: REBASE_OPTIONS,
    choices: &[Choice::at_least_one(
        &["b", "u"],
        "rebase needs -b: name the new backing file, or write -b '' to have none",
    )],
};

const NOT_SHARED: &str = "-U and a change of snapshots exclude each other: an image that is written is not shared";

const SNAPSHOT_OPTIONS: &[OptionSpec] = &[
    FORMAT.available(Availability::LONG_NAMES),
    IMAGE_OPTS,
    flag(Some('l'), &[later("list")], "lists the snapshots; the default"),
    arg(Some('c'), &[upstream("create")], "SNAPSHOT", ValueKind::Text, "takes a snapshot"),
    arg(
        Some('a'),
        &[upstream("apply")],
        "SNAPSHOT",
        ValueKind::Text,
        "goes back to a snapshot; what was written since is lost",
    ),
    arg(Some('d'), &[upstream("delete")], "SNAPSHOT", ValueKind::Text, "deletes a snapshot"),
    FORCE_SHARE.excludes(&[because("c", NOT_SHARED), because("a", NOT_SHARED), because("d", NOT_SHARED)]),
    QUIET,
    OBJECT,
];

pub(super) const SNAPSHOT: CommandSpec = CommandSpec {
    name: "snapshot",
    summary: "lists, takes, applies or deletes the internal snapshots of an image",
    operands: &[one("FILE", "the image")],
    needs: "one image",
    options: SNAPSHOT_OPTIONS,
    choices: &[Choice::at_most_one(
        &["l", "c", "a", "d"],
        "snapshot does one thing at a time: write one of -l, -c, -a and -d",
    )],
};
