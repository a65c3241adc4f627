//! What a qemu-img, or an executor, accepts, refuses and gets wrong: every operation on every format, encrypted or not,
//! with the content compared, and generated commands of every subcommand.
//!
//! `cargo xtask harness --qemu-img PATH` points it at a program. For an executor of your own, give [`run`] what makes
//! one; the commands that it is given are those of `qemu-cmd`, and it is asked for nothing else:
//!
//! ```no_run
//! use tests::harness::{Options, run};
//! let report = run(|directory| qemu_exec::LocalExecutor::new().current_dir(directory), &Options::default()).unwrap();
//! print!("{report}");
//! assert_eq!(report.wrong(), 0);
//! ```
//!
//! What it is judged by is not itself: the qemu-img that the other tests run makes the images that it reads, and reads
//! those that it makes.

pub mod generated;
mod image;
mod operations;
mod report;
pub mod scene;
pub mod verdict;

use std::path::Path;

use qemu_exec::{Executor, QemuImg};

pub use image::Image;
pub use operations::OPERATIONS;
pub use report::{Cell, Report, Verdict};

/// What is run.
#[derive(Clone, Debug)]
#[must_use]
pub struct Options {
    /// Which images. Default: all.
    pub images: Vec<Image>,
    /// How many generated commands of each subcommand. Default: 12.
    pub cases: usize,
    /// What they are generated from. Default: 1.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { images: Image::ALL.to_vec(), cases: 12, seed: 1 }
    }
}

/// Runs everything that the options ask for.
///
/// `make` makes the executor under test: the relative names of generated commands are to be found in the directory that
/// it is given. All others are absolute.
///
/// # Errors
/// The executor cannot run `qemu-img --version`.
pub fn run<E: Executor>(make: impl Fn(&Path) -> E, options: &Options) -> Result<Report, qemu_exec::Error> {
    let directory = super::scratch();
    let executor = make(directory.path());
    let version = QemuImg::new(&executor).qemu_version()?;
    let cells = options.images.iter().flat_map(|image| operations::try_all(&executor, *image)).collect();
    let generated = match options.cases {
        0 => Vec::new(),
        cases => generated::run_all(make, version, cases, options.seed),
    };
    Ok(Report { version, cells, generated, seed: options.seed })
}
