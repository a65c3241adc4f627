//! Everything else that the model refuses: qemu-img rejects it too, or this shows the damage.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::path::Path;
use std::process::Output;

use qemu_cmd::{
    Backing, ByteSize, CipherAlg, CipherMode, CommandLine, Compat, CompressionType, Convert, Create, Error, Format,
    HashAlg, IvgenAlg, LuksImage, ParseErrorKind, Preallocation, Qcow2, Rebase, Source, Target, Vpc,
};
use tests::{Kind, bare, client, content, quick_luks, scratch, write_fixture};

fn create(directory: &Path, format: &str, options: &str, size: &str) -> Output {
    let file = directory.join("new");
    let _ = std::fs::remove_file(&file);
    let mut args = vec!["create", "-q", "-f", format];
    if !options.is_empty() {
        args.extend(["--object", "secret,id=k,data=x", "-o", options]);
    }
    args.push(file.to_str().unwrap());
    args.push(size);
    bare(args)
}

fn virtual_size(path: &Path, format: Format) -> u64 {
    client().info(&qemu_cmd::Info::new(Source::new(path, format))).unwrap().virtual_size
}

#[test]
fn a_qcow2_size_that_is_no_multiple_of_512_is_silently_rounded() {
    let directory = scratch();
    for size in [1, 511, 513, 1000, (1 << 20) + 1] {
        let refusal = Create::new("/x", Qcow2::new(), ByteSize::bytes(size)).invocation().unwrap_err();
        assert!(matches!(refusal, Error::SizeNotSectors { .. }));
        assert!(create(directory.path(), "qcow2", "", &size.to_string()).status.success());
        let made = virtual_size(&directory.path().join("new"), Format::Qcow2);
        assert_eq!(made, size.next_multiple_of(512), "asked for {size}");
        assert_ne!(made, size);
    }
}

#[test]
fn a_vhd_of_a_size_that_is_to_be_kept_is_silently_rounded() {
    let directory = scratch();
    let image = Vpc::new().force_size(true);
    let refusal = Create::new("/x", image, ByteSize::bytes(1000)).invocation().unwrap_err();
    let said = "a vpc size must be a multiple of 512 bytes, and 1000 is not: take 512 or 1024";
    assert_eq!(refusal.to_string(), said);
    assert!(create(directory.path(), "vpc", "force_size=on", "1000").status.success());
    assert_eq!(virtual_size(&directory.path().join("new"), Format::Vpc), 1024);
}

#[test]
fn the_largest_qcow2_sizes_are_the_real_ones() {
    let directory = scratch();
    for (clusters, extended) in [(512_u64, false), (4096, false), (65_536, false), (16_384, true), (2 << 20, false)] {
        let image = || {
            let image = Qcow2::new().cluster_size(ByteSize::bytes(clusters));
            if extended { image.extended_l2(true) } else { image }
        };
        let Error::SizeTooLarge { max, .. } =
            Create::new("/x", image(), ByteSize::bytes(1 << 62)).invocation().unwrap_err()
        else {
            panic!("4 EiB must be too large");
        };
        let file = directory.path().join("largest");
        client().create(&Create::new(&file, image(), max)).unwrap();
        let above = ByteSize::bytes(max.as_u64() + 512);
        assert!(Create::new("/x", image(), above).invocation().is_err());
        let options = format!("cluster_size={clusters}{}", if extended { ",extended_l2=on" } else { "" });
        let output = create(directory.path(), "qcow2", &options, &above.to_string());
        assert_eq!(output.status.code(), Some(1), "{clusters}: {output:?}");
    }
    let beyond = ByteSize::bytes(0x7fff_ffff_c000_0200);
    assert!(Create::new("/x", qemu_cmd::Raw::new(), beyond).invocation().is_err());
    assert_eq!(create(directory.path(), "raw", "", &beyond.to_string()).status.code(), Some(1));
}

