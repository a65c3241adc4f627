//! What it costs to build a command line and to read one.
//!
//! For a convert between two encrypted images, building is to take less than 5 µs and reading less than 20 µs on a
//! machine that does nothing else: nothing beside the start of a process.

#![allow(clippy::expect_used)]

use std::ffi::OsString;
use std::time::Duration;

use divan::{Bencher, black_box};
use qemu_cmd::{
    CacheMode, CipherAlg, CipherMode, Command, CommandLine, Convert, Format, HashAlg, Info, IvgenAlg, Luks, Qcow2,
    Secret, Source, Target,
};

fn main() {
    divan::main();
}

const NAMES: &[&str] = &["encrypted", "plain", "info"];

fn command(name: &str) -> Command {
    match name {
        "encrypted" => {
            let key = |text: &str| Secret::new(text).expect("a passphrase");
            let luks = Luks::new(key("target"))
                .cipher(CipherAlg::Aes256)
                .mode(CipherMode::Xts)
                .hash(HashAlg::Sha256)
                .ivgen(IvgenAlg::Plain64)
                .ivgen_hash(HashAlg::Sha256)
                .iter_time(Duration::from_millis(2000));
            let source = Source::new("/srv/images/source.qcow2", Format::Qcow2).key(key("source"));
            let target = Target::new("/srv/images/target.qcow2", Qcow2::new().encryption(luks));
            Convert::new(source, target).target_cache(CacheMode::Writeback).out_of_order(true).coroutines(16).into()
        }
        "plain" => Convert::new(Source::raw("a"), Target::new("b", Qcow2::new())).into(),
        _ => Info::new(Source::new("a", Format::Qcow2)).into(),
    }
}

/// The arguments as people write them, with the keys in files.
fn argv(name: &str) -> Vec<OsString> {
    let file = |id: &qemu_cmd::SecretId| format!("secret,id={id},file=/run/keys/{id}").into();
    command(name).invocation().expect("a command").argv(file)
}

fn line(name: &str) -> CommandLine {
    CommandLine::parse(argv(name)).expect("a command line")
}

#[divan::bench(args = NAMES)]
fn invocation(bencher: Bencher<'_, '_>, name: &str) {
    let command = command(name);
    bencher.bench_local(|| black_box(&command).invocation());
}

#[divan::bench(args = NAMES)]
fn parse(bencher: Bencher<'_, '_>, name: &str) {
    bencher.with_inputs(|| argv(name)).bench_local_values(Command::parse);
}

#[divan::bench(args = NAMES)]
fn parse_line(bencher: Bencher<'_, '_>, name: &str) {
    bencher.with_inputs(|| argv(name)).bench_local_values(CommandLine::parse);
}

#[divan::bench(args = NAMES)]
fn explain(bencher: Bencher<'_, '_>, name: &str) {
    let line = line(name);
    bencher.bench_local(|| black_box(&line).explain());
}

#[divan::bench(args = NAMES)]
fn lint(bencher: Bencher<'_, '_>, name: &str) {
    let line = line(name);
    bencher.bench_local(|| black_box(&line).lint());
}
