//! Images that make whoever opens them open something else.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use qemu_info::inspect::Code::{
    self, BackingFile, DataFile, ExternalExtent, FormatMismatch, NestedFormat, Unsupported,
};
use qemu_info::inspect::ImageFormat as F;

use super::image::Image;
use super::{Hostile, plain};

/// What nobody but the host may read: exactly one sector.
#[must_use]
pub fn secret() -> Vec<u8> {
    b"the host's secret, not for a guest!\n".repeat(15)[..512].to_vec()
}

/// Lays out what the images reach for: a file with the [`secret`], and a FIFO that nobody writes to.
pub fn bait(host: &Path) {
    std::fs::write(host.join("secret"), secret()).unwrap();
    let _ = crate::fifo(host);
}

/// Every trick, on the [`bait`] in `host`.
#[must_use]
pub fn all(host: &Path) -> Vec<Hostile> {
    let secret = host.join("secret");
    let mut all = backing_files(host);
    all.extend(parents(secret.as_os_str().as_bytes()));
    all.extend(data_files(host));
    all.extend(extents(host));
    all.extend(said_to_be_raw(&secret));
    all.extend(nested());
    all
}

/// What a name in an image may lead to, and what to call it.
fn names(host: &Path) -> Vec<(&'static str, Vec<u8>)> {
    let path = |name: &str| host.join(name).into_os_string().into_encoded_bytes();
    let text = |before: &str, name: &str, after: &str| [before.as_bytes(), &path(name), after.as_bytes()].concat();
    vec![
        ("file", path("secret")),
        ("json", text("json:{\"driver\":\"raw\",\"file\":{\"driver\":\"file\",\"filename\":\"", "secret", "\"}}")),
        ("nbd", b"nbd://127.0.0.1:1/secret".to_vec()),
        ("directory", text("fat:", "", "")),
        ("fifo", path("fifo")),
        ("device", b"/dev/zero".to_vec()),
        ("relative", b"../secret".to_vec()),
    ]
}

/// qcow2 over this file.
#[must_use]
pub fn qcow2_over(name: &[u8]) -> Image {
    plain::qcow2().be64(8, 1024).be32(16, u32::try_from(name.len()).unwrap()).put(1024, name)
}

fn backing_files(host: &Path) -> Vec<Hostile> {
    let over = |kind: &str, image| Hostile::new(format!("qcow2-over-{kind}"), F::Qcow2, image, (BackingFile, 8));
    let mut all: Vec<_> = names(host).iter().map(|(kind, name)| over(kind, qcow2_over(name))).collect();
    all.push(over("itself", qcow2_over(b"qcow2-over-itself")));
    all.push(over("the-other", qcow2_over(b"qcow2-over-the-one")));
    all.push(over("the-one", qcow2_over(b"qcow2-over-the-other")));
    all
}

/// The other formats that can have one.
fn parents(secret: &[u8]) -> Vec<Hostile> {
    let length = u32::try_from(secret.len()).unwrap();
    let old = plain::qcow2_version_2().be64(8, 1024).be32(16, length).put(1024, secret);
    let qcow = plain::qcow().be64(8, 5000).be32(16, length).put(5000, secret);
    let qed = plain::qed().le64(16, 1 | 4).le32(56, 64).le32(60, length).put(64, secret);
    let hint = [b"\nparentFileNameHint=\"", secret, b"\"\n"].concat();
    let vmdk = plain::vmdk_sparse().put(700, &hint).put(578, &b"\n".repeat(122));
    let hidden = vmdk.clone().put(700 + "\nparentFileNameHint".len(), b"\0");
    let at = (3 << 20) + (64 << 10);
    vec![
        Hostile::new("qcow2-2-over-file", F::Qcow2, old, (BackingFile, 8)),
        Hostile::new("qcow-over-file", F::Qcow, qcow, (BackingFile, 8)),
        Hostile::new("qed-over-file", F::Qed, qed, (BackingFile, 56)),
        Hostile::new("vmdk-over-file", F::Vmdk, vmdk, (BackingFile, 701)),
        Hostile::new("vmdk-over-file-behind-a-nul", F::Vmdk, hidden, (BackingFile, 701)),
        Hostile::new("vdi-over-image", F::Vdi, plain::vdi().put(0x1a8, &[1; 16]), (Unsupported, 0x1a8)),
        Hostile::new("vhdx-over-image", F::Vhdx, plain::vhdx().le32(at + 4, 2), (Unsupported, at as u64 + 4)),
        Hostile::new("vpc-over-image", F::Vpc, plain::vpc_dynamic().be32(60, 4).sum(0, 512, 64), (BackingFile, 576)),
    ]
}

/// qcow2 whose first cluster is the first of this file, if the bit for data files is set.
#[must_use]
pub fn qcow2_with_data_in(name: &[u8], bit: bool) -> Image {
    let (cluster, copied) = (plain::CLUSTER, 1 << 63);
    let image = plain::qcow2().be64(72, u64::from(bit) << 2).extension(112, plain::DATA_FILE, name);
    image.be64(3 * cluster, copied + 4 * cluster as u64).be64(4 * cluster, copied)
}

