//! Every hostile image is refused for what it is, and every plain one accepted, whether as a file or as a stream.

use qemu_info::inspect::{Inspection, Inspector, Policy, inspect_file};
use tests::hostile::{all, image::Image, plain};
use tests::scratch;

use crate::oracle;

/// Inspects an image as a file, and as streams in pieces of several sizes if it is small.
fn inspected(image: &Image, policy: &Policy) -> Inspection {
    let file = tempfile::tempfile().unwrap();
    image.write_to(&file);
    let whole = inspect_file(&file, policy).unwrap();
    if image.size == image.bytes.len() as u64 {
        for size in [image.bytes.len() / 500 + 13, 64 << 10, usize::MAX] {
            let mut inspector = Inspector::new(policy.clone());
            for piece in image.bytes.chunks(size) {
                inspector.push(piece);
            }
            assert_eq!(inspector.finish(), whole, "in pieces of {size}");
        }
    }
    whole
}

#[test]
fn hostile_images_are_refused_for_what_they_are() {
    let directory = scratch();
    let mut wrong = Vec::new();
    for hostile in all(directory.path()) {
        let found = inspected(&hostile.image, &hostile.policy());
        let said: Vec<_> = found.findings().iter().map(|finding| (finding.code, finding.offset)).collect();
        if !said.contains(&hostile.refused) || found.format() != hostile.format {
            wrong.push(format!("{}: {} {said:?}, not {:?}", hostile.name, found.format(), hostile.refused));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn plain_images_are_accepted() {
    for (name, format, image) in plain::all() {
        let found = inspected(&image, &Policy::untrusted());
        assert_eq!((found.format(), found.findings()), (format, &[][..]), "{name}");
    }
}

#[test]
fn qemu_img_opens_plain_images_too() {
    let directory = scratch();
    for (name, format, image) in plain::all().into_iter().filter(|(_, format, _)| oracle::can_open(*format)) {
        let path = directory.path().join(name);
        image.write(&path);
        match oracle::info(&path, format) {
            Ok(info) => {
                assert_eq!(oracle::differences(&inspected(&image, &Policy::untrusted()), &info), [""; 0], "{name}")
            }
            Err(why) => panic!("{name}: {why}"),
        }
    }
}
