//! `qimg digest`: the SHA-256 of what a guest sees of an image.

use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::process::ExitCode;

use qemu_exec::cmd::{Command, CommandLine, Source};
use qemu_exec::{ContentDigest, LocalExecutor, QemuImg};

use crate::args::Options;
use crate::{Error, advice, complain, own, progress, run, term};

/// Prints a line as `sha256sum` does, or, with `--check`, nothing. Exits with 1 if the digest is another, or is not to be
/// had, and with 2 if nothing was tried.
pub(crate) fn digest(options: &Options) -> Result<ExitCode, Error> {
    if options.sudo.is_some() {
        return Err("sudo does not hand over a socket: take the digest as a user who may read the image".into());
    }
    if options.dry_run.is_some() {
        return Err("the digest is no command of qemu-img's: what runs is `info`, and a `convert` into a socket".into());
    }
    let (expected, args) = parse(options.command.iter().skip(1).cloned())?;
    let line = CommandLine::parse(args.iter().cloned()).map_err(|error| own::of("digest", &error))?;
    if ["U", "s", "l", "output"].iter().any(|option| line.has(option)) {
        return Err("a digest is of a whole image that nobody is writing: leave out -U, -s, -l and --output".into());
    }
    let Command::Map(map) = Command::parse(args)? else { return Err("not an image".into()) };
    let source: &Source = map.source();
    let (token, interrupted) = run::cancelled_by_signals()?;
    let executor = LocalExecutor::with_program(options.qemu_img.as_deref().unwrap_or("qemu-img".as_ref()));
    let executor = options.env.iter().fold(executor, |executor, (name, value)| executor.env(name, value));
    let bounds = options.bounds.for_subcommand(line.subcommand());
    let client = QemuImg::new(executor).cancel(token).data_limits(bounds.limits).data_timeout(bounds.timeout);
    let (client, display) = progress::watched(client, options.progress);
    let digest = client.digest(source);
    display.map_or(Ok(()), |display| display.end(digest.is_ok()))?;
    let digest = match digest {
        Ok(digest) => digest,
        Err(error) => {
            let advice = advice::about(&error, None).filter(|_| advice::is_wanted(options.pretty));
            return Ok(run::failed(&error, advice, &interrupted));
        }
    };
    let name = line.operands().next().unwrap_or_default();
    match expected {
        None => {
            let line = as_sha256sum_does(&digest.to_string(), name.as_bytes());
            if term::is_terminal() {
                let line = String::from_utf8_lossy(&line);
                writeln!(std::io::stdout(), "{}", term::printable(line.trim_end_matches('\n')))?;
            } else {
                std::io::stdout().write_all(&line)?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Some(expected) if expected == digest => Ok(ExitCode::SUCCESS),
        Some(expected) => {
            let name = name.display();
            complain(&*Error::from(format!("`{name}` has the digest {digest}, and not {expected}")));
            Ok(ExitCode::from(1))
        }
    }
}

/// Takes `--check` out, and leaves a command line of `map`, of which the image's options are.
fn parse(args: impl Iterator<Item = OsString>) -> Result<(Option<ContentDigest>, Vec<OsString>), Error> {
    let (taken, rest) = own::take_out(args, own::options_of("digest"))?;
    let expected = taken.iter().map(|(option, value)| own::value(option, value)).collect::<Result<Vec<_>, _>>()?;
    Ok((expected.into_iter().next_back(), [vec![OsString::from("map")], rest].concat()))
}

/// A name that would be more than a line is escaped, which a `\` in front tells.
fn as_sha256sum_does(digest: &str, name: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(name.len());
    for byte in name {
        match byte {
            b'\\' => escaped.extend_from_slice(br"\\"),
            b'\n' => escaped.extend_from_slice(br"\n"),
            b'\r' => escaped.extend_from_slice(br"\r"),
            byte => escaped.push(*byte),
        }
    }
    let mark = if escaped.len() > name.len() { "\\" } else { "" };
    [format!("{mark}{digest}  ").as_bytes(), &escaped, b"\n"].concat()
}
