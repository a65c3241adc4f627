//! Holds the exact command in a unit test, and shows it to the user: nothing runs, and qemu-img need not be installed.
//!
//! `cargo run -p qemu-exec --example dry_run -- UPLOAD.qcow2 IMAGE.qcow2` shows the command;
//! `cargo test -p qemu-exec --example dry_run` runs the tests below.

use std::path::Path;

use qemu_exec::cmd::{Convert, Luks, Qcow2, Secret, Source, Target};
use qemu_exec::{DryRunExecutor, Error, Executor, QemuImg};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args_os().skip(1);
    let (Some(upload), Some(image)) = (args.next(), args.next()) else {
        return Err("usage: dry_run UPLOAD.qcow2 IMAGE.qcow2".into());
    };
    let qemu_img = QemuImg::new(DryRunExecutor::default());
    publish(&qemu_img, upload.as_ref(), image.as_ref(), Some(Secret::new("a passphrase")?))?;
    for plan in qemu_img.executor().plans() {
        // What the kernel would be given: limits, the unfinished name, and descriptors in the place of secrets.
        println!("{}", plan.launch);
    }
    Ok(())
}

/// The code under test: publishes an upload, encrypted or compressed.
pub(crate) fn publish<E: Executor>(
    qemu_img: &QemuImg<E>,
    upload: &Path,
    image: &Path,
    passphrase: Option<Secret>,
) -> Result<(), Error> {
    let encrypted = passphrase.is_some();
    let new = match passphrase {
        Some(passphrase) => Qcow2::new().encryption(Luks::new(passphrase)),
        None => Qcow2::new(),
    };
    let convert = Convert::new(Source::qcow2(upload).without_backing(), Target::new(image, new));
    // Compressed and encrypted at once is nothing that qemu can do.
    qemu_img.convert(&convert.compress(!encrypted)).map(drop)
}

#[cfg(test)]
mod tests {
    use qemu_exec::cmd::ByteSize;
    use qemu_exec::{LocalExecutor, Plan, SudoExecutor};

    use super::*;

    const DIRECTORY: &str = "/no/such/directory";

    fn plans<E: Executor>(executor: E, passphrase: Option<&str>) -> Result<Vec<Plan>, Box<dyn std::error::Error>> {
        let qemu_img = QemuImg::new(DryRunExecutor::new(executor));
        let passphrase = passphrase.map(Secret::new).transpose()?;
        publish(&qemu_img, Path::new("/upload"), &Path::new(DIRECTORY).join("disk"), passphrase)?;
        Ok(qemu_img.executor().plans())
    }

    /// A path need not exist, here or on the machine that runs the tests.
    fn local() -> LocalExecutor {
        LocalExecutor::with_program("/usr/bin/qemu-img")
    }

    #[test]
    fn the_command_is_exactly_this() -> Result<(), Box<dyn std::error::Error>> {
        let plans = plans(local(), None)?;
        let node = r#"json:{"driver":"qcow2","file.driver":"file","file.filename":"/upload","backing":null}"#;
        let target = format!("{DIRECTORY}/disk");
        let line = ["qemu-img", "convert", "-t", "writeback", "-O", "qcow2", "-c", node, &target];
        assert_eq!(plans.iter().map(|plan| &plan.argv).collect::<Vec<_>>(), [&line]);
        Ok(())
    }

    #[test]
    fn the_passphrase_is_nowhere() -> Result<(), Box<dyn std::error::Error>> {
        let plans = plans(local(), Some("open sesame"))?;
        assert!(!format!("{plans:?}").contains("sesame"));
        assert_eq!(plans.first().map(|plan| plan.secrets.len()), Some(1));
        Ok(())
    }

    #[test]
    fn through_sudo_the_same_is_run_as_root() -> Result<(), Box<dyn std::error::Error>> {
        let launch = plans(SudoExecutor::with_program("/usr/bin/qemu-img"), None)?
            .first()
            .map(|plan| plan.launch.to_string())
            .ok_or("there is no plan")?;
        assert!(launch.contains("sudo -n "), "{launch}");
        assert!(launch.contains("/usr/bin/qemu-img convert -t writeback -O qcow2"), "{launch}");
        Ok(())
    }

    #[test]
    fn what_qemu_img_would_refuse_is_refused_here_already() {
        let qemu_img = QemuImg::new(DryRunExecutor::new(local()));
        let odd = qemu_exec::cmd::Create::new("/disk", Qcow2::new(), ByteSize::bytes(1000));
        assert_eq!(qemu_img.create(&odd).map_err(|error| error.kind()).err(), Some(qemu_exec::ErrorKind::Refused));
        assert!(qemu_img.executor().plans().is_empty());
    }
}
