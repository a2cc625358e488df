//! The contract of the log port.

use std::sync::Arc;
use std::time::Duration;

use assay_core::names::{Offset, Partition};
use assay_engine::ports::log::{Bell, Durability, Log, Records, Topic};

use super::streams::stream;
use super::{append, place, read_all, records};

/// Makes the stream that the other functions use.
pub(crate) fn create(log: &dyn Log) {
    log.create(&stream("payments", 4)).unwrap();
}

/// Streams are made once, with a number of partitions that stays.
pub(crate) fn streams_are_made_once(log: &dyn Log) {
    create(log);
    log.create(&stream("payments", 4)).unwrap();
    let error = log.create(&stream("payments", 8)).unwrap_err().to_string();
    assert!(error.contains("4 partitions"), "{error}");
    assert!(log.end("unknown", Topic::Events, Partition(0)).is_err());
    assert!(log.end("payments", Topic::Events, Partition(4)).is_err());
    assert!(append(log, Topic::Events, vec![(4, records(&["x"]))], Durability::Synced).is_err());
    assert!(log.create(&stream("nothing", 0)).is_err());
}

/// Offsets count from 0 per topic and partition; receipts tell them in the order of the append.
pub(crate) fn offsets_are_given_in_order(log: &dyn Log) {
    create(log);
    for durability in [Durability::Synced, Durability::Ordered] {
        let base = log.end("payments", Topic::Events, Partition(2)).unwrap().0;
        let batches =
            vec![(2, records(&["a", "b"])), (1, records(&["c"])), (2, records(&["d"])), (3, records::<&str>(&[]))];
        let places = append(log, Topic::Events, batches, durability).unwrap();
        assert_eq!(places[0], place(2, base));
        assert_eq!(places[2], place(2, base + 2));
        assert_eq!(places[3], place(3, 0));
        assert_eq!(log.end("payments", Topic::Events, Partition(2)).unwrap(), Offset(base + 3));
        assert_eq!(log.end("payments", Topic::Verdicts, Partition(2)).unwrap(), Offset(0));
    }
    assert!(append(log, Topic::Events, vec![], Durability::Synced).unwrap().is_empty());
}

/// What was appended is read, from any offset on, with its time.
pub(crate) fn reads_begin_exactly_where_asked(log: &dyn Log) {
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
    let blocks = log.read("payments", Topic::Verdicts, Partition(1), Offset(8), 1000, 1 << 20).unwrap();
    let times: Vec<i64> = blocks.iter().map(|block| block.appended_at).collect();
    assert_eq!(times, [1, 2, 3, 4, 5, 6]);
}

/// A read gives at least one record, and stops soon behind its limits.
pub(crate) fn reads_respect_limits(log: &dyn Log) {
    create(log);
    for _ in 0..10 {
        append(log, Topic::Events, vec![(0, records(&["0123456789"; 10]))], Durability::Ordered).unwrap();
    }
    let read = |max_records, max_bytes| {
        let blocks = log.read("payments", Topic::Events, Partition(0), Offset(5), max_records, max_bytes).unwrap();
        blocks.iter().map(Records::len).sum::<usize>()
    };
    assert_eq!(read(1, 1 << 20), 5);
    assert_eq!(read(6, 1 << 20), 15);
    assert_eq!(read(1000, 1), 5);
    assert_eq!(read(1000, 160), 25);
    assert_eq!(read(1000, 1 << 20), 95);
}

/// Records whose ends do not fit their data are refused and change nothing.
pub(crate) fn malformed_records_are_refused(log: &dyn Log) {
    create(log);
    let good = records(&["ab", "c"]);
    for ends in [vec![], vec![2], vec![3, 1, 3], vec![2, 4]] {
        let bad = Records { ends, ..good.clone() };
        let batches = vec![(0, good.clone()), (1, bad)];
        assert!(append(log, Topic::Events, batches, Durability::Synced).is_err());
    }
    assert_eq!(log.end("payments", Topic::Events, Partition(0)).unwrap(), Offset(0));
}