#[test]
fn qcow2_options_that_exclude_each_other() {
    let directory = scratch();
    let old = || Qcow2::new().compat(Compat::V0_10);
    let cases = [
        (Qcow2::new().cluster_size(ByteSize::bytes(256)), "cluster_size=256"),
        (Qcow2::new().cluster_size(ByteSize::bytes(5000)), "cluster_size=5000"),
        (Qcow2::new().cluster_size(ByteSize::mib(4)), "cluster_size=4194304"),
        (Qcow2::new().cluster_size(ByteSize::kib(8)).extended_l2(true), "cluster_size=8192,extended_l2=on"),
        (Qcow2::new().refcount_bits(3), "refcount_bits=3"),
        (Qcow2::new().refcount_bits(128), "refcount_bits=128"),
        (Qcow2::new().refcount_bits(0), "refcount_bits=0"),
        (old().lazy_refcounts(true), "compat=0.10,lazy_refcounts=on"),
        (old().extended_l2(true), "compat=0.10,extended_l2=on"),
        (old().refcount_bits(8), "compat=0.10,refcount_bits=8"),
        (old().compression_type(CompressionType::Zstd), "compat=0.10,compression_type=zstd"),
    ];
    for (image, options) in cases {
        assert!(Create::new("/x", image, ByteSize::mib(1)).invocation().is_err(), "{options}");
        let output = create(directory.path(), "qcow2", options, "1M");
        assert_eq!(output.status.code(), Some(1), "{options}: {output:?}");
    }
}

