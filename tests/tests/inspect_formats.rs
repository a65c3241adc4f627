//! Inspection says of an image what the real qemu-img says of it: format, size, clusters, create type, backing file.
//!
//! Each image is inspected as a file and as a stream, in pieces of several sizes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs::{self, File};
use std::path::Path;

use qemu_info::inspect::{Code, Extent, ImageFormat, Inspection, Inspector, Policy, Verdict, inspect_file};
use serde_json::Value;
use tests::{bare, scratch};

/// Runs qemu-img in a directory, and returns whether it was content.
fn qemu_img(directory: &Path, line: &str) -> bool {
    let mut args: Vec<String> = line.split(' ').map(Into::into).collect();
    // The images of a line are files of the directory.
    for arg in &mut args {
        if let Some(name) = arg.strip_prefix('@') {
            *arg = directory.join(name).to_str().unwrap().into();
        }
    }
    bare(args).status.success()
}

/// What `qemu-img info` says, if it opens the image.
fn info(path: &Path, format: &str) -> Option<Value> {
    let output = bare(["info", "--output=json", "-f", format, path.to_str().unwrap()]);
    output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap())
}

/// Inspects the image in every way. All must say the same.
fn inspected(path: &Path, policy: &Policy) -> Inspection {
    let whole = inspect_file(&File::open(path).unwrap(), policy).unwrap();
    let bytes = fs::read(path).unwrap();
    for size in [bytes.len() / 2000 + 13, 4096, 1 << 20, usize::MAX] {
        let mut inspector = Inspector::new(policy.clone());
        let refused = bytes.chunks(size).any(|piece| inspector.push(piece) == Some(Verdict::Refuse));
        let streamed = inspector.finish();
        if refused && streamed != whole {
            // It was refused before everything had come, so less is known.
            assert_eq!(whole.verdict(), Verdict::Refuse, "{} in pieces of {size}", path.display());
        } else {
            assert_eq!(streamed, whole, "{} in pieces of {size}", path.display());
        }
    }
    whole
}

fn directory_has(path: &Path, extent: &Extent) -> bool {
    let file = extent.file.as_ref().unwrap().to_string();
    path.file_name().unwrap() != file.as_str() && path.with_file_name(file).exists()
}

/// Compares what inspection says of an image with what qemu-img says. Returns what an untrusted one is refused for.
fn compared(path: &Path, format: ImageFormat) -> Vec<Code> {
    let info = info(path, format.driver().unwrap()).unwrap_or_else(|| panic!("{} cannot be opened", path.display()));
    let found = inspected(path, &Policy::facts_only());
    let name = path.display();
    assert_eq!(found.format(), format, "{name}");
    assert_eq!(found.virtual_size(), info["virtual-size"].as_u64(), "{name}");
    // What a VMDK's descriptor does not say, the files that it names do.
    let elsewhere = found.facts().extents.first().is_some_and(|extent| directory_has(path, extent));
    if let (Some(size), false) = (info["cluster-size"].as_u64(), elsewhere) {
        assert_eq!(found.facts().cluster_size, Some(size), "{name}");
    }
    if let Some(kind) = info["format-specific"]["data"]["create-type"].as_str() {
        assert_eq!(found.facts().subformat.as_deref(), Some(kind), "{name}");
    }
    let text = |name: &Option<qemu_info::inspect::Name>| name.as_ref().map(ToString::to_string);
    assert_eq!(text(&found.facts().backing_file).as_deref(), info["backing-filename"].as_str(), "{name}");
    assert_eq!(text(&found.facts().backing_format).as_deref(), info["backing-filename-format"].as_str(), "{name}");
    inspected(path, &Policy::untrusted()).findings().iter().map(|finding| finding.code).collect()
}

/// Makes an image with some options, empty and with content, and expects that it is accepted.
fn accepted(format: ImageFormat, options: &[&str]) {
    let directory = scratch();
    let directory = directory.path();
    let driver = format.driver().unwrap();
    fs::write(directory.join("content"), tests::content()).unwrap();
    for options in options {
        for size in ["1M", "64M", "5G"] {
            let path = directory.join("empty");
            let fixed = ["fixed", "static"].iter().any(|word| options.contains(word));
            if !(fixed && size != "1M") {
                assert!(qemu_img(directory, &format!("create -q -f {driver} {options} @empty {size}")), "{options}");
                assert_eq!(compared(&path, format), [], "{driver} {options} {size}");
                fs::remove_file(path).unwrap();
            }
        }
        let line = format!("convert -f raw -O {driver} {options} @content @full");
        assert!(qemu_img(directory, &line), "{line}");
        assert_eq!(compared(&directory.join("full"), format), [], "{line}");
    }
}

