//! The archive's events: the port's contract, what cannot be read, and how long rows live.

use std::time::Duration;

use assay_core::names::{Offset, Partition};
use assay_engine::ports::archive::Archive;
use assay_engine::ports::log::{Log, Topic};
use assay_stores::embedded::{Config as EmbeddedConfig, Embedded};
use assay_stores::scylladb::{Config, ScyllaDb};

use crate::contract::archive::{self, Event, append_events, archive_events};
use crate::contract::{payments, place};
use crate::keyspace::Keyspace;

/// Runs a check on an archive of its own, with a log beside it.
pub(crate) fn on_empty_archive(check: impl FnOnce(&ScyllaDb, &dyn Log)) {
    let keyspace = Keyspace::new();
    with_log(|log| check(&keyspace.open(), log));
}

/// Runs something with a log of its own.
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
                on_empty_archive(|db, log| archive::$check(&*db.archive(), log));
            }
        )+
    };
}

contract!(histories_are_paged_newest_first, events_are_found_by_id, repeated_writes_change_nothing, outcomes_are_found);

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn readers_see_whole_histories() {
    on_empty_archive(|db, log| archive::readers_see_whole_histories(db.archive(), log));
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn events_kept() {
    let keyspace = Keyspace::new();
    with_log(|log| {
        archive::events_written(&*keyspace.open().archive(), log);
        archive::events_kept(&*keyspace.open().archive(), log);
    });
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn events_that_cannot_be_read_and_long_names_are_found() {
    on_empty_archive(|db, log| {
        let (archive, long) = (db.archive(), "ä".repeat(40_000));
        let events = [Event::new(7, &long, &long), Event::new(8, "a", "x")];
        append_events(log, &events);
        let blocks = log.read("payments", Topic::Events, Partition(0), Offset(0), 2, usize::MAX).unwrap();
        // The second has no entry: it could not be read.
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
fn rows_live_as_long_as_the_config_says() {
    let keyspace = Keyspace::new();
    let config = Config { archive_ttl: Some(Duration::from_secs(1000)), ..keyspace.config.clone() };
    let db = ScyllaDb::open(&config).unwrap();
    with_log(|log| {
        let events = [Event::new(7, "a", "x")];
        append_events(log, &events);
        archive_events(&*db.archive(), log, &events, 0, 1);
    });
    for column in ["bytes) FROM {}.entity_events", "key) FROM {}.events", "key) FROM {}.event_ids"] {
        let left = keyspace.rows::<(Option<i32>,)>(&format!("SELECT TTL({column}"));
        assert!(matches!(left[..], [(Some(1..=1000),)]), "{column}: {left:?}");
    }
    let position = keyspace.rows::<(Option<i32>,)>("SELECT TTL(next) FROM {}.positions");
    assert_eq!(position, [(None,)], "what says how far all is written lives for ever");
}
