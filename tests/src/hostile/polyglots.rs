//! Images that are valid as two formats, so that two programs see two disks.

use qemu_info::inspect::{Code, ImageFormat as F};

use super::{Hostile, plain};

/// Every image of [`plain::all`] that was made another format too.
#[must_use]
pub fn all() -> Vec<Hostile> {
    let mut all = Vec::new();
    for (name, format, image) in plain::all() {
        for (other, both) in [
            (F::Vdi, image.clone().put(0x40, &plain::vdi().bytes[0x40..0x44])),
            (F::Vpc, image.clone().put(image.bytes.len(), &plain::vpc_fixed().bytes)),
            (F::Dmg, image.clone().put(image.bytes.len(), &plain::dmg().bytes)),
            (F::Iso, image.clone().put(32 << 10, &plain::iso().bytes[32 << 10..])),
            (F::Mbr, image.clone().put(446, &plain::mbr().bytes[446..512])),
            (F::Gpt, image.clone().put(512, &plain::gpt().bytes[512..604])),
        ] {
            if let Some(first) = first((name, format), other) {
                all.push(Hostile::new(format!("{name}-and-{other}"), first, both, (Code::SeveralFormats, 0)));
            }
        }
    }
    all
}

/// Images that say twice what they are, and not the same.
#[must_use]
pub fn contradictions() -> Vec<Hostile> {
    let vpc = plain::vpc_dynamic().be64(2048 + 48, 128 << 10).sum(2048, 512, 64);
    let end = 25 * 512;
    let vmdk = plain::vmdk_stream().le64(end + 12, 4096);
    vec![
        Hostile::new("vpc-two-footers", F::Vpc, vpc, (Code::Malformed, 2048 + 48)),
        Hostile::new("vmdk-two-headers", F::Vmdk, vmdk, (Code::Malformed, end as u64 + 12)),
    ]
}

/// What makes it what it is.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum By {
    Start,
    Footer,
    Content,
}

/// What it is taken for first, if it is both.
fn first((name, format): (&str, F), other: F) -> Option<F> {
    let by = |format: F| match format {
        F::Vpc | F::Dmg if name != "vpc-dynamic" || format != F::Vpc => By::Footer,
        F::Iso | F::Mbr | F::Gpt => By::Content,
        _ => By::Start,
    };
    let table = |format| matches!(format, F::Mbr | F::Gpt);
    let one_way_out = match (format, other) {
        _ if format == other => true,
        // The one stands where the other must.
        (F::Cloop, F::Vdi) | (F::Dmg, F::Iso) => true,
        // Of two footers one is not at the end.
        _ if by(format) == By::Footer && by(other) == By::Footer => true,
        // Partitions are what the disk in front of a footer is there for, and one table protects the other.
        _ => [format, other].into_iter().all(|format| table(format) || by(format) == By::Footer),
    };
    let later = by(other) < by(format)
        || matches!((format, other), (F::Parallels | F::Bochs, F::Vdi) | (F::Mbr | F::Gpt, F::Iso));
    (!one_way_out).then_some(if later { other } else { format })
}
