//! `check`, `compare`, `info` and `map`: commands that tell about images.

use super::build::{
    CACHE_MODE, FORCE_SHARE, FORMAT_EXCLUDES, FORMAT_LONG, IMAGE_OPTS, OBJECT, OUTPUT, PROGRESS, QUIET, SOURCE_CACHE,
    arg, because, debian, flag, later, name, since,
};
use super::subcommand::{CommandSpec, one};
use super::{OptionSpec, ValueKind};

const CHECK_OPTIONS: &[OptionSpec] = &[
    FORMAT_LONG,
    IMAGE_OPTS,
    SOURCE_CACHE,
    arg(
        Some('r'),
        &[name("repair")],
        "WHAT",
        ValueKind::Choice { of: &["leaks", "all"], reason: "no such repair: write -r leaks or -r all" },
        "repairs: leaks only, or all",
    ),
    FORCE_SHARE.excludes(&[because("r", "-U and -r exclude each other: an image that is repaired is not shared")]),
    OUTPUT,
    QUIET,
    OBJECT,
];

pub(super) const CHECK: CommandSpec = CommandSpec {
    name: "check",
    summary: "checks the metadata of an image, and repairs it if told to",
    operands: &[one("FILE", "the image to check")],
    needs: "one image",
    options: CHECK_OPTIONS,
    choices: &[],
};

const COMPARE_OPTIONS: &[OptionSpec] = &[
    arg(
        Some('f'),
        &[later("a-format")],
        "FMT",
        ValueKind::Format,
        "the first image's format; without it the content chooses",
    )
    .excludes(FORMAT_EXCLUDES),
    arg(
        Some('F'),
        &[later("b-format")],
        "FMT",
        ValueKind::Format,
        "the second image's format; without it the content chooses",
    )
    .excludes(&[because("image-opts", "-F and --image-opts exclude each other: write driver=FMT in the node")]),
    flag(None, &[name("image-opts")], "both images are key=value nodes"),
    flag(Some('s'), &[later("strict")], "counts another size, or another allocation, as a difference"),
    SOURCE_CACHE,
    FORCE_SHARE,
    PROGRESS,
    QUIET,
    OBJECT,
];

pub(super) const COMPARE: CommandSpec = CommandSpec {
    name: "compare",
    summary: "tells whether two images have the same content",
    operands: &[one("FILE1", "the first image"), one("FILE2", "the second image")],
    needs: "two images",
    options: COMPARE_OPTIONS,
    choices: &[],
};

const INFO_OPTIONS: &[OptionSpec] = &[
    FORMAT_LONG,
    IMAGE_OPTS,
    flag(None, &[name("backing-chain"), debian("b")], "describes the whole backing chain"),
    arg(Some('t'), &[name("cache")], "CACHE", CACHE_MODE, "the image's cache mode; default writeback")
        .available(since(10, 2)),
    flag(None, &[name("limits")], "prints block limits").available(since(10, 2)),
    FORCE_SHARE,
    OUTPUT,
    OBJECT,
];

pub(super) const INFO: CommandSpec = CommandSpec {
    name: "info",
    summary: "describes an image",
    operands: &[one("FILE", "the image to describe")],
    needs: "one image",
    options: INFO_OPTIONS,
    choices: &[],
};

const MAP_OPTIONS: &[OptionSpec] = &[
    FORMAT_LONG,
    IMAGE_OPTS,
    arg(Some('s'), &[name("start-offset")], "OFFSET", ValueKind::Size, "where in the image to start; default 0"),
    arg(Some('l'), &[name("max-length")], "LENGTH", ValueKind::Size, "how many bytes at most; default all"),
    FORCE_SHARE,
    OUTPUT,
    OBJECT,
];

pub(super) const MAP: CommandSpec = CommandSpec {
    name: "map",
    summary: "tells which parts of an image hold data, and where they are",
    operands: &[one("FILE", "the image to describe")],
    needs: "one image",
    options: MAP_OPTIONS,
    choices: &[],
};
