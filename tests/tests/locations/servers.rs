//! Servers for the tests, on this machine only: each ends with its value.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tests::processes::{Process, on_some_port};

fn nbd_command(image: &Path) -> Command {
    let mut command = Command::new("qemu-nbd");
    command.args(["-r", "-t", "-e", "4", "-f", "raw"]).arg(image);
    command
}

/// An NBD server on a TCP port.
pub(crate) fn nbd_tcp(image: &Path, args: &[&str]) -> (Process, u16) {
    on_some_port(|port| {
        let mut command = nbd_command(image);
        let ready = || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok();
        Process::start(command.args(["-b", "127.0.0.1", "-p", &port.to_string()]).args(args), "qemu-utils", ready)
    })
}

/// An NBD server on a Unix socket.
pub(crate) fn nbd_unix(image: &Path, socket: &Path, args: &[&str]) -> Process {
    let ready = || UnixStream::connect(socket).is_ok();
    let mut command = nbd_command(image);
    Process::start(command.arg("-k").arg(socket).args(args), "qemu-utils", ready).expect("qemu-nbd starts")
}

/// An HTTP server that has one file, and gives it to who sends these header lines.
pub(crate) struct Http {
    pub(crate) port: u16,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Http {
    pub(crate) fn serve(target: &'static str, content: Vec<u8>, wanted: &'static [&'static str]) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                // A client that goes away in the middle is none of our business.
                let _ = answer(&stream.unwrap(), target, &content, wanted);
            }
        });
        Self { port, stop, thread: Some(thread) }
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn answer(mut stream: &TcpStream, target: &str, content: &[u8], wanted: &[&str]) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let lines: Vec<String> = BufReader::new(stream.take(1 << 16))
        .lines()
        .take_while(|line| line.as_ref().is_ok_and(|line| !line.is_empty()))
        .collect::<Result<_, _>>()?;
    let words: Vec<&str> = lines.first().map(|line| line.split(' ').collect()).unwrap_or_default();
    let refuse = |status: &str| format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let (method, path) = (words[0], words[1]);
    if path != target {
        return stream.write_all(refuse("404 Not Found").as_bytes());
    }
    if !wanted.iter().all(|wanted| lines.iter().any(|line| line.eq_ignore_ascii_case(wanted))) {
        return stream.write_all(refuse("401 Unauthorized").as_bytes());
    }
    let range = lines.iter().find_map(|line| line.strip_prefix("Range: bytes=")?.split_once('-'));
    let (status, from, to) = match range {
        Some((from, to)) => ("206 Partial Content", from.parse().unwrap(), to.parse::<usize>().unwrap() + 1),
        None => ("200 OK", 0, content.len()),
    };
    let part = &content[from..to.min(content.len())];
    let head = format!(
        "HTTP/1.1 {status}\r\nAccept-Ranges: bytes\r\nContent-Range: bytes {from}-{}/{}\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        to - 1,
        content.len(),
        part.len()
    );
    stream.write_all(head.as_bytes())?;
    if method == "GET" { stream.write_all(part) } else { Ok(()) }
}
