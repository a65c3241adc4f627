//! Every create option of every format: accepted with the values that the types have, refused with others by both.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::path::Path;

use qemu_cmd::{
    ByteSize, Compat, CompressionType, Create, Error, Info, Map, NewImage, Parallels, Preallocation, Qcow, Qcow2, Qed,
    Raw, RawPreallocation, Source, Vdi, VhdSubformat, Vhdx, Vmdk, VmdkAdapter, VmdkSubformat, Vpc,
};
use qemu_exec::{ErrorKind, QemuImg};
use tests::{bare, client, local, scratch};

/// Makes the image, and looks whether it is what was asked for.
fn make(image: impl Into<NewImage>) {
    let image = image.into();
    let directory = scratch();
    let path = directory.path().join("new");
    let create = Create::new(&path, image.clone(), ByteSize::mib(8));
    client().create(&create).unwrap_or_else(|error| panic!("{error}\n{}", error.command()));
    let info = client().info(&Info::new(Source::new(&path, image.format()))).unwrap();
    assert!(info.virtual_size >= 8 << 20, "{image:?}: {info:?}");
}

#[test]
fn raw() {
    for mode in RawPreallocation::ALL {
        make(Raw::new().preallocation(*mode));
    }
    make(Raw::new().nocow(false).extent_size_hint(ByteSize::kib(64)));
}

#[test]
fn qcow2() {
    for compat in Compat::ALL {
        make(Qcow2::new().compat(*compat).refcount_bits(16).compression_type(CompressionType::Zlib));
    }
    for mode in Preallocation::ALL {
        make(Qcow2::new().preallocation(*mode));
    }
    for bits in [1, 2, 4, 8, 16, 32, 64] {
        make(Qcow2::new().refcount_bits(bits));
    }
    for shift in 9..=21 {
        make(Qcow2::new().cluster_size(ByteSize::bytes(1 << shift)).extended_l2(shift >= 14));
    }
    make(Qcow2::new().lazy_refcounts(true).nocow(false).extent_size_hint(ByteSize::mib(1)));
}

/// A build of qemu-img can lack zstd, and says so.
#[test]
fn qcow2_with_zstd() {
    let directory = scratch();
    let path = directory.path().join("new");
    let image = Qcow2::new().compression_type(CompressionType::Zstd).extended_l2(false);
    if let Err(error) = client().create(&Create::new(&path, image, ByteSize::mib(8))) {
        assert!(error.stderr().contains("Invalid parameter 'zstd'"), "{error}");
        return;
    }
    let info = client().info(&Info::new(Source::qcow2(&path))).unwrap();
    let Some(qemu_info::FormatSpecific::Qcow2(qcow2)) = info.format_specific else { panic!("{info:?}") };
    assert_eq!((qcow2.compression_type, qcow2.extended_l2), (qemu_info::CompressionType::Zstd, Some(false)));
}

