//! Opening a cluster: concurrent migrations, older and newer tables, and errors.

use std::time::{Duration, Instant};

use assay_engine::ports::StoreError;
use assay_engine::ports::state::StateStore;
use assay_scylladb::{Config, ScyllaDb};

use crate::contract::payments;
use crate::keyspace::TestKeyspace;
use crate::state::save;

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn an_empty_keyspace_can_be_opened_concurrently() {
    let keyspace = TestKeyspace::new();
    std::thread::scope(|scope| {
        let open = |events: u64| {
            let keyspace = &keyspace;
            scope.spawn(move || save(&*keyspace.open().state(), (events, 1), &[("a", "state")]))
        };
        let threads: Vec<_> = (0..4).map(open).collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
    assert_eq!(keyspace.open().state().checkpoint(&payments(0)).unwrap().unwrap().events.0, 3);
    assert_eq!(keyspace.query::<(i32,)>("SELECT version FROM {}.schema_version"), [(3,)]);
}

/// The race is rare, so the test runs several rounds. Each round starts without the keyspace.
#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn concurrent_migrations_make_complete_tables() {
    for _ in 0..5 {
        let keyspace = TestKeyspace::new();
        std::thread::scope(|scope| {
            let threads = [(); 6].map(|()| scope.spawn(|| drop(keyspace.open())));
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        });
        // The lock is released, and the column of the last step exists.
        assert_eq!(
            keyspace.query::<(String, i32)>("SELECT name, version FROM {}.schema_version"),
            [("assay".to_owned(), 3)]
        );
        assert_eq!(keyspace.query::<(Option<i32>,)>("SELECT schema_number FROM {}.entity_events"), []);
        save(&*keyspace.open().state(), (1, 1), &[("a", "state")]);
    }
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn an_abandoned_lock_expires() {
    let keyspace = TestKeyspace::new();
    keyspace.open();
    keyspace.execute("ALTER TABLE {}.entity_events DROP schema_number");
    keyspace.execute("INSERT INTO {}.schema_version (name, version) VALUES ('migration', 1) IF NOT EXISTS USING TTL 5");
    keyspace.open();
    assert_eq!(keyspace.query::<(Option<i32>,)>("SELECT schema_number FROM {}.entity_events"), []);
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn tables_of_an_older_version_are_migrated() {
    let keyspace = TestKeyspace::new();
    keyspace.open();
    keyspace.execute("ALTER TABLE {}.entity_events DROP schema_number");
    keyspace.execute("INSERT INTO {}.schema_version (name, version) VALUES ('assay', 2)");
    // The step runs again, as after a process that died before it wrote the version; then two processes open at once.
    keyspace.open();
    std::thread::scope(|scope| {
        let threads = [(); 2].map(|()| scope.spawn(|| drop(keyspace.open())));
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
    assert_eq!(keyspace.query::<(Option<i32>,)>("SELECT schema_number FROM {}.entity_events"), []);
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn tables_of_a_newer_version_are_refused() {
    let keyspace = TestKeyspace::new();
    keyspace.open();
    keyspace.execute("INSERT INTO {}.schema_version (name, version) VALUES ('assay', 99)");
    let error = ScyllaDb::open(&keyspace.config).map(drop).unwrap_err();
    assert!(matches!(&error, StoreError::Broken { message, .. } if message.contains("version 99")), "{error}");
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn more_replicas_than_nodes_are_an_error_with_advice() {
    let keyspace = TestKeyspace::new();
    let config = Config { replication_factor: 3, ..keyspace.config.clone() };
    let error = ScyllaDb::open(&config).map(drop).unwrap_err();
    assert!(matches!(&error, StoreError::Unavailable { message, .. } if message.contains("fewer copies")), "{error}");
}

#[test]
fn an_unreachable_server_is_an_error_with_its_address() {
    let config = Config {
        nodes: vec!["127.0.0.1:1".to_owned()],
        request_timeout: Duration::from_secs(1),
        connect_timeout: Duration::from_secs(1),
        ..Config::default()
    };
    let started = Instant::now();
    let error = ScyllaDb::open(&config).map(drop).unwrap_err();
    assert!(matches!(&error, StoreError::Unavailable { message, .. } if message.contains("127.0.0.1:1")), "{error}");
    assert!(started.elapsed() < Duration::from_secs(20), "it took {:?}", started.elapsed());
}
