//! Where the name of a backing file leads.

/// A backing file has a relative name, and nothing says relative to what.
///
/// So it is for an image that was opened by other means than a name (`json:`), by none, or over NBD.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the backing file `{name}` of `{overlay}` is relative to no known folder")]
pub struct NoFolder {
    /// The name of the image that has the backing file.
    pub overlay: String,
    /// The name of the backing file.
    pub name: String,
}

/// Where the backing file of a printed image is cannot be said.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BackingNameError {
    /// Its name is relative to no known folder.
    #[error(transparent)]
    NoFolder(#[from] NoFolder),
    /// Its name was not printed as it is, so it would lead to another file: see
    /// [`name_is_lossy`](crate::name_is_lossy).
    #[error("the backing file is printed as `{name}`, which is not usable as a path")]
    Lossy {
        /// What was printed, or made of it.
        name: String,
    },
}

/// The name under which qemu opens the backing file `name` of the image that was opened as `overlay`; `None` if
/// `name` is empty, which means that there is no backing file.
///
/// An absolute path stays as it is, and so does what begins with a protocol: `nbd://…`, `json:{…}`, and also
/// `file:base`, which qemu takes as relative to the current folder. Everything else stands beside the overlay: the
/// name replaces what follows the last `/`. Nothing is tidied: `..` and symbolic links mean what they mean to the
/// host.
///
/// The names are taken as they are: of what qemu-img printed,
/// [`resolved_backing_name`](crate::ImageInfo::resolved_backing_name) refuses those that are
/// [lossy](crate::name_is_lossy).
///
/// # Errors
///
/// [`NoFolder`] for a relative name, if the overlay's own says nothing about a folder. qemu itself may still know
/// one, since it can look below a `json:` node: prefer
/// [`full_backing_filename`](crate::ImageInfo::full_backing_filename) where there is one.
///
/// ```
/// use qemu_info::resolve_backing_name;
///
/// assert_eq!(resolve_backing_name("/vm/top.qcow2", "base.raw")?.as_deref(), Some("/vm/base.raw"));
/// assert_eq!(resolve_backing_name("/vm/top.qcow2", "/os/base.raw")?.as_deref(), Some("/os/base.raw"));
/// assert_eq!(resolve_backing_name("/vm/top.qcow2", "nbd://host/base")?.as_deref(), Some("nbd://host/base"));
/// assert_eq!(resolve_backing_name("/vm/top.qcow2", "./a:b")?.as_deref(), Some("/vm/./a:b"));
/// # Ok::<(), qemu_info::NoFolder>(())
/// ```
pub fn resolve_backing_name(overlay: &str, name: &str) -> Result<Option<String>, NoFolder> {
    if name.is_empty() {
        return Ok(None);
    }
    if name.starts_with('/') || protocol(name).is_some() {
        return Ok(Some(name.to_owned()));
    }
    // qemu takes `file:` off, and puts `./` in front of what would then be taken for another protocol.
    if let Some(path) = overlay.strip_prefix("file:") {
        let dot = if protocol(path).is_some() { "./" } else { "" };
        return Ok(Some([dot, folder(path, 0), name].concat()));
    }
    let begin = match protocol(overlay) {
        _ if overlay.is_empty() => None,
        Some(protocol) if protocol == "json" || protocol.starts_with("nbd") => None,
        Some(protocol) => Some(protocol.len() + 1),
        None => Some(0),
    };
    let begin = begin.ok_or_else(|| NoFolder { overlay: overlay.to_owned(), name: name.to_owned() })?;
    Ok(Some([folder(overlay, begin), name].concat()))
}

/// Everything up to the last `/`, and at least the first `begin` bytes.
fn folder(name: &str, begin: usize) -> &str {
    let end = name.rfind('/').map_or(0, |slash| slash + 1).max(begin);
    name.get(..end).unwrap_or_default()
}

/// What stands before the first `:`, if no `/` comes first.
fn protocol(name: &str) -> Option<&str> {
    let end = name.find([':', '/'])?;
    let (protocol, rest) = name.split_at_checked(end)?;
    rest.starts_with(':').then_some(protocol)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    // tests/tests/outputs.rs holds the same against the real qemu-img, for names of local files.
    #[test]
    fn beside_the_overlay() {
        for (overlay, name, resolved) in [
            ("top", "base", "base"),
            ("/a/b/top", "../base", "/a/b/../base"),
            ("/a/b/", "base", "/a/b/base"),
            ("file:a/top", "base", "a/base"),
            ("file:a:b/top", "base", "./a:b/base"),
            ("rbd:pool/top", "base", "rbd:pool/base"),
            ("ssh:top", "base", "ssh:base"),
            ("https://host/a/top", "base", "https://host/a/base"),
            ("a/é", "ü", "a/ü"),
            ("a", ":b", ":b"),
        ] {
            assert_eq!(resolve_backing_name(overlay, name).unwrap().as_deref(), Some(resolved), "{overlay} {name}");
        }
    }

    #[test]
    fn nowhere() {
        for overlay in ["", "json:{\"driver\": \"qcow2\"}", "nbd:unix:/s", "nbd://h/e", "nbd+unix:///e?socket=/s"] {
            let NoFolder { name, .. } = resolve_backing_name(overlay, "base").unwrap_err();
            assert_eq!(name, "base");
            assert_eq!(resolve_backing_name(overlay, "").unwrap(), None);
            assert_eq!(resolve_backing_name(overlay, "/base").unwrap().as_deref(), Some("/base"));
        }
    }
}
