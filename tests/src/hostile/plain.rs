//! An image of every format that is as it should be, as small as can be.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use qemu_info::inspect::ImageFormat;

use super::image::Image;

/// The clusters of [`qcow2`], in bytes.
pub const CLUSTER: usize = 4096;

/// The header extension that says where qcow2's bitmaps are.
pub const BITMAPS: u32 = 0x2385_2875;
/// The header extension that says where qcow2's LUKS header is.
pub const LUKS: u32 = 0x0537_be77;
/// The header extension that names qcow2's data file.
pub const DATA_FILE: u32 = 0x4441_5441;

/// One of each format and kind, with a name.
#[must_use]
pub fn all() -> Vec<(&'static str, ImageFormat, Image)> {
    vec![
        ("qcow2", ImageFormat::Qcow2, qcow2()),
        ("qcow2-2", ImageFormat::Qcow2, qcow2_version_2()),
        ("qcow2-snapshots", ImageFormat::Qcow2, qcow2_snapshots(2)),
        ("qcow2-bitmaps", ImageFormat::Qcow2, qcow2_bitmaps(2)),
        ("qcow2-luks", ImageFormat::Qcow2, qcow2_luks()),
        ("qcow", ImageFormat::Qcow, qcow()),
        ("luks", ImageFormat::Luks, luks()),
        ("qed", ImageFormat::Qed, qed()),
        ("vmdk-sparse", ImageFormat::Vmdk, vmdk_sparse()),
        ("vmdk-stream", ImageFormat::Vmdk, vmdk_stream()),
        ("vdi", ImageFormat::Vdi, vdi()),
        ("vhdx", ImageFormat::Vhdx, vhdx()),
        ("vpc-dynamic", ImageFormat::Vpc, vpc_dynamic()),
        ("vpc-fixed", ImageFormat::Vpc, vpc_fixed()),
        ("parallels", ImageFormat::Parallels, parallels()),
        ("parallels-extended", ImageFormat::Parallels, parallels().put(0, b"WithouFreSpacExt")),
        ("bochs", ImageFormat::Bochs, bochs()),
        ("cloop", ImageFormat::Cloop, cloop()),
        ("dmg", ImageFormat::Dmg, dmg()),
        ("mbr", ImageFormat::Mbr, mbr()),
        ("gpt", ImageFormat::Gpt, gpt()),
        ("iso", ImageFormat::Iso, iso()),
    ]
}

/// qcow2 of 1 MiB: header, reference count table and block, L1 table, and four clusters more.
#[must_use]
pub fn qcow2() -> Image {
    Image::of_zeros(8 * CLUSTER)
        .put(0, b"QFI\xfb")
        .be32(4, 3)
        .be32(20, 12)
        .be64(24, 1 << 20)
        .be32(36, 1)
        .be64(40, 3 * CLUSTER as u64)
        .be64(48, CLUSTER as u64)
        .be32(56, 1)
        .be32(96, 4)
        .be32(100, 112)
        .be64(CLUSTER, 2 * CLUSTER as u64)
        .put(2 * CLUSTER, &[0, 1].repeat(8))
}

/// The same in version 2.
#[must_use]
pub fn qcow2_version_2() -> Image {
    qcow2().be32(4, 2).put(72, &[0; 40])
}

/// With so many snapshots, each without a disk of its own. They start in the fifth cluster.
#[must_use]
pub fn qcow2_snapshots(count: u32) -> Image {
    let at = 4 * CLUSTER;
    let entry = Image::of_zeros(64).be16(12, 1).be16(14, 2).be32(36, 16).be64(48, 1 << 20);
    (0..count as usize).fold(qcow2().be32(60, count).be64(64, at as u64), |image, index| {
        let entry = &entry.bytes;
        let low = b'0' + u8::try_from(index % 10).unwrap();
        image.put(at + 64 * index, entry).put(at + 64 * index + 56, &[low, b's', low])
    })
}