#[test]
fn preallocation_excludes_compression_and_a_plain_overlay() {
    let directory = scratch();
    let (a, b) = (directory.path().join("a"), directory.path().join("b"));
    write_fixture(Kind::Raw, &a);
    let (from, to) = (a.to_str().unwrap(), b.to_str().unwrap());
    for (mode, name) in
        [(Preallocation::Metadata, "metadata"), (Preallocation::Falloc, "falloc"), (Preallocation::Full, "full")]
    {
        let target = Target::new(&b, Qcow2::new().preallocation(mode));
        let refusal = Convert::new(Source::raw(&a), target).compress(true).invocation().unwrap_err();
        assert_eq!(refusal, Error::CompressionWithPreallocation);
        let options = format!("preallocation={name}");
        let output = bare(["convert", "-c", "-f", "raw", "-O", "qcow2", "-o", &options, from, to]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");

        let overlay = Create::overlay(&b, Qcow2::new().preallocation(mode), Backing::new(&a, Format::Raw));
        assert_eq!(overlay.invocation().unwrap_err(), Error::PreallocationWithBacking);
        let output = bare(["create", "-f", "qcow2", "-o", &options, "-b", from, "-F", "raw", to]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
    }
}

/// It writes all of it, and fails at its end, without a word: found by the harness.
#[test]
fn compression_into_a_qcow_image_always_fails() {
    let directory = scratch();
    let (a, b) = (directory.path().join("a"), directory.path().join("b"));
    for size in [4096, 100_352, 1 << 20] {
        std::fs::write(&a, vec![b'x'; size]).unwrap();
        let convert = Convert::new(Source::raw(&a), Target::new(&b, qemu_cmd::Qcow::new())).compress(true);
        assert!(matches!(convert.invocation().unwrap_err(), Error::CompressionUnsupported { .. }));
        let args = ["convert", "-c", "-f", "raw", "-O", "qcow", a.to_str().unwrap(), b.to_str().unwrap()];
        let output = bare(args);
        assert_eq!(output.status.code(), Some(1), "qemu-img has learned it: {output:?}");
        assert!(output.stderr.is_empty(), "{output:?}");
    }
}

/// The worst of them: exit 0, and the disk's content in the clear in an encrypted image.
#[test]
fn compression_into_an_existing_encrypted_image_is_not_encrypted() {
    let directory = scratch();
    let (a, b) = (directory.path().join("a"), directory.path().join("b"));
    std::fs::write(&a, diary()).unwrap();
    // Where data is allocated already, it fails with an I/O error half way instead.
    let empty = Qcow2::new().encryption(quick_luks(tests::PASSPHRASE));
    client().create(&Create::new(&b, empty, ByteSize::mib(1))).unwrap();

    let convert =
        |compress| Convert::new(Source::raw(&a), Target::existing(Kind::Qcow2Luks.source(&b))).compress(compress);
    assert_eq!(convert(true).invocation().unwrap_err(), Error::CompressionWithEncryption);
    let mut argv = tests::argv(&convert(false).invocation().unwrap());
    argv.insert(1, "-c".into());
    let output = bare(&argv);
    assert!(output.status.success(), "qemu-img has learned to refuse this: {output:?}");
    assert!(is_in_the_clear(&b, &a), "the compressed data is encrypted now: the refusal can go");
}

/// It has had `-c` since 8.2.
#[test]
fn what_a_rebase_compresses_is_not_encrypted() {
    let directory = scratch();
    let (a, b) = (directory.path().join("a"), directory.path().join("b"));
    std::fs::write(&a, diary()).unwrap();
    let image = Qcow2::new().encryption(quick_luks(tests::PASSPHRASE));
    client().create(&Create::overlay(&b, image, Backing::new(&a, Format::Raw))).unwrap();

    let rebase = |compress| Rebase::flatten(Kind::Qcow2Luks.source(&b)).compress(compress).invocation();
    assert_eq!(rebase(true).unwrap_err(), Error::CompressionWithEncryption);
    let probed = Rebase::flatten(Kind::Qcow2Luks.probed_source(&b)).compress(true).invocation();
    assert_eq!(probed.unwrap_err(), Error::CompressionWithEncryption);
    let mut argv = rebase(false)
        .unwrap()
        .argv(|id| format!("secret,id={id},data={}", tests::PASSPHRASE.replace(',', ",,")).into());
    argv.insert(1, "-c".into());
    let line = CommandLine::parse(argv.clone()).unwrap();
    let refusal = line.invocation().unwrap_err();
    assert_eq!((refusal.at(), refusal.kind()), (Some(1), &ParseErrorKind::Refused(Error::CompressionWithEncryption)));

    let version = String::from_utf8(bare(["--version"]).stdout).unwrap().parse().unwrap();
    let output = bare(&argv);
    if line.unsupported(version).is_some() {
        assert!(!output.status.success(), "{output:?}");
        return;
    }
    assert!(output.status.success(), "qemu-img has learned to refuse this: {output:?}");
    assert!(is_in_the_clear(&b, &a), "the compressed data is encrypted now: the refusal can go");
}

/// What a guest has on its disk.
fn diary() -> Vec<u8> {
    let line = b"the guest's secret diary, which is encrypted at rest. ";
    line.iter().copied().cycle().take(1 << 20).collect()
}

/// Whether the image holds the raw one's content compressed, and nothing else: as one that is not encrypted has it.
fn is_in_the_clear(image: &Path, raw: &Path) -> bool {
    let plain = image.with_extension("plain");
    client().convert(&Convert::new(Source::raw(raw), Target::new(&plain, Qcow2::new())).compress(true)).unwrap();
    let clear = std::fs::read(&plain).unwrap();
    // Header, refcount table and block, L1 and L2 table are a cluster each; then comes the first data.
    let stretch = &clear[5 << 16..][..64];
    assert!(stretch.iter().any(|byte| *byte != 0));
    std::fs::read(image).unwrap().windows(stretch.len()).any(|window| window == stretch)
}

#[test]
fn existing_targets_work_with_a_key_and_without() {
    for kind in Kind::ALL {
        let directory = scratch();
        let (a, b) = (directory.path().join("a"), directory.path().join("b"));
        let text: Vec<u8> = content().into_iter().rev().collect();
        std::fs::write(&a, &text).unwrap();
        write_fixture(kind, &b);
        client().convert(&Convert::new(Source::raw(&a), Target::existing(kind.source(&b)))).unwrap();
        assert!(tests::guest_content(kind, &b) == text, "{kind:?}");
    }
}

#[test]
fn numbers_outside_their_range() {
    let directory = scratch();
    let (a, b) = (directory.path().join("a"), directory.path().join("b"));
    write_fixture(Kind::Raw, &a);
    let plain = || Convert::new(Source::raw(&a), Target::new(&b, Qcow2::new()));
    for (convert, option, value) in [
        (plain().coroutines(0), "-m", "0"),
        (plain().coroutines(17), "-m", "17"),
        (plain().sparse_size(ByteSize::bytes(100)), "-S", "100"),
        (plain().sparse_size(ByteSize::mib(32)), "-S", "33554432"),
    ] {
        assert!(convert.invocation().is_err(), "{option} {value}");
        let output =
            bare(["convert", "-f", "raw", "-O", "qcow2", option, value, a.to_str().unwrap(), b.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(1), "{option} {value}: {output:?}");
    }
}

#[test]
fn passphrases_that_qemu_img_cannot_take() {
    let directory = scratch();
    let key = directory.path().join("key");
    for bytes in [&b"\xff\xfe"[..], b"a\0b", "latin1 \u{e9}".as_bytes().split_last().unwrap().1] {
        assert!(qemu_cmd::Secret::new(bytes).is_err());
        std::fs::write(&key, bytes).unwrap();
        let file = directory.path().join("new");
        let object = format!("secret,id=k,file={}", key.display());
        let output = bare([
            "create",
            "-f",
            "luks",
            "--object",
            &object,
            "-o",
            "key-secret=k,iter-time=10",
            file.to_str().unwrap(),
            "1M",
        ]);
        assert_eq!(output.status.code(), Some(1), "{bytes:?}: {output:?}");
    }
}

#[test]
fn backing_names_that_no_header_can_hold() {
    let directory = scratch();
    // 1023 bytes are the most; the file need not exist.
    let name = |length: usize| format!("/{}", "n".repeat(length - 1));
    let overlay = |length: usize| {
        Create::overlay(directory.path().join("new"), Qcow2::new(), Backing::new(name(length), Format::Raw))
            .backing_unchecked(true)
            .size(ByteSize::mib(1))
    };
    client().create(&overlay(1023)).unwrap();
    assert!(matches!(overlay(1024).invocation(), Err(Error::BackingNameTooLong { length: 1024, .. })));
    let file = directory.path().join("new");
    let output = bare(["create", "-u", "-f", "qcow2", "-b", &name(1024), "-F", "raw", file.to_str().unwrap(), "1M"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

/// Each value of each LUKS option once, and each refused pair; all pairs would take hours of CPU time.
#[test]
fn luks_options_are_accepted_or_refused_by_both() {
    let directory = scratch();
    let file = directory.path().join("new");
    let make = |luks: qemu_cmd::Luks| Create::new(&file, LuksImage::new(luks), ByteSize::mib(1));
    let base = || quick_luks("x");
    let mut accepted = Vec::new();
    for cipher in CipherAlg::ALL {
        let mode = if *cipher == CipherAlg::Cast5_128 { CipherMode::Cbc } else { CipherMode::Xts };
        accepted.push(base().cipher(*cipher).mode(mode));
    }
    accepted.extend([CipherMode::Ecb, CipherMode::Cbc, CipherMode::Ctr].map(|mode| base().mode(mode)));
    accepted.extend(HashAlg::ALL.iter().map(|hash| base().hash(*hash)));
    accepted.push(base().ivgen(IvgenAlg::Plain).ivgen_hash(HashAlg::Sha1));
    accepted.push(base().mode(CipherMode::Cbc).ivgen(IvgenAlg::Essiv));
    accepted.push(base().ivgen(IvgenAlg::Essiv).ivgen_hash(HashAlg::Md5));
    for luks in accepted {
        client().create(&make(luks.clone())).unwrap_or_else(|error| panic!("{luks:?}: {error}\n{}", error.stderr()));
    }

    for cipher in [CipherAlg::Aes192, CipherAlg::Serpent192, CipherAlg::Twofish192] {
        let refused = base().cipher(cipher).mode(CipherMode::Cbc);
        assert!(matches!(make(refused).invocation(), Err(Error::CipherMode { .. })));
        let options = format!("key-secret=k,iter-time=10,cipher-mode=cbc,cipher-alg={}", cipher.as_str());
        let output = create(directory.path(), "luks", &options, "1M");
        assert!(!output.status.success(), "{options}: {output:?}");
    }
    let refused = base().cipher(CipherAlg::Cast5_128);
    assert!(matches!(make(refused).invocation(), Err(Error::CipherMode { .. })));
    let output = create(directory.path(), "luks", "key-secret=k,cipher-alg=cast5-128", "1M");
    assert_eq!(output.status.code(), Some(1));
    for hash in [HashAlg::Sha1, HashAlg::Sha224, HashAlg::Sha384, HashAlg::Sha512, HashAlg::Ripemd160] {
        let refused = base().ivgen(IvgenAlg::Essiv).ivgen_hash(hash);
        assert!(matches!(make(refused).invocation(), Err(Error::EssivHash { .. })));
        let options = format!("key-secret=k,ivgen-alg=essiv,ivgen-hash-alg={}", hash.as_str());
        assert_eq!(create(directory.path(), "luks", &options, "1M").status.code(), Some(1), "{options}");
    }
    assert!(make(base().iter_time(std::time::Duration::from_millis(1 << 32))).invocation().is_err());
    assert_eq!(create(directory.path(), "luks", "key-secret=k,iter-time=4294967296", "1M").status.code(), Some(1));
}

#[test]
fn a_luks_image_without_its_key_cannot_be_read() {
    let directory = scratch();
    let (a, b) = (directory.path().join("a"), directory.path().join("b"));
    write_fixture(Kind::Luks, &a);
    let refusal = Convert::new(Source::new(&a, Format::Luks), Kind::Raw.target(&b)).invocation().unwrap_err();
    assert!(matches!(refusal, Error::LuksNeedsKey { .. }));
    let output = bare(["convert", "-f", "luks", "-O", "raw", a.to_str().unwrap(), b.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}
