//! The way out of a failure: a line for people below what qemu-img says, which a program never sees.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use qemu_exec::cmd::{Invocation, Location, Subcommand, shell_quote};
use qemu_exec::info::inspect::{Code, Inspection, Policy, inspect_file};
use qemu_exec::{Error, ErrorKind, Limit};
use rustix::fs::statvfs;

use crate::chain::{Reach, Trouble, walk};
use crate::own::{COMMANDS, OPTIONS, nearest};
use crate::table::offered;
use crate::term::size;
use crate::view::Pretty;
use crate::{inspect, term};

/// What can be done about it, if something can that is not plain from what was said.
pub(crate) fn about(error: &Error, invocation: Option<&Invocation>) -> Option<String> {
    let only = || invocation?.reads().iter().chain(invocation?.writes()).find_map(Location::path);
    let path = error.subject().or_else(only);
    let image = path.map_or_else(|| "the image".to_owned(), |path| format!("`{}`", path.display()));
    let named = path.map_or_else(|| "IMAGE".to_owned(), written);
    let subcommand = invocation.and_then(|invocation| Subcommand::from_name(invocation.subcommand()));
    let said = |words: &str| error.stderr().contains(words);
    Some(match error.kind() {
        ErrorKind::NotFound if said("snapshot") => format!("`qimg snapshot -l {named}` lists those that there are"),
        ErrorKind::NotFound if said("bitmap") => format!("`qimg info {named}` lists those that there are"),
        ErrorKind::NotFound => return not_found(path?),
        ErrorKind::PermissionDenied if said("Read-only file system") => {
            format!(
                "{image} is on a file system that is mounted read-only: name another place, or mount it for writing"
            )
        }
        ErrorKind::PermissionDenied => format!(
            "{}: `qimg --sudo …` runs qemu-img as root, `--sudo=USER` as another",
            path.and_then(owner).unwrap_or_else(|| format!("we may not open {image} so"))
        ),
        ErrorKind::WrongFormat => return wrong_format(path?, error.stderr()),
        ErrorKind::WrongPassphrase => format!(
            "no key slot of {image} opens with it: of a file every byte counts, a line end too (printf %s, not echo)"
        ),
        ErrorKind::KeyNeeded => {
            format!("{image} is encrypted: --object secret,id=k,file=KEYFILE --image-opts {}", key_options(path?))
        }
        ErrorKind::Locked if subcommand.is_some_and(takes_force_share) => {
            format!("{image} is in use, as by a running machine: stop that, or read with -U what may be half written")
        }
        ErrorKind::Locked => format!("{image} is in use, as by a running machine: stop that, and try again"),
        ErrorKind::NoSpace => {
            let written = invocation.and_then(|invocation| invocation.writes().first()?.path());
            format!("{}: `qimg measure` tells what an image needs", room(written.or(path)?)?)
        }
        ErrorKind::BackingLoop => format!("`qimg chain {named}` shows where it goes round"),
        ErrorKind::TargetTooSmall => "`qimg resize` makes the target larger, `qimg measure` tells how large".to_owned(),
        ErrorKind::LimitHit(limit) => format!("{} raises it, and `none` is no limit", limit_option(limit)?),
        ErrorKind::TimedOut if path.is_some_and(is_fifo) => format!("{image} is a FIFO that nobody writes to"),
        ErrorKind::TimedOut => "--timeout SECONDS gives it longer, and `none` is for ever".to_owned(),
        ErrorKind::AlreadyExists => format!("--replace replaces {image}"),
        ErrorKind::Unsupported => {
            like_a_place(error.stderr()).unwrap_or_else(|| "`qimg doctor` tells what this qemu-img has".to_owned())
        }
        ErrorKind::SudoRefused => {
            "`sudo -v` lets it in for a while, a rule with NOPASSWD in sudoers(5) for good".to_owned()
        }
        ErrorKind::Failed => return of_others(error, path),
        _ => return None,
    })
}

