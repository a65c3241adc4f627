//! qcow2 with all that it can have, the first qcow, and LUKS.

use std::fs;
use std::path::Path;

use qemu_info::inspect::{Code, ImageFormat, Inspection, Policy};
use serde_json::Value;
use tests::{Kind, scratch, write_fixture};

use crate::{accepted, compared, inspected, qemu_img, since};

/// Compares what only qcow2 has.
pub(crate) fn compare(found: &Inspection, info: &Value, path: &Path) {
    let (facts, data, name) = (found.facts(), &info["format-specific"]["data"], path.display());
    let length = |list: &Value| list.as_array().map_or(0, Vec::len);
    let features = facts.features.unwrap_or_default();
    assert_eq!(facts.version, Some(if data["compat"] == "0.10" { 2 } else { 3 }), "{name}");
    assert_eq!(facts.snapshots.unwrap() as usize, length(&info["snapshots"]), "{name}");
    assert_eq!(facts.bitmaps.unwrap() as usize, length(&data["bitmaps"]), "{name}");
    assert_eq!(facts.data_file.as_ref().map(ToString::to_string).as_deref(), data["data-file"].as_str(), "{name}");
    assert_eq!((facts.dirty, facts.corrupt), (info["dirty-flag"] == true, data["corrupt"] == true), "{name}");
    assert_eq!(features.compatible & 1 != 0, data["lazy-refcounts"] == true, "{name}");
    assert_eq!(features.incompatible & 8 != 0, data["compression-type"] == "zstd", "{name}");
    assert_eq!(features.incompatible & 16 != 0, data["extended-l2"] == true, "{name}");
    assert_eq!(features.unknown_incompatible, 0, "{name}");
}

#[test]
fn qcow2() {
    let clusters = [
        "-o cluster_size=512",
        "-o cluster_size=4k",
        "-o cluster_size=64k",
        "-o cluster_size=2M",
        "-o compat=0.10,cluster_size=512",
        "-o extended_l2=on",
        "-o extended_l2=on,cluster_size=16k",
    ];
    accepted(ImageFormat::Qcow2, &clusters);
}

#[test]
fn qcow2_with_options() {
    let options = [
        "-o compat=0.10",
        "-o compat=1.1,lazy_refcounts=on",
        "-o refcount_bits=1",
        "-o refcount_bits=2",
        "-o refcount_bits=8",
        "-o refcount_bits=64",
        "-o preallocation=metadata",
        "-o preallocation=falloc",
        "-o preallocation=full",
    ];
    accepted(ImageFormat::Qcow2, &options);
    // Debian built 5.2 without it.
    if since(6) {
        accepted(ImageFormat::Qcow2, &["-o compression_type=zstd"]);
    }
}

#[test]
fn qcow() {
    accepted(ImageFormat::Qcow, &["-o nocow=off"]);
}

#[test]
fn compressed() {
    let directory = scratch();
    let directory = directory.path();
    fs::write(directory.join("content"), [7; 1 << 20]).unwrap();
    for options in ["qcow2", "qcow2 -o compat=0.10", "qcow2 -o extended_l2=on"] {
        assert!(qemu_img(directory, &format!("convert -c -f raw -O {options} @content @image")), "{options}");
        assert_eq!(compared(&directory.join("image"), ImageFormat::Qcow2), [], "{options}");
    }
}

#[test]
fn snapshots_and_bitmaps() {
    let directory = scratch();
    let directory = directory.path();
    let path = directory.join("image");
    assert!(qemu_img(directory, "create -q -f qcow2 @image 64M"));
    for (count, name) in (1..).zip(["one", "two", "three"]) {
        assert!(qemu_img(directory, &format!("snapshot -c {name} @image")));
        assert!(qemu_img(directory, &format!("bitmap --add -g {}k @image {name}", 32 << count)));
        assert_eq!(compared(&path, ImageFormat::Qcow2), [], "{name}");
        let found = inspected(&path, &Policy::untrusted());
        assert_eq!((found.facts().snapshots, found.facts().bitmaps), (Some(count), Some(count)));
    }
    assert!(qemu_img(directory, "snapshot -d two @image"));
    assert!(qemu_img(directory, "bitmap --remove @image one"));
    assert_eq!(compared(&path, ImageFormat::Qcow2), []);
}

#[test]
fn what_is_named_is_read_as_qemu_reads_it() {
    let directory = scratch();
    let directory = directory.path();
    fs::write(directory.join("base"), [0; 1 << 20]).unwrap();
    for line in [
        "create -q -f qcow2 -b @base -F raw @image",
        "create -q -f qcow2 -o compat=0.10 -b @base -F raw @image 8M",
        "create -q -f qcow2 -u -b /nonexistent -F qcow2 @image 8M",
        "create -q -f qcow2 -u -b nbd://localhost/name -F raw @image 8M",
        "create -q -f qcow2 -u -b json:{\"driver\":\"null-co\"} -F raw @image 8M",
        "create -q -f qcow -b @base -F raw @image 8M",
    ] {
        assert!(qemu_img(directory, line), "{line}");
        let format = line.split(' ').nth(3).unwrap().parse().unwrap();
        assert_eq!(compared(&directory.join("image"), format), [Code::BackingFile], "{line}");
    }
    for options in ["", ",data_file_raw=on"] {
        let data = directory.join("data");
        assert!(qemu_img(directory, &format!("create -q -f qcow2 -o data_file={}{options} @image 8M", data.display())));
        assert_eq!(compared(&directory.join("image"), ImageFormat::Qcow2), [Code::DataFile], "{options}");
    }
}

#[test]
fn encrypted() {
    let directory = scratch();
    let path = directory.path().join("image");
    for (kind, format) in [(Kind::Qcow2Luks, ImageFormat::Qcow2), (Kind::Luks, ImageFormat::Luks)] {
        write_fixture(kind, &path);
        assert_eq!(compared(&path, format), [], "{kind:?}");
    }
    // One that was cut off is only shorter, and of a detached header nothing is left but the header.
    let bytes = fs::read(&path).unwrap();
    let header = 512 * u32::from_be_bytes(bytes[104..108].try_into().unwrap()) as usize;
    for length in [bytes.len() - 1, bytes.len() - 511, bytes.len() - 512, header + 1, header] {
        fs::write(&path, &bytes[..length]).unwrap();
        assert_eq!(compared(&path, ImageFormat::Luks), [], "{length}");
    }
}
