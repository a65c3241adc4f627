//! The exact arguments of one command of each sort, as text that can be read in a review.
//!
//! `argv/NAME.txt` is a line that says what it is, then `qemu-img` and one argument a line (`''` if it is empty). A change of arguments is
//! a change of these files: `UPDATE_GOLDENS=1 cargo test -p tests --test goldens` writes them anew and removes those
//! that belong to no case, and the diff shows what changed. The cases of `reference` are OpenStack Nova's, byte for byte.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod more;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use qemu_cmd::CacheMode::{Directsync, None as Direct, Unsafe, Writeback, Writethrough};
use qemu_cmd::{
    Backing, ByteSize, CipherAlg, CipherMode, Compat, CompressionType, Convert, Create, Error, Format, HashAlg, Info,
    Invocation, IvgenAlg, Location, Luks, LuksImage, Preallocation, Qcow2, Raw, RawPreallocation, Secret, Source,
    SourceForm, Target,
};

/// The cases by name: what each is, and its command.
#[derive(Default)]
pub(crate) struct Cases(BTreeMap<String, (String, Invocation)>);

impl Cases {
    pub(crate) fn add(&mut self, name: impl Into<String>, what: impl Into<String>, command: Result<Invocation, Error>) {
        let name = name.into();
        let invocation = command.unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
        let earlier = self.0.insert(name.clone(), (what.into(), invocation));
        assert!(earlier.is_none(), "{name} twice");
    }

    pub(crate) fn convert(&mut self, name: &str, what: &str, convert: &Convert) {
        self.add(format!("convert-{name}"), format!("convert: {what}"), convert.invocation());
    }

    pub(crate) fn create(&mut self, name: &str, what: &str, create: &Create) {
        self.add(format!("create-{name}"), format!("create: {what}"), create.invocation());
    }

    pub(crate) fn info(&mut self, name: &str, what: &str, info: &Info) {
        self.add(format!("info-{name}"), format!("info: {what}"), info.invocation());
    }
}

pub(crate) fn key() -> Secret {
    Secret::new("never shown").unwrap()
}

fn luks() -> Luks {
    Luks::new(key())
}

/// A convert from a raw image, as the reference does it where O_DIRECT works.
fn from_raw(target: Target) -> Convert {
    Convert::new(Source::raw("/a"), target).target_cache(Direct)
}

fn to_raw(source: Source) -> Convert {
    Convert::new(source, Target::new("/b", Raw::new())).target_cache(Direct)
}

fn to_qcow2(image: Qcow2) -> Convert {
    from_raw(Target::new("/b", image))
}

/// The rows and examples of the reference.
fn reference(cases: &mut Cases) {
    let encrypted_qcow2 = || Source::qcow2("/a").key(key());
    let luks_source = || Source::luks("/a", key());
    let new_qcow2 = || Target::new("/b", Qcow2::new().encryption(luks()));
    let new_luks = || Target::new("/b", LuksImage::new(luks()));
    let convert = |source, target| Convert::new(source, target).target_cache(Direct);

    cases.convert("raw-to-qcow2", "raw to qcow2", &to_qcow2(Qcow2::new()));
    cases.convert(
        "raw-to-qcow2-compressed-writeback",
        "raw to compressed qcow2, where there is no O_DIRECT",
        &to_qcow2(Qcow2::new()).compress(true).target_cache(Writeback),
    );
    cases.convert("qcow2-to-raw", "qcow2 to raw", &to_raw(Source::qcow2("/a")));
    cases.convert("qcow2-luks-to-raw", "encrypted qcow2 to raw", &to_raw(encrypted_qcow2()));
    cases.convert("luks-to-raw", "luks to raw", &to_raw(luks_source()));
    cases.convert("raw-to-luks", "raw to luks", &from_raw(new_luks()));
    cases.convert("raw-to-qcow2-luks", "raw to encrypted qcow2", &from_raw(new_qcow2()));
    cases.convert("qcow2-luks-to-luks", "encrypted qcow2 to luks", &convert(encrypted_qcow2(), new_luks()));
    cases.convert("luks-to-qcow2-luks", "luks to encrypted qcow2", &convert(luks_source(), new_qcow2()));
    cases.convert("qcow2-luks-to-qcow2-luks", "encrypted qcow2 to the same", &convert(encrypted_qcow2(), new_qcow2()));
    cases.convert("luks-to-luks", "luks to luks", &convert(luks_source(), new_luks()));
    let plain_qcow2 = Target::new("/b", Qcow2::new());
    cases.convert("probed-to-qcow2", "a probed image to qcow2", &convert(Source::probing("/a"), plain_qcow2));
    cases.convert("probed-luks-to-raw", "a probed luks volume to raw", &to_raw(Source::probing("/a").key(key())));
    cases.convert(
        "probed-qcow2-luks-to-raw",
        "a probed encrypted qcow2 to raw",
        &to_raw(Source::probing("/a").qcow2_key(key())),
    );
    cases.info("probed", "of an unknown format", &Info::new(Source::probing("/a")));
    cases.info("raw", "of a known format", &Info::new(Source::raw("/a")));
    let rbd = Location::protocol("rbd:pool/image").unwrap();
    cases.info("rbd", "by a protocol", &Info::new(Source::raw(rbd.clone())));
    cases.info("rbd-probed", "by a protocol, of an unknown format", &Info::new(Source::probing(rbd)));
}