/// What can be done about what has no kind of its own.
fn of_others(error: &Error, path: Option<&Path>) -> Option<String> {
    let said = |words: &str| error.stderr().contains(words);
    if said("without backing format") {
        return Some("-F FORMAT names the format of the backing file; `qimg inspect` tells what that is".to_owned());
    }
    if said("Invalid parameter") {
        return Some("in a list of options a comma that belongs to a value is written twice: `a,,b.raw`".to_owned());
    }
    let path = path?;
    if path.is_dir() {
        return Some(format!("`{}` is a directory: name an image in it", path.display()));
    }
    (path.is_file() && said("Could not open")).then(|| look_at(path))
}

fn look_at(path: &Path) -> String {
    format!("`qimg inspect {}` tells what its bytes say", written(path))
}

/// A name as it stands on a command line, where one that begins with a dash would be an option.
fn written(path: &Path) -> String {
    match path.as_os_str().as_encoded_bytes() {
        [b'-', ..] => shell_quote(Path::new(".").join(path).as_os_str()),
        _ => shell_quote(path.as_os_str()),
    }
}

/// What can be done about an image that an import refuses.
pub(crate) fn about_refusal(path: &Path, inspection: &Inspection) -> String {
    let codes = inspection.findings().iter().map(|finding| finding.code);
    let codes: BTreeSet<_> = codes.filter(|code| *code != Code::FormatMismatch).map(Code::as_str).collect();
    if codes.is_empty() {
        // A partition table is in a raw image, for qemu-img.
        let format = inspection.format();
        let format = format.driver().unwrap_or(format.as_str());
        return format!("-f {format} accepts it, if that is what it was to be");
    }
    let grants: Vec<_> = codes.iter().map(|code| format!("--grant {code}")).collect();
    format!("{}; if you know why it is so, {} accepts it", look_at(path), grants.join(" "))
}

/// What may have been meant by a command line that was refused as `why`.
pub(crate) fn about_line(command: &[OsString], why: &str) -> Option<String> {
    let (name, args) = command.split_first()?;
    let like = || COMMANDS.iter().find(|own| name == own.name)?.like;
    let Some(subcommand) = Subcommand::from_name(name).or_else(like) else {
        let commands = COMMANDS.iter().map(|command| command.name);
        let meant = nearest(name.to_str()?, Subcommand::NAMES.iter().copied().chain(commands))?;
        return Some(format!("`{meant}` may have been meant"));
    };
    if !why.contains("there is no option") {
        return None;
    }
    if let Some(own) = OPTIONS.iter().find(|own| why.contains(&format!("`--{}`", own.long))) {
        return Some(format!("`--{}` is qimg's own, and stands before `{}`", own.long, name.display()));
    }
    if let Some(file) = args.iter().find(|arg| arg.as_encoded_bytes().starts_with(b"-") && Path::new(arg).is_file()) {
        return Some(format!("the file of that name is {}", written(file.as_ref())));
    }
    let wrong = args.iter().filter_map(|arg| arg.to_str()).find(|arg| why.contains(&format!("`{arg}`")));
    let meant = wrong.and_then(|wrong| nearest(wrong, subcommand.options().iter().flat_map(offered)));
    Some(match meant {
        Some(meant) => format!("`{meant}` may have been meant"),
        None => format!("`qimg {} --help` lists the options", subcommand.as_str()),
    })
}

