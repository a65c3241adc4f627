//! Images that are small and cost much: memory, time, output or disk.

use qemu_info::inspect::Code::{CostlyKey, TableTooLarge, VirtualSizeTooLarge};
use qemu_info::inspect::ImageFormat as F;

use super::Hostile;
use super::image::Image;
use super::plain::{self, CLUSTER};

const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;

/// Every bomb.
#[must_use]
pub fn all() -> Vec<Hostile> {
    let mut all = tables();
    all.extend(of_qcow2());
    all.extend(sizes());
    all.extend(keys());
    all
}

fn table(name: &str, format: F, image: Image, at: u64) -> Hostile {
    Hostile::new(format!("bomb-{name}"), format, image, (TableTooLarge, at))
}

/// A table of a gibibyte or more that is loaded when the image is opened, in a few kibibytes.
fn tables() -> Vec<Hostile> {
    let qcow = plain::qcow().be64(24, 4 * TIB).put(32, &[9, 6]);
    let qed = plain::qed().le32(4, 64 << 20).le32(8, 16).le32(12, 1).le64(40, 64 << 20).hole(2 * GIB);
    let vmdk = plain::vmdk_sparse().le64(12, 1 << 28).le64(20, 1).le32(44, 1).hole(2 * GIB);
    let grain = vmdk_grain();
    let vdi = plain::vdi().le32(0x180, 0x1fff_ff80);
    let entries = 0x1fff_ffff;
    let vpc = plain::vpc_dynamic().be32(540, entries).be32(544, 512).put(1536, &[0; 512]).sum(512, 1024, 36);
    let vhdx = plain::vhdx().le32((192 << 10) + 16 + 24, u32::MAX).le64((192 << 10) + 16 + 16, 16 * GIB);
    let vhdx = plain::vhdx_sealed(vhdx);
    let parallels = plain::parallels().le32(32, entries);
    let bochs = plain::bochs().le32(72, 0x10_0001).hole(8 << 20);
    let cloop = plain::cloop().be32(128, 512).be32(132, (64 << 20) - 2).hole(GIB);
    let resources = Image::of_zeros(512).put(0, b"koly").be64(0x30, 33 << 20).be64(0x1ec, 128);
    let properties = Image::of_zeros(512).put(0, b"koly").be64(0xe0, (16 << 20) + 1).be64(0x1ec, 128);
    let behind = |trailer: &Image, at: usize| Image::of_zeros(at).put(at, &trailer.bytes);
    vec![
        table("qcow", F::Qcow, qcow, 24),
        table("qed", F::Qed, qed, 8),
        table("vmdk", F::Vmdk, vmdk, 12),
        table("vmdk-grain", F::Vmdk, grain, 20),
        table("vdi", F::Vdi, vdi, 0x180),
        table("vpc", F::Vpc, vpc, 540),
        table("vhdx", F::Vhdx, vhdx, (192 << 10) + 40),
        table("vhdx-regions", F::Vhdx, vhdx_regions(), (192 << 10) + 8),
        table("parallels", F::Parallels, parallels, 32),
        table("bochs", F::Bochs, bochs, 72),
        table("cloop", F::Cloop, cloop, 132),
        table("dmg-resources", F::Dmg, behind(&resources, 33 << 20), (33 << 20) + 0x30),
        table("dmg-properties", F::Dmg, behind(&properties, 17 << 20), (17 << 20) + 0xe0),
    ]
}

/// VMDK of one compressed grain that is unpacked to a gibibyte, in thrice as much memory.
fn vmdk_grain() -> Image {
    let (grain, sectors) = (28 * 512, 1 << 21);
    let image = plain::vmdk_sparse().le32(8, 0x3_0001).le64(12, sectors).le64(20, sectors).le16(77, 1);
    // Directory, table and marker of the grain, whose content does not matter.
    image.le32(22 * 512, 23).le32(23 * 512, 28).le32(grain + 8, 500).put(grain + 511, &[0])
}

/// qcow2 whose L1 entries all name the same L2 table, and whose reference counts allow it: to check it takes hours.
fn qcow2_one_l2_table() -> Image {
    let (cluster, entries, l1) = (2 << 20, 128 << 10, 4);
    let image = plain::qcow2().be32(20, 21).be32(36, entries).be64(40, l1 * cluster).be64(48, cluster).be32(96, 6);
    let counts: [u64; 5] = [1, 1, 1, entries.into(), 1];
    let counts = counts.iter().flat_map(|count| count.to_be_bytes()).collect::<Vec<_>>();
    let at = |index: u64| usize::try_from(index * cluster).unwrap();
    let image = image.cut(4096).be64(at(1), 2 * cluster).put(at(2), &counts).put(at(3), &[0; 8]);
    let entry = (3 * cluster).to_be_bytes();
    image.put(at(l1), &entry.repeat(entries as usize)).put(at(l1 + 1) - 1, &[0])
}

