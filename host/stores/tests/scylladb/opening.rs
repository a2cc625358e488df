//! Opening: several processes at once, what is there already, and what cannot work.

use std::time::{Duration, Instant};

use assay_engine::ports::StoreError;
use assay_engine::ports::state::StateStore;
use assay_stores::scylladb::{Config, ScyllaDb};

use crate::contract::payments;
use crate::keyspace::Keyspace;
use crate::state::save;

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn several_may_open_an_empty_keyspace_at_once() {
    let keyspace = Keyspace::new();
    std::thread::scope(|scope| {
        let open = |events: u64| {
            let keyspace = &keyspace;
            scope.spawn(move || save(&*keyspace.open().state(), (events, 1), &[("a", "state")]))
        };
        let threads: Vec<_> = (0..4).map(open).collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
    assert_eq!(keyspace.open().state().checkpoint(&payments(0)).unwrap().unwrap().events.0, 3);
    assert_eq!(keyspace.rows::<(i32,)>("SELECT version FROM {}.schema_version"), [(3,)]);
}

/// The race is one of moments: some rounds, each on a keyspace that is not there yet.
#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn tables_that_several_make_at_once_are_whole() {
    for _ in 0..5 {
        let keyspace = Keyspace::new();
        std::thread::scope(|scope| {
            let threads = [(); 6].map(|()| scope.spawn(|| drop(keyspace.open())));
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        });
        // The lock is gone, and the column that came last is there.
        assert_eq!(
            keyspace.rows::<(String, i32)>("SELECT name, version FROM {}.schema_version"),
            [("assay".to_owned(), 3)]
        );
        assert_eq!(keyspace.rows::<(Option<i32>,)>("SELECT schema_number FROM {}.entity_events"), []);
        save(&*keyspace.open().state(), (1, 1), &[("a", "state")]);
    }
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn a_lock_of_a_process_that_died_holds_nobody_up_for_long() {
    let keyspace = Keyspace::new();
    keyspace.open();
    keyspace.execute("ALTER TABLE {}.entity_events DROP schema_number");
    keyspace.execute("INSERT INTO {}.schema_version (name, version) VALUES ('migration', 1) IF NOT EXISTS USING TTL 5");
    keyspace.open();
    assert_eq!(keyspace.rows::<(Option<i32>,)>("SELECT schema_number FROM {}.entity_events"), []);
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn tables_of_an_older_version_are_brought_up_to_date() {
    let keyspace = Keyspace::new();
    keyspace.open();
    keyspace.execute("ALTER TABLE {}.entity_events DROP schema_number");
    keyspace.execute("INSERT INTO {}.schema_version (name, version) VALUES ('assay', 2)");
    // Twice, as by a process that ended before it wrote the version; and by two at once.
    keyspace.open();
    std::thread::scope(|scope| {
        let threads = [(); 2].map(|()| scope.spawn(|| drop(keyspace.open())));
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
    assert_eq!(keyspace.rows::<(Option<i32>,)>("SELECT schema_number FROM {}.entity_events"), []);
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn tables_of_a_newer_version_are_left_alone() {
    let keyspace = Keyspace::new();
    keyspace.open();
    keyspace.execute("INSERT INTO {}.schema_version (name, version) VALUES ('assay', 99)");
    let error = ScyllaDb::open(&keyspace.config).map(drop).unwrap_err();
    assert!(matches!(&error, StoreError::Broken { message, .. } if message.contains("version 99")), "{error}");
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn more_copies_than_nodes_are_explained() {
    let keyspace = Keyspace::new();
    let config = Config { replication_factor: 3, ..keyspace.config.clone() };
    let error = ScyllaDb::open(&config).map(drop).unwrap_err();
    assert!(matches!(&error, StoreError::Unavailable { message, .. } if message.contains("fewer copies")), "{error}");
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let config = Config {
        nodes: vec!["127.0.0.1:1".to_owned()],
        request_timeout: Duration::from_secs(1),
        connect_timeout: Duration::from_secs(1),
        ..Config::default()
    };
    let began = Instant::now();
    let error = ScyllaDb::open(&config).map(drop).unwrap_err();
    assert!(matches!(&error, StoreError::Unavailable { message, .. } if message.contains("127.0.0.1:1")), "{error}");
    assert!(began.elapsed() < Duration::from_secs(20), "it took {:?}", began.elapsed());
}
