//! An SSH server for the tests, on this machine only.

use std::ffi::OsStr;
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use qemu_cmd::{HostKeyCheck, HostKeyHash};
use qemu_exec::SshExecutor;
use tempfile::TempDir;

use crate::processes::{Process, needs, on_some_port};
use crate::{qemu_img, scratch};

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
