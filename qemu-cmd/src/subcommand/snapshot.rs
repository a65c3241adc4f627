use super::push_node;
use crate::{Error, Invocation, Source};

/// `qemu-img snapshot`: lists, makes, applies and deletes internal snapshots.
///
/// ```
/// use qemu_cmd::{Snapshot, Source};
/// assert_eq!(
///     Snapshot::create(Source::qcow2("/a"), "before").invocation()?.to_string(),
///     "qemu-img snapshot -c before --image-opts driver=qcow2,file.driver=file,file.filename=/a"
/// );
/// # Ok::<(), qemu_cmd::Error>(())
/// ```
///
/// The image is always written as a node: before 10.0 `snapshot` has no `-f`, and would let the content choose the
/// format. The list is text for people; [`Info`](crate::Info) gives it as JSON. Source: qemu-img(1), `snapshot`.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Snapshot {
    source: Source,
    action: SnapshotAction,
    force_share: bool,
    quiet: bool,
}

/// What is done with snapshots.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SnapshotAction {
    /// Lists them.
    List,
    /// Makes one of this name.
    Create(String),
    /// Goes back to the one of this id, or if there is none, of this name: a name can be the id of another. **What was
    /// written since is lost.**
    Apply(String),
    /// Deletes the one of this name, whatever has it as its id.
    Delete(String),
}

impl Snapshot {
    /// Lists the snapshots.
    #[doc(alias = "-l")]
    pub const fn list(source: Source) -> Self {
        Self::new(source, SnapshotAction::List)
    }

    /// Makes a snapshot.
    #[doc(alias = "-c")]
    pub fn create(source: Source, name: impl Into<String>) -> Self {
        Self::new(source, SnapshotAction::Create(name.into()))
    }

    /// Goes back to a snapshot, by its id or its name: **what was written since is lost**.
    #[doc(alias = "-a")]
    pub fn apply(source: Source, name: impl Into<String>) -> Self {
        Self::new(source, SnapshotAction::Apply(name.into()))
    }

    /// Deletes a snapshot, by its name.
    #[doc(alias = "-d")]
    pub fn delete(source: Source, name: impl Into<String>) -> Self {
        Self::new(source, SnapshotAction::Delete(name.into()))
    }

    /// Does this.
    pub const fn new(source: Source, action: SnapshotAction) -> Self {
        Self { source, action, force_share: false, quiet: false }
    }

    super::setters! {
        /// Lists them even while another process writes the image. Default: no. Only for the list.
        #[doc(alias = "-U")]
        flag force_share;
        /// Prints nothing but errors. Default: no.
        #[doc(alias = "-q")]
        flag quiet;
    }

    /// The arguments and secrets.
    ///
    /// # Errors
    /// What qemu-img would always reject: see [`Error`].
    pub fn invocation(&self) -> Result<Invocation, Error> {
        let mut out = Invocation::new("snapshot");
        let (option, name) = match &self.action {
            SnapshotAction::List => ("-l", None),
            SnapshotAction::Create(name) => ("-c", Some(name)),
            SnapshotAction::Apply(name) => ("-a", Some(name)),
            SnapshotAction::Delete(name) => ("-d", Some(name)),
        };
        out.arg(option);
        if let Some(name) = name {
            if name.contains('\0') {
                return Err(Error::Options("the name of a snapshot must not hold a NUL byte"));
            }
            self.source.check_snapshots()?;
            if self.force_share {
                return Err(Error::Options(
                    "an image cannot be shared while its snapshots are changed: drop force_share",
                ));
            }
            out.arg(name.as_str());
            out.writes_to(self.source.location().clone());
        }
        out.flag(self.force_share, "-U");
        out.flag(self.quiet, "-q");
        let operand = push_node(&mut out, &self.source)?;
        out.arg(operand);
        Ok(out)
    }
}
