//! Servers for the tests, on this machine only: each ends with its value.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use base64::Engine as _;
use qemu_cmd::{HostKeyCheck, HostKeyHash};
use tempfile::TempDir;
use tests::scratch;

/// What to say where a program is missing.
fn needs<T>(result: std::io::Result<T>, program: &str, package: &str) -> T {
    result.unwrap_or_else(|error| panic!("cannot run `{program}`: {error}: install the package {package}"))
}

fn wait_until(ready: impl Fn() -> bool) -> bool {
    let end = Instant::now() + Duration::from_secs(20);
    while Instant::now() < end {
        if ready() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

/// A process that ends with this value.
pub(crate) struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    fn start(command: &mut Command, package: &str, ready: impl Fn() -> bool) -> Option<Self> {
        let program = command.get_program().to_string_lossy().into_owned();
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = Self(needs(command.spawn(), &program, package));
        let ended = std::cell::RefCell::new(&mut process.0);
        let up = wait_until(|| ready() || ended.borrow_mut().try_wait().unwrap().is_some());
        let alive = ended.borrow_mut().try_wait().unwrap().is_none();
        (up && alive).then_some(process)
    }
}

/// Starts what listens on a TCP port of its own. Somebody else may take the port in between, so it tries again.
fn on_some_port(start: impl Fn(u16) -> Option<Process>) -> (Process, u16) {
    for _ in 0..5 {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        if let Some(process) = start(port) {
            return (process, port);
        }
    }
    panic!("the server does not start");
}

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

/// A loop device over a file.
pub(crate) struct LoopDevice(pub(crate) PathBuf);

fn losetup(args: &[&OsStr]) -> Output {
    let output = Command::new("sudo").args(["-n", "losetup"]).args(args).output();
    needs(output, "sudo", "sudo")
}

impl LoopDevice {
    pub(crate) fn over(file: &Path) -> Self {
        let output = losetup(&["--find".as_ref(), "--show".as_ref(), "--read-only".as_ref(), file.as_os_str()]);
        let text = String::from_utf8(output.stdout).unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "`sudo -n losetup` makes no loop device: {error}");
        Self(text.trim().into())
    }
}

impl Drop for LoopDevice {
    fn drop(&mut self) {
        losetup(&["--detach".as_ref(), self.0.as_os_str()]);
    }
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

/// An SSH server that lets this user in, and an agent that holds the key.
pub(crate) struct Sshd {
    pub(crate) port: u16,
    pub(crate) user: String,
    pub(crate) agent_socket: PathBuf,
    directory: TempDir,
    _processes: [Process; 2],
    _run: Option<RunDirectory>,
}

/// The directory that an sshd of root insists on, if this made it.
struct RunDirectory(&'static Path);

impl Drop for RunDirectory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(self.0);
    }
}

fn ssh_tool(program: &str, args: &[&OsStr], agent: Option<&Path>) -> String {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null());
    if let Some(socket) = agent {
        command.env("SSH_AUTH_SOCK", socket);
    }
    let output = needs(command.output(), program, "openssh-client");
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

impl Sshd {
    pub(crate) fn start() -> Self {
        const RUN: &str = "/run/sshd";
        let directory = scratch();
        let path = |name: &str| directory.path().join(name);
        for name in ["host", "user"] {
            let key = path(name);
            ssh_tool(
                "ssh-keygen",
                &["-q", "-t", "ed25519", "-N", "", "-f"]
                    .map(OsStr::new)
                    .into_iter()
                    .chain([key.as_os_str()])
                    .collect::<Vec<_>>(),
                None,
            );
        }
        let agent_socket = path("agent");
        let mut agent = Command::new("ssh-agent");
        let ready = || UnixStream::connect(&agent_socket).is_ok();
        let agent = Process::start(agent.arg("-D").arg("-a").arg(&agent_socket), "openssh-client", ready);
        ssh_tool("ssh-add", &["-q".as_ref(), path("user").as_os_str()], Some(&agent_socket));

        let is_root = rustix::process::geteuid().is_root();
        let run = (is_root && std::fs::create_dir(RUN).is_ok()).then(|| RunDirectory(Path::new(RUN)));
        let (sshd, port) = on_some_port(|port| {
            let config = format!(
                "ListenAddress 127.0.0.1\nPort {port}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nStrictModes no\n\
                 UsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\nSubsystem sftp internal-sftp\n",
                path("host").display(),
                path("user.pub").display()
            );
            std::fs::write(path("config"), config).unwrap();
            // It insists on its absolute path.
            let mut sshd = Command::new("/usr/sbin/sshd");
            let ready = || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok();
            Process::start(sshd.args(["-D", "-f"]).arg(path("config")), "openssh-server", ready)
        });
        let user = String::from_utf8(Command::new("id").arg("-un").output().unwrap().stdout).unwrap();
        let processes = [sshd, agent.expect("ssh-agent starts")];
        Self { port, user: user.trim().to_owned(), agent_socket, directory, _processes: processes, _run: run }
    }

    /// The fingerprint of the host key, as qemu wants it.
    pub(crate) fn fingerprint(&self, hash_type: HostKeyHash) -> HostKeyCheck {
        let name = if hash_type == HostKeyHash::Md5 { "md5" } else { "sha256" };
        let key = self.directory.path().join("host.pub");
        let args = ["-l", "-E", name, "-f"].map(OsStr::new).into_iter().chain([key.as_os_str()]).collect::<Vec<_>>();
        let line = ssh_tool("ssh-keygen", &args, None);
        let (_, hash) = line.split(' ').nth(1).unwrap().split_once(':').unwrap();
        let hash = match hash_type {
            HostKeyHash::Md5 => hash.to_owned(),
            _ => {
                let bytes = base64::engine::general_purpose::STANDARD_NO_PAD.decode(hash).unwrap();
                bytes.iter().map(|byte| format!("{byte:02x}")).collect()
            }
        };
        HostKeyCheck::Hash { hash_type, hash }
    }
}
