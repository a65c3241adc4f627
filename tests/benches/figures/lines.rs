//! What it costs to build a command line and to read one, against the same arguments put together by hand.

use std::ffi::OsString;
use std::hint::black_box;
use std::time::Duration;

use qemu_cmd::{CacheMode, Command, Convert, Format, Luks, Qcow2, Secret, SecretId, Source, Target};

use crate::measure::{Effort, Figure, Limit, Race, timed};

/// A convert between two encrypted images, the longest that people write.
fn command() -> Command {
    let key = |text: &str| Secret::new(text).unwrap();
    let source = Source::new("/srv/images/source.qcow2", Format::Qcow2).key(key("source"));
    let target = Target::new("/srv/images/target.qcow2", Qcow2::new().encryption(Luks::new(key("target"))));
    Convert::new(source, target).target_cache(CacheMode::Writeback).into()
}

fn file(id: &SecretId) -> OsString {
    format!("secret,id={id},file=/run/keys/{id}").into()
}

pub(crate) fn figures(effort: Effort) -> Vec<Figure> {
    let command = command();
    let argv: Vec<OsString> = command.invocation().unwrap().argv(file);
    let texts: Vec<&str> = argv.iter().map(|arg| arg.to_str().unwrap()).collect();
    let by_hand = || texts.iter().map(|arg| format!("{}{}", &arg[..arg.len() / 2], &arg[arg.len() / 2..]).into());
    // So many at once, so that the clock costs nothing.
    const AT_ONCE: u32 = 20;
    let each = |time: Duration| time / AT_ONCE;
    Race::against("the same arguments by `format!`", || {
        each(timed(|| (0..AT_ONCE).for_each(|_| _ = black_box(by_hand().collect::<Vec<OsString>>()))))
    })
    .with("build a convert with two keys", Limit::Time(Duration::from_micros(5)), || {
        each(timed(|| (0..AT_ONCE).for_each(|_| _ = black_box(command.invocation()))))
    })
    .with("parse it", Limit::Time(Duration::from_micros(20)), || {
        let lines: Vec<_> = (0..AT_ONCE).map(|_| argv.clone()).collect();
        each(timed(|| lines.into_iter().for_each(|line| _ = black_box(Command::parse(line)))))
    })
    .run(effort.rounds(500))
}
