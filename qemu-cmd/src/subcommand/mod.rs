//! The subcommands.

mod convert;
mod create;
mod info;

pub use convert::Convert;
pub use create::Create;
pub use info::Info;

use crate::Invocation;
use crate::format::CreateOptions;

/// `--object` for the key, then one `-o` a pair.
fn push_create_options(invocation: &mut Invocation, options: CreateOptions) {
    if let Some((id, secret)) = options.secret {
        invocation.object(id, secret);
    }
    for (key, value) in options.pairs {
        invocation.option("-o", format!("{key}={value}"));
    }
}
