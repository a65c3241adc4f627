//! What would be published: each library is packaged, and built from its package.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::run::{self, Error};

/// Those that are published, each after what it depends on.
const LIBRARIES: [&str; 3] = ["qemu-cmd", "qemu-info", "qemu-exec"];

/// The version of all of them.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Packages them and builds each alone: a feature that one enables in a shared dependency hides that another forgot to,
/// and so does a file that is not in the package. What is not committed is packaged too.
///
/// `cargo package` would build them as well, but `qemu-exec` with what it has unpacked of the others once, for this
/// version and for ever: it would not see what has changed since. So they are unpacked here.
pub(crate) fn check() -> Result<(), Error> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    let target = root.join("target");
    let unpacked = target.join("package/unpacked");
    let failed = |error: std::io::Error| Error::Other(format!("`{}`: {error}", unpacked.display()));
    let mut package = run::cargo();
    package.args(["package", "--no-verify", "--allow-dirty", "--quiet", "--target-dir"]).arg(&target);
    run::run(package.args(LIBRARIES.iter().flat_map(|name| ["-p", name])).current_dir(root))?;
    if unpacked.exists() {
        fs::remove_dir_all(&unpacked).map_err(failed)?;
    }
    fs::create_dir_all(&unpacked).map_err(failed)?;
    for name in LIBRARIES {
        let whole = format!("{name}-{VERSION}");
        let package = target.join("package").join(format!("{whole}.crate"));
        run::run(Command::new("tar").arg("-xzf").arg(package).arg("-C").arg(&unpacked))?;
        let place = unpacked.join(&whole);
        let manifest = place.join("Cargo.toml");
        // It lies below our workspace and is none of its members; and what is downloaded already is not to be again.
        let text = fs::read_to_string(&manifest).map_err(failed)?;
        fs::write(&manifest, format!("{text}\n[workspace]\n")).map_err(failed)?;
        fs::copy(root.join("Cargo.lock"), place.join("Cargo.lock")).map_err(failed)?;
        let mut build = run::cargo();
        build.args(["build", "--quiet", "--manifest-path"]).arg(&manifest).arg("--target-dir").arg(&target);
        for other in LIBRARIES.iter().filter(|other| text.contains(&format!("[dependencies.{other}]"))) {
            let path = unpacked.join(format!("{other}-{VERSION}"));
            build.arg("--config").arg(format!("patch.crates-io.{other}.path='{}'", path.display()));
        }
        run::run(&mut build)?;
    }
    Ok(())
}
