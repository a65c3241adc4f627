//! Uploads over HTTP: good ones, hostile ones, and some that break off.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use qemu_exec::QemuImg;
use tempfile::TempDir;
use tests::{Kind, content, guest_content, local, names, scratch, write_fixture};

use crate::upload_server::{Store, serve};

/// A server, whose threads end with the process, and the directory that it writes to.
fn server() -> (std::net::SocketAddr, TempDir) {
    let directory = scratch();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let store = Store { qemu_img: QemuImg::new(local()), directory: directory.path().to_owned() };
    std::thread::spawn(move || serve(&listener, &store));
    (address, directory)
}

fn fixture(kind: Kind) -> Vec<u8> {
    let directory = scratch();
    let path = directory.path().join("image");
    write_fixture(kind, &path);
    std::fs::read(path).unwrap()
}

/// Says that so many bytes will come, sends some, and waits for the answer.
fn put(address: std::net::SocketAddr, format: &str, length: u64, body: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let head = format!("PUT /disk HTTP/1.1\r\nHost: x\r\nX-Image-Format: {format}\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_good_upload_becomes_an_image() {
    let (address, directory) = server();
    let image = fixture(Kind::Qcow2);
    let answer = put(address, "qcow2", image.len() as u64, &image);
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    assert_eq!(names(directory.path()), ["disk"]);
    assert!(guest_content(Kind::Qcow2, &directory.path().join("disk")) == content());
    // Nobody replaces it.
    let answer = put(address, "qcow2", image.len() as u64, &image);
    assert!(answer.starts_with("HTTP/1.1 409 "), "{answer}");
}

/// 64 KiB of what is said to be a tebibyte's beginning: were the answer to come at the end, none would.
#[test]
fn a_hostile_upload_is_refused_before_it_is_through() {
    let (address, directory) = server();
    let host = scratch();
    let mut refused = 0;
    for hostile in tests::hostile::all(host.path()).iter().filter(|hostile| hostile.name.starts_with("qcow2-over")) {
        let path = hostile.write(host.path());
        let mut bytes = std::fs::read(path).unwrap();
        bytes.resize(64 << 10, 0);
        let answer = put(address, "qcow2", 1 << 36, &bytes);
        assert!(answer.starts_with("HTTP/1.1 422 "), "{}: {answer}", hostile.name);
        assert!(answer.contains("backing-file at 8: ") && !answer.contains("truncated"), "{}: {answer}", hostile.name);
        refused += 1;
    }
    assert!(refused > 0);
    assert_eq!(names(directory.path()), [""; 0]);
}

#[test]
fn an_upload_that_lies_about_its_format_is_refused() {
    let (address, directory) = server();
    let image = fixture(Kind::Qcow2);
    for (format, length) in [("raw", 1 << 36), ("vmdk", image.len() as u64)] {
        let answer = put(address, format, length, &image);
        assert!(answer.starts_with("HTTP/1.1 422 ") && answer.contains("format-mismatch at 0: "), "{answer}");
    }
    assert_eq!(names(directory.path()), [""; 0]);
}

#[test]
fn an_upload_that_is_encrypted_is_its_senders_matter() {
    let (address, directory) = server();
    for (kind, format) in [(Kind::Qcow2Luks, "qcow2"), (Kind::Luks, "luks")] {
        let image = fixture(kind);
        let answer = put(address, format, image.len() as u64, &image);
        assert!(answer.starts_with("HTTP/1.1 422 ") && answer.contains("encrypted"), "{answer}");
    }
    assert_eq!(names(directory.path()), [""; 0]);
}

#[test]
fn a_connection_that_breaks_leaves_nothing() {
    let (address, directory) = server();
    let image = fixture(Kind::Qcow2);
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!("PUT /disk HTTP/1.1\r\nX-Image-Format: qcow2\r\nContent-Length: {}\r\n\r\n", image.len());
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&image[..image.len() - 1]).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    // The server closes it without an answer.
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert_eq!(String::from_utf8_lossy(&answer), "");
    assert_eq!(names(directory.path()), [""; 0]);
}

#[test]
fn what_is_no_upload_is_told_so() {
    let (address, _directory) = server();
    for (request, status) in [
        ("GET / HTTP/1.1\r\n\r\n", "400"),
        ("PUT /../x HTTP/1.1\r\nX-Image-Format: qcow2\r\nContent-Length: 1\r\n\r\n", "400"),
        ("PUT /x HTTP/1.1\r\nX-Image-Format: qcow3\r\nContent-Length: 1\r\n\r\n", "400"),
        ("PUT /x HTTP/1.1\r\nX-Image-Format: qcow2\r\n\r\n", "411"),
        ("PUT /x HTTP/1.1\r\nX-Image-Format: qcow2\r\nContent-Length: 99999999999999\r\n\r\n", "413"),
    ] {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        let begin = Instant::now();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {answer}");
        assert!(begin.elapsed() < Duration::from_secs(10));
    }
}