fn luks_options(cases: &mut Cases) {
    use HashAlg::{Md5, Sha512};
    for (name, luks) in [
        ("cipher", luks().cipher(CipherAlg::Serpent256)),
        ("cipher-192", luks().cipher(CipherAlg::Twofish192)),
        ("mode", luks().mode(CipherMode::Cbc)),
        ("hash", luks().hash(Sha512)),
        ("iter-time", luks().iter_time(Duration::from_millis(10))),
        ("iter-time-longest", luks().iter_time(Duration::from_millis(u32::MAX.into()))),
        ("ivgen", luks().ivgen(IvgenAlg::Plain)),
        ("ivgen-hash", luks().ivgen_hash(HashAlg::Ripemd160)),
        ("cast5", luks().cipher(CipherAlg::Cast5_128).mode(CipherMode::Ctr).ivgen(IvgenAlg::Essiv).ivgen_hash(Md5)),
        ("all", {
            let luks = luks().cipher(CipherAlg::Aes128).mode(CipherMode::Cbc).hash(HashAlg::Sha1);
            luks.iter_time(Duration::from_secs(1)).ivgen(IvgenAlg::Essiv)
        }),
    ] {
        let volume = Target::new("/b", LuksImage::new(luks.clone()));
        cases.convert(&format!("option-luks-{name}"), &format!("to luks, option: {name}"), &from_raw(volume));
        let qcow2 = to_qcow2(Qcow2::new().encryption(luks));
        cases.convert(&format!("option-qcow2-luks-{name}"), &format!("to encrypted qcow2, option: {name}"), &qcow2);
    }
}

