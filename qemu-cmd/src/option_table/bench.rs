//! `bench` and `bitmap`.

use super::build::{
    CACHE, FORCE_SHARE, FORMAT, FORMAT_EXCLUDES, IMAGE_OPTS, OBJECT, arg, because, flag, later, name, since, upstream,
};
use super::subcommand::{Choice, CommandSpec, one};
use super::{OptionSpec, Spelling, ValueKind};

const INT_MAX: u32 = 0x7fff_ffff;

const fn number(min: u32, max: u32, reason: &'static str) -> ValueKind {
    ValueKind::Number { min, max, reason }
}

const BENCH_OPTIONS: &[OptionSpec] = &[
    FORMAT,
    IMAGE_OPTS,
    CACHE,
    arg(
        Some('c'),
        &[later("count")],
        "COUNT",
        number(0, INT_MAX, "a number of requests is whole, from 1 to 2147483647"),
        "how many requests; default 75000",
    ),
    arg(
        Some('d'),
        &[later("depth")],
        "DEPTH",
        number(1, INT_MAX, "a depth is a whole number from 1 to 2147483647"),
        "how many requests at the same time; default 64",
    ),
    arg(Some('o'), &[later("offset")], "OFFSET", ValueKind::Size, "where the first request is; default 0"),
    arg(Some('s'), &[later("buffer-size")], "SIZE", ValueKind::Size, "bytes of a request; default 4k"),
    arg(
        Some('S'),
        &[later("step-size")],
        "SIZE",
        ValueKind::Size,
        "bytes from the start of a request to that of the next; default -s",
    ),
    flag(Some('w'), &[later("write")], "writes to the image, and so destroys its content; default reads"),
    arg(
        None,
        &[name("pattern")],
        "BYTE",
        number(0, 255, "a pattern is a byte from 0 to 255"),
        "the byte that is written; default 0",
    ),
    arg(
        None,
        &[name("flush-interval")],
        "COUNT",
        number(0, INT_MAX, "a flush interval is a whole number from 0 to 2147483647"),
        "flushes after so many requests; default never",
    )
    .needs(&[because("w", "--flush-interval needs -w: a test that reads has nothing to flush")]),
    flag(None, &[name("no-drain")], "goes on with requests while it flushes"),
    arg(
        Some('i'),
        &[later("aio")],
        "AIO",
        ValueKind::Choice {
            of: &["threads", "native", "io_uring"],
            reason: "no such backend: write threads, native or io_uring",
        },
        "how requests are made; default threads",
    ),
    flag(Some('n'), &[later("native")], "the same as -i native, which needs -t none or -t directsync"),
    FORCE_SHARE.excludes(&[because("w", "-U and -w exclude each other: an image that is written is not shared")]),
    flag(Some('q'), &[Spelling { text: "quiet", availability: since(10, 2) }], "prints nothing but errors"),
    OBJECT.available(since(10, 2)),
];

pub(super) const BENCH: CommandSpec = CommandSpec {
    name: "bench",
    summary: "measures how fast an image is read or written",
    operands: &[one("FILE", "the image")],
    needs: "one image",
    options: BENCH_OPTIONS,
    choices: &[],
};

const BITMAP_OPTIONS: &[OptionSpec] = &[
    arg(
        Some('f'),
        &[upstream("format")],
        "FMT",
        ValueKind::Format,
        "the image's format; without it the content chooses",
    )
    .excludes(FORMAT_EXCLUDES),
    IMAGE_OPTS,
    flag(None, &[name("add")], "adds the bitmap, which records from then on"),
    arg(
        Some('g'),
        &[name("granularity")],
        "SIZE",
        ValueKind::Size,
        "bytes that a bit of the added bitmap is for; default 64k or the cluster size",
    )
    .needs(&[because("add", "-g needs --add: a bitmap keeps the granularity that it was added with")]),
    flag(None, &[name("remove")], "removes the bitmap"),
    flag(None, &[name("remove-all")], "removes all bitmaps").available(since(11, 0)),
    flag(None, &[name("clear")], "empties the bitmap"),
    flag(None, &[name("enable")], "makes the bitmap record"),
    flag(None, &[name("disable")], "makes the bitmap record no more"),
    arg(None, &[name("merge")], "SOURCE", ValueKind::Text, "adds what the bitmap SOURCE has recorded"),
    arg(
        Some('b'),
        &[name("source-file")],
        "FILE",
        ValueKind::Image,
        "the image of the bitmaps to merge; default the same",
    )
    .needs(&[because("merge", "-b needs --merge: nothing else reads a second image")]),
    arg(
        Some('F'),
        &[name("source-format")],
        "FMT",
        ValueKind::Format,
        "the format of -b; without it the content chooses",
    )
    .needs(&[because("b", "-F needs -b: there is no second image that has this format")]),
    OBJECT,
];

pub(super) const BITMAP: CommandSpec = CommandSpec {
    name: "bitmap",
    summary: "changes a persistent dirty bitmap of an image, by actions in the order given",
    operands: &[one("FILE", "the image"), one("BITMAP", "the bitmap's name; none if all are removed")],
    needs: "an image and the name of a bitmap",
    options: BITMAP_OPTIONS,
    choices: &[Choice::at_least_one(
        &["add", "remove", "remove-all", "clear", "enable", "disable", "merge"],
        "bitmap needs an action: --add, --remove, --clear, --enable, --disable or --merge",
    )],
};
