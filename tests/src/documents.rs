//! The examples of the documents, as tests.

macro_rules! document {
    ($name:ident, $path:literal) => {
        #[doc = include_str!(concat!("../../", $path))]
        struct $name;
    };
}

document!(Readme, "README.md");
document!(QemuCmd, "qemu-cmd/README.md");
document!(QemuExec, "qemu-exec/README.md");
document!(QemuInfo, "qemu-info/README.md");
document!(FromCommand, "docs/from-command.md");
document!(FromNova, "docs/from-nova.md");
document!(Security, "docs/security.md");
