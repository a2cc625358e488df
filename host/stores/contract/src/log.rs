//! The contract of the log port.

use std::sync::Arc;
use std::time::Duration;

use assay_core::names::{Offset, PartitionIndex};
use assay_engine::ports::log::{Durability, Kept, Log, Records, Topic, Trim, TrimResult, WakeSignal};

use super::streams::stream;
use super::{append, card, event, events, place, read_all, records};

/// Creates the stream that the other functions use: `payments`, of 4 partitions.
pub fn create(log: &dyn Log) {
    log.create(&stream("payments", 4)).unwrap();
}

/// A stream is created once. Its number of partitions does not change.
pub fn streams_are_created_once(log: &dyn Log) {
    create(log);
    log.create(&stream("payments", 4)).unwrap();
    let error = log.create(&stream("payments", 8)).unwrap_err().to_string();
    assert!(error.contains("4 partitions"), "{error}");
    assert!(log.end("unknown", Topic::Events, PartitionIndex(0)).is_err());
    assert!(log.end("payments", Topic::Events, PartitionIndex(4)).is_err());
    assert!(append(log, Topic::Events, vec![(4, records(&["x"]))], Durability::Synced).is_err());
    assert!(log.create(&stream("nothing", 0)).is_err());
}

/// Offsets count from 0 per topic and partition. A receipt has them in the order of the append.
pub fn offsets_are_assigned_in_order(log: &dyn Log) {
    create(log);
    for durability in [Durability::Synced, Durability::Ordered] {
        let base = log.end("payments", Topic::Events, PartitionIndex(2)).unwrap().0;
        let batches =
            vec![(2, events(&["a", "b"])), (1, events(&["c"])), (2, events(&["d"])), (3, events::<&str>(&[]))];
        let places = append(log, Topic::Events, batches, durability).unwrap();
        assert_eq!(places[0], place(2, base));
        assert_eq!(places[2], place(2, base + 2));
        assert_eq!(places[3], place(3, 0));
        assert_eq!(log.end("payments", Topic::Events, PartitionIndex(2)).unwrap(), Offset(base + 3));
        assert_eq!(log.end("payments", Topic::Verdicts, PartitionIndex(2)).unwrap(), Offset(0));
    }
    assert!(append(log, Topic::Events, vec![], Durability::Synced).unwrap().is_empty());
}

/// A read returns the appended records from any offset on, with their append times.
pub fn reads_begin_at_the_requested_offset(log: &dyn Log) {
    create(log);
    let contents: Vec<String> = (0..40).map(|i| "x".repeat(i % 5) + &i.to_string()).collect();
    for (i, chunk) in contents.chunks(6).enumerate() {
        let durability = if i % 2 == 0 { Durability::Synced } else { Durability::Ordered };
        let chunk = Records { appended_at: i as i64, ..records(chunk) };
        append(log, Topic::Verdicts, vec![(1, chunk)], durability).unwrap();
    }
    for from in 0..=40 {
        let expected: Vec<(u64, Vec<u8>)> =
            (0..).zip(&contents).skip(from).map(|(offset, content)| (offset, content.clone().into_bytes())).collect();
        assert_eq!(read_all(log, Topic::Verdicts, 1, from as u64), expected);
    }
    assert!(read_all(log, Topic::Verdicts, 1, 1000).is_empty());
    assert!(read_all(log, Topic::Verdicts, 0, 0).is_empty());
    let blocks = log.read("payments", Topic::Verdicts, PartitionIndex(1), Offset(8), 1000, 1 << 20).unwrap();
    // A block can be a part of a larger one and can hold several appends. Its time is that of its first record.
    assert_eq!(blocks[0].appended_at, 1);
    assert!(blocks.iter().all(|block| block.appended_at == block.first.0 as i64 / 6), "{blocks:?}");
}