/// With so many bitmaps, whose tables are all empty. The directory is in the fifth cluster; the tables are behind it.
#[must_use]
pub fn qcow2_bitmaps(count: u32) -> Image {
    let (at, length) = (4 * CLUSTER, 32 * count as usize);
    let tables = (at + length).next_multiple_of(CLUSTER);
    let extension = Image::of_zeros(24).be32(0, count).be64(8, length as u64).be64(16, at as u64).bytes;
    let image =
        qcow2().be64(88, 1).extension(112, BITMAPS, &extension).hole((tables + count as usize * CLUSTER) as u64);
    (0..count as usize).fold(image, |image, index| {
        let entry = Image::of_zeros(32).be64(0, (tables + index * CLUSTER) as u64).be32(8, 1).put(16, &[1, 16]);
        let name = format!("{index:05}");
        image.put(at + 32 * index, &entry.be16(18, 5).put(24, name.as_bytes()).bytes)
    })
}

/// Encrypted with LUKS. The LUKS header starts with the ninth cluster.
#[must_use]
pub fn qcow2_luks() -> Image {
    let at = 8 * CLUSTER;
    let extension = Image::of_zeros(16).be64(0, at as u64).be64(8, 4040 * 512).bytes;
    qcow2().be32(32, 2).extension(112, LUKS, &extension).put(at, &luks().bytes)
}

/// The first qcow, of 1 GiB.
#[must_use]
pub fn qcow() -> Image {
    Image::of_zeros(8192).put(0, b"QFI\xfb").be32(4, 1).be64(24, 1 << 30).put(32, &[12, 9]).be64(40, 48)
}

/// A LUKS header, room for its keys, and one sector.
#[must_use]
pub fn luks() -> Image {
    let image = Image::of_zeros(4041 * 512)
        .put(0, b"LUKS\xba\xbe\0\x01")
        .put(8, b"aes")
        .put(40, b"xts-plain64")
        .put(72, b"sha256")
        .be32(104, 4040)
        .be32(108, 64)
        .be32(164, 1000)
        .put(168, b"12345678-1234-1234-1234-123456789012");
    (0..8).fold(image, |image, slot| {
        let at = 208 + 48 * slot as usize;
        let (active, iterations) = if slot == 0 { (0x00ac_71f3, 1000) } else { (0xdead, 0) };
        image.be32(at, active).be32(at + 4, iterations).be32(at + 40, 8 + 504 * slot).be32(at + 44, 4000)
    })
}

/// QED of 1 MiB, with clusters of 4 KiB.
#[must_use]
pub fn qed() -> Image {
    Image::of_zeros(3 * 4096).put(0, b"QED\0").le32(4, 4096).le32(8, 2).le32(12, 1).le64(40, 4096).le64(48, 1 << 20)
}

const DESCRIPTOR: &str = "# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\n";

/// The header of a sparse VMDK of 1 MiB.
fn vmdk_header(directory: u64) -> Image {
    let header = Image::of_zeros(512).put(0, b"KDMV").le32(4, 1).le32(8, 3).le64(12, 2048).le64(20, 128).le64(28, 1);
    header.le64(36, 20).le32(44, 512).le64(48, 21).le64(56, directory).le64(64, 24).put(73, b"\n \r\n")
}

/// A sparse VMDK of 1 MiB.
#[must_use]
pub fn vmdk_sparse() -> Image {
    let text = format!("{DESCRIPTOR}createType=\"monolithicSparse\"\nRW 2048 SPARSE \"x.vmdk\"\n");
    vmdk_header(22).put(512, text.as_bytes()).put(24 * 512 - 1, &[0])
}

/// The same as a stream: its footer says where its grains are.
#[must_use]
pub fn vmdk_stream() -> Image {
    let text = format!("{DESCRIPTOR}createType=\"streamOptimized\"\nRW 2048 SPARSE \"x.vmdk\"\n");
    let compressed = |header: Image| header.le32(8, 0x3_0001).le16(77, 1).le64(48, 0);
    let footer = compressed(vmdk_header(22)).bytes;
    let end = 24 * 512;
    let image = compressed(vmdk_header(u64::MAX)).put(512, text.as_bytes()).le32(end + 12, 3);
    image.put(end + 512, &footer).put(end + 3 * 512 - 1, &[0])
}

