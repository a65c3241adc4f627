//! qemu-img in a container, by a real podman, and the arguments for one and for a service.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use qemu_cmd::{ByteSize, Convert, Format, Info, Invocation, Secret, Source};
use qemu_exec::{
    CancelToken, ContainerExecutor, ErrorKind, Executor, Limit, Limits, Publish, QemuImg, Request, SystemdRunExecutor,
};
use tempfile::TempDir;
use tests::hostile::plain;
use tests::processes::{arguments, is_running, processes_about, wait_until};
use tests::{Kind, content, executable, fifo, qemu_img, scratch, write_fixture};

/// A container of podman that has this directory, and of the machine's programs those under `/usr`: no image could be had
/// without a registry.
struct Podman {
    root: TempDir,
    directory: TempDir,
}

impl Podman {
    fn new() -> Self {
        let root = scratch();
        for name in ["usr", "etc", "proc", "sys", "dev", "tmp", "run"] {
            std::fs::create_dir(root.path().join(name)).unwrap();
        }
        for name in ["bin", "sbin", "lib", "lib64"] {
            std::os::unix::fs::symlink(format!("usr/{name}"), root.path().join(name)).unwrap();
        }
        Self { root, directory: scratch() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn executor(&self) -> ContainerExecutor {
        // Only root can have a root directory of its own without a range of users.
        let program = if rustix::process::geteuid().is_root() {
            "podman".into()
        } else {
            executable(self.root.path(), "#!/bin/sh\nexec sudo -n podman \"$@\"\n")
        };
        let executor = ContainerExecutor::new(program, self.root.path())
            .option("--rootfs")
            .option("--runtime=runc")
            // More than its own limits podman may not give where it lacks the capability for that.
            .option("--ulimit=nofile=1024:1024")
            .option("--ulimit=nproc=1024:1024")
            .share(self.directory.path())
            .share_read_only("/usr")
            .qemu_img(qemu_img());
        match qemu_img().parent().filter(|parent| parent.is_absolute() && !parent.starts_with("/usr")) {
            Some(parent) => executor.share_read_only(parent),
            None => executor,
        }
    }
}

fn info(path: &Path) -> Invocation {
    Info::new(Source::raw(path)).invocation().unwrap()
}

/// The arguments of what would be run; the programs by their names.
fn planned(executor: &dyn Executor, request: &Request<'_>) -> Vec<String> {
    let launch = executor.plan(request).unwrap().launch;
    launch.args.iter().map(|arg| arg.to_str().unwrap().to_owned()).collect()
}

#[test]
fn the_arguments_of_a_container() {
    let invocation = info(Path::new("/vm/a"));
    let request = Request::new(&invocation).limits(Limits::metadata()).timeout(Some(Duration::from_secs(60)));
    let executor = ContainerExecutor::new("podman", "registry/tools:1")
        .share("/vm")
        .share_read_only("/iso")
        .memory(ByteSize::mib(512))
        .option("--cpus=1.5")
        .env("CEPH_ARGS", "-nx");
    let script = "exec 3<&0 </dev/null; \"$@\" 3<&- & c=$!; exec >/dev/null 2>&1; trap \"kill $c\" TERM; \
                  w=; [ -c /dev/fd/3 ] || { { cat <&3; kill $c; } & w=$!; }; wait $c; s=$?; kill $w; [ $s = 143 ] && kill -9 -$c; \
                  [ $s = 137 ] && { while IFS=: read -r n m p; do [ \"$m\" ] || g=$p; done </proc/self/cgroup; \
                  for f in \"/sys/fs/cgroup$g/memory.events\" /sys/fs/cgroup/memory/memory.oom_control; do \
                  while read -r n m; do [ \"$n\" = oom_kill ] && [ \"$m\" != 0 ] && s=254; done <\"$f\"; done; }; exit $s";
    let front = [
        "run",
        "--rm",
        "-i",
        "--pull=never",
        "--network=none",
        "--memory=536870912",
        "--memory-swap=536870912",
        "--mount",
        "type=bind,source=/vm,target=/vm",
        "--mount",
        "type=bind,source=/iso,target=/iso,readonly",
        "--cpus=1.5",
        "--entrypoint=sh",
        "registry/tools:1",
        "-c",
        script,
        "sh",
    ];
    let inner = "env LC_ALL=C LANG=C MALLOC_ARENA_MAX=1 CEPH_ARGS=-nx timeout --kill-after=5 60 prlimit --cpu=30:31 \
                 --as=1073741824 qemu-img info /vm/a --force-share --output=json -f raw";
    let wanted: Vec<_> = front.into_iter().map(str::to_owned).chain(inner.split(' ').map(str::to_owned)).collect();
    assert_eq!(planned(&executor, &request), wanted);
}

#[test]
fn secrets_reach_a_container_on_standard_input() {
    let podman = Podman::new();
    let path = |name| podman.path(name);
    write_fixture(Kind::Luks, &path("luks"));
    let convert = Convert::new(Kind::Luks.source(&path("luks")), Kind::Raw.target(&path("raw")));
    let refused = QemuImg::new(podman.executor()).convert(&convert).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Refused);
    let client = QemuImg::new(podman.executor()).publish(Publish::new().replace(true));
    client.convert(&convert).unwrap();
    assert!(std::fs::read(path("raw")).unwrap() == content());
    let wrong = Convert::new(Source::luks(path("luks"), Secret::new("wrong").unwrap()), Kind::Raw.target(&path("b")));
    assert_eq!(client.convert(&wrong).unwrap_err().kind(), ErrorKind::WrongPassphrase);
}

#[test]
fn what_is_bounded_in_a_container_is_told() {
    let podman = Podman::new();
    // A few bytes that make qemu-img load a table of 128 MiB.
    let bomb = podman.path("bomb");
    plain::qcow().be64(24, 512 << 30).put(32, &[9, 6]).write(&bomb);
    let info = Info::new(Source::new(&bomb, Format::Qcow));
    let client = |executor| QemuImg::new(executor).metadata_limits(Limits::none());
    client(podman.executor().memory(ByteSize::mib(512))).info(&info).unwrap();
    let error = client(podman.executor().memory(ByteSize::mib(64))).info(&info).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitHit(Limit::Memory), "{error:?}");
    assert_eq!(error.to_string(), "the limit of 67108864 bytes on memory was hit");
    assert!(!Path::new("oom").exists(), "the runtime leaves a file here");
    let tight = Limits::none().address_space(ByteSize::mib(128));
    let error = QemuImg::new(podman.executor()).metadata_limits(tight).info(&info).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitHit(Limit::AddressSpace), "{error:?}");
}

