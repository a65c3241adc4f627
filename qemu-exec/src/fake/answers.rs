//! `info`, `check` and `map`: the JSON, made by way of qemu-info's own types.

use std::collections::BTreeSet;

use qemu_info::{CheckReport, ImageInfo, MapExtent};
use serde_json::{Value, json};

use super::disk::{BLOCK, Block};
use super::fault::{Fault, Result};
use super::files::{Files, Named, below};
use super::line::Line;

/// A document that the type can be read from and written to.
macro_rules! document {
    ($type:ty, $value:expr) => {
        serde_json::from_value::<$type>($value)
            .and_then(|value| serde_json::to_vec(&value))
            .map_err(|error| Fault::not_modelled(format!("an answer that qemu-info does not understand: {error}")))
    };
}

pub(super) use document;

pub(super) fn info(files: &Files, line: &Line) -> Result<Vec<u8>> {
    line.wants_json()?;
    if line.has("limits") {
        return Err(Fault::not_modelled("the limits of a driver"));
    }
    let named = line.image()?;
    if line.has("backing-chain") {
        let chain = files.chain(&named)?;
        let layers = chain.iter().map(|named| describe(files, named)).collect::<Result<Vec<_>>>()?;
        return document!(Vec<ImageInfo>, Value::Array(layers));
    }
    document!(ImageInfo, describe(files, &named)?)
}

fn describe(files: &Files, named: &Named) -> Result<Value> {
    let image = files.image(named)?;
    let mut info = json!({
        "filename": named.name,
        "format": image.format().as_str(),
        "virtual-size": image.disk.size,
        "actual-size": image.disk.allocated() * BLOCK,
        "dirty-flag": false,
    });
    let (Some(qcow2), Value::Object(members)) = (&image.qcow2, &mut info) else { return Ok(info) };
    let mut specific = json!({
        "compat": if qcow2.v3 { "1.1" } else { "0.10" },
        "compression-type": if qcow2.zstd { "zstd" } else { "zlib" },
        "refcount-bits": qcow2.refcount_bits,
    });
    if let (true, Value::Object(specific)) = (qcow2.v3, &mut specific) {
        specific.insert("lazy-refcounts".to_owned(), qcow2.lazy_refcounts.into());
        specific.insert("corrupt".to_owned(), false.into());
        specific.insert("extended-l2".to_owned(), qcow2.extended_l2.into());
        if !qcow2.bitmaps.is_empty() {
            let bitmaps = qcow2.bitmaps.iter().map(|bitmap| {
                let flags: &[&str] = if bitmap.enabled { &["auto"] } else { &[] };
                json!({ "name": bitmap.name, "granularity": bitmap.granularity, "flags": flags })
            });
            specific.insert("bitmaps".to_owned(), bitmaps.collect());
        }
    }
    members.insert("cluster-size".to_owned(), qcow2.cluster_size.into());
    members.insert("format-specific".to_owned(), json!({ "type": "qcow2", "data": specific }));
    if !qcow2.snapshots.is_empty() {
        let snapshots = qcow2.snapshots.iter().map(|snapshot| {
            json!({
                "id": snapshot.id.to_string(), "name": snapshot.name, "vm-state-size": 0, "date-sec": 0, "date-nsec": 0,
                "vm-clock-sec": 0, "vm-clock-nsec": 0, "icount": 0,
            })
        });
        members.insert("snapshots".to_owned(), snapshots.collect());
    }
    if let Some(backing) = &qcow2.backing {
        members.insert("backing-filename".to_owned(), backing.name.as_str().into());
        members.insert("full-backing-filename".to_owned(), below(named, backing)?.name.into());
        members.insert("backing-filename-format".to_owned(), backing.format.as_str().into());
    }
    Ok(info)
}

/// The report; `None` of a format that has no check. No image is ever broken.
pub(super) fn check(files: &Files, line: &Line) -> Result<Option<Vec<u8>>> {
    line.wants_json()?;
    let named = line.image()?;
    files.chain(&named)?;
    let image = files.image(&named)?;
    if image.qcow2.is_none() {
        return Ok(None);
    }
    image.check_layout()?;
    let report = json!({
        "filename": named.name,
        "format": image.format().as_str(),
        "check-errors": 0,
        "total-clusters": image.disk.size.div_ceil(BLOCK),
        "allocated-clusters": image.disk.allocated(),
    });
    document!(CheckReport, report).map(Some)
}

pub(super) fn map(files: &Files, line: &Line) -> Result<Vec<u8>> {
    line.wants_json()?;
    let chain = files.chain(&line.image()?)?;
    for named in &chain {
        files.image(named)?.check_layout()?;
    }
    let disk = files.stack(&chain)?;
    let start = line.number("s")?.unwrap_or(0);
    let end = line.number("l")?.map_or(disk.size(), |length| start.saturating_add(length).min(disk.size()));
    if start >= end {
        let nothing =
            json!([{ "start": start, "length": 0, "depth": 0, "present": false, "zero": false, "data": false }]);
        return document!(Vec<MapExtent>, nothing);
    }
    // Where anything can change.
    let blocks = disk.indices().into_iter().flat_map(|index| [index * BLOCK, (index + 1) * BLOCK]);
    let ends = disk.0.iter().map(|layer| layer.size);
    let mut cuts: BTreeSet<u64> = blocks.chain(ends).filter(|cut| start < *cut && *cut < end).collect();
    cuts.insert(start);
    let mut parts: Vec<Part> = Vec::new();
    for &cut in &cuts {
        let found = disk.find_byte(cut);
        let is_raw = chain
            .get(found.depth)
            .map(|named| files.image(named))
            .transpose()?
            .is_some_and(|image| image.qcow2.is_none());
        let part = Part {
            start: cut,
            depth: found.depth,
            present: found.block.is_some() || is_raw,
            data: matches!(found.block, Some(Block::Data(_))),
            is_raw,
        };
        if parts.last().is_none_or(|last| !last.goes_on_as(&part)) {
            parts.push(part);
        }
    }
    let ends = parts.iter().skip(1).map(|part| part.start).chain([end]);
    let extents = parts.iter().zip(ends).map(|(part, end)| part.extent(end)).collect();
    document!(Vec<MapExtent>, extents)
}

/// A part of a map, up to the next.
struct Part {
    start: u64,
    depth: usize,
    present: bool,
    data: bool,
    is_raw: bool,
}

impl Part {
    fn goes_on_as(&self, next: &Self) -> bool {
        (self.depth, self.present, self.data) == (next.depth, next.present, next.data)
    }

    fn extent(&self, end: u64) -> Value {
        let mut extent = json!({
            "start": self.start, "length": end - self.start, "depth": self.depth,
            "present": self.present, "zero": !self.data, "data": self.data,
        });
        // A qcow2 image has its blocks wherever there was room.
        if let (true, Value::Object(members)) = (self.is_raw, &mut extent) {
            members.insert("offset".to_owned(), self.start.into());
        }
        extent
    }
}
