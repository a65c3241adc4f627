//! The tricks and bombs are no fancies: the real qemu-img falls for them.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use qemu_info::inspect::ImageFormat;
use tests::hostile::{all, plain, tricks};
use tests::scratch;

use crate::oracle::{bounded, bounded_for, info};

/// Writes the hostile image of this name, and what it reaches for.
fn lay(host: &Path, name: &str) -> String {
    let images = all(host);
    let hostile = images.iter().find(|hostile| hostile.name == name).unwrap_or_else(|| panic!("there is no {name}"));
    hostile.write(host).to_str().unwrap().to_owned()
}

#[test]
fn the_hosts_secret_is_read() {
    let directory = scratch();
    let host = directory.path();
    tricks::bait(host);
    let out = host.join("out");
    for name in [
        "qcow2-over-file",
        "qcow2-over-json",
        "qcow2-2-over-file",
        "qcow-over-file",
        "qed-over-file",
        "qcow2-data-in-file",
        "vmdk-flat-file",
        "vmdk-flat-hidden",
        "raw-is-an-overlay",
        "raw-is-a-descriptor",
    ] {
        let image = lay(host, name);
        let output = bounded(["convert", "-O", "raw", &image, out.to_str().unwrap()]);
        assert!(output.status.success(), "{name}: {output:?}");
        assert!(fs::read(&out).unwrap().starts_with(&tricks::secret()), "{name}");
    }
}

#[test]
fn the_network_is_reached() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    server.set_nonblocking(true).unwrap();
    let directory = scratch();
    let image = directory.path().join("image");
    let name = format!("nbd://{}/secret", server.local_addr().unwrap());
    tricks::qcow2_over(name.as_bytes()).write(&image);
    assert_eq!(server.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    bounded_for(1, ["map", image.to_str().unwrap()]);
    assert!(server.accept().is_ok(), "nobody called");
}

#[test]
fn what_never_ends_does_not() {
    let directory = scratch();
    let host = directory.path();
    tricks::bait(host);
    // 124: it had to be stopped.
    let fifo = lay(host, "qcow2-over-fifo");
    assert_eq!(bounded_for(1, ["info", "--backing-chain", &fifo]).status.code(), Some(124));
    let itself = lay(host, "qcow2-over-itself");
    let output = bounded_for(1, ["map", &itself]);
    assert!(!output.status.success(), "{output:?}");
    let output = bounded(["info", "--backing-chain", &itself]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("infinite loop"), "{output:?}");
}

#[test]
fn a_chain_is_opened_to_its_end() {
    let directory = scratch();
    for index in 0..200 {
        tricks::qcow2_over(format!("{}", index + 1).as_bytes()).write(&directory.path().join(index.to_string()));
    }
    plain::qcow2().write(&directory.path().join("200"));
    let top = directory.path().join("0");
    let output = bounded(["info", "--backing-chain", "--output=json", top.to_str().unwrap()]);
    let chain: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(chain.len(), 201);
}

#[test]
fn small_images_take_over_a_gibibyte() {
    let directory = scratch();
    for (name, format) in [("qcow", ImageFormat::Qcow), ("vdi", ImageFormat::Vdi), ("vpc", ImageFormat::Vpc)] {
        let path = lay(directory.path(), &format!("bomb-{name}"));
        assert!(fs::metadata(&path).unwrap().len() <= 8192, "{name}");
        let why = info(Path::new(&path), format).unwrap_err();
        assert!(["allocate", "memory", "large"].iter().any(|word| why.contains(word)), "{name}: {why}");
    }
}

#[test]
fn snapshots_fill_the_screen_and_bitmaps_the_day() {
    let directory = scratch();
    let snapshots = lay(directory.path(), "bomb-snapshots");
    let output = bounded(["info", &snapshots]);
    assert!(output.stdout.len() > 3 << 20, "{}", output.stdout.len());
    let bitmaps = lay(directory.path(), "bomb-bitmaps");
    assert_eq!(bounded_for(2, ["info", &bitmaps]).status.code(), Some(124));
}

#[test]
fn a_grain_of_a_gibibyte_aborts_qemu_img() {
    let directory = scratch();
    let grain = lay(directory.path(), "bomb-vmdk-grain");
    let out = directory.path().join("out");
    let output = bounded(["convert", "-f", "vmdk", "-O", "raw", &grain, out.to_str().unwrap()]);
    // A signal, as a shell would report it.
    assert!(output.status.code().is_none_or(|status| status > 128), "{output:?}");
}

#[test]
fn a_check_of_one_table_takes_all_day() {
    let directory = scratch();
    let image = lay(directory.path(), "bomb-l2");
    assert_eq!(bounded_for(2, ["check", "-f", "qcow2", &image]).status.code(), Some(124));
}
