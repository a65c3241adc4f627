//! Every figure that this project claims, each against a yardstick that is measured in the same run.
//!
//! `cargo xtask bench [GROUP…] [--quick] [--save]` runs this. The machine may be shared and its speed may change while
//! it is measured: what is measured and its yardstick take turns, the ratio is taken pair by pair, and what is shown is
//! the median of the ratios with their quartiles. Absolute times are medians too, and say little about another machine.
//!
//! Under `cargo test` it is only seen to compile.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod convert;
mod inspect;
mod lines;
mod map;
mod measure;
mod report;
mod spawn;

use std::path::PathBuf;

use measure::{Effort, Figure};

/// A group of figures: its name, and what measures it.
type Group = (&'static str, fn(Effort) -> Vec<Figure>);

const GROUPS: &[Group] = &[
    ("lines", lines::figures),
    ("inspect", inspect::figures),
    ("map", map::figures),
    ("spawn", spawn::figures),
    ("large-parent", spawn::from_a_large_parent),
    ("convert", convert::figures),
];

fn main() {
    let (mut effort, mut chosen, mut save) = (Effort::Once, Vec::new(), None);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            // What cargo adds if this is run to measure, and not as a test.
            "--bench" => effort = effort.max(Effort::Full),
            "--quick" => effort = Effort::Quick,
            "--save" => save = Some(PathBuf::from(args.next().expect("a directory behind `--save`"))),
            name if GROUPS.iter().any(|(group, _)| *group == name) => chosen.push(arg),
            // Of the test harness, as in `cargo test -- --nocapture`.
            _ if effort == Effort::Once => return,
            _ => {
                let names: Vec<_> = GROUPS.iter().map(|(name, _)| *name).collect();
                panic!("`{arg}` is not one of {}, `--quick` or `--save DIRECTORY`", names.join(", "));
            }
        }
    }
    if effort == Effort::Once {
        return;
    }
    let mut figures = Vec::new();
    println!("{}", report::HEADINGS);
    for (name, measure) in GROUPS.iter().filter(|(name, _)| chosen.is_empty() || chosen.iter().any(|one| one == name)) {
        for figure in measure(effort) {
            println!("{}", report::line(name, &figure));
            figures.push((*name, figure));
        }
    }
    if let Some(directory) = save {
        report::save(&directory, &figures).expect("the report can be written");
    }
    let missed = figures.iter().filter(|(_, figure)| figure.missed()).count();
    println!("{missed} of {} figures beyond their limit", figures.len());
}