/// Each event is read with the number of its own schema, also if events of several schemas were appended together.
pub fn events_keep_their_schemas(log: &dyn Log) {
    create(log);
    for round in 0..3_u32 {
        let batch = |schema| (1, Records { schema, ..events(&[format!("{round}-{schema}")]) });
        append(log, Topic::Events, [0, 1, 1, 7, 0].map(batch).into(), Durability::Synced).unwrap();
    }
    for from in 0..15 {
        let blocks = log.read("payments", Topic::Events, PartitionIndex(1), Offset(from), 1000, 1 << 20).unwrap();
        let mut next = from;
        for (block, (offset, event)) in blocks.iter().flat_map(|block| block.iter().map(move |event| (block, event))) {
            assert_eq!(offset, Offset(next));
            let schema = [0, 1, 1, 7, 0][next as usize % 5];
            assert_eq!((block.schema, card(event)), (schema, format!("{}-{schema}", next / 5).as_str()));
            next += 1;
        }
        assert_eq!(next, 15);
    }
}

/// A read returns at least one record, and ends soon after it reaches a limit.
pub fn reads_respect_limits(log: &dyn Log) {
    create(log);
    let ten = events(&["0123456789"; 10]);
    let size = ten.data.len() / 10;
    for _ in 0..10 {
        append(log, Topic::Events, vec![(0, ten.clone())], Durability::Ordered).unwrap();
    }
    let read = |max_records, max_bytes| {
        let blocks = log.read("payments", Topic::Events, PartitionIndex(0), Offset(5), max_records, max_bytes).unwrap();
        blocks.iter().map(Records::len).sum::<usize>()
    };
    // The record that reaches a limit is returned; the rest of its append may follow.
    for (max_records, max_bytes, min_found) in
        [(1, 1 << 20, 1), (6, 1 << 20, 6), (1000, 1, 1), (1000, 16 * size, 16), (1000, 1 << 20, 95)]
    {
        let found = read(max_records, max_bytes);
        assert!((min_found..min_found + 10).contains(&found), "{max_records} {max_bytes}: {found}");
    }
}

/// An append of records whose ends do not fit their data fails whole and changes nothing.
pub fn malformed_records_are_refused(log: &dyn Log) {
    create(log);
    let good = events(&["ab", "c"]);
    for ends in [vec![], vec![4], vec![7, 4, 7], vec![4, 8]] {
        let bad = Records { ends, ..good.clone() };
        let batches = vec![(0, good.clone()), (1, bad)];
        assert!(append(log, Topic::Events, batches, Durability::Synced).is_err());
    }
    assert_eq!(log.end("payments", Topic::Events, PartitionIndex(0)).unwrap(), Offset(0));
}

/// The subscribers of a topic are notified once its new records can be read, and those of the other topic are not.
pub fn subscribers_are_notified_of_readable_records(log: &dyn Log) {
    create(log);
    let (first, second) = (Arc::new(WakeSignal::default()), Arc::new(WakeSignal::default()));
    log.on_append(Topic::Events, first.clone());
    log.on_append(Topic::Verdicts, second.clone());
    for (topic, notified, silent) in [(Topic::Events, &first, &second), (Topic::Verdicts, &second, &first)] {
        for durability in [Durability::Synced, Durability::Ordered] {
            let from = log.end("payments", topic, PartitionIndex(3)).unwrap();
            let batches = vec![(PartitionIndex(3), events(&["x"]))];
            let receipt = log.append("payments", topic, batches, durability).unwrap();
            assert!(notified.wait(Duration::from_secs(10)));
            assert_eq!(read_all(log, topic, 3, from.0).len(), 1);
            assert!(!silent.wait(Duration::ZERO));
            receipt.blocking_recv().unwrap().unwrap();
        }
    }
}

