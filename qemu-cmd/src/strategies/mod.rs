//! Strategies for property tests: random values of every type that a user builds (feature `proptest`).
//!
//! Each is as hostile as its type allows, and says in its documentation what a command refuses of it. What is
//! refused is worth testing too, so the commands come with both; most are accepted.
//!
//! ```
//! use proptest::prelude::*;
//! use qemu_cmd::strategies::{SECRET_MARK, convert};
//!
//! // In a test of code that logs the commands it runs:
//! fn the_log_is_one_line_without_a_passphrase() {
//!     proptest!(|(convert in convert())| {
//!         let line = match convert.invocation() {
//!             Ok(invocation) => format!("running {invocation}"),
//!             Err(refusal) => format!("refused: {refusal}"),
//!         };
//!         prop_assert!(!line.contains(SECRET_MARK), "{line}");
//!         prop_assert!(!line.contains('\n'), "{line}");
//!     });
//! }
//! # the_log_is_one_line_without_a_passphrase();
//! ```
//!
//! Whatever names a file, a host or an image comes from a [`World`]; the functions of this module are those of the
//! [hostile](World::hostile) one. To run what is generated, make a world of your own.
//!
//! * **names and numbers**: [`path()`], [`host()`], [`text()`], [`name()`], [`byte_size()`], [`time()`], [`key_val()`],
//!   [`secret()`], [`secret_id()`]
//! * **where bytes live**: [`location()`], and a function for each kind of place
//! * **images that exist**: [`source()`], [`target()`], [`backing()`], [`key()`], [`object()`]
//! * **images to be made**: [`new_image()`], and a function for each format; [`luks()`]
//! * **what to do**: a function for each subcommand; any of them: [`command()`]
//! * **words**, such as [`cache_mode()`], for each type that is one of a few

mod changes;
mod copies;
mod hostile;
mod images;
mod looks;
mod names;
mod new_images;
mod objects;
mod parts;
mod places;
mod words;
mod world;

pub use changes::{bitmap_action, snapshot_action};
pub use hostile::*;
pub use images::source_snapshot;
pub use names::{HOSTILE_NAMES, SECRET_MARK, byte_size, host, key_val, name, path, secret, secret_id, text, time};
pub use new_images::{parallels, qed, vdi, vhdx, vmdk, vpc};
pub use places::{host_key_check, inject_error, node_keys};
pub use words::*;
pub use world::World;
