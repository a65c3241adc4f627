//! `qimg inspect`: what images are, from their bytes alone.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::process::ExitCode;

use lexopt::prelude::*;
use qemu_exec::cmd::{ByteSize, shell_quote};
use qemu_exec::info::inspect::inspect_file;
use qemu_exec::info::inspect::{Facts, ImageEncryption, Inspection, Inspector, Policy, Verdict};
use rustix::fs::{Mode, OFlags};

use crate::own::{self, Takes};
use crate::{Error, REFUSED, complain, term};

/// How much of standard input is read at once.
const PIECE: usize = 1 << 16;

/// What `qimg inspect` was asked to do.
pub(crate) struct Inspect {
    json: bool,
    policy: Policy,
    files: Vec<OsString>,
}

pub(crate) fn parse(args: impl Iterator<Item = OsString>) -> Result<Inspect, Error> {
    let mut parser = lexopt::Parser::from_args(args);
    let mut inspect = Inspect { json: false, policy: Policy::untrusted(), files: Vec::new() };
    while let Some(arg) = parser.next()? {
        match arg {
            Long("output") => inspect.json = own::is_json(&parser.value()?)?,
            Long("claimed") => {
                inspect.policy = inspect.policy.claimed(own::word("claimed", &parser.value()?, Takes::Format)?);
            }
            Long("grant") => inspect.policy = allowing(inspect.policy, "grant", &parser.value()?)?,
            Long("hybrid") => inspect.policy = allowing(inspect.policy, "hybrid", &OsString::new())?,
            Long("max-virtual-size") => {
                inspect.policy = allowing(inspect.policy, "max-virtual-size", &parser.value()?)?;
            }
            Value(file) => inspect.files.push(file),
            other => return Err(own::unexpected(other, "inspect")),
        }
    }
    if inspect.files.is_empty() {
        return Err("inspect takes the names of images, or - for one on standard input".into());
    }
    Ok(inspect)
}

/// The policy with what an option says of it that `import` has too.
pub(crate) fn allowing(policy: Policy, option: &str, value: &OsString) -> Result<Policy, Error> {
    Ok(match option {
        "grant" => policy.grant(own::word(option, value, Takes::Code)?),
        "hybrid" => policy.hybrid_discs(true),
        "max-virtual-size" => policy.max_virtual_size(own::value::<ByteSize>(option, value)?.as_u64()),
        _ => policy,
    })
}

impl Inspect {
    /// Reports on each image, and goes on when one cannot be read.
    pub(crate) fn run(&self) -> Result<ExitCode, Error> {
        let (mut refused, mut unreadable) = (false, false);
        for file in &self.files {
            match self.inspect(file) {
                Ok(inspection) => {
                    refused |= inspection.verdict() == Verdict::Refuse;
                    let text = if self.json { object(file, &inspection)? } else { block(file, &inspection) };
                    io::stdout().write_all(text.as_bytes())?;
                }
                Err(error) => {
                    unreadable = true;
                    let error: Error = format!("`{}` could not be read: {error}", file.display()).into();
                    complain(&*error);
                }
            }
        }
        Ok(if unreadable { ExitCode::from(REFUSED) } else { ExitCode::from(u8::from(refused)) })
    }

    fn inspect(&self, file: &OsStr) -> io::Result<Inspection> {
        if file == "-" {
            return self.inspect_stdin();
        }
        inspect_file(&open(file)?, &self.policy)
    }

    /// Reads to the end, or to where it is certain that the image is refused.
    fn inspect_stdin(&self) -> io::Result<Inspection> {
        let mut inspector = Inspector::new(self.policy.clone());
        let mut piece = vec![0; PIECE];
        loop {
            let read = match io::stdin().read(&mut piece) {
                Ok(0) => return Ok(inspector.finish()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read?,
            };
            if inspector.push(piece.get(..read).unwrap_or_default()).is_some() {
                return Ok(inspector.so_far());
            }
        }
    }
}

/// As `qemu_exec::open_image`, but who runs a program by hand may name a symbolic link.
pub(crate) fn open(file: &OsStr) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    Ok(rustix::fs::open(file, flags, Mode::empty())?.into())
}

fn object(file: &OsStr, inspection: &Inspection) -> Result<String, Error> {
    let mut object = serde_json::to_value(inspection)?;
    if let Some(object) = object.as_object_mut() {
        object.insert("file".to_owned(), file.to_string_lossy().into());
    }
    Ok(format!("{}\n", term::json(&object)))
}

fn block(file: &OsStr, inspection: &Inspection) -> String {
    let verdict = match inspection.verdict() {
        Verdict::Accept => "accepted",
        Verdict::Refuse => "refused",
    };
    let mut text = format!("{}: {verdict}\n", shell_quote(file));
    for (name, value) in rows(inspection) {
        text.push_str(&format!("  {name:<15}{value}\n"));
    }
    for finding in inspection.findings() {
        text.push_str(&format!("  {finding}\n"));
    }
    text
}

fn rows(inspection: &Inspection) -> Vec<(&'static str, String)> {
    let Facts { version, subformat, cluster_size, backing_file, backing_format, .. } = inspection.facts();
    let Facts { data_file, extents, snapshots, bitmaps, encryption, dirty, corrupt, .. } = inspection.facts();
    let version = version.map(|version| format!("version {version}"));
    let format = [Some(inspection.format().to_string()), version, subformat.clone()];
    let backing = backing_file.as_ref().map(|name| {
        let format = backing_format.as_ref().map_or_else(String::new, |format| format!(" ({format})"));
        format!("{name}{format}")
    });
    let marks = [(*dirty, "dirty"), (*corrupt, "corrupt")].into_iter().filter_map(|(is, mark)| is.then_some(mark));
    let marks = marks.collect::<Vec<_>>().join(", ");
    let count = |count: &Option<u32>| count.filter(|count| *count > 0).map(|count| count.to_string());
    let rows = [
        ("format", Some(format.into_iter().flatten().collect::<Vec<_>>().join(", "))),
        ("virtual size", inspection.virtual_size().map(term::exact)),
        ("cluster size", cluster_size.map(term::size)),
        ("encryption", encryption.as_ref().map(encrypted)),
        ("backing file", backing),
        ("data file", data_file.as_ref().map(ToString::to_string)),
        ("snapshots", count(snapshots)),
        ("bitmaps", count(bitmaps)),
        ("marked", (!marks.is_empty()).then_some(marks)),
    ];
    let files = extents.iter().filter_map(|extent| Some(("extent", extent.file.as_ref()?.to_string())));
    rows.into_iter().filter_map(|(name, value)| Some((name, value?))).chain(files).collect()
}

fn encrypted(encryption: &ImageEncryption) -> String {
    match encryption {
        ImageEncryption::Aes => "aes, which does not notice a wrong key".to_owned(),
        ImageEncryption::Luks { cipher: Some(cipher) } => format!("luks, {}", cipher.join(" ")),
        ImageEncryption::Luks { cipher: None } => "luks".to_owned(),
        _ => "luks, version 2".to_owned(),
    }
}
