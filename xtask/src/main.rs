//! Developer commands, run as `cargo xtask COMMAND`: what a person or CI needs around the
//! libraries, none of which it uses itself, so that it still runs when they do not compile.

mod bench;
mod ci;
mod crates;
mod demo;
mod fuzz;
mod harness;
mod install;
mod options;
mod packages;
mod run;
mod test;
mod versions;

use std::env;
use std::ffi::OsString;
use std::process::ExitCode;

use run::Error;

/// What `cargo xtask help` prints.
const USAGE: &str = "\
usage: cargo xtask COMMAND

  demo [IMAGE]               encrypt IMAGE, or a small disk made for the occasion, decrypt it, and compare; installs
                             qemu-img first if it is missing
  test [--long] [-- ARGS]    install what the tests lack and run them all; --long adds the slow ones,
                             ARGS go to `cargo test`, as in `cargo xtask test -- -- --nocapture`
  options [QEMU_IMG…]        compare the option table with what each qemu-img takes and lists: the one in PATH, the one
                             that QEMU_IMG names, and those given
  bench [GROUP…] [--quick] [--save]
                             measure every figure that this project claims beside its yardstick, or those of some groups
                             (lines inspect map spawn large-parent convert); --save writes the page and the plot of
                             today to docs/bench
  fuzz [TARGET] [--seconds N]
                             fuzz one parser, or each in turn, for N seconds (10); what it finds stays in target/fuzz
  versions [QEMU_IMG…]       run the tests of what qemu-img says against each of these, or else against 5.2, 7.2, 10.0 and
                             11 from Debian, unpacked in target/qemu-img
  harness [--qemu-img PATH] [--format F]… [--cases N] [--seed N] [--output=json]
                             what a qemu-img accepts, refuses and gets wrong: every operation on every format, encrypted or
                             not, with the content compared, and N generated commands (12) of each subcommand
  ci                         everything that CI checks, in the same way
  help                       this text

QEMU_IMG=/path/to/qemu-img in the environment makes demo and test use that program.
";

fn main() -> ExitCode {
    let mut args = env::args_os().skip(1);
    let command = args.next().unwrap_or_default();
    match dispatch(&command, args.collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            if matches!(error, Error::Usage(_)) {
                eprint!("\n{USAGE}");
            }
            ExitCode::from(error.exit_code())
        }
    }
}

/// Runs the command of that name; no name at all is a question, not a mistake.
fn dispatch(command: &OsString, args: Vec<OsString>) -> Result<(), Error> {
    let wants_help = args.iter().take_while(|arg| *arg != "--").any(|arg| arg == "-h" || arg == "--help");
    match command.to_str() {
        Some("" | "help" | "-h" | "--help") => print_usage(),
        Some("demo" | "test" | "options" | "bench" | "fuzz" | "harness" | "versions" | "ci") if wants_help => {
            print_usage()
        }
        Some("demo") => demo::command(args),
        Some("test") => test::command(args),
        Some("options") => options::command(args),
        Some("bench") => bench::command(args),
        Some("fuzz") => fuzz::command(args),
        Some("harness") => harness::command(args),
        Some("versions") => versions::command(args),
        Some("ci") => ci::command(&args),
        _ => Err(Error::Usage(format!("no command `{}`", command.display()))),
    }
}

/// Prints the usage where a person who asked for it looks.
fn print_usage() -> Result<(), Error> {
    print!("{USAGE}");
    Ok(())
}
