//! Inspection says of an image what the real qemu-img says of it: format, size, clusters, create type, backing file.
//!
//! Each image is inspected as a file and as a stream, in pieces of several sizes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod qcow;

use std::fs::{self, File};
use std::path::Path;

use base64::Engine as _;
use qemu_cmd::QemuVersion;
use qemu_info::inspect::{Code, Extent, ImageFormat, Inspection, Inspector, Policy, Verdict, inspect_file};
use serde_json::Value;
use tests::{bare, scratch, version};

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

/// Whether the qemu-img is of this major version or a later one.
fn since(major: u16) -> bool {
    version() >= QemuVersion::new(major, 0, 0)
}

/// Debian built 5.2 without Parallels, which `hostile` has made by code.
fn without_parallels() {
    assert!(!qemu_img(scratch().path(), "create -q -f parallels @p 8M"));
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
    assert_eq!(found.facts().encryption.is_some(), info["encrypted"] == true, "{name}");
    assert_eq!(text(&found.facts().backing_format).as_deref(), info["backing-filename-format"].as_str(), "{name}");
    if format == ImageFormat::Qcow2 {
        qcow::compare(&found, &info, path);
    }
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
            let fixed = ["fixed", "static", "falloc", "full"].iter().any(|word| options.contains(word));
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
        "-o log_size=8M",
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
    if !since(6) {
        return without_parallels();
    }
    accepted(ImageFormat::Parallels, &["-o cluster_size=65536", "-o cluster_size=1M", "-o cluster_size=4M"]);
}

#[test]
fn vmdk() {
    let options = [
        "-o subformat=monolithicSparse",
        "-o subformat=streamOptimized",
        "-o compat6",
        "-o hwversion=13",
        "-o zeroed_grain=on",
        "-o adapter_type=ide",
        "-o adapter_type=buslogic",
        "-o adapter_type=lsilogic",
        "-o adapter_type=legacyESX",
    ];
    accepted(ImageFormat::Vmdk, &options);
    if since(6) {
        accepted(ImageFormat::Vmdk, &["-o toolsversion=9"]);
    }
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
        let child = format!("create -q -f {format} -b {} -F {format} @child.{format}", base.display());
        assert!(qemu_img(directory, &child));
        assert_eq!(compared(&directory.join(format!("child.{format}")), format), [Code::BackingFile], "{child}");
    }
    fs::write(directory.join("base.raw"), [0; 512]).unwrap();
    let base = directory.join("base.raw");
    assert!(qemu_img(directory, &format!("create -q -f qed -b {} -F raw @over-raw.qed 8M", base.display())));
    assert_eq!(compared(&directory.join("over-raw.qed"), ImageFormat::Qed), [Code::BackingFile]);
}

/// A footer of a fixed VPC image with some bytes changed, and its checksum right.
fn footer(image: &Path, parts: &[(usize, &[u8])]) {
    let mut bytes = fs::read(image).unwrap();
    let start = bytes.len() - 512;
    let footer = &mut bytes[start..];
    for (at, part) in parts {
        footer[*at..at + part.len()].copy_from_slice(part);
    }
    footer[64..68].fill(0);
    let sum: u32 = footer.iter().map(|byte| u32::from(*byte)).sum();
    footer[64..68].copy_from_slice(&(!sum).to_be_bytes());
    fs::write(image, bytes).unwrap();
}

#[test]
fn vpc_of_every_writer() {
    let directory = scratch();
    let directory = directory.path();
    // Those on whose size every version of qemu agrees.
    for writer in [b"vpc ", b"qemu", b"qem2", b"win ", b"d2v ", b"tap\0", b"CTXS"] {
        assert!(qemu_img(directory, "create -q -f vpc -o subformat=fixed @vpc 1M"));
        let path = directory.join("vpc");
        footer(&path, &[(28, writer), (48, &(1_u64 << 20).to_be_bytes())]);
        assert_eq!(compared(&path, ImageFormat::Vpc), [], "{writer:?}");
        footer(&path, &[(56, &[0xff, 0xff, 16, 255])]);
        assert_eq!(compared(&path, ImageFormat::Vpc), [], "{writer:?} with the largest geometry");
    }
}

