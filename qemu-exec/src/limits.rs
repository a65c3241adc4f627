//! What a command may use.

use std::ffi::OsString;
use std::fmt;
use std::time::Duration;

use qemu_cmd::ByteSize;
use rustix::process::{Resource, getrlimit};

/// Resource limits of the process (see setrlimit(2)). `None` is unlimited, or rather: as the caller is.
///
/// A limit above the caller's own is lowered to that. A process that is given a secret makes no core file unless
/// [`core`](Self::core) says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Limits {
    cpu: Option<Duration>,
    address_space: Option<ByteSize>,
    file_size: Option<ByteSize>,
    open_files: Option<u64>,
    core: Option<ByteSize>,
    processes: Option<u64>,
}

/// One of the [`Limits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Limit {
    /// CPU time.
    Cpu,
    /// Address space, that is, virtual memory.
    AddressSpace,
    /// The size of a file that is written.
    FileSize,
    /// The number of open files.
    OpenFiles,
    /// The number of processes and threads.
    Processes,
    /// The memory of a [control group](crate::Cgroup), which counts what is really used.
    Memory,
}

/// A limit as the kernel is told it. It displays as an option of prlimit(1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResourceLimit {
    /// Its name, as in `RLIMIT_…` and prlimit(1): `cpu`, `as`, `fsize`, `nofile`, `core` or `nproc`.
    pub name: &'static str,
    /// The limit that is enforced, in bytes, seconds, or a number.
    pub soft: u64,
    /// What the process may raise that to.
    pub hard: u64,
    pub(crate) resource: Resource,
}

impl fmt::Display for ResourceLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, soft, hard, .. } = self;
        if soft == hard { write!(f, "--{name}={soft}") } else { write!(f, "--{name}={soft}:{hard}") }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cpu => "CPU time",
            Self::AddressSpace => "address space",
            Self::FileSize => "file size",
            Self::OpenFiles => "open files",
            Self::Processes => "processes",
            Self::Memory => "memory",
        })
    }
}

impl Limits {
    /// No limits.
    pub const fn none() -> Self {
        Self { cpu: None, address_space: None, file_size: None, open_files: None, core: None, processes: None }
    }

    /// For commands that read headers only, such as `info`: 30 s of CPU time and 1 GiB of address space, as in
    /// OpenStack Nova.
    pub const fn metadata() -> Self {
        Self::none().cpu(Duration::from_secs(30)).address_space(ByteSize::gib(1))
    }

    /// CPU time (`RLIMIT_CPU`), in whole seconds, rounded up. The process dies of SIGXCPU when it is used up.
    pub const fn cpu(mut self, time: Duration) -> Self {
        self.cpu = Some(time);
        self
    }

    /// Virtual memory (`RLIMIT_AS`). qemu-img needs up to 64 MiB for `info` and 256 MiB for `convert`; a child
    /// with this limit also gets `MALLOC_ARENA_MAX=1`, without which parallel converts die at random.
    pub const fn address_space(mut self, size: ByteSize) -> Self {
        self.address_space = Some(size);
        self
    }

    /// The size of any file that is written (`RLIMIT_FSIZE`).
    pub const fn file_size(mut self, size: ByteSize) -> Self {
        self.file_size = Some(size);
        self
    }

    /// Open files (`RLIMIT_NOFILE`). qemu-img needs 10 for one qcow2 image.
    pub const fn open_files(mut self, files: u64) -> Self {
        self.open_files = Some(files);
        self
    }

    /// The size of a core file (`RLIMIT_CORE`), which holds the memory of a process that crashed: 0 for none.
    pub const fn core(mut self, size: ByteSize) -> Self {
        self.core = Some(size);
        self
    }

    /// Processes and threads of the user (`RLIMIT_NPROC`). Root is not bound by it.
    pub const fn processes(mut self, processes: u64) -> Self {
        self.processes = Some(processes);
        self
    }

