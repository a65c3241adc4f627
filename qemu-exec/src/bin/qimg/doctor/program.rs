//! qemu-img: which one, what it can do, how it is started, and in how little memory it works.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use qemu_exec::cmd::{ByteSize, CommandLine, Format, QemuVersion, Subcommand};
use qemu_exec::info::inspect::ImageFormat;
use qemu_exec::{End, Executor, Limits, LocalExecutor, Outcome, QemuImg, Request};
use serde_json::json;

use super::{Found, State};
use crate::term::size;

/// The versions that everything said here was confirmed with.
const OLDEST: &str = "5.2";

/// What can lie elsewhere: block drivers that are often packaged apart, by what they are called in places.
const DRIVERS: &[&str] = &["nbd", "ssh", "https", "rbd", "iscsi", "nfs", "gluster"];

/// What `info` has by default, and what is tried below that, in mebibytes.
const MEMORY: &[u64] = &[1024, 512, 256, 128, 64, 48, 32];

/// No question takes longer.
const TIMEOUT: Duration = Duration::from_secs(10);

pub(super) fn look(qemu_img: &Path) -> Vec<Found> {
    let native = LocalExecutor::with_program(qemu_img);
    let portable = LocalExecutor::with_program(qemu_img).portable();
    let (version, started) = match QemuImg::new(&native).qemu_version() {
        Ok(version) => (
            version,
            Found::new("start", State::Good, "natively: limits hold, secrets go by descriptor, and it ends with us"),
        ),
        Err(error) => match QemuImg::new(&portable).qemu_version() {
            Ok(version) => {
                let started = Found::new("start", State::Bad, crate::one_line(&error))
                    .remedy("a sandbox lacks clone or close_range: only a library's `LocalExecutor::portable` works");
                (version, started)
            }
            Err(_) => {
                let missing = Found::new("qemu-img", State::Bad, crate::one_line(&error));
                return vec![missing.remedy("install it, or name one with `qimg --qemu-img PATH`")];
            }
        },
    };
    let mut found = vec![version_found(version, &native), formats(&portable), drivers(&portable), started];
    found.push(memory(&native));
    found
}

fn version_found(version: Option<QemuVersion>, executor: &LocalExecutor) -> Found {
    let program =
        invocation(&["info", "/dev/null"]).and_then(|invocation| executor.plan(&Request::new(&invocation)).ok());
    let program = program.map_or_else(String::new, |plan| plan.launch.program.display().to_string());
    let Some(version) = version else {
        return Found::new("qemu-img", State::Note, format!("{program}, which tells no version"))
            .remedy("nothing is refused for its version then; qemu-img itself will")
            .values(json!({"path": program, "version": null}));
    };
    let values = json!({"path": program, "version": version.to_string()});
    let found = Found::new("qemu-img", State::Good, format!("{version}, {program}")).values(values);
    match OLDEST.parse::<QemuVersion>() {
        Ok(oldest) if version < oldest => Found { state: State::Note, ..found }
            .remedy(format!("nothing older than {OLDEST} was ever tried: update it")),
        _ => found,
    }
}

fn invocation(args: &[&str]) -> Option<qemu_exec::cmd::Invocation> {
    CommandLine::parse(args.iter().map(OsString::from)).ok()?.invocation().ok()
}

/// Runs a command that reads no image.
fn ask(executor: &LocalExecutor, args: &[&str], limits: Limits) -> Option<Outcome> {
    let invocation = invocation(args)?;
    executor.run(Request::new(&invocation).limits(limits).timeout(Some(TIMEOUT))).ok()
}

/// Which formats it makes, and which it only reads.
fn formats(executor: &LocalExecutor) -> Found {
    let all = Format::ALL.iter().map(|format| format.as_str());
    let inspected = ImageFormat::ALL.iter().filter_map(|format| format.driver());
    let mut names: Vec<_> = all.chain(inspected).collect();
    names.sort_unstable();
    names.dedup();
    let (mut made, mut read, mut missing) = (Vec::new(), Vec::new(), Vec::new());
    for name in names {
        let Some(outcome) = ask(executor, &["create", "-f", name, "-o", "help"], Limits::none()) else { continue };
        let said = String::from_utf8_lossy(&outcome.stderr).into_owned();
        if outcome.success() {
            made.push(name);
        } else if said.contains("does not support image creation") {
            read.push(name);
        } else {
            missing.push(name);
        }
    }
    let values = json!({"made": made, "read": read, "missing": missing});
    let text = format!("{}; only read: {}", made.join(" "), read.join(" "));
    let found = Found::new("formats", State::Good, text).values(values);
    if missing.is_empty() {
        found
    } else {
        Found { state: State::Note, ..found }.remedy(format!("this build lacks {}: use another one", missing.join(" ")))
    }
}

/// Which places it reaches.
fn drivers(executor: &LocalExecutor) -> Found {
    let here = |name: &&&str| {
        let driver = format!("driver={name}");
        let outcome = ask(executor, &["info", "--image-opts", &driver], Limits::none());
        let said = outcome.map(|outcome| String::from_utf8_lossy(&outcome.stderr).into_owned());
        said.is_some_and(|said| !said.contains("Unknown driver") && !said.contains("Unable to load module"))
    };
    let (here, missing): (Vec<_>, Vec<_>) = DRIVERS.iter().partition(here);
    let values = json!({"here": here, "missing": missing});
    let text = |names: &[&&str]| names.iter().map(|name| **name).collect::<Vec<_>>().join(" ");
    if missing.is_empty() {
        return Found::new("drivers", State::Good, text(&here)).values(values);
    }
    Found::new("drivers", State::Note, format!("{}; not here: {}", text(&here), text(&missing)))
        .remedy("images over these need qemu-block-extra (Debian, Ubuntu), qemu-block-* (Fedora, SUSE, Arch) or a build with them")
        .values(values)
}

/// The least memory in which it describes an image, and in which it copies one.
fn memory(executor: &LocalExecutor) -> Found {
    let nothing = "driver=null-co,size=64M,read-zeroes=on";
    let info = ["info", "-f", "raw", "/dev/null"];
    let convert = ["convert", "--image-opts", "-n", "--target-image-opts", nothing, nothing];
    let least = |args: &[&str]| {
        let works = |mib: &u64| {
            let limits = Limits::none().address_space(ByteSize::mib(*mib));
            ask(executor, args, limits).is_some_and(|outcome| outcome.end == End::Exited(0))
        };
        MEMORY.iter().copied().take_while(works).last()
    };
    let (info, convert) = (least(&info), least(&convert));
    let values = json!({"info": info.map(|mib| mib << 20), "convert": convert.map(|mib| mib << 20)});
    let text = |mib: Option<u64>| mib.map_or_else(|| "not even 1 GiB".to_owned(), |mib| size(mib << 20));
    let said = format!("{} works in {}, a small convert in {}", Subcommand::Info.as_str(), text(info), text(convert));
    let found = Found::new("memory", State::Good, said).values(values);
    if info.is_some() && convert.is_some() {
        return found;
    }
    Found { state: State::Bad, ..found }
        .remedy("info runs within 1 GiB of address space: give more with --limit-memory")
}