fn data_files(host: &Path) -> Vec<Hostile> {
    let data = |kind: &str, image, at| Hostile::new(format!("qcow2-data-in-{kind}"), F::Qcow2, image, (DataFile, at));
    let mut all: Vec<_> =
        names(host).iter().map(|(kind, name)| data(kind, qcow2_with_data_in(name, true), 72)).collect();
    all.push(data("no-file", plain::qcow2().be64(72, 4), 72));
    all.push(data("hidden-file", qcow2_with_data_in(b"/dev/zero", false), 112));
    all
}

/// Where this stands first in the image.
fn find(image: &Image, text: &str) -> u64 {
    image.bytes.windows(text.len()).position(|window| window == text.as_bytes()).unwrap() as u64
}

fn extents(host: &Path) -> Vec<Hostile> {
    let vmdk = |name: String, image: Image| {
        let at = find(&image, "RW ");
        Hostile::new(name, F::Vmdk, image, (ExternalExtent, at))
    };
    let mut all = Vec::new();
    for (kind, name) in names(host) {
        let line = format!("RW 1 FLAT \"{}\" 0", String::from_utf8(name).unwrap().replace('"', "'"));
        all.push(vmdk(format!("vmdk-flat-{kind}"), plain::vmdk_text("monolithicFlat", &line)));
    }
    let secret = host.join("secret");
    let secret = secret.to_str().unwrap();
    for (create_type, kind) in [("vmfs", "VMFS"), ("monolithicSparse", "SPARSE"), ("vmfsSparse", "VMFSSPARSE")] {
        let text = plain::vmdk_text(create_type, &format!("RW 1 {kind} \"{secret}\""));
        all.push(vmdk(format!("vmdk-{}", kind.to_lowercase()), text));
    }
    // The text hides behind the header of a sparse image without a capacity.
    let text = plain::vmdk_text("monolithicFlat", &format!("RW 1 FLAT \"{secret}\" 0"));
    let hidden = plain::vmdk_sparse().le64(12, 0).put(512, &[0; 512]).put(512, &text.bytes);
    all.push(vmdk("vmdk-flat-hidden".into(), hidden));
    let listed = plain::vmdk_sparse().put(512, &[0; 512]).put(512, &text.bytes);
    all.push(vmdk("vmdk-flat-listed".into(), listed));
    all
}

/// What an uploader calls raw, and whoever probes it takes for something else.
fn said_to_be_raw(secret: &Path) -> Vec<Hostile> {
    let mut all: Vec<_> = plain::all()
        .into_iter()
        .filter(|(_, format, _)| !F::Raw.admits(*format))
        .map(|(name, format, image)| mismatch(&format!("raw-is-{name}"), format, image))
        .collect();
    let secret = secret.as_os_str().as_bytes();
    all.push(mismatch("raw-is-an-overlay", F::Qcow2, qcow2_over(secret)));
    let line = format!("RW 1 FLAT \"{}\" 0", String::from_utf8_lossy(secret));
    all.push(mismatch("raw-is-a-descriptor", F::Vmdk, plain::vmdk_text("monolithicFlat", &line)));
    all
}

fn mismatch(name: &str, format: F, image: Image) -> Hostile {
    Hostile::new(name, format, image, (FormatMismatch, 0)).claimed(F::Raw)
}

/// What should be ciphertext is an image that was never encrypted.
fn nested() -> Vec<Hostile> {
    let nested = |name: &str, format, image, at: u64| Hostile::new(name, format, image, (NestedFormat as Code, at));
    let inner = plain::qcow2().bytes;
    let cluster = plain::CLUSTER;
    let flag = 1_u64 << 63;
    let aes = plain::qcow2().be32(32, 1).be64(3 * cluster, flag + 4 * cluster as u64);
    let aes = aes.be64(4 * cluster, flag + 5 * cluster as u64).put(5 * cluster, &inner[..512]);
    // Of clusters with subclusters the lowest bit does not say that they are zeros.
    let large = plain::qcow2().be64(72, 1 << 4).be32(20, 14).be64(40, 3 << 14).be64(48, 1 << 14).be32(32, 1);
    let large = large.be64(3 << 14, flag + (4 << 14)).be64(4 << 14, flag + (5 << 14) + 1);
    let large = large.be64((4 << 14) + 8, 0xffff_ffff).put(5 << 14, &inner[..512]).put((6 << 14) - 1, &[0]);
    let qcow = plain::qcow().be32(36, 1).be64(48, 8192).be64(8192, 12288).put(12288, &inner[..512]);
    vec![
        nested("luks-around-qcow2", F::Luks, plain::luks().put(4040 * 512, &inner), 104),
        nested("aes-around-qcow2", F::Qcow2, aes, 4 * cluster as u64),
        nested("aes-around-qcow2-with-subclusters", F::Qcow2, large, 4 << 14),
        nested("qcow-around-qcow2", F::Qcow, qcow.put(16383, &[0]), 8192),
    ]
}
