//! A child that prepares itself, without a copy of its parent: the only unsafe code.
//!
//! std starts a child either quickly (`posix_spawn`) or with something to do before it becomes the program (`fork`,
//! which copies the parent's page tables: a quarter of a second from 4 GiB). Here it is both: the child borrows the
//! parent's memory, and the thread that made it stands still until the child has become the program or is gone
//! (`CLONE_VM | CLONE_VFORK`). What that asks for in return:
//!
//! * **nothing but system calls in the child**: the other threads of the parent run on, and may hold any lock. So the
//!   child allocates nothing, locks nothing and cannot panic; all that it needs is made before. What it does through
//!   `rustix` is the bare system call too.
//! * **no handler of the parent in the child**: it would run in the parent's memory, as another process. So all signals
//!   are blocked before the child is made, and let through once its handlers are the default.
//! * **a stack of its own**: on the parent's, it would undo the frames that the parent returns to.

mod stack;

use std::cell::Cell;
use std::convert::Infallible;
use std::ffi::{CStr, CString, c_char, c_int, c_long, c_void};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::ptr;

use rustix::io::{self, Errno, fcntl_dupfd_cloexec, retry_on_intr};
use rustix::process::{
    Pid, Resource, Rlimit, Signal, WaitOptions, chdir, getpid, getppid, set_parent_process_death_signal, setpgid,
    setrlimit, waitpid,
};

use stack::Stack;

/// What a child is to become.
pub(crate) struct Program<'a> {
    pub(crate) path: &'a CStr,
    /// With the name of the program as the first.
    pub(crate) args: &'a [CString],
    pub(crate) env: &'a [CString],
    pub(crate) directory: Option<&'a CStr>,
    /// The `cgroup.procs` of the control group that it is to be in.
    pub(crate) cgroup: Option<BorrowedFd<'a>>,
    pub(crate) limits: &'a [(Resource, Rlimit)],
    /// What its descriptors 0, 1, 2 and so on are. It has no other.
    pub(crate) descriptors: &'a [BorrowedFd<'a>],
}

/// What is done to start a child, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The parent makes what is needed, and the child.
    Create,
    /// The child enters its control group.
    Cgroup,
    /// It gets a process group of its own.
    Group,
    /// It asks to be killed when its parent is gone.
    DeathSignal,
    /// It enters the working directory.
    Directory,
    /// It has the descriptors that it is to have.
    Descriptors,
    /// It sets this limit.
    Limit(Resource),
    /// It becomes the program.
    Execute,
}

/// Why there is no child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) step: Step,
    pub(crate) errno: Errno,
}

impl Step {
    fn failed(self) -> impl Fn(Errno) -> Failure {
        move |errno| Failure { step: self, errno }
    }
}

/// Starts the program as a child with a process group of its own, with every signal at its default and none blocked.
/// Returns when it runs, with a descriptor of the process.
///
/// The child is killed when the *thread* that called this ends (see `PR_SET_PDEATHSIG` in prctl(2)): call it from the
/// one that waits for the child.
pub(crate) fn spawn(program: &Program<'_>) -> Result<(Pid, OwnedFd), Failure> {
    let create = Step::Create.failed();
    // Out of the way of the numbers that they are copied to.
    let count = program.descriptors.len();
    let first_free = c_int::try_from(count).map_err(|_| create(Errno::MFILE))?;
    let is_in_the_way = |fd: &&BorrowedFd<'_>| fd.as_raw_fd() < first_free;
    let moved: Vec<OwnedFd> = program
        .descriptors
        .iter()
        .filter(is_in_the_way)
        .map(|fd| fcntl_dupfd_cloexec(fd, first_free))
        .collect::<io::Result<_>>()
        .map_err(&create)?;
    let mut moved_fds = moved.iter();
    let descriptors = program.descriptors.iter().map(|fd| match Some(fd).filter(is_in_the_way) {
        Some(_) => moved_fds.next().map_or(-1, |moved| moved.as_raw_fd()),
        None => fd.as_raw_fd(),
    });
    let task = Task {
        program,
        args: pointers(program.args),
        env: pointers(program.env),
        descriptors: descriptors.collect(),
        first_free,
        parent: getpid(),
        failure: Cell::new(None),
    };
    let stack = Stack::new().map_err(&create)?;
    let mut pidfd: c_int = -1;
    let before = set_signal_mask(ALL_SIGNALS);
    // SAFETY:
    // * `stack` is mapped and ours alone, is as large as `begin` needs with room to spare, ends in a page that faults,
    //   and is unmapped only after CLONE_VFORK has returned: when the child uses this memory no longer.
    // * `task`, and all it points to, outlives the child's use of it for the same reason; nothing in this thread touches
    //   it meanwhile. `begin` is given what it takes: a `Task`.
    // * The child runs nothing that could meet the rest of this process in an unexpected state: see above.
    // * CLONE_PIDFD writes the descriptor to `pidfd`, which is where the prototype has it.
    let pid = unsafe {
        libc::clone(
            begin,
            stack.top(),
            libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD,
            ptr::from_ref(&task).cast_mut().cast(),
            &raw mut pidfd,
        )
    };
    let made = check(pid.into());
    set_signal_mask(before);
    made.map_err(&create)?;
    let pid = Pid::from_raw(pid).ok_or_else(|| create(Errno::SRCH))?;
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows of it.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    match task.failure.get() {
        None => Ok((pid, pidfd)),
        Some(failure) => {
            // It is ending; nobody but us is to see that it was.
            let _ = retry_on_intr(|| waitpid(Some(pid), WaitOptions::empty()));
            Err(failure)
        }
    }
}

