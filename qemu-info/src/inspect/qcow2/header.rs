//! The header's fixed part.

use super::super::bytes::{Bytes, Integers as _, Stop};
use super::super::report::Report;
use super::super::{Code, Name, limits};
use super::{Region, bounded, features, placed};

pub(super) const BACKING_FILE: u64 = 8;
const BACKING_FILE_SIZE: u64 = 16;
const CLUSTER_BITS: u64 = 20;
const SIZE: u64 = 24;
pub(super) const CRYPT_METHOD: u64 = 32;
const L1_ENTRIES: u64 = 36;
const L1_TABLE: u64 = 40;
const REFCOUNT_TABLE: u64 = 48;
const REFCOUNT_CLUSTERS: u64 = 56;
const SNAPSHOTS: u64 = 60;
pub(super) const SNAPSHOT_TABLE: u64 = 64;
const REFCOUNT_ORDER: u64 = 96;
const LENGTH: u64 = 100;
/// With all that version 3 has, up to 11.1 of qemu.
const LONGEST: usize = 112;

/// A table of so many entries.
#[derive(Clone, Copy)]
pub(super) struct Table {
    pub(super) start: u64,
    pub(super) count: u32,
}

pub(super) struct Header {
    pub(super) version: u32,
    pub(super) cluster_size: u64,
    /// Where the header extensions start.
    pub(super) length: u64,
    backing: Table,
    /// What qemu makes of the virtual size.
    pub(super) size: u64,
    pub(super) crypt_method: u32,
    pub(super) l1: Table,
    refcounts: Table,
    pub(super) snapshots: Table,
    pub(super) incompatible: u64,
    pub(super) autoclear: u64,
}

impl Header {
    pub(super) fn read(bytes: &mut impl Bytes, report: &mut Report<'_>) -> Result<Self, Stop> {
        let fixed = bytes.at(0, LONGEST)?.to_vec();
        let version = fixed.be32(4);
        report.facts.version = Some(version);
        if !matches!(version, 2 | 3) {
            report.find(Code::Unsupported, 4, format!("version {version} of qcow2 is not one that qemu can open"));
            return Err(Stop::Broken);
        }
        let least = if version == 2 { 72 } else { 104 };
        if fixed.len() < least {
            report.find(Code::Truncated, 0, "it ends within its header");
            return Err(Stop::Broken);
        }
        let header = Self::take(&fixed, report)?;
        header.check_backing_file(report);
        features::check(&header, &fixed, report);
        header.check_length(least as u64, report)?;
        if version == 3 && fixed.be32(96) > 6 {
            report.find(Code::Malformed, REFCOUNT_ORDER, "its reference counts are wider than 64 bits");
        }
        header.check_size(fixed.be64(24), report);
        header.check_tables(report);
        Ok(header)
    }

    fn take(fixed: &[u8], report: &mut Report<'_>) -> Result<Self, Stop> {
        let table = |start, count| Table { start: fixed.be64(start), count: fixed.be32(count) };
        let version = fixed.be32(4);
        let cluster_bits = fixed.be32(20);
        let is_3 = version == 3;
        if !(9..=21).contains(&cluster_bits) {
            let message = format!("its clusters of 2^{cluster_bits} bytes are not between 512 bytes and 2 MiB");
            report.find(Code::Malformed, CLUSTER_BITS, message);
            return Err(Stop::Broken);
        }
        Ok(Self {
            version,
            cluster_size: 1 << cluster_bits,
            length: if is_3 { fixed.be32(100).into() } else { 72 },
            backing: table(8, 16),
            // Whole sectors.
            size: fixed.be64(24) & !511,
            crypt_method: fixed.be32(32),
            l1: table(40, 36),
            refcounts: table(48, 56),
            snapshots: table(64, 60),
            incompatible: if is_3 { fixed.be64(72) } else { 0 },
            autoclear: if is_3 { fixed.be64(88) } else { 0 },
        })
    }

    /// How long an entry of an L2 table is.
    pub(super) const fn l2_entry(&self) -> u64 {
        if self.incompatible & features::EXTENDED_L2 == 0 { 8 } else { 16 }
    }

    /// What this L1 table can refer to, in bytes.
    pub(super) fn l2_tables(&self, l1: Table) -> u64 {
        u64::from(l1.count) * self.cluster_size
    }

    /// Where the header extensions end.
    pub(super) const fn extensions_end(&self) -> u64 {
        if self.backing.start == 0 { self.cluster_size } else { self.backing.start }
    }

