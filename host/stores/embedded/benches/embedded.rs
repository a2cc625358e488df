//! The cost of each embedded adapter: nanoseconds per event, row or entity.
//!
//! `cargo bench --profile release --bench embedded`. The figures are of one run on the disk of the temporary folder, for
//! comparing versions.

#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]

use assay_contract::streams;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use assay_core::names::{Digest, Offset, PartitionIndex};
use assay_core::time_range::TimeRange;
use assay_embedded::{Config, Embedded};
use assay_engine::ports::archive::{EventEntry, HistoryQuery};
use assay_engine::ports::log::{Durability, Records, Topic};
use assay_engine::ports::profiles::{HighestQuery, LatestVerdict, Profile};
use assay_engine::ports::state::{Checkpoint, StateRow};
use assay_engine::ports::{PartitionId, Ports};

const EVENTS: u64 = 1_000_000;
const BATCH: u64 = 1_000;
const EVENTS_PER_WRITE: u64 = 4_096;
const ENTITIES: u64 = 200_000;

fn main() {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path(), &Config::default()).unwrap();
    let ports = store.ports();
    ports.log.create(&streams::stream("payments", 8)).unwrap();
    // `-- profiles` runs this section only. The sections archive and read need the events of `append`.
    let only: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    type Section = (&'static str, fn(&Ports));
    let sections: [Section; 6] = [
        ("append", append),
        ("append", append_one_by_one),
        ("read", read),
        ("state", save_states),
        ("archive", archive),
        ("profiles", profiles),
    ];
    for (name, section) in sections {
        if only.is_empty() || only.iter().any(|only| only == name) {
            section(&ports);
        }
    }
    measure("shutdown", 1, || store.shutdown().unwrap());
}

fn measure<T>(what: &str, count: u64, run: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = run();
    let ns = start.elapsed().as_nanos() as f64 / count as f64;
    println!("{what:<58} {ns:>14.0} ns");
    result
}

fn partition(number: u32) -> PartitionId {
    PartitionId { stream: Arc::from("payments"), partition: PartitionIndex(number) }
}

/// 200 bytes that compress about as well as small Avro records.
fn event(number: u64) -> [u8; 200] {
    let mut event = [0; 200];
    let mut random = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for chunk in event[..104].chunks_exact_mut(8) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        chunk.copy_from_slice(&random.to_le_bytes());
    }
    event
}

/// Batches of 1,000 events over 8 partitions, 16 in flight.
fn append(ports: &Ports) {
    let batches: Vec<Vec<(PartitionIndex, Records)>> = (0..EVENTS / BATCH)
        .map(|batch| {
            let mut spread = vec![Records::default(); 8];
            (0..BATCH).for_each(|i| spread[(i % 8) as usize].push(&event(batch * BATCH + i)));
            (0..8).map(PartitionIndex).zip(spread).collect()
        })
        .collect();
    measure("append synced, 1,000 events of 200 bytes, 16 under way", EVENTS, || {
        let mut in_flight = VecDeque::new();
        for batch in batches {
            in_flight.push_back(ports.log.append("payments", Topic::Events, batch, Durability::Synced).unwrap());
            if in_flight.len() == 16 {
                in_flight.pop_front().unwrap().blocking_recv().unwrap().unwrap();
            }
        }
        in_flight.into_iter().for_each(|receipt| drop(receipt.blocking_recv().unwrap().unwrap()));
    });
}

fn append_one_by_one(ports: &Ports) {
    for (name, durability) in [("synced", Durability::Synced), ("ordered", Durability::Ordered)] {
        measure(&format!("append {name}, one event, one after the other"), 2_000, || {
            for number in 0..2_000 {
                let mut records = Records::default();
                records.push(&event(number));
                let batch = vec![(PartitionIndex(0), records)];
                let receipt = ports.log.append("payments", Topic::Verdicts, batch, durability).unwrap();
                receipt.blocking_recv().unwrap().unwrap();
            }
        });
    }
}

fn read(ports: &Ports) {
    let end = ports.log.end("payments", Topic::Events, PartitionIndex(1)).unwrap();
    measure("read, 4,096 events at a time", end.0, || {
        let mut next = Offset(0);
        while next < end {
            let blocks = ports.log.read("payments", Topic::Events, PartitionIndex(1), next, 4_096, 4 << 20).unwrap();
            next = blocks.last().unwrap().next();
        }
    });
}