fn create_options(cases: &mut Cases) {
    use Preallocation::{Falloc, Full, Metadata, Off};
    for (name, image) in [
        ("compat-0.10", Qcow2::new().compat(Compat::V0_10)),
        ("compat-1.1", Qcow2::new().compat(Compat::V1_1)),
        ("cluster-size", Qcow2::new().cluster_size(ByteSize::mib(2))),
        ("preallocation-off", Qcow2::new().preallocation(Off)),
        ("preallocation-metadata", Qcow2::new().preallocation(Metadata)),
        ("preallocation-falloc", Qcow2::new().preallocation(Falloc)),
        ("preallocation-full", Qcow2::new().preallocation(Full)),
        ("lazy-refcounts-on", Qcow2::new().lazy_refcounts(true)),
        ("lazy-refcounts-off", Qcow2::new().lazy_refcounts(false)),
        ("refcount-bits", Qcow2::new().refcount_bits(64)),
        ("extended-l2-on", Qcow2::new().extended_l2(true)),
        ("extended-l2-off", Qcow2::new().extended_l2(false)),
        ("compression-zlib", Qcow2::new().compression_type(CompressionType::Zlib)),
        ("compression-zstd", Qcow2::new().compression_type(CompressionType::Zstd)),
        ("all", {
            let image = Qcow2::new().encryption(luks()).compat(Compat::V1_1).cluster_size(ByteSize::kib(128));
            let image = image.preallocation(Metadata).lazy_refcounts(true).refcount_bits(8);
            image.extended_l2(true).compression_type(CompressionType::Zstd)
        }),
    ] {
        cases.convert(&format!("option-qcow2-{name}"), &format!("to qcow2, option: {name}"), &to_qcow2(image));
    }
    for (name, mode) in
        [("off", RawPreallocation::Off), ("falloc", RawPreallocation::Falloc), ("full", RawPreallocation::Full)]
    {
        let target = Target::new("/b", Raw::new().preallocation(mode));
        let what = format!("to raw, option: preallocation {name}");
        cases.convert(&format!("option-raw-preallocation-{name}"), &what, &from_raw(target));
    }
    for (name, mode) in [("off", Off), ("metadata", Metadata), ("falloc", Falloc), ("full", Full)] {
        let target = Target::new("/b", LuksImage::new(luks()).preallocation(mode));
        let what = format!("to luks, option: preallocation {name}");
        cases.convert(&format!("option-luks-preallocation-{name}"), &what, &from_raw(target));
    }
}

fn convert_options(cases: &mut Cases) {
    let plain = || Convert::new(Source::raw("/a"), Target::new("/b", Qcow2::new()));
    cases.convert("no-options", "no options", &plain());
    for (name, mode) in [
        ("none", Direct),
        ("writeback", Writeback),
        ("writethrough", Writethrough),
        ("directsync", Directsync),
        ("unsafe", Unsafe),
    ] {
        cases.convert(&format!("target-cache-{name}"), &format!("target cache {name}"), &plain().target_cache(mode));
        cases.convert(&format!("source-cache-{name}"), &format!("source cache {name}"), &plain().source_cache(mode));
    }
    cases.convert("sparse-size", "holes from 64 KiB", &plain().sparse_size(ByteSize::kib(64)));
    cases.convert("sparse-size-0", "no holes", &plain().sparse_size(ByteSize::bytes(0)));
    cases.convert("coroutines", "one coroutine", &plain().coroutines(1));
    cases.convert("out-of-order", "out of order", &plain().out_of_order(true));
    cases.convert("force-share", "while another process writes", &plain().force_share(true));
    cases.convert("progress", "with progress", &plain().progress(true));
    cases.convert("quiet", "quietly", &plain().quiet(true));
    let all = to_qcow2(Qcow2::new()).compress(true).source_cache(Writeback).sparse_size(ByteSize::mib(16));
    let all = all.coroutines(16).out_of_order(true).force_share(true).progress(true).quiet(true);
    cases.convert("all-options", "every option", &all);
}

fn targets(cases: &mut Cases) {
    let existing = |image| from_raw(Target::existing(image));
    cases.convert("existing-raw", "into an existing image", &existing(Source::raw("/b")));
    cases.convert("existing-luks", "into an existing luks volume", &existing(Source::luks("/b", key())));
    let qcow2 = Source::qcow2("/b").key(key());
    cases.convert("existing-qcow2-luks", "into an existing encrypted qcow2", &existing(qcow2.clone()));
    let both = Convert::new(Source::luks("/a", key()), Target::existing(qcow2));
    cases.convert("luks-to-existing-qcow2-luks", "luks into an existing encrypted qcow2", &both);
    let node = Source::raw("/b,c").form(SourceForm::ImageOpts);
    cases.convert("existing-as-node", "into an existing image given as a node", &existing(node));
    let device = || Location::HostDevice("/dev/vg/lv".into());
    cases.convert("existing-device", "into a block device", &existing(Source::raw(device())));
    cases.convert("existing-device-luks", "into a luks block device", &existing(Source::luks(device(), key())));
    cases.convert("device-luks-to-raw", "a luks block device to raw", &to_raw(Source::luks(device(), key())));
    let rbd = Location::protocol("rbd:pool/image").unwrap();
    cases.convert("existing-rbd", "into an existing image by a protocol", &existing(Source::raw(rbd)));
}

