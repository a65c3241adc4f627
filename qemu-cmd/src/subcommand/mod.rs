//! The subcommands.

mod amend;
mod bench;
mod bitmap;
mod check;
mod commit;
mod compare;
mod convert;
mod create;
mod dd;
mod info;
mod map;
mod measure;
mod rebase;
mod resize;
mod snapshot;
mod source_snapshot;

pub use amend::{Amend, KeyslotChange, Qcow2Amend};
pub use bench::{Bench, BenchAio};
pub use bitmap::{Bitmap, BitmapAction};
pub use check::{Check, Repair};
pub use commit::Commit;
pub use compare::Compare;
pub use convert::Convert;
pub use create::Create;
pub use dd::Dd;
pub use info::Info;
pub use map::Map;
pub use measure::Measure;
pub use rebase::Rebase;
pub use resize::{Resize, ResizeTo};
pub use snapshot::{Snapshot, SnapshotAction};
pub use source_snapshot::SourceSnapshot;

use std::ffi::OsString;

use crate::format::CreateOptions;
use crate::image::Spelled;
use crate::secret::SecretId;
use crate::{Error, Invocation, Object, Source};

/// Builder methods: a `flag` is switched on or off, an `option` is absent unless it is given.
macro_rules! setters {
    ($($(#[$meta:meta])* $kind:ident $name:ident $(: $type:ty)?;)*) => {
        $($crate::subcommand::setters!(@ $kind $(#[$meta])* $name $(: $type)?);)*
    };
    (@ flag $(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        pub const fn $name(mut self, on: bool) -> Self {
            self.$name = on;
            self
        }
    };
    (@ option $(#[$meta:meta])* $name:ident: $type:ty) => {
        $(#[$meta])*
        pub const fn $name(mut self, value: $type) -> Self {
            self.$name = Some(value);
            self
        }
    };
}

pub(crate) use setters;

/// `--object` for the key, then one `-o` a pair.
fn push_create_options(invocation: &mut Invocation, options: CreateOptions) -> Result<(), Error> {
    invocation.define(options.key.map(|(id, key)| Object::secret(id, key)))?;
    for pair in options.pairs.render_each() {
        invocation.option("-o", pair);
    }
    Ok(())
}

/// What says how an image that exists is opened: its key, and `-f` or `--image-opts`. Returns the operand.
fn push_source(out: &mut Invocation, source: &Source) -> Result<OsString, Error> {
    push_spelled(out, source, source.spelled(&SecretId::source())?)
}

/// The same for a subcommand whose `-f` is missing in some version: always as a node.
fn push_node(out: &mut Invocation, source: &Source) -> Result<OsString, Error> {
    let node = source.image_opts(&SecretId::source())?.render();
    push_spelled(out, source, Spelled::ImageOpts(node))
}

fn push_spelled(out: &mut Invocation, source: &Source, spelled: Spelled) -> Result<OsString, Error> {
    source.check_openable()?;
    out.define(source.objects(&SecretId::source())?)?;
    out.reads_image(source);
    match (&spelled, source.format()) {
        (Spelled::ImageOpts(_), _) => out.arg("--image-opts"),
        (Spelled::Plain(_), Some(format)) => out.option("-f", format.as_str()),
        _ => {}
    }
    let (Spelled::Plain(operand) | Spelled::ImageOpts(operand) | Spelled::Json(operand)) = spelled;
    Ok(operand)
}