/// What the child works from: made by the parent, in whose memory it stays.
struct Task<'a> {
    program: &'a Program<'a>,
    args: Vec<*const c_char>,
    env: Vec<*const c_char>,
    descriptors: Vec<RawFd>,
    first_free: c_int,
    parent: Pid,
    /// What the child tells its parent, if it does not become the program.
    failure: Cell<Option<Failure>>,
}

/// As execve(2) takes them.
fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect()
}

/// Where the child begins, and, if it does not become the program, ends with what this returns.
extern "C" fn begin(task: *mut c_void) -> c_int {
    // SAFETY: `spawn` passes a `Task`, and waits until we are done with it.
    let task = unsafe { &*task.cast::<Task<'_>>() };
    let Err(failure) = task.run();
    task.failure.set(Some(failure));
    127
}

impl Task<'_> {
    /// Only system calls from here on.
    fn run(&self) -> Result<Infallible, Failure> {
        reset_handlers();
        // Before anything else, so that all of it counts; `0` is whoever writes it.
        if let Some(cgroup) = self.program.cgroup {
            io::write(cgroup, b"0").map_err(Step::Cgroup.failed())?;
        }
        setpgid(None, None).map_err(Step::Group.failed())?;
        self.die_with_parent().map_err(Step::DeathSignal.failed())?;
        if let Some(directory) = self.program.directory {
            chdir(directory).map_err(Step::Directory.failed())?;
        }
        // Before the limits, one of which may be on descriptors.
        self.set_descriptors().map_err(Step::Descriptors.failed())?;
        for (resource, limit) in self.program.limits {
            setrlimit(*resource, *limit).map_err(Step::Limit(*resource).failed())?;
        }
        set_signal_mask(0);
        // SAFETY: all three are NUL-terminated strings, or lists of them that end with a null pointer, and live as long
        // as `self`.
        unsafe { libc::execve(self.program.path.as_ptr(), self.args.as_ptr(), self.env.as_ptr()) };
        Err(Step::Execute.failed()(last_errno()))
    }

    /// KILL, since nobody is left who could follow up a gentler signal with it; and it can be neither handled nor missed.
    fn die_with_parent(&self) -> io::Result<()> {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        match getppid() {
            // It may have gone before we asked, and then nothing would come.
            Some(parent) if parent != self.parent => Err(Errno::SRCH),
            // `None` is a parent in another namespace of processes.
            _ => Ok(()),
        }
    }

    fn set_descriptors(&self) -> io::Result<()> {
        for (fd, target) in self.descriptors.iter().zip(0..) {
            // SAFETY: this replaces a descriptor of the child, whose table is its own (there is no CLONE_FILES). What
            // owns that number in the parent is not affected.
            check(unsafe { libc::dup2(*fd, target) }.into())?;
        }
        let (first, last) = (c_long::from(self.first_free), c_long::from(c_int::MAX));
        // SAFETY: the same for all the others.
        check(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0 as c_long) })
    }
}

/// Every signal is back at its default: what was handled would be by its exec, but what was ignored would stay so.
fn reset_handlers() {
    // The kernel's own structure, larger than it is anywhere: default handler, no flags, empty mask.
    let default = [0_usize; 16];
    for signal in 1..=c_long::from(SIGNALS) {
        // SAFETY: the structure is read only, and the table of handlers is the child's own (there is no CLONE_SIGHAND).
        // libc's function would refuse the signals that it uses itself. KILL and STOP are refused, and are the default.
        unsafe {
            libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), ptr::null_mut::<c_void>(), MASK_SIZE);
        }
    }
}

/// How many signals there are, and how many bytes a set of them has, to the kernel.
const SIGNALS: u8 = 64;
const MASK_SIZE: c_long = 8;
const ALL_SIGNALS: u64 = u64::MAX;

/// Blocks exactly these signals in this thread, and returns what was blocked before.
fn set_signal_mask(mask: u64) -> u64 {
    let mut before = 0;
    let how = c_long::from(libc::SIG_SETMASK);
    // SAFETY: both sets have the size that is given, which is the kernel's. libc's function would leave out the signals
    // that it uses itself, whose handlers must not run in the child either.
    unsafe { libc::syscall(libc::SYS_rt_sigprocmask, how, &raw const mask, &raw mut before, MASK_SIZE) };
    before
}

fn check(result: c_long) -> io::Result<()> {
    if result < 0 { Err(last_errno()) } else { Ok(()) }
}

fn last_errno() -> Errno {
    // SAFETY: the pointer is to a variable of this thread, or, in the child, of the one that waits for it.
    Errno::from_raw_os_error(unsafe { *libc::__errno_location() })
}

/// Whether the kernel forgets the children of this process when they end: then nobody is told how, and their numbers may
/// be those of others at once.
pub(crate) fn forgets_children() -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: there is no new action, and the old one is written to a place of its type, of which zeros are a value.
    let action = unsafe {
        libc::sigaction(libc::SIGCHLD, ptr::null(), action.as_mut_ptr());
        action.assume_init()
    };
    action.sa_sigaction == libc::SIG_IGN || action.sa_flags & libc::SA_NOCLDWAIT != 0
}

/// Reaps a child of ours, if it has ended: its status, and what it used.
pub(crate) fn try_wait4(pid: Pid) -> std::io::Result<Option<(c_int, libc::rusage)>> {
    let mut status: c_int = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both pointers are to places of their types that live until it returns.
    match unsafe { libc::wait4(pid.as_raw_pid(), &raw mut status, libc::WNOHANG, usage.as_mut_ptr()) } {
        -1 => Err(std::io::Error::last_os_error()),
        0 => Ok(None),
        // SAFETY: it is integers only, for which zeros are values.
        _ => Ok(Some((status, unsafe { usage.assume_init() }))),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests;