    /// Whether nothing is limited.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::none()
    }

    /// Without a core file, unless something was said about it: it would hold the secrets of the process.
    pub(crate) const fn without_core(mut self) -> Self {
        if self.core.is_none() {
            self.core = Some(ByteSize::bytes(0));
        }
        self
    }

    /// The same, but nowhere above this process's own hard limits, which nobody but root can raise.
    pub(crate) fn within_own(mut self) -> Self {
        let own = |resource| getrlimit(resource).maximum.unwrap_or(u64::MAX);
        let size = |size: Option<ByteSize>, resource| size.map(|size| size.min(ByteSize::bytes(own(resource))));
        // One second less than the hard limit, which kills without a word.
        let cpu = Duration::from_secs(own(Resource::Cpu).saturating_sub(1));
        self.cpu = self.cpu.map(|time| time.min(cpu));
        self.address_space = size(self.address_space, Resource::As);
        self.file_size = size(self.file_size, Resource::Fsize);
        self.core = size(self.core, Resource::Core);
        self.open_files = self.open_files.map(|files| files.min(own(Resource::Nofile)));
        self.processes = self.processes.map(|processes| processes.min(own(Resource::Nproc)));
        self
    }

    pub(crate) const fn has(&self, limit: Limit) -> bool {
        match limit {
            Limit::Cpu => self.cpu.is_some(),
            Limit::AddressSpace => self.address_space.is_some(),
            Limit::FileSize => self.file_size.is_some(),
            Limit::OpenFiles => self.open_files.is_some(),
            Limit::Processes => self.processes.is_some(),
            // No limit of a process.
            Limit::Memory => false,
        }
    }

    pub(crate) fn address_space_below(&self, size: ByteSize) -> bool {
        self.address_space.is_some_and(|limit| limit < size)
    }

    /// How much is allowed, for people.
    pub(crate) fn describe(&self, limit: Limit) -> String {
        let bytes = |size: Option<ByteSize>| format!("{} bytes", size.unwrap_or_default());
        match limit {
            Limit::Cpu => format!("{} s", self.cpu_seconds().unwrap_or_default()),
            Limit::AddressSpace => bytes(self.address_space),
            Limit::FileSize => bytes(self.file_size),
            Limit::OpenFiles => self.open_files.unwrap_or_default().to_string(),
            Limit::Processes => self.processes.unwrap_or_default().to_string(),
            Limit::Memory => bytes(None),
        }
    }

    fn cpu_seconds(&self) -> Option<u64> {
        let time = self.cpu?;
        Some(time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0)).max(1))
    }

    /// What the kernel is told, in a fixed order.
    #[must_use]
    pub fn to_resource_limits(&self) -> Vec<ResourceLimit> {
        let equal = |name, resource, value: Option<u64>| {
            value.map(|value| ResourceLimit { name, soft: value, hard: value, resource })
        };
        let size = |size: Option<ByteSize>| size.map(ByteSize::as_u64);
        // Soft below hard: the soft limit kills with SIGXCPU, which tells what happened; the hard one with SIGKILL,
        // which does not.
        let cpu = self.cpu_seconds().map(|soft| ResourceLimit {
            name: "cpu",
            soft,
            hard: soft.saturating_add(1),
            resource: Resource::Cpu,
        });
        let all = [
            cpu,
            equal("as", Resource::As, size(self.address_space)),
            equal("fsize", Resource::Fsize, size(self.file_size)),
            equal("nofile", Resource::Nofile, self.open_files),
            equal("core", Resource::Core, size(self.core)),
            equal("nproc", Resource::Nproc, self.processes),
        ];
        all.into_iter().flatten().collect()
    }

    /// The options of prlimit(1), in the same order.
    pub(crate) fn prlimit_options(&self) -> Vec<OsString> {
        self.to_resource_limits().iter().map(|limit| limit.to_string().into()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_in_order() {
        assert_eq!(Limits::metadata().prlimit_options(), ["--cpu=30:31", "--as=1073741824"]);
        let all = Limits::none()
            .processes(7)
            .core(ByteSize::bytes(0))
            .open_files(64)
            .file_size(ByteSize::mib(1))
            .cpu(Duration::from_millis(1500));
        assert_eq!(all.prlimit_options(), ["--cpu=2:3", "--fsize=1048576", "--nofile=64", "--core=0", "--nproc=7"]);
        assert!(Limits::none().prlimit_options().is_empty());
    }
}
