//! `cargo xtask harness`: what a qemu-img accepts, refuses and gets wrong.

#![allow(clippy::print_stdout)]

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use lexopt::Arg::Long;
use lexopt::ValueExt as _;
use qemu_cmd::Format;
use qemu_exec::LocalExecutor;
use tests::harness::{Image, Options, run};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let (mut program, mut options, mut json) = (PathBuf::from("qemu-img"), Options::default(), false);
    let mut formats: Vec<Format> = Vec::new();
    let mut args = lexopt::Parser::from_env();
    while let Some(arg) = args.next()? {
        match arg {
            Long("qemu-img") => program = args.value()?.into(),
            Long("cases") => options.cases = args.value()?.parse()?,
            Long("seed") => options.seed = args.value()?.parse()?,
            Long("format") => formats.push(args.value()?.string()?.parse()?),
            Long("output") => {
                json = args.value()?.parse_with(|output| match output {
                    "json" => Ok(true),
                    "human" => Ok(false),
                    _ => Err("`human` or `json`"),
                })?
            }
            other => return Err(other.unexpected().into()),
        }
    }
    if !formats.is_empty() {
        options.images = Image::ALL.into_iter().filter(|image| formats.contains(&image.format)).collect();
    }
    let report = run(|directory| LocalExecutor::with_program(&program).current_dir(directory), &options)?;
    if json {
        println!("{:#}", report.to_json());
    } else {
        print!("{report}");
    }
    Ok(if report.wrong() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
