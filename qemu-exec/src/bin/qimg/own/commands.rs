//! The commands of qimg.

use qemu_exec::cmd::Subcommand;

use super::{Command, HUMAN_OR_JSON, Own, Takes, flag, own};

const LIKE_NONE: Command =
    Command { name: "", uses: &[], options: &[], like: None, operands: Takes::Nothing, note: "" };

const OUTPUT: &[Own] = &[own("output", "human|json", HUMAN_OR_JSON, "text for people, or JSON")];

pub(crate) const COMMANDS: &[Command] = &[
    Command {
        name: "help",
        uses: &[("[COMMAND]", "tells what there is, or what one command or subcommand takes")],
        operands: Takes::Text,
        ..LIKE_NONE
    },
    Command {
        name: "explain",
        uses: &[("[--output=human|json] -- qemu-img …", "tells what each argument of a command line does")],
        options: OUTPUT,
        operands: Takes::CommandLine,
        ..LIKE_NONE
    },
    Command {
        name: "lint",
        uses: &[
            (
                "[--output=human|json] -- qemu-img …",
                "tells what is risky about a command line run here and now; exit status 1 if anything is",
            ),
            ("[--output=human|json] -", "the same for every qemu-img of a shell script on standard input"),
        ],
        options: OUTPUT,
        operands: Takes::CommandLine,
        ..LIKE_NONE
    },
    Command {
        name: "inspect",
        uses: &[(
            "[OPTION…] FILE…|-",
            "tells from the bytes alone what images are and refer to, and whether to refuse them",
        )],
        options: INSPECT,
        operands: Takes::File,
        note: "It exits with 1 if it refuses an image, 2 if it cannot read one.",
        ..LIKE_NONE
    },
    Command {
        name: "import",
        uses: &[(
            "SRC DST [OPTION…]",
            "converts an image from a stranger, with the target's options of convert, if inspection accepts it",
        )],
        options: IMPORT,
        like: Some(Subcommand::Convert),
        operands: Takes::File,
        note: "It takes the options of convert too: -f is what the image is said to be. It exits with 1 if it refuses.",
    },
    Command {
        name: "digest",
        uses: &[(
            "[OPTION…] IMAGE",
            "prints the SHA-256 of what a guest sees of an image, as sha256sum does of a raw one",
        )],
        options: &[own("check", "DIGEST", Takes::Text, "print nothing, and exit with 1 if it is another one")],
        like: Some(Subcommand::Map),
        operands: Takes::File,
        note: "It takes the options of map too: -f is what the image is.",
    },
    Command {
        name: "chain",
        uses: &[("[OPTION…] IMAGE…", "draws what images are based on, from their bytes alone")],
        options: &[
            own("output", "human|json", HUMAN_OR_JSON, "a tree, or a JSON object for each image on a line of its own"),
            Own { short: Some('f'), ..own("format", "FORMAT", Takes::Format, "what the images are read as") },
            flag("follow", "open backing files outside of an image's directory too, wherever they are"),
        ],
        operands: Takes::File,
        note: "No qemu-img is run, and nothing is opened but files and disks, by the names in the images. It exits with \
               1 if an image of a chain is missing, not opened, or not what it is said to be.",
        ..LIKE_NONE
    },
    Command {
        name: "doctor",
        uses: &[("[--output=human|json] [DIR]", "tells what is here to work with, and what to do about what is not")],
        options: &[own("output", "human|json", HUMAN_OR_JSON, "a table, or one JSON object")],
        operands: Takes::Directory,
        note: "DIR is where images are to be; the current directory unless given. It exits with 1 if something keeps \
               qimg from its work, and with 0 if there are only notes.",
        ..LIKE_NONE
    },
    Command {
        name: "clean",
        uses: &[(
            "[--dry-run] DIR…",
            "removes the unfinished images (.NAME.partial) in a directory that nobody is writing any more",
        )],
        options: &[flag("dry-run", "only tell what would be removed")],
        operands: Takes::Directory,
        ..LIKE_NONE
    },
    Command {
        name: "options",
        uses: &[("", "prints every option of every subcommand, and since when it exists")],
        ..LIKE_NONE
    },
    Command {
        name: "completions",
        uses: &[("bash|zsh|fish", "prints completions for a shell")],
        operands: Takes::OneOf(&["bash", "zsh", "fish"]),
        ..LIKE_NONE
    },
    Command { name: "man", uses: &[("", "prints a manual page")], ..LIKE_NONE },
    Command {
        name: "install-docs",
        uses: &[(
            "[--prefix DIR|--user] [--dry-run]",
            "puts the manual page, and the completions for bash, zsh and fish, where they are looked for",
        )],
        options: &[
            own("prefix", "DIR", Takes::Directory, "below DIR/share; for root /usr/local unless given"),
            flag("user", "below XDG_DATA_HOME, or ~/.local/share, which is where a user's go anyway"),
            flag("dry-run", "only tell what would be written"),
        ],
        ..LIKE_NONE
    },
];

const INSPECT: &[Own] = &[
    own("output", "human|json", HUMAN_OR_JSON, "a table, or a JSON object for each file on a line of its own"),
    own("claimed", "FORMAT", Takes::Format, "what the images are said to be; anything else is refused"),
    own("max-virtual-size", "SIZE", Takes::Text, "refuse images of a larger virtual size; 16T unless given"),
    own("grant", "CODE", Takes::Code, "do not refuse an image for this; can be given more than once"),
    flag("hybrid", "accept optical discs with a partition table"),
];

/// Beside those of `convert`.
const IMPORT: &[Own] = &[
    own("max-virtual-size", "SIZE", Takes::Text, "refuse an image of a larger virtual size; 16T unless given"),
    own("grant", "CODE", Takes::Code, "do not refuse the image for this; can be given more than once"),
    flag("hybrid", "accept an optical disc with a partition table"),
    own("key-file", "FILE", Takes::File, "the passphrase of an encrypted image"),
    flag("replace", "replace what has the target's name"),
];