#[test]
fn qcow2_with_a_data_file() {
    let directory = scratch();
    let (image, data) = (directory.path().join("image"), directory.path().join("data, with a comma"));
    let options = Qcow2::new().data_file(data.to_str().unwrap()).data_file_raw(true);
    client().create(&Create::new(&image, options.clone(), ByteSize::mib(1))).unwrap();
    assert_eq!(std::fs::metadata(&data).unwrap().len(), 1 << 20);
    let qemu_info::FormatSpecific::Qcow2(info) =
        client().info(&Info::new(Source::qcow2(&image))).unwrap().format_specific.unwrap()
    else {
        panic!("not qcow2");
    };
    assert_eq!(info.data_file.as_deref(), data.to_str());
    for refused in
        [options.clone().compat(Compat::V0_10), Qcow2::new().data_file_raw(true), Qcow2::new().keep_data_file(true)]
    {
        assert!(Create::new(&image, refused, ByteSize::mib(1)).invocation().is_err());
    }
    let name = image.to_str().unwrap();
    for refused in
        [format!("data_file={},compat=0.10", "d"), "data_file_raw=on".to_owned(), "keep_data_file=on".to_owned()]
    {
        let output = bare(["create", "-f", "qcow2", "-o", &refused, name, "1M"]);
        assert_eq!(output.status.code(), Some(1), "{refused}: {output:?}");
    }
    // And a convert into one is not compressed.
    let source = directory.path().join("source");
    std::fs::write(&source, vec![1; 1 << 20]).unwrap();
    let convert = qemu_cmd::Convert::new(Source::raw(&source), qemu_cmd::Target::new(&image, options)).compress(true);
    assert!(convert.invocation().is_err());
    let option = format!("data_file={}", data.to_str().unwrap().replace(',', ",,"));
    let output = bare(["convert", "-c", "-f", "raw", "-O", "qcow2", "-o", &option, source.to_str().unwrap(), name]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

/// Unlike a backing file, it is not looked for beside the image.
#[test]
fn a_relative_data_file_is_found_from_where_qemu_img_runs() {
    let directory = scratch();
    let folder = directory.path().join("folder");
    std::fs::create_dir(&folder).unwrap();
    let here = |directory: &Path| QemuImg::new(local().current_dir(directory));
    let create = Create::new(folder.join("image"), Qcow2::new().data_file("data"), ByteSize::mib(1));
    here(directory.path()).create(&create).unwrap();
    assert!(directory.path().join("data").exists() && !folder.join("data").exists());
    let map = Map::new(Source::qcow2(folder.join("image")));
    here(directory.path()).map(&map).unwrap();
    assert_eq!(here(&folder).map(&map).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn vmdk() {
    for subformat in VmdkSubformat::ALL {
        make(Vmdk::new().subformat(*subformat));
    }
    for adapter in VmdkAdapter::ALL {
        make(Vmdk::new().adapter_type(*adapter));
    }
    make(Vmdk::new().compat6(true).zeroed_grain(true));
    make(Vmdk::new().hwversion("13"));
    refused(Vmdk::new().compat6(true).hwversion("6"), "vmdk", "compat6=on,hwversion=6");
    let flat = Vmdk::new().subformat(VmdkSubformat::MonolithicFlat).zeroed_grain(true);
    refused(flat, "vmdk", "subformat=monolithicFlat,zeroed_grain=on");
}

#[test]
fn vdi_vpc_vhdx() {
    make(Vdi::new().preallocated(true));
    for subformat in VhdSubformat::ALL {
        make(Vpc::new().subformat(*subformat).force_size(true));
        make(Vhdx::new().subformat(*subformat));
    }
    for size in [0, 1, 2, 256] {
        make(Vhdx::new().block_size(ByteSize::mib(size)).block_state_zero(false));
    }
    make(Vhdx::new().log_size(ByteSize::mib(3)));
    refused(Vhdx::new().block_size(ByteSize::mib(3)), "vhdx", "block_size=3M");
    refused(Vhdx::new().log_size(ByteSize::bytes(0)), "vhdx", "log_size=0");
    refused(Vhdx::new().log_size(ByteSize::gib(4)), "vhdx", "log_size=4G");
}

/// Qemu-img takes these, and makes something else: the size of the blocks is not what was asked for.
#[test]
fn vhdx_sizes_that_are_silently_changed() {
    let directory = scratch();
    let path = directory.path().join("new");
    for (option, image) in [
        ("block_size=512M", Vhdx::new().block_size(ByteSize::mib(512))),
        ("log_size=1500000", Vhdx::new().log_size(ByteSize::bytes(1_500_000))),
    ] {
        assert!(Create::new(&path, image, ByteSize::mib(8)).invocation().is_err());
        let output = bare(["create", "-q", "-f", "vhdx", "-o", option, path.to_str().unwrap(), "8M"]);
        assert!(output.status.success(), "{option}: {output:?}");
    }
    let output = bare(["create", "-q", "-f", "vhdx", "-o", "block_size=512M", path.to_str().unwrap(), "8M"]);
    assert!(output.status.success());
    let info = client().info(&Info::new(Source::new(&path, qemu_cmd::Format::Vhdx))).unwrap();
    assert_eq!(info.cluster_size, Some(256 << 20));
}

#[test]
fn qed_parallels_qcow() {
    for shift in [12, 16, 20] {
        make(Qed::new().cluster_size(ByteSize::bytes(1 << shift)));
    }
    make(Qed::new().cluster_size(ByteSize::mib(4)).table_size(2));
    for clusters in [2, 4, 8, 16] {
        make(Qed::new().table_size(clusters));
    }
    // Made without a word, and never to be opened.
    let directory = scratch();
    let path = directory.path().join("new");
    assert!(Create::new(&path, Qed::new().table_size(1), ByteSize::mib(8)).invocation().is_err());
    assert!(bare(["create", "-q", "-f", "qed", "-o", "table_size=1", path.to_str().unwrap(), "8M"]).status.success());
    assert_eq!(bare(["info", "-f", "qed", path.to_str().unwrap()]).status.code(), Some(1));
    for (image, option) in [
        (Qed::new().cluster_size(ByteSize::kib(2)), "cluster_size=2k"),
        (Qed::new().cluster_size(ByteSize::mib(128)), "cluster_size=128M"),
        (Qed::new().cluster_size(ByteSize::mib(4)), "cluster_size=4M"),
        (Qed::new().cluster_size(ByteSize::mib(64)).table_size(2), "cluster_size=64M,table_size=2"),
        (Qed::new().table_size(3), "table_size=3"),
        (Qed::new().table_size(32), "table_size=32"),
    ] {
        refused(image, "qed", option);
    }
    make(Parallels::new().cluster_size(ByteSize::kib(64)));
    refused(Parallels::new().cluster_size(ByteSize::bytes(0)), "parallels", "cluster_size=0");
    make(Qcow::new());
    assert!(Create::new("/x", Qcow::new(), ByteSize::bytes(0)).invocation().is_err());
    let directory = scratch();
    let path = directory.path().join("new");
    assert_eq!(bare(["create", "-f", "qcow", path.to_str().unwrap(), "0"]).status.code(), Some(1));
}

fn refused(image: impl Into<NewImage>, format: &str, options: &str) {
    let directory = scratch();
    let path = directory.path().join("new");
    assert!(Create::new(&path, image, ByteSize::mib(8)).invocation().is_err(), "{options}");
    let output = bare(["create", "-f", format, "-o", options, path.to_str().unwrap(), "8M"]);
    assert_eq!(output.status.code(), Some(1), "{format} {options}: {output:?}");
}

/// Options of later versions can be given by name; one that has a method cannot.
#[test]
fn options_by_name() {
    let create = |image: Qcow2| Create::new("/x", image, ByteSize::mib(1)).invocation();
    let text = create(Qcow2::new().option("future", "a,b")).unwrap().to_string();
    assert_eq!(text, "qemu-img create -f qcow2 -o future=a,,b /x 1048576");
    let twice = create(Qcow2::new().option("cluster_size", "4k"));
    assert!(matches!(twice, Err(Error::OptionGivenTwice { .. })));
}