/// Without retention limits a partition keeps all records from the first on, and none is lost.
pub fn records_are_kept_without_retention(log: &dyn Log) {
    create(log);
    let kept = |topic, partition| log.kept("payments", topic, PartitionIndex(partition));
    let all = Kept { first: Offset(0), max_age: None, max_bytes: None };
    assert_eq!(kept(Topic::Events, 1).unwrap(), all, "an empty partition begins at its end");
    append(log, Topic::Events, vec![(1, events(&["a", "b"]))], Durability::Synced).unwrap();
    append(log, Topic::Verdicts, vec![(1, records(&["v"]))], Durability::Synced).unwrap();
    assert_eq!((kept(Topic::Events, 1).unwrap(), kept(Topic::Verdicts, 1).unwrap()), (all, all));
    assert!(kept(Topic::Events, 4).is_err());
    assert!(log.kept("unknown", Topic::Events, PartitionIndex(0)).is_err());
    assert_eq!(read_all(log, Topic::Events, 1, 0).len(), 2);
    assert!(log.lost().iter().all(|lost| lost.records == 0), "{:?}", log.lost());
}

/// Retention deletes whole blocks from the oldest on, by age and by size. It never deletes a block that holds a needed
/// record, nor the last block. Only for logs with [`Log::trim`]; Kafka deletes by the settings of its topics.
pub fn retention_deletes_the_oldest_blocks(log: &dyn Log) {
    create(log);
    assert!(log.trims());
    for i in 0..20_i64 {
        let two = Records { appended_at: 1000 + i, ..records(&[[i as u8; 100], [i as u8; 100]]) };
        append(log, Topic::Events, vec![(1, two)], Durability::Ordered).unwrap();
    }
    let trim = |wish: Trim| log.trim("payments", Topic::Events, PartitionIndex(1), &wish).unwrap();
    let first = || log.kept("payments", Topic::Events, PartitionIndex(1)).unwrap().first.0;
    let all = Trim { below: Offset(u64::MAX), ..Trim::default() };
    assert_eq!(trim(all), TrimResult::default(), "without a limit nothing is deleted");
    assert_eq!(trim(Trim { older_than: Some(1000), ..all }).records, 0);
    let trimmed = trim(Trim { older_than: Some(1003), ..all });
    assert_eq!((trimmed.records, trimmed.is_held, first()), (6, false, 6));
    let trimmed = trim(Trim { older_than: Some(5000), below: Offset(9), ..all });
    assert_eq!((trimmed.records, trimmed.is_held, first()), (2, true, 8), "a block that is needed in part stays whole");
    // Eight blocks of about 210 bytes each.
    let trimmed = trim(Trim { max_bytes: Some(8 * 215), ..all });
    assert_eq!((trimmed.is_held, first()), (false, 24));
    assert!((1_600..2_000).contains(&trimmed.bytes), "{trimmed:?}");
    append(log, Topic::Events, vec![(1, records(&[[9; 100], [9; 100]]))], Durability::Ordered).unwrap();
    trim(Trim { max_bytes: Some(8 * 215), ..all });
    assert_eq!(first(), 26, "the size includes later appends");
    for from in [0, 7, 26] {
        let read = log.read("payments", Topic::Events, PartitionIndex(1), Offset(from), 1, 1 << 20).unwrap();
        assert_eq!((read[0].first, read[0].get(0)), (Offset(26), Some(&[13; 100][..])), "from {from}");
    }
    trim(Trim { older_than: Some(i64::MAX), ..all });
    assert_eq!(first(), 40);
    assert_eq!(log.end("payments", Topic::Events, PartitionIndex(1)).unwrap(), Offset(42));
    assert_eq!(read_all(log, Topic::Events, 1, 40).len(), 2, "the last block says where the partition ends");
    assert_eq!(log.kept("payments", Topic::Events, PartitionIndex(0)).unwrap().first, Offset(0), "another partition");
    assert!(log.trim("payments", Topic::Events, PartitionIndex(4), &all).is_err());
}

/// Deletes blocks for [`deleted_blocks_stay_deleted`].
pub fn delete_blocks_before_reopen(log: &dyn Log) {
    create(log);
    for i in 0..5 {
        append(log, Topic::Verdicts, vec![(2, records(&[[i; 3]]))], Durability::Ordered).unwrap();
    }
    let wish = Trim { older_than: Some(i64::MAX), below: Offset(3), ..Trim::default() };
    assert_eq!(log.trim("payments", Topic::Verdicts, PartitionIndex(2), &wish).unwrap().records, 3);
}

