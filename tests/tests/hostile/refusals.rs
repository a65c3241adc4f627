//! Every hostile image is refused for what it is, and every plain one accepted, whether as a file or as a stream.

use qemu_info::inspect::Policy;
use tests::hostile::{all, plain};
use tests::scratch;

use crate::{inspected, oracle, streamed};

#[test]
fn hostile_images_are_refused_for_what_they_are() {
    let directory = scratch();
    let mut wrong = Vec::new();
    for hostile in all(directory.path()) {
        let found = inspected(&hostile.image, &hostile.policy());
        streamed(&hostile.image, &hostile.policy(), &found);
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
        streamed(&image, &Policy::untrusted(), &found);
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
