use super::push_source;
use crate::{ByteSize, Error, Format, Invocation, Location, Source, rules};

/// `qemu-img bitmap`: makes, removes, merges, clears and switches persistent bitmaps of a qcow2 image.
///
/// ```
/// use qemu_cmd::{Bitmap, BitmapAction, Source};
/// let bitmap = Bitmap::new(Source::qcow2("/a"), "b0", BitmapAction::Add { granularity: None }).then(BitmapAction::Disable);
/// assert_eq!(bitmap.invocation()?.to_string(), "qemu-img bitmap --add --disable -f qcow2 /a b0");
/// # Ok::<(), qemu_cmd::Error>(())
/// ```
///
/// Source: qemu-img(1), `bitmap` (since 5.1).
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Bitmap {
    source: Source,
    /// `None` if it is about all of them.
    name: Option<String>,
    actions: Vec<BitmapAction>,
    merge_from: Option<(Location, Format)>,
}

/// What is done to a bitmap. Actions are done in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BitmapAction {
    /// Makes it, switched on.
    Add {
        /// How many bytes a bit stands for: a power of two from 512 bytes to 2 GiB. `None` is qemu's choice, which is
        /// the cluster size but at least 64 KiB.
        granularity: Option<ByteSize>,
    },
    /// Removes it.
    Remove,
    /// Removes every bitmap of the image (since 11.0). Alone, it is [`Bitmap::remove_all`].
    RemoveAll,
    /// Unsets all its bits.
    Clear,
    /// Switches it on: it records writes.
    Enable,
    /// Switches it off.
    Disable,
    /// Adds the set bits of the bitmap of this name, in the same image or in the one of
    /// [`merge_from`](Bitmap::merge_from).
    Merge(String),
}

impl Bitmap {
    /// Does something to the bitmap `name`.
    pub fn new(source: Source, name: impl Into<String>, action: BitmapAction) -> Self {
        Self { source, name: Some(name.into()), actions: vec![action], merge_from: None }
    }

    /// Removes every bitmap of the image (since 11.0).
    #[doc(alias = "--remove-all")]
    pub fn remove_all(source: Source) -> Self {
        Self { source, name: None, actions: vec![BitmapAction::RemoveAll], merge_from: None }
    }

    /// And then something else.
    pub fn then(mut self, action: BitmapAction) -> Self {
        self.actions.push(action);
        self
    }

    /// The image whose bitmaps are merged. Default: the same.
    #[doc(alias = "-b")]
    pub fn merge_from(mut self, location: impl Into<Location>, format: Format) -> Self {
        self.merge_from = Some((location.into(), format));
        self
    }

    /// The arguments.
    ///
    /// # Errors
    /// What qemu-img would always reject: see [`Error`].
    pub fn invocation(&self) -> Result<Invocation, Error> {
        let mut out = Invocation::new("bitmap");
        for action in &self.actions {
            match action {
                BitmapAction::Add { .. } => out.arg("--add"),
                BitmapAction::Remove => out.arg("--remove"),
                BitmapAction::RemoveAll => out.arg("--remove-all"),
                BitmapAction::Clear => out.arg("--clear"),
                BitmapAction::Enable => out.arg("--enable"),
                BitmapAction::Disable => out.arg("--disable"),
                BitmapAction::Merge(other) => out.option("--merge", other.as_str()),
            }
        }
        if let Some(size) = self.granularity()? {
            out.option("-g", size.to_string());
        }
        if let Some((location, format)) = &self.merge_from {
            if !self.actions.iter().any(|action| matches!(action, BitmapAction::Merge(_))) {
                return Err(Error::Options("an image to merge from needs a merge: add one, or drop it"));
            }
            out.option("-b", crate::image::plain_name(location)?);
            out.option("-F", format.as_str());
            out.reads_from(location.clone());
        }
        self.source.check_nothing_below("bitmap")?;
        let operand = push_source(&mut out, &self.source)?;
        out.arg(operand);
        let all = |action: &BitmapAction| *action == BitmapAction::RemoveAll;
        match &self.name {
            Some(name) if name.is_empty() || name.len() > 1023 || name.starts_with('-') => {
                return Err(Error::BitmapName { name: name.clone() });
            }
            Some(_) if self.actions.iter().all(all) => {
                return Err(Error::Options("all bitmaps are removed without a name: use `remove_all`"));
            }
            Some(name) => out.arg(name.as_str()),
            None if !self.actions.iter().all(all) => {
                return Err(Error::Options("what is done to one bitmap needs its name: begin with that"));
            }
            None => {}
        }
        out.writes_to(self.source.location().clone());
        Ok(out)
    }
}

impl Bitmap {
    /// There is one `-g` for every `--add`.
    fn granularity(&self) -> Result<Option<ByteSize>, Error> {
        let mut all = self.actions.iter().filter_map(|action| match action {
            BitmapAction::Add { granularity } => Some(*granularity),
            _ => None,
        });
        let first = all.next().flatten();
        if all.any(|other| other != first) {
            return Err(Error::Options("a bitmap has one granularity: give the same each time it is added"));
        }
        if let Some(size) = first {
            rules::check_power_of_two("bitmap granularity", size, ByteSize::bytes(512), ByteSize::gib(2))?;
        }
        Ok(first)
    }
}
