//! An SSH server for the tests, on this machine only, and what it takes to start one.

use std::ffi::OsStr;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use qemu_cmd::{HostKeyCheck, HostKeyHash};
use qemu_exec::SshExecutor;
use tempfile::TempDir;

use crate::{qemu_img, scratch};

/// What to say where a program is missing.
pub fn needs<T>(result: std::io::Result<T>, program: &str, package: &str) -> T {
    result.unwrap_or_else(|error| panic!("cannot run `{program}`: {error}: install the package {package}"))
}

/// Whether it became so within 20 s.
pub fn wait_until(ready: impl Fn() -> bool) -> bool {
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
pub struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    /// Starts it, and waits until it is ready; `None` if it ends before.
    pub fn start(command: &mut Command, package: &str, ready: impl Fn() -> bool) -> Option<Self> {
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
pub fn on_some_port(start: impl Fn(u16) -> Option<Process>) -> (Process, u16) {
    for _ in 0..5 {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        if let Some(process) = start(port) {
            return (process, port);
        }
    }
    panic!("the server does not start");
}

/// An SSH server that lets this user in, and an agent that holds the key.
pub struct Sshd {
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    /// Who is let in.
    pub user: String,
    /// Where the agent listens.
    pub agent_socket: PathBuf,
    directory: TempDir,
    _processes: [Process; 2],
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
    /// Starts both.
    pub fn start() -> Self {
        Self::configured("")
    }

    /// The same, with more lines of configuration.
    pub fn configured(more: &str) -> Self {
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

        // An sshd of root insists on this for each connection. It stays, since other servers may be there.
        if rustix::process::geteuid().is_root() {
            let _ = std::fs::create_dir(RUN);
        }
        let (sshd, port) = on_some_port(|port| {
            let config = format!(
                "ListenAddress 127.0.0.1\nPort {port}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nStrictModes no\n\
                 UsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\nSubsystem sftp internal-sftp\n{more}\n",
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
        Self { port, user: user.trim().to_owned(), agent_socket, directory, _processes: processes }
    }

    /// An executor that runs the qemu-img under test over there.
    #[must_use]
    pub fn executor(&self) -> SshExecutor {
        let known = self.directory.path().join("known");
        let key = std::fs::read_to_string(self.directory.path().join("host.pub")).unwrap();
        std::fs::write(&known, format!("[127.0.0.1]:{} {key}", self.port)).unwrap();
        let file = |name: &str, file: &Path| format!("{name}={}", file.display());
        SshExecutor::new(format!("{}@127.0.0.1", self.user))
            .qemu_img(qemu_img())
            .option(format!("Port={}", self.port))
            .option(file("UserKnownHostsFile", &known))
            .option(file("IdentityFile", &self.directory.path().join("user")))
            .option("IdentitiesOnly=yes")
    }

    /// The fingerprint of the host key, as qemu wants it.
    #[must_use]
    pub fn fingerprint(&self, hash_type: HostKeyHash) -> HostKeyCheck {
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
