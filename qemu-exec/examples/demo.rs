//! The main job, on a disk of yours: encrypt it, decrypt it, and see that nothing has changed.
//!
//! `cargo run -p qemu-exec --example demo -- IMAGE`, or `cargo xtask demo` to have an image made.

use std::error::Error;
use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use qemu_exec::cmd::{Convert, Format, Info, Luks, Qcow2, Raw, Secret, Source, Target};
use qemu_exec::info::ImageInfo;
use qemu_exec::{DryRunExecutor, LocalExecutor, QemuImg};

fn main() -> Result<(), Box<dyn Error>> {
    let Some(image) = std::env::args_os().nth(1).map(PathBuf::from) else {
        return Err("usage: demo IMAGE".into());
    };
    // The environment variable is this project's habit, for trying another version.
    let program = std::env::var_os("QEMU_IMG").unwrap_or_else(|| OsString::from("qemu-img"));
    let qemu_img = QemuImg::new(LocalExecutor::with_program(&program));
    let shown = QemuImg::new(DryRunExecutor::new(LocalExecutor::with_program(&program)));
    let directory = tempfile::tempdir()?;
    let file = |name: &str| directory.path().join(name);
    let (encrypted, decrypted, original) = (file("encrypted.qcow2"), file("decrypted.raw"), file("original.raw"));

    let show = || {
        if let Some(plan) = shown.executor().plans().last() {
            println!("  $ {}", plan.launch);
            for (id, delivery) in &plan.secrets {
                println!("    ({id} is delivered by {})", delivery.as_str());
            }
        }
    };
    let look = |source: Source| -> Result<ImageInfo, Box<dyn Error>> {
        let info = Info::new(source);
        // A dry run has no answer.
        let _ = shown.info(&info);
        show();
        let info = qemu_img.info(&info)?;
        describe(&info);
        Ok(info)
    };
    let run = |convert: Convert| -> Result<(), Box<dyn Error>> {
        shown.convert(&convert)?;
        show();
        qemu_img.convert(&convert)?;
        Ok(())
    };

    println!("What is {}?", image.display());
    // Nobody told us the format, so the content chooses it: for an image of your own only.
    let info = look(Source::probing(&image))?;
    let format: Format = info.format.parse()?;
    let source = || Source::new(&image, format);

    let passphrase = Secret::new("correct horse battery staple")?;

    println!("\nEncrypt it:");
    let luks = Qcow2::new().encryption(Luks::new(passphrase.clone()));
    run(Convert::new(source(), Target::new(&encrypted, luks)))?;
    look(Source::qcow2(&encrypted))?;

    println!("\nDecrypt it:");
    run(Convert::new(Source::qcow2(&encrypted).key(passphrase), Target::new(&decrypted, Raw::new())))?;
    look(Source::raw(&decrypted))?;

    println!("\nIs it still the same?");
    run(Convert::new(source(), Target::new(&original, Raw::new())))?;
    let bytes = same_bytes(&original, &decrypted)?.ok_or("the content has changed")?;
    println!("  yes: all {bytes} bytes");
    Ok(())
}

fn describe(info: &ImageInfo) {
    let encryption = format!("{:?}", info.encryption());
    let encryption = encryption.split(['(', ' ']).next().unwrap_or_default();
    println!(
        "  format {}, {} bytes for the guest, {} bytes on disk, encryption: {encryption}",
        info.format,
        info.virtual_size,
        info.actual_size.map_or_else(|| "unknown".to_owned(), |size| size.to_string()),
    );
}

/// How many bytes the files have, if they have the same.
fn same_bytes(a: &Path, b: &Path) -> std::io::Result<Option<u64>> {
    let (mut a, mut b) = (BufReader::new(File::open(a)?), BufReader::new(File::open(b)?));
    let mut count = 0;
    loop {
        let (x, y) = (a.fill_buf()?, b.fill_buf()?);
        let length = x.len().min(y.len());
        if x.get(..length) != y.get(..length) || (length == 0 && x.len() != y.len()) {
            return Ok(None);
        }
        if length == 0 {
            return Ok(Some(count));
        }
        count += length as u64;
        a.consume(length);
        b.consume(length);
    }
}
