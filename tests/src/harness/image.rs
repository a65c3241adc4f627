//! What kinds of images there are.

use std::fmt;
use std::path::Path;

use qemu_cmd::{Convert, Format, NewImage, Parallels, Qcow, Qed, Source, Target, Vdi, Vhdx, Vmdk, Vpc};

use crate::{Kind, client, read, scratch, write_fixture};

/// A format, encrypted or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Image {
    /// The format.
    pub format: Format,
    /// Whether it is encrypted, with LUKS.
    pub encrypted: bool,
}

impl Image {
    /// Every format that can be made, encrypted where that can be.
    pub const ALL: [Self; 11] = [
        Self::plain(Format::Raw),
        Self::plain(Format::Qcow2),
        Self { format: Format::Qcow2, encrypted: true },
        Self { format: Format::Luks, encrypted: true },
        Self::plain(Format::Vmdk),
        Self::plain(Format::Vdi),
        Self::plain(Format::Vhdx),
        Self::plain(Format::Vpc),
        Self::plain(Format::Qed),
        Self::plain(Format::Parallels),
        Self::plain(Format::Qcow),
    ];

    const fn plain(format: Format) -> Self {
        Self { format, encrypted: false }
    }

    const fn kind(self) -> Option<Kind> {
        match (self.format, self.encrypted) {
            (Format::Raw, _) => Some(Kind::Raw),
            (Format::Qcow2, false) => Some(Kind::Qcow2),
            (Format::Qcow2, true) => Some(Kind::Qcow2Luks),
            (Format::Luks, _) => Some(Kind::Luks),
            _ => None,
        }
    }

    /// An image that exists, with its key.
    pub fn source(self, path: &Path) -> Source {
        self.kind().map_or_else(|| Source::new(path, self.format), |kind| kind.source(path))
    }

    /// A new one.
    pub fn target(self, path: &Path) -> Target {
        let image = match self.format {
            Format::Vmdk => NewImage::from(Vmdk::new()),
            Format::Vdi => Vdi::new().into(),
            Format::Vhdx => Vhdx::new().into(),
            // Otherwise it has as many bytes as old disks had cylinders.
            Format::Vpc => Vpc::new().force_size(true).into(),
            Format::Qed => Qed::new().into(),
            Format::Parallels => Parallels::new().into(),
            Format::Qcow => Qcow::new().into(),
            _ => return self.kind().unwrap_or(Kind::Raw).target(path),
        };
        Target::new(path, image)
    }

    /// The new image alone.
    #[must_use]
    pub fn new_image(self) -> NewImage {
        self.target(Path::new("/")).new_image().unwrap().clone()
    }

    /// Has the reference make one that holds [`content`](crate::content).
    ///
    /// # Errors
    /// It cannot: it was built without the format.
    pub fn write(self, path: &Path) -> Result<(), qemu_exec::Error> {
        if let Some(kind) = self.kind() {
            write_fixture(kind, path);
            return Ok(());
        }
        let directory = scratch();
        let raw = directory.path().join("raw");
        write_fixture(Kind::Raw, &raw);
        client().convert(&Convert::new(Source::raw(raw), self.target(path))).map(drop)
    }

    /// Has the reference read it.
    ///
    /// # Errors
    /// It cannot, or finds it damaged.
    pub fn read(self, path: &Path) -> Result<Vec<u8>, qemu_exec::Error> {
        let source = self.source(path);
        // Of a damaged one qemu-img reads zeros.
        if let Some(report) = client().check(&qemu_cmd::Check::new(source.clone()))?.report()
            && report.verdict() == qemu_info::CheckVerdict::Corrupt
        {
            return Err(qemu_exec::Error::new(qemu_exec::ErrorKind::SourceCorrupt));
        }
        read(source)
    }
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let encrypted = self.encrypted && self.format != Format::Luks;
        write!(f, "{}{}", self.format, if encrypted { "+luks" } else { "" })
    }
}
