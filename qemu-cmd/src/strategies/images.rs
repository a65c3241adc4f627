//! Images that exist, and where others are to be.

use proptest::collection::vec;
use proptest::prelude::{BoxedStrategy, Just, Strategy, any, prop_oneof};
use proptest::sample::select;

use super::World;
use super::names::{name, secret};
use super::parts::{half, of, rarely, with};
use super::words::{format, source_form};
use crate::{Backing, Format, Key, Source, SourceForm, SourceSnapshot, Target};

/// Options of an image's node: the format that has it, if not every one has, its name and two of its values.
const OPEN_OPTIONS: &[(Option<Format>, &str, [&str; 2])] = &[
    (None, "discard", ["ignore", "unmap"]),
    (None, "detect-zeroes", ["off", "on"]),
    (None, "cache.no-flush", ["off", "on"]),
    (None, "auto-read-only", ["off", "on"]),
    (Some(Format::Raw), "offset", ["0", "512"]),
    (Some(Format::Raw), "size", ["512", "65536"]),
    (Some(Format::Qcow2), "lazy-refcounts", ["off", "on"]),
    (Some(Format::Qcow2), "overlap-check", ["none", "constant"]),
    (Some(Format::Qcow2), "pass-discard-request", ["off", "on"]),
    (Some(Format::Qcow2), "l2-cache-size", ["65536", "1048576"]),
    (Some(Format::Qcow2), "cache-clean-interval", ["0", "600"]),
];

/// What says which snapshot of a source is read. Refused is what qemu-img reads as keys.
pub fn source_snapshot() -> BoxedStrategy<SourceSnapshot> {
    prop_oneof![
        name().prop_map(SourceSnapshot::Name),
        name().prop_map(SourceSnapshot::Id),
        (name(), name()).prop_map(|(name, id)| SourceSnapshot::NameAndId(name, id)),
        prop_oneof![8 => name(), 1 => Just("snapshot.1".to_owned())].prop_map(SourceSnapshot::NameOrId),
    ]
    .boxed()
}

fn has_backing(format: Option<Format>) -> bool {
    matches!(format, Some(Format::Qcow2 | Format::Qcow | Format::Qed | Format::Vmdk))
}

fn open_option() -> impl Strategy<Value = (Option<Format>, &'static str, &'static str)> {
    let one = (select(OPEN_OPTIONS), any::<bool>());
    one.prop_map(|((format, key, [first, second]), is_first)| (format, key, if is_first { first } else { second }))
}

impl World {
    /// The key of an image: a passphrase, or a file that holds one.
    pub fn key(&self) -> BoxedStrategy<Key> {
        let file = (self.path.clone(), any::<bool>()).prop_map(|(path, base64)| Key::File { path, base64 });
        prop_oneof![3 => secret().prop_map(Key::Secret), 1 => file].boxed()
    }

    /// An image as nothing but its place, its format, its key, if it needs one, and the objects that its place names.
    pub(super) fn image(&self) -> BoxedStrategy<Source> {
        let world = self.clone();
        self.bare_image().prop_flat_map(move |image| world.carrying(image)).boxed()
    }

    fn bare_image(&self) -> BoxedStrategy<Source> {
        if let Some(images) = &self.image {
            return images.clone();
        }
        let plain = (self.location(), format().prop_filter("no key needed", |format| *format != Format::Luks))
            .prop_map(|(location, format)| Source::new(location, format));
        let with_key = (self.location(), self.key(), 0..5_u8).prop_map(|(location, key, kind)| match kind {
            0 => Source::luks(location, key),
            1 => Source::qcow2(location).key(key),
            2 => Source::new(location, Format::Qcow).key(key),
            3 => Source::probing(location).key(key),
            _ => Source::probing(location).qcow2_key(key),
        });
        let probed = self.location().prop_map(Source::probing);
        let anything = (self.location(), format(), half(self.key()))
            .prop_map(|(location, format, key)| with(Source::new(location, format), key, Source::key));
        prop_oneof![8 => plain, 8 => with_key, 2 => probed, 1 => anything].boxed()
    }

    /// A source: of a known format or probed, with or without a key, in any form; with a detached header, options of
    /// its node, nothing below it, or a chain of images below it, each with a key of its own.
    ///
    /// Some are refused when a command is built: a key for a format that has none or in the plain form, LUKS without a
    /// key, a header for another format, a path that is not UTF-8 as JSON, and what has no node where it needs one.
    pub fn source(&self) -> BoxedStrategy<Source> {
        let below = self.image().prop_recursive(3, 4, 1, {
            let world = self.clone();
            move |below| {
                (world.image(), below)
                    .prop_map(|(top, below)| if has_backing(top.format()) { top.backing(below) } else { top })
            }
        });
        let cut_or_below = prop_oneof![1 => Just(None), 2 => below.prop_map(Some)];
        let options = vec(open_option(), 1..4);
        let form = prop_oneof![
            12 => Just(None),
            6 => select(&[SourceForm::ImageOpts, SourceForm::Json][..]).prop_map(Some),
            1 => source_form().prop_map(Some),
        ];
        let world = self.clone();
        // What fits the format, or rarely what does not.
        (self.image(), of(self.location()), of(cut_or_below), of(options), form, rarely())
            .prop_map(|(image, header, below, options, form, unfit)| {
                let header = header.filter(|_| unfit || image.format() == Some(Format::Luks));
                let image = with(image, header, Source::header);
                let below = below.filter(|_| unfit || has_backing(image.format()));
                let image = with(image, below, |image, below| match below {
                    Some(below) => image.backing(below),
                    None => image.without_backing(),
                });
                let options = options.into_iter().flatten();
                let options = options.filter(|(format, ..)| format.is_none() || *format == image.format());
                let options = options.collect::<Vec<_>>();
                let image = options.into_iter().fold(image, |image, (_, key, value)| image.option(key, value));
                with(image, form, Source::form)
            })
            // Its header may name more.
            .prop_flat_map(move |image| world.carrying(image))
            .boxed()
    }

    /// A target: a new image.
    pub(super) fn new_target(&self) -> BoxedStrategy<Target> {
        (self.location(), self.new_image()).prop_map(|(location, image)| Target::new(location, image)).boxed()
    }

    /// A target: mostly a new image, else an existing one, which is refused where it is probed.
    pub fn target(&self) -> BoxedStrategy<Target> {
        prop_oneof![4 => self.new_target(), 1 => self.source().prop_map(Target::existing)].boxed()
    }

    /// A backing file. A name of more than 1023 bytes is refused, and rarely it is probed, which only qemu before 6.1
    /// takes.
    pub fn backing(&self) -> BoxedStrategy<Backing> {
        (self.image(), rarely())
            .prop_map(|(image, probed)| match image.format() {
                Some(format) if !probed => Backing::new(image.location().clone(), format),
                _ => Backing::probing(image.location().clone()),
            })
            .boxed()
    }
}
