//! What qemu-img prints: what can be read can be written and read again.

use std::fmt::Debug;
use std::io::BufReader;

use qemu_info::{
    BackingChain, Check, CheckReport, Comparison, Error, ExtentsExt as _, ImageInfo, MapExtent, MapExtents,
    Measurement, parse_snapshot_list,
};
use serde::Serialize;

use crate::bounds::in_time;

fn read_again<T: Debug + PartialEq + Serialize>(json: &[u8], read: impl Fn(&[u8]) -> Result<T, Error>) -> Option<T> {
    match in_time(|| read(json)) {
        Ok(value) => {
            let written = serde_json::to_vec(&value).expect("what was JSON");
            assert_eq!(read(&written).expect("what was read"), value);
            Some(value)
        }
        Err(error) => {
            let _ = error.to_string();
            None
        }
    }
}

pub(crate) fn info(input: &[u8]) {
    if let Some(info) = read_again(input, ImageInfo::from_json) {
        let _ = (info.encryption(), info.bitmaps(), info.resolved_backing_name());
    }
}

pub(crate) fn chain(input: &[u8]) {
    if let Ok(chain) = in_time(|| BackingChain::from_json(input)) {
        assert_eq!(chain.layers().count(), chain.depth());
        assert_eq!(chain.formats().next(), Some(chain.top().format.as_str()));
    }
}

/// The first byte is the exit status; what is a report under one can be none under another.
pub(crate) fn check(input: &[u8]) {
    let (exit, json) = input.split_first().map_or((0, input), |(exit, json)| (*exit, json));
    let read = in_time(|| Check::from_output(i32::from(exit % 8), json));
    if let (Ok(check), Some(report)) = (&read, read_again(json, CheckReport::from_json)) {
        assert!(check.report().is_none_or(|found| *found == report));
        let _ = report.verdict().exit_status();
    }
    read_again(input, CheckReport::from_json);
}

/// The last byte says how large the reader's buffer is.
pub(crate) fn map(input: &[u8]) {
    let all = serde_json::from_slice::<Vec<MapExtent>>(input);
    let capacity = 1 + usize::from(input.last().copied().unwrap_or_default()) % 64;
    let streamed: Result<Vec<_>, _> = in_time(|| MapExtents::new(BufReader::with_capacity(capacity, input)).collect());
    assert_eq!(streamed.as_ref().ok(), all.as_ref().ok());
    assert_eq!(MapExtent::all_from_json(input).ok(), all.ok());
    let extents = || MapExtents::new(input).filter_map(Result::ok).map(Ok);
    for range in extents().allocated().chain(extents().holes()) {
        let range = range.expect("errors are left out");
        assert!(range.start < range.end, "{range:?}");
    }
    extents().by_depth().for_each(drop);
}

pub(crate) fn measure(input: &[u8]) {
    read_again(input, Measurement::from_json);
}

/// The first byte is the exit status; a NUL ends standard output.
pub(crate) fn compare(input: &[u8]) {
    let (exit, text) = input.split_first().map_or((0, input), |(exit, text)| (*exit, text));
    let mut texts = text.splitn(2, |byte| *byte == 0);
    let (stdout, stderr) = (texts.next().unwrap_or_default(), texts.next().unwrap_or_default());
    if let Ok(comparison) = in_time(|| Comparison::from_output(i32::from(exit % 8), stdout, stderr)) {
        assert_eq!(comparison.is_identical(), exit % 8 == 0);
    }
}

pub(crate) fn snapshot_list(input: &[u8]) {
    match in_time(|| parse_snapshot_list(input)) {
        // Every row ends its own line.
        Ok(rows) => assert!(rows.len() <= input.iter().filter(|byte| **byte == b'\n').count()),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
