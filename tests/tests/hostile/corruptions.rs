//! Every field of every header with every value that a program might stumble over.
//!
//! What inspection accepts, qemu-img must open, and see as inspection does.

use qemu_info::inspect::{ImageFormat, Policy};
use tests::hostile::{image::Image, plain};

use crate::oracle::Judge;

/// A header: where it starts, and how wide its fields are, one behind the other.
type Header = (usize, &'static [usize]);

/// The headers of the image of [`plain`] with this name.
fn headers(name: &str) -> Vec<Header> {
    const QCOW2: Header = (0, &[4, 4, 8, 4, 4, 8, 4, 4, 8, 8, 4, 4, 8, 8, 8, 8, 4, 4, 1, 1, 2, 4]);
    const EXTENSION: Header = (112, &[4, 4]);
    const LUKS: &[usize] = &[4, 2, 2, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 4, 4];
    const SLOT: &[usize] = &[4, 4, 8, 8, 8, 8, 4, 4];
    let cluster = plain::CLUSTER;
    let luks = |at: usize| vec![(at, LUKS), (at + 164, &[4][..]), (at + 208, SLOT), (at + 208 + 7 * 48, SLOT)];
    match name {
        "qcow2" => vec![QCOW2, EXTENSION, (cluster, &[8]), (3 * cluster, &[8])],
        "qcow2-2" => vec![(0, &[4, 4, 8, 4, 4, 8, 4, 4, 8, 8, 4, 4, 8]), (72, &[4, 4])],
        "qcow2-snapshots" => vec![(60, &[4, 8]), (4 * cluster, &[8, 4, 2, 2, 4, 4, 8, 4, 4, 8, 8, 1, 1, 1])],
        "qcow2-bitmaps" => vec![(88, &[8]), (112, &[4, 4, 4, 4, 8, 8]), (4 * cluster, &[8, 4, 4, 1, 1, 2, 4, 1])],
        "qcow2-luks" => [vec![(32, &[4][..]), (112, &[4, 4, 8, 8])], luks(8 * cluster)].concat(),
        "qcow" => vec![(0, &[4, 4, 8, 4, 4, 8, 1, 1, 2, 4, 8, 8])],
        "luks" => luks(0),
        "qed" => vec![(0, &[4, 4, 4, 4, 8, 8, 8, 8, 8, 4, 4])],
        "vmdk-sparse" => vec![(0, VMDK)],
        "vmdk-stream" => vec![(0, VMDK), (24 * 512, &[8, 4, 4]), (25 * 512, VMDK), (26 * 512, &[8, 4, 4])],
        "vdi" => vec![
            (0x40, &[4, 4, 4, 4, 4]),
            (0x154, &[4, 4, 4, 4, 4, 4, 4, 8, 4, 4, 4, 4, 8, 8, 8, 8, 8, 8, 8, 8]),
            (512, &[4]),
        ],
        "vhdx" => vec![
            (0, &[8, 8]),
            (64 << 10, &[4, 4, 8]),
            (128 << 10, &[4, 4, 8, 8, 8, 8, 8, 8, 8, 2, 2, 4, 8]),
            (192 << 10, &[4, 4, 4, 4, 8, 8, 8, 4, 4, 8, 8, 8, 4, 4]),
            (2 << 20, &[8]),
            (3 << 20, &[8, 2, 2, 4, 8, 8, 8, 8, 4, 4, 4, 4]),
            ((3 << 20) + (64 << 10), &[4, 4, 8, 8, 8, 4, 4]),
        ],
        "vpc-dynamic" => vec![(0, VPC), (512, &[8, 8, 8, 4, 4, 4, 4]), (1536, &[4])],
        "vpc-fixed" => vec![(64 << 10, VPC)],
        "parallels" | "parallels-extended" => vec![(0, &[8, 8, 4, 4, 4, 4, 4, 8, 4, 4, 4, 8, 4])],
        "bochs" => vec![(0, &[8]), (32, &[8]), (48, &[8]), (64, &[4, 4, 4, 4, 4, 4, 8]), (512, &[4])],
        "cloop" => vec![(0, &[8]), (128, &[4, 4, 8, 8, 8])],
        "dmg" => vec![(512, &[4, 4, 4, 4, 8, 8, 8, 8, 8]), (512 + 0xd8, &[8, 8]), (512 + 0x1ec, &[8])],
        "mbr" | "gpt" => vec![(446, &[1, 1, 2, 1, 1, 2, 4, 4]), (510, &[2]), (512, &[8, 4, 4, 8, 8])],
        "iso" => vec![(32 << 10, &[1, 2, 2, 2]), (34 << 10, &[1, 2, 2, 2])],
        other => panic!("nobody knows the header of {other}"),
    }
}

const VMDK: &[usize] = &[4, 4, 4, 8, 8, 8, 8, 4, 8, 8, 8, 1, 4, 2];
const VPC: &[usize] = &[8, 4, 4, 8, 4, 4, 4, 4, 8, 8, 2, 1, 1, 4, 4, 8, 8, 1];

/// With the checksum right that the field at `at` is under, if it is, or nothing but checksums would be tested.
fn sealed(name: &str, at: usize, image: &Image) -> Option<Image> {
    let image = image.clone();
    match (name, at) {
        ("vhdx", 0x1_0000..0x3_0000) => Some(image.crc(at & !0xffff, 4096)),
        ("vhdx", 0x3_0000..0x4_0000) => Some(image.crc(0x3_0000, 64 << 10)),
        ("vpc-dynamic", 0..512) => Some(image.sum(0, 512, 64)),
        ("vpc-dynamic", 512..1536) => Some(image.sum(512, 1024, 36)),
        ("vpc-fixed", _) => Some(image.sum(64 << 10, 512, 64)),
        _ => None,
    }
}

/// What a field of this width may hold instead.
fn values(old: u64, at: usize, width: usize) -> Vec<u64> {
    let random = (at as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let max = u64::MAX >> (64 - 8 * width);
    let high = max ^ (max >> 1);
    let mut values =
        vec![0, 1, max, max - 1, old.wrapping_add(1), old.wrapping_sub(1), old ^ high, random, random % 97];
    values.iter_mut().for_each(|value| *value &= max);
    values.sort_unstable();
    values.dedup();
    values.retain(|value| *value != old);
    values
}

/// The image with each of these values in a field; once also with a checksum that is wrong then.
fn changed(name: &str, image: &Image, at: usize, width: usize) -> Vec<(u64, Image)> {
    let little = !["qcow", "luks", "vpc", "cloop", "dmg"].iter().any(|big| name.starts_with(big));
    let field = &image.bytes[at..at + width];
    let number = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
    let old = if little { field.iter().rev().fold(0, number) } else { field.iter().fold(0, number) };
    let with = |value: u64| match little {
        true => image.clone().put(at, &value.to_le_bytes()[..width]),
        false => image.clone().put(at, &value.to_be_bytes()[8 - width..]),
    };
    let mut images: Vec<_> = values(old, at, width).into_iter().map(|value| (value, with(value))).collect();
    let sealed: Vec<_> = images.iter().filter_map(|(value, image)| Some((*value, sealed(name, at, image)?))).collect();
    images.truncate(if sealed.is_empty() { images.len() } else { 1 });
    images.extend(sealed);
    images
}

/// The fields that may hold anything: what nobody reads, and what is only read if another field says so.
fn free(name: &str) -> &'static [usize] {
    match name {
        "qcow2" => &[16, 80, 105, 106, 108, 112, 4096, 12288],
        "qcow2-2" => &[16, 72],
        "qcow2-snapshots" => &[16384, 16400, 16404, 16408, 16416, 16424, 16440, 16441, 16442],
        "qcow2-bitmaps" => &[112, 16408],
        "qcow2-luks" => &[
            32784, 32792, 32800, 32824, 32832, 32848, 32856, 32864, 32984, 32992, 33000, 33008, 33316, 33320, 33328,
            33336, 33344,
        ],
        "qcow" => &[16, 20, 34],
        "luks" => &[16, 24, 32, 56, 64, 80, 88, 96, 216, 224, 232, 240, 548, 552, 560, 568, 576],
        "qed" => &[24, 32, 56, 60],
        "vmdk-sparse" => &[8, 28, 36, 72, 73, 77],
        "vmdk-stream" => &[4, 8, 28, 36, 48, 64, 72, 73, 12288, 12808, 12828, 12836, 12848, 12872, 12873],
        "vdi" => &[72, 80, 348, 352, 356, 364, 380, 392, 400, 408, 416, 512],
        "vhdx" => &[
            8, 65536, 65540, 65544, 131072, 131076, 131080, 131088, 131096, 131104, 131112, 131138, 3145736, 3145740,
            3145744, 3145752, 3145780, 3145784, 3145788, 3211280, 3211288, 3211300,
        ],
        "vpc-dynamic" => &[520, 536, 548],
        "parallels" => &[20, 24, 44, 48, 52],
        "parallels-extended" => &[20, 24, 44, 48, 52],
        "bochs" => &[76, 84, 512],
        "dmg" => &[516, 520, 524, 528, 544],
        "iso" => &[32768, 32769, 32771, 32773, 34816, 34817, 34819, 34821],
        "mbr" | "gpt" => &[446, 447, 448, 450, 451, 452, 454, 458, 510, 512, 520, 524, 528, 536],
        _ => &[],
    }
}

#[test]
fn what_is_accepted_qemu_img_sees_alike() {
    let mut judge = Judge::new(11);
    let mut unchecked = Vec::new();
    for (name, format, image) in plain::all() {
        let policy =
            Policy::untrusted().claimed(if ImageFormat::Raw.admits(format) { ImageFormat::Raw } else { format });
        let mut found = Vec::new();
        for (start, widths) in headers(name) {
            let mut at = start;
            for width in widths {
                let refused = judge.refused;
                for (value, image) in changed(name, &image, at, *width) {
                    judge.accepts(|| format!("{name} with {value:#x} at {at}"), &image, &policy);
                }
                if judge.refused == refused {
                    found.push(at);
                }
                at += width;
            }
        }
        if found != free(name) {
            unchecked.push(format!("{name:?} => &{found:?},"));
        }
    }
    assert!(unchecked.is_empty(), "{}", unchecked.join("\n"));
    judge.close();
}
