//! Images that end too early: after every byte of their headers, and here and there behind them.

use std::fs;
use std::io::Cursor;

use qemu_info::inspect::{ImageFormat, Policy, Verdict, inspect};
use tests::hostile::plain;
use tests::{bare, scratch};

use crate::oracle::{Judge, bounded, can_open};

/// Where every image is cut that is at least so long: after each byte of what comes first, then around sectors.
fn lengths(size: usize) -> impl Iterator<Item = usize> {
    let around = |at: usize| [at.saturating_sub(1), at, at + 1];
    let step = (size / 100).next_multiple_of(512);
    let last = (1..=4).map(move |sectors| size.saturating_sub(512 * sectors));
    (0..1200).chain((1200..size).step_by(step).chain(last).flat_map(around)).filter(move |length| *length < size)
}

#[test]
fn what_is_accepted_qemu_img_sees_alike() {
    let mut judge = Judge::new(23);
    for (name, format, image) in plain::all() {
        let raw = ImageFormat::Raw.admits(format) || format == ImageFormat::Iso;
        let policy = if raw { Policy::untrusted() } else { Policy::untrusted().claimed(format) };
        let (accepted, refused) = (judge.accepted, judge.refused);
        for length in lengths(image.bytes.len()) {
            let short = image.clone().cut(length);
            judge.accepts(|| format!("the first {length} bytes of {name}"), &short, &policy);
        }
        // What is raw stays so, and what has a header is nothing without it.
        assert_eq!(judge.refused == refused, raw, "{name}");
        assert!(raw || judge.refused - refused > 20, "{name}");
        assert!(judge.accepted > accepted, "{name}");
    }
    judge.close();
}

/// Of what is missing qemu-img makes zeros, and exits with 0. Where inspection does not see it, `check` must.
#[test]
fn an_image_without_its_end_is_noticed() {
    use ImageFormat::{Parallels, Qcow, Qcow2, Qed, Vdi, Vhdx, Vmdk, Vpc};
    let directory = scratch();
    let at = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (disk, cut) = (at("disk"), at("cut"));
    fs::write(&disk, vec![b'x'; 8 << 20]).unwrap();
    for format in [Qcow2, Qcow, Qed, Vdi, Vpc, Vhdx, Vmdk, Parallels].into_iter().filter(|format| can_open(*format)) {
        let path = at(format.as_str());
        let made = bare(["convert", "-f", "raw", "-O", format.as_str(), &disk, &path]);
        assert!(made.status.success(), "{format}: {made:?}");
        let whole = fs::read(&path).unwrap();
        let sees = |length: usize| {
            let verdict = inspect(Cursor::new(&whole[..length]), &Policy::untrusted()).unwrap().verdict();
            verdict == Verdict::Refuse
        };
        assert!(!sees(whole.len()), "{format}");
        let cut_off = whole.len() - (1 << 20);
        fs::write(&cut, &whole[..cut_off]).unwrap();
        let check = || bounded(["check", "-f", format.as_str(), &cut]).status.code();
        assert!(sees(cut_off) || !matches!(check(), Some(0 | 63)), "{format}");
        // The footer of VPC, and a byte.
        if matches!(format, Qcow | Vdi | Vpc | Vhdx | Parallels) {
            assert!(sees(whole.len() - 513), "{format}");
        }
    }
}
