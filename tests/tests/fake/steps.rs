//! Commands to be run on both, at random.

use proptest::prelude::*;
use proptest::sample::select;
use qemu_cmd::{BitmapAction, ByteSize, Compat, NewImage, Qcow2, Qcow2Amend, Raw, ResizeTo, SnapshotAction};

pub const FILES: [&str; 4] = ["a", "b", "c", "d"];

/// One command, on files by their numbers.
#[derive(Clone, Debug)]
pub enum Step {
    Create {
        file: usize,
        image: NewImage,
        size: u64,
        backing: Option<usize>,
        unchecked: bool,
    },
    Convert {
        from: usize,
        to: usize,
        target: Conversion,
        compress: bool,
        full: bool,
        bitmaps: bool,
        snapshot: bool,
    },
    Write {
        file: usize,
        at: u64,
        length: u64,
        byte: u8,
    },
    Resize {
        file: usize,
        to: ResizeTo,
    },
    Rebase {
        file: usize,
        onto: Option<usize>,
        renames: bool,
    },
    Commit {
        file: usize,
        base: Option<usize>,
        keeps: bool,
    },
    Snapshot {
        file: usize,
        action: SnapshotAction,
    },
    Bitmap {
        file: usize,
        name: &'static str,
        actions: Vec<BitmapAction>,
        from: Option<usize>,
    },
    Amend {
        file: usize,
        options: Qcow2Amend,
    },
    Remove {
        file: usize,
    },
    /// A command that opens the image in another format.
    WrongFormat {
        file: usize,
    },
}

#[derive(Clone, Debug)]
pub enum Conversion {
    New(NewImage),
    Overlay(usize),
    Existing { is_zero: bool },
}

fn file() -> impl Strategy<Value = usize> {
    0..FILES.len()
}

fn size() -> impl Strategy<Value = u64> {
    select(vec![65536, 131_072, 196_608, 262_144, 327_680, 102_400, 200_704, 262_656])
}

fn image() -> impl Strategy<Value = NewImage> {
    prop_oneof![
        2 => Just(Raw::new().into()),
        4 => Just(Qcow2::new().into()),
        1 => Just(Qcow2::new().compat(Compat::V0_10).into()),
        1 => Just(Qcow2::new().lazy_refcounts(true).refcount_bits(64).into()),
        1 => Just(Qcow2::new().cluster_size(ByteSize::kib(4)).into()),
    ]
}

fn resize() -> impl Strategy<Value = ResizeTo> {
    let to = prop_oneof![size(), Just(512)].prop_map(ByteSize::bytes);
    prop_oneof![
        to.clone().prop_map(ResizeTo::ShrinkOrGrowTo),
        to.clone().prop_map(ResizeTo::GrowTo),
        to.clone().prop_map(ResizeTo::GrowBy),
        to.prop_map(ResizeTo::ShrinkBy),
    ]
}

fn snapshot() -> impl Strategy<Value = SnapshotAction> {
    let name = || select(vec!["1", "2", "old"]).prop_map(str::to_owned);
    prop_oneof![
        3 => name().prop_map(SnapshotAction::Create),
        2 => name().prop_map(SnapshotAction::Apply),
        1 => name().prop_map(SnapshotAction::Delete),
        1 => Just(SnapshotAction::List),
    ]
}

fn bitmap() -> impl Strategy<Value = BitmapAction> {
    prop_oneof![
        3 => select(vec![None, Some(ByteSize::kib(32))]).prop_map(|granularity| BitmapAction::Add { granularity }),
        1 => Just(BitmapAction::Remove),
        1 => Just(BitmapAction::Clear),
        1 => Just(BitmapAction::Enable),
        1 => Just(BitmapAction::Disable),
        1 => select(vec!["x", "y"]).prop_map(|other| BitmapAction::Merge(other.to_owned())),
    ]
}

fn amend() -> impl Strategy<Value = Qcow2Amend> {
    prop_oneof![
        Just(Qcow2Amend::new().compat(Compat::V0_10)),
        Just(Qcow2Amend::new().compat(Compat::V1_1)),
        Just(Qcow2Amend::new().lazy_refcounts(true)),
        Just(Qcow2Amend::new().refcount_bits(32)),
    ]
}

fn conversion() -> impl Strategy<Value = Conversion> {
    prop_oneof![
        2 => image().prop_map(Conversion::New),
        1 => file().prop_map(Conversion::Overlay),
        2 => any::<bool>().prop_map(|is_zero| Conversion::Existing { is_zero }),
    ]
}

pub fn step() -> impl Strategy<Value = Step> {
    let maybe_file = || proptest::option::of(file());
    let bytes = (0..80_u64, 1..40_u64, select(vec![0_u8, 1, 2, 3]));
    prop_oneof![
        4 => (file(), image(), size(), maybe_file(), proptest::bool::weighted(0.1))
            .prop_map(|(file, image, size, backing, unchecked)| Step::Create { file, image, size, backing, unchecked }),
        4 => (file(), file(), conversion(), proptest::bool::weighted(0.2), proptest::bool::weighted(0.1), any::<bool>(), any::<bool>())
            .prop_map(|(from, to, target, compress, full, bitmaps, snapshot)| {
                Step::Convert { from, to, target, compress, full, bitmaps: bitmaps && snapshot, snapshot: snapshot && !bitmaps }
            }),
        8 => (file(), bytes).prop_map(|(file, (at, length, byte))| Step::Write { file, at: at * 4096, length: length * 4096, byte }),
        3 => (file(), resize()).prop_map(|(file, to)| Step::Resize { file, to }),
        3 => (file(), maybe_file(), proptest::bool::weighted(0.3)).prop_map(|(file, onto, renames)| Step::Rebase { file, onto, renames }),
        3 => (file(), maybe_file(), proptest::bool::weighted(0.3)).prop_map(|(file, base, keeps)| Step::Commit { file, base, keeps }),
        3 => (file(), snapshot()).prop_map(|(file, action)| Step::Snapshot { file, action }),
        2 => (file(), select(vec!["x", "y"]), proptest::collection::vec(bitmap(), 1..3), maybe_file())
            .prop_map(|(file, name, actions, from)| Step::Bitmap { file, name, actions, from }),
        1 => (file(), amend()).prop_map(|(file, options)| Step::Amend { file, options }),
        1 => file().prop_map(|file| Step::Remove { file }),
        1 => file().prop_map(|file| Step::WrongFormat { file }),
    ]
}
