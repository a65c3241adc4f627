//! qemu-img in a container or a service: the arguments, and what runs of them without a daemon.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::path::Path;
use std::time::Duration;

use qemu_cmd::{ByteSize, Convert, Info, Invocation, Source};
use qemu_exec::{
    CancelToken, ContainerExecutor, ErrorKind, Executor, Limits, Publish, QemuImg, Request, SystemdRunExecutor,
};
use tests::sshd::wait_until;
use tests::{Kind, content, executable, fifo, is_running, qemu_img, scratch, write_fixture};

/// Runs on this machine what podman or docker would run in a container, out of reach of signals to the runtime.
const RUNTIME: &str = r#"#!/bin/sh
while [ "${1#--entrypoint=}" = "$1" ]; do shift; done
program=${1#--entrypoint=}
shift 2
exec setsid --wait "$program" "$@"
"#;

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
                  { cat <&3; kill $c; } & w=$!; wait $c; s=$?; kill $w; [ $s = 143 ] && kill -9 -$c; exit $s";
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
    let directory = scratch();
    let path = |name: &str| directory.path().join(name);
    write_fixture(Kind::Luks, &path("luks"));
    let executor = ContainerExecutor::new(executable(directory.path(), RUNTIME), "image").qemu_img(qemu_img());
    let convert = Convert::new(Kind::Luks.source(&path("luks")), Kind::Raw.target(&path("raw")));
    let refused = QemuImg::new(&executor).convert(&convert).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Refused);
    QemuImg::new(&executor).publish(Publish::new().replace(true)).convert(&convert).unwrap();
    assert!(std::fs::read(path("raw")).unwrap() == content());
}

#[test]
fn what_is_cancelled_in_a_container_ends() {
    let directory = scratch();
    let fifo = fifo(directory.path());
    let executor = ContainerExecutor::new(executable(directory.path(), RUNTIME), "image").qemu_img(qemu_img());
    let token = CancelToken::new().unwrap();
    let client = QemuImg::new(executor).cancel(token.clone());
    std::thread::scope(|scope| {
        let error = scope.spawn(|| client.info(&Info::new(Source::raw(&fifo))).unwrap_err());
        assert!(wait_until(|| is_running(&fifo)));
        token.cancel();
        assert_eq!(error.join().unwrap().kind(), ErrorKind::Cancelled);
    });
    assert!(wait_until(|| !is_running(&fifo)));
}

#[test]
fn what_a_container_cannot_be_is_told() {
    let directory = scratch();
    let fails = "#!/bin/sh\necho 'docker: no such image' >&2; exit 125";
    let runtime = executable(directory.path(), fails);
    let invocation = info(Path::new("/a"));
    let error = |executor: ContainerExecutor| executor.run(Request::new(&invocation)).unwrap_err();
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
        .map(|arg| if arg.starts_with("/usr") { Path::new(arg).file_name().unwrap().to_str().unwrap() } else { arg })
        .collect();
    let wanted = "--pipe --wait --collect --quiet --same-dir -p MemoryMax=536870912 -p MemorySwapMax=0 -p CPUQuota=50% \
                  -p RuntimeMaxSec=66 -- env LC_ALL=C LANG=C MALLOC_ARENA_MAX=1 timeout --kill-after=5 60 \
                  prlimit --cpu=30:31 --as=1073741824 no-such-qemu-img info /vm/$$a --force-share --output=json -f raw";
    assert_eq!(names.join(" "), wanted);
    let own = planned(&executor.user_manager().property("IOWeight=10"), &request).join(" ");
    assert!(own.contains(" --same-dir --user -p ") && own.contains(" -p IOWeight=10 "), "{own}");
}

/// Where systemd is, a service runs; where it is not, that is what is said.
#[test]
fn a_service_runs_or_says_why_not() {
    let directory = scratch();
    let path = directory.path().join("a");
    std::fs::write(&path, [0; 512]).unwrap();
    let result = QemuImg::new(SystemdRunExecutor::with_program(qemu_img())).info(&Info::new(Source::raw(&path)));
    if Path::new("/run/systemd/system").exists() {
        assert_eq!(result.unwrap().virtual_size, 512);
    } else {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CouldNotStart, "{error:?}");
    }
}
