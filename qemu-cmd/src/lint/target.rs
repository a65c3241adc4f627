//! What a command makes or overwrites, and what it takes to run.

use std::ffi::OsStr;
use std::path::Path;

use super::secrets::is_stream;
use super::{Lint, Rule};
use crate::{Location, Subcommand};

/// What convert needs of address space, measured on a busy machine, where a thread starts before the last one is idle:
/// each coroutine can come to have two threads and some more stand by, and each thread has an arena of 64 MiB.
const BASE: u64 = 768 << 20;
const PER_COROUTINE: u64 = 128 << 20;
const DEFAULT_COROUTINES: u8 = 8;

/// A size below this that has no suffix was meant to have one.
const LEAST: u64 = 1 << 20;

impl Lint<'_> {
    pub(super) fn target(&mut self) {
        let line = self.line;
        let is_convert = self.is(Subcommand::Convert);
        let mode = line.added_cache().map(|mode| OsStr::new(mode.as_str())).or(line.value("t"));
        self.add_if(mode.map_or(is_convert, |mode| mode == "unsafe"), Rule::CACHE_UNSAFE);
        let makes = matches!(line.subcommand(), Subcommand::Create | Subcommand::Dd) || is_convert && !line.has("n");
        if makes {
            self.new_image();
        }
        let is_preallocated = line.create_options().get("preallocation").is_some_and(|mode| mode != "off");
        let is_growing = is_convert && makes && line.value("O").is_some_and(|format| format != "raw");
        self.add_if(is_growing && !is_preallocated && line.has("W"), Rule::OUT_OF_ORDER);
        self.size();
        if let Some(limit) = self.context.address_space.filter(|_| is_convert) {
            let coroutines = line.value("m").and_then(OsStr::to_str).and_then(|number| number.parse::<u8>().ok());
            let needs = BASE + PER_COROUTINE * u64::from(coroutines.unwrap_or(DEFAULT_COROUTINES));
            self.add_if(limit.as_u64() < needs, Rule::ADDRESS_SPACE_TIGHT);
        }
    }

    fn new_image(&mut self) {
        let context = self.context;
        let exists = |place: &Location| context.exists.is_some_and(|exists| exists(place));
        if let Some(target) = self.line.target() {
            let is_device = matches!(target, Location::HostDevice(_));
            let is_there = !is_device && !target.path().is_some_and(is_stream) && exists(&target);
            self.add_if(is_device, Rule::DEVICE_OVERWRITTEN);
            self.add_if(is_there, Rule::TARGET_OVERWRITTEN);
        }
        let options = self.line.create_options();
        let is_kept = options.get("keep_data_file").is_some_and(|value| value == "on");
        if let Some(data) = options.get("data_file").filter(|_| !is_kept) {
            let is_there = exists(&Location::from(Path::new(data)));
            self.add_if(is_there, Rule::DATA_FILE_OVERWRITTEN);
        }
    }

    fn size(&mut self) {
        let line = self.line;
        let options = line.create_options();
        let size = match line.subcommand() {
            Subcommand::Create => line.operands().nth(1).or(options.get("size")),
            Subcommand::Resize => line.operands().nth(1),
            Subcommand::Measure => line.value("size"),
            _ => None,
        };
        let digits = size.and_then(OsStr::to_str).map(|text| text.trim_start_matches(['+', '-']));
        if let Some(digits) = digits
            && digits.parse().is_ok_and(|bytes: u64| bytes > 0 && bytes < LEAST)
        {
            self.add_about(digits, Rule::SIZE_IN_BYTES);
        }
    }
}