fn paths_and_forms(cases: &mut Cases) {
    let convert = |source, target: &str| Convert::new(source, Target::new(target, Qcow2::new()));
    cases.convert("path-relative", "relative names", &convert(Source::raw("a"), "b/c"));
    cases.convert("path-dots", "names that start with dots", &convert(Source::raw("./a"), "../b"));
    cases.convert("path-hidden", "names that look like dots", &convert(Source::raw(".a"), "..b"));
    cases.convert("path-dash", "names that look like options", &convert(Source::raw("-f"), "--help"));
    cases.convert("path-colon", "names that look like protocols", &convert(Source::raw("nbd:a"), "json:{}"));
    cases.convert("path-comma", "commas in plain names", &convert(Source::raw("/a,b"), "/c,,d=e"));
    let node = Source::luks("/a,,b,driver=raw", key());
    cases.convert("path-comma-node", "commas in a node", &convert(node, "/b"));
    let node = Source::luks("-a b:c", key());
    cases.convert("path-dash-node", "dash, space and colon in a node", &convert(node, "/b"));
    let image_opts = Source::raw("/a").form(SourceForm::ImageOpts);
    cases.convert("form-image-opts", "a node", &convert(image_opts, "/b"));
    let json = |source: Source| source.form(SourceForm::Json);
    cases.convert("form-json", "a JSON node", &convert(json(Source::raw("/a")), "/b"));
    cases.convert("form-json-luks", "a JSON node with a key", &convert(json(Source::luks("/a", key())), "/b"));
    let quoted = json(Source::qcow2("\"a\",é\\\n").key(key()));
    cases.convert("form-json-quoted", "a JSON node with quotes", &convert(quoted, "/b"));
    let probed = json(Source::probing("/a"));
    cases.convert("form-json-probed", "a JSON node of an unknown format", &convert(probed, "/b"));
    let device = Location::HostDevice("/dev/sda".into());
    cases.convert("form-device", "a device as a node", &convert(json(Source::raw(device.clone())), "/b"));
    cases.convert("device", "a device by its name", &convert(Source::raw(device), "/b"));
}

fn creates(cases: &mut Cases) {
    let size = ByteSize::gib(10);
    cases.create("raw", "raw", &Create::new("/a", Raw::new(), size));
    cases.create("qcow2", "qcow2", &Create::new("a,b", Qcow2::new(), size));
    cases.create("luks", "luks", &Create::new("/a", LuksImage::new(luks()), size));
    cases.create("qcow2-luks", "encrypted qcow2", &Create::new("/a", Qcow2::new().encryption(luks()), size));
    let options = Qcow2::new().preallocation(Preallocation::Metadata).cluster_size(ByteSize::kib(4));
    cases.create("qcow2-options", "qcow2 with options, quietly", &Create::new("/a", options, size).quiet(true));
    let overlay = |image| Create::overlay("/a", image, Backing::new("/base", Format::Raw));
    cases.create("overlay", "an overlay", &overlay(Qcow2::new()));
    cases.create("overlay-size", "an overlay with a size", &overlay(Qcow2::new()).size(size));
    cases.create("overlay-luks", "an encrypted overlay", &overlay(Qcow2::new().encryption(luks())));
    let unchecked = overlay(Qcow2::new()).size(size).backing_unchecked(true);
    cases.create("overlay-unchecked", "an overlay of what is not opened", &unchecked);
    let relative = Create::overlay("-a", Qcow2::new(), Backing::new("-b,c:d", Format::Qcow2));
    cases.create("overlay-relative", "an overlay with hostile names", &relative);
    let nbd = Backing::new(Location::protocol("nbd://host/export").unwrap(), Format::Raw);
    cases.create("overlay-nbd", "an overlay of a network disk", &Create::overlay("/a", Qcow2::new(), nbd));
}