/// After a reopen deleted blocks stay deleted, and offsets continue.
pub fn deleted_blocks_stay_deleted(log: &dyn Log) {
    create(log);
    assert_eq!(log.kept("payments", Topic::Verdicts, PartitionIndex(2)).unwrap().first, Offset(3));
    let read = log.read("payments", Topic::Verdicts, PartitionIndex(2), Offset(0), 9, 1 << 20).unwrap();
    assert_eq!(read[0].first, Offset(3));
    let places = append(log, Topic::Verdicts, vec![(2, records(&["e"]))], Durability::Ordered).unwrap();
    assert_eq!(places, [place(2, 5)]);
}

/// Concurrent appends: no record is lost or altered, no two get the same offset, and each appender's order is kept.
pub fn appends_from_many_threads_keep_their_order(log: &dyn Log) {
    const THREADS: u32 = 6;
    const APPENDS: u32 = 60;
    create(log);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                let durability = if thread % 3 == 0 { Durability::Ordered } else { Durability::Synced };
                let mut receipts = Vec::new();
                for i in 0..APPENDS {
                    let contents = [format!("{thread}/{i}/a"), format!("{thread}/{i}/b")];
                    let batches =
                        vec![(PartitionIndex(0), events(&contents)), (PartitionIndex(i % 4), events(&contents[..1]))];
                    receipts.push((i, log.append("payments", Topic::Events, batches, durability).unwrap()));
                }
                for (i, receipt) in receipts {
                    let appended = receipt.blocking_recv().unwrap().unwrap();
                    let places: Vec<_> = appended.iter().filter_map(|appended| appended.place(0)).collect();
                    let at = places[0].offset;
                    let found = log.read("payments", Topic::Events, PartitionIndex(0), at, 2, 1 << 20).unwrap();
                    assert_eq!(found[0].get(0), Some(&*event(&format!("{thread}/{i}/a"))));
                }
            });
        }
    });
    let all = read_all(log, Topic::Events, 0, 0);
    assert!(all.iter().map(|(offset, _)| *offset).eq(0..all.len() as u64), "offsets have no gaps");
    assert_eq!(all.len() as u32, THREADS * (2 * APPENDS + APPENDS.div_ceil(4)));
    for thread in 0..THREADS {
        let own = all.iter().filter_map(|(_, record)| {
            card(record).strip_prefix(&format!("{thread}/"))?.strip_suffix("/b")?.parse::<u32>().ok()
        });
        assert!(own.eq(0..APPENDS), "the order of one appender is kept");
    }
}

/// Appends records that [`appends_survive_reopen`] expects.
pub fn append_before_reopen(log: &dyn Log) {
    create(log);
    log.create(&stream("other", 1)).unwrap();
    append(log, Topic::Events, vec![(0, events(&["a", "b"])), (3, events(&["c"]))], Durability::Synced).unwrap();
    append(log, Topic::Verdicts, vec![(3, records(&["v"]))], Durability::Ordered).unwrap();
    append(log, Topic::Events, vec![(0, events(&["d"]))], Durability::Ordered).unwrap();
}

/// After a reopen the records are there, and offsets continue.
pub fn appends_survive_reopen(log: &dyn Log) {
    // The engine creates every stream again when it starts.
    create(log);
    log.create(&stream("other", 1)).unwrap();
    assert_eq!(read_all(log, Topic::Events, 0, 1), [(1, event("b")), (2, event("d"))]);
    assert_eq!(read_all(log, Topic::Events, 3, 0), [(0, event("c"))]);
    assert_eq!(read_all(log, Topic::Verdicts, 3, 0), [(0, b"v".to_vec())]);
    assert_eq!(log.end("other", Topic::Events, PartitionIndex(0)).unwrap(), Offset(0));
    assert!(log.create(&stream("payments", 5)).is_err());
    let places = append(log, Topic::Events, vec![(0, events(&["e"]))], Durability::Synced).unwrap();
    assert_eq!(places, [place(0, 3)]);
}
