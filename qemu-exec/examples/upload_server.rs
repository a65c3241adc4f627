//! Takes images from strangers over HTTP: each is inspected while it streams in, and imported once it is all there.
//!
//! `cargo run -p qemu-exec --example upload_server -- DIRECTORY [ADDRESS]`, and then
//! `curl -T disk.qcow2 -H 'X-Image-Format: qcow2' http://127.0.0.1:8080/my-disk`
//!
//! * **422, with the findings, as soon as the verdict is certain**: a hostile header costs its first kilobytes, and not
//!   the upload
//! * the spool file has no name: nobody can open it, put another in its place, or find it after a crash
//! * what was inspected is what qemu-img gets, as an open file, with its backing file cut off; the result is inspected
//!   too, and only then has its name
//!
//! A server for the internet would have TLS, users, and a bound on how many imports run at once: see `tokio_service.rs`.

use std::error::Error;
use std::io::{self, BufRead, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use qemu_exec::cmd::{Qcow2, Target};
use qemu_exec::info::inspect::{Finding, InspectError, Inspected, Inspector, Policy, Verdict};
use qemu_exec::{ErrorKind, LocalExecutor, QemuImg};

/// The most that is taken, and how long a client may say nothing.
const LARGEST: u64 = 100 << 30;
const PATIENCE: Duration = Duration::from_secs(30);

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args_os().skip(1);
    let directory = args.next().ok_or("usage: upload_server DIRECTORY [ADDRESS]")?;
    let address = args.next().map_or(Ok("127.0.0.1:8080".to_owned()), |address| address.into_string());
    let listener = TcpListener::bind(address.map_err(|_| "an address is a host and a port")?)?;
    println!("listening on {}", listener.local_addr()?);
    serve(&listener, &Store { qemu_img: QemuImg::new(LocalExecutor::new()), directory: directory.into() })?;
    Ok(())
}

/// Where uploads end.
pub(crate) struct Store {
    pub(crate) qemu_img: QemuImg<LocalExecutor>,
    pub(crate) directory: PathBuf,
}

/// Answers until the listener fails, each client on a thread of its own.
pub(crate) fn serve(listener: &TcpListener, store: &Store) -> io::Result<()> {
    std::thread::scope(|scope| {
        loop {
            let (stream, client) = listener.accept()?;
            scope.spawn(move || match answer(store, &stream) {
                Ok(()) => {}
                Err(error) => eprintln!("{client}: {error}"),
            });
        }
    })
}

fn answer(store: &Store, stream: &TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let (status, text) = store.take(BufReader::new(stream), stream)?;
    let length = text.len();
    write!(&*stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{text}")?;
    // Were the socket closed with bytes of the body unread, the answer could be lost: the client is told to stop, and
    // given a little time to.
    stream.shutdown(Shutdown::Write)?;
    io::copy(&mut stream.take(16 << 20), &mut io::sink()).map(drop)
}

impl Store {
    /// Reads a request, and says what to answer. An error is one of the connection: there is nobody to answer to.
    fn take(&self, mut request: impl BufRead, mut client: impl io::Write) -> io::Result<(&'static str, String)> {
        let head = Head::read(&mut request)?;
        let Some((name, claimed)) = head.name().zip(head.field("x-image-format").and_then(|name| name.parse().ok()))
        else {
            return Ok(("400 Bad Request", "PUT /name-of-disk, with X-Image-Format: qcow2, vmdk, …\n".to_owned()));
        };
        let Some(length) = head.field("content-length").and_then(|length| length.parse::<u64>().ok()) else {
            return Ok(("411 Length Required", String::new()));
        };
        if length > LARGEST {
            return Ok(("413 Content Too Large", format!("{LARGEST} bytes at most\n")));
        }
        if head.field("expect").is_some() {
            client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let policy = Policy::untrusted().claimed(claimed).max_virtual_size(LARGEST);
        self.take_image(request.take(length), &policy, &name)
    }

    fn take_image(
        &self,
        mut body: io::Take<impl BufRead>,
        policy: &Policy,
        name: &str,
    ) -> io::Result<(&'static str, String)> {
        let mut spool = tempfile::tempfile_in(&self.directory)?;
        let mut inspector = Inspector::new(policy.clone());
        while body.limit() > 0 {
            let piece = body.fill_buf()?;
            if piece.is_empty() {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the upload ended too early"));
            }
            spool.write_all(piece)?;
            if inspector.push(piece) == Some(Verdict::Refuse) {
                // Not `finish`: it has not ended here.
                return Ok(refused(inspector.so_far().findings()));
            }
            let length = piece.len();
            body.consume(length);
        }
        let image = match Inspected::new(spool, policy) {
            Ok(image) => image,
            Err(InspectError::Refused(inspection)) => return Ok(refused(inspection.findings())),
            Err(error) => return Err(io::Error::other(error)),
        };
        let target = Target::new(self.directory.join(name), Qcow2::new());
        Ok(match self.qemu_img.import(&image, target) {
            Ok(_) => ("201 Created", String::new()),
            Err(error) => match error.kind() {
                ErrorKind::AlreadyExists => ("409 Conflict", "the name is taken\n".to_owned()),
                ErrorKind::NoSpace => ("507 Insufficient Storage", String::new()),
                ErrorKind::KeyNeeded | ErrorKind::KeyUnverifiable => {
                    ("422 Unprocessable Content", "it is encrypted, and no key came with it\n".to_owned())
                }
                ErrorKind::SourceCorrupt | ErrorKind::Untrusted | ErrorKind::WrongFormat => {
                    ("422 Unprocessable Content", format!("{error}\n"))
                }
                _ => {
                    eprintln!("{name}: {error}: {}", error.stderr());
                    ("500 Internal Server Error", String::new())
                }
            },
        })
    }
}

fn refused(findings: &[Finding]) -> (&'static str, String) {
    ("422 Unprocessable Content", findings.iter().map(|finding| format!("{finding}\n")).collect())
}

/// The request line and the fields.
struct Head(Vec<String>);

impl Head {
    fn read(request: impl BufRead) -> io::Result<Self> {
        let lines = request.take(8 << 10).lines();
        lines.take_while(|line| !matches!(line.as_deref(), Ok(""))).collect::<io::Result<_>>().map(Self)
    }

    /// What is to be made: a name that is nothing but a name.
    fn name(&self) -> Option<String> {
        let name = self.0.first()?.strip_prefix("PUT /")?.strip_suffix(" HTTP/1.1")?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        (!name.is_empty() && name.len() < 200 && name.bytes().all(plain)).then(|| name.to_owned())
    }

    fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.0.iter().skip(1).filter_map(|line| line.split_once(':'));
        fields.find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}
