//! The other subcommands, the other formats, and what a source can say of itself.

use std::time::Duration;

use qemu_cmd::{
    Amend, Backing, Bench, BenchAio, Bitmap, BitmapAction, ByteSize, CacheMode, Check, Commit, Compare, Compat,
    Convert, Create, Dd, Format, Info, Key, KeyslotChange, Luks, LuksImage, Map, Measure, NewImage, Parallels,
    Preallocation, Qcow, Qcow2, Qcow2Amend, Qed, Raw, Rebase, Repair, Resize, ResizeTo, Snapshot, Source,
    SourceSnapshot, Target, Vdi, VhdSubformat, Vhdx, Vmdk, VmdkAdapter, VmdkSubformat, Vpc,
};

use super::{Cases, key};

fn qcow2() -> Source {
    Source::qcow2("/a")
}

pub(crate) fn subcommands(cases: &mut Cases) {
    let amend = Qcow2Amend::new().compat(Compat::V1_1).lazy_refcounts(true).refcount_bits(8).data_file_raw(false);
    let amend = Amend::qcow2(qcow2(), amend.data_file("/d")).cache(CacheMode::None).progress(true).quiet(true);
    cases.add("amend-qcow2", "amend: every option of a qcow2 image", amend.invocation());
    let slot = |change| Amend::keyslot(Source::luks("/a", key()), change);
    let add = KeyslotChange::add(key()).slot(5).iter_time(Duration::from_millis(10));
    cases.add("amend-key-added", "amend: a key is added to a slot", slot(add).invocation());
    let erase = slot(KeyslotChange::erase(key()));
    cases.add("amend-key-erased", "amend: the slots that a key opens are erased", erase.invocation());
    let last = slot(KeyslotChange::erase_slot(0)).force(true);
    cases.add("amend-slot-erased", "amend: a slot is erased, also if it is the last", last.invocation());
    let encrypted =
        Amend::keyslot(qcow2().key(key()), KeyslotChange::add(Key::File { path: "/k,1".into(), base64: true }));
    cases.add("amend-key-of-qcow2", "amend: a key from a file is added to a qcow2 image", encrypted.invocation());

    let size = ByteSize::kib(4);
    let bench = Bench::new(qcow2()).count(10).depth(2).offset(size).buffer_size(size).step_size(size).write(true);
    let bench = bench.pattern(7).flush_interval(2).no_drain(true).aio(BenchAio::IoUring).native(true);
    let bench = bench.cache(CacheMode::None).quiet(true);
    cases.add("bench", "bench: every option", bench.invocation());
    cases.add("bench-shared", "bench: a shared image", Bench::new(qcow2()).force_share(true).invocation());

    let add = BitmapAction::Add { granularity: Some(size) };
    let bitmap = Bitmap::new(qcow2(), "b", add).then(BitmapAction::Disable).then(BitmapAction::Clear);
    let bitmap =
        bitmap.then(BitmapAction::Enable).then(BitmapAction::Merge("c".into())).merge_from("/d", Format::Qcow2);
    cases.add("bitmap", "bitmap: actions in order, and a merge from another image", bitmap.invocation());
    let remove = Bitmap::new(qcow2(), "b", BitmapAction::Remove);
    cases.add("bitmap-removed", "bitmap: one is removed", remove.invocation());

    cases.add("check", "check: a report", Check::new(qcow2()).force_share(true).invocation());
    let check = Check::new(qcow2()).repair(Repair::All).cache(CacheMode::Unsafe).human(true).quiet(true);
    cases.add("check-repair", "check: everything is repaired", check.invocation());

    let commit = Commit::new(qcow2()).base("base").drop_overlay(true).cache(CacheMode::None).rate(ByteSize::mib(1));
    cases.add("commit", "commit: every option", commit.progress(true).quiet(true).invocation());

    let compare = Compare::new(Source::raw("/a"), Source::qcow2("/b")).strict(true).cache(CacheMode::None);
    cases.add("compare", "compare: every option", compare.force_share(true).progress(true).quiet(true).invocation());
    let keyed = Compare::new(Source::raw("/a"), Source::luks("/b", key()));
    cases.add("compare-with-a-key", "compare: one needs a key, so both are nodes", keyed.invocation());

    let dd = Dd::new(Source::raw("a b"), "c", Format::Qcow2).block_size(size).count(5).skip(2).force_share(true);
    cases.add("dd", "dd: every option", dd.invocation());

    let map = Map::new(qcow2()).start_offset(size).max_length(size).force_share(true);
    cases.add("map", "map: a part", map.invocation());
    cases.add("map-for-people", "map: text", Map::new(qcow2()).human(true).invocation());

    let measure = Measure::image(qcow2(), Qcow2::new().encryption(Luks::new(key())));
    let measure = measure.snapshot(SourceSnapshot::Id("1".into())).force_share(true);
    cases.add("measure-image", "measure: a snapshot as an encrypted image", measure.invocation());
    cases.add("measure-size", "measure: a size", Measure::size(ByteSize::gib(1), Raw::new()).invocation());

    let backing = || Backing::new("/b", Format::Raw);
    let rebase = Rebase::onto(qcow2(), backing()).cache(CacheMode::None).backing_cache(CacheMode::None);
    let rebase = rebase.compress(true).force_share(true).progress(true).quiet(true);
    cases.add("rebase", "rebase: every option", rebase.invocation());
    let renamed = Rebase::rename_backing_of_same_content(qcow2(), backing());
    cases.add("rebase-renamed", "rebase: only the name changes", renamed.invocation());
    cases.add("rebase-flattened", "rebase: what is below is copied", Rebase::flatten(qcow2()).invocation());
    let lost = Rebase::drop_backing_and_lose_its_data(qcow2());
    cases.add("rebase-dropped", "rebase: what is below is lost", lost.invocation());

    for (name, to) in [
        ("to", ResizeTo::GrowTo(size)),
        ("by", ResizeTo::GrowBy(size)),
        ("shrink-to", ResizeTo::ShrinkOrGrowTo(size)),
        ("shrink-by", ResizeTo::ShrinkBy(size)),
    ] {
        let resize = Resize::new(qcow2(), to).quiet(true);
        cases.add(format!("resize-{name}"), format!("resize: {name}"), resize.invocation());
    }
    let falloc = Resize::new(Source::raw("-a"), ResizeTo::GrowBy(size)).preallocation(Preallocation::Falloc);
    cases.add("resize-preallocated", "resize: with its space", falloc.invocation());

    cases.add("snapshot-list", "snapshot: the list", Snapshot::list(qcow2()).force_share(true).invocation());
    cases.add("snapshot-create", "snapshot: one is made", Snapshot::create(qcow2(), "a b").quiet(true).invocation());
    cases.add("snapshot-apply", "snapshot: back to one", Snapshot::apply(qcow2(), "1").invocation());
    cases.add("snapshot-delete", "snapshot: one is deleted", Snapshot::delete(qcow2(), "1").invocation());
}

