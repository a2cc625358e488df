//! Retention and compaction reclaim the disk space of deleted records.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use assay_contract as contract;

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use assay_core::names::{Offset, PartitionIndex};
use assay_embedded::{Config, Embedded};
use assay_engine::ports::log::{Durability, Records, Topic, Trim};
use contract::append;

/// The MiB that are written in all.
const WRITTEN_MIB: u64 = 320;
/// The MiB that retention keeps.
const KEPT_MIB: u64 = 16;

/// The disk space of a folder, in MiB.
fn disk_space(dir: &Path) -> u64 {
    fn blocks(dir: &Path) -> u64 {
        let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
        entries
            .map(|path| if path.is_dir() { blocks(&path) } else { fs::metadata(&path).map_or(0, |it| it.blocks()) })
            .sum()
    }
    (blocks(dir) * 512) >> 20
}

/// A MiB of incompressible records.
fn noise(seed: u64) -> Records {
    let random = RandomState::new();
    let mut records = Records { appended_at: seed as i64, ..Records::default() };
    for part in 0..4_u64 {
        let bytes: Vec<u8> = (0..32_768).flat_map(|at: u64| random.hash_one((seed, part, at)).to_le_bytes()).collect();
        records.push(&bytes);
    }
    records
}

#[test]
fn a_log_with_a_limit_stays_small_on_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path(), &Config::default()).unwrap();
    let log = store.ports().log;
    contract::log::create(&*log);
    let mut max_mib = 0;
    let trim = Trim { max_bytes: Some(KEPT_MIB << 20), below: Offset(u64::MAX), older_than: None };
    for i in 0..WRITTEN_MIB {
        append(&*log, Topic::Events, vec![(0, noise(i))], Durability::Ordered).unwrap();
        if i % 16 == 15 {
            log.trim("payments", Topic::Events, PartitionIndex(0), &trim).unwrap();
            max_mib = max_mib.max(disk_space(dir.path()));
        }
    }
    let first = log.kept("payments", Topic::Events, PartitionIndex(0)).unwrap().first.0;
    assert!(first >= (WRITTEN_MIB - KEPT_MIB) * 4 - 8, "{first}");
    // Beside the kept records there are one or two journals of 64 MiB, the table of a memtable, and unreclaimed records.
    let deadline = Instant::now() + Duration::from_secs(30);
    while disk_space(dir.path()) > 200 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(50));
    }
    let now = disk_space(dir.path());
    for part in ["keyspaces", "."] {
        println!("{part}: {} MiB", disk_space(&dir.path().join("fjall").join(part)));
    }
    println!("{WRITTEN_MIB} MiB were written, {KEPT_MIB} kept; the folder had {max_mib} MiB at most, and has {now}");
    assert!(now <= 200, "{now} MiB");
}