    fn check_backing_file(&self, report: &mut Report<'_>) {
        let Table { start, count } = self.backing;
        if start != 0 && count != 0 {
            let message = format!("it has a backing file, whose name of {count} bytes stands at {start}");
            report.find(Code::BackingFile, BACKING_FILE, message);
        }
    }

    fn check_length(&self, least: u64, report: &mut Report<'_>) -> Result<(), Stop> {
        if self.length < least || self.length > self.cluster_size {
            let message =
                format!("its header cannot be {} bytes long, with clusters of {}", self.length, self.cluster_size);
            report.find(Code::Malformed, LENGTH, message);
            return Err(Stop::Broken);
        }
        let room = self.cluster_size.checked_sub(self.backing.start);
        let most = room.map(|room| room.min(limits::NAME as u64));
        if most.is_none() {
            report.find(Code::Malformed, BACKING_FILE, "the name of its backing file is not in the first cluster");
            return Err(Stop::Broken);
        }
        if self.backing.start != 0 && most.is_some_and(|most| u64::from(self.backing.count) > most) {
            report.find(Code::Malformed, BACKING_FILE_SIZE, "the name of its backing file is too long");
            return Err(Stop::Broken);
        }
        Ok(())
    }

    fn check_size(&self, unrounded: u64, report: &mut Report<'_>) {
        report.facts.cluster_size = Some(self.cluster_size);
        report.facts.table_entries = Some(self.l1.count.into());
        report.facts.snapshots = Some(self.snapshots.count);
        report.facts.bitmaps = Some(0);
        report.size(self.size, SIZE);
        let covered = self.cluster_size * (self.cluster_size / self.l2_entry());
        if u64::from(self.l1.count) < unrounded.div_ceil(covered) {
            let message = format!("its L1 table of {} entries is too small for its virtual size", self.l1.count);
            report.find(Code::Malformed, L1_ENTRIES, message);
        }
    }

    fn check_tables(&self, report: &mut Report<'_>) {
        if bounded("L1 table", u64::from(self.l1.count) * 8, limits::TABLE, L1_ENTRIES, report) {
            bounded("room for L2 tables", self.l2_tables(self.l1), limits::L2_TABLES, L1_ENTRIES, report);
        }
        let refcounts = u64::from(self.refcounts.count) * self.cluster_size;
        bounded("reference count table", refcounts, limits::REFCOUNT_TABLE, REFCOUNT_CLUSTERS, report);
        if self.refcounts.count == 0 {
            report.find(Code::Malformed, REFCOUNT_CLUSTERS, "it has no reference count table");
        }
        let tables = [
            ("L1 table", self.l1, L1_TABLE),
            ("reference count table", self.refcounts, REFCOUNT_TABLE),
            ("snapshot table", self.snapshots, SNAPSHOT_TABLE),
        ];
        for (what, table, field) in tables {
            // qemu looks at the offset of an empty one too.
            if table.count > 0 || table.start > 0 {
                placed(what, table.start, self.cluster_size, field, report);
            }
        }
        if self.snapshots.count > limits::SNAPSHOTS {
            let message = format!("it has {} snapshots, more than {}", self.snapshots.count, limits::SNAPSHOTS);
            report.find(Code::TableTooLarge, SNAPSHOTS, message);
        }
    }

    /// The name lies in the first cluster, behind the header extensions.
    pub(super) fn backing_name(&self, bytes: &mut impl Bytes, report: &mut Report<'_>) -> Result<(), Stop> {
        let length = (self.backing.count as usize).min(limits::NAME);
        if self.backing.start != 0 && length != 0 {
            let name = bytes.at(self.backing.start, length)?;
            if name.len() < length {
                report.find(Code::Truncated, BACKING_FILE, "it ends within the name of its backing file");
                return Err(Stop::Broken);
            }
            let name = Name::terminated(name);
            report.facts.backing_file = (!name.as_bytes().is_empty()).then_some(name);
        }
        Ok(())
    }

    /// The tables that the header itself places.
    pub(super) fn regions(&self) -> Vec<Region> {
        let region = |what, table: Table, unit: u64, field| Region {
            what,
            start: table.start,
            length: u64::from(table.count) * unit,
            field,
        };
        vec![
            region("reference count table", self.refcounts, self.cluster_size, REFCOUNT_TABLE),
            region("L1 table", self.l1, 8, L1_TABLE),
        ]
    }
}
