//! What can go wrong around qemu-img, done for real: what the caller is told, and that nothing is lost.
//!
//! A row is a fault, who runs qemu-img, what the caller is told, and what the image `b` is then, which was there before
//! and was to be replaced. Moreover, after every row: the source is what it was, there is no unfinished file, and
//! no process is left. What becomes of a caller who is killed is in `caller`, of one whose clock jumps in `clock`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, unreachable_pub)]

mod caller;
mod clock;
mod ended;
mod images;
mod limits;
mod programs;
mod scene;
mod storage;

use qemu_exec::{ErrorKind, Limit};
use scene::{B, By, Gives, Row, hold};

use B::{Gone, New, Old, Zeros};
use By::{Local, Nobody, Portable, Sudo};
use ErrorKind::*;
use Gives::{Done, Fails, FailsWith};

const ALL: &[By] = &[Local, Portable, Sudo];
const EVERYBODY: &[By] = &[Local, Portable, Sudo, Nobody];

#[rustfmt::skip]
const ENDED: &[Row] = &[
    Row("qemu-img is killed while it writes",                ALL, Fails(Killed(9)), Old, ended::killed),
    Row("qemu-img is stopped, and time runs out",            ALL, Fails(TimedOut),  Old, ended::stopped),
    Row("qemu-img is stopped, and comes no further",         &[Local, Portable], Fails(Stalled), Old, ended::stalled),
    Row("qemu-img is stopped, and goes on later",            ALL, Done,             New, ended::paused),
    Row("the caller does not want it any more",              ALL, Fails(Cancelled), Old, ended::cancelled),
];

#[rustfmt::skip]
const STORAGE: &[Row] = &[
    Row("the file system is full",                           ALL, Fails(NoSpace),          Old,  storage::full),
    Row("the device is full that the target lies on",        ALL, FailsWith(&[InputOutput, NoSpace]), Old, storage::full_below),
    Row("the source cannot be read (blkdebug)",              ALL, Fails(InputOutput), Old,  storage::unreadable),
    Row("the source's device ends before its size",          ALL, Fails(InputOutput), Old,  storage::short_device),
    Row("the target cannot be written (blkdebug)",           ALL, Fails(InputOutput), Old,  storage::unwritable),
    Row("the same, and it is found out in the end",          ALL, FailsWith(&[InputOutput, NoSpace]), Old, storage::full_below_later),
    Row("the same, where a new image is written in place",   ALL, FailsWith(&[InputOutput, NoSpace]), Old, storage::full_below_a_new_image),
    Row("the same, of a dd",                                 ALL, FailsWith(&[InputOutput, NoSpace]), Old, storage::full_below_dd),
    Row("the same, of a rebase",                             ALL, FailsWith(&[InputOutput, NoSpace]), Old, storage::full_below_rebase),
    Row("a flush fails, of which only qemu-img knows",       ALL, Fails(InputOutput),      Old,  storage::unflushed),
    Row("the target's file system is read-only",             ALL, Fails(PermissionDenied), Old,  storage::read_only),
    Row("the target's directory is not there",               ALL, Fails(NotFound),         Gone, storage::no_directory),
    Row("the target's directory is removed meanwhile",       ALL, Fails(NotFound),         Gone, storage::removed_directory),
    Row("the target's directory is renamed meanwhile",       ALL, Done,                    New,  storage::renamed_directory),
    Row("the target's file system is unmounted meanwhile",   ALL, Done,                    Gone, storage::unmounted),
    Row("the unfinished file is removed meanwhile",          ALL, Fails(NotFound),         Old,  storage::removed_file),
];

#[rustfmt::skip]
const IMAGES: &[Row] = &[
    Row("the source is being written",                       ALL,       Fails(Locked),      Old, images::source_in_use),
    Row("what is to be replaced is in use",                  ALL,       Fails(Locked),      Old, images::target_in_use),
    Row("another writes the same image",                     ALL,       Fails(Locked),      Old, images::written_twice),
    Row("a FIFO is asked about",                             EVERYBODY, Fails(TimedOut),    Old, images::fifo_info),
    Row("a FIFO is converted",                               ALL,       Fails(TimedOut),    Old, images::fifo_convert),
    Row("an image is its own backing file: its chain",       EVERYBODY, Fails(BackingLoop), Old, images::loop_chain),
    Row("an image is its own backing file: a conversion",    ALL,       Fails(BackingLoop), Old, images::loop_convert),
    Row("an image is its own backing file: a map",           EVERYBODY, Fails(BackingLoop), Old, images::loop_map),
    Row("every sector that is skipped is complained about",  ALL,       Done,               Zeros, images::salvage),
];

#[rustfmt::skip]
const PROGRAMS: &[Row] = &[
    Row("it hangs",                                          ALL, Fails(TimedOut),            Old, programs::hangs),
    Row("it ignores TERM, as does what it starts",           ALL, Fails(TimedOut),            Old, programs::ignores_term),
    Row("it ends, and what it started holds its pipes",      ALL, Done,                       Old, programs::leaves_a_child),
    Row("it says nothing at all",                            ALL, Fails(OutputNotUnderstood), Old, programs::says_nothing),
    Row("it says something else",                            ALL, Fails(OutputNotUnderstood), Old, programs::lies),
    Row("it says half of it",                                ALL, Fails(OutputNotUnderstood), Old, programs::half),
    Row("it has no end of answers",                          ALL, Fails(OutputTooLarge),      Old, programs::endless),
    Row("it has megabytes of complaints",                    ALL, Fails(Failed),              Old, programs::complains),
    Row("it says that it is done, and did nothing",          ALL, Fails(NotPublished),        Old, programs::does_nothing),
    Row("it does all, and says that it failed",              ALL, Fails(Failed),              Old, programs::says_it_failed),
    Row("it takes away what it made",                        ALL, Fails(NotFound),            Old, programs::takes_away),
    Row("it makes another file in the place of ours",        ALL, Fails(NotFound),            Old, programs::makes_another),
    Row("it crashes",                                        ALL, Fails(Killed(11)),          Old, programs::crashes),
    Row("it is no program",                                  ALL, Fails(CouldNotStart),       Old, programs::no_program),
];

#[rustfmt::skip]
const LIMITS: &[Row] = &[
    Row("CPU time",                                          ALL, Fails(LimitHit(Limit::Cpu)),          Old, limits::cpu),
    Row("address space",                                     ALL, Fails(LimitHit(Limit::AddressSpace)), Old, limits::address_space),
    Row("file size",                                         ALL, Fails(LimitHit(Limit::FileSize)),     Old, limits::file_size),
    Row("open files",                                        ALL, Fails(LimitHit(Limit::OpenFiles)),    Old, limits::open_files),
    // It does not bind root.
    Row("processes",                                         &[Nobody], Fails(LimitHit(Limit::Processes)), Old, limits::processes),
    Row("a limit that nobody can set",                       &[Sudo], Fails(LimitsNotApplied), Old, limits::impossible),
];

#[test]
fn qemu_img_does_not_end_by_itself() {
    hold(ENDED);
}

#[test]
fn storage_fails() {
    hold(STORAGE);
}

#[test]
fn images_are_not_what_they_should_be() {
    hold(IMAGES);
}

#[test]
fn it_is_not_qemu_img() {
    hold(PROGRAMS);
}

#[test]
fn limits_are_hit() {
    hold(LIMITS);
}