/// A VMDK that is a text, with these lines for its extents.
#[must_use]
pub fn vmdk_text(create_type: &str, extents: &str) -> Image {
    Image::of_zeros(0).put(0, format!("{DESCRIPTOR}createType=\"{create_type}\"\n{extents}\n").as_bytes())
}

/// VDI of 3 MiB.
#[must_use]
pub fn vdi() -> Image {
    let header = Image::of_zeros(1024).put(0, b"<<< image >>>").le32(0x40, 0xbeda_107f).le32(0x44, 0x0001_0001);
    let header = header.le32(0x48, 0x190).le32(0x4c, 1).le32(0x154, 512).le32(0x158, 1024).le32(0x168, 512);
    header.le64(0x170, 3 << 20).le32(0x178, 1 << 20).le32(0x180, 3).put(512, &[0xff; 12])
}

/// The items of VHDX's metadata: GUID as it stands in the file, offset, length.
const ITEMS: [(u128, u32, u32); 5] = [
    (0x3767_a1ca_36fa_434d_b3b6_33f0_aa44_e76b, 0, 8),
    (0x2442_a52f_1bcd_7648_b211_5dbe_d83b_f4b8, 8, 8),
    (0xab12_cabe_e6b2_2345_93ef_c309_e000_c746, 16, 16),
    (0x1dbf_4181_6fa9_0947_ba47_f233_a8fa_ab5f, 32, 4),
    (0xc748_a3cd_5d44_7144_9cc9_e988_5251_c556, 36, 4),
];

/// VHDX of 4 MiB, in blocks of 1 MiB: the table of blocks at 2 MiB, the metadata at 3 MiB.
#[must_use]
pub fn vhdx() -> Image {
    let mut image = Image::of_zeros(4 << 20).put(0, b"vhdxfile");
    for (at, sequence) in [(64 << 10, 1), (128 << 10, 2)] {
        image = image.put(at, b"head").le64(at + 8, sequence).le16(at + 66, 1).le32(at + 68, 1 << 20);
        image = image.le64(at + 72, 1 << 20);
    }
    let regions = [
        (0x6677_c22d_23f6_0042_9d64_115e_9bfd_4a08_u128, 2 << 20),
        (0x06a2_7c8b_9047_9a4b_b8fe_575f_050f_886e, 3 << 20),
    ];
    for at in [192 << 10, 256 << 10] {
        image = image.put(at, b"regi").le32(at + 8, 2);
        for (entry, (guid, start)) in (at + 16..).step_by(32).zip(regions) {
            image = image
                .put(entry, &guid.to_be_bytes())
                .le64(entry + 16, start)
                .le32(entry + 24, 1 << 20)
                .le32(entry + 28, 1);
        }
    }
    let (metadata, items) = (3 << 20, (3 << 20) + (64 << 10));
    image = image.put(metadata, b"metadata").le16(metadata + 10, 5);
    for (entry, (guid, offset, length)) in (metadata + 32..).step_by(32).zip(ITEMS) {
        image = image
            .put(entry, &guid.to_be_bytes())
            .le32(entry + 16, (64 << 10) + offset)
            .le32(entry + 20, length)
            .le32(entry + 24, 4);
    }
    image = image.le32(items, 1 << 20).le64(items + 8, 4 << 20).le32(items + 32, 512).le32(items + 36, 512);
    vhdx_sealed(image)
}

/// With every checksum right.
#[must_use]
pub fn vhdx_sealed(image: Image) -> Image {
    let image = image.crc(64 << 10, 4096).crc(128 << 10, 4096);
    image.crc(192 << 10, 64 << 10).crc(256 << 10, 64 << 10)
}

