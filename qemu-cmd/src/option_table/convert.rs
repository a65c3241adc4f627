//! `convert` and `measure`: what a conversion does, and what it will take.

use super::build::{
    CACHE_MODE, FORCE_SHARE, FORMAT_EXCLUDES, IMAGE_OPTS, OBJECT, OUTPUT, QUIET, arg, because, debian, flag, later,
    name, since, upstream,
};
use super::subcommand::{CommandSpec, many, one, optional};
use super::{OptionSpec, ValueKind};

const CONVERT_OPTIONS: &[OptionSpec] = &[
    arg(
        Some('f'),
        &[later("source-format")],
        "FMT",
        ValueKind::Format,
        "the sources' format; without it the content chooses",
    )
    .excludes(FORMAT_EXCLUDES),
    flag(None, &[name("image-opts"), debian("source-image-opts")], "the sources are key=value nodes"),
    arg(Some('l'), &[later("snapshot")], "SNAPSHOT", ValueKind::Text, "reads an internal snapshot of the source"),
    arg(Some('T'), &[later("source-cache")], "CACHE", CACHE_MODE, "the sources' cache mode; default writeback"),
    arg(
        Some('O'),
        &[upstream("target-format"), debian("output-format")],
        "FMT",
        ValueKind::Format,
        "the target's format; default raw",
    )
    .excludes(&[because(
        "target-image-opts",
        "-O and --target-image-opts exclude each other: write driver=FMT in the node",
    )]),
    flag(None, &[name("target-image-opts")], "the target is a key=value node; needs -n")
        .needs(&[because("n", "--target-image-opts needs -n: the target must exist")]),
    arg(
        Some('o'),
        &[upstream("target-format-options"), debian("options")],
        "OPTS",
        ValueKind::Options,
        "create options of the target",
    )
    .excludes(&[because("n", "-n and -o exclude each other: an existing target keeps its options")]),
    flag(Some('c'), &[], "compresses the data"),
    arg(Some('t'), &[upstream("target-cache")], "CACHE", CACHE_MODE, "the target's cache mode; default unsafe"),
    arg(
        Some('B'),
        &[later("backing"), upstream("b")],
        "FILE",
        ValueKind::Image,
        "backing file of the target, assumed to hold the same data as the source's",
    ),
    arg(Some('F'), &[later("backing-format")], "FMT", ValueKind::Format, "the backing file's format")
        .available(since(6, 1)),
    flag(Some('n'), &[upstream("no-create")], "the target exists and is written into"),
    flag(None, &[name("target-is-zero")], "the target is known to read as zeros; needs -n")
        .needs(&[because("n", "--target-is-zero needs -n: a new target is known to be zero")])
        .excludes(&[because("B", "--target-is-zero and -B exclude each other: what a backing file holds is not zero")]),
    arg(
        Some('S'),
        &[later("sparse-size")],
        "SIZE",
        ValueKind::Size,
        "how many zero bytes become a hole; default 4k, 0 for none",
    ),
    arg(
        Some('r'),
        &[upstream("rate-limit"), later("rate")],
        "RATE",
        ValueKind::Size,
        "bytes a second at most; default no limit",
    ),
    arg(
        Some('m'),
        &[later("parallel")],
        "NUM",
        ValueKind::Number { min: 1, max: 16, reason: "the number of coroutines is a whole number from 1 to 16" },
        "how many coroutines copy; default 8",
    ),
    flag(Some('W'), &[later("oob-writes")], "writes out of order"),
    flag(Some('C'), &[later("copy-range-offloading")], "lets the storage copy").excludes(&[
        because("c", "-C and -c exclude each other: the storage cannot compress"),
        because("S", "-C and -S exclude each other: the storage looks for no zeros"),
        because("salvage", "-C and --salvage exclude each other: the storage leaves nothing out"),
    ]),
    flag(None, &[name("bitmaps")], "copies persistent bitmaps"),
    flag(None, &[name("skip-broken-bitmaps")], "leaves out inconsistent bitmaps")
        .available(since(6, 1))
        .needs(&[because("bitmaps", "--skip-broken-bitmaps needs --bitmaps: none are copied without it")]),
    flag(None, &[name("salvage")], "goes on after read errors, with zeros"),
    FORCE_SHARE,
    flag(Some('p'), &[upstream("progress")], "prints progress on standard output"),
    QUIET,
    OBJECT,
];

pub(super) const CONVERT: CommandSpec = CommandSpec {
    name: "convert",
    summary: "copies an image to a new one, of another format or with other options",
    operands: &[
        many("SOURCE", "the image to read; several are read one after the other, as one"),
        one("TARGET", "the image to write, which is overwritten if it exists"),
    ],
    needs: "a source and a target",
    options: CONVERT_OPTIONS,
    choices: &[],
};

const NO_IMAGE: &str = "--size stands for an image, and this option is of one: drop one of the two";

const MEASURE_OPTIONS: &[OptionSpec] = &[
    arg(
        Some('f'),
        &[later("format"), upstream("source-format")],
        "FMT",
        ValueKind::Format,
        "the image's format; without it the content chooses",
    )
    .excludes(FORMAT_EXCLUDES),
    flag(None, &[name("image-opts"), upstream("source-image-opts")], IMAGE_OPTS.doc),
    arg(Some('l'), &[later("snapshot")], "SNAPSHOT", ValueKind::Text, "measures an internal snapshot of the image"),
    arg(Some('O'), &[later("target-format")], "FMT", ValueKind::Format, "the target's format; default raw"),
    arg(
        Some('o'),
        &[later("options"), upstream("target-format-options")],
        "OPTS",
        ValueKind::Options,
        "create options of the target",
    ),
    arg(None, &[name("size"), upstream("s")], "SIZE", ValueKind::Size, "measures an image of this size, full of data")
        .excludes(&[because("f", NO_IMAGE), because("image-opts", NO_IMAGE), because("l", NO_IMAGE)]),
    FORCE_SHARE,
    OUTPUT,
    OBJECT,
];

pub(super) const MEASURE: CommandSpec = CommandSpec {
    name: "measure",
    summary: "tells how large a file a new image will take",
    operands: &[optional("FILE", "the image that would be converted; --size if there is none yet")],
    needs: "one image, or --size",
    options: MEASURE_OPTIONS,
    choices: &[],
};