/// The bell of a topic rings once its records can be read.
pub(crate) fn bells_ring_when_there_is_something_to_read(log: &dyn Log) {
    create(log);
    let (events, verdicts) = (Arc::new(Bell::default()), Arc::new(Bell::default()));
    log.on_append(Topic::Events, events.clone());
    log.on_append(Topic::Verdicts, verdicts.clone());
    for (topic, rings, silent) in [(Topic::Events, &events, &verdicts), (Topic::Verdicts, &verdicts, &events)] {
        for durability in [Durability::Synced, Durability::Ordered] {
            let from = log.end("payments", topic, Partition(3)).unwrap();
            let batches = vec![(Partition(3), records(&["x"]))];
            let receipt = log.append("payments", topic, batches, durability).unwrap();
            assert!(rings.wait(Duration::from_secs(10)));
            assert_eq!(read_all(log, topic, 3, from.0).len(), 1);
            assert!(!silent.wait(Duration::ZERO));
            receipt.blocking_recv().unwrap().unwrap();
        }
    }
}

/// Appends from many threads: nothing is lost, mixed up or given the same offset.
pub(crate) fn appends_from_many_threads_keep_their_order(log: &dyn Log) {
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
                    let batches = vec![(Partition(0), records(&contents)), (Partition(i % 4), records(&contents[..1]))];
                    receipts.push((i, log.append("payments", Topic::Events, batches, durability).unwrap()));
                }
                for (i, receipt) in receipts {
                    let appended = receipt.blocking_recv().unwrap().unwrap();
                    let places: Vec<_> = appended.iter().filter_map(|appended| appended.place(0)).collect();
                    let at = places[0].offset;
                    let found = log.read("payments", Topic::Events, Partition(0), at, 2, 1 << 20).unwrap();
                    assert_eq!(found[0].get(0), Some(format!("{thread}/{i}/a").as_bytes()));
                }
            });
        }
    });
    let all = read_all(log, Topic::Events, 0, 0);
    assert!(all.iter().map(|(offset, _)| *offset).eq(0..all.len() as u64), "offsets have no gaps");
    assert_eq!(all.len() as u32, THREADS * (2 * APPENDS + APPENDS.div_ceil(4)));
    for thread in 0..THREADS {
        let own = all.iter().filter_map(|(_, record)| {
            let text = std::str::from_utf8(record).unwrap();
            text.strip_prefix(&format!("{thread}/"))?.strip_suffix("/b")?.parse::<u32>().ok()
        });
        assert!(own.eq(0..APPENDS), "the order of one appender is kept");
    }
}

/// What is to be there after the store was opened again.
pub(crate) fn appends_written(log: &dyn Log) {
    create(log);
    log.create(&stream("other", 1)).unwrap();
    append(log, Topic::Events, vec![(0, records(&["a", "b"])), (3, records(&["c"]))], Durability::Synced).unwrap();
    append(log, Topic::Verdicts, vec![(3, records(&["v"]))], Durability::Ordered).unwrap();
    append(log, Topic::Events, vec![(0, records(&["d"]))], Durability::Ordered).unwrap();
}

/// It is there, and offsets go on where they ended.
pub(crate) fn appends_kept(log: &dyn Log) {
    assert_eq!(read_all(log, Topic::Events, 0, 1), [(1, b"b".to_vec()), (2, b"d".to_vec())]);
    assert_eq!(read_all(log, Topic::Events, 3, 0), [(0, b"c".to_vec())]);
    assert_eq!(read_all(log, Topic::Verdicts, 3, 0), [(0, b"v".to_vec())]);
    assert_eq!(log.end("other", Topic::Events, Partition(0)).unwrap(), Offset(0));
    assert!(log.create(&stream("payments", 5)).is_err());
    let places = append(log, Topic::Events, vec![(0, records(&["e"]))], Durability::Synced).unwrap();
    assert_eq!(places, [place(0, 3)]);
}
