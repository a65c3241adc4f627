//! A chain for programs.

use std::path::Path;

use qemu_exec::info::inspect::ImageEncryption;
use serde_json::{Map, Value, json};

use super::is_fine;
use super::walk::{Found, Link, Part, Size, Trouble};

/// `image`, `complete`, and `layers`, the top one first. Each layer has `depth`, `name`, `path`, `state` and
/// `recorded_format`; if its state is `seen`, also `format`, `virtual_size`, `file_size`, `on_disk`, `encryption`,
/// `snapshots`, `dirty`, `corrupt`; `mismatch` if it is read as something else than it is; and `files`, which have
/// `role`, `name`, `state` and the sizes. What is not known is null. Any other state has a `reason`.
pub(super) fn object(image: &Path, links: &[Link]) -> Value {
    let layers: Vec<_> = links.iter().enumerate().map(|(depth, link)| layer(depth, link)).collect();
    json!({
        "image": image.to_string_lossy(),
        "complete": links.iter().all(is_fine),
        "layers": layers,
    })
}

fn layer(depth: usize, link: &Link) -> Value {
    let mut object = Map::new();
    let mut put = |name: &str, value: Value| object.insert(name.to_owned(), value);
    put("depth", depth.into());
    put("name", link.name.clone().into());
    put("path", link.path.as_ref().map(|path| path.to_string_lossy()).into());
    put("state", link.trouble().map_or("seen", state).into());
    put("recorded_format", link.said.clone().into());
    match &link.found {
        Found::Trouble(trouble) => {
            put("reason", trouble.to_string().into());
        }
        Found::Image(inspection, size) => {
            let facts = inspection.facts();
            put("format", inspection.format().driver().unwrap_or(inspection.format().as_str()).into());
            put("virtual_size", inspection.virtual_size().into());
            sizes(&mut put, *size);
            put("encryption", facts.encryption.as_ref().map(encryption).into());
            put("snapshots", facts.snapshots.into());
            put("dirty", facts.dirty.into());
            put("corrupt", facts.corrupt.into());
            put("mismatch", link.mismatch().into());
        }
    }
    put("files", link.files.iter().map(file).collect());
    Value::Object(object)
}

fn file(part: &Part) -> Value {
    let mut object = Map::new();
    let mut put = |name: &str, value: Value| object.insert(name.to_owned(), value);
    put("role", part.role.into());
    put("name", part.name.clone().into());
    match &part.found {
        Ok(size) => {
            put("state", "seen".into());
            sizes(&mut put, *size);
        }
        Err(trouble) => {
            put("state", state(trouble).into());
            put("reason", trouble.to_string().into());
        }
    }
    Value::Object(object)
}

fn sizes(put: &mut impl FnMut(&str, Value) -> Option<Value>, size: Size) {
    put("file_size", size.file.into());
    put("on_disk", size.on_disk.into());
}

pub(super) fn encryption(encryption: &ImageEncryption) -> &'static str {
    match encryption {
        ImageEncryption::Aes => "aes",
        ImageEncryption::Luks { .. } => "luks",
        _ => "luks2",
    }
}

fn state(trouble: &Trouble) -> &'static str {
    match trouble {
        Trouble::Missing => "missing",
        Trouble::Outside(_) => "outside",
        Trouble::Protocol => "protocol",
        Trouble::Cycle(_) => "cycle",
        Trouble::TooDeep => "too-deep",
        Trouble::NoFile(_) => "no-file",
        Trouble::Unreadable(_) => "unreadable",
    }
}
