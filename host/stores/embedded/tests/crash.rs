//! Kills a process that appends at random moments. All acknowledged records must be there, in order and whole.
//!
//! The process is this test binary again, with an environment variable that names the folder.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use assay_contract::streams;

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use assay_core::names::{Offset, PartitionIndex};
use assay_embedded::{Config, Embedded};
use assay_engine::ports::log::{Durability, Log, Records, Topic};

const FOLDER: &str = "ASSAY_CRASH_TEST_FOLDER";
const PARTITIONS: u32 = 3;
const KILLS: usize = 10;

/// A record that differs from every other and shows whether it is whole: partition, number, padding.
fn content(partition: u32, number: u64) -> Vec<u8> {
    let length = 20 + (number * 7919 + u64::from(partition)) % 3000;
    let mut content = format!("{partition}/{number}/").into_bytes();
    content.resize(length as usize, b'a' + (number % 26) as u8);
    content
}

/// Appends until it is killed, and prints every receipt.
fn append_forever(dir: &Path) {
    let store = Embedded::open(dir, &Config::default()).unwrap();
    let log = store.ports().log;
    log.create(&streams::stream("payments", PARTITIONS)).unwrap();
    let end = |partition| log.end("payments", Topic::Events, PartitionIndex(partition)).unwrap().0;
    let mut next: Vec<u64> = (0..PARTITIONS).map(end).collect();
    let (receipts, pending) = std::sync::mpsc::sync_channel::<assay_engine::ports::log::Receipt>(64);
    std::thread::spawn(move || {
        for receipt in pending {
            let appended = receipt.blocking_recv().unwrap().unwrap();
            let places = appended.iter().filter_map(|appended| appended.place(0));
            let line: Vec<String> = places.map(|place| format!("{}:{}", place.partition, place.offset)).collect();
            println!("acked {}", line.join(" "));
            std::io::stdout().flush().unwrap();
        }
    });
    for round in 0_u64.. {
        let mut batches = Vec::new();
        for partition in 0..PARTITIONS {
            let mut records = Records::default();
            for _ in 0..1 + (round + u64::from(partition)) % 5 {
                records.push(&content(partition, next[partition as usize]));
                next[partition as usize] += 1;
            }
            batches.push((PartitionIndex(partition), records));
        }
        receipts.send(log.append("payments", Topic::Events, batches, Durability::Synced).unwrap()).unwrap();
    }
}

/// Starts the process, kills it after `after` receipts, and returns the last acknowledged offset of each partition.
fn run_and_kill(dir: &Path, after: usize) -> HashMap<u32, u64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "acked_records_survive_kills", "--nocapture"])
        .env(FOLDER, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut acked = HashMap::new();
    let mut count = 0;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        // The kill may truncate the last line, even within a number, so an incomplete line is ignored.
        let line = line.unwrap_or_default();
        let Some((_, places)) = line.split_once("acked ") else {
            continue;
        };
        let places: Vec<(u32, u64)> = places
            .split(' ')
            .filter_map(|place| place.split_once(':'))
            .filter_map(|(partition, offset)| Some((partition.parse().ok()?, offset.parse().ok()?)))
            .collect();
        if places.len() == PARTITIONS as usize && count < after {
            acked.extend(places);
        }
        count += 1;
        if count == after {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(count >= after, "the child ended by itself");
    acked
}

fn assert_whole(log: &dyn Log, partition: u32) -> u64 {
    let mut next = Offset(0);
    loop {
        let blocks = log.read("payments", Topic::Events, PartitionIndex(partition), next, 1000, 1 << 20).unwrap();
        let Some(last) = blocks.last() else {
            break;
        };
        for (offset, record) in blocks.iter().flat_map(Records::iter) {
            assert_eq!(record, content(partition, offset.0), "partition {partition}, offset {offset}");
        }
        next = last.next();
    }
    assert_eq!(next, log.end("payments", Topic::Events, PartitionIndex(partition)).unwrap());
    next.0
}

#[test]
fn acked_records_survive_kills() {
    if let Some(dir) = std::env::var_os(FOLDER) {
        append_forever(Path::new(&dir));
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for kill in 0..KILLS {
        let after = 1 + RandomState::new().hash_one(kill) as usize % 2000;
        let acked = run_and_kill(dir.path(), after);
        let store = Embedded::open(dir.path(), &Config::default()).unwrap();
        let log = store.ports().log;
        assert_eq!(acked.len(), PARTITIONS as usize);
        for (partition, offset) in acked {
            let end = assert_whole(&*log, partition);
            assert!(end > offset, "kill {kill}: partition {partition} ends at {end}, but {offset} was acked");
        }
        drop(log);
        drop(store);
    }
}