fn infos(cases: &mut Cases) {
    cases.info("relative", "of a name that looks like an option", &Info::new(Source::raw("--output=human")));
    cases.info("backing-chain", "with the backing chain", &Info::new(Source::qcow2("/a")).backing_chain(true));
    cases.info("locked", "without a forced share", &Info::new(Source::qcow2("/a")).force_share(false));
    cases.info("luks", "without the key, which it does not need", &Info::new(Source::luks("/a", key())));
    let node = Source::qcow2("/a,b").form(SourceForm::ImageOpts);
    cases.info("image-opts", "of a node", &Info::new(node).backing_chain(true));
    cases.info("json", "of a JSON node", &Info::new(Source::qcow2("/a").form(SourceForm::Json)));
}

fn cases() -> BTreeMap<String, (String, Invocation)> {
    let mut cases = Cases::default();
    reference(&mut cases);
    luks_options(&mut cases);
    create_options(&mut cases);
    convert_options(&mut cases);
    targets(&mut cases);
    paths_and_forms(&mut cases);
    creates(&mut cases);
    infos(&mut cases);
    more::subcommands(&mut cases);
    more::convert(&mut cases);
    more::formats(&mut cases);
    cases.0
}

/// The text of a golden.
fn render(what: &str, invocation: &Invocation) -> String {
    let mut text = format!("# {what}\nqemu-img\n");
    for arg in invocation.argv(|id| format!("secret,id={id},file=<{id}>").into()) {
        let arg = arg.to_str().expect("goldens are text");
        assert!(!arg.contains('\n') && arg != "''", "{arg:?} is not one line");
        text.push_str(if arg.is_empty() { "''" } else { arg });
        text.push('\n');
    }
    text
}

/// Both texts line by line, with what they share between `-` (expected) and `+` (actual).
fn diff(expected: &str, actual: &str) -> String {
    let (old, new): (Vec<_>, Vec<_>) = (expected.split('\n').collect(), actual.split('\n').collect());
    let start = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let end = old[start..].iter().rev().zip(new[start..].iter().rev()).take_while(|(a, b)| a == b).count();
    let mark = |mark: &str, lines: &[&str]| lines.iter().map(|line| format!("    {mark} {line}\n")).collect::<String>();
    let changed = mark("-", &old[start..old.len() - end]) + &mark("+", &new[start..new.len() - end]);
    mark(" ", &old[..start]) + &changed + &mark(" ", &old[old.len() - end..])
}

#[test]
fn arguments_are_as_recorded() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("argv");
    let update = std::env::var_os("UPDATE_GOLDENS").is_some_and(|value| value == "1");
    let cases = cases();
    let mut wrong = String::new();
    for (name, (what, invocation)) in &cases {
        let file = folder.join(format!("{name}.txt"));
        let actual = render(what, invocation);
        if update {
            fs::write(&file, actual).unwrap();
            continue;
        }
        match fs::read(&file).map(String::from_utf8) {
            Ok(Ok(expected)) if expected == actual => {}
            Ok(Ok(expected)) => wrong += &format!("argv/{name}.txt:\n{}", diff(&expected, &actual)),
            Ok(Err(_)) => wrong += &format!("argv/{name}.txt is not UTF-8\n"),
            Err(error) => wrong += &format!("argv/{name}.txt: {error}\n"),
        }
    }
    for entry in fs::read_dir(&folder).unwrap() {
        let file = entry.unwrap().path();
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        if !name.strip_suffix(".txt").is_some_and(|name| cases.contains_key(name)) {
            if update {
                fs::remove_file(&file).unwrap();
            } else {
                wrong += &format!("argv/{name} belongs to no case\n");
            }
        }
    }
    assert!(wrong.is_empty(), "arguments changed, UPDATE_GOLDENS=1 records them if they should:\n{wrong}");
}
