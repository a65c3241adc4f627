//! What generated commands found: the model refuses it, and so does qemu-img.

use std::ffi::OsStr;

use qemu_cmd::{
    Amend, Backing, Bench, BenchAio, Bitmap, BitmapAction, ByteSize, CacheMode, Compat, Convert, Create, Dd, Error,
    Format, Info, Invocation, Location, Luks, LuksImage, Map, Measure, NewImage, Preallocation, Qcow2, Qcow2Amend, Raw,
    RawPreallocation, Rebase, Resize, ResizeTo, Snapshot, Source, SourceSnapshot, Target, Vdi,
};

use tests::harness::scene::Scene;
use tests::passphrase;

/// The model refuses the command, and qemu-img this one, which says the same. Debian's, without the package that has a
/// protocol, says so, makes nothing, and exits with 0.
fn check(scene: &Scene, command: Result<Invocation, Error>, args: &[&str]) {
    assert!(command.is_err(), "{}", command.unwrap());
    let output = scene.run(&args.iter().map(|arg| OsStr::new(arg).to_owned()).collect::<Vec<_>>());
    let said = String::from_utf8_lossy(&output.stderr);
    let refused = !output.status.success() || said.contains("Unable to load module");
    assert!(refused, "{args:?}: {}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn what_is_refused_is_refused_by_qemu_img_too() {
    let scene = Scene::lay_out();
    scene.set();
    let below = || Source::qcow2("qcow2").backing(Source::qcow2("middle"));
    let node = "driver=qcow2,file.filename=qcow2,backing.driver=qcow2,backing.file.filename=middle";
    check(&scene, Info::new(below()).invocation(), &["info", "--image-opts", node]);
    let add = BitmapAction::Add { granularity: None };
    check(&scene, Bitmap::new(below(), "x", add).invocation(), &["bitmap", "--add", "--image-opts", node, "x"]);
    let drop = Rebase::drop_backing_and_lose_its_data(below()).invocation();
    check(&scene, drop, &["rebase", "-u", "-b", "", "--image-opts", node]);

    let header = Source::qcow2("qcow2").header("luks");
    let node = "driver=qcow2,file.filename=qcow2,header.driver=file,header.filename=luks";
    check(&scene, Info::new(header).invocation(), &["info", "--image-opts", node]);
    let node = "file.filename=luks,key-secret=k";
    let probed = Amend::qcow2(Source::probing("luks").key(passphrase()), Qcow2Amend::new().lazy_refcounts(true));
    let key = "secret,id=k,file=key";
    let args = ["amend", "--object", key, "--image-opts", "-o", "lazy_refcounts=on", node];
    check(&scene, probed.invocation(), &args);
    let detached = LuksImage::new(Luks::new(passphrase())).detached_header(false);
    let measure = Measure::size(ByteSize::mib(1), detached).invocation();
    let options = "key-secret=k,detached-header=off";
    check(&scene, measure, &["measure", "-O", "luks", "--object", key, "-o", options, "--size", "1M"]);

    for (name, format) in [("vmdk", Format::Vmdk), ("vdi", Format::Vdi), ("vpc", Format::Vpc), ("qcow", Format::Qcow)] {
        let source = || Source::new(name, format);
        check(&scene, Rebase::flatten(source()).invocation(), &["rebase", "-b", "", "-f", name, name]);
        let grow = Resize::new(source(), ResizeTo::GrowBy(ByteSize::kib(64)));
        check(&scene, grow.invocation(), &["resize", "-f", name, name, "+64k"]);
    }
    let bench = Bench::new(Source::qcow2("qcow2")).count(1).buffer_size(ByteSize::bytes(395_555_840)).invocation();
    check(&scene, bench, &["bench", "-c", "1", "-s", "395555840", "-f", "qcow2", "qcow2"]);
    for format in [Format::Bochs, Format::Cloop, Format::Dmg, Format::Luks] {
        let name = format.as_str();
        let dd = Dd::new(Source::raw("raw"), "new", format).invocation();
        check(&scene, dd, &["dd", "-f", "raw", "-O", name, "if=raw", "of=new"]);
    }
    let dd = Dd::new(Source::raw("raw"), "new", Format::Raw).skip(1 << 63);
    check(&scene, dd.invocation(), &["dd", "-f", "raw", "if=raw", "of=new", "skip=9223372036854775808"]);

    let itself = Create::overlay("qcow2", Qcow2::new(), Backing::new("qcow2", Format::Qcow2));
    check(&scene, itself.invocation(), &["create", "-f", "qcow2", "-b", "qcow2", "-F", "qcow2", "qcow2"]);
    let create = Create::new("new", Qcow2::new().data_file("a:b"), ByteSize::mib(1)).invocation();
    check(&scene, create, &["create", "-f", "qcow2", "-o", "data_file=a:b", "new", "1M"]);
    let data = Qcow2::new().data_file("other").data_file_raw(true);
    let overlay = Create::overlay("new", data, Backing::new("raw", Format::Raw));
    let options = "data_file=other,data_file_raw=on";
    check(&scene, overlay.invocation(), &["create", "-f", "qcow2", "-o", options, "-b", "raw", "-F", "raw", "new"]);
    let luks = Backing::new("luks", Format::Luks);
    let convert = Convert::new(Source::raw("raw"), Target::new("new", Qcow2::new())).backing(luks.clone());
    let options = "backing_file=luks,backing_fmt=luks";
    check(&scene, convert.invocation(), &["convert", "-f", "raw", "-O", "qcow2", "-o", options, "raw", "new"]);
    let onto = Rebase::onto(Source::qcow2("qcow2"), luks).invocation();
    check(&scene, onto, &["rebase", "-b", "luks", "-F", "luks", "-f", "qcow2", "qcow2"]);
    let old = Qcow2Amend::new().compat(Compat::V0_10).refcount_bits(8);
    let amend = Amend::qcow2(Source::qcow2("qcow2"), old).invocation();
    check(&scene, amend, &["amend", "-f", "qcow2", "-o", "compat=0.10,refcount_bits=8", "qcow2"]);
}

#[test]
fn places_where_nothing_is_made_are_no_targets() {
    let scene = Scene::lay_out();
    scene.set();
    for name in ["http://255.255.255.255/a", "ftps://255.255.255.255/a", "fat:new", "null-co://", "blkdebug::new"] {
        let place = || Location::from_plain_name(name.as_ref());
        let size = ByteSize::mib(1);
        let create = Create::new(place(), Raw::new(), size).invocation();
        check(&scene, create, &["create", "-f", "raw", name, "1M"]);
        let convert = Convert::new(Source::raw("raw"), Target::new(place(), Vdi::new())).invocation();
        check(&scene, convert, &["convert", "-f", "raw", "-O", "vdi", "raw", name]);
        let dd = Dd::new(Source::raw("raw"), place(), Format::Raw).invocation();
        check(&scene, dd, &["dd", "-f", "raw", "-O", "raw", "if=raw", &format!("of={name}")]);
    }
    for (name, image, option) in [
        ("nbd://255.255.255.255/a", NewImage::from(Raw::new().nocow(true)), "nocow=on"),
        ("nbd://255.255.255.255/a", Qcow2::new().extent_size_hint(ByteSize::mib(1)).into(), "extent_size_hint=1M"),
        ("ssh://255.255.255.255/a", Raw::new().preallocation(RawPreallocation::Off).into(), "preallocation=off"),
        ("rbd:pool/a", Raw::new().preallocation(RawPreallocation::Off).into(), "preallocation=off"),
        ("/dev/null", Raw::new().nocow(false).into(), "nocow=off"),
    ] {
        let format = image.format().as_str();
        let place = match name {
            "/dev/null" => Location::HostDevice(name.into()),
            _ => Location::from_plain_name(name.as_ref()),
        };
        let create = Create::new(place, image, ByteSize::mib(1)).invocation();
        check(&scene, create, &["create", "-f", format, "-o", option, name, "1M"]);
    }
}

#[test]
fn what_a_format_or_a_cache_mode_has_not_is_refused() {
    let scene = Scene::lay_out();
    scene.set();
    for (name, format) in [("raw", Format::Raw), ("vmdk", Format::Vmdk), ("vpc", Format::Vpc), ("qed", Format::Qed)] {
        let source = || Source::new(name, format);
        let node = format!("driver={name},file.driver=file,file.filename={name}");
        for (option, snapshot) in [
            ("-c", Snapshot::create(source(), "x")),
            ("-a", Snapshot::apply(source(), "x")),
            ("-d", Snapshot::delete(source(), "x")),
        ] {
            check(&scene, snapshot.invocation(), &["snapshot", option, "x", "--image-opts", &node]);
        }
    }
    for (from, to) in [(Format::Raw, Format::Qcow2), (Format::Qcow2, Format::Raw)] {
        let new = if to == Format::Raw { Raw::new().into() } else { NewImage::from(Qcow2::new()) };
        let convert = Convert::new(Source::new(from.as_str(), from), Target::new("new", new)).bitmaps(true);
        let (from, to) = (from.as_str(), to.as_str());
        check(&scene, convert.invocation(), &["convert", "--bitmaps", "-f", from, "-O", to, from, "new"]);
    }
    let snapshot = || SourceSnapshot::NameOrId("x".to_owned());
    let convert = Convert::new(Source::raw("raw"), Target::new("new", Raw::new())).snapshot(snapshot());
    check(&scene, convert.invocation(), &["convert", "-l", "x", "-f", "raw", "-O", "raw", "raw", "new"]);
    // The scene has none of that name; but it is not looked for, either.
    let keys = || SourceSnapshot::NameOrId("snapshot.1".to_owned());
    let convert = Convert::new(Source::qcow2("qcow2"), Target::new("new", Raw::new())).snapshot(keys());
    check(&scene, convert.invocation(), &["convert", "-l", "snapshot.1", "-f", "qcow2", "-O", "raw", "qcow2", "new"]);
    let measure = Measure::image(Source::qcow2("qcow2"), Raw::new()).snapshot(keys());
    assert!(measure.invocation().is_err());
    let measure = Measure::image(Source::raw("raw"), Raw::new()).snapshot(snapshot());
    check(&scene, measure.invocation(), &["measure", "-l", "x", "-f", "raw", "-O", "raw", "raw"]);
    for (name, format, mode, option) in [
        ("raw", Format::Raw, Preallocation::Metadata, "metadata"),
        ("qed", Format::Qed, Preallocation::Metadata, "metadata"),
        ("qed", Format::Qed, Preallocation::Full, "full"),
    ] {
        let resize = Resize::new(Source::new(name, format), ResizeTo::GrowBy(ByteSize::kib(64))).preallocation(mode);
        check(&scene, resize.invocation(), &["resize", "--preallocation", option, "-f", name, name, "+64k"]);
    }
    for format in [Format::Raw, Format::Vdi, Format::Vpc] {
        let name = format.as_str();
        let map = Map::new(Source::new(name, format).backing(Source::qcow2("qcow2"))).invocation();
        let node = format!("driver={name},file.filename={name},backing.driver=qcow2,backing.file.filename=qcow2");
        check(&scene, map, &["map", "--image-opts", &node]);
    }
    for (cache, option) in [(None, "writeback"), (Some(CacheMode::Unsafe), "unsafe")] {
        let bench = Bench::new(Source::qcow2("qcow2")).count(1);
        let bench = match cache {
            Some(mode) => bench.cache(mode),
            None => bench,
        };
        let args = ["bench", "-c", "1", "-t", option, "-f", "qcow2", "qcow2", "-n"];
        check(&scene, bench.clone().native(true).invocation(), &args);
        let args = ["bench", "-c", "1", "-t", option, "-f", "qcow2", "qcow2", "-i", "native"];
        check(&scene, bench.aio(BenchAio::Native).invocation(), &args);
    }
}

/// `-f` is for all sources: with a `json:` node first, the others were once left to probing.
#[test]
fn no_source_beside_a_node_is_probed() {
    let node = Source::raw("raw").form(qemu_cmd::SourceForm::Json);
    let convert = Convert::new(node, Target::new("new", Raw::new())).and_source(Source::raw("qcow2"));
    let invocation = convert.invocation().unwrap();
    assert!(invocation.to_string().contains(" -f raw "), "{invocation}");
    let scene = Scene::lay_out();
    scene.set();
    let output = scene.run(&tests::argv(&invocation));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read = |name: &str| std::fs::read(scene.now(name)).unwrap();
    assert!(read("new").starts_with(&[read("raw"), read("qcow2")].concat()));
}