/// VHDX with so many regions and so many blocks that to hold each block against each region takes long.
fn vhdx_regions() -> Image {
    let (table, count) = (192 << 10, 2047);
    let mut image = plain::vhdx().le32(table + 8, count);
    for index in 2..count as usize {
        let at = table + 16 + 32 * index;
        image = image.be32(at, u32::MAX).le64(at + 16, 64 * TIB + index as u64 * 4096).le32(at + 24, 4096);
    }
    let items = (3 << 20) + (64 << 10);
    let blocks = 1 << 17;
    let entries: Vec<u8> = (0..blocks).flat_map(|index: u64| (((index + 4) << 20) | 6).to_le_bytes()).collect();
    image = image.put(2 << 20, &entries).le64(items + 8, (blocks - blocks / 4096 - 1) << 20);
    plain::vhdx_sealed(image).hole((blocks + 4) << 20)
}

/// qcow2 with so many bitmaps, or snapshots, that only to show it takes long.
fn of_qcow2() -> Vec<Hostile> {
    let at = 4 * CLUSTER;
    let l1 = plain::qcow2().be32(36, (4 << 20) + 1).hole(GIB);
    let refcounts = plain::qcow2().be32(56, u32::MAX).hole(GIB);
    let extensions = (0..=64).fold(plain::qcow2(), |image, index| image.be32(112 + 8 * index, 1));
    let snapshot = plain::qcow2_snapshots(1).be64(at, 5 * CLUSTER as u64).be32(at + 8, 1 << 29).hole(8 * GIB);
    // In use, so its table need not be as large as the disk.
    let bitmap = plain::qcow2_bitmaps(1).be64(24, 8 * TIB).be32(36, 4 << 20).be32(at + 12, 1).put(at + 17, &[9]);
    let bitmap = bitmap.hole(GIB);
    vec![
        table("bitmaps", F::Qcow2, plain::qcow2_bitmaps(65_535), 120),
        table("bitmaps-1025", F::Qcow2, plain::qcow2_bitmaps(1025), 120),
        table("bitmap-of-gibibytes", F::Qcow2, bitmap, 136),
        table("snapshots", F::Qcow2, plain::qcow2_snapshots(65_536), 60),
        table("snapshots-1025", F::Qcow2, plain::qcow2_snapshots(1025), 60),
        table("snapshot-l1", F::Qcow2, snapshot, at as u64 + 8),
        table("l1", F::Qcow2, l1, 36),
        table("l2", F::Qcow2, qcow2_one_l2_table(), 36),
        table("refcounts", F::Qcow2, refcounts, 56),
        table("extensions", F::Qcow2, extensions, 112 + 8 * 64),
    ]
}

/// A disk that fills the host's.
fn sizes() -> Vec<Hostile> {
    let large = |name: &str, format, image, at| {
        Hostile::new(format!("bomb-size-{name}"), format, image, (VirtualSizeTooLarge, at))
    };
    let at = 4 * CLUSTER;
    let size = 17 * TIB;
    let items = (3 << 20) + (64 << 10);
    vec![
        large("qcow2", F::Qcow2, plain::qcow2().be32(20, 21).be64(24, size), 24),
        large("qcow2-snapshot", F::Qcow2, plain::qcow2_snapshots(1).be64(at + 48, size), at as u64 + 48),
        large("qcow", F::Qcow, plain::qcow().be64(24, size).put(32, &[16, 13]), 24),
        large("qed", F::Qed, plain::qed().le32(4, 1 << 20).le32(8, 16).le64(48, size), 48),
        large("vmdk", F::Vmdk, plain::vmdk_sparse().le64(12, size / 512).le64(20, 1 << 21), 12),
        large("vdi", F::Vdi, plain::vdi().le64(0x170, size).le32(0x180, 17 << 20), 0x170),
        large("vhdx", F::Vhdx, plain::vhdx().le64(items + 8, size), items as u64 + 8),
        large("parallels", F::Parallels, plain::parallels().put(0, b"WithouFreSpacExt").le64(36, size / 512), 36),
        large("bochs", F::Bochs, plain::bochs().le64(88, size), 88),
        large("dmg", F::Dmg, plain::dmg().be64(512 + 0x1ec, size / 512), 512 + 0x1ec),
    ]
}

/// A key that takes minutes to derive, whatever the passphrase.
fn keys() -> Vec<Hostile> {
    let costly =
        |name: &str, format, image, at| Hostile::new(format!("bomb-key-{name}"), format, image, (CostlyKey, at));
    let within = 8 * CLUSTER;
    vec![
        costly("master", F::Luks, plain::luks().be32(164, u32::MAX), 164),
        costly("slot", F::Luks, plain::luks().be32(212, u32::MAX), 164),
        costly("qcow2", F::Qcow2, plain::qcow2_luks().be32(within + 212, u32::MAX), (within + 164) as u64),
    ]
}
