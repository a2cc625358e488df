//! What retention deletes, and what compaction leaves out, gives its disk space back.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "only a part is used here")]
mod contract;

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use assay_core::names::{Offset, Partition};
use assay_engine::ports::log::{Durability, Records, Topic, Trim};
use assay_stores::embedded::{Config, Embedded};
use contract::append;

/// What is written in all, in MiB, and what of it is to stay.
const WRITTEN: u64 = 320;
const KEPT: u64 = 16;

/// What a folder takes of the disk, in MiB.
fn disk_space(dir: &Path) -> u64 {
    fn blocks(dir: &Path) -> u64 {
        let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
        entries
            .map(|path| if path.is_dir() { blocks(&path) } else { fs::metadata(&path).map_or(0, |it| it.blocks()) })
            .sum()
    }
    (blocks(dir) * 512) >> 20
}

/// A MiB that cannot be compressed.
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
    let mut most = 0;
    let wish = Trim { max_bytes: Some(KEPT << 20), below: Offset(u64::MAX), older_than: None };
    for i in 0..WRITTEN {
        append(&*log, Topic::Events, vec![(0, noise(i))], Durability::Ordered).unwrap();
        if i % 16 == 15 {
            log.trim("payments", Topic::Events, Partition(0), &wish).unwrap();
            most = most.max(disk_space(dir.path()));
        }
    }
    let first = log.kept("payments", Topic::Events, Partition(0)).unwrap().first.0;
    assert!(first >= (WRITTEN - KEPT) * 4 - 8, "{first}");
    // Beside what is kept there are a journal or two of 64 MiB, a memtable's table, and what waits to be given back.
    let deadline = Instant::now() + Duration::from_secs(30);
    while disk_space(dir.path()) > 200 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(50));
    }
    let now = disk_space(dir.path());
    for part in ["keyspaces", "."] {
        println!("{part}: {} MiB", disk_space(&dir.path().join("fjall").join(part)));
    }
    println!("{WRITTEN} MiB were written, {KEPT} kept; the folder had {most} MiB at most, and has {now}");
    assert!(now <= 200, "{now} MiB");
}