#[test]
fn vdi() {
    accepted(ImageFormat::Vdi, &["-o static=off", "-o static=on"]);
}

#[test]
fn vhdx() {
    let options = [
        "-o subformat=dynamic",
        "-o subformat=fixed",
        "-o block_size=1M",
        "-o block_size=32M",
        "-o log_size=4M",
        "-o block_state_zero=off",
    ];
    accepted(ImageFormat::Vhdx, &options);
}

#[test]
fn vpc() {
    let options = [
        "-o subformat=dynamic",
        "-o subformat=fixed",
        "-o subformat=dynamic,force_size=on",
        "-o subformat=fixed,force_size=on",
    ];
    accepted(ImageFormat::Vpc, &options);
}

#[test]
fn qed() {
    let options =
        ["-o cluster_size=4k", "-o cluster_size=65536", "-o cluster_size=2M,table_size=2", "-o table_size=16"];
    accepted(ImageFormat::Qed, &options);
}

#[test]
fn parallels() {
    accepted(ImageFormat::Parallels, &["-o cluster_size=65536", "-o cluster_size=1M", "-o cluster_size=4M"]);
}

#[test]
fn vmdk() {
    let options = [
        "-o subformat=monolithicSparse",
        "-o subformat=streamOptimized",
        "-o compat6",
        "-o hwversion=13",
        "-o toolsversion=9",
        "-o zeroed_grain=on",
        "-o adapter_type=ide",
        "-o adapter_type=buslogic",
        "-o adapter_type=lsilogic",
        "-o adapter_type=legacyESX",
    ];
    accepted(ImageFormat::Vmdk, &options);
}

#[test]
fn vmdk_in_several_files() {
    let directory = scratch();
    let directory = directory.path();
    for (subformat, size) in [
        ("monolithicFlat", "64M"),
        ("twoGbMaxExtentFlat", "64M"),
        ("twoGbMaxExtentFlat", "5G"),
        ("twoGbMaxExtentSparse", "64M"),
        ("twoGbMaxExtentSparse", "5G"),
    ] {
        let line = format!("create -q -f vmdk -o subformat={subformat} @{subformat}.vmdk {size}");
        assert!(qemu_img(directory, &line), "{line}");
        let path = directory.join(format!("{subformat}.vmdk"));
        let codes = compared(&path, ImageFormat::Vmdk);
        assert_eq!(codes, [Code::UnusualVmdk, Code::ExternalExtent], "{line}");
        let info = info(&path, "vmdk").unwrap();
        let extents = info["format-specific"]["data"]["extents"].as_array().unwrap();
        let found = inspected(&path, &Policy::facts_only());
        assert_eq!(found.facts().extents.len(), extents.len());
        for (extent, known) in found.facts().extents.iter().zip(extents) {
            let name = extent.file.as_ref().unwrap().to_string();
            assert_eq!(known["filename"].as_str().unwrap(), directory.join(name).to_str().unwrap());
            assert_eq!(known["virtual-size"].as_u64(), Some(extent.size));
        }
    }
}

#[test]
fn children() {
    let directory = scratch();
    let directory = directory.path();
    for format in [ImageFormat::Vmdk, ImageFormat::Qed] {
        let base = directory.join(format!("base.{format}"));
        assert!(qemu_img(directory, &format!("create -q -f {format} @base.{format} 8M")));
        // From the directory, so that the name in the image is short.
        let child = format!("create -q -f {format} -b {} -F {format} @child.{format}", base.display());
        assert!(qemu_img(directory, &child));
        assert_eq!(compared(&directory.join(format!("child.{format}")), format), [Code::BackingFile], "{child}");
    }
    fs::write(directory.join("base.raw"), [0; 512]).unwrap();
    let base = directory.join("base.raw");
    assert!(qemu_img(directory, &format!("create -q -f qed -b {} -F raw @over-raw.qed 8M", base.display())));
    assert_eq!(compared(&directory.join("over-raw.qed"), ImageFormat::Qed), [Code::BackingFile]);
}
