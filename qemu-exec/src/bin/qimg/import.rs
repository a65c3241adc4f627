//! `qimg import`: the guarded way in for an image from a stranger.

use std::ffi::OsString;
use std::process::ExitCode;

use qemu_exec::cmd::{Command, CommandLine, Key};
use qemu_exec::info::inspect::{ImageFormat, InspectError, Inspected, Policy};
use qemu_exec::{ErrorKind, Import, LocalExecutor, Publish, QemuImg};

use crate::args::Options;
use crate::{Error, advice, complain, inspect, own, progress, run, secrets};

/// What an import is told beside what a convert is.
struct Asked {
    policy: Policy,
    key: Option<Key>,
    replace: bool,
    /// The options and operands of a convert.
    convert: Vec<OsString>,
}

/// Exits with 1 if the image is refused, and with 2 if it was not looked at.
pub(crate) fn import(options: &Options) -> Result<ExitCode, Error> {
    if options.sudo.is_some() {
        return Err("sudo does not hand over an open file: import as the user who is to own the image".into());
    }
    if options.dry_run.is_some() {
        return Err(
            "what an import runs depends on the image: look with inspect, and at a convert with --dry-run".into()
        );
    }
    let asked = Asked::parse(options.command.iter().skip(1).cloned())?;
    let line = CommandLine::parse(asked.convert.iter().cloned()).map_err(|error| own::of("import", &error))?;
    for (option, why) in [
        ("image-opts", "an import takes the image by its name"),
        ("n", "an import makes a new image"),
        ("l", "an import takes the image as it is now, not a snapshot of it"),
        ("U", "an image that is being written cannot be imported"),
    ] {
        if line.has(option) {
            return Err(why.into());
        }
    }
    let claimed = line.value("f").and_then(|name| name.to_str()).map(str::parse::<ImageFormat>).transpose()?;
    let Command::Convert(convert) = Command::parse(asked.convert).map_err(|error| own::of("import", &error))? else {
        return Err("not an import".into());
    };
    let [source] = convert.sources().collect::<Vec<_>>()[..] else { return Err("an import takes one image".into()) };
    let path = source.location().path().ok_or("an import takes a file: if a colon is in its name, write ./NAME")?;

    let policy = claimed.into_iter().fold(asked.policy, Policy::claimed);
    let file =
        inspect::open(path.as_os_str()).map_err(|error| format!("`{}` could not be read: {error}", path.display()))?;
    let image = match Inspected::new(file, &policy) {
        Ok(image) => image,
        Err(InspectError::Refused(inspection)) => {
            for finding in inspection.findings() {
                complain(&*Error::from(format!("`{}` is refused: {finding}", path.display())));
            }
            if advice::is_wanted(options.pretty) {
                complain(&*Error::from(advice::about_refusal(path, &inspection)));
            }
            return Ok(ExitCode::from(1));
        }
        Err(error) => return Err(error.into()),
    };
    let import = asked.key.into_iter().fold(Import::like(convert.clone()), Import::key);
    let (token, interrupted) = run::cancelled_by_signals()?;
    let program = options.qemu_img.as_deref().unwrap_or("qemu-img".as_ref());
    let executor = LocalExecutor::with_program(program);
    let executor = options.env.iter().fold(executor, |executor, (name, value)| executor.env(name, value));
    let bounds = options.bounds.for_import();
    let client = QemuImg::new(executor).publish(Publish::new().replace(asked.replace)).cancel(token);
    let client = client.data_limits(bounds.limits).data_timeout(bounds.timeout);
    // What qemu-img reports by itself is not printed here.
    let wanted = (options.progress || line.has("p")) && !line.has("q");
    let (client, display) = progress::watched(client, wanted);
    let imported = client.import(&image, import);
    display.map_or(Ok(()), |display| display.end(imported.is_ok()))?;
    match imported {
        Ok(_) => Ok(ExitCode::SUCCESS),
        Err(error) => {
            let advice = match error.kind() {
                ErrorKind::KeyNeeded => Some("--key-file FILE gives its passphrase".to_owned()),
                _ => advice::about(&error, None),
            };
            Ok(run::failed(&error, advice.filter(|_| advice::is_wanted(options.pretty)), &interrupted))
        }
    }
}

impl Asked {
    fn parse(args: impl Iterator<Item = OsString>) -> Result<Self, Error> {
        let (taken, rest) = own::take_out(args, own::options_of("import"))?;
        let convert = [vec![OsString::from("convert")], rest].concat();
        let mut asked = Self { policy: Policy::untrusted(), key: None, replace: false, convert };
        for (option, value) in taken {
            match option {
                "key-file" => asked.key = Some(secrets::key(value.into())?),
                "replace" => asked.replace = true,
                _ => asked.policy = inspect::allowing(asked.policy, option, &value)?,
            }
        }
        Ok(asked)
    }
}