/// What is not there: the image, its directory, or something that it names.
fn not_found(path: &Path) -> Option<String> {
    let whole = std::path::absolute(path).ok()?;
    if whole.symlink_metadata().is_ok() {
        let name = written(path);
        let links = walk(path, None, Reach::Directory);
        let missing = links.iter().find(|link| matches!(link.trouble(), Some(Trouble::Missing)))?.path.clone()?;
        let missing = missing.display();
        return Some(format!(
            "`{missing}`, which it is based on, is missing: `qimg rebase -u -b NAME -F FORMAT {name}` names another"
        ));
    }
    let directory = whole.parent()?;
    if !directory.is_dir() {
        return Some(format!("there is no directory `{}`", directory.display()));
    }
    let others = std::fs::read_dir(directory).ok()?.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    Some(match nearest(whole.file_name()?.to_str().unwrap_or_default(), others.take(1000)) {
        Some(other) => format!("there is no `{}`, but `{other}`", whole.display()),
        None => format!("there is no `{}`", whole.display()),
    })
}

/// Whose a file is that may not be opened.
fn owner(path: &Path) -> Option<String> {
    let of = path.metadata().ok()?;
    let mode = of.permissions().mode() & 0o7777;
    Some(format!("`{}` belongs to user {} with mode {mode:03o}", path.display(), of.uid()))
}

fn is_fifo(path: &Path) -> bool {
    path.metadata().is_ok_and(|meta| meta.file_type().is_fifo())
}

/// What it is by its bytes; if it is what it was read as, that is not what is wrong with it.
fn wrong_format(path: &Path, said: &str) -> Option<String> {
    let inspection = inspect_file(&inspect::open(path.as_os_str()).ok()?, &Policy::facts_only()).ok()?;
    let is = inspection.format();
    let name = path.display();
    let Some(driver) = is.driver() else {
        return Some(format!("by its bytes `{name}` is {is}, which no qemu-img reads"));
    };
    if said.contains("Unsupported") {
        return Some(format!("a newer qemu-img may read it; {}", look_at(path)));
    }
    let said = said.replace(&*path.to_string_lossy(), "");
    if said.contains(driver) && !said.contains(&format!("not in {driver}")) {
        return Some(look_at(path));
    }
    let more = if is.as_str() == driver { String::new() } else { format!(" ({is})") };
    Some(format!("by its bytes `{name}` is {driver}{more}: -f {driver} reads it so"))
}

/// How an image is named together with its key.
fn key_options(path: &Path) -> String {
    let inspection = inspect::open(path.as_os_str()).and_then(|file| inspect_file(&file, &Policy::facts_only()));
    let format = inspection.map_or("FORMAT", |inspection| inspection.format().as_str());
    let key = if format == "luks" { "key-secret" } else { "encrypt.key-secret" };
    // In a list, a comma is written twice.
    let name = path.display().to_string().replace(',', ",,");
    let list = format!("driver={format},{key}=k,file.filename={name}");
    shell_quote(list.as_ref())
}

/// The file whose name qemu takes for that of a place elsewhere.
fn like_a_place(said: &str) -> Option<String> {
    let (_, said) = said.split_once("Could not open '")?;
    let (name, _) = said.split_once("': Unknown protocol")?;
    let file = Path::new(".").join(name);
    file.exists().then(|| format!("the file of that name is {}", shell_quote(file.as_os_str())))
}

/// What is free where the image is to be.
fn room(path: &Path) -> Option<String> {
    let whole = std::path::absolute(path).ok()?;
    let directory = whole.parent()?;
    let free = statvfs(directory).ok().map(|stat| stat.f_bavail.saturating_mul(stat.f_frsize))?;
    Some(format!("`{}` has {} free", directory.display(), size(free)))
}

const fn limit_option(limit: Limit) -> Option<&'static str> {
    match limit {
        Limit::Cpu => Some("--limit-cpu SECONDS"),
        Limit::AddressSpace => Some("--limit-memory BYTES"),
        _ => None,
    }
}

/// Whether a person reads what goes wrong.
pub(crate) fn is_wanted(pretty: Pretty) -> bool {
    pretty.is_wanted(term::is_read_by_a_person())
}

fn takes_force_share(subcommand: Subcommand) -> bool {
    subcommand.options().iter().any(|spec| spec.is("U"))
}