#[test]
fn parallels_that_was_not_closed() {
    if !since(6) {
        return without_parallels();
    }
    let directory = scratch();
    assert!(qemu_img(directory.path(), "create -q -f parallels @p 8M"));
    let path = directory.path().join("p");
    let mut bytes = fs::read(&path).unwrap();
    bytes[44..48].copy_from_slice(b"Ynot");
    fs::write(&path, bytes).unwrap();
    assert_eq!(compared(&path, ImageFormat::Parallels), []);
    assert!(inspected(&path, &Policy::untrusted()).facts().dirty);
}

/// An image of zeros, and what stands where in it.
fn crafted(size: usize, parts: &[(usize, &[u8])]) -> Vec<u8> {
    let mut image = vec![0; size];
    for (at, bytes) in parts {
        image[*at..at + bytes.len()].copy_from_slice(bytes);
    }
    image
}

/// qemu-img reads these and does not write them.
#[test]
fn formats_that_are_only_read() {
    let bochs: [(usize, &[u8]); 8] = [
        (0, b"Bochs Virtual HD Image"),
        (32, b"Redolog"),
        (48, b"Growing"),
        (66, &[2]),
        (69, &[2]),
        (72, &[16]),
        (82, &[1]),
        (90, &[0x10]),
    ];
    let script = b"#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0 && mount -r -t iso9660 /dev/cloop $1\n";
    let cloop: [(usize, &[u8]); 6] =
        [(0, script), (129, &[1]), (135, &[2]), (143, &[160]), (151, &[200]), (159, &[240])];
    // One chunk of zeros: the newest qemu wants at least one.
    let chunks = crafted(244, &[(0, b"mish"), (204 + 23, &[128])]);
    let list = format!("<data>{}</data>", base64::prelude::BASE64_STANDARD.encode(chunks));
    let length = u64::try_from(list.len()).unwrap().to_be_bytes();
    let dmg: [(usize, &[u8]); 4] = [(0, list.as_bytes()), (512, b"koly"), (512 + 0xe0, &length), (512 + 0x1f3, &[128])];
    let directory = scratch();
    let images = [
        (ImageFormat::Bochs, crafted(1024, &bochs)),
        (ImageFormat::Cloop, crafted(512, &cloop)),
        (ImageFormat::Dmg, crafted(1024, &dmg)),
        (ImageFormat::Dmg, crafted(1024, &dmg)[..1023].to_vec()),
    ];
    for (format, bytes) in images {
        let path = directory.path().join("image");
        fs::write(&path, &bytes).unwrap();
        assert_eq!(compared(&path, format), []);
    }
}

/// To qemu these are raw images.
#[test]
fn raw_disks_and_discs() {
    let directory = scratch();
    let table: [(usize, &[u8]); 2] = [(450, &[0x83, 0, 0, 0, 1, 0, 0, 0, 1]), (510, &[0x55, 0xaa])];
    let gpt: [(usize, &[u8]); 3] = [(512, b"EFI PART"), (524, &[92]), (536, &[1])];
    let disc: [(usize, &[u8]); 1] = [((32 << 10) + 1, b"CD001")];
    let images = [
        (ImageFormat::Raw, crafted(1_000_001, &[])),
        (ImageFormat::Mbr, crafted(100_000, &table)),
        (ImageFormat::Gpt, crafted(100_000, &gpt)),
        (ImageFormat::Iso, crafted(100_000, &disc)),
    ];
    for (format, bytes) in images {
        let path = directory.path().join("image");
        fs::write(&path, &bytes).unwrap();
        assert_eq!(compared(&path, format), []);
    }
}

/// A disc's descriptors can stand where those of a disc of their own would, but not one behind the other.
#[test]
fn a_disc_in_an_image() {
    let directory = scratch();
    let directory = directory.path();
    let disc: [(usize, &[u8]); 2] = [(32 << 10, b"\x01CD001\x01"), (34 << 10, b"\xffCD001\x01")];
    fs::write(directory.join("disc"), crafted(200 << 10, &disc)).unwrap();
    for (format, options) in [
        (ImageFormat::Qcow2, "-o cluster_size=8k"),
        (ImageFormat::Qcow2, "-o cluster_size=4k"),
        (ImageFormat::Qcow2, "-o cluster_size=512"),
        (ImageFormat::Qed, "-o cluster_size=4k"),
        (ImageFormat::Qcow, ""),
    ] {
        let line = format!("convert -m 1 -f raw -O {format} {options} @disc @image").replace("  ", " ");
        assert!(qemu_img(directory, &line), "{line}");
        assert_eq!(compared(&directory.join("image"), format), [], "{line}");
    }
}
