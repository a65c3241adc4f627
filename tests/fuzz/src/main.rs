//! Fuzz targets: what holds for any input. `cargo xtask fuzz` builds and runs them.
//!
//! They are one program, which runs the target that `FUZZ_TARGET` names. libFuzzer drives it and has its `main`.

#![no_main]

mod argv;
mod bounds;
mod formats;
mod image;
mod outputs;
mod stream;

use std::sync::LazyLock;

type Target = fn(&[u8]);

/// `xtask` knows the names, too: a test there holds them against these.
const TARGETS: &[(&str, Target)] = &[
    ("qcow2", formats::qcow2),
    ("qcow", formats::qcow),
    ("luks", formats::luks),
    ("vmdk", formats::vmdk),
    ("vdi", formats::vdi),
    ("vhdx", formats::vhdx),
    ("vpc", formats::vpc),
    ("qed", formats::qed),
    ("parallels", formats::parallels),
    ("bochs", formats::bochs),
    ("cloop", formats::cloop),
    ("dmg", formats::dmg),
    ("disc", formats::disc),
    ("partitions", formats::partitions),
    ("stream", stream::stream),
    ("info", outputs::info),
    ("chain", outputs::chain),
    ("check", outputs::check),
    ("map", outputs::map),
    ("measure", outputs::measure),
    ("compare", outputs::compare),
    ("snapshot_list", outputs::snapshot_list),
    ("argv", argv::argv),
];

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    let found = TARGETS.iter().find(|(target, _)| *target == name);
    found.unwrap_or_else(|| panic!("`FUZZ_TARGET={name}` names no target")).1
});

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let target = *TARGET;
    bounds::within_memory(|| target(input));
});
