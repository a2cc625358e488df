//! Events in the archive: the contract of the port, unreadable events, and the TTL of rows.

use std::time::Duration;

use assay_core::names::{Offset, PartitionIndex};
use assay_embedded::{Config as EmbeddedConfig, Embedded};
use assay_engine::ports::archive::Archive;
use assay_engine::ports::log::{Log, Topic};
use assay_scylladb::{Config, ScyllaDb};

use crate::contract::archive::{self, Event, append_events, archive_events};
use crate::contract::{payments, place};
use crate::keyspace::TestKeyspace;

/// Runs a check with a new keyspace and a new log.
pub(crate) fn with_empty_archive(check: impl FnOnce(&ScyllaDb, &dyn Log)) {
    let keyspace = TestKeyspace::new();
    with_log(|log| check(&keyspace.open(), log));
}

/// Runs a function with a new log.
pub(crate) fn with_log(run: impl FnOnce(&dyn Log)) {
    let dir = tempfile::tempdir().unwrap();
    let log = Embedded::open(dir.path(), &EmbeddedConfig::default()).unwrap();
    run(&*log.ports().log);
}

macro_rules! contract {
    ($($check:ident),+) => {
        $(
            #[test]
            #[ignore = "needs servers: cargo xtask test --servers"]
            fn $check() {
                with_empty_archive(|db, log| archive::$check(&*db.archive(), log));
            }
        )+
    };
}

contract!(histories_are_paged_newest_first, events_are_found_by_id, repeated_writes_change_nothing, outcomes_are_found);

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn readers_see_whole_histories() {
    with_empty_archive(|db, log| archive::readers_see_whole_histories(db.archive(), log));
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn events_survive_reopen() {
    let keyspace = TestKeyspace::new();
    with_log(|log| {
        archive::write_events_before_reopen(&*keyspace.open().archive(), log);
        archive::events_survive_reopen(&*keyspace.open().archive(), log);
    });
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn unreadable_events_and_long_keys_are_found() {
    with_empty_archive(|db, log| {
        let (archive, long) = (db.archive(), "ä".repeat(40_000));
        let events = [Event::new(7, &long, &long), Event::new(8, "a", "x")];
        append_events(log, &events);
        let blocks = log.read("payments", Topic::Events, PartitionIndex(0), Offset(0), 2, usize::MAX).unwrap();
        // The second event has no entry, as one that could not be decoded.
        archive_events(&*archive, log, &events, 0, 1);
        archive.write_events(&payments(0), &[], &blocks[..], Offset(2)).unwrap();
        archive_events(&*archive, log, &events, 0, 1);
        let unreadable = archive.event(&payments(0), Offset(1)).unwrap().unwrap();
        assert_eq!((unreadable.place, unreadable.bytes.as_slice()), (place(0, 1), blocks[0].get(1).unwrap()));
        assert_eq!(archive::history(&*archive, &long, archive::between(0, 10), 5), [0]);
        assert_eq!(archive.by_id(&payments(0), &long, None, 1000).unwrap()[0].bytes, blocks[0].get(0).unwrap());
        assert!(archive.by_id(&payments(0), &long[2..], None, 1000).unwrap().is_empty());
    });
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn archive_rows_have_the_configured_ttl() {
    let keyspace = TestKeyspace::new();
    let config = Config { archive_ttl: Some(Duration::from_secs(1000)), ..keyspace.config.clone() };
    let db = ScyllaDb::open(&config).unwrap();
    with_log(|log| {
        let events = [Event::new(7, "a", "x")];
        append_events(log, &events);
        archive_events(&*db.archive(), log, &events, 0, 1);
    });
    for column in ["bytes) FROM {}.entity_events", "key) FROM {}.events", "key) FROM {}.event_ids"] {
        let ttls = keyspace.query::<(Option<i32>,)>(&format!("SELECT TTL({column}"));
        assert!(matches!(ttls[..], [(Some(1..=1000),)]), "{column}: {ttls:?}");
    }
    let position = keyspace.query::<(Option<i32>,)>("SELECT TTL(next) FROM {}.positions");
    assert_eq!(position, [(None,)], "a position never expires");
}