pub(crate) fn convert(cases: &mut Cases) {
    let new = || Target::new("/b", Qcow2::new());
    let all = Convert::new(qcow2(), new()).snapshot(SourceSnapshot::Name("s,1".into())).rate(ByteSize::mib(1));
    let all = all.bitmaps(true).skip_broken_bitmaps(true).salvage(true);
    cases.convert("snapshot-bitmaps-salvage", "a snapshot, with bitmaps, past errors", &all);
    let offload = Convert::new(qcow2(), new()).copy_offload(true).backing(Backing::new("/c,1", Format::Raw));
    cases.convert("offload-backing", "the storage copies, onto a backing file", &offload);
    let zero = Convert::new(qcow2(), Target::existing(Source::raw("/b"))).target_is_zero(true);
    cases.convert("target-is-zero", "into an image that is zero", &zero);
    let several = Convert::new(qcow2(), new()).and_source(qcow2().at("/c"));
    cases.convert("several", "several sources", &several);
    let mixed = Convert::new(qcow2(), new()).and_source(Source::luks("/c", key()));
    cases.convert("several-mixed", "several sources, of which one needs a key", &mixed);
    let chain = qcow2().key(key()).backing(Source::qcow2("/c").key(key()).backing(Source::raw("/d")));
    cases.convert("chain-with-keys", "a chain, with a key for each layer", &Convert::new(chain, new()));
    cases.convert("cut", "nothing below is read", &Convert::new(qcow2().without_backing(), new()));
    let header = Source::luks("/a", key()).header("/h").option("discard", "unmap");
    cases.convert("detached-header", "a detached header, and another option", &Convert::new(header, new()));
    let limits = Info::new(qcow2()).cache(CacheMode::None).limits(true).human(true);
    cases.info("limits", "block limits, for people", &limits);
}

pub(crate) fn formats(cases: &mut Cases) {
    let mut add = |name: &str, image: NewImage| {
        cases.create(name, &format!("every option of {name}"), &Create::new("/b", image, ByteSize::mib(1)));
    };
    let size = ByteSize::mib(1);
    let vmdk = Vmdk::new().subformat(VmdkSubformat::TwoGbMaxExtentSparse).adapter_type(VmdkAdapter::LsiLogic);
    add("vmdk", vmdk.clone().hwversion("13").toolsversion("1").zeroed_grain(true).into());
    add("vmdk-compat6", vmdk.compat6(true).into());
    add("vdi", Vdi::new().preallocated(true).into());
    add("vpc", Vpc::new().subformat(VhdSubformat::Fixed).force_size(true).into());
    let vhdx = Vhdx::new().subformat(VhdSubformat::Dynamic).block_size(size).log_size(size).block_state_zero(false);
    add("vhdx", vhdx.into());
    add("qed", Qed::new().cluster_size(ByteSize::kib(64)).table_size(8).into());
    add("parallels", Parallels::new().cluster_size(size).into());
    add("qcow", Qcow::new().into());
    let luks = LuksImage::new(Luks::new(key())).preallocation(Preallocation::Full).detached_header(true);
    add("luks-detached", luks.into());
    let data_file = Qcow2::new().data_file("/d,1").data_file_raw(true).keep_data_file(true);
    add("qcow2-data-file", data_file.nocow(true).extent_size_hint(size).option("future", "x").into());
    add("raw-file-options", Raw::new().nocow(true).extent_size_hint(size).into());
}