/// A footer of VPC of this type, for 64 KiB, by a writer whose size is exact.
fn vpc_footer(kind: u32, header: u64) -> Image {
    let footer = Image::of_zeros(512).put(0, b"conectix").be32(8, 2).be32(12, 0x0001_0000).be64(16, header);
    let footer = footer.put(28, b"win ").be64(40, 64 << 10).be64(48, 64 << 10).be16(56, 1).put(58, &[4, 32]);
    footer.be32(60, kind).sum(0, 512, 64)
}

/// A dynamic VPC of 64 KiB, in blocks of 4 KiB: footer, header, table of blocks, footer.
#[must_use]
pub fn vpc_dynamic() -> Image {
    let footer = vpc_footer(3, 512);
    let image = footer.clone().put(512, b"cxsparse").be64(520, u64::MAX).be64(528, 1536).be32(536, 0x0001_0000);
    let image = image.be32(540, 16).be32(544, 4096).put(1535, &[0]).sum(512, 1024, 36);
    image.put(1536, &[0xff; 512]).put(2048, &footer.bytes)
}

/// A fixed VPC of 64 KiB.
#[must_use]
pub fn vpc_fixed() -> Image {
    Image::of_zeros(64 << 10).put(64 << 10, &vpc_footer(2, u64::MAX).bytes)
}

/// Parallels of 1 MiB, in clusters of 64 KiB, none of them there.
#[must_use]
pub fn parallels() -> Image {
    let header = Image::of_zeros(64 << 10).put(0, b"WithoutFreeSpace").le32(16, 2).le32(20, 16).le32(24, 5);
    header.le32(28, 128).le32(32, 16).le64(36, 2048).le32(48, 128)
}

/// Bochs' growing image of 1 MiB, in extents of 64 KiB.
#[must_use]
pub fn bochs() -> Image {
    let header = Image::of_zeros(1024).put(0, b"Bochs Virtual HD Image").put(32, b"Redolog").put(48, b"Growing");
    header
        .le32(64, 0x0002_0000)
        .le32(68, 512)
        .le32(72, 16)
        .le32(76, 512)
        .le32(80, 64 << 10)
        .le64(88, 1 << 20)
        .put(512, &[0xff; 64])
}

/// What a cloop image starts with.
pub const CLOOP_SCRIPT: &[u8] =
    b"#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0 && mount -r -t iso9660 /dev/cloop $1\n";

/// A cloop image of two blocks of 64 KiB.
#[must_use]
pub fn cloop() -> Image {
    let image = Image::of_zeros(512).put(0, CLOOP_SCRIPT).be32(128, 64 << 10).be32(132, 2);
    image.be64(136, 160).be64(144, 200).be64(152, 240)
}

/// DMG of 64 KiB, all of it one chunk of zeros: the newest qemu wants at least one.
#[must_use]
pub fn dmg() -> Image {
    let chunks = Image::of_zeros(244).put(0, b"mish").be64(204 + 16, 128).bytes;
    let list = format!("<data>{}</data>", BASE64_STANDARD.encode(&chunks));
    let trailer = Image::of_zeros(512).put(0, b"koly").be32(4, 4).be32(8, 512).be64(0xe0, list.len() as u64);
    Image::of_zeros(512).put(0, list.as_bytes()).put(512, &trailer.be64(0x1ec, 128).bytes)
}

/// A disk with one partition.
#[must_use]
pub fn mbr() -> Image {
    Image::of_zeros(64 << 10).put(450, &[0x83]).le32(454, 1).le32(458, 100).le16(510, 0xaa55)
}

/// A disk with a GUID partition table.
#[must_use]
pub fn gpt() -> Image {
    let disk = Image::of_zeros(64 << 10).put(450, &[0xee]).le32(454, 1).le32(458, 127).le16(510, 0xaa55);
    disk.put(512, b"EFI PART").le32(520, 0x0001_0000).le32(524, 92).le64(536, 1)
}

/// An optical disc.
#[must_use]
pub fn iso() -> Image {
    Image::of_zeros(64 << 10).put(32 << 10, b"\x01CD001\x01").put(34 << 10, b"\xffCD001\x01")
}