fn save_states(ports: &Ports) {
    let rows = |from: u64| -> Vec<StateRow> {
        let row = |i| StateRow { key: format!("card-{:08}", (i * 7_919) % ENTITIES), state: event(i).repeat(3) };
        (from..from + 20_000).map(row).collect()
    };
    for (name, state) in [("new", 0), ("again", 0)] {
        let all: Vec<Vec<StateRow>> = (0..10).map(|i| rows(state + i * 20_000)).collect();
        measure(&format!("save states of 600 bytes, 20,000 a checkpoint, {name}"), ENTITIES, || {
            for rows in &all {
                ports.state.save(&partition(0), &Checkpoint::default(), rows).unwrap();
            }
        });
    }
    let keys: Vec<String> = (0..ENTITIES).step_by(10).map(|i| format!("card-{i:08}")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    measure("load states, 1,000 at a time", keys.len() as u64, || {
        keys.chunks(1_000).for_each(|keys| drop(ports.state.load(&partition(0), keys).unwrap()));
    });
}

fn archive(ports: &Ports) {
    let entry = |offset: u64| EventEntry {
        offset: Offset(offset),
        time: 1_700_000_000_000 + offset as i64 * 3,
        // Half of the events belong to a hundred entities.
        key: format!("card-{}", if offset.is_multiple_of(2) { offset % 200 } else { (offset * 7_919) % 100_000 }),
        id: format!("payment-{offset}"),
    };
    let all: Vec<Vec<EventEntry>> = (0..EVENTS / EVENTS_PER_WRITE)
        .map(|batch| (batch * EVENTS_PER_WRITE..(batch + 1) * EVENTS_PER_WRITE).map(entry).collect())
        .collect();
    let mut slowest = 0;
    measure("archive, 4,096 events a write, by entity and id", EVENTS, || {
        for (batch, entries) in (1..).zip(&all) {
            let start = Instant::now();
            ports.archive.write_events(&partition(2), entries, &[], Offset(batch * EVENTS_PER_WRITE)).unwrap();
            slowest = slowest.max(start.elapsed().as_nanos());
        }
    });
    println!("{:<58} {slowest:>14} ns", "  the slowest of these writes, merges included");
    measure("archive, one event a write", 5_000, || {
        for offset in 0..5_000 {
            ports.archive.write_events(&partition(3), &[entry(offset)], &[], Offset(offset + 1)).unwrap();
        }
    });
    let history = |key: &str| {
        // The log holds only the first of the indexed events, so the query is limited to their times.
        let to = entry(EVENTS / 8).time;
        let query = HistoryQuery {
            key: key.to_owned(),
            times: TimeRange { from: Some(0), to: Some(to) },
            limit: 20,
            cursor: None,
        };
        ports.archive.history(&partition(2), &query).unwrap().items.len()
    };
    measure("look up an id", 500, || {
        (0..500).for_each(|i| {
            assert_eq!(ports.archive.by_id(&partition(2), &format!("payment-{i}"), None, 1000).unwrap().len(), 1)
        });
    });
    for (what, odd) in [("a busy", 0), ("an ordinary", 1)] {
        measure(&format!("the latest 20 events of {what} entity"), 200, || {
            (0..200).for_each(|i| assert!(history(&entry(2 * i + odd).key) > 0));
        });
    }
}

fn profiles(ports: &Ports) {
    let latest = |offset: u64| LatestVerdict {
        score: Some((offset % 1_000) as f64 / 1_000.0),
        tags: vec!["review".to_owned()],
        offset: Offset(offset),
        time: 1_700_000_000_000 + offset as i64,
        event: format!("payment-{offset}"),
        revision: 3,
        plugin: Some(Digest::of(b"velocity")),
    };
    let profile = |i: u64, offset: u64| Profile {
        key: format!("card-{:08}", (i * 7_919) % ENTITIES),
        rules: ["card-velocity", "decision", "geo-jump"]
            .map(|rule| (rule.to_owned(), latest(offset)))
            .into_iter()
            .collect::<BTreeMap<_, _>>(),
    };
    for (name, base) in [("new", 0_u64), ("again", ENTITIES)] {
        let all: Vec<Vec<Profile>> = (0..ENTITIES / 4_000)
            .map(|b| (b * 4_000..(b + 1) * 4_000).map(|i| profile(i, base + i)).collect())
            .collect();
        measure(&format!("write profiles of 3 rules, 4,000 a write, {name}"), ENTITIES, || {
            for (write, profiles) in (1..).zip(all) {
                ports.profiles.write(&partition(0), profiles, Offset(base + write)).unwrap();
            }
        });
    }
    measure("get a profile", 20_000, || {
        (0..20_000)
            .for_each(|i| assert!(ports.profiles.get(&partition(0), &format!("card-{i:08}")).unwrap().is_some()));
    });
    measure("the 100 highest of 200,000", 1, || {
        let (stream, rule) = ("payments".to_owned(), "decision".to_owned());
        ports.profiles.highest(&HighestQuery { stream, rule, limit: 100, ..HighestQuery::default() }).unwrap()
    });
}
