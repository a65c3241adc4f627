//! Converts with a progress bar, and stops when the user presses Enter; what was begun goes away.
//!
//! `cargo run -p qemu-exec --example progress_cancel -- DISK TARGET.qcow2`

use std::error::Error;
use std::io::{Write as _, stdin, stdout};
use std::time::Duration;

use qemu_exec::cmd::{ByteSize, Convert, Qcow2, Source, Target};
use qemu_exec::{CancelToken, ErrorKind, Executor, LocalExecutor, Progress, QemuImg};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args_os().skip(1);
    let (Some(disk), Some(target)) = (args.next(), args.next()) else {
        return Err("usage: progress_cancel DISK TARGET.qcow2".into());
    };
    let size = ByteSize::bytes(std::fs::metadata(&disk)?.len());
    let token = CancelToken::new()?;
    let stop = token.clone();
    // A signal handler would write a byte to `token.write_end()`. The thread ends with the process.
    std::thread::spawn(move || {
        let mut line = String::new();
        // At the end of standard input nobody can press anything.
        if stdin().read_line(&mut line).is_ok_and(|read| read > 0) {
            stop.cancel();
        }
    });
    let convert = Convert::new(Source::raw(disk), Target::new(target, Qcow2::new()));
    let done = run(LocalExecutor::new(), &convert, token, move |progress| show(progress, size))?;
    println!("\n{}", if done { "done" } else { "stopped, and nothing is left of it" });
    Ok(())
}

/// Converts, and tells `report` how far it is; whether it came to its end before the token was cancelled.
pub(crate) fn run<E: Executor>(
    executor: E,
    convert: &Convert,
    token: CancelToken,
    report: impl Fn(Progress) + Send + Sync + 'static,
) -> Result<bool, qemu_exec::Error> {
    let qemu_img = QemuImg::new(executor)
        .cancel(token)
        .on_progress(report)
        // A server that has died, or a disk that hangs, is not waited for.
        .stall_timeout(Some(Duration::from_secs(300)));
    match qemu_img.convert(convert) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::Cancelled => Ok(false),
        Err(error) => Err(error),
    }
}

fn show(progress: Progress, size: ByteSize) {
    let mib = |size: ByteSize| size.as_u64() >> 20;
    let left = progress.remaining().map_or_else(String::new, |left| format!(", {} s left", left.as_secs()));
    let rate = progress.rate_of(size).map_or_else(String::new, |rate| format!(", {} MiB/s", mib(rate)));
    print!("\r{progress} of {} MiB{rate}{left}; Enter stops it   ", mib(size));
    // A bar that cannot be drawn is no reason to stop.
    let _ = stdout().flush();
}