#[test]
fn what_a_container_has_not_is_not_there() {
    let podman = Podman::new();
    let elsewhere = scratch();
    let path = elsewhere.path().join("a");
    std::fs::write(&path, [0; 512]).unwrap();
    let info = Info::new(Source::raw(&path));
    assert_eq!(QemuImg::new(podman.executor()).info(&info).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(QemuImg::new(podman.executor().share_read_only(&path)).info(&info).unwrap().virtual_size, 512);
    let missing = podman.executor().qemu_img("no-such-qemu-img");
    assert_eq!(QemuImg::new(missing).info(&info).unwrap_err().kind(), ErrorKind::ProgramMissing);
}

/// Whether qemu-img itself runs with this argument.
fn qemu_img_has(word: &Path) -> bool {
    let is_it =
        |words: Vec<Vec<u8>>| words.first().is_some_and(|program| program == qemu_img().as_os_str().as_encoded_bytes());
    processes_about(word).into_iter().map(arguments).any(is_it)
}

#[test]
fn what_is_cancelled_in_a_container_ends() {
    let podman = Podman::new();
    let fifo = fifo(podman.directory.path());
    let token = CancelToken::new().unwrap();
    let client = QemuImg::new(podman.executor()).cancel(token.clone());
    std::thread::scope(|scope| {
        let error = scope.spawn(|| client.info(&Info::new(Source::raw(&fifo))).unwrap_err());
        // Not only podman: what that is making when it is ended, it leaves.
        assert!(wait_until(|| qemu_img_has(&fifo)));
        token.cancel();
        assert_eq!(error.join().unwrap().kind(), ErrorKind::Cancelled);
    });
    assert!(wait_until(|| !is_running(&fifo)));
    let late = QemuImg::new(podman.executor()).metadata_timeout(Some(Duration::from_secs(1)));
    assert_eq!(late.info(&Info::new(Source::raw(&fifo))).unwrap_err().kind(), ErrorKind::TimedOut);
    assert!(wait_until(|| !is_running(&fifo)));
}

#[test]
fn a_container_can_be_awaited_and_given_up() {
    let podman = Podman::new();
    let (fifo, image) = (fifo(podman.directory.path()), podman.path("a"));
    std::fs::write(&image, [0; 512]).unwrap();
    let client = QemuImg::new(podman.executor()).into_async();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_io().build().unwrap();
    assert_eq!(runtime.block_on(client.info(&Info::new(Source::raw(&image)))).unwrap().virtual_size, 512);
    let waits = Info::new(Source::raw(&fifo));
    let task = runtime.spawn(async move { client.info(&waits).await });
    assert!(wait_until(|| qemu_img_has(&fifo)));
    task.abort();
    assert!(wait_until(|| !is_running(&fifo)));
}

#[test]
fn what_a_container_cannot_be_is_told() {
    let directory = scratch();
    let fails = "#!/bin/sh\necho 'docker: no such image' >&2; exit 125";
    let runtime = executable(directory.path(), fails);
    let invocation = info(Path::new("/a"));
    let error = |executor: ContainerExecutor| executor.run(Request::new(&invocation)).unwrap_err();
    let real = error(Podman::new().executor().option("--no-such-option"));
    assert_eq!(real.kind(), ErrorKind::CouldNotStart, "{real:?}");
    let failed = error(ContainerExecutor::new(&runtime, "image"));
    assert_eq!(failed.kind(), ErrorKind::CouldNotStart);
    assert_eq!(failed.to_string(), "the container could not be started: docker: no such image");
    for path in ["relative", "/a,readonly", "/a\"b", "/a\nb"] {
        assert_eq!(error(ContainerExecutor::new(&runtime, "image").share(path)).kind(), ErrorKind::Refused, "{path}");
    }
    for image in ["", "--privileged"] {
        assert_eq!(error(ContainerExecutor::new(&runtime, image)).kind(), ErrorKind::Refused, "{image}");
    }
}

#[test]
fn the_arguments_of_a_service() {
    let invocation = info(Path::new("/vm/$a"));
    let request = Request::new(&invocation).limits(Limits::metadata()).timeout(Some(Duration::from_secs(60)));
    let executor = SystemdRunExecutor::with_program("no-such-qemu-img").memory(ByteSize::mib(512)).cpu_quota(50);
    let args = planned(&executor, &request);
    let names: Vec<_> = args
        .iter()
        .filter(|arg| !arg.starts_with("exec 3<&0 "))
        .map(|arg| if arg.starts_with("/usr") { Path::new(arg).file_name().unwrap().to_str().unwrap() } else { arg })
        .collect();
    let wanted = "--pipe --wait --collect --quiet --same-dir -p MemoryMax=536870912 -p MemorySwapMax=0 -p OOMPolicy=continue \
                  -p CPUQuota=50% -p RuntimeMaxSec=66 -- /bin/sh -c sh env LC_ALL=C LANG=C MALLOC_ARENA_MAX=1 timeout --kill-after=5 60 \
                  prlimit --cpu=30:31 --as=1073741824 no-such-qemu-img info /vm/$$a --force-share --output=json -f raw";
    assert_eq!(names.join(" "), wanted);
    // So much as systemd can count, and no more: `systemd-analyze timespan` refuses it as a service would.
    let bound = |timeout| {
        let args = planned(&executor, &Request::new(&invocation).timeout(Some(timeout)));
        args.into_iter().find_map(|arg| arg.strip_prefix("RuntimeMaxSec=").map(str::to_owned))
    };
    assert_eq!(bound(Duration::ZERO).as_deref(), Some("6"));
    assert_eq!(bound(Duration::from_millis(1500)).as_deref(), Some("7"));
    let longest = Duration::from_secs(i64::MAX.unsigned_abs() / 1_000_000 - 6);
    for (timeout, expected) in
        [(longest, Some("9223372036854")), (longest + Duration::from_secs(1), None), (Duration::MAX, None)]
    {
        assert_eq!(bound(timeout).as_deref(), expected);
    }
    let own = planned(&executor.user_manager().property("IOWeight=10"), &request).join(" ");
    assert!(own.contains(" --same-dir --user -p ") && own.contains(" -p IOWeight=10 "), "{own}");
}
